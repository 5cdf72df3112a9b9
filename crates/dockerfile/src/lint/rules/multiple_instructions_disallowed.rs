//! `MultipleInstructionsDisallowed`.

use crate::instruction::{Instruction, InstructionKind};
use crate::lint::report::{Place, Report};
use crate::lint::rule::{Example, Rule, Severity};
use crate::span::Span;
use std::collections::BTreeMap;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "MultipleInstructionsDisallowed",
    severity: Severity::Warning,
    summary: "Multiple instructions of the same type should not be used in the same stage",
    why: "Of several `CMD`, `ENTRYPOINT` or `HEALTHCHECK` in a stage only the last counts.",
    bad: Example::of("FROM scratch\nCMD [\"a\"]\nCMD [\"b\"]\n"),
    good: Example::of("FROM scratch\nCMD [\"b\"]\n"),
};

/// The instructions that a stage should have once, as far as it had them: the last of each kind.
#[derive(Default)]
pub(in crate::lint) struct Seen(BTreeMap<&'static str, (Span, (usize, usize))>);

impl Seen {
    /// Tells of the instruction before, which is the one that does not count.
    pub(in crate::lint) fn check(&mut self, instruction: &Instruction, report: &mut Report) {
        let kind = match &instruction.kind {
            InstructionKind::Cmd(_) => "CMD",
            InstructionKind::Entrypoint(_) => "ENTRYPOINT",
            InstructionKind::Healthcheck(_) => "HEALTHCHECK",
            _ => return,
        };
        if let Some((span, lines)) = self.0.insert(kind, (instruction.span, instruction.lines)) {
            let keyword = &instruction.keyword.value;
            let message = format!(
                "Multiple {keyword} instructions should not be used in the same stage because only the last one will be used"
            );
            let place = Place { span, lines, ..instruction.into() };
            report.add(&RULE, place, message);
        }
    }
}
