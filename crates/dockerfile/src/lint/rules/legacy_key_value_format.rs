//! `LegacyKeyValueFormat`.

use crate::instruction::{Instruction, InstructionKind, PairWord};
use crate::lint::report::{Edit, Report};
use crate::lint::rule::{Example, Rule, Severity};
use crate::span::Span;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "LegacyKeyValueFormat",
    severity: Severity::Warning,
    summary: "Legacy key/value format with whitespace separator should not be used",
    why: "`ENV ONE TWO= THREE=world` sets `ONE` to all the rest, which is rarely meant.",
    bad: Example::of("FROM scratch\nENV DIR /app\n"),
    good: Example::of("FROM scratch\nENV DIR=/app\n"),
};

pub(in crate::lint) fn check(instruction: &Instruction, report: &mut Report) {
    let (InstructionKind::Env(pairs) | InstructionKind::Label(pairs)) = &instruction.kind else { return };
    let keyword = &instruction.keyword.value;
    for pair in pairs.iter().filter(|pair| pair.legacy) {
        let message = format!(
            "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
        );
        report.add_with_fixes(&RULE, instruction.into(), message, fixes(pair));
    }
}

/// The value as it is, in quotes, or with its blanks escaped: whoever applies them takes the first that means the same.
fn fixes(pair: &PairWord) -> Vec<Vec<Edit>> {
    let value = &pair.value.value;
    let span = Span::new(pair.name.span.end, pair.value.span.end);
    let escaped = value.replace(' ', "\\ ").replace('\t', "\\\t");
    let texts = [format!("={value}"), format!("=\"{value}\""), format!("={escaped}")];
    texts.into_iter().map(|text| vec![Edit { span, text }]).collect()
}
