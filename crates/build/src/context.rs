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
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cartwheel_dockerfile::{IgnoreFile, MatchState};
use cartwheel_store::{Digest, Hasher};

use crate::error::{Error, ErrorKind, Result};

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
        let mut walk = Walk { root, ignore: &ignore, files: Vec::new() };
        walk.folder("", &ignore.root())?;
        let mut files = walk.files;
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

struct Walk<'a> {
    root: &'a Path,
    ignore: &'a IgnoreFile,
    files: Vec<ContextFile>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &str, state: &MatchState) -> Result<()> {
        let path = self.root.join(folder);
        for entry in fs::read_dir(&path).map_err(Error::io("list", &path))? {
            let entry = entry.map_err(Error::io("list", &path))?;
            let name =
                entry.file_name().into_string().map_err(|_| ErrorKind::NotUnicode { path: entry.path() })?;
            let child = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let kind = entry.file_type().map_err(Error::io("read", &entry.path()))?;
            if kind.is_dir() {
                self.subfolder(child, state)?;
            } else if !self.ignore.excludes(&child, state) {
                let kind = describe(&entry.path(), kind)?;
                self.files.push(ContextFile { path: child, kind });
            }
        }
        Ok(())
    }

    fn subfolder(&mut self, child: String, parent: &MatchState) -> Result<()> {
        let state = self.ignore.enter(&child, parent);
        let listed = self.files.len();
        if !state.is_excluded() || self.ignore.may_descend(&child, &state) {
            self.folder(&child, &state)?;
        }
        // An excluded directory is there only for what was taken back below it.
        if !state.is_excluded() || self.files.len() > listed {
            self.files.push(ContextFile { path: child, kind: ContextKind::Directory });
        }
        Ok(())
    }
}

fn describe(path: &Path, kind: fs::FileType) -> Result<ContextKind> {
    if kind.is_symlink() {
        let target = fs::read_link(path).map_err(Error::io("read", path))?;
        let target = target.into_os_string().into_string();
        return Ok(ContextKind::Symlink(
            target.map_err(|_| ErrorKind::NotUnicode { path: path.to_owned() })?,
        ));
    }
    if !kind.is_file() {
        return Err(ErrorKind::SpecialFile { path: path.to_owned() }.into());
    }
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let metadata = file.metadata().map_err(Error::io("read", path))?;
    let digest = Digest::of_reader(&file).map_err(Error::io("read", path))?;
    // As many bytes as were hashed, if the file has grown since.
    let size = file.stream_position().map_err(Error::io("read", path))?;
    let executable = metadata.permissions().mode() & 0o100 != 0;
    Ok(ContextKind::File { size, executable, digest })
}

#[cfg(test)]
mod tests {
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
    fn a_context_that_is_not_there_is_named() {
        let error = BuildContext::read(Path::new("/nonexistent/context")).unwrap_err();
        assert_eq!(error.to_string(), "could not read the build context `/nonexistent/context`");
    }
}
