//! `ReservedStageName`.

use crate::dockerfile::Dockerfile;
use crate::lint::report::{Place, Report};
use crate::lint::rule::{Example, Rule, Severity};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "ReservedStageName",
    severity: Severity::Warning,
    summary: "Reserved words should not be used as stage names",
    why: "`scratch` is the empty image and `context` the build context; no stage of that name can be found.",
    bad: Example::of("FROM alpine AS scratch\n"),
    good: Example::of("FROM alpine AS base\n"),
};

const RESERVED: [&str; 2] = ["context", "scratch"];

pub(in crate::lint) fn check(dockerfile: &Dockerfile, report: &mut Report) {
    for stage in &dockerfile.stages {
        if let Some(name) = stage.name().filter(|name| RESERVED.contains(name)) {
            let message = format!("Stage name should not use the same name as reserved stage \"{name}\"");
            report.add(&RULE, Place::from(stage).without_comments(), message);
        }
    }
}
