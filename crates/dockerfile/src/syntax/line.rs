//! Logical lines: what an instruction says once continuations are joined, and where each byte of it is written.

use std::ops::Range;

use crate::span::{Span, Word};

/// An instruction's text with continuations joined.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogicalLine {
    text: String,
    /// Where each piece begins in `text`, and where in the source.
    pieces: Vec<(usize, usize)>,
}

impl LogicalLine {
    /// Adds a piece that is written at `source`.
    pub(crate) fn push(&mut self, text: &str, source: usize) {
        self.pieces.push((self.text.len(), source));
        self.text.push_str(text);
    }

    /// All of it.
    pub(crate) fn fragment(&self) -> Fragment<'_> {
        Fragment { line: self, start: 0, end: self.text.len() }
    }

    fn source(&self, offset: usize) -> usize {
        let piece = self.pieces.partition_point(|(start, _)| *start <= offset);
        let (start, source) = self.pieces.get(piece.saturating_sub(1)).copied().unwrap_or_default();
        source + offset.saturating_sub(start)
    }

    fn span(&self, range: Range<usize>) -> Span {
        let start = self.source(range.start);
        // The end belongs to the piece of the last byte: behind it may be a continuation and comments.
        let end = if range.is_empty() { start } else { self.source(range.end - 1) + 1 };
        Span { start, end }
    }
}

/// A part of a logical line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fragment<'a> {
    line: &'a LogicalLine,
    start: usize,
    end: usize,
}

impl<'a> Fragment<'a> {
    /// What it says.
    pub(crate) fn text(self) -> &'a str {
        self.line.text.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(self) -> bool {
        self.text().is_empty()
    }

    /// Where it is written.
    pub(crate) fn span(self) -> Span {
        self.line.span(self.start..self.end)
    }

    /// As a word of its own.
    pub(crate) fn word(self) -> Word {
        self.word_of(self.text().to_owned())
    }

    /// A word that is written here and says `value`.
    pub(crate) fn word_of(self, value: String) -> Word {
        Word { value, span: self.span() }
    }

    /// A part of it, by bytes.
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        let at = |offset: usize| (self.start + offset).min(self.end);
        Self { start: at(range.start), end: at(range.end), ..self }
    }

    /// What follows the first `offset` bytes.
    pub(crate) fn from(self, offset: usize) -> Self {
        self.part(offset..self.text().len())
    }

    /// Without the space around it.
    pub(crate) fn trimmed(self) -> Self {
        let text = self.text();
        let start = text.len() - text.trim_start().len();
        self.part(start..start + text.trim().len())
    }

    /// The parts between blanks, up to `most` of them.
    ///
    /// Blanks are those of ASCII on one line, nothing else: a no-break space is part of a word.
    pub(crate) fn split_blanks(self, most: usize) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut rest = self;
        while parts.len() + 1 < most {
            let text = rest.text();
            let Some(end) = text.find(is_blank) else { break };
            let next = text.get(end..).and_then(|gap| gap.find(|char| !is_blank(char)));
            parts.push(rest.part(0..end));
            rest = rest.from(next.map_or(text.len(), |next| end + next));
        }
        parts.push(rest);
        parts
    }
}

fn is_blank(char: char) -> bool {
    matches!(char, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_joining() {
        let source = "RUN a \\\n# no\n  b";
        let mut line = LogicalLine::default();
        line.push("RUN a ", 0);
        line.push("  b", 13);
        let parts = line.fragment().split_blanks(3);
        let texts: Vec<&str> = parts.iter().map(|part| part.text()).collect();
        assert_eq!(texts, ["RUN", "a", "b"]);
        let spans: Vec<&str> = parts.iter().map(|part| part.span().of(source)).collect();
        assert_eq!(spans, ["RUN", "a", "b"]);
        assert_eq!(line.fragment().from(4).span().of(source), "a \\\n# no\n  b");
        assert_eq!(line.fragment().part(0..6).span().of(source), "RUN a ");
    }

    #[test]
    fn blanks_at_the_end_leave_an_empty_part() {
        let mut line = LogicalLine::default();
        line.push("a \u{a0}b ", 0);
        let parts: Vec<&str> = line.fragment().split_blanks(9).iter().map(|part| part.text()).collect();
        assert_eq!(parts, ["a", "\u{a0}b", ""]);
        assert_eq!(line.fragment().trimmed().text(), "a \u{a0}b");
    }
}
