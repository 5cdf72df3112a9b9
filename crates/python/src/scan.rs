//! A cursor over one line of text, for the grammars that PEP 508 writes down as such.

use crate::requirement::InvalidRequirement;

/// What is left of a text, and how much was read.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, rest: text, depth: 0 }
    }

    /// How many bytes were read.
    pub(crate) fn position(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Reads `token` if it is next.
    pub(crate) fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads `word` if it is next and ends there.
    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let is_word = |character: char| character.is_alphanumeric() || character == '_';
        let rest = self.rest.strip_prefix(word).filter(|rest| !rest.starts_with(is_word));
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    pub(crate) fn peek_while(&self, accepts: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !accepts(character)).unwrap_or(self.rest.len());
        self.rest.get(..end).unwrap_or_default()
    }

    pub(crate) fn take_while(&mut self, accepts: impl Fn(char) -> bool) -> &'a str {
        let taken = self.peek_while(accepts);
        self.take(taken);
        taken
    }

    /// Reads a quoted text and gives what is between the quotes; `None` if it does not end.
    pub(crate) fn take_quoted(&mut self, quote: char) -> Option<&'a str> {
        let (text, rest) = self.rest.strip_prefix(quote)?.split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    pub(crate) fn expect(&mut self, token: &str, what: &'static str) -> Result<(), InvalidRequirement> {
        if self.take(token) { Ok(()) } else { Err(self.expected(what)) }
    }

    pub(crate) fn expect_end(&self, what: &'static str) -> Result<(), InvalidRequirement> {
        if self.is_at_end() { Ok(()) } else { Err(self.expected(what)) }
    }

    /// The error that something else was expected here.
    pub(crate) fn expected(&self, what: &'static str) -> InvalidRequirement {
        InvalidRequirement::new(self.text, self.position(), what)
    }

    /// Goes one level deeper; refuses to go deeper than `limit`.
    pub(crate) fn enter(&mut self, limit: usize) -> Result<(), InvalidRequirement> {
        self.depth += 1;
        if self.depth > limit { Err(self.expected("fewer parentheses")) } else { Ok(()) }
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }
}
