//! `check`: what must be clean before every commit, and needs nothing but Rust.

use crate::project::Project;
use crate::{Result, command, rules, test};

/// Formatting, lints, rules, and the tests that need no peer.
pub(crate) fn run(project: &Project) -> Result {
    command::shown(test::cargo(project).args(["fmt", "--all", "--check"]))?;
    rules(project)?;
    let lints = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    command::shown(test::cargo(project).args(lints))?;
    command::shown(test::cargo(project).args(["test", "--workspace"]))
}

/// The project's own rules.
pub(crate) fn rules(project: &Project) -> Result {
    let findings = rules::findings(project.root())?;
    if findings.is_empty() {
        println!("check-deps: every rule holds");
        return Ok(());
    }
    Err(format!("check-deps: {} findings\n  {}", findings.len(), findings.join("\n  ")).into())
}
