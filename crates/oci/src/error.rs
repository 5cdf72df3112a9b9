//! What can go wrong with images.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use cartwheel_store::Digest;

use crate::descriptor::Platform;
use crate::registry::RegistryError;

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
    /// A registry failed, or said no.
    #[error(transparent)]
    Registry(Box<RegistryError>),
    /// The network failed before a registry could be asked.
    #[error("could not ask a registry")]
    Network {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No container engine can be asked at this address.
    #[error("`{address}` is no address of a container engine: {reason}")]
    EngineAddress {
        /// What was given.
        address: String,
        /// Why not.
        reason: &'static str,
    },
    /// The container engine could not be asked, or the answer broke off.
    #[error("could not talk to the container engine at `{address}`")]
    Engine {
        /// Where it is.
        address: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The container engine said no.
    #[error("the container engine at `{address}` refused to {action}: {message}")]
    EngineRefused {
        /// Where it is.
        address: String,
        /// What it was asked for, as a verb.
        action: &'static str,
        /// Its own words.
        message: String,
    },
    /// A file of logins cannot be read. What is in it is secret, so only the place is told.
    #[error("`{}`, line {line}, column {column}, is not what `docker login` writes", path.display())]
    LoginFile {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// A program that keeps logins failed.
    #[error("credential helper `{helper}` failed")]
    CredentialHelper {
        /// The program.
        helper: String,
        /// How.
        source: io::Error,
    },
    /// The sink takes images for one platform only.
    #[error("{what} holds an image for one platform, not an image index")]
    OnePlatform {
        /// The sink.
        what: &'static str,
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
            ErrorKind::Registry(error) => error.hint().into_iter().collect(),
            ErrorKind::EngineAddress { .. } => vec![
                "DOCKER_HOST, or the context that `docker context use` chose, says where the engine is".to_owned(),
            ],
            ErrorKind::Engine { address, .. } => {
                vec![format!("is it running, and may you use it? `docker --host {address} info` asks it, too")]
            }
            ErrorKind::OnePlatform { .. } => vec!["choose one: `--platform linux/amd64`".to_owned()],
            ErrorKind::CredentialHelper { .. } => vec![
                "`credsStore` and `credHelpers` in `~/.docker/config.json` name such programs; they must be on the PATH"
                    .to_owned(),
            ],
            _ => Vec::new(),
        }
    }

    /// What a registry did, if it is that.
    pub fn registry(&self) -> Option<&RegistryError> {
        match &self.kind {
            ErrorKind::Registry(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the same may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.registry().is_some_and(RegistryError::is_retryable)
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

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        ErrorKind::Registry(Box::new(error)).into()
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
