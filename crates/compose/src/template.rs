//! Variables in texts: `$NAME`, `${NAME}`, `${NAME:-default}` and its kin, `$$`.
//!
//! | | unset | empty | set |
//! |---|---|---|---|
//! | `${A}` | empty, and told | empty | its value |
//! | `${A-b}` | `b` | empty | its value |
//! | `${A:-b}` | `b` | `b` | its value |
//! | `${A?b}` | error `b` | empty | its value |
//! | `${A:?b}` | error `b` | error `b` | its value |
//! | `${A+b}` | empty | `b` | `b` |
//! | `${A:+b}` | empty | empty | `b` |
//!
//! What takes the place of `b` has variables of its own. The oracle is compose-go's `template` package, which finds the end
//! of such an expression in a way of its own: at the brace that closes it, and, if none does, at the last one of the line.

use std::collections::BTreeSet;

use crate::error::{ErrorKind, Place};

/// What variables stand for, and which were asked for in vain.
pub(crate) struct Scope<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    unset: BTreeSet<String>,
}

/// Why a text has no value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TemplateError {
    /// It is not written as the table says.
    Invalid(String),
    /// A variable has to be set.
    Missing { name: String, message: String },
}

impl<'a> Scope<'a> {
    pub(crate) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, unset: BTreeSet::new() }
    }

    /// The variables without a value and without a default, in whose place nothing was put.
    pub(crate) fn unset(self) -> BTreeSet<String> {
        self.unset
    }

    fn value(&mut self, name: &str) -> String {
        (self.lookup)(name).unwrap_or_else(|| {
            self.unset.insert(name.to_owned());
            String::new()
        })
    }
}

impl TemplateError {
    pub(crate) fn at(self, place: &Place) -> crate::Error {
        match self {
            Self::Invalid(text) => ErrorKind::Invalid(format!(
                "`{text}` is no reference to a variable; a `$` that is meant as one is written `$$`"
            )),
            Self::Missing { name, message } => ErrorKind::MissingVariable { name, message },
        }
        .at(place)
    }
}

/// The text with the values of its variables.
pub(crate) fn substitute(text: &str, scope: &mut Scope<'_>) -> Result<String, TemplateError> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some(inside) = after.strip_prefix('{') {
            let expression = Expression::at(inside).ok_or_else(|| TemplateError::Invalid(text.to_owned()))?;
            result.push_str(&expression.value(scope)?);
            rest = expression.rest;
        } else {
            let (name, after) = split_name(after);
            if name.is_empty() {
                result.push('$');
            } else {
                result.push_str(&scope.value(name));
            }
            rest = after;
        }
    }
    result.push_str(rest);
    Ok(result)
}

/// The name that a text begins with, which may be none, and the rest.
fn split_name(text: &str) -> (&str, &str) {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return ("", text);
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

/// What `${…}` asks for.
struct Expression<'a> {
    name: &'a str,
    /// `-`, `?` or `+`, whether an empty value counts as none, and what follows.
    operation: Option<(char, bool, &'a str)>,
    rest: &'a str,
}

impl<'a> Expression<'a> {
    /// The expression whose text begins after its brace.
    fn at(inside: &'a str) -> Option<Self> {
        let (name, after) = split_name(inside);
        if name.is_empty() {
            return None;
        }
        if let Some(rest) = after.strip_prefix('}') {
            return Some(Self { name, operation: None, rest });
        }
        let (colon, after) = match after.strip_prefix(':') {
            Some(after) => (true, after),
            None => (false, after),
        };
        let operator = after.chars().next().filter(|operator| "-?+".contains(*operator))?;
        let operand = after.get(1..)?;
        let line = operand.split('\n').next()?;
        let end = closing_brace(line).or_else(|| line.rfind('}'))?;
        let operation = Some((operator, colon, operand.get(..end)?));
        Some(Self { name, operation, rest: operand.get(end + 1..)? })
    }

    fn value(&self, scope: &mut Scope<'_>) -> Result<String, TemplateError> {
        let Some((operator, colon, operand)) = self.operation else { return Ok(scope.value(self.name)) };
        let value = (scope.lookup)(self.name);
        let present = value.as_ref().is_some_and(|value| !colon || !value.is_empty());
        match (operator, present) {
            ('-', false) | ('+', true) => substitute(operand, scope),
            ('?', false) => {
                let message = substitute(operand, scope)?;
                Err(TemplateError::Missing { name: self.name.to_owned(), message })
            }
            _ => Ok(value.unwrap_or_default()),
        }
    }
}

/// Where the brace is that closes the one before `text`. The character after an opening brace is not looked at.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 1;
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '}' => open -= 1,
            '{' => {
                open += 1;
                characters.next();
            }
            _ => {}
        }
        if open == 0 {
            return Some(index);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<String, TemplateError> {
        let lookup = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        substitute(text, &mut Scope::new(&lookup))
    }

    #[test]
    fn expressions_are_those_of_the_table() {
        let cases = [
            ("$SET-${SET}", "value-value"),
            ("$$SET $ $1 5$", "$SET $ $1 5$"),
            ("[${UNSET}]", "[]"),
            ("${UNSET-b} ${EMPTY-b} ${SET-b}", "b  value"),
            ("${UNSET:-b} ${EMPTY:-b} ${SET:-b}", "b b value"),
            ("${UNSET+b} ${EMPTY+b} ${SET+b}", " b b"),
            ("${UNSET:+b} ${EMPTY:+b} ${SET:+b}", "  b"),
            ("${EMPTY?b} ${SET:?b}", " value"),
            ("${UNSET:-${EMPTY:-$SET}}", "value"),
            ("${UNSET:-{\"a\": 1}} x", "{\"a\": 1} x"),
            ("${UNSET-a:-b?c}", "a:-b?c"),
            ("${UNSET:-http://x:80}/${SET}", "http://x:80/value"),
            ("${UNSET-}", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        for text in ["${", "${}", "${1}", "${SET", "${SET:}", "${SET=x}", "${UNSET:-a\nb}", "${UNSET:-${}}"] {
            assert!(matches!(value(text), Err(TemplateError::Invalid(_))), "{text}");
        }
    }

    #[test]
    fn a_missing_variable_is_an_error_with_its_message() {
        for text in ["${UNSET?set $SET}", "${EMPTY:?set $SET}"] {
            let Err(TemplateError::Missing { message, .. }) = value(text) else { unreachable!("{text}") };
            assert_eq!(message, "set value");
        }
    }

    #[test]
    fn a_variable_without_value_or_default_is_remembered() {
        let mut scope = Scope::new(&|_| None);
        substitute("$A ${B} ${C-c} ${D:-$E}", &mut scope).unwrap();
        assert_eq!(scope.unset().into_iter().collect::<Vec<_>>(), ["A", "B", "E"]);
    }
}
