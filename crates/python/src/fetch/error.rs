//! Why a wheel could not be had.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use cartwheel_store::Digest;
use cartwheel_transfer::Failure;

/// A wheel that could not be fetched. URLs are without credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A URL that is none, or that is not of HTTP.
    #[error("`{url}` is not a URL that wheels can be fetched from")]
    Url {
        /// The URL.
        url: String,
    },
    /// The server says no.
    #[error("GET `{url}` was answered with status {status}")]
    Status {
        /// The URL.
        url: String,
        /// The status.
        status: u16,
    },
    /// The server wants to know who we are, or does not let us.
    #[error("GET `{url}` was answered with status {status}: credentials are missing or wrong")]
    Unauthorized {
        /// The URL.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// The network or the server failed, and failed again.
    #[error("GET `{url}` failed {attempts} times")]
    Unreachable {
        /// The URL.
        url: String,
        /// How often it was tried.
        attempts: u32,
        /// How it failed last.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A server that sends us round in circles.
    #[error("GET `{url}` was redirected too often")]
    Redirects {
        /// The URL where it began.
        url: String,
    },
    /// What came is not what the lockfile promises.
    #[error("`{place}` is not what the lockfile promises: expected `{expected}`, found `{found}`")]
    Digest {
        /// The URL or the path.
        place: String,
        /// What the lockfile says.
        expected: Digest,
        /// What the bytes say.
        found: Digest,
    },
    /// More came than the lockfile promises.
    #[error("`{url}` is larger than the {size} bytes that the lockfile promises")]
    Size {
        /// The URL.
        url: String,
        /// What the lockfile says.
        size: u64,
    },
    /// A wheel on this machine that could not be copied.
    #[error("could not copy wheel `{}`", path.display())]
    Local {
        /// Which.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The store could not take the bytes.
    #[error("could not store a wheel")]
    Store {
        /// What the store said.
        source: cartwheel_store::Error,
    },
    /// The network could not be set up.
    #[error(transparent)]
    Setup(#[from] cartwheel_transfer::Error),
    /// Another download failed, so this one stopped.
    #[error("stopped")]
    Stopped,
}

impl FetchError {
    pub(super) fn store(source: cartwheel_store::Error) -> Self {
        Self::Store { source }
    }

    /// A download from `url` that failed.
    pub(super) fn failed(failure: Failure, url: String) -> Self {
        match failure {
            Failure::Unreachable { attempts, hitch } => {
                Self::Unreachable { url, attempts, source: Box::new(hitch) }
            }
            Failure::Digest { expected, found } => Self::Digest { place: url, expected, found },
            Failure::Size(size) => Self::Size { url, size },
            Failure::Store(source) => Self::Store { source },
            _ => Self::Stopped,
        }
    }

    /// A commit that failed: by the digest, or by the disk.
    pub(super) fn committing(
        error: cartwheel_store::Error,
        wrong: impl FnOnce(Digest, Digest) -> Self,
    ) -> Self {
        match error.kind() {
            cartwheel_store::ErrorKind::DigestMismatch { expected, found } => wrong(*expected, *found),
            _ => Self::store(error),
        }
    }
}
