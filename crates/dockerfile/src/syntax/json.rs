//! The JSON form: an array of strings, with the place of each.
//!
//! BuildKit asks Go's decoder whether it is JSON at all, and only then whether it holds strings: `["a", 1]` is an
//! error, `["a", 1` is text for a shell. So everything that may stand in JSON is read here.

use crate::span::Word;
use crate::syntax::line::Fragment;

/// What a text is, as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// An array of strings.
    Strings(Vec<Word>),
    /// An array that holds something else.
    Mixed,
    /// Nothing of the kind.
    Other,
}

/// Deeper nesting is an error to Go.
const DEPTH: usize = 10_000;

/// Reads `fragment` as an array.
pub(super) fn parse(fragment: Fragment<'_>) -> Json {
    let mut reader = Reader { fragment, bytes: fragment.text().as_bytes(), at: 0 };
    reader.array().unwrap_or(Json::Other)
}

struct Reader<'a> {
    fragment: Fragment<'a>,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn array(&mut self) -> Option<Json> {
        let mut words = Vec::new();
        let mut strings = true;
        self.eat(b'[')?;
        self.space();
        if self.peek() != Some(b']') {
            loop {
                self.space();
                let start = self.at;
                if self.peek()? == b'"' {
                    let value = self.string()?;
                    words.push(self.fragment.part(start..self.at).word_of(value));
                } else {
                    self.value(1)?;
                    strings = false;
                }
                self.space();
                if self.eat(b',').is_none() {
                    break;
                }
            }
        }
        self.eat(b']')?;
        self.space();
        let is_whole = self.at == self.bytes.len();
        is_whole.then_some(if strings { Json::Strings(words) } else { Json::Mixed })
    }

    /// Any value, of which nothing is kept.
    fn value(&mut self, depth: usize) -> Option<()> {
        self.space();
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'[' => self.items(b']', depth, |reader| reader.value(depth + 1)),
            b'{' => self.items(b'}', depth, |reader| {
                reader.space();
                reader.string()?;
                reader.space();
                reader.eat(b':')?;
                reader.value(depth + 1)
            }),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number(),
        }
    }

    fn items(
        &mut self,
        close: u8,
        depth: usize,
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.at += 1;
        self.space();
        if depth >= DEPTH {
            return None;
        }
        if self.eat(close).is_some() {
            return Some(());
        }
        loop {
            item(self)?;
            self.space();
            if self.eat(b',').is_none() {
                return self.eat(close);
            }
        }
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let _ = self.eat(b'-');
        if self.eat(b'0').is_none() {
            self.digits()?;
        }
        if self.eat(b'.').is_some() {
            self.digits()?;
        }
        if self.eat(b'e').or_else(|| self.eat(b'E')).is_some() {
            let _ = self.eat(b'-').or_else(|| self.eat(b'+'));
            self.digits()?;
        }
        let text = std::str::from_utf8(self.bytes.get(start..self.at)?).ok()?;
        text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|_| ())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        self.eat(b'"')?;
        let mut value = String::new();
        loop {
            let rest = self.fragment.text().get(self.at..)?;
            let plain = rest.find(|char| matches!(char, '"' | '\\' | '\0'..='\x1f'))?;
            value.push_str(rest.get(..plain)?);
            self.at += plain;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(value);
                }
                b'\\' => value.push(self.escape()?),
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        self.at += 1;
        let char = match self.peek()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return None,
        };
        self.at += 1;
        Some(char)
    }

    /// Four digits, or two times four for what is beyond them; half of a pair is a replacement character.
    fn unicode(&mut self) -> Option<char> {
        let first = self.four_digits()?;
        if let Some(char) = char::from_u32(first) {
            return Some(char);
        }
        let behind = self.at;
        if first < 0xdc00 && self.literal("\\u").is_some() {
            let second = self.four_digits()?;
            if (0xdc00..0xe000).contains(&second) {
                return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
        }
        self.at = behind;
        Some(char::REPLACEMENT_CHARACTER)
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.fragment.text().get(self.at..self.at + 4)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.at += 4;
        u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::line::LogicalLine;

    fn strings(text: &str) -> Option<Vec<String>> {
        let mut line = LogicalLine::default();
        line.push(text, 0);
        match parse(line.fragment()) {
            Json::Strings(words) => {
                for word in &words {
                    assert!(word.span.of(text).starts_with('"') && word.span.of(text).ends_with('"'));
                }
                Some(words.into_iter().map(|word| word.value).collect())
            }
            Json::Mixed => Some(vec!["mixed".to_owned()]),
            Json::Other => None,
        }
    }

    #[test]
    fn strings_are_read() {
        assert_eq!(strings("[]").unwrap(), Vec::<String>::new());
        assert_eq!(strings(r#"[ "a" , "b c" ]"#).unwrap(), ["a", "b c"]);
        assert_eq!(strings(r#"["\"\\\/\n\u00e9\ud83d\ude00"]"#).unwrap(), ["\"\\/\né😀"]);
        assert_eq!(strings(r#"["\ud83dx\udc00"]"#).unwrap(), ["\u{fffd}x\u{fffd}"]);
    }

    #[test]
    fn other_values_are_seen() {
        for text in [r#"["a", 1]"#, "[null]", "[[], {}]", r#"[{"a": [true, -1.5e3]}]"#, "[0]"] {
            assert_eq!(strings(text).unwrap(), ["mixed"], "{text}");
        }
    }

    #[test]
    fn what_is_no_json() {
        for text in [
            "",
            "a",
            "[",
            "['a']",
            r#"["a",]"#,
            r#"["a"] b"#,
            r#"["\x"]"#,
            "[01]",
            "[1e999]",
            "[tru]",
            "[\"\t\"]",
        ] {
            assert_eq!(strings(text), None, "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(strings(&nested(DEPTH)).unwrap(), ["mixed"]);
        assert_eq!(strings(&nested(DEPTH + 1)), None);
    }
}
