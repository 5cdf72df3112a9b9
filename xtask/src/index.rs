//! A package index on loopback: what pip, uv and cartwheel install from when the network shall have no part in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, command, files};

/// Writes the pages.
const PAGES: &str = include_str!("index.py");

/// Lays the distributions out below `folder`, which is made, and serves them for as long as this program runs; returns the URL.
pub(crate) fn serve(wheels: &[PathBuf], folder: &Path) -> Result<String> {
    command::quiet(Command::new("python3").args(["-c", PAGES]).arg(folder).args(wheels))?;
    Ok(format!("http://{}/", files::serve(folder.to_owned())?))
}

/// The distributions in a folder: wheels, and sources in `.tar.gz`.
pub(crate) fn distributions(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let paths = entries.into_iter().map(|entry| entry.path());
    let is_one = |path: &PathBuf| {
        path.extension().is_some_and(|extension| ["whl", "gz"].iter().any(|it| extension == *it))
    };
    Ok(paths.filter(is_one).collect())
}
