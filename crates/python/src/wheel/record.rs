//! RECORD: the list of a wheel's files with digests and sizes, in CSV.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::defect::Defect;

/// A digest that RECORD gives a file: SHA-256, or one of the two longer ones that the specification allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileDigest {
    /// What every tool writes.
    Sha256([u8; 32]),
    /// Allowed.
    Sha384([u8; 48]),
    /// Allowed.
    Sha512([u8; 64]),
}

impl FileDigest {
    /// The SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::Sha256(Sha256::digest(bytes).into())
    }

    /// Reads `sha256=…` with URL-safe base64, as RECORD has it.
    pub(crate) fn parse(text: &str) -> Result<Self, Defect> {
        let unreadable = || Defect::UnreadableDigest { digest: text.to_owned() };
        let (algorithm, value) = text.split_once('=').ok_or_else(unreadable)?;
        let algorithm = algorithm.to_ascii_lowercase();
        if ["md5", "sha1", "sha224"].contains(&algorithm.as_str()) {
            return Err(Defect::WeakDigest { algorithm });
        }
        let bytes = URL_SAFE_NO_PAD.decode(value.trim_end_matches('=')).map_err(|_| unreadable())?;
        let digest = match algorithm.as_str() {
            "sha256" => bytes.try_into().ok().map(Self::Sha256),
            "sha384" => bytes.try_into().ok().map(Self::Sha384),
            "sha512" => bytes.try_into().ok().map(Self::Sha512),
            _ => None,
        };
        digest.ok_or_else(unreadable)
    }

    /// Whether `bytes` have this digest.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Sha256(expected) => Sha256::digest(bytes).as_slice() == expected,
            Self::Sha384(expected) => Sha384::digest(bytes).as_slice() == expected,
            Self::Sha512(expected) => Sha512::digest(bytes).as_slice() == expected,
        }
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (algorithm, bytes) = match self {
            Self::Sha256(bytes) => ("sha256", &bytes[..]),
            Self::Sha384(bytes) => ("sha384", &bytes[..]),
            Self::Sha512(bytes) => ("sha512", &bytes[..]),
        };
        write!(f, "{algorithm}={}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// One row of RECORD, as it is written: digest and size may be empty, and are copied into the image's RECORD as they
/// stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// The path, relative to the library folder.
    pub path: String,
    /// `sha256=…`, or nothing.
    pub digest: String,
    /// The size in bytes, or nothing.
    pub size: String,
}

impl RecordRow {
    /// What a file listed in this row must be.
    pub(crate) fn expected(&self) -> Result<(Option<FileDigest>, Option<u64>), Defect> {
        let digest = (!self.digest.is_empty()).then(|| FileDigest::parse(&self.digest)).transpose()?;
        let unreadable = |_| Defect::UnreadableSize { size: self.size.clone() };
        let size = (!self.size.is_empty()).then(|| self.size.parse().map_err(unreadable)).transpose()?;
        Ok((digest, size))
    }

    /// Whether its path leads out of the library folder.
    pub(crate) fn leads_out(&self) -> bool {
        self.path.starts_with('/') || self.path.split('/').any(|part| part == "..")
    }
}

/// Reads all rows. A path that is listed twice must be listed alike.
pub(super) fn parse(text: &str) -> Result<Vec<RecordRow>, Defect> {
    let mut rows: Vec<RecordRow> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() {
            continue;
        }
        let fields = split_row(line).ok_or(Defect::RecordSyntax { line: number + 1 })?;
        // pip takes the first three fields and fills up missing ones, so this does too.
        let mut fields = fields.into_iter();
        let mut next = || fields.next().unwrap_or_default();
        rows.push(RecordRow { path: next(), digest: next(), size: next() });
    }
    check_conflicts(&rows)?;
    Ok(rows)
}

fn check_conflicts(rows: &[RecordRow]) -> Result<(), Defect> {
    let mut seen = std::collections::HashMap::with_capacity(rows.len());
    for row in rows {
        if seen.insert(row.path.as_str(), row).is_some_and(|before| before != row) {
            return Err(Defect::RecordConflict { path: row.path.clone() });
        }
    }
    Ok(())
}

/// The fields of one line; `None` if a quote is left open or something follows a closed one.
fn split_row(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let quoted = rest.strip_prefix('"');
        let (field, after) = quoted.map_or_else(|| Some(plain_field(rest)), quoted_field)?;
        fields.push(field);
        if after.is_empty() {
            return Some(fields);
        }
        rest = after.strip_prefix(',')?;
    }
}

fn plain_field(text: &str) -> (String, &str) {
    let (field, after) = text.split_at(text.find(',').unwrap_or(text.len()));
    (field.to_owned(), after)
}

/// The field up to its closing quote, and what follows; two quotes stand for one.
fn quoted_field(quoted: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let (text, after) = rest.split_once('"')?;
        field.push_str(text);
        let Some(more) = after.strip_prefix('"') else { return Some((field, after)) };
        field.push('"');
        rest = more;
    }
}

/// Writes one row as Python's `csv` does: quoted only where it must be.
pub(crate) fn write_row(fields: [&str; 3], end: &str, text: &mut String) {
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        if field.contains([',', '"', '\r', '\n']) {
            text.push('"');
            text.push_str(&field.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(field);
        }
    }
    text.push_str(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

    #[test]
    fn digests_are_read_and_written() {
        let digest = FileDigest::parse(EMPTY).unwrap();
        assert_eq!(digest, FileDigest::of(b""));
        assert_eq!(digest.to_string(), EMPTY);
        assert!(digest.matches(b"") && !digest.matches(b"x"));
        for (algorithm, size) in [("sha384", 64), ("sha512", 86)] {
            let text = format!("{algorithm}={}", "A".repeat(size));
            assert_eq!(FileDigest::parse(&text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn weak_and_unreadable_digests_differ() {
        for text in ["md5=1B2M2Y8AsgTpgAmY7PhCfg", "sha1=2jmj7l5rSw0yVb_vlWAYkK_YBwk"] {
            assert!(matches!(FileDigest::parse(text), Err(Defect::WeakDigest { .. })), "{text}");
        }
        for text in ["", "sha256", "sha256=", "sha256=AA", "sha256=!", "sha3=AA"] {
            assert!(matches!(FileDigest::parse(text), Err(Defect::UnreadableDigest { .. })), "{text}");
        }
    }

    #[test]
    fn rows_survive_commas_and_quotes() {
        for path in ["a", "a,b", "a\"b", "\"", "a,\"b\",c", ""] {
            let mut text = String::new();
            write_row([path, "sha256=x", "1"], "\r\n", &mut text);
            let row =
                RecordRow { path: path.to_owned(), digest: "sha256=x".to_owned(), size: "1".to_owned() };
            assert_eq!(parse(&text), Ok(vec![row]), "{text}");
        }
    }

    #[test]
    fn short_rows_and_empty_lines_are_read() {
        let rows = parse("a\n\nb,x\r\nc,,,more\n").unwrap();
        let paths: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
        assert_eq!(paths, ["a", "b", "c"]);
    }

    #[test]
    fn broken_rows_are_refused() {
        assert_eq!(parse("a,,\n\"b,,\n"), Err(Defect::RecordSyntax { line: 2 }));
        assert_eq!(parse("\"b\"c,,\n"), Err(Defect::RecordSyntax { line: 1 }));
        assert_eq!(parse("a,,1\na,,1\n").map(|rows| rows.len()), Ok(2));
        assert_eq!(parse("a,,1\na,,2\n"), Err(Defect::RecordConflict { path: "a".to_owned() }));
    }

    #[test]
    fn paths_that_lead_out_are_seen() {
        let row =
            |path: &str| RecordRow { path: path.to_owned(), digest: String::new(), size: String::new() };
        assert!(row("../x").leads_out() && row("/x").leads_out() && row("a/../../x").leads_out());
        assert!(!row("a/..b").leads_out());
    }
}
