//! Parser directives: `# syntax=`, `# escape=` and `# check=` at the very top.

use std::sync::LazyLock;

use regex::Regex;

use crate::diagnostic::{Code, Diagnostic};
use crate::lint::LintSettings;
use crate::span::{Span, Word};

/// The directives that are known; anything else in a comment ends them.
const NAMES: [&str; 3] = ["syntax", "escape", "check"];

/// A directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// `syntax`, `escape` or `check`.
    pub name: String,
    /// What it is set to, without the space around it.
    pub value: Word,
}

/// Reads directives from the top of a text, as long as there are any.
#[derive(Debug, Default)]
pub(super) struct DirectiveReader {
    pub(super) found: Vec<Directive>,
    done: bool,
}

impl DirectiveReader {
    /// The directive on `line`, which begins at `offset`; nothing if it has none, and then no later line has.
    pub(super) fn read(&mut self, line: &str, offset: usize) -> Result<Option<Directive>, Diagnostic> {
        static DIRECTIVE: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"^#\s*([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*$")
                .expect("invariant: a constant that compiles")
        });
        if self.done {
            return Ok(None);
        }
        let groups = DIRECTIVE.captures(line).and_then(|groups| Some((groups.get(1)?, groups.get(2)?)));
        let known = groups.map(|(name, value)| (name.as_str().to_lowercase(), value));
        let Some((name, value)) = known.filter(|(name, _)| NAMES.contains(&name.as_str())) else {
            self.done = true;
            return Ok(None);
        };
        let span = Span::new(offset + value.start(), offset + value.end());
        if self.found.iter().any(|directive| directive.name == name) {
            let message = format!("directive `{name}` is given twice");
            return Err(Diagnostic::new(Code::Directive, message, Span::new(offset, span.end))
                .with_help("remove one of them, or put an empty line in front of what is a comment"));
        }
        let directive = Directive { name, value: Word { value: value.as_str().to_owned(), span } };
        check(&directive)?;
        self.found.push(directive.clone());
        Ok(Some(directive))
    }
}

fn check(directive: &Directive) -> Result<(), Diagnostic> {
    let Word { value, span } = &directive.value;
    if directive.name == "escape" && value != "\\" && value != "`" {
        let message = format!("`{value}` cannot be the escape character");
        return Err(
            Diagnostic::new(Code::Directive, message, *span).with_help("only `\\` and a backtick can")
        );
    }
    Ok(())
}

impl Directive {
    /// What is wrong with the options of `# check=`.
    pub(crate) fn check_options(&self) -> Result<(), Diagnostic> {
        if self.name != "check" {
            return Ok(());
        }
        LintSettings::parse(&self.value.value).map(|_| ()).map_err(|problem| {
            Diagnostic::new(Code::Directive, problem, self.value.span)
                .with_help("it is written as `skip=all`, `skip=RuleA,RuleB`, `error=true`, joined by `;`")
        })
    }
}

/// What `# check=` says at the top of a text.
///
/// It is looked for by itself: below a `#!` line, where other directives are comments, it counts; with space in front
/// of its `#`, where others count, it does not.
pub(crate) fn check_directive(text: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = if text.starts_with("#!") { text.split_once('\n')?.1 } else { text };
    let mut reader = DirectiveReader::default();
    let mut lines = text.lines().take_while(|line| line.starts_with('#'));
    while let Ok(Some(directive)) = reader.read(lines.next()?, 0) {
        if directive.name == "check" {
            return Some(directive.value.value);
        }
    }
    None
}

/// What the first `check=` in comments above an instruction says.
pub(crate) fn check_comment(comments: &[String]) -> Option<String> {
    comments.iter().find_map(|comment| {
        let directive = DirectiveReader::default().read(&format!("#{comment}"), 0);
        directive.ok().flatten().filter(|directive| directive.name == "check").map(|found| found.value.value)
    })
}

/// The words that mean yes and no wherever BuildKit asks Go.
pub(crate) fn is_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Vec<(String, String)>, String> {
        let mut reader = DirectiveReader::default();
        for line in lines {
            reader.read(line, 0).map_err(|diagnostic| diagnostic.message)?;
        }
        Ok(reader.found.into_iter().map(|directive| (directive.name, directive.value.value)).collect())
    }

    #[test]
    fn directives_are_at_the_top() {
        let found = read(&["# Syntax = a/b:1 ", "#escape=`", "# other=1", "# check=skip=all"]).unwrap();
        assert_eq!(found, [("syntax".into(), "a/b:1".into()), ("escape".into(), "`".into())]);
        assert_eq!(read(&["", "# escape=`"]).unwrap(), []);
        assert_eq!(read(&["# a comment", "# escape=`"]).unwrap(), []);
    }

    #[test]
    fn what_is_no_directive() {
        assert_eq!(read(&["# escape=x"]).unwrap_err(), "`x` cannot be the escape character");
        assert_eq!(read(&["# escape=`", "# escape=`"]).unwrap_err(), "directive `escape` is given twice");
    }

    #[test]
    fn check_options() {
        let problem = |value: &str| {
            let value = Word { value: value.to_owned(), span: Span::default() };
            let directive = Directive { name: "check".to_owned(), value };
            directive.check_options().err().map(|diagnostic| diagnostic.message)
        };
        assert_eq!(problem("skip=A,B;error=true rest"), None);
        assert_eq!(problem("a").as_deref(), Some("`a` is no check option"));
        assert_eq!(problem("a=b").as_deref(), Some("`a` is no check option"));
        assert_eq!(problem("error=maybe").as_deref(), Some("check option `error` cannot be `maybe`"));
    }
}
