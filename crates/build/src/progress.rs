//! What a build tells while it runs: events as data, shown by somebody else.

use std::time::Duration;

/// Takes the events of a build. The terminal, plain lines and JSON lines are three ways to show them.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: &Event);
}

/// Something that happened in a build. Steps are numbered from 1 in the order in which they end.
#[derive(Debug, Clone)]
pub enum Event {
    /// A step is done.
    Finished {
        /// Its number.
        step: usize,
        /// What it does.
        name: String,
        /// How it ended.
        outcome: Outcome,
        /// How long it took.
        took: Duration,
    },
    /// Bytes of distributions arrived.
    Downloaded {
        /// So far, in this build.
        bytes: u64,
        /// In all, as far as known.
        total: u64,
    },
    /// Something that the user should know and can act on.
    Warning(String),
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing had to be done.
    Cached,
    /// It was done; what came of it.
    Done(String),
}

/// Shows nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: &Event) {}
}
