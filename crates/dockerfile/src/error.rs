//! What can be wrong with what the user wrote.

use std::fmt;

/// The result of reading a text.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A text that could not be understood, with the place where.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
}

/// What a user could mend.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A line of an ignore file is no pattern.
    #[error("ignore pattern `{pattern}` at {line}:{column} {problem}")]
    IgnorePattern {
        /// The pattern as written, without the space around it.
        pattern: String,
        /// Its line, from 1.
        line: usize,
        /// The column of its first character, from 1.
        column: usize,
        /// What is wrong, as the end of a sentence about the pattern.
        problem: &'static str,
    },
    /// A word of a Dockerfile cannot be expanded.
    #[error("cannot expand `{word}`: {problem}")]
    Expansion {
        /// The word as written.
        word: String,
        /// What is wrong.
        problem: String,
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

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.kind)
    }
}
