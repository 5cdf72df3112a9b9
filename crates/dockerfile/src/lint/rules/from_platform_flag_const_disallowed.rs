//! `FromPlatformFlagConstDisallowed`.

use crate::dockerfile::Stage;
use crate::lex::Expansion;
use crate::lint::LintOptions;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::platform::Platform;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "FromPlatformFlagConstDisallowed",
    severity: Severity::Warning,
    summary: "FROM --platform flag should not use a constant value",
    why: "A stage of one fixed platform is not what a build for another platform wants. A stage that has the platform in its name is taken for meant.",
    bad: Example::of("FROM --platform=linux/arm64 scratch AS base\n"),
    good: Example::of("FROM --platform=$BUILDPLATFORM scratch AS base\n"),
};

pub(in crate::lint) fn check(
    platform: &Expansion,
    stage: &Stage,
    options: &LintOptions,
    report: &mut Report,
) {
    if !platform.matched.is_empty() || !platform.unmatched.is_empty() {
        return;
    }
    let Ok(parsed) = Platform::parse(&platform.text, &options.evaluate.build_platform) else { return };
    let name = stage.name().unwrap_or_default();
    if !name.contains(&parsed.os) && !name.contains(&parsed.architecture) {
        let message = format!("FROM --platform flag should not use constant value \"{}\"", platform.text);
        report.add(&RULE, stage.into(), message);
    }
}
