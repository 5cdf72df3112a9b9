//! `LongTimeout`.

use crate::instruction::{Instruction, InstructionKind};
use crate::lint::LintContext;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::Scene;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "LongTimeout",
    severity: Severity::Advice,
    summary: "A download should time out within minutes",
    why: "A timeout is how long nothing at all may arrive. With an hour, and the retries of the tool, one dead connection holds a build for half a day; a new connection would have gone on at once.",
    bad: Example::of("FROM python:3.13\nRUN pip install --timeout=6000 flask==3.0.0\n"),
    good: Example::of("FROM python:3.13\nRUN pip install --timeout=60 flask==3.0.0\n"),
};

/// Seconds that are a patience and not a mistake.
const LONGEST: u64 = 600;

/// Variables that set a timeout for all steps.
const VARIABLES: [&str; 2] = ["PIP_DEFAULT_TIMEOUT", "UV_HTTP_TIMEOUT"];

pub(in crate::lint) fn check(scene: &Scene, _: &LintContext, report: &mut Report) {
    for (index, _) in scene.needed() {
        for act in scene.acts(index) {
            let installs = act.installs();
            let options = installs
                .iter()
                .flat_map(|install| install.values("--timeout").chain(install.values("--default-timeout")));
            for seconds in
                options.chain(variables(act.instruction)).filter_map(|text| text.parse::<u64>().ok())
            {
                if seconds > LONGEST {
                    let message = format!("A dead connection is waited for {seconds} seconds");
                    report.add(&RULE, act.instruction.into(), message);
                }
            }
        }
    }
}

/// The timeouts that an `ENV` sets.
fn variables(instruction: &Instruction) -> impl Iterator<Item = &str> {
    let pairs = match &instruction.kind {
        InstructionKind::Env(pairs) => pairs.as_slice(),
        _ => &[],
    };
    let timeouts = pairs.iter().filter(|pair| VARIABLES.contains(&pair.name.value.as_str()));
    timeouts.map(|pair| pair.value.value.trim_matches('"'))
}
