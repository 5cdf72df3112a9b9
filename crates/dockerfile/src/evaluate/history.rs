//! Texts as BuildKit prints them: what the history says, what a build shows.

use std::fmt::Display;
use std::fmt::Write;

use crate::instruction::format_duration;
use crate::step::Healthcheck;
use crate::unicode::is_printable;

/// `[a b c]`, as Go prints a list.
pub(super) fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(" "))
}

/// `["a" "b"]`, as Go prints a list of quoted strings.
pub(super) fn quoted(words: &[String]) -> String {
    list(words.iter().map(|word| quote(word)))
}

fn quote(word: &str) -> String {
    let mut text = String::from("\"");
    for char in word.chars() {
        let _ = match char {
            '"' | '\\' => write!(text, "\\{char}"),
            '\u{7}' => write!(text, "\\a"),
            '\u{8}' => write!(text, "\\b"),
            '\u{c}' => write!(text, "\\f"),
            '\n' => write!(text, "\\n"),
            '\r' => write!(text, "\\r"),
            '\t' => write!(text, "\\t"),
            '\u{b}' => write!(text, "\\v"),
            _ if is_printable(char) => write!(text, "{char}"),
            '\0'..='\x7f' => write!(text, "\\x{:02x}", char as u32),
            '\u{80}'..='\u{ffff}' => write!(text, "\\u{:04x}", char as u32),
            _ => write!(text, "\\U{:08x}", char as u32),
        };
    }
    text + "\""
}

/// A health check with the names of its fields, as Go prints a struct.
pub(super) fn healthcheck(check: &Healthcheck) -> String {
    format!(
        "{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        list(&check.test),
        format_duration(check.interval),
        format_duration(check.timeout),
        format_duration(check.start_period),
        format_duration(check.start_interval),
        check.retries
    )
}

/// A line with its keyword in capitals.
pub(super) fn uppercase_keyword(line: &str) -> String {
    match line.split_once(' ') {
        Some((keyword, rest)) => format!("{} {rest}", keyword.to_uppercase()),
        None => line.to_uppercase(),
    }
}

/// The first line of a heredoc, as much as a build shows of it.
pub(super) fn summary(content: &str) -> String {
    let content = content.trim().replace("\r\n", "\n");
    match content.split_once('\n') {
        Some((first, _)) => format!("{first}..."),
        None => content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_that_of_go() {
        let words = ["a b".to_owned(), "\"\\\n\u{1}é\u{200b}\u{e0001}".to_owned()];
        assert_eq!(quoted(&words), r#"["a b" "\"\\\n\x01é\u200b\U000e0001"]"#);
    }

    #[test]
    fn checks_are_printed() {
        let check = Healthcheck {
            test: vec!["CMD".into(), "a".into()],
            interval: 30_000_000_000,
            retries: 3,
            ..Default::default()
        };
        let expected = "{Test:[CMD a] Interval:30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:3}";
        assert_eq!(healthcheck(&check), expected);
    }

    #[test]
    fn lines_are_shown() {
        assert_eq!(uppercase_keyword("run a b"), "RUN a b");
        assert_eq!(summary("\n  a b\r\nc\n"), "a b...");
        assert_eq!(summary("a\n"), "a");
    }
}
