//! A Dockerfile as a value.

use crate::diagnostic::Diagnostic;

/// A Dockerfile as it was understood.
#[derive(Debug, Clone, Default)]
pub struct Dockerfile {}

impl Dockerfile {
    /// Reads a Dockerfile. What cannot be read is left out and said; the rest is there all the same.
    pub fn parse(_text: &str) -> (Self, Vec<Diagnostic>) {
        (Self::default(), Vec::new())
    }
}
