//! `RedundantTargetPlatform`.

use crate::dockerfile::Stage;
use crate::global::Globals;
use crate::lex::Expansion;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::span::Word;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "RedundantTargetPlatform",
    severity: Severity::Warning,
    summary: "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    why: "A stage is for the target platform unless it says otherwise.",
    bad: Example::of("FROM --platform=$TARGETPLATFORM scratch\n"),
    good: Example::of("FROM scratch\n"),
};

pub(in crate::lint) fn check(
    word: &Word,
    platform: &Expansion,
    stage: &Stage,
    globals: &Globals,
    report: &mut Report,
) {
    let is_only = platform.matched.iter().eq([TARGET]) && platform.unmatched.is_empty();
    if is_only && globals.args.get(TARGET) == Some(&platform.text) {
        let message = format!(
            "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
            word.value
        );
        report.add(&RULE, stage.into(), message);
    }
}

const TARGET: &str = "TARGETPLATFORM";
