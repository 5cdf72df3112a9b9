//! `InvalidDefaultArgInFrom`.

use crate::dockerfile::Dockerfile;
use crate::global::default_args;
use crate::lex::Lexer;
use crate::lint::LintOptions;
use crate::lint::report::{Place, Report};
use crate::lint::rule::{Example, Rule, Severity};
use crate::reference::normalize;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "InvalidDefaultArgInFrom",
    severity: Severity::Warning,
    summary: "Default value for global ARG results in an empty or invalid base image name",
    why: "Whoever builds without giving the argument gets an error instead of an image.",
    bad: Example::of("ARG TAG\nFROM python:${TAG}\n"),
    good: Example::of("ARG TAG=3.13\nFROM python:${TAG}\n"),
};

pub(in crate::lint) fn check(dockerfile: &Dockerfile, options: &LintOptions, report: &mut Report) {
    let Ok(args) = default_args(dockerfile, &options.evaluate) else { return };
    for stage in &dockerfile.stages {
        let base = &stage.from.base;
        let Ok(expansion) = Lexer::new(dockerfile.escape).expand(&base.value, &args) else { return };
        if normalize(&expansion.text).is_err() {
            let message =
                format!("Default value for ARG {} results in empty or invalid base image name", base.value);
            report.add(&RULE, Place::from(stage).without_comments(), message);
        }
    }
}
