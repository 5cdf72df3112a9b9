//! Command lines, read with a table of what is known.

use super::shell::Word;
use super::{NotRecognised, Result};

/// An option that a tool has.
#[derive(Debug)]
pub(super) struct Known<M: 'static> {
    /// All its names, with their dashes. The first long one is in the environment variable's name, where there is one.
    pub(super) names: &'static [&'static str],
    /// What follows it.
    pub(super) takes: Takes<M>,
    /// What it means.
    pub(super) meaning: M,
}

/// What follows an option.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes<M> {
    /// Nothing.
    Nothing,
    /// Nothing, and its environment variable says the opposite: pip stores the value where the option stores «no».
    Negation(M),
    /// A value.
    One,
    /// A value, and its environment variable may have several, with spaces between.
    Many,
}

/// How a tool reads its command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Python's `optparse`: long names may be cut short, `-r=x` means a file `=x`.
    Optparse,
    /// Rust's `clap`: whole names, `-r=x` means `x`, no value begins with a dash.
    Clap,
}

/// One thing that a command line says.
#[derive(Debug)]
pub(super) enum Item<M> {
    /// An option, with its value if it takes one.
    Option {
        /// Its meaning.
        meaning: M,
        /// Its value; empty if it takes none.
        value: String,
        /// Where it stands.
        word: Word,
    },
    /// A word that is no option.
    Word(Word),
}

/// Reads a command line.
pub(super) struct Reader<'a, M: 'static> {
    table: &'static [Known<M>],
    style: Style,
    words: std::slice::Iter<'a, Word>,
}

impl<'a, M: Copy> Reader<'a, M> {
    pub(super) fn new(table: &'static [Known<M>], style: Style, words: &'a [Word]) -> Self {
        Self { table, style, words: words.iter() }
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a [Word] {
        self.words.as_slice()
    }

    /// Reads options until the first word that is none, and leaves that unread.
    pub(super) fn leading(&mut self) -> Result<Vec<Item<M>>> {
        let mut items = Vec::new();
        while self.rest().first().is_some_and(|word| word.text.starts_with('-')) {
            self.next_items(&mut items)?;
        }
        Ok(items)
    }

    /// Reads everything.
    pub(super) fn all(mut self) -> Result<Vec<Item<M>>> {
        let mut items = Vec::new();
        while !self.rest().is_empty() {
            self.next_items(&mut items)?;
        }
        Ok(items)
    }

    fn next_items(&mut self, items: &mut Vec<Item<M>>) -> Result<()> {
        let Some(word) = self.words.next() else { return Ok(()) };
        if word.text == "--" {
            items.extend(self.words.by_ref().cloned().map(Item::Word));
            Ok(())
        } else if word.text.starts_with("--") {
            self.long(word, items)
        } else if word.text.len() > 1 && word.text.starts_with('-') {
            self.short(word, items)
        } else {
            items.push(Item::Word(word.clone()));
            Ok(())
        }
    }

    fn long(&mut self, word: &Word, items: &mut Vec<Item<M>>) -> Result<()> {
        let (name, attached) = match word.text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.text.as_str(), None),
        };
        let known = self.find(name).map_err(|reason| refused(word, reason))?;
        let value = match (known.takes, attached) {
            (Takes::Nothing | Takes::Negation(_), None) => String::new(),
            (Takes::Nothing | Takes::Negation(_), Some(_)) => return Err(refused(word, "takes no value")),
            (Takes::One | Takes::Many, attached) => self.value(word, attached)?,
        };
        items.push(Item::Option { meaning: known.meaning, value, word: word.clone() });
        Ok(())
    }

    /// `-q`, `-qU`, `-rfile`, `-r file`.
    fn short(&mut self, word: &Word, items: &mut Vec<Item<M>>) -> Result<()> {
        let mut letters = word.text.chars().skip(1);
        while let Some(letter) = letters.next() {
            let known = self.exact(&format!("-{letter}")).ok_or_else(|| refused(word, UNKNOWN))?;
            let value = if matches!(known.takes, Takes::One | Takes::Many) {
                let rest: String = letters.by_ref().collect();
                let rest = match self.style {
                    Style::Clap => rest.strip_prefix('=').map(str::to_owned).unwrap_or(rest),
                    Style::Optparse => rest,
                };
                self.value(word, (!rest.is_empty()).then_some(rest))?
            } else {
                String::new()
            };
            items.push(Item::Option { meaning: known.meaning, value, word: word.clone() });
        }
        Ok(())
    }

    fn value(&mut self, word: &Word, attached: Option<String>) -> Result<String> {
        let value = attached.or_else(|| self.words.next().map(|word| word.text.clone()));
        let value = value.ok_or_else(|| refused(word, "has no value"))?;
        // Such a value is more likely a mistake, and what the tools do about it differs.
        if value.is_empty() || value.starts_with('-') {
            return Err(refused(word, "has a value that is empty or looks like an option"));
        }
        Ok(value)
    }

    fn exact(&self, name: &str) -> Option<&'static Known<M>> {
        self.table.iter().find(|known| known.names.contains(&name))
    }

    fn find(&self, name: &str) -> Result<&'static Known<M>, &'static str> {
        if let Some(known) = self.exact(name) {
            return Ok(known);
        }
        if self.style == Style::Clap || name.len() < 3 {
            return Err(UNKNOWN);
        }
        // Two names of one option are ambiguous, too.
        let names = |known: &'static Known<M>| known.names.iter().map(move |full| (known, *full));
        let mut matches = self.table.iter().flat_map(names).filter(|(_, full)| full.starts_with(name));
        match (matches.next(), matches.next()) {
            (Some((known, _)), None) => Ok(known),
            (Some(_), Some(_)) => Err("may mean several options"),
            (None, _) => Err(UNKNOWN),
        }
    }
}

const UNKNOWN: &str = "is an option that is not understood";

/// A refusal that names a word and its place.
pub(super) fn refused(word: &Word, reason: impl Into<String>) -> NotRecognised {
    NotRecognised::new(&word.text, reason).at(word.span.as_ref())
}
