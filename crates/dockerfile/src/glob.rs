//! The patterns of `COPY` and `ADD` sources: those of Go's `filepath.Match`, which BuildKit uses.
//!
//! ```text
//! *        any run of characters but `/`          [a-z]    one of a class, never `/`
//! ?        one character but `/`                  [^a-z]   one that is not of the class
//! \x       the character x                        x        itself
//! ```
//!
//! `**` is no more than `*` here. A class must not be empty and its range not be open; such a pattern matches nothing.

/// A pattern of `COPY` or `ADD` that has a wildcard in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Character(char),
    Any,
    Run,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// Reads a pattern; `None` if it is malformed, in which case it matches nothing.
    pub fn parse(pattern: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = pattern.chars();
        while let Some(character) = rest.next() {
            parts.push(match character {
                '*' => Part::Run,
                '?' => Part::Any,
                '\\' => Part::Character(rest.next()?),
                '[' => class(&mut rest)?,
                other => Part::Character(other),
            });
        }
        Some(Self { parts })
    }

    /// Whether a path or a name has a wildcard in it that is not escaped.
    pub fn is_wild(path: &str) -> bool {
        let mut characters = path.chars();
        while let Some(character) = characters.next() {
            match character {
                '*' | '?' | '[' => return true,
                '\\' => drop(characters.next()),
                _ => {}
            }
        }
        false
    }

    /// Whether the whole of `path` matches.
    pub fn matches(&self, path: &str) -> bool {
        let text: Vec<char> = path.chars().collect();
        // The last `*` and how far it reached: on a mismatch it takes one more character.
        let (mut part, mut at, mut retry) = (0, 0, None::<(usize, usize)>);
        while at < text.len() || part < self.parts.len() {
            match (self.parts.get(part), text.get(at)) {
                (Some(Part::Run), _) => {
                    retry = Some((part, at));
                    part += 1;
                }
                (Some(one), Some(&character)) if one.takes(character) => {
                    part += 1;
                    at += 1;
                }
                _ => match retry.filter(|&(_, reached)| text.get(reached).is_some_and(|&next| next != '/')) {
                    Some((run, reached)) => {
                        retry = Some((run, reached + 1));
                        (part, at) = (run + 1, reached + 1);
                    }
                    None => return false,
                },
            }
        }
        true
    }
}

impl Part {
    fn takes(&self, character: char) -> bool {
        match self {
            Self::Character(one) => *one == character,
            Self::Any => character != '/',
            Self::Run => false,
            Self::Class { negated, ranges } => {
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
                character != '/' && inside != *negated
            }
        }
    }
}

/// The rest of a class, after its `[`.
fn class(rest: &mut std::str::Chars<'_>) -> Option<Part> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.as_str().starts_with(']') {
            rest.next();
            return Some(Part::Class { negated, ranges });
        }
        let low = class_character(rest)?;
        let mut high = low;
        if rest.as_str().starts_with('-') {
            rest.next();
            high = class_character(rest)?;
        }
        ranges.push((low, high));
    }
}

fn class_character(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        character => Some(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Glob::parse(pattern).is_some_and(|glob| glob.matches(path))
    }

    #[test]
    fn patterns_match_as_in_go() {
        let cases = [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[]a]", "]", false),
            ("[-]", "-", false),
            ("[x-]", "x", false),
            ("[", "a", false),
            ("[^", "a", false),
            ("[^bc", "a", false),
            ("a[", "ab", false),
            ("*x", "xxx", true),
            ("**/x", "a/b/x", false),
            ("", "", true),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn escaped_wildcards_are_none() {
        assert!(Glob::is_wild("a*") && Glob::is_wild("[a]") && Glob::is_wild("\\\\?"));
        assert!(!Glob::is_wild("a\\*") && !Glob::is_wild("a"));
    }
}
