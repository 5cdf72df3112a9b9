//! `UnpinnedRequirements`.

use crate::lint::LintContext;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::Scene;
use crate::lint::script::Asked;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "UnpinnedRequirements",
    severity: Severity::Advice,
    summary: "Requirements should be pinned to one version each",
    why: "What is not pinned is whatever the index has on the day of the build: two builds of one commit differ, and a new release upstream can break an image that nobody touched. A lockfile, or a constraints file, pins what requirements need in turn.",
    bad: Example::with(
        "FROM python:3.13\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n",
        &[("requirements.txt", "flask\nnumpy>=2\n")],
    ),
    good: Example::with(
        "FROM python:3.13\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n",
        &[("requirements.txt", "flask==3.0.0\nnumpy==2.1.0\n")],
    ),
};

/// What pip brings or is brought by; it is upgraded on purpose.
const TOOLS: [&str; 4] = ["pip", "setuptools", "wheel", "uv"];

pub(in crate::lint) fn check(scene: &Scene, context: &LintContext, report: &mut Report) {
    for (index, _) in scene.needed() {
        for act in scene.acts(index) {
            for install in act.installs() {
                // What constraints pin is not known here.
                if install.either("-c", "--constraint").next().is_some() {
                    continue;
                }
                let asked = context.asked(&install);
                let is_loose = |asked: &&Asked| !asked.is_pinned() && !TOOLS.contains(&asked.name.as_str());
                let loose: Vec<&Asked> = asked.iter().filter(is_loose).collect();
                if let Some(first) = loose.first() {
                    let (count, all) = (loose.len(), asked.len());
                    let message =
                        format!("{count} of {all} requirements are not pinned, {} first", first.name);
                    report.add(&RULE, act.instruction.into(), message);
                }
            }
        }
    }
}
