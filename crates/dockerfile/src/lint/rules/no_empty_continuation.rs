//! `NoEmptyContinuation`.

use crate::lint::report::{Edit, Place, Report};
use crate::lint::rule::{Example, Rule, Severity};
use crate::span::Span;
use crate::syntax::Node;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "NoEmptyContinuation",
    severity: Severity::Warning,
    summary: "Empty continuation lines will become errors in a future release",
    why: "A line that ends in the escape character goes on in the next one. Empty lines between are passed over today; one day they will end the instruction.",
    bad: Example::of("FROM scratch\nENV A=1 \\\n\n    B=2\n"),
    good: Example::of("FROM scratch\nENV A=1 \\\n    B=2\n"),
};

pub(in crate::lint) fn check(node: &Node, text: &str, report: &mut Report) {
    if !node.has_empty_lines {
        return;
    }
    // It is told at the last line of the instruction, in front of its heredocs.
    let heredocs = node.heredocs.iter().map(|heredoc| heredoc.content.matches('\n').count() + 1);
    let line = node.lines.1.saturating_sub(heredocs.sum());
    let place = Place { lines: (line, line), ..Place::from(node) }.without_comments();
    report.add_with_fixes(&RULE, place, "Empty continuation line".to_owned(), vec![empty_lines(node, text)]);
}

/// Each empty line of the instruction, to be taken away.
fn empty_lines(node: &Node, text: &str) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut start = node.span.start;
    for line in node.span.of(text).split_inclusive('\n') {
        if line.trim().is_empty() {
            edits.push(Edit { span: Span::new(start, start + line.len()), text: String::new() });
        }
        start += line.len();
    }
    edits
}
