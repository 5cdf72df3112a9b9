//! `UndefinedArgInFrom`.

use crate::dockerfile::{Dockerfile, Stage};
use crate::global::Globals;
use crate::instruction::InstructionKind;
use crate::lex::{Expansion, Lexer};
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::span::Word;
use crate::suggest;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "UndefinedArgInFrom",
    severity: Severity::Warning,
    summary: "FROM command must use declared ARGs",
    why: "Only an `ARG` in front of the first `FROM`, or a predefined one, can be used in `FROM`. Any other is empty there.",
    bad: Example::of("FROM --platform=linux/$ARCHITECTURE scratch AS built\n"),
    good: Example::of("ARG ARCHITECTURE=amd64\nFROM --platform=linux/$ARCHITECTURE scratch AS built\n"),
};

/// Expands a word of `FROM` and asks whether all its arguments are declared.
pub(in crate::lint) fn check(
    word: &Word,
    stage: &Stage,
    dockerfile: &Dockerfile,
    globals: &Globals,
    report: &mut Report,
) -> Expansion {
    let (expansion, _) = Lexer::new(dockerfile.escape).read(&word.value, &globals.args);
    let declared = dockerfile.globals.iter().flat_map(|instruction| match &instruction.kind {
        InstructionKind::Arg(words) => words.as_slice(),
        _ => &[],
    });
    let known: Vec<&str> = declared.map(|word| word.name.as_str()).chain(globals.args.names()).collect();
    for name in expansion.unmatched.iter().filter(|name| !known.contains(&name.as_str())) {
        let nearest = suggest::nearest(name, known.iter().copied());
        let hint = nearest.map(|nearest| format!(" (did you mean {nearest}?)")).unwrap_or_default();
        report.add(&RULE, stage.into(), format!("FROM argument '{name}' is not declared{hint}"));
    }
    expansion
}
