//! `FromAsCasing`.

use crate::lint::report::{Edit, Report};
use crate::lint::rule::{Example, Rule, Severity};
use crate::syntax::Node;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "FromAsCasing",
    severity: Severity::Warning,
    summary: "The 'as' keyword should match the case of the 'from' keyword",
    why: "Mixed case makes a file harder to read.",
    bad: Example::of("FROM python:3.13 as builder\n"),
    good: Example::of("FROM python:3.13 AS builder\n"),
};

pub(in crate::lint) fn check(node: &Node, report: &mut Report) {
    let (from, [_, word, ..]) = (&node.keyword.value, node.arguments.as_slice()) else { return };
    if !from.eq_ignore_ascii_case("from") || node.arguments.len() < 3 {
        return;
    }
    let wanted = if *from == from.to_lowercase() {
        word.value.to_lowercase()
    } else if *from == from.to_uppercase() {
        word.value.to_uppercase()
    } else {
        return; // the keyword itself is told of
    };
    if word.value != wanted {
        let message = format!("'{}' and '{from}' keywords' casing do not match", word.value);
        let fix = vec![Edit { span: word.span, text: wanted }];
        report.add_with_fixes(&RULE, node.into(), message, vec![fix]);
    }
}
