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
    /// A command is about to be run.
    Started {
        /// What it is.
        name: String,
        /// Why it has to be run.
        reason: String,
    },
    /// Part of a step is done by a program of the image: pip says what it would install, or builds a wheel.
    Assisted {
        /// The step.
        name: String,
        /// By what, and why.
        how: String,
    },
    /// A command wrote a line.
    Output {
        /// Which command.
        name: String,
        /// The line, without its end.
        line: String,
    },
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

    pub(crate) fn started(&self, name: &str, reason: &str) {
        self.event(&Event::Started { name: name.to_owned(), reason: reason.to_owned() });
    }

    pub(crate) fn assisted(&self, name: &str, how: String) {
        self.event(&Event::Assisted { name: name.to_owned(), how });
    }

    /// Takes what a command writes.
    pub(crate) fn lines<'s>(&'s self, name: &'s str) -> Lines<'s> {
        Lines { steps: self, name, rest: Vec::new() }
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

/// Cuts what a command writes into lines.
pub(crate) struct Lines<'s> {
    steps: &'s Steps<'s>,
    name: &'s str,
    /// The begin of a line whose end has not come.
    rest: Vec<u8>,
}

/// A line that goes on for longer is told in pieces.
const LONGEST: usize = 64 << 10;

impl Lines<'_> {
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.rest.extend(bytes.get(..end).unwrap_or_default());
            bytes = bytes.get(end + 1..).unwrap_or_default();
            self.tell();
        }
        self.rest.extend(bytes);
        if self.rest.len() > LONGEST {
            self.tell();
        }
    }

    /// Tells what is left.
    pub(crate) fn end(mut self) {
        if !self.rest.is_empty() {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let text = String::from_utf8_lossy(&self.rest);
        // Programs that draw bars go back to the begin of the line: the last state is what a terminal would show.
        let shown = text.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
        self.steps.event(&Event::Output { name: self.name.to_owned(), line: shown.to_owned() });
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Told(Mutex<Vec<String>>);

    impl Progress for Told {
        fn event(&self, event: &Event) {
            if let Event::Output { line, .. } = event {
                self.0.lock().unwrap().push(line.clone());
            }
        }
    }

    #[test]
    fn output_is_told_line_by_line_however_it_comes() {
        let told = Told(Mutex::default());
        let steps = Steps::new(&told);
        let mut lines = steps.lines("RUN x");
        for piece in ["on", "e\ntwo\r\n", "10%\r100%\nwithout an end"] {
            lines.push(piece.as_bytes());
        }
        lines.end();
        assert_eq!(*told.0.lock().unwrap(), ["one", "two", "100%", "without an end"]);
    }
}
