//! A plan: what a build would do, step by step, and why.

use std::fmt;

/// What a build would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In order, the stages one after the other.
    pub(crate) steps: Vec<PlannedStep>,
}

/// One entry of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedStep {
    /// Where the Dockerfile says it, from 1.
    pub(crate) line: Option<usize>,
    /// What it is.
    pub(crate) text: String,
    /// What became of it.
    pub(crate) state: StepState,
    /// More about it, a line each.
    pub(crate) details: Vec<String>,
}

/// What became of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepState {
    /// It is what a stage begins with.
    Base,
    /// Its layers are there.
    Cached,
    /// Wheels become layers.
    Spliced,
    /// Files become a layer.
    Copied,
    /// The config changes, no file does.
    Config,
    /// It has to be run.
    Sandbox,
}

impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Base => "base",
            Self::Cached => "cached",
            Self::Spliced => "spliced",
            Self::Copied => "copied",
            Self::Config => "config",
            Self::Sandbox => "sandbox",
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let line = step.line.map(|line| line.to_string()).unwrap_or_default();
            writeln!(f, "{line:>4} {:<8} {}", step.state, step.text)?;
            step.details.iter().try_for_each(|detail| writeln!(f, "              {detail}"))?;
        }
        Ok(())
    }
}
