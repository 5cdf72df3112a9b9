//! `UnpinnedBase`.

use crate::lint::LintContext;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::Scene;
use crate::step::StageBase;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "UnpinnedBase",
    severity: Severity::Advice,
    summary: "A base image should have a version",
    why: "`latest`, or no tag at all, is another image every few weeks: everything below is built anew, and with another Python.",
    bad: Example::of("FROM python\n"),
    good: Example::of("FROM python:3.13-slim\n"),
};

pub(in crate::lint) fn check(scene: &Scene, _: &LintContext, report: &mut Report) {
    for (index, stage) in scene.needed() {
        if let Some(StageBase::Image(reference)) = scene.bases.get(&index)
            && reference.ends_with(":latest")
        {
            let message =
                format!("`{}` is whatever is the latest on the day of the build", stage.from.base.value);
            report.add(&RULE, stage.into(), message);
        }
    }
}
