//! `UndefinedVar`.

use crate::evaluate::Note;
use crate::lint::report::{Place, Report};
use crate::lint::rule::{Example, Rule, Severity};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "UndefinedVar",
    severity: Severity::Warning,
    summary: "Variables should be defined before their use",
    why: "A variable that nothing sets expands to nothing, often by a slip of the pen.",
    bad: Example::of("FROM scratch\nCOPY $foo .\n"),
    good: Example::of("FROM scratch\nARG foo\nCOPY $foo .\n"),
};

pub(in crate::lint) fn check(note: &Note, place: Place<'_>, report: &mut Report) {
    let Note::Undefined { name, nearest } = note else { return };
    let hint = nearest.as_ref().map(|nearest| format!(" (did you mean ${nearest}?)")).unwrap_or_default();
    report.add(&RULE, place, format!("Usage of undefined variable '${name}'{hint}"));
}
