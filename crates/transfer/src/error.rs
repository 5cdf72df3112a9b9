//! What can go wrong before the first byte, and why a file could not be had.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;

use cartwheel_store::Digest;

use crate::patience::Hitch;

/// The result of setting something up.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The network could not be set up.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
}

/// What a caller could act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file of certificates that could not be read.
    #[error("could not read certificates `{}`", path.display())]
    Certificates {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// TLS could not be set up: most likely the system has no certificates.
    #[error("could not set up the HTTP client")]
    Client {
        /// Why.
        source: reqwest::Error,
    },
    /// The threads for the network could not be started.
    #[error("could not start the network threads")]
    Runtime {
        /// What the system answered.
        source: io::Error,
    },
}

impl Error {
    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
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

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        StdError::source(&self.kind)
    }
}

/// Why a download ended without the file. Whoever asked for it knows the URL and makes it a message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The network or the server failed, and failed again.
    Unreachable {
        /// How often it was tried.
        attempts: u32,
        /// How it failed last.
        hitch: Hitch,
    },
    /// What came has another digest.
    Digest {
        /// What was promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// More came than this size, which was promised.
    Size(u64),
    /// The store could not take the bytes.
    Store(cartwheel_store::Error),
    /// Somebody else's failure stopped this download.
    Stopped,
}

impl From<cartwheel_store::Error> for Failure {
    fn from(error: cartwheel_store::Error) -> Self {
        match error.kind() {
            cartwheel_store::ErrorKind::DigestMismatch { expected, found } => {
                Self::Digest { expected: *expected, found: *found }
            }
            _ => Self::Store(error),
        }
    }
}
