//! `StageNameCasing`.

use crate::lint::report::{Edit, Report};
use crate::lint::rule::{Example, Rule, Severity};
use crate::syntax::Node;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "StageNameCasing",
    severity: Severity::Warning,
    summary: "Stage names should be lowercase",
    why: "Stages are found by their names in lowercase, so an uppercase one looks different from what it is.",
    bad: Example::of("FROM python:3.13 AS Builder\n"),
    good: Example::of("FROM python:3.13 AS builder\n"),
};

pub(in crate::lint) fn check(node: &Node, report: &mut Report) {
    let [_, _, name] = node.arguments.as_slice() else { return };
    let lower = name.value.to_lowercase();
    if node.keyword.value.eq_ignore_ascii_case("from") && name.value != lower {
        let message = format!("Stage name '{}' should be lowercase", name.value);
        let fix = vec![Edit { span: name.span, text: lower }];
        report.add_with_fixes(&RULE, node.into(), message, vec![fix]);
    }
}
