//! `WorkdirRelativePath`.

use crate::evaluate::Note;
use crate::lint::report::{Place, Report};
use crate::lint::rule::{Example, Rule, Severity};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "WorkdirRelativePath",
    severity: Severity::Warning,
    summary: "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    why: "A relative `WORKDIR` begins where the base image happens to be.",
    bad: Example::of("FROM python:3.13\nWORKDIR app\n"),
    good: Example::of("FROM python:3.13\nWORKDIR /app\n"),
};

/// Only the first `WORKDIR` is asked: the others begin where that one leads.
pub(in crate::lint) fn check(note: &Note, place: Place<'_>, has_workdir: bool, report: &mut Report) {
    let Note::Directory(path) = note else { return };
    if !has_workdir && !path.starts_with('/') {
        let message =
            format!("Relative workdir \"{path}\" can have unexpected results if the base image changes");
        report.add(&RULE, place, message);
    }
}
