//! What can go wrong with images.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use cartwheel_store::Digest;

use crate::descriptor::Platform;

/// The result of an operation on images.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on an image that failed.
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
    /// The store failed.
    #[error(transparent)]
    Store(#[from] cartwheel_store::Error),
    /// A manifest, index or config is not what the image spec says.
    #[error("the {what} is not valid")]
    Document {
        /// Which document.
        what: &'static str,
        /// Where it is wrong.
        source: Box<serde_json::Error>,
    },
    /// A document could be read as a manifest and as an index.
    #[error("the {what} has a field `{field}`, which only another kind of document has")]
    Ambiguous {
        /// What it was read as.
        what: &'static str,
        /// The field of the other kind.
        field: String,
    },
    /// A reference does not follow the grammar.
    #[error("`{text}` is not an image reference: {reason}")]
    Reference {
        /// What was given.
        text: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// Nothing at this place can be read as an image.
    #[error("`{}` is not an OCI image layout: {reason}", path.display())]
    NotLayout {
        /// The directory or archive.
        path: PathBuf,
        /// What is missing.
        reason: &'static str,
    },
    /// The source has no image of this name.
    #[error("`{}` has no image `{name}`", path.display())]
    NoSuchImage {
        /// The source.
        path: PathBuf,
        /// The name that was asked for.
        name: String,
        /// The names that are there.
        found: Vec<String>,
    },
    /// The source has several images and none was named.
    #[error("`{}` has several images and none was chosen", path.display())]
    ChooseImage {
        /// The source.
        path: PathBuf,
        /// The names that are there.
        found: Vec<String>,
    },
    /// The image is not there for this platform.
    #[error("no image for platform `{wanted}`")]
    NoSuchPlatform {
        /// What was asked for.
        wanted: Platform,
        /// What is there.
        found: Vec<Platform>,
    },
    /// A blob is not there.
    #[error("blob `{digest}` is missing in `{}`", path.display())]
    MissingBlob {
        /// Its digest.
        digest: Digest,
        /// The source.
        path: PathBuf,
    },
    /// An image breaks a rule of the image spec.
    #[error("the image is not valid: {reason}")]
    Invalid {
        /// Which rule.
        reason: String,
    },
}

impl Error {
    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// What the user could try.
    pub fn hints(&self) -> Vec<String> {
        match &self.kind {
            ErrorKind::NoSuchImage { found, .. } | ErrorKind::ChooseImage { found, .. }
                if !found.is_empty() =>
            {
                vec![format!("the images there are: {}", found.join(", "))]
            }
            ErrorKind::NoSuchPlatform { found, .. } => {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                vec![format!("the image is there for: {}", found.join(", "))]
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| ErrorKind::Io { action, path, source }.into()
    }

    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        ErrorKind::Invalid { reason: reason.into() }.into()
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
