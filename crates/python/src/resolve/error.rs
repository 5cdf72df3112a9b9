//! Why a resolution failed.

use std::io;
use std::path::{Path, PathBuf};

use crate::requirements::RequirementLine;
use cartwheel_transfer::redact;

/// A resolution that failed. No message has credentials in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// `uv` could not be run.
    #[error("could not run `{}`", uv.display())]
    Run {
        /// The program.
        uv: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A file could not be read or written.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// What is asked for contradicts itself, or does not exist.
    #[error("the requirements cannot be satisfied: {message}")]
    Unsatisfiable {
        /// What uv says.
        message: String,
    },
    /// An index could not be reached.
    #[error("could not reach a package index: {message}")]
    Network {
        /// What uv says, with the URL.
        message: String,
    },
    /// An index wants to know who we are, or does not let us.
    #[error("a package index refused the credentials: {message}")]
    Unauthorized {
        /// What uv says, with the URL.
        message: String,
    },
    /// uv found no Python to ask.
    #[error("uv needs some Python 3 on this machine, of whatever version: {message}")]
    NoInterpreter {
        /// What uv says.
        message: String,
    },
    /// uv has no platform that is as old as the target's C library.
    #[error("cannot resolve for {target}")]
    Target {
        /// The target.
        target: String,
    },
    /// uv failed in another way.
    #[error("uv failed: {message}")]
    Uv {
        /// What uv says.
        message: String,
    },
    /// uv answered with something else than what was asked for.
    #[error("uv left no lockfile")]
    NoAnswer,
    /// pip reported something else than what its format says.
    #[error("could not read the report of `pip install --dry-run`: {problem}")]
    Report {
        /// What is wrong with it.
        problem: String,
    },
    /// A requirement that breaks the rules for hashes.
    #[error("requirement `{requirement}`: {problem}")]
    Hash {
        /// The requirement, with where it stands.
        requirement: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A dependency that the requirements have no hash for.
    #[error(
        "hashes are checked, and `{name}=={version}`, which another package needs, is not in the requirements"
    )]
    Unlisted {
        /// The package.
        name: String,
        /// The version that was chosen.
        version: String,
    },
}

impl ResolveError {
    /// Whether the network or this machine is at fault, not the question.
    pub fn is_environment(&self) -> bool {
        matches!(
            self,
            Self::Run { .. }
                | Self::Io { .. }
                | Self::Network { .. }
                | Self::NoInterpreter { .. }
                | Self::NoAnswer
        )
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(super) fn hash(line: &RequirementLine, problem: &'static str) -> Self {
        let place = line.location.as_ref().map_or_else(String::new, |location| format!(" ({location})"));
        Self::Hash { requirement: format!("{}{place}", redact(&line.text)), problem }
    }
}
