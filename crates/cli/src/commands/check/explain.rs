//! `cartwheel check --explain`.

use std::fmt::Write;

use cartwheel_dockerfile::{Example, Rule, Severity, lint_rules};

use crate::error::Failure;

/// What a rule asks for and why, or a list of all.
pub(super) fn explain(name: &str) -> Result<String, Failure> {
    if name == "all" {
        let width = lint_rules().map(|rule| rule.name.len()).max().unwrap_or_default();
        let line = |rule: &Rule| format!("{:width$}  {:12}  {}\n", rule.name, severity(rule), rule.summary);
        return Ok(lint_rules().map(line).collect());
    }
    let rule = lint_rules().find(|rule| rule.name.eq_ignore_ascii_case(name)).ok_or_else(|| unknown(name))?;
    let mut text = format!("{} ({})\n{}.\n\n{}\n", rule.name, severity(rule), rule.summary, rule.why);
    for (title, example) in [("bad", rule.bad), ("good", rule.good)] {
        let _ = write!(text, "\n{title}:\n\n{}", shown(example));
    }
    Ok(text)
}

/// There is no rule of this name.
pub(super) fn unknown(name: &str) -> Failure {
    Failure::user(format!("there is no rule `{name}`"))
        .with_hint("`cartwheel check --explain all` lists the rules")
}

fn severity(rule: &Rule) -> &'static str {
    match rule.severity {
        Severity::Warning => "warning",
        Severity::Experimental => "experimental",
        Severity::Advice => "advice",
    }
}

/// An example, its files behind it.
fn shown(example: Example) -> String {
    let mut text = String::new();
    for line in example.dockerfile.lines() {
        let _ = writeln!(text, "    {line}");
    }
    for (path, content) in example.files {
        let _ = writeln!(text, "    # {path}: {}", content.trim_end().replace('\n', ", "));
    }
    text
}
