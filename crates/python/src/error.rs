//! What can go wrong with a distribution.

use std::fmt;

use crate::fetch::FetchError;
use crate::pylock::LockfileError;
use crate::requirements::RequirementsError;
use crate::resolve::ResolveError;
use crate::wheel::Defect;

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on distributions that failed, with the file, package or URL it failed on.
#[derive(Debug)]
pub struct Error {
    kind: Box<ErrorKind>,
}

/// What a caller could act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A wheel, or one entry of it, is not what a wheel must be.
    #[error("wheel `{wheel}`{} {defect}", EntryOf(entry.as_deref()))]
    Wheel {
        /// Its file name.
        wheel: String,
        /// The entry that is at fault, if it is one.
        entry: Option<String>,
        /// What is wrong; its text completes a sentence about the wheel or the entry.
        defect: Defect,
    },
    /// The bytes of a wheel could not be read from the disk.
    #[error("could not read wheel `{wheel}`")]
    Read {
        /// Its file name.
        wheel: String,
        /// What the store said.
        source: cartwheel_store::Error,
    },
    /// A file name is not that of a wheel (PEP 427).
    #[error("`{filename}` is not the file name of a wheel: {problem}")]
    WheelFilename {
        /// The name as given.
        filename: String,
        /// Which part is wrong.
        problem: &'static str,
    },
    /// A text is not the name of a package (PEP 508).
    #[error("`{name}` is not a package name")]
    PackageName {
        /// The text as given.
        name: String,
    },
    /// Requirements that cannot be read.
    #[error(transparent)]
    Requirements(#[from] RequirementsError),
    /// A lockfile that cannot be used.
    #[error(transparent)]
    Lockfile(#[from] LockfileError),
    /// A resolution that failed.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A wheel that could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A text is not a Python version of the form `3.13`.
    #[error("`{text}` is not a Python version such as `3.13`")]
    PythonVersion {
        /// The text as given.
        text: String,
    },
}

/// Names the entry in the middle of a message.
struct EntryOf<'a>(Option<&'a str>);

impl fmt::Display for EntryOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(entry) => write!(f, ": entry `{}`", entry.escape_debug()),
            None => Ok(()),
        }
    }
}

impl Error {
    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// What happened, to keep.
    pub fn into_kind(self) -> ErrorKind {
        *self.kind
    }

    /// Whether the failure is that something has to be built.
    pub fn needs_build(&self) -> bool {
        let kinds = |error: &LockfileError| {
            matches!(error, LockfileError::NeedsBuild { .. } | LockfileError::NoWheel { .. })
        };
        matches!(&*self.kind, ErrorKind::Lockfile(error) if kinds(error))
    }

    /// What is wrong with the wheel, if it is a wheel that was refused.
    pub fn defect(&self) -> Option<&Defect> {
        match &*self.kind {
            ErrorKind::Wheel { defect, .. } => Some(defect),
            _ => None,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind: Box::new(kind) }
    }
}

/// Each part of the crate has its own kinds; an error of any of them is an [`Error`].
macro_rules! from_kinds {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Error {
            fn from(kind: $kind) -> Self {
                ErrorKind::from(kind).into()
            }
        }
    )*};
}

from_kinds!(RequirementsError, LockfileError, ResolveError, FetchError);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.kind)
    }
}
