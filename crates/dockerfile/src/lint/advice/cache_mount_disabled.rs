//! `CacheMountDisabled`.

use crate::lint::LintContext;
use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::Scene;
use crate::lint::script::Install;
use crate::step::{Mount, MountKind, Run};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "CacheMountDisabled",
    severity: Severity::Advice,
    summary: "A step with a cache mount should use the cache",
    why: "The mount keeps what was downloaded for the next build, and the option or variable keeps the tool from looking there.",
    bad: Example::of(
        "FROM python:3.13\nRUN --mount=type=cache,target=/root/.cache/pip pip install --no-cache-dir flask==3.0.0\n",
    ),
    good: Example::of(
        "FROM python:3.13\nRUN --mount=type=cache,target=/root/.cache/pip pip install flask==3.0.0\n",
    ),
};

pub(in crate::lint) fn check(scene: &Scene, _: &LintContext, report: &mut Report) {
    for (index, _) in scene.needed() {
        for act in scene.acts(index) {
            let Some(run) = act.run() else { continue };
            let Some(target) = run.mounts.iter().find(|mount| is_cache(mount)).map(|mount| &mount.target)
            else {
                continue;
            };
            for install in act.installs() {
                if let Some(reason) = disabled(&install, run) {
                    let message = format!("The cache mounted at {target} is not used: {reason} turns it off");
                    report.add(&RULE, act.instruction.into(), message);
                }
            }
        }
    }
}

/// Whether it is where pip or uv keep what they downloaded.
fn is_cache(mount: &Mount) -> bool {
    let names = ["pip", "uv", ".cache"];
    let last = mount.target.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    matches!(mount.kind, MountKind::Cache { .. }) && names.contains(&last)
}

/// What keeps an installation from using its cache.
fn disabled(install: &Install, run: &Run) -> Option<&'static str> {
    let flag = ["--no-cache-dir", "--no-cache"].into_iter().find(|flag| install.has(flag));
    let is_on = |name: &&str| {
        let value =
            run.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.to_lowercase());
        value.is_some_and(|value| ["1", "true", "yes", "on", "t", "y"].contains(&value.as_str()))
    };
    flag.or_else(|| ["PIP_NO_CACHE_DIR", "UV_NO_CACHE"].into_iter().find(is_on))
}
