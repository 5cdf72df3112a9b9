//! `InvalidDefinitionDescription`.

use crate::instruction::{Instruction, InstructionKind};
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "InvalidDefinitionDescription",
    severity: Severity::Experimental,
    summary: "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    why: "`docker build --call=outline` shows the comment right above an `ARG` or a named `FROM` as its description, if it begins with the name.",
    bad: Example::of(
        "# check=experimental=InvalidDefinitionDescription\n\n# the version of Python\nARG VERSION=3.13\nFROM python:$VERSION\n",
    ),
    good: Example::of(
        "# check=experimental=InvalidDefinitionDescription\n\n# VERSION is the version of Python\nARG VERSION=3.13\nFROM python:$VERSION\n",
    ),
};

pub(in crate::lint) fn check(instruction: &Instruction, report: &mut Report) {
    let (keyword, names) = match &instruction.kind {
        InstructionKind::From(from) => ("FROM", from.name.iter().map(|name| name.value.as_str()).collect()),
        InstructionKind::Arg(words) => ("ARG", words.iter().map(|word| word.name.as_str()).collect()),
        _ => ("", Vec::new()),
    };
    let Some(comment) = instruction.comments.last() else { return };
    let example = match names.as_slice() {
        [] => return,
        [name] => name,
        _ => "<arg_key>",
    };
    if !names.contains(&comment.split(' ').next().unwrap_or_default()) {
        let message = format!("Comment for {keyword} should follow the format: `# {example} <description>`");
        report.add(&RULE, instruction.into(), message);
    }
}
