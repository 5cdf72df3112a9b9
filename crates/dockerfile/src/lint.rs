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
mod litter;
mod report;
mod rule;
mod rules;
mod scene;
mod script;
mod settings;
mod walk;

use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::step::{EvaluateOptions, NeededStage, StageConfig};
use crate::syntax::check_directive;

pub use context::{ContextFile, LintContext};
pub use fix::fix;
pub use report::Finding;
pub use rule::{Example, Rule, Severity, lint_rules};
pub(crate) use settings::LintSettings;

use report::Report;

/// What the caller knows, beside the Dockerfile.
#[derive(Debug, Clone, Default)]
pub struct LintOptions {
    /// What a build would be asked for. Without a target, all stages are checked.
    pub evaluate: EvaluateOptions,
    /// The build context, if there is one.
    pub context: Option<LintContext>,
    /// Whether advice is asked for, which takes a context.
    pub advice: bool,
}

/// Gives the config of the image that a stage is built upon; nothing if that is not known. Then variables that nothing
/// in the file sets may be the image's, and are not told of.
type ConfigOf<'a> = &'a dyn Fn(&NeededStage) -> Option<StageConfig>;

/// The build argument that says what `# check=` would, and counts instead.
const CHECK: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What a check comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lint {
    /// What the rules found, in the order in which they did.
    pub findings: Vec<Finding>,
    /// What a build would stop at.
    pub error: Option<Diagnostic>,
    /// Whether `# check=error=true` makes an error of findings.
    pub is_strict: bool,
}

/// Checks a Dockerfile.
pub fn lint(text: &str, options: &LintOptions, config_of: ConfigOf<'_>) -> Lint {
    let given = options.evaluate.build_args.get(CHECK).cloned().or_else(|| check_directive(text));
    let settings = match LintSettings::parse(&given.unwrap_or_default()) {
        Ok(settings) => settings,
        Err(problem) => {
            let error = Diagnostic::new(Code::Directive, problem, Span::default());
            return Lint { error: Some(error), ..Lint::default() };
        }
    };
    let mut report = Report::new(settings);
    let error = match walk::walk(text, options, config_of, &mut report) {
        Ok(scene) => {
            if let Some(context) = options.context.as_ref().filter(|_| options.advice) {
                advice::advise(&scene, context, &mut report);
            }
            None
        }
        Err(diagnostic) => Some(diagnostic),
    };
    Lint { findings: report.findings, error, is_strict: report.settings.error }
}
