//! Shell text as commands of words.
//!
//! The tokenizer and the reader of words are `brush-parser`'s. Its grammar is not needed: of a shell's grammar nothing but
//! `&&`, `;` and line ends is understood here. For random text in which expansions nest, it does not come back in any time
//! that one would wait, so everything that nests is refused before anything is parsed.

use std::collections::BTreeMap;
use std::ops::Range;

use brush_parser::word::{Parameter, ParameterExpr, WordPiece, WordPieceWithSource};
use brush_parser::{ParserOptions, Token, uncached_tokenize_str, word};

use super::{NotRecognised, Result};

/// A command of the text, and what joins it to the one before.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) join: Join,
    pub(super) words: Vec<RawWord>,
}

/// When a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// It is the first, or the one before succeeded.
    And,
    /// In any case, unless the shell stops at the first failure.
    Sequence,
}

/// A word before expansion, quotes and all.
#[derive(Debug, Clone)]
pub(super) struct RawWord {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

/// A word as the program gets it.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Option<Range<usize>>,
    /// Whether the shell looks for files of this name.
    pub(super) is_pattern: bool,
}

/// The longest text that is looked at; no installation is as long.
const LONGEST: usize = 1 << 16;

/// What nests, or runs a program to make a word. It is refused even between single quotes, where it means nothing.
const NESTING: [(&str, &str); 6] = [
    ("`", "runs a command inside of a word"),
    ("$(", "runs a command inside of a word"),
    ("$[", "is arithmetic"),
    ("<(", "runs a command inside of a word"),
    (">(", "runs a command inside of a word"),
    ("<<", "is a here-document of the shell"),
];

/// Cuts the text into commands.
pub(super) fn parse(text: &str) -> Result<Vec<Part>> {
    refuse_nesting(text)?;
    let tokens = uncached_tokenize_str(text, &options().tokenizer_options())
        .map_err(|error| NotRecognised::new("", format!("the shell's text cannot be read: {error}")))?;
    let offsets: Vec<usize> = text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
    let offset = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
    let mut reader = Reader { parts: Vec::new(), words: Vec::new(), join: Join::And, redirected: None };
    for token in &tokens {
        let location = token.location();
        let span = offset(location.start.index)..offset(location.end.index);
        match token {
            Token::Word(text, _) => reader.word(text, span)?,
            Token::Operator(operator, _) => reader.operator(operator, span)?,
        }
    }
    reader.finish()
}

fn options() -> ParserOptions {
    ParserOptions { enable_extended_globbing: false, posix_mode: true, sh_mode: true, tilde_expansion: true }
}

fn refuse_nesting(text: &str) -> Result<()> {
    if text.len() > LONGEST || text.contains('\0') {
        return Err(NotRecognised::new("", "the text is longer than any installation"));
    }
    for (mark, reason) in NESTING {
        if let Some(start) = text.find(mark) {
            return Err(NotRecognised::new(mark, reason).at(Some(&(start..start + mark.len()))));
        }
    }
    for (start, mark) in text.match_indices("${") {
        let rest = text.get(start + mark.len()..).unwrap_or_default();
        let name = rest.split_once('}').map_or("", |(name, _)| name);
        if !is_name(name) {
            let shown: String = rest.chars().take_while(|c| *c != '}' && !c.is_whitespace()).collect();
            let word = NotRecognised::new(format!("${{{shown}}}"), "is more than the value of a variable");
            return Err(word.at(Some(&(start..start + mark.len()))));
        }
    }
    Ok(())
}

/// Whether a shell variable can be called this.
pub(super) fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// Puts tokens together. `redirected` is the operator whose file is the next word.
struct Reader {
    parts: Vec<Part>,
    words: Vec<RawWord>,
    join: Join,
    redirected: Option<String>,
}

impl Reader {
    fn word(&mut self, text: &str, span: Range<usize>) -> Result<()> {
        let Some(operator) = self.redirected.take() else {
            self.words.push(RawWord { text: text.to_owned(), span });
            return Ok(());
        };
        let harmless = match operator.as_str() {
            ">&" => text == "1" || text == "2",
            _ => text == "/dev/null",
        };
        if harmless { Ok(()) } else { Err(NotRecognised::new(text, "is written to or read").at(Some(&span))) }
    }

    fn operator(&mut self, operator: &str, span: Range<usize>) -> Result<()> {
        let refused = |reason: &str| Err(NotRecognised::new(operator, reason).at(Some(&span)));
        if self.redirected.is_some() {
            return refused("follows a redirection");
        }
        match operator {
            "&&" if self.words.is_empty() => refused("has no command before it"),
            "&&" => self.end(Join::And),
            // After `&&` the line may end.
            "\n" if self.words.is_empty() => Ok(()),
            ";" | "\n" => self.end(Join::Sequence),
            ">" | ">>" | ">&" | "<" => {
                // `2>` is two tokens that touch.
                let number = |word: &RawWord| word.span.end == span.start && matches!(&*word.text, "1" | "2");
                if operator != "<" && self.words.last().is_some_and(number) {
                    self.words.pop();
                }
                let touches = |word: &RawWord| {
                    word.span.end == span.start && word.text.bytes().all(|byte| byte.is_ascii_digit())
                };
                if self.words.last().is_some_and(touches) {
                    return refused("redirects a stream that is not known");
                }
                self.redirected = Some(operator.to_owned());
                Ok(())
            }
            "||" => refused("makes the rest depend on a failure"),
            "|" | "|&" => refused("joins commands by a pipe"),
            "&" => refused("runs a command in the background"),
            _ => refused("is shell syntax that is not understood"),
        }
    }

    fn end(&mut self, next: Join) -> Result<()> {
        if self.words.is_empty() {
            return Err(NotRecognised::new("", "a command is missing"));
        }
        let words = std::mem::take(&mut self.words);
        self.parts.push(Part { join: self.join, words });
        self.join = next;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Part>> {
        if self.redirected.is_some() || (self.words.is_empty() && self.join == Join::And) {
            return Err(NotRecognised::new("", "the text ends in the middle of a command"));
        }
        if !self.words.is_empty() {
            self.end(Join::Sequence)?;
        }
        Ok(self.parts)
    }
}

/// The variables of the shell.
#[derive(Debug, Clone)]
pub(super) struct Variables {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) home: Option<String>,
}

impl RawWord {
    /// `NAME=value` → the name and the rest of the word.
    pub(super) fn assignment(&self) -> Option<(&str, Self)> {
        let (name, value) = self.text.split_once('=').filter(|(name, _)| is_name(name))?;
        let span = self.span.end.saturating_sub(value.len())..self.span.end;
        Some((name, Self { text: value.to_owned(), span }))
    }

    /// The word as the program gets it.
    pub(super) fn expand(&self, variables: &Variables) -> Result<Word> {
        let refused = |reason: &str| NotRecognised::new(&self.text, reason).at(Some(&self.span));
        if self.text.is_empty() {
            return Ok(Word { text: String::new(), span: Some(self.span.clone()), is_pattern: false });
        }
        let pieces = word::parse(&self.text, &options())
            .map_err(|_| refused("is quoted in a way that cannot be read"))?;
        let mut expanded = Expanded { text: String::new(), is_pattern: false, variables };
        for piece in &pieces {
            expanded.add(piece).map_err(refused)?;
        }
        Ok(Word { text: expanded.text, span: Some(self.span.clone()), is_pattern: expanded.is_pattern })
    }
}

struct Expanded<'a> {
    text: String,
    is_pattern: bool,
    variables: &'a Variables,
}

impl Expanded<'_> {
    fn add(&mut self, piece: &WordPieceWithSource) -> Result<(), &'static str> {
        match &piece.piece {
            WordPiece::Text(text) => self.unquoted(text)?,
            WordPiece::SingleQuotedText(text) => self.text.push_str(text),
            WordPiece::DoubleQuotedSequence(pieces) => {
                for piece in pieces {
                    self.quoted(&piece.piece)?;
                }
            }
            WordPiece::EscapeSequence(text) => self.text.push_str(text.strip_prefix('\\').unwrap_or(text)),
            WordPiece::TildePrefix(user) if user.is_empty() => {
                let home = self.variables.home.as_deref().ok_or("is a home directory that is not known")?;
                self.text.push_str(home);
            }
            WordPiece::ParameterExpansion(parameter) => {
                let value = self.value(parameter)?;
                if value.is_empty() || value.contains([' ', '\t', '\n', '*', '?', '[', '\\', '~']) {
                    return Err("is not quoted, and the shell would split or match its value");
                }
                self.text.push_str(&value);
            }
            _ => return Err("is shell syntax that is not understood"),
        }
        Ok(())
    }

    fn unquoted(&mut self, text: &str) -> Result<(), &'static str> {
        if text.contains(['*', '?']) {
            return Err("is a pattern that the shell would replace by the names of files");
        }
        if text.contains(['{', '}', '(', ')', '!']) || text.contains(char::is_whitespace) {
            return Err("is shell syntax that is not understood");
        }
        self.is_pattern |= text.contains('[');
        self.text.push_str(text);
        Ok(())
    }

    fn quoted(&mut self, piece: &WordPiece) -> Result<(), &'static str> {
        match piece {
            WordPiece::Text(text) => self.text.push_str(text),
            WordPiece::EscapeSequence(text) => self.text.push_str(text.strip_prefix('\\').unwrap_or(text)),
            WordPiece::ParameterExpansion(parameter) => {
                let value = self.value(parameter)?;
                self.text.push_str(&value);
            }
            _ => return Err("is shell syntax that is not understood"),
        }
        Ok(())
    }

    fn value(&self, expression: &ParameterExpr) -> Result<String, &'static str> {
        let ParameterExpr::Parameter { parameter: Parameter::Named(name), indirect: false } = expression
        else {
            return Err("is more than the value of a variable");
        };
        let known = self.variables.environment.get(name).cloned();
        let home = (name == "HOME").then(|| self.variables.home.clone()).flatten();
        known.or(home).ok_or("has a variable whose value is not known")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<Vec<String>> {
        let environment = [("A", "x"), ("S", "x y"), ("E", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let variables = Variables { environment: environment.into(), home: Some("/root".to_owned()) };
        let parts = parse(text)?;
        let words = parts.iter().flat_map(|part| &part.words);
        words.map(|word| Ok(word.expand(&variables)?.text)).collect()
    }

    #[test]
    fn words_are_what_a_shell_makes_of_them() {
        let table: [(&str, &[&str]); 12] = [
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            (r#"a "b\"c\$\d" e\ f"#, &["a", "b\"c$\\d", "e f"]),
            ("$A ${A}b \"$A-$S\" '$A'", &["x", "xb", "x-x y", "$A"]),
            ("~ ~/x a~ --o=~/x", &["/root", "/root/x", "a~", "--o=~/x"]),
            ("\"$HOME/x\" \"$E\" ''", &["/root/x", "", ""]),
            ("a \\\n b # c d", &["a", "b"]),
            ("a 2>&1 >/dev/null b 2> /dev/null", &["a", "b"]),
            ("a>/dev/null", &["a"]),
            ("numpy==2.1 'x>1' x\\>1", &["numpy==2.1", "x>1", "x>1"]),
            ("x[y] \"x[y]\"", &["x[y]", "x[y]"]),
            ("é \"ü\"", &["é", "ü"]),
            ("a 2 >/dev/null", &["a", "2"]),
        ];
        for (text, words) in table {
            assert_eq!(expand(text).unwrap_or_else(|error| panic!("{text}: {error}")), words, "{text}");
        }
    }

    #[test]
    fn commands_are_joined() {
        let joins = |text: &str| parse(text).unwrap().iter().map(|part| part.join).collect::<Vec<_>>();
        assert_eq!(joins("a && b; c\nd"), [Join::And, Join::And, Join::Sequence, Join::Sequence]);
        assert_eq!(joins("\n\na &&\n# c\n b;\n\n"), [Join::And, Join::And]);
    }

    #[test]
    fn what_is_not_plain_is_refused_with_its_word() {
        let table = [
            ("a $(b)", "$("),
            ("a `b`", "`"),
            ("a ${B:-c}", "${B:-c}"),
            ("a || b", "||"),
            ("a | b", "|"),
            ("a & b", "&"),
            ("a > x", "x"),
            ("a 3>/dev/null", ">"),
            ("a <<E\nE", "<<"),
            ("(a)", "("),
            ("a *.whl", "*.whl"),
            ("a {b,c}", "{b,c}"),
            ("a $S", "$S"),
            ("a $E", "$E"),
            ("a $UNKNOWN", "$UNKNOWN"),
            ("a $1", "$1"),
            ("a $'b'", "$'b'"),
            ("a ~other", "~other"),
            ("a &&", ""),
            ("a && && b", "&&"),
            ("a ;; b", ";;"),
            ("'a", ""),
        ];
        for (text, word) in table {
            assert_eq!(expand(text).unwrap_err().word, word, "{text}");
        }
        let refused = expand("é $(b)").unwrap_err();
        assert_eq!(refused.span, Some(3..5));
        let refused = expand("é *").unwrap_err();
        assert_eq!(refused.span, Some(3..4));
    }
}
