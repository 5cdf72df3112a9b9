//! The syntax of a Dockerfile: from text to nodes.
//!
//! A **node** is one instruction as BuildKit's own syntax tree has it: a keyword, flags, arguments, heredocs, and the
//! lines it goes over. What the instruction means is not asked here; an unknown one is a node too.
//!
//! The text falls into lines, and lines into logical lines:
//!
//! 1. Comments at the top may be parser directives; the first line that is none ends them.
//! 2. A line whose last character but blanks is the escape character goes on in the next one. Comments and empty
//!    lines between are left out.
//! 3. The first word is the keyword, words with `--` are flags, and how the rest is read depends on the keyword:
//!    `JSON` or text, words at blanks, `name=value`, one string, or an instruction again.
//! 4. If it may have heredocs and some of its words are of that form, the following lines up to each delimiter are
//!    theirs.

mod directive;
mod heredoc;
mod json;
mod line;
mod node;
mod words;

use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;

pub use directive::Directive;
pub(crate) use directive::{check_comment, check_directive, is_bool};
pub use heredoc::Heredoc;
pub(crate) use heredoc::parse as parse_heredoc;
pub use node::Node;

use directive::DirectiveReader;
use line::LogicalLine;

/// The longest line that BuildKit reads, in bytes and without its end.
const LONGEST_LINE: usize = 65_535;

/// A Dockerfile as nodes.
#[derive(Debug, Clone, Default)]
pub struct Syntax {
    /// The parser directives.
    pub directives: Vec<Directive>,
    /// The escape character: `\` or a backtick.
    pub escape: char,
    /// The instructions in order; those that cannot be read are left out.
    pub nodes: Vec<Node>,
}

impl Syntax {
    /// Reads a text. What is wrong with it does not keep the rest from being read.
    pub fn parse(text: &str) -> (Self, Vec<Diagnostic>) {
        let mut parser = Parser::new(text);
        while parser.statement() {}
        if parser.syntax.nodes.is_empty() && parser.diagnostics.is_empty() {
            let empty = Diagnostic::new(Code::Empty, "there is no instruction in the file", Span::default());
            parser.diagnostics.push(empty.with_help("a Dockerfile begins with `FROM image`"));
        }
        parser.syntax.directives = parser.directives.found;
        (parser.syntax, parser.diagnostics)
    }
}

/// A line with its end, and where it begins.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Line<'a> {
    /// Without its end, which may be several carriage returns.
    fn content(self) -> &'a str {
        self.text.trim_end_matches(['\r', '\n'])
    }

    fn is_comment(self) -> bool {
        self.text.trim_start().starts_with('#')
    }

    fn span(self) -> Span {
        Span::new(self.offset, self.offset + self.content().len())
    }
}

struct Parser<'a> {
    text: &'a str,
    offset: usize,
    /// The number of lines that were read.
    line: usize,
    directives: DirectiveReader,
    comments: Vec<String>,
    syntax: Syntax,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self {
            text,
            offset: mark,
            line: 0,
            directives: DirectiveReader::default(),
            comments: Vec::new(),
            syntax: Syntax { escape: '\\', ..Syntax::default() },
            diagnostics: Vec::new(),
        }
    }

    fn next_line(&mut self) -> Option<Line<'a>> {
        let rest = self.text.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let text = rest.split_inclusive('\n').next()?;
        let line = Line { text, offset: self.offset };
        self.offset += text.len();
        self.line += 1;
        if text.trim_end_matches('\n').len() > LONGEST_LINE {
            let message = format!("the line is longer than {LONGEST_LINE} bytes");
            self.diagnostics.push(
                Diagnostic::new(Code::LineLength, message, Span::new(line.offset, line.offset))
                    .with_help("BuildKit does not read such lines; break it with the escape character"),
            );
        }
        Some(line)
    }

    /// Reads one instruction with its heredocs, or a line without; false at the end.
    fn statement(&mut self) -> bool {
        let Some(line) = self.next_line() else { return false };
        let first = self.line;
        self.take_comment(line);
        if line.is_comment() {
            return true;
        }
        let content = line.content();
        let start = line.offset + content.len() - content.trim_start().len();
        let mut logical = LogicalLine::default();
        let mut has_empty_lines = false;
        let (piece, mut goes_on) = self.continuation(content.trim_start());
        if piece.is_empty() && !goes_on {
            return true;
        }
        logical.push(piece, start);
        while goes_on {
            let Some(line) = self.next_line() else { break };
            if line.is_comment() {
                continue;
            }
            if line.text.trim().is_empty() {
                has_empty_lines = true;
                continue;
            }
            let (piece, more) = self.continuation(line.content());
            logical.push(piece, line.offset);
            goes_on = more;
        }
        let end_line = self.line;
        match Node::parse(logical.fragment(), self.syntax.escape) {
            Ok(node) => {
                let span = logical.fragment().trimmed().span();
                self.finish(Node { lines: (first, end_line), span, has_empty_lines, ..node });
            }
            Err(diagnostic) => self.diagnostics.push(diagnostic),
        }
        self.comments.clear();
        true
    }

    /// Adds a node, with the heredocs that follow it.
    fn finish(&mut self, mut node: Node) {
        if node.can_have_heredocs() && node.text.contains("<<") {
            if let Err(diagnostic) = self.heredocs(&mut node) {
                return self.diagnostics.push(diagnostic);
            }
            node.lines.1 = self.line;
        }
        node.comments = std::mem::take(&mut self.comments);
        self.syntax.nodes.push(node);
    }

    fn heredocs(&mut self, node: &mut Node) -> Result<(), Diagnostic> {
        let found = heredoc::find(&node.text)
            .map_err(|error| Diagnostic::new(Code::Heredoc, error.to_string(), node.span))?;
        for mut heredoc in found {
            let start = self.offset;
            loop {
                let line = self.next_line().ok_or_else(|| {
                    let message = format!("the heredoc `{}` does not end", heredoc.name);
                    Diagnostic::new(Code::Heredoc, message, node.span)
                        .with_help(format!("end it with a line that is `{}` and nothing else", heredoc.name))
                })?;
                if heredoc.is_ended_by(line.text) {
                    break;
                }
                heredoc.content.push_str(line.text);
            }
            heredoc.span = Span::new(start, start + heredoc.content.len());
            node.heredocs.push(heredoc);
        }
        Ok(())
    }

    /// Keeps a comment for the instruction below it, or takes it as a directive.
    fn take_comment(&mut self, line: Line<'_>) {
        let content = line.content();
        let start = content.len() - content.trim_start().len();
        match self.directives.read(content.trim_start(), line.offset + start) {
            Ok(Some(directive)) => {
                if directive.name == "escape" {
                    self.syntax.escape = directive.value.value.chars().next().unwrap_or('\\');
                }
                return;
            }
            Ok(None) => {}
            Err(diagnostic) => self.diagnostics.push(Diagnostic { span: line.span(), ..diagnostic }),
        }
        if line.is_comment() {
            // One character goes, which is the mark only if nothing stands in front of it.
            match content.chars().skip(1).collect::<String>().trim() {
                "" => self.comments.clear(),
                comment => self.comments.push(comment.to_owned()),
            }
        }
    }

    /// A line without the escape character at its end, and whether it had one.
    fn continuation<'b>(&self, line: &'b str) -> (&'b str, bool) {
        let trimmed = line.trim_end_matches([' ', '\t']);
        match trimmed.strip_suffix(self.syntax.escape) {
            Some(piece) if !piece.ends_with(self.syntax.escape) => (piece, true),
            _ => (line, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(text: &str) -> Vec<(String, Vec<String>, (usize, usize))> {
        let (syntax, diagnostics) = Syntax::parse(text);
        assert_eq!(diagnostics, [], "{text}");
        let nodes = syntax.nodes.into_iter();
        nodes.map(|node| (node.keyword.value.clone(), node.flat_arguments(), node.lines)).collect()
    }

    fn node(
        keyword: &str,
        arguments: &[&str],
        lines: (usize, usize),
    ) -> (String, Vec<String>, (usize, usize)) {
        (keyword.to_owned(), arguments.iter().map(|&argument| argument.to_owned()).collect(), lines)
    }

    #[test]
    fn lines_are_joined() {
        let text = "\u{feff}# c\r\nFROM a\r\n\r\nRUN x \\ \r\n # no\r\n\r\n  y\\\\\r\nCMD z \\";
        let expected =
            [node("FROM", &["a"], (2, 2)), node("RUN", &["x   y\\\\"], (4, 7)), node("CMD", &["z"], (8, 8))];
        assert_eq!(nodes(text), expected);
    }

    #[test]
    fn the_escape_character_can_be_a_backtick() {
        assert_eq!(
            nodes("#escape=`\nRUN a\\\nRUN b `\nc"),
            [node("RUN", &["a\\"], (2, 2)), node("RUN", &["b c"], (3, 4))]
        );
    }

    #[test]
    fn heredocs_take_the_lines_below() {
        let (syntax, diagnostics) =
            Syntax::parse("RUN <<A cat <<-B\na\nA\n\tb\n\tB\nONBUILD COPY <<C /\nc\nC\nRUN x");
        assert_eq!(diagnostics, []);
        let contents: Vec<Vec<&str>> = syntax
            .nodes
            .iter()
            .map(|node| node.heredocs.iter().map(|heredoc| heredoc.content.as_str()).collect())
            .collect();
        assert_eq!(contents, [vec!["a\n", "\tb\n"], vec!["c\n"], vec![]]);
        assert_eq!(syntax.nodes.iter().map(|node| node.lines).collect::<Vec<_>>(), [(1, 5), (6, 8), (9, 9)]);
    }

    #[test]
    fn only_some_instructions_have_heredocs() {
        assert_eq!(nodes("LABEL a=<<B\nRUN [\"<<C\"]\n").len(), 2);
    }

    #[test]
    fn comments_belong_to_what_is_below() {
        let (syntax, _) = Syntax::parse("# syntax=a\n# one\n#\n#  two\n\n#three\nFROM a\nRUN b");
        assert_eq!(syntax.nodes[0].comments, ["two", "three"]);
        assert_eq!(syntax.nodes[1].comments, Vec::<String>::new());
    }

    #[test]
    fn an_error_does_not_end_the_reading() {
        let (syntax, diagnostics) = Syntax::parse("FROM a\nENV b\nCMD [1]\nRUN c");
        assert_eq!(diagnostics.len(), 2);
        assert_eq!(syntax.nodes.len(), 2);
    }

    #[test]
    fn long_lines_are_told() {
        let line = |length: usize| format!("RUN {}\n", "a".repeat(length - 4));
        assert_eq!(Syntax::parse(&line(LONGEST_LINE)).1, []);
        assert_eq!(Syntax::parse(&line(LONGEST_LINE + 1)).1[0].code, Code::LineLength);
    }
}
