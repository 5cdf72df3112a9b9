//! What a rule is, and the table of all of them.

use crate::lint::rules;

/// A rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as `skip=` has it.
    pub name: &'static str,
    /// How much a finding weighs.
    pub severity: Severity,
    /// What it asks for, in one sentence. Those of BuildKit are in BuildKit's words.
    pub summary: &'static str,
    /// Why.
    pub why: &'static str,
    /// A Dockerfile in which it finds something.
    pub bad: Example,
    /// The same with nothing to find.
    pub good: Example,
}

/// How much a finding of a rule weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// BuildKit warns of it: the check fails.
    Warning,
    /// BuildKit warns of it if it is asked to.
    Experimental,
    /// It costs time or space. The check does not fail unless it is asked to.
    Advice,
}

/// A Dockerfile with the files of its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// The Dockerfile.
    pub dockerfile: &'static str,
    /// Paths and contents of the files beside it.
    pub files: &'static [(&'static str, &'static str)],
}

impl Example {
    /// A Dockerfile that needs no files.
    pub(super) const fn of(dockerfile: &'static str) -> Self {
        Self { dockerfile, files: &[] }
    }

    /// A Dockerfile with files.
    pub(super) const fn with(
        dockerfile: &'static str,
        files: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { dockerfile, files }
    }
}

/// All rules by name, those of BuildKit first.
pub fn lint_rules() -> &'static [&'static Rule] {
    rules::ALL
}
