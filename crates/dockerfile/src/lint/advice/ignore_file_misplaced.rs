//! `IgnoreFileMisplaced`.

use crate::lint::LintContext;
use crate::lint::litter::{is_ignore_file, litter};
use crate::lint::report::{Place, Report};
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::Scene;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "IgnoreFileMisplaced",
    severity: Severity::Advice,
    summary: "A .dockerignore counts in the root of the context only",
    why: "Two places are looked at: `<Dockerfile>.dockerignore` beside the Dockerfile, and `.dockerignore` in the root of the context. One that lies anywhere else, also beside the Dockerfile, does nothing.",
    bad: Example::with(
        "FROM python:3.13\nCOPY . /app\n",
        &[("app.py", ""), ("backend/docker/.dockerignore", ".git\n")],
    ),
    good: Example::with("FROM python:3.13\nCOPY . /app\n", &[("app.py", ""), (".dockerignore", ".git\n")]),
};

pub(in crate::lint) fn check(scene: &Scene, context: &LintContext, report: &mut Report) {
    if context.ignore.is_some() {
        return;
    }
    let mut acts = litter(scene, context);
    let saved =
        acts.pop().map(|litter| format!("; in the root it would keep out {litter}")).unwrap_or_default();
    for file in context.files.iter().filter(|file| is_ignore_file(&file.path)) {
        report.add(&RULE, Place::FILE, format!("`{}` is not read where it lies{saved}", file.path));
    }
}
