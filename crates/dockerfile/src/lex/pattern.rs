//! The patterns of `${name#pattern}` and `${name/pattern/word}`: `*`, `?` and escapes, no brackets.

use regex::{NoExpand, Regex};

/// `value` without the part at its beginning that `pattern` matches, the longest if the pattern begins with `#`.
pub(super) fn trim_prefix(pattern: &str, value: &str) -> Result<String, String> {
    let (pattern, greedy) = greed(pattern, '#');
    let expression = expression(pattern, greedy, true)?;
    let end = expression.find(value).map_or(0, |found| found.end());
    Ok(value.get(end..).unwrap_or_default().to_owned())
}

/// `value` without the part at its end that `pattern` matches, the longest if the pattern begins with `%`.
///
/// A search goes from left to right, so both are turned around.
pub(super) fn trim_suffix(pattern: &str, value: &str) -> Result<String, String> {
    let (pattern, greedy) = greed(pattern, '%');
    let expression = expression(&reversed(pattern), greedy, true)?;
    let value: String = value.chars().rev().collect();
    let end = expression.find(&value).map_or(0, |found| found.end());
    Ok(value.get(end..).unwrap_or_default().chars().rev().collect())
}

/// `value` with `word` for the first place, or every place, that `pattern` matches.
///
/// Where every place is replaced, `$0` and `$$` in the word mean something to BuildKit, because Go's expressions have it.
pub(super) fn replace(pattern: &str, word: &str, value: &str, everywhere: bool) -> Result<String, String> {
    let expression = expression(pattern, true, false)?;
    Ok(if everywhere {
        expression.replace_all(value, word).into_owned()
    } else {
        expression.replace(value, NoExpand(word)).into_owned()
    })
}

fn greed(pattern: &str, mark: char) -> (&str, bool) {
    pattern.strip_prefix(mark).map_or((pattern, false), |rest| (rest, true))
}

fn expression(pattern: &str, greedy: bool, anchored: bool) -> Result<Regex, String> {
    let mut text = if anchored { "^" } else { "" }.to_owned();
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '*' => text.push_str(if greedy { ".*" } else { ".*?" }),
            '?' => text.push('.'),
            // These two are escaped for the sake of `${…}`, not for the pattern's.
            '\\' if matches!(chars.peek(), Some('}' | '/')) => {}
            '\\' => match chars.next() {
                Some(char @ ('*' | '?' | '\\')) => text.push_str(&regex::escape(&char.to_string())),
                Some(char) => return Err(format!("`\\{char}` in the pattern escapes nothing")),
                None => return Err("the pattern ends in an escape".to_owned()),
            },
            _ => text.push_str(&regex::escape(&char.to_string())),
        }
    }
    Regex::new(&text).map_err(|_| format!("the pattern `{pattern}` is too long"))
}

/// The pattern from right to left, each escape still in front of what it escapes.
fn reversed(pattern: &str) -> String {
    let mut pieces = Vec::new();
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        pieces.push(match (char, chars.clone().next()) {
            ('\\', Some(escaped)) => {
                chars.next();
                format!("\\{escaped}")
            }
            _ => char.to_string(),
        });
    }
    pieces.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greed_is_doubling_the_mark() {
        assert_eq!(trim_prefix("*a", "banana").unwrap(), "nana");
        assert_eq!(trim_prefix("#*a", "banana").unwrap(), "");
        assert_eq!(trim_suffix("a*", "banana").unwrap(), "banan");
        assert_eq!(trim_suffix("%a*", "banana").unwrap(), "b");
    }

    #[test]
    fn escapes_in_patterns() {
        assert_eq!(trim_suffix(r"\*c", r"a*c").unwrap(), "a");
        assert_eq!(trim_prefix(r"\}", "}a").unwrap(), "a");
        assert_eq!(trim_prefix("a.c", "abc").unwrap(), "abc");
        assert_eq!(reversed(r"a\*b\"), r"\b\*a");
    }

    #[test]
    fn words_of_replacements() {
        assert_eq!(replace("a", "$0$$", "banana", true).unwrap(), "ba$na$na$");
        assert_eq!(replace("a", "$0", "banana", false).unwrap(), "b$0nana");
    }
}
