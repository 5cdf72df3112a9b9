//! One pattern of an ignore file.
//!
//! The matching rules are BuildKit's (moby/patternmatcher, read as the reference): a pattern without wildcards is
//! compared, one that begins or ends in `**` and has no other wildcard is a suffix or a prefix, and all others become
//! a Go regular expression. Each of the four has its own corner cases, so the choice between them is part of the
//! meaning and not only of the speed: `**foo` as a suffix matches `barfoo`, as an expression it would not.

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use regex::bytes::Regex;

/// What is wrong with a pattern, as the end of a sentence about it.
type Problem = &'static str;

const UNCLOSED: Problem = "has a `[` without its `]`";
const BAD_RANGE: Problem = "has a range between `[` and `]` that is not one";
const TRAILING_ESCAPE: Problem = "ends in a `\\` that escapes nothing";
const BAD_ESCAPE: Problem =
    "has a `\\` before a letter or digit where that means nothing (paths are separated by `/`)";
const TOO_LARGE: Problem = "is too large";

/// How [`push_class`] writes `[^/]`.
const NO_SLASH: &str = r"[^\x{2f}]";

/// A cleaned pattern and how it is matched.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    text: String,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    Exact,
    /// `lib/**`: whatever starts with what precedes the `**`.
    Prefix(String),
    /// `**/*.py` without the second wildcard: whatever ends in what follows the `**`.
    Suffix(String),
    Expression(Expression),
}

/// A regular expression, and what a path must begin and end with for it to be worth asking.
#[derive(Debug, Clone)]
struct Expression {
    head: String,
    tail: String,
    /// Over bytes, because byte classes compile three times as fast as those of characters and a build reads its
    /// ignore file every time. Paths are UTF-8 all the same: what stands for one character is marked `(?u:…)`.
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern that [`clean`] has cleaned.
    pub(crate) fn new(text: &str) -> Result<Self, Problem> {
        check_syntax(text)?;
        Ok(Self { text: text.to_owned(), matcher: Matcher::new(text)? })
    }

    /// The pattern as it was given.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches this very path; parents are the caller's affair.
    pub(crate) fn is_match(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Exact => path == self.text,
            Matcher::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Matcher::Suffix(suffix) => {
                path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path)
            }
            Matcher::Expression(expression) => expression.is_match(path),
        }
    }
}

impl Matcher {
    fn new(text: &str) -> Result<Self, Problem> {
        let tokens = tokens(text);
        let literal = |tokens: &[Token]| tokens.iter().all(|token| matches!(token, Token::Literal(_)));
        match tokens.as_slice() {
            all if literal(all) => Ok(Self::Exact),
            [Token::Deep, rest @ ..] if literal(rest) => {
                Ok(Self::Suffix(text.trim_start_matches("**").to_owned()))
            }
            [start @ .., Token::Deep] if literal(start) => {
                Ok(Self::Prefix(text.trim_end_matches("**").to_owned()))
            }
            all => Expression::new(all).map(Self::Expression),
        }
    }
}

impl Expression {
    fn new(tokens: &[Token]) -> Result<Self, Problem> {
        // A `^` is an anchor in the expression, wherever it stands.
        let literal = |token: &Token| match token {
            Token::Literal(char) if *char != '^' => Some(*char),
            _ => None,
        };
        let tail: Vec<char> = tokens.iter().rev().map_while(literal).collect();
        Ok(Self {
            head: tokens.iter().map_while(literal).collect(),
            tail: tail.iter().rev().collect(),
            regex: Regex::new(&in_our_dialect(&go_expression(tokens))?).map_err(|_| TOO_LARGE)?,
        })
    }

    fn is_match(&self, path: &str) -> bool {
        path.starts_with(&self.head) && path.ends_with(&self.tail) && self.regex.is_match(path.as_bytes())
    }
}

/// What a character or two of a pattern mean.
#[derive(Debug, Clone, Copy)]
enum Token {
    /// `**`, with the `/` that follows it.
    Deep,
    /// `*`
    Star,
    /// `?`
    One,
    /// `\x`
    Escape(char),
    /// `[` or `]`; what they enclose is left to the regular expression.
    Bracket(char),
    Literal(char),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        tokens.push(match char {
            '*' if chars.next_if_eq(&'*').is_some() => {
                let _eaten = chars.next_if_eq(&'/');
                Token::Deep
            }
            '*' => Token::Star,
            '?' => Token::One,
            '\\' => chars.next().map_or(Token::Literal('\\'), Token::Escape),
            '[' | ']' => Token::Bracket(char),
            _ => Token::Literal(char),
        });
    }
    tokens
}

/// The regular expression that BuildKit would hand to Go.
///
/// Wildcards are replaced between brackets too, as there: `[*]` is not a class with a star in it.
fn go_expression(tokens: &[Token]) -> String {
    let mut expression = String::from("^");
    let last = tokens.len().saturating_sub(1);
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Deep if index == last => expression.push_str(".*"),
            Token::Deep => expression.push_str("(.*/)?"),
            Token::Star => expression.push_str("[^/]*"),
            Token::One => expression.push_str("[^/]"),
            Token::Escape(char) => expression.extend(['\\', *char]),
            Token::Literal(char @ ('.' | '+' | '(' | ')' | '|' | '{' | '}' | '$')) => {
                expression.extend(['\\', *char]);
            }
            Token::Bracket(char) | Token::Literal(char) => expression.push(*char),
        }
    }
    expression.push('$');
    expression
}

/// Says a Go regular expression in the dialect of the `regex` crate.
///
/// Only what [`go_expression`] can write is understood. The dialects differ between brackets, where ours knows
/// nested classes and set operations, and in escapes, where `\<` is a `<` to Go.
fn in_our_dialect(expression: &str) -> Result<String, Problem> {
    let mut ours = String::from("(?-u)");
    let mut chars = expression.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match escape(chars.next())? {
                Escape::Char(char) => push_char(&mut ours, char),
                Escape::Class(class) => push_character(&mut ours, class),
                Escape::Assertion(assertion) => ours.push_str(assertion),
            },
            '[' => {
                let mut class = String::new();
                push_class(&mut class, &mut chars)?;
                let is_repeated = chars.peek() == Some(&'*');
                // A run of anything but `/` is the same run of bytes; all else has to be one character.
                let bytes = is_repeated && class == NO_SLASH;
                if bytes { ours.push_str(&class) } else { push_character(&mut ours, &class) }
            }
            '(' => ours.push_str("(?:"),
            '^' | '$' | '.' | '*' | ')' | '?' => ours.push(char),
            _ => push_char(&mut ours, char),
        }
    }
    Ok(ours)
}

/// A class that stands for one character, not for one byte.
fn push_character(ours: &mut String, class: &str) {
    let _infallible = write!(ours, "(?u:{class})");
}

/// A character that means itself, between brackets and outside.
fn push_char(ours: &mut String, char: char) {
    if char.is_ascii() && !char.is_ascii_alphanumeric() {
        let _infallible = write!(ours, "\\x{{{:x}}}", u32::from(char));
    } else {
        ours.push(char);
    }
}

/// What follows a `\` in Go.
enum Escape {
    Char(char),
    Class(&'static str),
    Assertion(&'static str),
}

fn escape(char: Option<char>) -> Result<Escape, Problem> {
    Ok(match char.ok_or(TRAILING_ESCAPE)? {
        'd' => Escape::Class("[0-9]"),
        'D' => Escape::Class("[^0-9]"),
        's' => Escape::Class(r"[\t\n\f\r ]"),
        'S' => Escape::Class(r"[^\t\n\f\r ]"),
        'w' => Escape::Class("[0-9A-Za-z_]"),
        'W' => Escape::Class("[^0-9A-Za-z_]"),
        'b' => Escape::Assertion(r"\b"),
        'B' => Escape::Assertion(r"\B"),
        'A' => Escape::Assertion(r"\A"),
        'z' => Escape::Assertion(r"\z"),
        'a' => Escape::Char('\x07'),
        'f' => Escape::Char('\x0c'),
        'n' => Escape::Char('\n'),
        'r' => Escape::Char('\r'),
        't' => Escape::Char('\t'),
        'v' => Escape::Char('\x0b'),
        char if char.is_ascii_punctuation() => Escape::Char(char),
        // Octal, hexadecimal, `\p`, `\Q` and `\C` are Go's too: nobody means them in a path.
        _ => return Err(BAD_ESCAPE),
    })
}

/// The rest of a class whose `[` was read.
fn push_class(ours: &mut String, chars: &mut Peekable<Chars<'_>>) -> Result<(), Problem> {
    ours.push('[');
    if chars.next_if_eq(&'^').is_some() {
        ours.push('^');
    }
    let mut is_first = true;
    loop {
        if !is_first && chars.next_if_eq(&']').is_some() {
            ours.push(']');
            return Ok(());
        }
        is_first = false;
        if let Some(name) = posix_class(chars) {
            ours.push_str(&name);
            continue;
        }
        match class_member(chars)? {
            Escape::Class(class) => ours.push_str(class),
            Escape::Assertion(_) => return Err(BAD_ESCAPE),
            Escape::Char(low) => push_range(ours, low, chars)?,
        }
    }
}

/// One character or `low-high`; a `-` before the closing `]` is only a `-`.
fn push_range(ours: &mut String, low: char, chars: &mut Peekable<Chars<'_>>) -> Result<(), Problem> {
    push_char(ours, low);
    let mut ahead = chars.clone();
    if ahead.next() != Some('-') || ahead.peek().is_none_or(|char| *char == ']') {
        return Ok(());
    }
    *chars = ahead;
    match class_member(chars)? {
        Escape::Char(high) if low <= high => {
            ours.push('-');
            push_char(ours, high);
            Ok(())
        }
        _ => Err(BAD_RANGE),
    }
}

fn class_member(chars: &mut Peekable<Chars<'_>>) -> Result<Escape, Problem> {
    match chars.next().ok_or(UNCLOSED)? {
        '\\' => escape(chars.next()),
        char => Ok(Escape::Char(char)),
    }
}

/// `[:alpha:]` and its like; anything else that begins with `[` is only a `[`.
fn posix_class(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
        "upper", "word", "xdigit",
    ];
    let rest: String = chars.clone().collect();
    let (name, after) = rest.strip_prefix("[:")?.split_once(":]")?;
    if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return None;
    }
    let consumed = rest.chars().count() - after.chars().count();
    let _read = chars.nth(consumed - 1);
    Some(format!("[:{name}:]"))
}

/// The check that BuildKit makes before all else: is it a pattern in the sense of Go's `filepath.Match`?
///
/// It is stricter than the regular expression about classes (`[a-]` and `[]a]` are errors).
fn check_syntax(text: &str) -> Result<(), Problem> {
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' if chars.next().is_none() => return Err(TRAILING_ESCAPE),
            '[' => check_class(&mut chars)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_class(chars: &mut Peekable<Chars<'_>>) -> Result<(), Problem> {
    let _negated = chars.next_if_eq(&'^');
    check_member(chars)?;
    loop {
        match chars.peek().ok_or(UNCLOSED)? {
            ']' => {
                chars.next();
                return Ok(());
            }
            _ => check_member(chars)?,
        }
    }
}

fn check_member(chars: &mut Peekable<Chars<'_>>) -> Result<(), Problem> {
    check_bound(chars)?;
    if chars.next_if_eq(&'-').is_some() {
        check_bound(chars)?;
    }
    Ok(())
}

fn check_bound(chars: &mut Peekable<Chars<'_>>) -> Result<(), Problem> {
    match chars.next().ok_or(UNCLOSED)? {
        '-' | ']' => Err(BAD_RANGE),
        '\\' => chars.next().map(|_| ()).ok_or(TRAILING_ESCAPE),
        _ => Ok(()),
    }
}

/// The shortest path that means the same, by the rules of Go's `filepath.Clean`.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", Some(&last)) if last != ".." => {
                parts.pop();
            }
            ("..", None) if rooted => {}
            _ => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".to_owned(),
        (false, path) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern).unwrap().is_match(path)
    }

    fn problem(pattern: &str) -> Problem {
        Pattern::new(pattern).unwrap_err()
    }

    #[test]
    fn clean_is_the_shortest_path() {
        let cases = [
            ("", "."),
            ("a", "a"),
            ("a/", "a"),
            ("./a", "a"),
            ("a//b", "a/b"),
            ("a/./b", "a/b"),
            ("a/../b", "b"),
            ("..", ".."),
            ("../a", "../a"),
            ("a/../..", ".."),
            ("../../a/..", "../.."),
            ("/", "/"),
            ("//a", "/a"),
            ("/..", "/"),
            ("/../a", "/a"),
            ("/a/..", "/"),
        ];
        for (given, expected) in cases {
            assert_eq!(clean(given), expected, "`{given}`");
        }
    }

    #[test]
    fn plain_patterns_are_compared() {
        assert!(matches("a.b+c", "a.b+c"));
        assert!(!matches("a.b+c", "aXbbc"));
        assert!(matches("a^b", "a^b"), "`^` is a letter as long as nothing else is special");
        assert!(!matches("a^b*", "a^b"), "and an anchor once something is");
        assert!(matches("^ab*", "abc"), "and an anchor once something is");
    }

    #[test]
    fn star_and_question_mark_stop_at_a_slash() {
        assert!(matches("*.log", "x.log"));
        assert!(!matches("*.log", "a/x.log"));
        assert!(!matches("*.log", "xlog"));
        assert!(matches("a?c", "aéc"));
        assert!(!matches("a?c", "a/c"));
    }

    #[test]
    fn deep_patterns_at_the_start() {
        assert!(matches("**/a", "a"));
        assert!(matches("**/a", "x/y/a"));
        assert!(!matches("**/a", "xa"));
        assert!(matches("**a", "xa"), "without its slash it is only a suffix");
        assert!(matches("**/*.py", "x/y/z.py"));
        assert!(matches("**", "anything/at all"));
    }

    #[test]
    fn deep_patterns_at_the_end() {
        assert!(matches("a/**", "a/b/c"));
        assert!(!matches("a/**", "a"));
        assert!(matches("a**", "abc/d"), "without its slash it is only a prefix");
        assert!(matches("*/a**", "x/ab/c"));
    }

    #[test]
    fn deep_patterns_within() {
        assert!(matches("a/**/b", "a/b"));
        assert!(matches("a/**/b", "a/x/y/b"));
        assert!(!matches("a/**/b", "a/xb"));
        assert!(matches("a**/b", "ax/y/b"));
        assert!(!matches("a**/b", "axb"));
        assert!(matches("**/a/**", "x/a/y"));
        assert!(!matches("**/a/**", "x/b/y"));
    }

    #[test]
    fn classes() {
        assert!(matches("[a-c]x", "bx"));
        assert!(!matches("[a-c]x", "dx"));
        assert!(matches("[^a-c]x", "dx"));
        assert!(!matches("[^a-c]x", "bx"));
        assert!(matches(r"[a\-]x", "-x"));
        assert!(matches("[.]x", ".x"));
        assert!(matches("[[:digit:]]", "7"));
        assert!(matches("[[a]x", "[x"), "no nested classes");
        assert!(matches("[a&&b]", "a"), "no set operations");
        assert!(matches("[a~~b]", "b"), "no set operations");
        assert!(matches("[é-ü]", "ï"));
        assert!(matches("a]b*", "a]b"));
    }

    #[test]
    fn a_wildcard_between_brackets_is_replaced_all_the_same() {
        assert!(!matches("[*]x", "*x"));
        assert!(matches("[é*]x", "éé]x"));
        assert!(matches("[*]x", "[/^]x"), "the class is `[^/` and is repeated, then comes `]x`");
    }

    #[test]
    fn escapes() {
        assert!(matches(r"a\*b", "a*b"));
        assert!(!matches(r"a\*b", "axb"));
        assert!(matches(r"a\?", "a?"));
        assert!(matches(r"\!a", "!a"));
        assert!(matches(r"\#a", "#a"));
        assert!(matches(r"a\<b", "a<b"));
        assert!(matches(r"a\d", "a7"), "a digit, as Go's expression has it");
        assert!(!matches(r"a\d", "a٣"));
        assert!(!matches(r"dir\bin", "dir/bin"));
        assert!(matches(r"a\B*b", "axb"));
    }

    #[test]
    fn characters_are_never_cut() {
        assert!(matches("a?c*", "aéc"));
        assert!(!matches("a??c*", "aéc"), "one character, not its two bytes");
        assert!(matches("*é", "aé"));
        assert!(matches("*[é]x", "éx"));
        assert!(!matches("*[ã]x", "éx"), "the two share their first byte");
        assert!(matches("[^a]x", "éx"));
        assert!(!matches("[^a][^b]x", "éx"));
        assert!(matches(r"\Dx", "éx"));
    }

    #[test]
    fn what_is_no_pattern() {
        assert_eq!(problem("a["), UNCLOSED);
        assert_eq!(problem("[a-b"), UNCLOSED);
        assert_eq!(problem("[]a]"), BAD_RANGE);
        assert_eq!(problem("[a-]"), BAD_RANGE);
        assert_eq!(problem("[z-a]"), BAD_RANGE);
        assert_eq!(problem(r"a\"), TRAILING_ESCAPE);
        assert_eq!(problem(r"src\Test"), BAD_ESCAPE);
        assert_eq!(problem(r"src\project"), BAD_ESCAPE);
    }
}
