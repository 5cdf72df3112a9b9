//! Tests of the public interface, one module for each subject.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod builds;
mod files;
mod mistakes;
mod names;
mod order;
mod reuse;
mod robustness;

use std::fs;
use std::path::PathBuf;

use cartwheel_compose::{LoadOptions, Project, Result};
use tempfile::TempDir;

/// A directory of files that a project is read from.
struct Files {
    directory: TempDir,
}

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What is asked for when nothing is said, in this directory.
    fn options(&self) -> LoadOptions {
        LoadOptions { current_directory: self.path(""), ..LoadOptions::default() }
    }

    fn load(&self) -> Result<Project> {
        Project::load(&self.options())
    }

    /// The text, without where the directory happens to be.
    fn without_directory(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

/// The project of one file.
fn project(text: &str) -> Result<Project> {
    Files::new(&[("compose.yaml", text)]).load()
}
