//! The classes of characters that BuildKit asks about, as Go has them.

use std::sync::LazyLock;

use regex::Regex;

/// Whether it is a letter: `L` of Unicode, which is less than what is alphabetic.
pub(crate) fn is_letter(char: char) -> bool {
    static LETTER: LazyLock<Regex> = LazyLock::new(|| class(r"\p{L}"));
    if char.is_ascii() { char.is_ascii_alphabetic() } else { matches(&LETTER, char) }
}

/// Whether it is a decimal digit of any script.
pub(crate) fn is_digit(char: char) -> bool {
    static DIGIT: LazyLock<Regex> = LazyLock::new(|| class(r"\p{Nd}"));
    if char.is_ascii() { char.is_ascii_digit() } else { matches(&DIGIT, char) }
}

/// Whether it can be printed: letters, marks, numbers, punctuation, symbols, and of the spaces the ASCII one.
pub(crate) fn is_printable(char: char) -> bool {
    static PRINTABLE: LazyLock<Regex> = LazyLock::new(|| class(r"[\p{L}\p{M}\p{N}\p{P}\p{S}]"));
    if char.is_ascii() { char == ' ' || char.is_ascii_graphic() } else { matches(&PRINTABLE, char) }
}

fn class(class: &str) -> Regex {
    Regex::new(class).expect("invariant: a constant that compiles")
}

fn matches(class: &Regex, char: char) -> bool {
    class.is_match(char.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_go() {
        assert!(is_letter('é') && is_letter('한') && !is_letter('Ⅷ') && !is_letter('_'));
        assert!(is_digit('٣') && !is_digit('½'));
        assert!(
            is_printable('é') && is_printable(' ') && !is_printable('\u{a0}') && !is_printable('\u{200b}')
        );
    }
}
