//! `ConflictingInstalls`.

use crate::lint::LintContext;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::Scene;
use crate::lint::script::Asked;
use std::collections::BTreeMap;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "ConflictingInstalls",
    severity: Severity::Advice,
    summary: "One distribution should be asked for in one version",
    why: "The second installation removes what the first one brought, in a layer above: the image holds both, and whichever requirement was named last wins without a word.",
    bad: Example::of("FROM python:3.13\nRUN pip install numpy==2.1.0\nRUN pip install numpy==1.26.4\n"),
    good: Example::of("FROM python:3.13\nRUN pip install numpy==1.26.4\nRUN pip install scipy==1.14.0\n"),
};

pub(in crate::lint) fn check(scene: &Scene, context: &LintContext, report: &mut Report) {
    let mut known: BTreeMap<String, (Asked, usize)> = BTreeMap::new();
    for act in scene.shipped() {
        let line = act.instruction.lines.0;
        for asked in act.installs().iter().flat_map(|install| context.asked(install)) {
            // Without a version, what is installed already will do.
            if asked.specifier.is_empty() {
                continue;
            }
            if let Some((before, above)) = known.get(&asked.name)
                && before.specifier != asked.specifier
                && *above != line
            {
                let message = format!(
                    "{}{} is asked for here, and {}{} in line {above}",
                    asked.name, asked.specifier, before.name, before.specifier
                );
                report.add(&RULE, act.instruction.into(), message);
            }
            known.insert(asked.name.clone(), (asked, line));
        }
    }
}
