//! `IgnoreFileMissing`.

use crate::lint::LintContext;
use crate::lint::litter::{is_ignore_file, litter};
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::Scene;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "IgnoreFileMissing",
    severity: Severity::Advice,
    summary: "A context that is copied as a whole needs a .dockerignore",
    why: "Without one, everything in the directory is sent and copied: the history of version control, virtual environments, caches. Each change of one of them changes the layer.",
    bad: Example::with(
        "FROM python:3.13\nCOPY . /app\n",
        &[("app.py", ""), (".git/objects/pack/a.pack", "0123456789")],
    ),
    good: Example::with(
        "FROM python:3.13\nCOPY . /app\n",
        &[("app.py", ""), (".git/objects/pack/a.pack", "0123456789"), (".dockerignore", ".git\n")],
    ),
};

pub(in crate::lint) fn check(scene: &Scene, context: &LintContext, report: &mut Report) {
    let elsewhere = context.files.iter().any(|file| is_ignore_file(&file.path));
    if context.ignore.is_some() || elsewhere {
        return; // there is one, or another rule tells of it
    }
    for litter in litter(scene, context) {
        let message = format!("There is no .dockerignore, and this copies {litter}");
        report.add(&RULE, litter.act.instruction.into(), message);
    }
}
