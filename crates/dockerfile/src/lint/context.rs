//! What a check knows of the build context.

use std::collections::BTreeMap;

use crate::ignore::IgnoreFile;

/// The build context, as far as rules ask for it.
#[derive(Debug, Clone, Default)]
pub struct LintContext {
    /// The ignore file that counts.
    pub ignore: Option<IgnoreFile>,
    /// All files, ignored or not.
    pub files: Vec<ContextFile>,
    /// The texts of those that say what is installed, by path.
    pub texts: BTreeMap<String, String>,
}

/// A file of the build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFile {
    /// Its path in the context, with `/`.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}
