//! The build context: the directory of files that a build may copy.
//!
//! [`BuildContext`] is that of a bare project: everything in it is copied, so everything is read. [`ContextTree`] is that of a
//! Dockerfile: listed as a whole, read as far as instructions ask, and remembered from build to build; tars are such trees
//! too, whether they are the context or something to ADD.

mod archive;
mod digests;
mod git;
mod ignore;
mod input;
mod tree;
mod walk;

use std::fs::{self, File};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use cartwheel_dockerfile::IgnoreFile;
use cartwheel_oci::NodeKind;
use cartwheel_store::{Digest, Hasher};
use rayon::prelude::*;

use crate::error::{Error, ErrorKind, Result};
use tree::Found;
use walk::Walk;

pub use git::GitSource;
pub use ignore::read_ignore;
pub use input::StandardInput;
pub use tree::ContextTree;

/// What is never copied in project mode, whatever `.dockerignore` says: what tools leave beside the sources and what would
/// only make layers differ. A `.dockerignore` of the user's is read after it, so `!` can take anything back.
const DEFAULT_IGNORE: &str = "\
.git
**/.git
**/__pycache__
**/*.pyc
**/.venv
**/venv
**/.mypy_cache
**/.pytest_cache
**/.ruff_cache
**/.tox
**/.DS_Store
.dockerignore
.env
";

/// A file of the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContextFile {
    /// Relative to the context's root, with `/`.
    pub(crate) path: String,
    /// What it is.
    pub(crate) kind: ContextKind,
}

/// What a file of the context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ContextKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// Whether its owner may execute it.
        executable: bool,
        /// The digest of its content.
        digest: Digest,
    },
    /// A symbolic link and its target.
    Symlink(String),
}

/// The directory of files sent to a build, behind its `.dockerignore`.
#[derive(Debug)]
pub struct BuildContext {
    root: PathBuf,
    files: Vec<ContextFile>,
}

impl BuildContext {
    /// Lists the context and hashes its files; sorted by path.
    pub fn read(root: &Path) -> Result<Self> {
        let metadata = fs::metadata(root).map_err(Error::io("read the build context", root))?;
        if !metadata.is_dir() {
            return Err(ErrorKind::ContextNotDirectory { path: root.to_owned() }.into());
        }
        let ignore = read_ignore_file(root)?;
        let found = Walk { root, ignore: &ignore }.run()?;
        let files: Result<_> = found.into_par_iter().map(|found| described(root, found)).collect();
        let mut files: Vec<ContextFile> = files?;
        files.sort_by(|one, two| one.path.cmp(&two.path));
        Ok(Self { root: root.to_owned(), files })
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What is in it, sorted by path.
    pub(crate) fn files(&self) -> &[ContextFile] {
        &self.files
    }

    /// The content's digest: paths, kinds, modes and contents; never times or the root's own path.
    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        for file in &self.files {
            let (kind, detail) = match &file.kind {
                ContextKind::Directory => ("d", String::new()),
                ContextKind::File { executable: true, digest, .. } => ("x", digest.to_string()),
                ContextKind::File { digest, .. } => ("f", digest.to_string()),
                ContextKind::Symlink(target) => ("l", target.clone()),
            };
            for field in [&file.path, kind, &detail] {
                hasher.update(&(field.len() as u64).to_le_bytes());
                hasher.update(field.as_bytes());
            }
        }
        hasher.finish()
    }
}

/// `.dockerignore` in the root, after the defaults.
fn read_ignore_file(root: &Path) -> Result<IgnoreFile> {
    let path = root.join(".dockerignore");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    // Parsed alone first, so that an error names the user's own line.
    IgnoreFile::parse(&text).map_err(|source| ErrorKind::IgnoreFile { path, source })?;
    let both = format!("{DEFAULT_IGNORE}{}", text.trim_start_matches('\u{feff}'));
    IgnoreFile::parse(&both)
        .map_err(|source| ErrorKind::IgnoreFile { path: root.join(".dockerignore"), source }.into())
}

/// What a project's image needs to know of a file that was listed.
fn described(root: &Path, found: Found) -> Result<ContextFile> {
    let Found { path, node, stamp, .. } = found;
    let kind = match node.kind {
        NodeKind::Directory => ContextKind::Directory,
        NodeKind::Symlink(target) => ContextKind::Symlink(target),
        NodeKind::File(_) if stamp.is_some() => read(&root.join(&path), node.permissions.mode & 0o100 != 0)?,
        _ => return Err(ErrorKind::SpecialFile { path: root.join(path) }.into()),
    };
    Ok(ContextFile { path, kind })
}

fn read(path: &Path, executable: bool) -> Result<ContextKind> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let digest = Digest::of_reader(&file).map_err(Error::io("read", path))?;
    // As many bytes as were hashed, if the file has grown since.
    let size = file.stream_position().map_err(Error::io("read", path))?;
    Ok(ContextKind::File { size, executable, digest })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    fn paths(context: &BuildContext) -> Vec<&str> {
        context.files().iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn ignored_files_are_not_listed() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("app/main.py", "x"),
            ("app/__pycache__/main.pyc", "x"),
            ("data/big.bin", "x"),
            ("data/keep.txt", "x"),
            (".env", "SECRET=1"),
            (".dockerignore", "data\n!data/keep.txt\n"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let context = BuildContext::read(folder.path()).unwrap();
        assert_eq!(paths(&context), ["app", "app/main.py", "data", "data/keep.txt"]);
    }

    #[test]
    fn the_digest_is_of_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let digest = || BuildContext::read(folder.path()).unwrap().digest();
        let path = folder.path().join("a.py");
        fs::write(&path, "1").unwrap();
        let first = digest();
        fs::write(&path, "2").unwrap();
        assert_ne!(digest(), first);
        fs::write(&path, "1").unwrap();
        assert_eq!(digest(), first);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(digest(), first);
    }

    #[test]
    fn what_is_no_file_is_refused_unless_it_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let _socket = UnixListener::bind(at("socket")).unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        for (ignored, refused) in [("socket", "pipe"), ("pipe", "socket")] {
            fs::write(at(".dockerignore"), ignored).unwrap();
            let error = BuildContext::read(folder.path()).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::SpecialFile { path } if *path == at(refused)),
                "{error}"
            );
        }
        fs::write(at(".dockerignore"), "socket\npipe").unwrap();
        assert_eq!(BuildContext::read(folder.path()).unwrap().files(), []);
    }

    #[test]
    fn a_context_that_is_not_there_is_named() {
        let error = BuildContext::read(Path::new("/nonexistent/context")).unwrap_err();
        assert_eq!(error.to_string(), "could not read the build context `/nonexistent/context`");
    }
}
