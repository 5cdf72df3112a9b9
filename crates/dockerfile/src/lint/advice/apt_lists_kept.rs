//! `AptListsKept`.

use crate::lint::LintContext;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::Scene;
use crate::lint::script::program;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "AptListsKept",
    severity: Severity::Advice,
    summary: "Remove the lists of apt in the step that brings them",
    why: "`apt-get update` writes tens of megabytes below /var/lib/apt/lists. What a later step removes stays in the layer.",
    bad: Example::of("FROM python:3.13\nRUN apt-get update && apt-get install -y libpq5\n"),
    good: Example::of(
        "FROM python:3.13\nRUN apt-get update && apt-get install -y libpq5 && rm -rf /var/lib/apt/lists/*\n",
    ),
};

const LISTS: &str = "/var/lib/apt";

pub(in crate::lint) fn check(scene: &Scene, _: &LintContext, report: &mut Report) {
    for act in scene.shipped() {
        let Some(run) = act.run() else { continue };
        let commands = act.commands();
        let updates = commands.iter().any(|words| {
            ["apt-get", "apt"].contains(&program(words)) && words.iter().any(|word| word == "update")
        });
        let removes = commands
            .iter()
            .any(|words| program(words) == "rm" && words.iter().any(|word| word.starts_with(LISTS)));
        let is_mounted = run.mounts.iter().any(|mount| mount.target.starts_with(LISTS));
        if updates && !removes && !is_mounted {
            let message = "The lists that apt-get update downloads stay in the layer";
            report.add(&RULE, act.instruction.into(), message.to_owned());
        }
    }
}
