//! `ExposeProtoCasing`.

use crate::evaluate::Note;
use crate::instruction::Instruction;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "ExposeProtoCasing",
    severity: Severity::Warning,
    summary: "Protocol in EXPOSE instruction should be lowercase",
    why: "The config has the protocol in lowercase.",
    bad: Example::of("FROM scratch\nEXPOSE 80/TcP\n"),
    good: Example::of("FROM scratch\nEXPOSE 80/tcp\n"),
};

pub(in crate::lint) fn check(note: &Note, instruction: &Instruction, report: &mut Report) {
    let Note::Port { word, protocol, .. } = note else { return };
    let lower = protocol.to_lowercase();
    if *protocol == lower {
        return;
    }
    let message = format!("Defined protocol '{word}' in EXPOSE instruction should be lowercase");
    let fixes = super::port_fix(instruction, word, |word| {
        word.strip_suffix(protocol.as_str()).map(|port| format!("{port}{lower}"))
    });
    report.add_with_fixes(&RULE, instruction.into(), message, fixes);
}
