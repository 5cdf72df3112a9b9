//! One instruction as it is written.

use crate::diagnostic::{Code, Diagnostic};
use crate::span::{Span, Word};
use crate::syntax::heredoc::Heredoc;
use crate::syntax::json::{self, Json};
use crate::syntax::line::Fragment;
use crate::syntax::words::{is_space, split_command, split_words};

/// An instruction as BuildKit's syntax tree has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its first word, as it is written.
    pub keyword: Word,
    /// The words with `--` behind it, without quotes.
    pub flags: Vec<Word>,
    /// What follows. For `ENV` and `LABEL` three words each: name, value, and `=` or nothing in the old form.
    pub arguments: Vec<Word>,
    /// Whether the arguments are a JSON array.
    pub json: bool,
    /// The trigger of an `ONBUILD`.
    pub trigger: Option<Box<Node>>,
    /// The heredocs behind it.
    pub heredocs: Vec<Heredoc>,
    /// The whole line with continuations joined, without space around it.
    pub text: String,
    /// Where it is, without its heredocs.
    pub span: Span,
    /// Its first and last line, heredocs included.
    pub lines: (usize, usize),
    /// The comments right above it.
    pub comments: Vec<String>,
    /// Whether empty lines stand among its continuations, which BuildKit means to refuse one day.
    pub has_empty_lines: bool,
}

/// What the arguments are, and whether they are JSON.
type Arguments = (Vec<Word>, bool);

/// How many times `ONBUILD` may stand before `ONBUILD`. Twice is an error already, though not one of syntax.
const ONBUILDS: usize = 20;

impl Node {
    /// Reads a logical line. Its lines and heredocs are for the caller to add.
    pub(super) fn parse(line: Fragment<'_>, escape: char) -> Result<Self, Diagnostic> {
        Self::parse_below(line, escape, 0)
    }

    /// Reads a logical line behind so many `ONBUILD`s.
    fn parse_below(line: Fragment<'_>, escape: char, onbuilds: usize) -> Result<Self, Diagnostic> {
        let command = split_command(line, escape);
        let line = line.trimmed();
        let mut node = Self {
            keyword: command.keyword.word(),
            flags: command.flags,
            text: line.text().to_owned(),
            span: line.span(),
            ..Self::default()
        };
        let rest = command.rest;
        let keyword = node.keyword.value.to_lowercase();
        (node.arguments, node.json) = match keyword.as_str() {
            "onbuild" if onbuilds == ONBUILDS => {
                return Err(Diagnostic::new(Code::Onbuild, "`ONBUILD` cannot trigger `ONBUILD`", node.span));
            }
            "onbuild" => {
                let trigger = (!rest.is_empty()).then(|| Self::parse_below(rest, escape, onbuilds + 1));
                node.trigger = trigger.transpose()?.map(Box::new);
                (Vec::new(), false)
            }
            "add" | "copy" | "volume" => list_or_json(rest)?,
            "run" | "cmd" | "entrypoint" | "shell" => text_or_json(rest)?,
            "healthcheck" => healthcheck(rest)?,
            "expose" | "from" => (blank_separated(rest), false),
            "env" | "label" => (key_values(rest, &node.keyword.value.to_uppercase(), escape)?, false),
            "arg" => (split_words(rest, escape).into_iter().map(Fragment::word).collect(), false),
            "maintainer" | "stopsignal" | "user" | "workdir" => (text(rest), false),
            _ => (vec![rest.word_of(String::new())], false),
        };
        Ok(node)
    }

    /// The arguments, those of a trigger behind its keyword.
    pub fn flat_arguments(&self) -> Vec<String> {
        match &self.trigger {
            Some(node) => [vec![node.keyword.value.clone()], node.flat_arguments()].concat(),
            None => self.arguments.iter().map(|word| word.value.clone()).collect(),
        }
    }

    /// Whether the lines below may be heredocs of it.
    pub(super) fn can_have_heredocs(&self) -> bool {
        let node = self.trigger.as_deref().unwrap_or(self);
        !node.json && ["add", "copy", "run"].contains(&node.keyword.value.to_lowercase().as_str())
    }
}

fn text(rest: Fragment<'_>) -> Vec<Word> {
    if rest.is_empty() { Vec::new() } else { vec![rest.word()] }
}

fn blank_separated(rest: Fragment<'_>) -> Vec<Word> {
    if rest.is_empty() {
        return Vec::new();
    }
    rest.split_blanks(usize::MAX).into_iter().map(Fragment::word).collect()
}

/// The strings of a JSON array, or nothing if it is none.
fn json(rest: Fragment<'_>) -> Result<Option<Arguments>, Diagnostic> {
    match json::parse(rest) {
        Json::Strings(words) => Ok(Some((words, true))),
        Json::Other => Ok(None),
        Json::Mixed => {
            let message = "a JSON array of arguments may hold strings only";
            Err(Diagnostic::new(Code::JsonForm, message, rest.span())
                .with_help("put each argument in double quotes"))
        }
    }
}

fn text_or_json(rest: Fragment<'_>) -> Result<Arguments, Diagnostic> {
    Ok(json(rest)?.unwrap_or_else(|| (text(rest), false)))
}

fn list_or_json(rest: Fragment<'_>) -> Result<Arguments, Diagnostic> {
    Ok(json(rest)?.unwrap_or_else(|| (blank_separated(rest), false)))
}

/// A type and a command. The space between is found byte by byte, as in flags.
fn healthcheck(rest: Fragment<'_>) -> Result<Arguments, Diagnostic> {
    let bytes = rest.text().as_bytes();
    let end = bytes.iter().position(|byte| is_space(*byte)).unwrap_or(bytes.len());
    let gap = bytes.iter().skip(end).position(|byte| !is_space(*byte)).unwrap_or(bytes.len() - end);
    if end == 0 {
        return Ok((Vec::new(), false));
    }
    let at = |offset| rest.text().ceil_char_boundary(offset);
    let (mut words, json) = text_or_json(rest.from(at(end + gap)))?;
    words.insert(0, rest.part(0..at(end)).word());
    Ok((words, json))
}

/// `name=value …`, or the old form `name value`, in which the value is all the rest.
fn key_values(rest: Fragment<'_>, keyword: &str, escape: char) -> Result<Vec<Word>, Diagnostic> {
    let words = split_words(rest, escape);
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !first.text().contains('=') {
        let parts = rest.split_blanks(2);
        if let [name, value] = parts.as_slice() {
            return Ok(vec![name.word(), value.word(), Word::default()]);
        }
        let message = format!("`{keyword} {}` has no value", first.text());
        return Err(Diagnostic::new(Code::KeyValue, message, first.span())
            .with_help(format!("write `{keyword} {}=value`", first.text())));
    }
    let mut pairs = Vec::new();
    for word in words {
        let sign = word.text().find('=').ok_or_else(|| {
            let message = format!("`{}` is not of the form `name=value`", word.text());
            Diagnostic::new(Code::KeyValue, message, word.span())
                .with_help("quote a value that has spaces: `name=\"a value\"`")
        })?;
        pairs.extend([
            word.part(0..sign).word(),
            word.from(sign + 1).word(),
            word.part(sign..sign + 1).word(),
        ]);
    }
    Ok(pairs)
}
