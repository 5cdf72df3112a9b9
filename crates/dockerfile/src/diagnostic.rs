//! What is wrong with a Dockerfile, where, and what to do about it.

use std::fmt::{self, Write};

use crate::span::{Position, Span};

/// A finding about a place in a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind of finding, for those who look it up.
    pub code: Code,
    /// What is wrong: lowercase, without a final period.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What to do about it.
    pub help: Option<String>,
}

/// The kinds of findings. The number of a kind never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// `CW-D001`: there is no instruction at all.
    Empty = 1,
    /// `CW-D002`: a parser directive (`# escape=`) cannot be used.
    Directive = 2,
    /// `CW-D003`: a line is longer than BuildKit reads.
    LineLength = 3,
    /// `CW-D004`: a heredoc does not end, or stands where none can.
    Heredoc = 4,
    /// `CW-D005`: a `name=value` is not one.
    KeyValue = 5,
    /// `CW-D006`: a JSON form holds something other than strings, or is needed and missing.
    JsonForm = 6,
    /// `CW-D010`: there is no such instruction.
    UnknownInstruction = 10,
    /// `CW-D011`: the instruction has no such flag.
    UnknownFlag = 11,
    /// `CW-D012`: the value of a flag cannot be used.
    FlagValue = 12,
    /// `CW-D013`: too many or too few arguments.
    ArgumentCount = 13,
    /// `CW-D014`: the name of a stage cannot be used.
    StageName = 14,
    /// `CW-D015`: the trigger of an `ONBUILD` cannot be one.
    Onbuild = 15,
    /// `CW-D016`: a `--mount` cannot be understood.
    Mount = 16,
    /// `CW-D017`: a `HEALTHCHECK` cannot be understood.
    Healthcheck = 17,
    /// `CW-D020`: an instruction stands before the first `FROM`, or there is none.
    NoStage = 20,
    /// `CW-D021`: a word cannot be expanded.
    Expansion = 21,
    /// `CW-D022`: what a stage is `FROM` is no image reference.
    Reference = 22,
    /// `CW-D023`: a platform cannot be understood.
    Platform = 23,
    /// `CW-D024`: there is no such stage.
    UnknownStage = 24,
    /// `CW-D025`: stages need one another in a circle, or one that comes later.
    StageOrder = 25,
    /// `CW-D030`: a source, mode or checksum of `COPY` or `ADD` cannot be used.
    Copy = 30,
    /// `CW-D031`: the argument of an instruction cannot be used (a port, a signal, a volume).
    Argument = 31,
}

impl Diagnostic {
    /// A finding without advice.
    pub fn new(code: Code, message: impl Into<String>, span: Span) -> Self {
        Self { code, message: message.into(), span, help: None }
    }

    /// The same finding with advice.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// The finding as a terminal shows it: the message, the place, the line with carets, the advice.
    ///
    /// `path` names the Dockerfile and `text` is the text that was parsed.
    pub fn render(&self, path: &str, text: &str) -> String {
        let place = Position::of(text, self.span.start);
        let line = text.lines().nth(place.line - 1).unwrap_or_default();
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let mut shown = format!("{} {}\n", self.code, self.message);
        let _ = writeln!(shown, "{margin}--> {path}:{}:{}", place.line, place.column);
        let _ = writeln!(shown, "{margin} |\n{number} | {line}");
        let _ = writeln!(shown, "{margin} | {}", self.carets(place, line, text));
        if let Some(help) = &self.help {
            let _ = writeln!(shown, "{margin} = hint: {help}");
        }
        shown
    }

    /// The carets below the part of the span that is on its first line; one at least.
    fn carets(&self, place: Position, line: &str, text: &str) -> String {
        let before: String = line.chars().take(place.column - 1).map(tab_or_space).collect();
        let rest = line.chars().count().saturating_sub(place.column - 1);
        let covered = self.span.of(text).lines().next().unwrap_or_default().chars().count();
        format!("{before}{}", "^".repeat(covered.min(rest).max(1)))
    }
}

/// A tab stays one, so that what stands below it lines up.
fn tab_or_space(char: char) -> char {
    if char == '\t' { '\t' } else { ' ' }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CW-D{:03}", *self as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_points_at_its_place() {
        let text = "FROM a\n\tRUM x\n";
        let finding =
            Diagnostic::new(Code::UnknownInstruction, "unknown instruction `RUM`", Span::new(8, 11))
                .with_help("did you mean `RUN`?");
        assert_eq!(
            finding.render("Dockerfile", text),
            "CW-D010 unknown instruction `RUM`\n --> Dockerfile:2:2\n  |\n2 | \tRUM x\n  | \t^^^\n  = hint: did you mean `RUN`?\n"
        );
    }

    #[test]
    fn an_empty_place_has_one_caret() {
        let finding = Diagnostic::new(Code::Empty, "nothing", Span::new(0, 0));
        assert!(finding.render("D", "").ends_with("1 | \n  | ^\n"));
    }
}
