//! `SecretsUsedInArgOrEnv`.

use crate::evaluate::Note;
use crate::instruction::{Instruction, InstructionKind};
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use regex::Regex;
use std::sync::LazyLock;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "SecretsUsedInArgOrEnv",
    severity: Severity::Warning,
    summary: "Sensitive data should not be used in the ARG or ENV commands",
    why: "What `ARG` and `ENV` say is in the history and the config of the image, for everybody who can pull it. `RUN --mount=type=secret` leaves nothing behind.",
    bad: Example::of("FROM scratch\nARG INDEX_PASSWORD\n"),
    good: Example::of(
        "FROM scratch\nRUN --mount=type=secret,id=index_password,env=INDEX_PASSWORD pip install app\n",
    ),
};

pub(in crate::lint) fn check(note: &Note, instruction: &Instruction, report: &mut Report) {
    let Note::Variable(name) = note else { return };
    if !is_secret(name) {
        return;
    }
    let keyword = if matches!(instruction.kind, InstructionKind::Arg(_)) { "ARG" } else { "ENV" };
    let message = format!("Do not use ARG or ENV instructions for sensitive data ({keyword} \"{name}\")");
    report.add(&RULE, instruction.into(), message);
}

/// Whether a variable of this name is likely to hold something secret.
fn is_secret(name: &str) -> bool {
    static SECRET: LazyLock<Regex> = LazyLock::new(|| {
        let words = "apikey|auth|credential|credentials|key|password|pword|passwd|secret|token";
        Regex::new(&format!("(?i)(?:_|^)(?:{words})(?:_|$)")).expect("invariant: a constant that compiles")
    });
    static HARMLESS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("(?i)(?:_|^)(?:public|file|version)(?:_|$)").expect("invariant: a constant that compiles")
    });
    SECRET.is_match(name) && !HARMLESS.is_match(name)
}
