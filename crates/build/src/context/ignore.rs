//! Which ignore file a context has.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cartwheel_dockerfile::IgnoreFile;

use crate::error::{Error, ErrorKind, Result};

/// Reads the ignore file of the context at `root` for this Dockerfile: `<Dockerfile>.dockerignore` beside the Dockerfile,
/// else `.dockerignore` in the root, else nothing is ignored. Says which one it was.
pub fn read_ignore(root: &Path, dockerfile: Option<&Path>) -> Result<(IgnoreFile, Option<PathBuf>)> {
    let beside = dockerfile.map(|path| {
        let mut name = OsString::from(path);
        name.push(".dockerignore");
        PathBuf::from(name)
    });
    for path in beside.into_iter().chain([root.join(".dockerignore")]) {
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        return match IgnoreFile::parse(&text) {
            Ok(ignore) => Ok((ignore, Some(path))),
            Err(source) => Err(ErrorKind::IgnoreFile { path, source }.into()),
        };
    }
    Ok((IgnoreFile::default(), None))
}
