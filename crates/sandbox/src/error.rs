//! What can keep a process from running in a sandbox.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a sandbox operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A sandbox that could not be made, or whose process could not be started or followed.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
}

/// What a caller could act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused a part of the sandbox: a mount, a namespace, a file.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb: `mount`, `create`, `enter`.
        action: Cow<'static, str>,
        /// On what: a path, or the name of what has no path.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The sandbox was ready, but its program could not be executed.
    ///
    /// Its source is of the kind `NotFound` where the program (or the interpreter that its first line names) is not
    /// there: to a shell that is exit code 127, and everything else is 126.
    #[error("could not start `{program}`")]
    Program {
        /// The first of the arguments.
        program: String,
        /// What the system answered.
        source: io::Error,
    },
    /// An unknown name of a resource that has a limit.
    #[error("`{name}` is not a resource that can be limited")]
    Resource {
        /// The name.
        name: String,
    },
    /// An unknown name of a capability.
    #[error("`{name}` is not a capability")]
    Capability {
        /// The name.
        name: String,
    },
    /// A capability that a process cannot use here.
    #[error("capability `{name}` needs system calls that a sandbox does not allow")]
    FilteredCapability {
        /// Its name.
        name: String,
    },
    /// This program may not be root even in a user namespace of its own: a setting of the machine forbids it.
    #[error("could not enter a user namespace")]
    UserNamespace {
        /// What the system answered.
        source: io::Error,
    },
    /// The run was cancelled, and its processes were ended.
    #[error("the run was cancelled")]
    Cancelled,
    /// The process that holds the sandbox went away without a word: something killed it.
    #[error("the sandbox was killed")]
    Killed,
}

impl Error {
    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    pub(crate) fn into_kind(self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        move |source| {
            let (action, path) = (action.into(), path.as_ref().to_owned());
            ErrorKind::Io { action, path, source: source.into() }.into()
        }
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
