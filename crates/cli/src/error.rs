//! Failures as the user meets them: a message, its causes, hints, and an exit code.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | what was asked for cannot be done: the message says what to change |
//! | 2 | the command line is wrong |
//! | 3 | the network, the disk or another part of this machine failed: trying again may help |
//! | 125–127 | `cartwheel run`, as `docker run`: cartwheel failed, the command cannot be started, or is not there |
//! | 101 | cartwheel itself is wrong: please report it |

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: Box<dyn Error>,
    hints: Vec<String>,
}

/// What the user asked for cannot be done.
const USER: u8 = 1;
/// This machine or its network failed.
const ENVIRONMENT: u8 = 3;

impl Failure {
    /// A failure of the user's with a message of its own.
    pub(crate) fn user(message: String) -> Self {
        Self { code: USER, error: message.into(), hints: Vec::new() }
    }

    /// The same failure with advice.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        self.hints.push(hint.to_owned());
        self
    }

    /// The same failure with another exit code, where a command has codes of its own.
    pub(crate) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// The same failure as the cause of another one.
    pub(crate) fn within(self, message: String) -> Self {
        Self { error: Box::new(Outer { message, source: self.error }), ..self }
    }

    /// A file that could not be read or written.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self {
            code: ENVIRONMENT,
            error: Box::new(IoFailure { action, path, source }),
            hints: Vec::new(),
        }
    }

    /// Prints the failure to standard error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        // Nobody reads any more (`cartwheel … | head`): that is no failure to talk about.
        if let Some(error) = self.error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        eprintln!("error: {}", self.error);
        let mut shown = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // A transparent error repeats its cause's message.
            if text != shown {
                eprintln!("  caused by: {text}");
            }
            shown = text;
            cause = error.source();
        }
        if !self.hints.is_empty() {
            eprintln!();
            self.hints.iter().for_each(|hint| eprintln!("hint: {hint}"));
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("could not {action} `{}`", path.display())]
struct IoFailure {
    action: &'static str,
    path: std::path::PathBuf,
    source: io::Error,
}

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Outer {
    message: String,
    source: Box<dyn Error>,
}

impl From<cartwheel_compose::Error> for Failure {
    fn from(error: cartwheel_compose::Error) -> Self {
        let is_io = matches!(error.kind(), cartwheel_compose::ErrorKind::Io { .. });
        let code = if is_io { ENVIRONMENT } else { USER };
        Self { code, hints: error.hints(), error: Box::new(error) }
    }
}

impl From<cartwheel_build::Error> for Failure {
    fn from(error: cartwheel_build::Error) -> Self {
        let code = if error.is_environment() { ENVIRONMENT } else { USER };
        Self { code, hints: error.hints(), error: Box::new(error) }
    }
}

impl From<cartwheel_oci::Error> for Failure {
    fn from(error: cartwheel_oci::Error) -> Self {
        cartwheel_build::Error::from(error).into()
    }
}

impl From<cartwheel_store::Error> for Failure {
    fn from(error: cartwheel_store::Error) -> Self {
        cartwheel_build::Error::from(error).into()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { code: ENVIRONMENT, error: Box::new(error), hints: Vec::new() }
    }
}
