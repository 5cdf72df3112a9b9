//! What can be wrong with Compose files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The result of reading Compose files.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Something wrong with Compose files, with the place where it is said if there is one.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    place: Option<Place>,
}

/// What a caller could act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file that should be there could not be read.
    #[error("could not read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// No file was named, and there is none where one is looked for.
    #[error("there is no Compose file in `{}` or the directories above", directory.display())]
    NoFile {
        /// Where looking for it began.
        directory: PathBuf,
    },
    /// The text is not YAML, or not a `.env` file.
    #[error("{0}")]
    Syntax(String),
    /// A variable that has to be set is not.
    #[error("variable `{name}` has to be set{}{message}", if message.is_empty() { "" } else { ": " })]
    MissingVariable {
        /// The variable.
        name: String,
        /// What the file says about it.
        message: String,
    },
    /// The content is not what the Compose specification allows.
    #[error("{0}")]
    Invalid(String),
    /// A project cannot have this name.
    #[error(
        "`{0}` is no name for a project: lowercase letters, digits, `-` and `_` make one, and it begins with a letter or digit"
    )]
    ProjectName(String),
    /// There is no service of this name.
    #[error("there is no service `{0}`")]
    NoService(String),
}

impl Error {
    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// What may help.
    pub fn hints(&self) -> Vec<String> {
        let hint = match &self.kind {
            ErrorKind::NoFile { .. } => "name a file with `-f`, or go to the directory of one",
            ErrorKind::MissingVariable { .. } => {
                "set it in the environment, or in a file `.env` beside the Compose file"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }

    pub(crate) fn invalid(place: &Place, message: impl Into<String>) -> Self {
        ErrorKind::Invalid(message.into()).at(place)
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| ErrorKind::Io { path, source }.into()
    }
}

impl ErrorKind {
    pub(crate) fn at(self, place: &Place) -> Error {
        Error { kind: self, place: Some(place.clone()) }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, place: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.kind)
    }
}

/// Where in a file something is said: `compose.yaml:3:5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, by the path that it was read from.
    pub file: Arc<Path>,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The file as a whole.
    pub(crate) fn whole(file: &Path) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => self.file.display().fmt(f),
            line => write!(f, "{}:{line}:{}", self.file.display(), self.column),
        }
    }
}
