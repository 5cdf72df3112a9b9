//! How a line falls into an instruction, its flags and its words, before anything is expanded.

use crate::span::Word;
use crate::syntax::line::Fragment;

/// A line as its keyword, its flags and the rest.
pub(super) struct Command<'a> {
    pub(super) keyword: Fragment<'a>,
    pub(super) flags: Vec<Word>,
    pub(super) rest: Fragment<'a>,
}

/// Takes a line apart.
pub(super) fn split_command(line: Fragment<'_>, escape: char) -> Command<'_> {
    let line = line.trimmed();
    let parts = line.split_blanks(2);
    let keyword = parts.first().copied().unwrap_or(line);
    let behind = parts.get(1).copied().unwrap_or_else(|| line.from(line.text().len()));
    let (flags, rest) = split_flags(behind, escape);
    Command { keyword, flags, rest: rest.trimmed() }
}

/// The words that begin with `--`, and what follows the last of them. `--` alone ends them.
///
/// BuildKit goes over bytes here and takes each for a character, so a flag beyond ASCII is garbled, and the second
/// byte of a no-break space ends it. Both are kept: what a flag says is only ever compared or shown.
fn split_flags(line: Fragment<'_>, escape: char) -> (Vec<Word>, Fragment<'_>) {
    let bytes = line.text().as_bytes();
    let mut flags = Vec::new();
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(|byte| is_space(*byte)) {
            at += 1;
        }
        if !bytes.get(at..).is_some_and(|rest| rest.starts_with(b"--")) {
            return (flags, line.from(boundary(line, at)));
        }
        let start = at;
        let (word, quoted) = read_flag(bytes, &mut at, escape as u32 as u8);
        if word == "--" {
            return (flags, line.from(boundary(line, at)));
        }
        if quoted || !word.is_empty() {
            flags.push(line.part(boundary(line, start)..boundary(line, at)).word_of(word));
        }
    }
}

/// Reads a flag up to the space behind it, without its quotes; and whether it had any.
fn read_flag(bytes: &[u8], at: &mut usize, escape: u8) -> (String, bool) {
    let mut word = String::new();
    let mut quote = None;
    let mut quoted = false;
    while let Some(&byte) = bytes.get(*at) {
        match quote {
            None if is_space(byte) => break,
            None if matches!(byte, b'\'' | b'"') => (quote, quoted) = (Some(byte), true),
            Some(quote_byte) if byte == quote_byte => quote = None,
            _ if byte == escape => {
                // An escape at the end of the line is dropped.
                *at += 1;
                word.extend(bytes.get(*at).copied().map(char::from));
            }
            _ => word.push(char::from(byte)),
        }
        *at += 1;
    }
    *at = (*at).min(bytes.len());
    (word, quoted)
}

fn boundary(line: Fragment<'_>, at: usize) -> usize {
    line.text().ceil_char_boundary(at)
}

/// Space as a byte taken for a character can be.
pub(super) fn is_space(byte: u8) -> bool {
    char::from(byte).is_whitespace()
}

/// The words of a line, at spaces that are neither quoted nor escaped. Quotes and escapes stay.
pub(super) fn split_words(line: Fragment<'_>, escape: char) -> Vec<Fragment<'_>> {
    let mut words = Vec::new();
    let mut rest = line.trimmed();
    while !rest.is_empty() {
        let (length, end) = word_end(rest.text(), escape);
        if length > 0 {
            words.push(rest.part(0..length));
        }
        rest = rest.from(end).trimmed();
    }
    words
}

/// How long the word at the beginning of `text` is, and where it ends: an escape at the very end is not part of it.
fn word_end(text: &str, escape: char) -> (usize, usize) {
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match quote {
            None if char.is_whitespace() => return (at, at),
            None if matches!(char, '\'' | '"') => quote = Some(char),
            Some(open) if char == open => quote = None,
            _ => {}
        }
        if char == escape && quote != Some('\'') && chars.next().is_none() {
            return (at, text.len());
        }
    }
    (text.len(), text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::line::LogicalLine;

    fn command(text: &str) -> (String, Vec<String>, String) {
        let mut line = LogicalLine::default();
        line.push(text, 0);
        let command = split_command(line.fragment(), '\\');
        let flags = command.flags.into_iter().map(|flag| flag.value).collect();
        (command.keyword.text().to_owned(), flags, command.rest.text().to_owned())
    }

    fn words(text: &str) -> Vec<String> {
        let mut line = LogicalLine::default();
        line.push(text, 0);
        let words = split_words(line.fragment(), '\\');
        words.into_iter().map(|word| word.text().to_owned()).collect()
    }

    #[test]
    fn flags_come_first() {
        let (keyword, flags, rest) = command(" COPY  --a=b --c='d e' --f=\\ g  x --y ");
        assert_eq!((keyword.as_str(), rest.as_str()), ("COPY", "x --y"));
        assert_eq!(flags, ["--a=b", "--c=d e", "--f= g"]);
    }

    #[test]
    fn two_dashes_end_the_flags() {
        assert_eq!(command("RUN --a -- --b c").2, "--b c");
        assert_eq!(command("RUN --a --").1, ["--a"]);
        assert_eq!(command("RUN - --a").2, "- --a");
    }

    #[test]
    fn flags_are_bytes() {
        assert_eq!(command("RUN --mou\u{a0}nt x"), ("RUN".into(), vec!["--mou\u{c2}".into()], "nt x".into()));
        assert_eq!(command("RUN --é x").1, ["--Ã©"]);
        assert_eq!(command("RUN --\u{9150}").0, "RUN", "the bytes of one character are torn apart");
    }

    #[test]
    fn words_keep_quotes_and_escapes() {
        assert_eq!(words(r#" a="b c" d\ e 'f\' "g\"h" "#), [r#"a="b c""#, r"d\ e", r"'f\'", r#""g\"h""#]);
        assert_eq!(words(r"a b\"), ["a", "b"]);
        assert_eq!(words("'' \"a"), ["''", "\"a"]);
    }
}
