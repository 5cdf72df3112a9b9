//! Places in a Dockerfile's text.

/// A range of bytes of the text that was parsed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The offset of the first byte.
    pub start: usize,
    /// The offset behind the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes from `start` up to `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Its bytes of `text`, or nothing if it is not a range of that text.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// A place as people count: lines and columns from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// Where the byte at `offset` of `text` is.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..text.floor_char_boundary(offset)).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
    }
}

/// A piece of an instruction with the place where it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// What it says, continuations joined; not yet expanded.
    pub value: String,
    /// Where it says so. A word that goes over several lines spans what lies between them too.
    pub span: Span,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        assert_eq!(Position::of("ab\nçd", 0), Position { line: 1, column: 1 });
        assert_eq!(Position::of("ab\nçd", 5), Position { line: 2, column: 2 });
        assert_eq!(Position::of("ab\nçd", 4), Position { line: 2, column: 1 });
        assert_eq!(Position::of("ab\n", 99), Position { line: 2, column: 1 });
    }
}
