//! `IgnoreFileIneffective`.

use crate::lint::LintContext;
use crate::lint::litter::litter;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::Scene;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "IgnoreFileIneffective",
    severity: Severity::Advice,
    summary: "The .dockerignore should leave out what no image needs",
    why: "The file is there, and still the history of version control, virtual environments or caches are sent and copied. Each change of one of them changes the layer.",
    bad: Example::with(
        "FROM python:3.13\nCOPY . /app\n",
        &[("app.py", ""), (".venv/lib/a.py", "0123456789"), (".dockerignore", ".git\n")],
    ),
    good: Example::with(
        "FROM python:3.13\nCOPY . /app\n",
        &[("app.py", ""), (".venv/lib/a.py", "0123456789"), (".dockerignore", ".git\n.venv\n")],
    ),
};

pub(in crate::lint) fn check(scene: &Scene, context: &LintContext, report: &mut Report) {
    if context.ignore.is_none() {
        return;
    }
    for litter in litter(scene, context) {
        let message = format!("The ignore file leaves in what this copies: {litter}");
        report.add(&RULE, litter.act.instruction.into(), message);
    }
}
