//! `JSONArgsRecommended`.

use crate::instruction::{Instruction, InstructionKind};
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::step::StageConfig;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "JSONArgsRecommended",
    severity: Severity::Warning,
    summary: "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    why: "The shell form runs the command below `/bin/sh -c`, which does not hand on signals: the container is killed after a timeout instead of being stopped. With an own `SHELL`, that is taken for meant.",
    bad: Example::of("FROM scratch\nCMD uvicorn app:app\n"),
    good: Example::of("FROM scratch\nCMD [\"uvicorn\", \"app:app\"]\n"),
};

pub(in crate::lint) fn check(instruction: &Instruction, config: &StageConfig, report: &mut Report) {
    let (InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command)) = &instruction.kind else {
        return;
    };
    if !command.is_exec && config.shell.is_empty() {
        let keyword = &instruction.keyword.value;
        let message = format!(
            "JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
        );
        report.add(&RULE, instruction.into(), message);
    }
}
