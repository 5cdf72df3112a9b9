//! `ExposeInvalidFormat`.

use crate::evaluate::Note;
use crate::instruction::Instruction;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "ExposeInvalidFormat",
    severity: Severity::Warning,
    summary: "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
    why: "`EXPOSE` says which port the container has; where it is on the host is for `docker run -p` to say.",
    bad: Example::of("FROM scratch\nEXPOSE 127.0.0.1:80:80\n"),
    good: Example::of("FROM scratch\nEXPOSE 80\n"),
};

pub(in crate::lint) fn check(note: &Note, instruction: &Instruction, report: &mut Report) {
    let Note::Port { word, is_mapped: true, .. } = note else { return };
    let message =
        format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'");
    let fixes =
        super::port_fix(instruction, word, |word| word.rsplit_once(':').map(|(_, port)| port.to_owned()));
    report.add_with_fixes(&RULE, instruction.into(), message, fixes);
}
