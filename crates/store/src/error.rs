//! What can go wrong on the disk.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::Digest;

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A store operation that failed, with the path it failed on.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
}

/// What a caller could act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused: a full disk, missing permissions, a missing parent.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb: `read`, `write`, `create`.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Bytes that should have had one digest have another.
    #[error("expected `{expected}`, found `{found}`")]
    DigestMismatch {
        /// What the lockfile, manifest or record said.
        expected: Digest,
        /// What the bytes say.
        found: Digest,
    },
    /// A blob that something refers to is not in the store.
    #[error("blob `{digest}` is not in the store")]
    MissingBlob {
        /// Its digest.
        digest: Digest,
    },
}

impl Error {
    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| ErrorKind::Io { action, path, source }.into()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind }
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
