//! `uv`, and a pip young enough to know today's platform tags, in a virtual environment of their own.

use std::ffi::OsString;
use std::fs;
use std::iter;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::Project;
use crate::{Result, command, debian};

const PACKAGES: &[&str] = &["pip==26.3", "uv==0.13.9"];

/// The folder: `bin` has uv alone, to be put on a `PATH`; the environment beside it must not hide a `python3` there.
pub(crate) fn provide(project: &Project) -> Result<PathBuf> {
    let tools = project.provide("tools", &[PACKAGES, &["tools 1"]].concat(), make)?;
    project.publish("tools", &tools)?;
    Ok(tools)
}

/// This process's `PATH` with that `bin` in front.
pub(crate) fn path(project: &Project) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = iter::once(project.fixtures().join("tools/bin")).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}

/// pip of this environment. As a module: its script would name the folder that the environment was made in.
pub(crate) fn pip(tools: &Path) -> Command {
    let mut pip = Command::new(tools.join("environment/bin/python"));
    pip.args(["-m", "pip", "--disable-pip-version-check"]);
    pip
}

fn make(folder: &Path) -> Result {
    if !command::succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        debian::install(&["python3", "python3-venv"], "uv and pip in a virtual environment")?;
    }
    println!("about to install from the package index, into a virtual environment: {}", PACKAGES.join(" "));
    command::quiet(Command::new("python3").args(["-m", "venv"]).arg(folder.join("environment")))?;
    command::quiet(pip(folder).args(["install", "--upgrade"]).args(PACKAGES))?;
    fs::create_dir(folder.join("bin"))?;
    Ok(symlink("../environment/bin/uv", folder.join("bin/uv"))?)
}
