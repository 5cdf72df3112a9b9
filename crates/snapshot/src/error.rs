//! What can go wrong between layers and directories.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use cartwheel_oci::DiffId;
use cartwheel_oci::layer::TreeError;

/// The result of an operation on snapshots.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on snapshots that failed.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
}

/// What a caller could act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A file could not be read.
    #[error(transparent)]
    Store(#[from] cartwheel_store::Error),
    /// The bytes of a layer are no layer.
    #[error("could not read the layer")]
    Read {
        /// Where they stop making sense.
        source: io::Error,
    },
    /// A layer has an entry that cannot be unpacked.
    #[error("entry `{entry}` of the layer {problem}")]
    Entry {
        /// Its path in the layer.
        entry: String,
        /// Why not.
        problem: EntryProblem,
    },
    /// A layer is not the one that was asked for.
    #[error("the layer's tar should have diff ID `{expected}`, and has `{found}`")]
    DiffId {
        /// What the config says.
        expected: DiffId,
        /// What the tar has.
        found: DiffId,
    },
    /// Something in an upper directory cannot be in a layer.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A name in an upper directory is not UTF-8.
    #[error("`{}` has a name, or leads to one, that is not UTF-8", path.display())]
    NotUtf8 {
        /// Where it lies.
        path: PathBuf,
    },
    /// An upper directory was made by an overlay with `redirect_dir=on`: it does not hold all that changed.
    #[error("`{}` is a moved directory without its content", path.display())]
    Redirect {
        /// The directory.
        path: PathBuf,
    },
}

/// Why an entry of a layer cannot be unpacked: the end of a sentence about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryProblem {
    /// Its path has a part `..`.
    #[error("has `..` in its path")]
    Dots,
    /// A directory on its path is a link to itself, by however many others.
    #[error("is below a link that leads in circles")]
    Circle,
    /// Something on its path is neither a directory nor a link.
    #[error("is below what is not a directory")]
    NotDirectory,
    /// It lies deeper than a path can be long.
    #[error("is too deep")]
    TooDeep,
    /// It is another name of a file that is not there.
    #[error("is a hard link to what is no file before it")]
    Hardlink,
    /// It is a whiteout without the name of a file.
    #[error("is a whiteout that names no file")]
    Whiteout,
    /// Its path or where it leads is not UTF-8.
    #[error("has a name, or leads to one, that is not UTF-8")]
    NotUtf8,
    /// It is no file and has content all the same: readers do not agree where the next entry begins.
    #[error("has content, and is no file")]
    Content,
    /// It is a sparse file: «Sparse files SHOULD NOT be used» (image spec, layer.md), and no builder writes them.
    #[error("is a sparse file, which is not supported")]
    Sparse,
}

impl Error {
    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| ErrorKind::Io { action, path, source: source.into() }.into()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind }
    }
}

impl From<cartwheel_store::Error> for Error {
    fn from(error: cartwheel_store::Error) -> Self {
        ErrorKind::Store(error).into()
    }
}

impl From<TreeError> for Error {
    fn from(error: TreeError) -> Self {
        ErrorKind::Tree(error).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.kind)
    }
}
