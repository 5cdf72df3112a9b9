//! Findings, and where they are collected.

use crate::dockerfile::Stage;
use crate::instruction::Instruction;
use crate::lint::rule::Rule;
use crate::lint::settings::LintSettings;
use crate::span::Span;
use crate::syntax::Node;

/// Something that a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// What it found, in BuildKit's words if the rule is BuildKit's.
    pub message: String,
    /// The instruction that it is about; empty if it is about the file or its context.
    pub span: Span,
    /// The first and last line; 0 if it is about no line.
    pub lines: (usize, usize),
    /// What mends it without changing what the file means, if that is possible. One of the changes is enough.
    pub(super) fixes: Vec<Vec<Edit>>,
}

/// A change of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// What goes.
    pub(super) span: Span,
    /// What comes in its place.
    pub(super) text: String,
}

/// Where a finding is, and the comments above, which may switch rules off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) span: Span,
    pub(super) lines: (usize, usize),
    pub(super) comments: &'a [String],
}

impl<'a> From<&'a Node> for Place<'a> {
    fn from(node: &'a Node) -> Self {
        Self { span: node.span, lines: node.lines, comments: &node.comments }
    }
}

impl<'a> From<&'a Stage> for Place<'a> {
    fn from(stage: &'a Stage) -> Self {
        Self { span: stage.span, lines: stage.lines, comments: &stage.comments }
    }
}

impl<'a> From<&'a Instruction> for Place<'a> {
    fn from(instruction: &'a Instruction) -> Self {
        Self { span: instruction.span, lines: instruction.lines, comments: &instruction.comments }
    }
}

impl Place<'_> {
    /// The whole file.
    pub(super) const FILE: Place<'static> =
        Place { span: Span { start: 0, end: 0 }, lines: (0, 0), comments: &[] };

    /// The same place for rules that no comment switches off.
    pub(super) fn without_comments(self) -> Self {
        Place { comments: &[], ..self }
    }
}

/// The findings so far.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) settings: LintSettings,
    pub(super) findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(settings: LintSettings) -> Self {
        Self { settings, findings: Vec::new() }
    }

    /// Adds a finding, unless the rule is not asked here.
    pub(super) fn add(&mut self, rule: &'static Rule, place: Place<'_>, message: String) {
        self.add_with_fixes(rule, place, message, Vec::new());
    }

    /// Adds a finding and the ways to mend it.
    pub(super) fn add_with_fixes(
        &mut self,
        rule: &'static Rule,
        place: Place<'_>,
        message: String,
        fixes: Vec<Vec<Edit>>,
    ) {
        if self.settings.with_comments(place.comments).asks(rule) {
            self.findings.push(Finding { rule, message, span: place.span, lines: place.lines, fixes });
        }
    }
}
