//! Word expansion: quotes, escapes and `$variables`, as BuildKit's shell lexer does it.
//!
//! It looks like a shell and is not one. What users meet:
//!
//! - Every instruction but the shell forms is expanded this way, `RUN` text never: there the shell does it.
//! - A name is letters, digits and `_`, or one of the shell's special parameters; an unset variable is empty.
//! - `${name-word}` `${name+word}` `${name?word}` test for «unset», with `:` in front for «unset or empty».
//!   `${name#pattern}` `##` `%` `%%` cut, `${name/pattern/word}` `//` replace. Nothing else is known.
//! - Splitting into words comes after expansion, so a variable's spaces split; quoted ones do not.
//! - In the word of a modifier the words collected so far are lost (`a${X:-b}` expands to `ab` and splits into `b`).
//!   That is a mistake of the original that nobody can mend without changing what builds mean.

mod pattern;

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

use crate::environment::Environment;
use crate::error::{Error, ErrorKind};
use crate::lex::pattern::{replace, trim_prefix, trim_suffix};
use crate::unicode::{is_digit, is_letter};

/// How words are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a way of reading that BuildKit uses alone or with others"
)]
pub struct Lexer {
    /// The escape character: `\`, or a backtick.
    pub escape: char,
    /// Quotes stay in the result.
    pub raw_quotes: bool,
    /// Escapes stay in the result.
    pub raw_escapes: bool,
    /// Quotes are characters like others.
    pub plain_quotes: bool,
    /// A variable that is not set stays as it is written.
    pub keep_unset: bool,
}

/// What a word comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expansion {
    /// The word with everything expanded.
    pub text: String,
    /// The same, split at spaces that are not quoted.
    pub words: Vec<String>,
    /// The variables that it names and that are set.
    pub matched: BTreeSet<String>,
    /// The variables that it names and that are not.
    pub unmatched: BTreeSet<String>,
}

impl Lexer {
    /// The usual way, with `escape` as the escape character.
    pub fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, plain_quotes: false, keep_unset: false }
    }

    /// Expands `word` with the variables of `environment`.
    pub fn expand(self, word: &str, environment: &Environment) -> Result<Expansion, Error> {
        let (expansion, error) = self.read(word, environment);
        error.map_or(Ok(expansion), Err)
    }

    /// The same, with the variables that were found before what is wrong.
    pub(crate) fn read(self, word: &str, environment: &Environment) -> (Expansion, Option<Error>) {
        let mut reader = Reader {
            // The scanner that BuildKit uses skips a byte order mark at the beginning.
            chars: word.strip_prefix('\u{feff}').unwrap_or(word).chars().peekable(),
            lexer: self,
            environment,
            buffer: String::new(),
            depth: 0,
            found: Expansion::default(),
        };
        match reader.until(None, self.raw_escapes) {
            Ok((text, words)) => (Expansion { text, words, ..reader.found }, None),
            Err(problem) => {
                (reader.found, Some(ErrorKind::Expansion { word: word.to_owned(), problem }.into()))
            }
        }
    }
}

/// Expands `word` with `\` or a backtick as `escape`.
pub fn expand(word: &str, environment: &Environment, escape: char) -> Result<String, Error> {
    Lexer::new(escape).expand(word, environment).map(|expansion| expansion.text)
}

/// Expands `word` and splits the result at spaces.
pub fn expand_words(word: &str, environment: &Environment, escape: char) -> Result<Vec<String>, Error> {
    Lexer::new(escape).expand(word, environment).map(|expansion| expansion.words)
}

/// What is wrong with a word.
type Problem = String;

/// How deep words may stand in words. BuildKit has no limit; each level costs stack, and nobody writes ten.
const DEPTH: usize = 100;

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    lexer: Lexer,
    environment: &'a Environment,
    /// The word that is being collected. One for all levels, which is the mistake that the essay tells of.
    buffer: String,
    depth: usize,
    found: Expansion,
}

/// The words of one level.
#[derive(Default)]
struct Words {
    words: Vec<String>,
    inside: bool,
}

impl Words {
    fn push(&mut self, buffer: &mut String, char: char) {
        if !char.is_whitespace() {
            self.push_raw(buffer, char);
        } else if self.inside && !buffer.is_empty() {
            self.words.push(std::mem::take(buffer));
            self.inside = false;
        }
    }

    fn push_raw(&mut self, buffer: &mut String, char: char) {
        buffer.push(char);
        self.inside = true;
    }

    fn finish(mut self, buffer: &mut String) -> Vec<String> {
        if !buffer.is_empty() {
            self.words.push(std::mem::take(buffer));
        }
        self.words
    }
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    /// Reads up to `stop`, or to the end if there is none to look for.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<(String, Vec<String>), Problem> {
        if self.depth == DEPTH {
            return Err("variables are nested too deep".to_owned());
        }
        let outer = std::mem::replace(&mut self.lexer.raw_escapes, raw_escapes);
        self.depth += 1;
        let result = self.read_until(stop);
        self.depth -= 1;
        self.lexer.raw_escapes = outer;
        result
    }

    fn read_until(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), Problem> {
        self.buffer.clear();
        let mut text = String::new();
        let mut words = Words::default();
        while let Some(char) = self.peek() {
            match char {
                _ if Some(char) == stop => {
                    self.chars.next();
                    return Ok((text, words.finish(&mut self.buffer)));
                }
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|char| words.push(&mut self.buffer, char));
                    text.push_str(&value);
                }
                '<' | '\'' | '"' if char == '<' || !self.lexer.plain_quotes => {
                    let value = match char {
                        '<' => self.angle(),
                        '\'' => self.single_quoted()?,
                        _ => self.double_quoted()?,
                    };
                    self.buffer.push_str(&value);
                    words.inside = true;
                    text.push_str(&value);
                }
                _ => self.plain(&mut text, &mut words),
            }
        }
        match stop {
            None => Ok((text, words.finish(&mut self.buffer))),
            Some(stop) => Err(format!("there is no matching `{stop}`")),
        }
    }

    /// A character, or two if it is the escape character, which escapes anything but the end.
    fn plain(&mut self, text: &mut String, words: &mut Words) {
        let Some(char) = self.chars.next() else { return };
        if char != self.lexer.escape {
            words.push(&mut self.buffer, char);
            return text.push(char);
        }
        if self.lexer.raw_escapes {
            words.push_raw(&mut self.buffer, char);
            text.push(char);
        }
        if let Some(escaped) = self.chars.next() {
            words.push_raw(&mut self.buffer, escaped);
            text.push(escaped);
        }
    }

    /// `'…'`: everything is taken as it is, and nothing can be escaped.
    fn single_quoted(&mut self) -> Result<String, Problem> {
        self.chars.next();
        let quote = if self.lexer.raw_quotes { "'" } else { "" };
        let mut text = quote.to_owned();
        for char in self.chars.by_ref() {
            if char == '\'' {
                return Ok(text + quote);
            }
            text.push(char);
        }
        Err("there is no matching single quote".to_owned())
    }

    /// `"…"`: variables are expanded, and the escape character escapes itself, `"` and `$` only.
    fn double_quoted(&mut self) -> Result<String, Problem> {
        self.chars.next();
        let quote = if self.lexer.raw_quotes { "\"" } else { "" };
        let mut text = quote.to_owned();
        while let Some(char) = self.peek() {
            if char == '$' {
                text.push_str(&self.dollar()?);
                continue;
            }
            self.chars.next();
            if char == '"' {
                return Ok(text + quote);
            }
            if char == self.lexer.escape {
                self.escaped_in_quotes(&mut text);
            } else {
                text.push(char);
            }
        }
        Err("there is no matching double quote".to_owned())
    }

    fn escaped_in_quotes(&mut self, text: &mut String) {
        let escape = self.lexer.escape;
        if self.lexer.raw_escapes {
            text.push(escape);
        }
        match self.peek() {
            None => {}
            Some(char) if char == '"' || char == '$' || char == escape => {
                self.chars.next();
                text.push(char);
            }
            Some(_) => text.push(escape),
        }
    }

    /// `<` or `<<`, with the space that may stand between `<<` and a heredoc's word, so that they are one word.
    fn angle(&mut self) -> String {
        self.chars.next();
        if self.chars.next_if_eq(&'<').is_none() {
            return "<".to_owned();
        }
        let mut text = "<<".to_owned();
        while let Some(space) = self.chars.next_if(|char| matches!(char, '\t' | '\r' | ' ')) {
            text.push(space);
        }
        text
    }

    /// `$name` or `${…}`; a `$` without a name is one.
    fn dollar(&mut self) -> Result<String, Problem> {
        self.chars.next();
        if self.chars.next_if_eq(&'{').is_some() {
            return self.braced();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        match self.variable(&name) {
            None if self.lexer.keep_unset => Ok(format!("${name}")),
            value => Ok(value.unwrap_or_default()),
        }
    }

    /// What stands between `${` and `}`.
    fn braced(&mut self) -> Result<String, Problem> {
        match self.peek() {
            None => return Err("there is no matching `}`".to_owned()),
            Some('{' | '}' | ':') => return Err("`${` is not followed by a name".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        match self.chars.next() {
            Some('}') => match self.variable(&name) {
                None if self.lexer.keep_unset => Ok(format!("${{{name}}}")),
                value => Ok(value.unwrap_or_default()),
            },
            Some('/') => self.replaced(&name),
            Some(':') => {
                let modifier = self.chars.next();
                self.modified(&name, modifier, true)
            }
            modifier @ Some('+' | '-' | '?' | '#' | '%') => self.modified(&name, modifier, false),
            modifier => Err(unknown_modifier("", modifier)),
        }
    }

    /// `${name-word}` and its like, `:` in front of the modifier if `null` values count as unset.
    fn modified(&mut self, name: &str, modifier: Option<char>, null: bool) -> Result<String, Problem> {
        let cuts = matches!(modifier, Some('#' | '%'));
        let colon = if null { ":" } else { "" };
        if null && cuts {
            return Err(unknown_modifier(colon, modifier));
        }
        let word = self.operand('}', cuts)?;
        let value = self.variable(name);
        if self.lexer.keep_unset && value.is_none() {
            let modifier = modifier.unwrap_or(char::REPLACEMENT_CHARACTER);
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let given = value.as_ref().filter(|value| !null || !value.is_empty()).cloned();
        match modifier {
            Some('-') => Ok(given.unwrap_or(word)),
            Some('+') => Ok(given.map_or_else(String::new, |_| word)),
            Some('?') => given.ok_or_else(|| {
                let state = if value.is_none() { "unset" } else { "empty" };
                if word.is_empty() {
                    format!("`{name}` may not be {state}")
                } else {
                    format!("`{name}`: {word}")
                }
            }),
            Some('#') => trim_prefix(&word, &value.unwrap_or_default()),
            Some('%') => trim_suffix(&word, &value.unwrap_or_default()),
            _ => Err(unknown_modifier(colon, modifier)),
        }
    }

    /// `${name/pattern/word}`, or with `//` everywhere.
    fn replaced(&mut self, name: &str) -> Result<String, Problem> {
        let everywhere = self.chars.next_if_eq(&'/').is_some();
        let pattern = self.operand('/', true)?;
        let word = self.operand('}', true)?;
        match self.variable(name) {
            None if self.lexer.keep_unset => Ok(format!("${{{name}/{pattern}/{word}}}")),
            value => replace(&pattern, &word, &value.unwrap_or_default(), everywhere),
        }
    }

    /// The text up to `stop`, which has to be there.
    fn operand(&mut self, stop: char, raw_escapes: bool) -> Result<String, Problem> {
        match self.until(Some(stop), raw_escapes) {
            Ok((text, _)) => Ok(text),
            Err(_) if self.peek().is_none() => Err(format!("there is no matching `{stop}`")),
            Err(problem) => Err(problem),
        }
    }

    /// A name: digits, or one special parameter, or letters, digits and `_`.
    fn name(&mut self) -> String {
        let mut name = String::new();
        if self.peek().is_some_and(is_digit) {
            while let Some(char) = self.chars.next_if(|char| is_digit(*char)) {
                name.push(char);
            }
            return name;
        }
        if let Some(char) = self.chars.next_if(|char| "@*#?-$!".contains(*char)) {
            return char.to_string();
        }
        while let Some(char) = self.chars.next_if(|char| is_letter(*char) || is_digit(*char) || *char == '_')
        {
            name.push(char);
        }
        name
    }

    fn variable(&mut self, name: &str) -> Option<String> {
        let value = self.environment.get(name).map(str::to_owned);
        let found = if value.is_some() { &mut self.found.matched } else { &mut self.found.unmatched };
        found.insert(name.to_owned());
        value
    }
}

fn unknown_modifier(colon: &str, modifier: Option<char>) -> Problem {
    match modifier {
        Some(modifier) => format!("`{colon}{modifier}` is no modifier of a variable"),
        None => "there is no matching `}`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Environment {
        [("NAME", "wheel"), ("EMPTY", ""), ("PATHS", "/a/b/c"), ("TWO", "x  y")].into_iter().collect()
    }

    fn of(word: &str) -> String {
        expand(word, &variables(), '\\').unwrap()
    }

    fn words(word: &str) -> Vec<String> {
        expand_words(word, &variables(), '\\').unwrap()
    }

    #[test]
    fn plain_variables() {
        assert_eq!(of("a$NAME.b"), "awheel.b");
        assert_eq!(of("${NAME}s$UNSET"), "wheels");
        assert_eq!(of("$ $. $"), "$ $. $");
        assert_eq!(of("$1x"), "x");
        assert_eq!(of("$@x"), "x");
    }

    #[test]
    fn quotes_and_escapes() {
        assert_eq!(of(r#"'$NAME' "$NAME" \$NAME"#), "$NAME wheel $NAME");
        assert_eq!(of(r#""\$NAME \" \n \\""#), r#"$NAME " \n \"#);
        assert_eq!(of(r"a\nb\"), "anb");
        assert_eq!(expand("`$NAME \\x", &variables(), '`').unwrap(), "$NAME \\x");
    }

    #[test]
    fn defaults_and_alternatives() {
        assert_eq!(of("${UNSET-a} ${UNSET:-b} ${EMPTY-c} ${EMPTY:-d} ${NAME:-e}"), "a b  d wheel");
        assert_eq!(of("${UNSET+a}${UNSET:+b}${EMPTY+c}${EMPTY:+d}${NAME:+e}"), "ce");
        assert_eq!(of("${UNSET:-${NAME:+x}}"), "x");
    }

    #[test]
    fn required_variables() {
        let problem = |word| expand(word, &variables(), '\\').unwrap_err().to_string();
        assert_eq!(of("${NAME:?}${EMPTY?}"), "wheel");
        assert_eq!(problem("${UNSET?}"), "cannot expand `${UNSET?}`: `UNSET` may not be unset");
        assert_eq!(problem("${EMPTY:?}"), "cannot expand `${EMPTY:?}`: `EMPTY` may not be empty");
        assert_eq!(problem("${UNSET:?say so}"), "cannot expand `${UNSET:?say so}`: `UNSET`: say so");
    }

    #[test]
    fn cutting_and_replacing() {
        assert_eq!(of("${PATHS#*/} ${PATHS##*/} ${PATHS%/*} ${PATHS%%/*}"), "a/b/c c /a/b ");
        assert_eq!(of(r"${PATHS/\//-} ${PATHS//\//-}"), "-a/b/c -a-b-c");
        assert_eq!(of("${NAME/e?/X}"), "whXl");
        assert_eq!(of("${NAME#x}"), "wheel");
    }

    #[test]
    fn words_split_after_expansion() {
        assert_eq!(words(r#"$TWO "$TWO" a\ b"#), ["x", "y", "x  y", "a b"]);
        assert_eq!(words("a<< EOF b"), ["a<< EOF", "b"]);
        assert_eq!(words("''"), Vec::<String>::new());
        assert_eq!(words("a${UNSET:-b}"), ["b"], "see the essay");
    }

    #[test]
    fn unset_variables_can_stay() {
        let lexer = Lexer { keep_unset: true, raw_quotes: true, ..Lexer::new('\\') };
        let text = "'$A' \"$A\" ${A} ${A:-b} ${A//x/y} $NAME";
        assert_eq!(lexer.expand(text, &variables()).unwrap().text, "'$A' \"$A\" ${A} ${A:-b} ${A/x/y} wheel");
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| format!("{}x{}", "${A:-".repeat(depth), "}".repeat(depth));
        assert_eq!(of(&nested(DEPTH - 1)), "x");
        let error = expand(&nested(20_000), &variables(), '\\').unwrap_err();
        assert!(error.to_string().ends_with("variables are nested too deep"));
    }

    #[test]
    fn variables_are_told() {
        let expansion = Lexer::new('\\').expand("$NAME ${A:-$B}", &variables()).unwrap();
        assert_eq!(expansion.matched.into_iter().collect::<Vec<_>>(), ["NAME"]);
        assert_eq!(expansion.unmatched.into_iter().collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn what_cannot_be_expanded() {
        for (word, problem) in [
            ("${NAME", "there is no matching `}`"),
            ("${", "there is no matching `}`"),
            ("${NAME:-a", "there is no matching `}`"),
            ("${NAME/a", "there is no matching `/`"),
            ("${}", "`${` is not followed by a name"),
            ("${NAME=a}", "`=` is no modifier of a variable"),
            ("${NAME:#a}", "`:#` is no modifier of a variable"),
            ("'a", "there is no matching single quote"),
            ("\"a", "there is no matching double quote"),
            (r"${NAME#\a}", r"`\a` in the pattern escapes nothing"),
        ] {
            let error = expand(word, &variables(), '\\').unwrap_err();
            assert_eq!(error.to_string(), format!("cannot expand `{word}`: {problem}"));
        }
    }
}
