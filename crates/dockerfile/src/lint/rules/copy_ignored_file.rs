//! `CopyIgnoredFile`.

use crate::evaluate::Note;
use crate::instruction::{Instruction, InstructionKind};
use crate::lint::LintContext;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::pattern::clean;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "CopyIgnoredFile",
    severity: Severity::Warning,
    summary: "Attempting to Copy file that is excluded by .dockerignore",
    why: "What the ignore file leaves out is not there to be copied; the build fails at this line.",
    bad: Example::with("FROM scratch\nCOPY app.py .\n", &[(".dockerignore", "*.py\n"), ("app.py", "")]),
    good: Example::with("FROM scratch\nCOPY app.py .\n", &[(".dockerignore", "*.md\n"), ("app.py", "")]),
};

pub(in crate::lint) fn check(
    note: &Note,
    instruction: &Instruction,
    context: Option<&LintContext>,
    report: &mut Report,
) {
    let (Note::Source(path), Some(ignore)) = (note, context.and_then(|context| context.ignore.as_ref()))
    else {
        return;
    };
    // What exceptions take back is too much for a rule to tell.
    if ignore.patterns().any(|pattern| pattern.starts_with('!')) {
        return;
    }
    let path = clean(path);
    // These are the context, which no pattern but one for everything leaves out.
    let is_root = path == "." || path == "/";
    let is_hidden =
        !is_root || ignore.patterns().any(|pattern| ["*", "**", "**/*"].contains(&pattern.as_str()));
    if is_hidden && ignore.names(&path) {
        let verb = match &instruction.kind {
            InstructionKind::Copy(copy) if copy.is_add => "Add",
            _ => "Copy",
        };
        let message = format!("Attempting to {verb} file \"{path}\" that is excluded by .dockerignore");
        report.add(&RULE, instruction.into(), message);
    }
}
