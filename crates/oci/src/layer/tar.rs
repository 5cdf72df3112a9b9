//! Tar headers, as the format essay in [`super`] fixes them.

use super::entry::{Content, Entry, Kind};

/// Tar counts in blocks of so many bytes.
pub(crate) const BLOCK: usize = 512;

/// What ends an archive.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The largest number that eleven octal digits can say, plus one: sizes and times.
const LONG_LIMIT: u64 = 1 << 33;

/// The same of seven digits: users and groups.
const SHORT_LIMIT: u64 = 1 << 21;

/// How the PAX records of extended attributes begin: Schilling's tar's, which GNU, Go and all builders took over.
pub(crate) const XATTR: &str = "SCHILY.xattr.";

/// How many zero bytes follow `size` bytes of content.
pub(crate) fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

/// Appends the header of `entry`, with an extended header before it if ustar cannot say it.
pub(crate) fn append_header(path: &str, entry: &Entry, out: &mut Vec<u8>) {
    let (kind, target) = kind_and_target(&entry.kind);
    let size = entry.kind.content().map_or(0, Content::size);
    let mut name = path.to_owned();
    if kind == b'5' {
        name.push('/');
    }
    let split = split_name(&name);
    append_extended(&records(entry, target, split.is_none().then_some(&name), size), out);
    // A number that does not fit is said by the extended header; zero here is what all readers accept.
    let fitting = |number: u64, limit: u64| if number < limit { number } else { 0 };
    let mut header = Header::new(kind, entry.mode & 0o7777, fitting(size, LONG_LIMIT));
    header.octal(108, 8, fitting(entry.uid.into(), SHORT_LIMIT));
    header.octal(116, 8, fitting(entry.gid.into(), SHORT_LIMIT));
    header.octal(136, 12, fitting(entry.mtime, LONG_LIMIT));
    header.text(157, 100, target);
    if let Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } = entry.kind {
        header.octal(329, 8, major.into());
        header.octal(337, 8, minor.into());
    }
    header.name(split.unwrap_or(("", &name)));
    out.extend_from_slice(&header.finish());
}

/// The type flag, and what a link leads to.
fn kind_and_target(kind: &Kind) -> (u8, &str) {
    match kind {
        Kind::File(_) => (b'0', ""),
        Kind::Hardlink { target } => (b'1', target),
        Kind::Symlink { target } => (b'2', target),
        Kind::CharDevice { .. } => (b'3', ""),
        Kind::BlockDevice { .. } => (b'4', ""),
        Kind::Directory => (b'5', ""),
        Kind::Fifo => (b'6', ""),
    }
}

/// The PAX records that `entry` needs; `name` is given if ustar cannot hold it.
fn records(entry: &Entry, target: &str, name: Option<&String>, size: u64) -> Vec<u8> {
    let number = |number: u64, limit: u64| (number >= limit).then(|| number.to_string());
    let fields = [
        ("gid", number(entry.gid.into(), SHORT_LIMIT)),
        ("linkpath", (!fits(target)).then(|| target.to_owned())),
        ("mtime", number(entry.mtime, LONG_LIMIT)),
        ("path", name.cloned()),
        ("size", number(size, LONG_LIMIT)),
        ("uid", number(entry.uid.into(), SHORT_LIMIT)),
    ];
    let mut records = Vec::new();
    for (key, value) in fields {
        if let Some(value) = value {
            append_record(key, value.as_bytes(), &mut records);
        }
    }
    // Last, because readers exist that lose what follows a newline in a value.
    for (name, value) in &entry.xattrs {
        append_record(&format!("{XATTR}{name}"), value, &mut records);
    }
    records
}

fn append_extended(records: &[u8], out: &mut Vec<u8>) {
    if records.is_empty() {
        return;
    }
    let mut header = Header::new(b'x', 0o644, records.len() as u64);
    header.name(("", "PaxHeader"));
    out.extend_from_slice(&header.finish());
    out.extend_from_slice(records);
    out.resize(out.len() + padding(records.len() as u64), 0);
}

fn fits(text: &str) -> bool {
    text.len() <= 100 && text.is_ascii()
}

/// Splits a name into ustar's prefix (155 bytes) and name (100 bytes), if it can be split.
fn split_name(name: &str) -> Option<(&str, &str)> {
    if fits(name) {
        return Some(("", name));
    }
    if !name.is_ascii() {
        return None;
    }
    // The separator itself is not stored. A directory's trailing slash cannot be the split: its name would be empty.
    let inner = name.strip_suffix('/').unwrap_or(name);
    inner
        .match_indices('/')
        .map(|(at, _)| (&name[..at], &name[at + 1..]))
        .find(|(prefix, rest)| !prefix.is_empty() && prefix.len() <= 155 && rest.len() <= 100)
}

/// One PAX record: its own length, a space, `key=value` and a newline (POSIX pax, «pax Extended Header»).
fn append_record(key: &str, value: &[u8], out: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// A ustar header block.
struct Header([u8; BLOCK]);

impl Header {
    fn new(kind: u8, mode: u32, size: u64) -> Self {
        let mut header = Self([0; BLOCK]);
        header.octal(100, 8, u64::from(mode));
        header.octal(108, 8, 0);
        header.octal(116, 8, 0);
        header.octal(124, 12, size);
        header.octal(136, 12, super::FIXED_TIME);
        header.0[156] = kind;
        header.0[257..265].copy_from_slice(b"ustar\x0000");
        header
    }

    fn name(&mut self, (prefix, name): (&str, &str)) {
        self.text(0, 100, name);
        self.text(345, 155, prefix);
    }

    /// Writes what fits; the rest is in the extended header.
    fn text(&mut self, offset: usize, width: usize, text: &str) {
        let length = text.len().min(width);
        self.0[offset..offset + length].copy_from_slice(&text.as_bytes()[..length]);
    }

    /// Writes a number as octal digits with a NUL behind them.
    fn octal(&mut self, offset: usize, width: usize, value: u64) {
        let digits = format!("{value:0width$o}\0", width = width - 1);
        self.0[offset..offset + width].copy_from_slice(&digits.as_bytes()[digits.len() - width..]);
    }

    fn finish(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum: u64 = self.0.iter().map(|&byte| u64::from(byte)).sum();
        let digits = format!("{sum:06o}\0 ");
        self.0[148..156].copy_from_slice(digits.as_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_lengths_count_themselves() {
        let mut out = Vec::new();
        append_record("path", "x".repeat(90).as_bytes(), &mut out);
        assert!(out.starts_with(b"99 path=x") && out.len() == 99, "{}", out.len());
        out.clear();
        append_record("path", "x".repeat(91).as_bytes(), &mut out);
        assert!(out.starts_with(b"101 path=x") && out.len() == 101, "{}", out.len());
    }

    #[test]
    fn long_names_are_split_where_they_can_be() {
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(90));
        assert_eq!(split_name(&long).map(|(prefix, name)| (prefix.len(), name.len())), Some((120, 90)));
        assert_eq!(split_name(&"f".repeat(101)), None);
        assert_eq!(split_name("é"), None);
        let directory = format!("{}/{}/", "d".repeat(100), "e".repeat(99));
        assert_eq!(split_name(&directory).map(|(prefix, name)| (prefix.len(), name.len())), Some((100, 100)));
    }
}
