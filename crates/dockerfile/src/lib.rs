//! The language of a container build: what a user wrote, as values. No I/O.
//!
//! Everything here is a function from text to values, so that it can be tested against the reference tools with
//! nothing but strings, and so that the same code serves a build, a linter and an editor. The caller reads files and
//! walks directories; this crate says what they mean.
//!
//! # From text to steps
//!
//! The oracle is BuildKit's own frontend; what it accepts and what it makes of it is what happens here, down to its
//! surprises, and its conformance cases are run from outside (`cartwheel debug batch lex|parse|plan`). Where it stops
//! at the first mistake, we go on, so that all of them can be shown at once.
//!
//! ```text
//! text ──[Syntax::parse]──► nodes: keyword, flags, arguments, heredocs, each with its span
//!      ──[Dockerfile::parse]──► stages of instructions: flags understood, arguments counted, words still as written
//!      ──[needed_stages]──► the stages that a target needs, and what each is FROM      (with build arguments)
//!      ──[evaluate_stage]──► steps and the config of the image                          (with the base's config)
//! ```
//!
//! The last two need to know what the caller finds out in between: an image's config, and the `ONBUILD` triggers in
//! it, which may need stages that nothing else did.
//!
//! Each mistake is a [`Diagnostic`]: a code that never changes, a message, a [`Span`] of the text, and a hint.
//!
//! ```
//! use cartwheel_dockerfile::{Dockerfile, EvaluateOptions, StageConfig, StepKind, evaluate_stage, needed_stages};
//!
//! let text = "ARG VERSION=3.12\nFROM python:$VERSION\nWORKDIR /app\nRUN pip install flask\n";
//! let (dockerfile, diagnostics) = Dockerfile::parse(text);
//! assert!(diagnostics.is_empty());
//! let options = EvaluateOptions::default();
//! let stages = needed_stages(&dockerfile, &options).map_err(|mut wrong| wrong.remove(0))?;
//! let stage = evaluate_stage(&dockerfile, stages[0].index, StageConfig::default(), &options)
//!     .map_err(|mut wrong| wrong.remove(0))?;
//! let StepKind::Run(run) = &stage.steps[1].kind else { unreachable!() };
//! assert_eq!(run.argv, ["/bin/sh", "-c", "pip install flask"]);
//! assert_eq!(run.working_dir, "/app");
//! # Ok::<(), cartwheel_dockerfile::Diagnostic>(())
//! ```
//!
//! # Ignore files
//!
//! An [`IgnoreFile`] decides which files of a build context exist for the build. The oracle is BuildKit, whose answer
//! has three parts, each with its own surprises:
//!
//! 1. **Reading the file.** A byte order mark is dropped; a line whose *first* byte is `#` is a comment (`  # this` is
//!    a pattern); space around a pattern and after its `!` goes away; paths are cleaned (`./a//b/../c` is `a/c`) and
//!    one leading `/` is dropped.
//! 2. **Matching one pattern.** `*` and `?` stop at `/`, `**` does not, `[a-z]` is a class, `\` takes the next
//!    character as it is. BuildKit writes a Go regular expression for it, and part of what users meet is that
//!    translation: `**.log` means «ends in `.log`», `a/**` is «starts with `a/`», and `dir\bin` has a word boundary in
//!    it. So we write the very same expression and then say it in the dialect of the `regex` crate.
//! 3. **Deciding about a path.** Patterns are tried in order, the last one that changes the verdict wins, and a
//!    pattern that matched a directory goes on matching everything below it. `!pattern` takes back.
//!
//! The third part depends on what matched above, so a walk carries a [`MatchState`] from a directory to its children:
//! each name is matched once, not once for each of its parents.
//!
//! ```
//! use cartwheel_dockerfile::IgnoreFile;
//!
//! let ignore = IgnoreFile::parse("docs\n!docs/README.md\n**/*.pyc\n")?;
//! assert!(ignore.matches("docs/guide/start.md"));
//! assert!(!ignore.matches("docs/README.md"));
//!
//! // A walk: an excluded directory is entered only if something below may be taken back.
//! let root = ignore.root();
//! let docs = ignore.enter("docs", &root);
//! assert!(docs.is_excluded() && ignore.may_descend("docs", &docs));
//! assert!(ignore.excludes("docs/guide", &docs));
//! # Ok::<(), cartwheel_dockerfile::Error>(())
//! ```
//!
//! What such a walk emits is the caller's affair; BuildKit sends a directory that is excluded itself when something
//! below it is not, and never sends an empty excluded one.
//!
//! Which file is read is the caller's affair too: `<Dockerfile>.dockerignore` beside the Dockerfile first, else the
//! context's root. One anywhere else does nothing.
#![forbid(unsafe_code)]

mod diagnostic;
mod dockerfile;
mod environment;
mod error;
mod evaluate;
mod glob;
mod global;
mod ignore;
mod instruction;
mod lex;
mod lint;
mod pattern;
mod platform;
mod reference;
mod span;
mod stage;
mod step;
mod suggest;
mod syntax;
mod unicode;

pub use diagnostic::{Code, Diagnostic};
pub use dockerfile::{Dockerfile, Stage};
pub use environment::Environment;
pub use error::{Error, ErrorKind, Result};
pub use evaluate::evaluate_stage;
pub use glob::Glob;
pub use global::{SourceDateEpoch, source_date_epoch};
pub use ignore::{IgnoreFile, MatchState};
pub use instruction::csv::fields as csv_fields;
pub use instruction::{
    ArgWord, CommandLine, CopyInstruction, FromInstruction, Instruction, InstructionKind, PairWord,
    RunInstruction, SourceWord,
};
pub use lex::{Expansion, Lexer, expand, expand_words};
pub use lint::{
    ContextFile, Example, Finding, Lint, LintContext, LintOptions, Rule, Severity, fix, lint, lint_rules,
};
pub use platform::Platform;
pub use span::{Position, Span, Word};
pub use stage::needed_stages;
pub use step::{
    Copy, CopyFrom, CopySource, Device, EvaluateOptions, EvaluatedStage, FileAccess, Healthcheck, InlineFile,
    Mount, MountKind, NeededStage, Network, Run, Scope, Sharing, StageBase, StageConfig, Step, StepKind,
    Workdir,
};
pub use syntax::{Directive, Heredoc, Node, Syntax};
