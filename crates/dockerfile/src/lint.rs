//! Checking a Dockerfile: what could be better, by rules.
//!
//! # The rules of BuildKit
//!
//! The oracle is `docker build --check`. It does not look at a file as a whole: it does what a build does up to the
//! point where something would run, and each rule is a remark on the way. So the order matters, and at the first error
//! everything ends, remarks made before it remain, and none come after. What is done in which order is in `walk.rs`;
//! conformance cases are run from outside (`cartwheel debug batch lint`). What users meet:
//!
//! - Without a target, all stages are gone through, needed or not; with one, those that it needs. Triggers are only
//!   gone through in stages that the last one, or the target, needs.
//! - `# check=skip=Rule` at the top is for the file, in a comment right above an instruction for that instruction. Five
//!   rules look at the file before instructions have comments and cannot be switched off there: `NoEmptyContinuation`,
//!   `ConsistentInstructionCasing`, `DuplicateStageName`, `ReservedStageName`, `InvalidDefaultArgInFrom`.
//! - A variable counts once for each word that names it.
//!
//! # Advice
//!
//! The rules that BuildKit has not are about time and space. They look at the file, once it is known that it can be
//! built, and at the facts about its context that the caller gives ([`LintContext`]): this crate reads nothing itself.
//!
//! # A rule
//!
//! Each rule is one file in `rules/`: what it asks for, why, a bad and a good example, and the code. A test holds that
//! each rule finds its bad example and not its good one. `--explain` and the page of the documentation are made of the
//! same words.

mod advice;
mod context;
mod fix;
mod report;
mod rule;
mod rules;
mod script;
mod settings;
mod walk;

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::step::{EvaluateOptions, StageConfig};
use crate::syntax::check_directive;

pub use context::{ContextFile, LintContext};
pub use fix::fix;
pub use report::{Edit, Finding};
pub use rule::{Example, Rule, Severity, lint_rules};
pub use settings::LintSettings;

use report::Report;

/// What the caller knows, beside the Dockerfile.
#[derive(Debug, Clone, Default)]
pub struct LintOptions {
    /// What a build would be asked for. Without a target, all stages are checked.
    pub evaluate: EvaluateOptions,
    /// The configs of the images that stages are `FROM`, by stage, as far as they are known; the others have only a
    /// search path.
    pub bases: BTreeMap<usize, StageConfig>,
    /// The build context, if there is one. Without it, only BuildKit's rules are asked.
    pub context: Option<LintContext>,
}

/// What a check comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lint {
    /// What the rules found, in the order in which they did.
    pub findings: Vec<Finding>,
    /// What a build would stop at.
    pub error: Option<Diagnostic>,
    /// What `# check=` says at the top.
    pub settings: LintSettings,
}

/// Checks a Dockerfile.
pub fn lint(text: &str, options: &LintOptions) -> Lint {
    let settings = LintSettings::parse(&check_directive(text).unwrap_or_default()).unwrap_or_default();
    let mut report = Report::new(settings);
    let error = match walk::walk(text, options, &mut report) {
        Ok(scene) => {
            if let Some(context) = &options.context {
                advice::advise(&scene, context, &mut report);
            }
            None
        }
        Err(diagnostic) => Some(*diagnostic),
    };
    Lint { findings: report.findings, error, settings: report.settings }
}
