//! Files of variables: `.env`, and what `env_file` names.
//!
//! A line is `NAME=value`, `NAME: value`, or `NAME` alone for the value that it has already; `export` may be before it.
//! What is in single quotes is meant as it is; in double quotes, backslashes escape and variables have their values;
//! without quotes, variables have their values and ` #` begins a comment. The oracle is compose-go's `dotenv` package.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::template::{Scope, substitute};

/// Variables by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// Adds the variables of a file to `into`. Those of `environment` count before them where a value refers to others.
pub(crate) fn read(path: &Path, environment: &Variables, into: &mut Variables) -> Result<()> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    parse(&text, path, environment, into)
}

fn parse(text: &str, path: &Path, environment: &Variables, into: &mut Variables) -> Result<()> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, rest: text, file: path.into() };
    while reader.next_statement() {
        let (name, assigned) = reader.name()?;
        let known = |name: &str| environment.get(name).or_else(|| into.get(name)).cloned();
        let value = if assigned { Some(reader.value(&known)?) } else { known(name) };
        if let Some(value) = value {
            into.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

struct Reader<'a> {
    text: &'a str,
    /// What is still to be read.
    rest: &'a str,
    file: Arc<Path>,
}

impl<'a> Reader<'a> {
    /// Goes to where the next statement begins; `false` at the end.
    fn next_statement(&mut self) -> bool {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.rest = self.rest.find('\n').and_then(|end| self.rest.get(end..)).unwrap_or_default();
        }
    }

    /// The name that a statement begins with, and whether a value follows.
    fn name(&mut self) -> Result<(&'a str, bool)> {
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with([' ', '\t', '\n', '\r'])
        {
            self.rest = trim_blanks(after);
        }
        let ends = |c: char| matches!(c, '=' | ':' | '\n');
        let end = self.rest.find(ends);
        let name = end.and_then(|end| self.rest.get(..end)).unwrap_or(self.rest);
        let allowed = |c: char| is_blank(c) || c.is_alphanumeric() || "_.-[]".contains(c);
        if let Some(wrong) = name.chars().find(|&c| !allowed(c)) {
            return Err(self.error(format!("`{wrong}` cannot be in the name of a variable")));
        }
        // The oracle sees no variable in a name alone that no line end follows.
        let Some(end) = end else {
            self.rest = "";
            return Ok(("", false));
        };
        let name = name.trim_end();
        if name.contains(' ') {
            return Err(self.error(format!("`{name}` is no name for a variable: there is a space in it")));
        }
        let assigned = !self.rest.get(end..).unwrap_or_default().starts_with('\n');
        self.rest = trim_blanks(self.rest.get(end + 1..).unwrap_or_default());
        Ok((name, assigned))
    }

    fn value(&mut self, lookup: Lookup<'_>) -> Result<String> {
        let begin = self.place();
        match self.rest.chars().next() {
            Some('\'') => self.quoted('\''),
            Some('"') => {
                let text = unescape(&self.quoted('"')?);
                expand(&text, lookup, &begin)
            }
            _ => {
                let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                self.rest = rest;
                let value = line.split_once(" #").map_or(line, |(value, _)| value);
                expand(value.trim_end(), lookup, &begin)
            }
        }
    }

    /// What is between quotes. A backslash takes a quote its meaning, and nothing else.
    fn quoted(&mut self, quote: char) -> Result<String> {
        let mut value = String::new();
        let mut escaped = false;
        for (index, character) in self.rest.char_indices().skip(1) {
            match character {
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                _ if character == quote && !escaped => {
                    self.rest = self.rest.get(index + 1..).unwrap_or_default();
                    return Ok(value);
                }
                _ => {}
            }
            if escaped && character != quote {
                value.push('\\');
            }
            escaped = false;
            value.push(character);
        }
        Err(self.error("the quoted value does not end".to_owned()))
    }

    fn place(&self) -> Place {
        let read = self.text.len() - self.rest.len();
        let before = self.text.get(..read).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        Place {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }

    fn error(&self, message: String) -> Error {
        ErrorKind::Syntax(message).at(&self.place())
    }
}

fn expand(text: &str, lookup: Lookup<'_>, place: &Place) -> Result<String> {
    substitute(text, &mut Scope::new(lookup)).map_err(|error| error.at(place))
}

/// White space within a line.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

fn trim_blanks(text: &str) -> &str {
    text.trim_start_matches(is_blank)
}

/// What backslashes stand for within double quotes. `\$` stays safe from being a variable.
fn unescape(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        result.push_str(before);
        let mut characters = after.chars();
        let single = match characters.next() {
            Some('a') => Some("\u{7}"),
            Some('b') => Some("\u{8}"),
            Some('f') => Some("\u{c}"),
            Some('n') => Some("\n"),
            Some('r') => Some("\r"),
            Some('t') => Some("\t"),
            Some('v') => Some("\u{b}"),
            Some('"') => Some("\""),
            Some('\\') => Some("\\"),
            Some('$') => Some("$$"),
            _ => None,
        };
        if let Some(single) = single {
            result.push_str(single);
            rest = characters.as_str();
        } else if let Some(octal) = octal(after) {
            result.push(octal);
            rest = after.get(4..).unwrap_or_default();
        } else {
            result.push('\\');
            rest = after;
        }
    }
    result.push_str(rest);
    result
}

/// The character that `0` and three octal digits stand for.
fn octal(text: &str) -> Option<char> {
    let digits = text.get(..4)?.strip_prefix('0')?;
    let valid = digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    valid.then(|| u8::from_str_radix(digits, 8).ok()).flatten().map(char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Variables> {
        let environment = Variables::from([("HOME".to_owned(), "/home".to_owned())]);
        let mut variables = Variables::new();
        parse(text, Path::new(".env"), &environment, &mut variables)?;
        Ok(variables)
    }

    #[test]
    fn values_are_read_with_and_without_quotes() {
        let cases = [
            ("A=b", "b"),
            ("A = b # c\n", "b"),
            ("A: b#c\n", "b#c"),
            ("export A=b\n", "b"),
            ("# c\n\nA=\n", ""),
            ("A='$HOME \\' x'\n", "$HOME ' x"),
            ("A=\"a\\n$HOME \\$HOME \\0101\"", "a\n/home $HOME A"),
            ("A=${B:-c}/$HOME\r\n", "c//home"),
            ("A=\"x\ny\" # c\n", "x\ny"),
            ("HOME\nA=$HOME\n", "/home"),
        ];
        for (text, value) in cases {
            assert_eq!(parse_text(text).unwrap().get("A").map(String::as_str), Some(value), "{text:?}");
        }
    }

    #[test]
    fn later_lines_see_earlier_ones_and_the_environment_counts_first() {
        let variables = parse_text("HOME=/x\nA=1\nB=$A$HOME\n").unwrap();
        assert_eq!(variables.get("B").map(String::as_str), Some("1/home"));
        assert_eq!(variables.get("HOME").map(String::as_str), Some("/x"));
    }

    #[test]
    fn a_name_alone_has_the_value_that_is_known() {
        let variables = parse_text("HOME\nUNKNOWN\nPATH").unwrap();
        assert_eq!(variables.into_iter().collect::<Vec<_>>(), [("HOME".to_owned(), "/home".to_owned())]);
    }

    #[test]
    fn mistakes_have_a_place() {
        let cases = [
            ("A=1\nB%=2\n", ".env:2:1: `%` cannot be in the name of a variable"),
            ("A b=1\n", ".env:1:1: `A b` is no name for a variable: there is a space in it"),
            ("A=\"x\n", ".env:1:3: the quoted value does not end"),
            ("A=${B?gone}\n", ".env:1:3: variable `B` has to be set: gone"),
        ];
        for (text, message) in cases {
            assert_eq!(parse_text(text).unwrap_err().to_string(), message);
        }
    }
}
