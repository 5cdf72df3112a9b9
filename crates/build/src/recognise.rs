//! Recognising a RUN: which shell commands are installations that need no container.
//!
//! A `RUN pip install -r requirements.txt` says as a program what a build can do as data. [`recognise`] reads the command
//! and says either what it installs ([`InstallCommand`]: which tool, for which Python, what, from where and to where) or
//! why it cannot say so ([`NotRecognised`], with the very word that was not understood). It is pure: it looks neither at the
//! image nor at the build context, so what it says of them are paths in the image, and [`Assumption`]s that whoever can look
//! must check.
//!
//! # The one rule
//!
//! *Understood to the last word, or left alone.* A wrong installation is worse than a slow one, so every table here lists
//! what is known, and what is in no table is not recognised: an option, a program, a quoting, an environment variable that
//! begins with `PIP_` or `UV_`. An option of the table is there for one of three reasons: it changes nothing in the image
//! (`--progress-bar`), its meaning is in [`InstallCommand`], or it is known and cannot be honoured, and then the table says
//! why.
//!
//! # From text to words (`shell.rs`)
//!
//! BuildKit expands no variables in a RUN; the shell does. A tokenizer that others keep cuts the text as a shell does.
//! What remains are commands joined by `&&`, or by `;` and line ends if the shell stops at the first failure (`set -e`).
//! Variables are put in where a word says no more than `$NAME`, and where word splitting cannot change the result.
//! An unquoted `uvicorn[standard]` is a pattern to the shell, which stays as it is if no file is named so: an assumption.
//!
//! # From words to meaning (`command.rs`, `surroundings.rs`, `pip.rs`, `uv.rs`, `sync.rs`)
//!
//! Options are read as the tool reads them: pip's `optparse` lets names be cut short and takes `-rfile`, uv's reader does
//! not cut and takes `-r=file`. The environment comes first and options override it, with each tool's own rules: pip reads
//! `PIP_NO_COMPILE=1` as «compile», because it sets what the option sets and not whether the option is given.

#[cfg(test)]
mod cases;
mod command;
mod environment;
mod install;
mod options;
mod pip;
mod shell;
mod surroundings;
mod sync;
mod uv;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

pub(crate) use install::{
    Asked, Destination, InstallCommand, Installer, Process, PythonChoice, RequirementFile, Selection,
};

/// What a RUN instruction runs, and what it runs in.
#[derive(Debug, Clone)]
pub(crate) struct RunCommand<'a> {
    /// The command.
    pub(crate) script: Script<'a>,
    /// Every variable that the command sees: the image's, the stage's `ENV`, and the `ARG`s in scope.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// The working directory, absolute.
    pub(crate) working_dir: &'a str,
    /// `USER` as it stands; empty is root.
    pub user: &'a str,
    /// The home directory of that user, if it is known.
    pub(crate) home: Option<&'a str>,
    /// The mounts.
    pub(crate) mounts: &'a [RunMount],
}

/// The two forms of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Script<'a> {
    /// Text for a shell; `shell` is what `SHELL` says.
    Shell {
        /// The program and its options, such as `/bin/sh -c`.
        shell: &'a [String],
        /// The text, after the Dockerfile's own processing.
        text: &'a str,
    },
    /// The words of the JSON form.
    Exec(&'a [String]),
}

/// A `--mount` of a RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunMount {
    /// `type=bind`: files of the context, of a stage or of an image.
    Bind {
        /// Where, absolute.
        target: String,
    },
    /// `type=cache`.
    Cache {
        /// Where, absolute.
        target: String,
    },
    /// Any other type, by its name.
    Unsupported(String),
}

/// What a recognised RUN does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recognised {
    /// The installations, in order. There may be none: then the command changes nothing.
    pub(crate) installs: Vec<InstallCommand>,
    /// What must hold of the image for this to be true.
    pub(crate) assumptions: Vec<Assumption>,
}

/// Something that recognition cannot see, and that must be checked in the image before the result is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Assumption {
    /// This directory is there: the command changes into it.
    Directory(String),
    /// Nothing is at this path: the command removes it.
    Absent(String),
    /// No entry of the directory has a name that the shell's pattern matches: the command relies on its staying as it is.
    Unmatched {
        /// The directory that the pattern starts from.
        folder: String,
        /// The pattern.
        pattern: String,
    },
}

/// Why a RUN is not an installation that can be done without running it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotRecognised {
    /// The word that decided it; empty if it is none of the text.
    pub(crate) word: String,
    /// Where it stands in the shell's text, in bytes.
    pub(crate) span: Option<Range<usize>>,
    /// Why, in words that follow the word.
    pub(crate) reason: String,
}

/// What recognition gives.
type Result<T, E = NotRecognised> = std::result::Result<T, E>;

/// Says what a RUN installs, or why that cannot be said.
pub(crate) fn recognise(run: &RunCommand<'_>) -> Result<Recognised, NotRecognised> {
    command::recognise(run)
}

impl NotRecognised {
    fn new(word: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { word: word.into(), span: None, reason: reason.into() }
    }

    fn at(mut self, span: Option<&Range<usize>>) -> Self {
        self.span = self.span.or_else(|| span.cloned());
        self
    }
}

impl fmt::Display for NotRecognised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = cartwheel_transfer::redact(&self.word);
        if shown.is_empty() { f.write_str(&self.reason) } else { write!(f, "`{shown}` {}", self.reason) }
    }
}
