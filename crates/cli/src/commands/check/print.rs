//! How findings are printed: as `docker build --check` does, as its JSON, as SARIF, as annotations of a workflow.

use std::fmt::Write as _;
use std::io::{self, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cartwheel_dockerfile::{Diagnostic, Finding, Lint, Position, Severity};
use serde_json::{Value, json};

use crate::args::CheckFormat;
use crate::commands::check::Checked;

/// Where BuildKit's rules are described; `docker build --check` shows these addresses.
const RULES: &str = "https://docs.docker.com/go/dockerfile/rule/";

/// Prints what was found. An error goes to standard error, unless the format has a place for it.
pub(super) fn print(checked: &Checked, format: CheckFormat, output: &mut impl Write) -> io::Result<()> {
    match format {
        CheckFormat::Text => text(checked, output),
        CheckFormat::Json => writeln!(output, "{:#}", json(checked)),
        CheckFormat::Sarif => writeln!(output, "{:#}", sarif(checked)),
        CheckFormat::Github => output.write_all(github(checked).as_bytes()),
    }
}

/// What `# check=error=true` makes of findings.
fn violation(lint: &Lint) -> Option<String> {
    let mut rules: Vec<&str> =
        lint.findings.iter().filter(|found| !is_advice(found)).map(|found| found.rule.name).collect();
    rules.sort_unstable();
    rules.dedup();
    let fails = lint.is_strict && lint.error.is_none() && !rules.is_empty();
    fails.then(|| format!("lint violation found for rules: {}", rules.join(", ")))
}

fn is_advice(finding: &Finding) -> bool {
    finding.rule.severity == Severity::Advice
}

fn url(finding: &Finding) -> Option<String> {
    (!is_advice(finding)).then(|| format!("{RULES}{}/", finding.rule.slug()))
}

fn text(checked: &Checked, output: &mut impl Write) -> io::Result<()> {
    let (mut advice, mut warnings): (Vec<&Finding>, Vec<&Finding>) =
        checked.lint.findings.iter().partition(|finding| is_advice(finding));
    match warnings.len() {
        0 => {}
        1 => writeln!(output, "Check complete, 1 warning has been found!")?,
        count => writeln!(output, "Check complete, {count} warnings have been found!")?,
    }
    warnings.sort_by_key(|finding| finding.lines.0);
    advice.sort_by_key(|finding| finding.lines.0);
    if warnings.is_empty() && checked.lint.error.is_none() {
        writeln!(output, "Check complete, no warnings found.")?;
    }
    for finding in warnings.into_iter().chain(advice) {
        let kind = if is_advice(finding) { "ADVICE" } else { "WARNING" };
        let url = url(finding).map(|url| format!(" - {url}")).unwrap_or_default();
        writeln!(output, "\n{kind}: {}{url}\n{}", finding.rule.name, finding.message)?;
        output.write_all(excerpt(&checked.path, &checked.text, finding.lines).as_bytes())?;
    }
    output.flush()?;
    if let Some(error) = &checked.lint.error {
        eprint!("error: {}", error.render(&checked.path, &checked.text));
    }
    if let Some(message) = violation(&checked.lint) {
        eprintln!("error: {message}");
    }
    Ok(())
}

/// The lines of a finding and some around them, as BuildKit shows them; nothing if it is about none.
fn excerpt(path: &str, text: &str, (first, last): (usize, usize)) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    if first == 0 || first > lines.len() {
        return String::new();
    }
    let (mut start, mut end) = (first, last.min(lines.len()));
    let around = if start == end { 4 } else { 2 };
    let mut added = 0;
    while added < around {
        if start > 1 {
            start -= 1;
            added += 1;
        }
        if end != lines.len() {
            end += 1;
            added += 1;
        }
        added += 1;
    }
    let mut shown = format!("{path}:{first}\n--------------------\n");
    for (number, line) in (1..).zip(&lines).take(end).skip(start - 1) {
        let mark = if (first..=last).contains(&number) { ">>>" } else { "   " };
        let _ = writeln!(shown, " {number:3} | {mark} {line}");
    }
    shown + "--------------------\n"
}

/// As BuildKit has it. Advice is beside the warnings, so that who counts these counts what Docker would.
fn json(checked: &Checked) -> Value {
    let of = |finding: &Finding| {
        let mut value = json!({
            "ruleName": finding.rule.name,
            "description": finding.rule.summary,
            "detail": finding.message,
            "location": location(finding.lines),
        });
        if let Some(url) = url(finding) {
            value["url"] = json!(url);
        }
        value
    };
    let (advice, warnings): (Vec<&Finding>, Vec<&Finding>) =
        checked.lint.findings.iter().partition(|finding| is_advice(finding));
    let source = json!({
        "filename": checked.path,
        "language": "Dockerfile",
        "data": BASE64_STANDARD.encode(&checked.text),
    });
    let mut result = json!({
        "warnings": warnings.into_iter().map(of).collect::<Vec<_>>(),
        "sources": [source],
    });
    if !advice.is_empty() {
        result["advice"] = advice.into_iter().map(of).collect();
    }
    if let Some((message, lines)) = error(checked) {
        result["buildError"] = json!({ "message": message, "location": location(lines) });
    }
    result
}

/// What a build would stop at, and where.
fn error(checked: &Checked) -> Option<(String, (usize, usize))> {
    let place = |error: &Diagnostic| {
        let line = |offset| Position::of(&checked.text, offset).line;
        (error.message.clone(), (line(error.span.start), line(error.span.end.max(1) - 1)))
    };
    let error = checked.lint.error.as_ref().map(place);
    error.or_else(|| Some((violation(&checked.lint)?, (0, 0))))
}

/// One range for each line.
fn location((first, last): (usize, usize)) -> Value {
    if first == 0 {
        return json!({});
    }
    let range = |line| json!({ "start": { "line": line }, "end": { "line": line } });
    json!({ "ranges": (first..=last.max(first)).map(range).collect::<Vec<_>>() })
}

fn sarif(checked: &Checked) -> Value {
    let findings = &checked.lint.findings;
    let mut rules: Vec<_> = findings.iter().map(|finding| finding.rule).collect();
    rules.sort_by_key(|rule| rule.name);
    rules.dedup();
    let rules = rules.into_iter().map(|rule| {
        json!({ "id": rule.name, "shortDescription": { "text": rule.summary }, "fullDescription": { "text": rule.why } })
    });
    let result = |rule: &str, level: &str, message: &str, (first, last): (usize, usize)| {
        let mut place = json!({ "artifactLocation": { "uri": checked.path } });
        if first > 0 {
            place["region"] = json!({ "startLine": first, "endLine": last.max(first) });
        }
        json!({
            "ruleId": rule,
            "level": level,
            "message": { "text": message },
            "locations": [{ "physicalLocation": place }],
        })
    };
    let results = findings.iter().map(|finding| {
        let level = if is_advice(finding) { "note" } else { "warning" };
        result(finding.rule.name, level, &finding.message, finding.lines)
    });
    let error = error(checked).map(|(message, lines)| result("BuildError", "error", &message, lines));
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "cartwheel", "rules": rules.collect::<Vec<_>>() } },
            "results": results.chain(error).collect::<Vec<_>>(),
        }],
    })
}

fn github(checked: &Checked) -> String {
    let line = |level: &str, title: &str, message: &str, (first, last): (usize, usize)| {
        let lines =
            if first > 0 { format!(",line={first},endLine={}", last.max(first)) } else { String::new() };
        let (path, title) = (property(&checked.path), property(title));
        format!("::{level} file={path}{lines},title={title}::{}\n", escaped(message))
    };
    let findings = checked.lint.findings.iter().map(|finding| {
        let level = if is_advice(finding) { "notice" } else { "warning" };
        line(level, finding.rule.name, &finding.message, finding.lines)
    });
    let error = error(checked).map(|(message, lines)| line("error", "Dockerfile", &message, lines));
    findings.chain(error).collect()
}

/// The text of a workflow command.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property of one.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_buildkits() {
        let text = "a\nb\nc\nd\ne\nf\n";
        assert_eq!(
            excerpt("D", text, (3, 3)),
            "D:3\n--------------------\n   1 |     a\n   2 |     b\n   3 | >>> c\n   4 |     d\n   5 |     e\n--------------------\n"
        );
        assert_eq!(
            excerpt("D", text, (1, 2)),
            "D:1\n--------------------\n   1 | >>> a\n   2 | >>> b\n   3 |     c\n--------------------\n"
        );
        assert_eq!(excerpt("D", text, (0, 0)), "");
    }

    #[test]
    fn workflow_commands_are_escaped() {
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
        assert_eq!(escaped("a:b"), "a:b");
    }
}
