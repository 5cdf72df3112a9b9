//! How a build's events are shown.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cartwheel_build::{Event, Outcome, Progress};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::args::ProgressMode;

/// Chooses how to show progress: once, before the build.
pub(crate) fn progress(mode: ProgressMode) -> Box<dyn Progress> {
    match mode {
        ProgressMode::Quiet => Box::new(Quiet),
        ProgressMode::Json => Box::new(JsonLines),
        ProgressMode::Auto if std::io::stderr().is_terminal() => Box::new(Terminal::new()),
        ProgressMode::Auto | ProgressMode::Plain => Box::new(Lines { tenth: Mutex::new(0) }),
    }
}

/// Warnings only: they can be acted on, so they are never left out.
struct Quiet;

impl Progress for Quiet {
    fn event(&self, event: &Event) {
        if let Event::Warning(text) = event {
            eprintln!("warning: {text}");
        }
    }
}

/// One line for each step: for logs.
struct Lines {
    /// The tenth of the download that was told last.
    tenth: Mutex<u64>,
}

impl Progress for Lines {
    fn event(&self, event: &Event) {
        match event {
            Event::Downloaded { bytes, total } => {
                let now = if *total == 0 { 0 } else { bytes * 10 / total };
                let mut told = self.tenth.lock().unwrap_or_else(PoisonError::into_inner);
                if now > *told {
                    *told = now;
                    eprintln!("download {} of {}", HumanBytes(*bytes), HumanBytes(*total));
                }
            }
            other => {
                if let Some(line) = line(other) {
                    eprintln!("{line}");
                }
            }
        }
    }
}

/// A bar while bytes arrive, above it a line for each step.
struct Terminal {
    bar: ProgressBar,
}

impl Terminal {
    fn new() -> Self {
        let bar = ProgressBar::no_length();
        let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes} {bytes_per_sec} {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }
}

impl Progress for Terminal {
    fn event(&self, event: &Event) {
        match event {
            Event::Downloaded { bytes, total } => {
                self.bar.set_length(*total);
                self.bar.set_position(*bytes);
                if bytes >= total {
                    self.bar.finish_and_clear();
                }
            }
            other => {
                if let Some(line) = line(other) {
                    self.bar.suspend(|| eprintln!("{line}"));
                }
            }
        }
    }
}

/// One JSON object for each event: for programs.
struct JsonLines;

impl Progress for JsonLines {
    fn event(&self, event: &Event) {
        let object = match event {
            Event::Finished { step, name, outcome, took } => {
                let (cached, detail) = match outcome {
                    Outcome::Cached => (true, ""),
                    Outcome::Done(detail) => (false, detail.as_str()),
                };
                let seconds = took.as_secs_f64();
                json!({ "event": "finished", "step": step, "name": name, "cached": cached, "detail": detail, "seconds": seconds })
            }
            Event::Downloaded { bytes, total } => {
                json!({ "event": "downloaded", "bytes": bytes, "total": total })
            }
            Event::Started { name, reason } => json!({ "event": "started", "name": name, "reason": reason }),
            Event::Assisted { name, how } => json!({ "event": "assisted", "name": name, "how": how }),
            Event::Output { name, line } => json!({ "event": "output", "name": name, "line": line }),
            Event::Warning(text) => json!({ "event": "warning", "message": text }),
        };
        eprintln!("{object}");
    }
}

fn line(event: &Event) -> Option<String> {
    match event {
        Event::Finished { step, name, outcome: Outcome::Cached, .. } => {
            Some(format!("#{step} {name}  CACHED"))
        }
        Event::Finished { step, name, outcome: Outcome::Done(detail), took } => {
            Some(format!("#{step} {name}  {detail}, {}", seconds(*took)))
        }
        Event::Started { name, reason } => Some(format!("{name}  is run: {reason}")),
        Event::Assisted { name, how } => Some(format!("{name}  {how}")),
        Event::Output { line, .. } => Some(format!("  | {line}")),
        Event::Warning(text) => Some(format!("warning: {text}")),
        Event::Downloaded { .. } => None,
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.2}s", took.as_secs_f64())
}
