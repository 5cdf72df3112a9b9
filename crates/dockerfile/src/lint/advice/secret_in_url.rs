//! `SecretInUrl`.

use crate::lint::LintContext;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::{Act, Scene};
use regex::Regex;
use std::sync::LazyLock;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "SecretInUrl",
    severity: Severity::Advice,
    summary: "An address should not have a password in it",
    why: "Every instruction is in the history of the image as it is written, and arguments with their values. The address of an index belongs in the settings of whoever builds, a password in a secret.",
    bad: Example::of(
        "FROM python:3.13\nRUN pip install --index-url https://user:secret@example.org/simple app==1.0\n",
    ),
    good: Example::of(
        "FROM python:3.13\nRUN --mount=type=secret,id=index,env=PIP_INDEX_URL pip install app==1.0\n",
    ),
};

pub(in crate::lint) fn check(scene: &Scene, _: &LintContext, report: &mut Report) {
    static PASSWORD: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"[a-z][a-z0-9+.-]*://[^\s/@:"']*:([^\s/@"']+)@([^\s/"'?#]+)"#)
            .expect("invariant: a constant that compiles")
    });
    for (index, _) in scene.needed() {
        for act in scene.acts(index) {
            let text = written(act);
            // The password itself is never shown.
            for (password, host) in
                PASSWORD.captures_iter(&text).filter_map(|found| Some((found.get(1)?, found.get(2)?)))
            {
                if is_kept(password.as_str(), act) {
                    let message =
                        format!("The history of the image shows the password for {}", host.as_str());
                    report.add(&RULE, act.instruction.into(), message);
                }
            }
        }
    }
}

/// The instruction as it is written, its script included.
fn written(act: Act<'_>) -> String {
    let script = act.run().and_then(|run| run.script.as_deref());
    script.unwrap_or(&act.instruction.text).to_owned()
}

/// Whether the history has the password: as it is written, or as the value of an argument or variable.
fn is_kept(password: &str, act: Act<'_>) -> bool {
    let Some(name) = password.strip_prefix('$') else { return true };
    let name = name.trim_start_matches('{').trim_end_matches('}');
    match act.run() {
        Some(run) => run.env.iter().chain(&run.args).any(|(known, _)| known == name),
        None => true,
    }
}
