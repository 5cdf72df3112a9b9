//! `RecursiveChange`.

use crate::lint::LintContext;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::{Scene, bytes, takes};
use crate::lint::script::program;
use crate::step::{Copy, CopyFrom, StepKind};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "RecursiveChange",
    severity: Severity::Advice,
    summary: "Give files their owner and mode when they are copied",
    why: "A layer holds whole files: `chown -R` and `chmod -R` of what lower layers hold write every file a second time. `COPY --chown --chmod` costs nothing.",
    bad: Example::with(
        "FROM python:3.13\nCOPY . /app\nRUN chown -R 1000:1000 /app\n",
        &[("app.py", "print()")],
    ),
    good: Example::with("FROM python:3.13\nCOPY --chown=1000:1000 . /app\n", &[("app.py", "print()")]),
};

pub(in crate::lint) fn check(scene: &Scene, context: &LintContext, report: &mut Report) {
    let mut copies = Vec::new();
    for act in scene.shipped() {
        if let StepKind::Copy(copy) = &act.step.kind {
            copies.push(copy);
        }
        for words in act.commands() {
            let Some(paths) = changed(&words) else { continue };
            let doubled: Vec<&Copy> = copies
                .iter()
                .map(|copy| &***copy)
                .filter(|copy| paths.iter().any(|path| is_below(&copy.destination, path)))
                .collect();
            if !doubled.is_empty() {
                let message = format!(
                    "{} -R writes {} again that {} brought",
                    program(&words),
                    size(&doubled, context),
                    if doubled.len() == 1 { "a COPY above" } else { "COPYs above" }
                );
                report.add(&RULE, act.instruction.into(), message);
            }
        }
    }
}

/// The paths of a change that goes through directories.
fn changed(words: &[String]) -> Option<Vec<&str>> {
    let is_change = ["chown", "chmod", "chgrp"].contains(&program(words));
    let is_recursive = |word: &String| {
        word == "--recursive" || (word.starts_with('-') && !word.starts_with("--") && word.contains('R'))
    };
    let paths = words.iter().skip(1).filter(|word| word.starts_with('/')).map(String::as_str);
    (is_change && words.iter().any(is_recursive)).then(|| paths.collect())
}

fn is_below(destination: &str, path: &str) -> bool {
    let rest = destination.strip_prefix(path.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// How much was copied, as far as the context tells.
fn size(copies: &[&Copy], context: &LintContext) -> String {
    let is_known = copies.iter().all(|copy| copy.from == CopyFrom::Context);
    let files = context.left().filter(|file| copies.iter().any(|copy| takes(copy, &file.path)));
    if is_known { bytes(files.map(|file| file.size).sum()) } else { "all files".to_owned() }
}
