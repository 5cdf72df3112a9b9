//! `ConsistentInstructionCasing`.

use crate::dockerfile::Dockerfile;
use crate::lint::report::{Edit, Place, Report};
use crate::lint::rule::{Example, Rule, Severity};
use crate::span::Word;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "ConsistentInstructionCasing",
    severity: Severity::Warning,
    summary: "All commands within the Dockerfile should use the same casing (either upper or lower)",
    why: "Mixed case makes a file harder to read. What the majority of the instructions has is right.",
    bad: Example::of("FROM scratch\nCOPY a b\nRun true\n"),
    good: Example::of("FROM scratch\nCOPY a b\nRUN true\n"),
};

pub(in crate::lint) fn check(dockerfile: &Dockerfile, report: &mut Report) {
    let stages = dockerfile.stages.iter();
    let keywords: Vec<(&Word, Place<'_>)> = stages
        .flat_map(|stage| {
            let instructions = stage.instructions.iter();
            let instructions = instructions.map(|instruction| (&instruction.keyword, instruction.into()));
            std::iter::once((&stage.keyword, stage.into())).chain(instructions)
        })
        .collect();
    let count = |case: fn(&str) -> String| {
        keywords.iter().filter(|(word, _)| word.value == case(&word.value)).count()
    };
    let is_lower = count(str::to_lowercase) > count(str::to_uppercase);
    for (word, place) in keywords {
        let value = &word.value;
        let (wanted, case) =
            if is_lower { (value.to_lowercase(), "lowercase") } else { (value.to_uppercase(), "uppercase") };
        if *value != wanted {
            let message = format!("Command '{value}' should match the case of the command majority ({case})");
            let fix = vec![Edit { span: word.span, text: wanted }];
            report.add_with_fixes(&RULE, place.without_comments(), message, vec![fix]);
        }
    }
}
