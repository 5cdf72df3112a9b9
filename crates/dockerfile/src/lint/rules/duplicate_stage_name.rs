//! `DuplicateStageName`.

use crate::dockerfile::Dockerfile;
use crate::lint::report::{Place, Report};
use crate::lint::rule::{Example, Rule, Severity};
use std::collections::BTreeSet;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "DuplicateStageName",
    severity: Severity::Warning,
    summary: "Stage names should be unique",
    why: "Of several stages with one name the last is found by `COPY --from` and `--target`, and the nearest above by `FROM`.",
    bad: Example::of("FROM scratch AS builder\nFROM scratch AS builder\n"),
    good: Example::of("FROM scratch AS builder\nFROM scratch AS final\n"),
};

pub(in crate::lint) fn check(dockerfile: &Dockerfile, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for stage in &dockerfile.stages {
        if let Some(name) = stage.name()
            && !seen.insert(name)
        {
            let message = format!("Duplicate stage name \"{name}\", stage names should be unique");
            report.add(&RULE, Place::from(stage).without_comments(), message);
        }
    }
}
