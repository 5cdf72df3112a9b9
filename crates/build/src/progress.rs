//! What a build tells while it runs: events as data, shown by somebody else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::error::Result;

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

/// Counts the steps of one build and tells of them.
pub(crate) struct Steps<'a> {
    progress: &'a dyn Progress,
    ended: AtomicUsize,
    made: AtomicUsize,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, ended: AtomicUsize::new(0), made: AtomicUsize::new(0) }
    }

    pub(crate) fn event(&self, event: &Event) {
        self.progress.event(event);
    }

    pub(crate) fn warn(&self, warning: String) {
        self.event(&Event::Warning(warning));
    }

    /// Counts a layer that was made and not found.
    pub(crate) fn made(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    /// How many layers were made so far.
    pub(crate) fn layers_made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    pub(crate) fn finished(&self, name: &str, outcome: Outcome, took: Duration) {
        let step = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
        self.event(&Event::Finished { step, name: name.to_owned(), outcome, took });
    }

    /// Does a step and tells how it ended.
    pub(crate) fn timed<T>(&self, name: &str, work: impl FnOnce() -> Result<(T, Outcome)>) -> Result<T> {
        let started = Instant::now();
        let (value, outcome) = work()?;
        self.finished(name, outcome, started.elapsed());
        Ok(value)
    }
}
