//! `BuildToolsKept`.

use crate::lint::LintContext;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::Scene;
use crate::lint::script::program;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "BuildToolsKept",
    severity: Severity::Advice,
    summary: "Compilers and headers belong in a stage of their own",
    why: "A compiler is hundreds of megabytes that the service never runs. Build wheels in one stage and copy them, or use wheels that exist; a later step that removes the compiler makes the image no smaller.",
    bad: Example::of(
        "FROM python:3.13-slim\nRUN apt-get update && apt-get install -y gcc && rm -rf /var/lib/apt/lists/*\n",
    ),
    good: Example::of(
        "FROM python:3.13-slim AS build\nRUN apt-get update && apt-get install -y gcc && pip wheel -w /wheels uwsgi==2.0.28\nFROM python:3.13-slim\nCOPY --from=build /wheels /wheels\n",
    ),
};

const TOOLS: [&str; 12] = [
    "build-essential",
    "gcc",
    "g++",
    "clang",
    "make",
    "cmake",
    "gfortran",
    "rustc",
    "cargo",
    "python3-dev",
    "python-dev",
    "libpython3-dev",
];

pub(in crate::lint) fn check(scene: &Scene, _: &LintContext, report: &mut Report) {
    for act in scene.shipped() {
        let commands = act.commands();
        let tools: Vec<&str> = commands.iter().flat_map(|words| installed(words)).collect();
        // What goes in the same step was never in a layer.
        let removes = commands.iter().any(|words| {
            is_apt(words)
                && words.iter().any(|word| ["purge", "remove", "autoremove"].contains(&word.as_str()))
        });
        if !tools.is_empty() && !removes {
            report.add(&RULE, act.instruction.into(), format!("The image keeps {}", tools.join(", ")));
        }
    }
}

fn is_apt(words: &[String]) -> bool {
    ["apt-get", "apt", "apk"].contains(&program(words))
}

fn installed(words: &[String]) -> Vec<&str> {
    let is_install = is_apt(words) && words.iter().any(|word| word == "install" || word == "add");
    let names = words.iter().filter(|_| is_install).map(|word| word.split('=').next().unwrap_or_default());
    names.filter(|name| TOOLS.contains(name)).collect()
}
