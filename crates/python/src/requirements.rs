//! Requirements files, read as pip reads them.
//!
//! The format has no specification but pip's code and the
//! [page that describes it](https://pip.pypa.io/en/stable/reference/requirements-file-format/), so the order of the
//! steps below is pip's: decode, split into lines, join what ends in `\`, cut comments, put in environment variables,
//! and only then cut a line into the requirement and the options after it. What follows from that order is kept, too:
//! a comment ends a joined line, a `#` inside a word is none, a later `--index-url` forgets the indexes before it.
//!
//! A requirement that pip would refuse only when it installs it is kept here as text ([`RequirementLine`]); what makes
//! pip refuse the whole file is an error.

mod options;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

use cartwheel_store::Digest;

use crate::error::Result;
use crate::name::normalise;
use crate::requirement::InvalidRequirement;
use cartwheel_transfer::redact;
use options::LineOptions;

/// Everything that requirements files ask for, in the order in which pip meets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Requirements and constraints.
    pub lines: Vec<RequirementLine>,
    /// What the files say about indexes and choices.
    pub options: RequirementOptions,
    /// Every file that was read, once for each time.
    pub files: Vec<RequirementsFile>,
}

/// A file that was read, and what was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementsFile {
    /// Where.
    pub path: PathBuf,
    /// The digest of its bytes as they lie on disk.
    pub digest: Digest,
}

/// One line that asks for a distribution, or constrains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementLine {
    /// The requirement without its options: a specifier, a URL or a path. Credentials in it are not redacted.
    pub text: String,
    /// Whether it only constrains (`-c`).
    pub constraint: bool,
    /// Whether it is installed in development mode (`-e`).
    pub editable: bool,
    /// The digests of which a file must have one (`--hash`), as `algorithm:hex`.
    pub hashes: Vec<String>,
    /// Where it stands; `None` if it was given directly.
    pub location: Option<Location>,
}

/// A place in a requirements file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1; of joined lines, the first.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

/// The options of requirements files that hold for all requirements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one for each option of the format")]
pub struct RequirementOptions {
    /// The last `--index-url`. It also forgets each `--extra-index-url` before it, those of the command line included.
    pub index_url: Option<String>,
    /// The `--extra-index-url` after it.
    pub extra_index_urls: Vec<String>,
    /// The `--find-links`; relative folders that lie beside the file are resolved against it.
    pub find_links: Vec<String>,
    /// `--no-index`.
    pub no_index: bool,
    /// `--pre`.
    pub pre: bool,
    /// `--prefer-binary`.
    pub prefer_binary: bool,
    /// `--require-hashes`.
    pub require_hashes: bool,
    /// The `--trusted-host`.
    pub trusted_hosts: Vec<String>,
    /// The `--use-feature`.
    pub features: Vec<String>,
    /// The distributions that must be built from source (`:all:` for every one).
    pub no_binary: BTreeSet<String>,
    /// The distributions that must not be (`:all:` for every one).
    pub only_binary: BTreeSet<String>,
}

/// Which of `--only-binary` and `--no-binary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryChoice {
    /// These are built from source.
    No,
    /// These are not.
    Only,
}

impl RequirementOptions {
    /// What `--only-binary` or `--no-binary` with these names does: the later choice for a name wins, `:all:` forgets every
    /// choice before it, and `:none:` those of its own kind.
    pub fn choose_binaries(&mut self, choice: BinaryChoice, names: &str) {
        let (chosen, other) = match choice {
            BinaryChoice::No => (&mut self.no_binary, &mut self.only_binary),
            BinaryChoice::Only => (&mut self.only_binary, &mut self.no_binary),
        };
        for name in names.split(',').map(|name| normalise(name.trim())) {
            match name.as_str() {
                ":all:" => {
                    other.clear();
                    chosen.clear();
                }
                ":none:" => {
                    chosen.clear();
                    continue;
                }
                name => {
                    other.remove(name);
                }
            }
            chosen.insert(name);
        }
    }
}

/// Why requirements could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequirementsError {
    /// A file that is not there.
    #[error("requirements file `{}` is not there{}", path.display(), included(from.as_ref()))]
    Missing {
        /// Which.
        path: PathBuf,
        /// The line that names it.
        from: Option<Location>,
    },
    /// A file that could not be read.
    #[error("could not read requirements file `{}`{}", path.display(), included(from.as_ref()))]
    Read {
        /// Which.
        path: PathBuf,
        /// The line that names it.
        from: Option<Location>,
        /// What the system answered.
        source: io::Error,
    },
    /// A file in an encoding that it does not say, or that is not known here.
    #[error("requirements file `{}` is not valid {encoding}", path.display())]
    Encoding {
        /// Which.
        path: PathBuf,
        /// What it should have been.
        encoding: String,
    },
    /// A requirements file that must be downloaded.
    #[error("{location}: cannot read `{url}`: requirements files are not downloaded")]
    Remote {
        /// The line that names it.
        location: Location,
        /// Its URL without credentials.
        url: String,
    },
    /// A file that includes itself.
    #[error("{location}: requirements file `{}` includes itself", path.display())]
    Recursion {
        /// The line that closes the circle.
        location: Location,
        /// Which file.
        path: PathBuf,
    },
    /// Options that pip does not know or that lack their value.
    #[error("{location}: {problem}")]
    Options {
        /// Where.
        location: Location,
        /// What is wrong, with its words in backticks.
        problem: String,
    },
    /// A requirement that is none.
    #[error("{}cannot read the requirement", prefix(location.as_ref()))]
    Requirement {
        /// Where, with the column of the mistake.
        location: Option<Location>,
        /// What is wrong.
        source: InvalidRequirement,
    },
}

/// Where the value of `${NAME}` comes from.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where requirements files are read from, when that is not this machine's disk: an image that is being built.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// The bytes of the file at a path.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// Whether anything is at a path: a relative `--find-links` means the folder beside the file if there is one.
    pub exists: &'a dyn Fn(&Path) -> bool,
}

impl Files<'static> {
    /// Those of this machine.
    pub const DISK: Self = Self { read: &|path| std::fs::read(path), exists: &|path| path.exists() };
}

impl Requirements {
    /// Reads the file at `path`, and those that it includes.
    pub fn read(path: &Path, variables: Variables<'_>) -> Result<Self> {
        let mut requirements = Self::default();
        requirements.add_file(path, false, variables)?;
        Ok(requirements)
    }

    /// Reads one more file; `constraint` as with `-c`.
    pub fn add_file(&mut self, path: &Path, constraint: bool, variables: Variables<'_>) -> Result<()> {
        self.add_file_from(Files::DISK, path, constraint, variables)
    }

    /// Reads one more file of `files`; the files that it includes come from there, too.
    pub fn add_file_from(
        &mut self,
        files: Files<'_>,
        path: &Path,
        constraint: bool,
        variables: Variables<'_>,
    ) -> Result<()> {
        let mut reader = Reader { found: self, files, variables, open: Vec::new() };
        Ok(reader.file(path, constraint, None)?)
    }

    /// Adds a requirement that was given as a word, such as one of a `pip install` or of a `pyproject.toml`.
    pub fn add(&mut self, text: impl Into<String>) {
        let text = text.into();
        let line =
            RequirementLine { text, constraint: false, editable: false, hashes: Vec::new(), location: None };
        self.lines.push(line);
    }

    /// Whether pip would check hashes: one requirement with a hash is enough.
    pub fn requires_hashes(&self) -> bool {
        self.options.require_hashes || self.lines.iter().any(|line| !line.hashes.is_empty())
    }
}

/// Reads files into `found`; `open` are the files that include the one being read.
struct Reader<'a> {
    found: &'a mut Requirements,
    files: Files<'a>,
    variables: Variables<'a>,
    open: Vec<PathBuf>,
}

impl Reader<'_> {
    fn file(
        &mut self,
        path: &Path,
        constraint: bool,
        from: Option<&Location>,
    ) -> Result<(), RequirementsError> {
        let bytes = (self.files.read)(path).map_err(|source| unreadable(path, from, source))?;
        self.found.files.push(RequirementsFile { path: path.to_owned(), digest: Digest::of(&bytes) });
        let text = decode(&bytes, path)?;
        self.open.push(normalised(path));
        for line in logical_lines(&text) {
            self.line(path, constraint, &line)?;
        }
        self.open.pop();
        Ok(())
    }

    fn line(&mut self, path: &Path, constraint: bool, line: &LogicalLine) -> Result<(), RequirementsError> {
        let location = Location { path: path.to_owned(), line: line.number, column: line.column };
        let text = expand(&line.text, self.variables);
        let (requirement, options) = break_options(&text);
        let options = LineOptions::parse(&options).map_err(|problem| options_error(&location, &problem))?;
        options.choose_binaries(&mut self.found.options);
        let at = Some(location.clone());
        if !requirement.is_empty() {
            let (text, hashes) = (requirement, options.hashes);
            let line = RequirementLine { text, constraint, editable: false, hashes, location: at };
            self.found.lines.push(line);
        } else if let Some(editable) = options.editables.first() {
            let (text, hashes) = (editable.clone(), Vec::new());
            let line = RequirementLine { text, constraint, editable: true, hashes, location: at };
            self.found.lines.push(line);
        } else if let Some(nested) = options.requirements.first() {
            self.include(nested, false, location)?;
        } else if let Some(nested) = options.constraints.first() {
            self.include(nested, true, location)?;
        } else {
            options.apply(path, self.files, &mut self.found.options);
        }
        Ok(())
    }

    fn include(
        &mut self,
        nested: &str,
        constraint: bool,
        location: Location,
    ) -> Result<(), RequirementsError> {
        let scheme = nested.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        let path = match scheme.as_deref() {
            Some("http" | "https") => {
                return Err(RequirementsError::Remote { location, url: redact(nested) });
            }
            Some("file") => crate::url::file_path(nested).unwrap_or_else(|| PathBuf::from(nested)),
            _ => normalised(&location.path.parent().unwrap_or(Path::new("")).join(nested)),
        };
        if self.open.contains(&normalised(&path)) {
            return Err(RequirementsError::Recursion { location, path });
        }
        self.file(&path, constraint, Some(&location))
    }
}

fn unreadable(path: &Path, from: Option<&Location>, source: io::Error) -> RequirementsError {
    let (path, from) = (path.to_owned(), from.cloned());
    match source.kind() {
        // The message says it all: an image that is being built has no words of its own, and a disk's add nothing.
        io::ErrorKind::NotFound => RequirementsError::Missing { path, from },
        _ => RequirementsError::Read { path, from, source },
    }
}

fn options_error(location: &Location, problem: &str) -> RequirementsError {
    RequirementsError::Options { location: location.clone(), problem: redact(problem) }
}

/// A line after joining and without its comment.
struct LogicalLine {
    number: usize,
    column: usize,
    text: String,
}

fn logical_lines(text: &str) -> Vec<LogicalLine> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in split_lines(text).into_iter().enumerate() {
        let comment = line.trim_start().starts_with('#');
        if line.ends_with('\\') && !comment {
            let (_, joined) = open.get_or_insert((index + 1, String::new()));
            joined.push_str(line.trim_matches('\\'));
            continue;
        }
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        // The space makes it a comment, whatever it is joined to.
        joined.push_str(if comment { " " } else { "" });
        joined.push_str(line);
        lines.extend(logical_line(number, &joined));
    }
    lines.extend(open.and_then(|(number, joined)| logical_line(number, &joined)));
    lines
}

fn logical_line(number: usize, joined: &str) -> Option<LogicalLine> {
    let text = without_comment(joined);
    let column = 1 + text.chars().take_while(|character| character.is_whitespace()).count();
    let text = text.trim();
    (!text.is_empty()).then(|| LogicalLine { number, column, text: text.to_owned() })
}

/// A comment starts at the line's start or after a space: `#egg=x` in a URL is none.
fn without_comment(line: &str) -> &str {
    let starts = |(index, _): &(usize, &str)| {
        let before = line.get(..*index).unwrap_or_default();
        before.is_empty() || before.ends_with(char::is_whitespace)
    };
    match line.match_indices('#').find(starts) {
        Some((index, _)) => line.get(..index).unwrap_or_default(),
        None => line,
    }
}

/// Splits where Python's `str.splitlines` does: it knows more line ends than `\n`.
fn split_lines(text: &str) -> Vec<&str> {
    let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some((line, after)) = rest.split_once(ends) {
        let windows = rest.get(line.len()..).is_some_and(|end| end.starts_with("\r\n"));
        rest = if windows { after.strip_prefix('\n').unwrap_or(after) } else { after };
        lines.push(line);
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// Puts in the values of `${NAME}`; a name without a value stays as it is, and so does every other `$`.
fn expand(line: &str, variables: Variables<'_>) -> String {
    let mut expanded = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let is_name = |name: &str| {
            let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            !name.is_empty() && name.chars().all(allowed)
        };
        let name = after.split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
        let value = |name| variables(name).filter(|value| !value.is_empty());
        if let Some((name, value)) = name.and_then(|name| Some((name, value(name)?))) {
            expanded.push_str(&value);
            rest = after.get(name.len() + 1..).unwrap_or_default();
        } else {
            expanded.push_str("${");
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

/// Cuts a line at the first word that starts with `-`. Only what follows is split as a shell would: a marker's quotes
/// must survive.
fn break_options(line: &str) -> (String, String) {
    let words: Vec<&str> = line.split(' ').collect();
    let at = words.iter().position(|word| word.starts_with('-')).unwrap_or(words.len());
    let (requirement, options) = words.split_at(at);
    (requirement.join(" ").trim().to_owned(), options.join(" "))
}

/// A byte order mark decides, then a `coding:` comment in the first two lines, then it is UTF-8.
fn decode(bytes: &[u8], path: &Path) -> Result<String, RequirementsError> {
    let (encoding, decoded) = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => ("UTF-8", from_utf8(rest)),
        [0xff, 0xfe, 0, 0, rest @ ..] => ("UTF-32", from_utf32(rest, u32::from_le_bytes)),
        [0, 0, 0xfe, 0xff, rest @ ..] => ("UTF-32", from_utf32(rest, u32::from_be_bytes)),
        [0xff, 0xfe, rest @ ..] => ("UTF-16", from_utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => ("UTF-16", from_utf16(rest, u16::from_be_bytes)),
        _ => return decode_as(&declared_encoding(bytes), bytes, path),
    };
    decoded.ok_or_else(|| encoding_error(path, encoding))
}

fn decode_as(encoding: &str, bytes: &[u8], path: &Path) -> Result<String, RequirementsError> {
    let decoded = match encoding.to_ascii_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" => from_utf8(bytes),
        "ascii" | "us-ascii" => from_utf8(bytes).filter(|text| text.is_ascii()),
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => {
            Some(bytes.iter().map(|&byte| char::from(byte)).collect())
        }
        _ => None,
    };
    decoded.ok_or_else(|| encoding_error(path, encoding))
}

fn declared_encoding(bytes: &[u8]) -> String {
    let comments = bytes.split(|&byte| byte == b'\n').take(2).filter(|line| line.starts_with(b"#"));
    let names = comments.filter_map(|line| {
        let line = String::from_utf8_lossy(line);
        let (_, after) = line.split_once("coding:").or_else(|| line.split_once("coding="))?;
        let is_name = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        let name: String = after.trim_start().chars().take_while(|&character| is_name(character)).collect();
        (!name.is_empty()).then_some(name)
    });
    names.into_iter().next().unwrap_or_else(|| "UTF-8".to_owned())
}

fn encoding_error(path: &Path, encoding: &str) -> RequirementsError {
    RequirementsError::Encoding { path: path.to_owned(), encoding: encoding.to_owned() }
}

fn from_utf8(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, []) = bytes.as_chunks::<2>() else { return None };
    String::from_utf16(&units.iter().map(|&bytes| unit(bytes)).collect::<Vec<_>>()).ok()
}

fn from_utf32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> Option<String> {
    let (units, []) = bytes.as_chunks::<4>() else { return None };
    units.iter().map(|&bytes| char::from_u32(unit(bytes))).collect()
}

/// The path without `.` and `..`, by its text alone, as Python's `normpath` does it.
fn normalised(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.into_iter().collect()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

fn prefix(location: Option<&Location>) -> String {
    location.map_or_else(String::new, |location| format!("{location}: "))
}

fn included(from: Option<&Location>) -> String {
    from.map_or_else(String::new, |location| format!(", included at {location}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(usize, String)> {
        logical_lines(text).into_iter().map(|line| (line.number, line.text)).collect()
    }

    #[test]
    fn lines_join_before_comments_are_cut() {
        assert_eq!(lines("a \\\n b\nc"), [(1, "a  b".to_owned()), (3, "c".to_owned())]);
        assert_eq!(lines("a \\\n# c \\\nb"), [(1, "a".to_owned()), (3, "b".to_owned())]);
        assert_eq!(lines("a # c \\\nb"), [(1, "a".to_owned())]);
        assert_eq!(lines("a\\\n"), [(1, "a".to_owned())]);
        assert_eq!(lines("\\\\a\\\nb"), [(1, "ab".to_owned())]);
    }

    #[test]
    fn a_comment_needs_a_space_before_it() {
        assert_eq!(without_comment("git+x#egg=a # c"), "git+x#egg=a ");
        assert_eq!(without_comment("#a"), "");
    }

    #[test]
    fn lines_end_where_python_ends_them() {
        assert_eq!(split_lines("a\r\nb\rc\u{2028}d\n\ne"), ["a", "b", "c", "d", "", "e"]);
    }

    #[test]
    fn only_known_upper_case_variables_are_put_in() {
        let variables = |name: &str| (name == "A_1").then(|| "x${A_1}".to_owned());
        assert_eq!(expand("${A_1} ${B} ${a} $A_1 ${A_1", &variables), "x${A_1} ${B} ${a} $A_1 ${A_1");
    }

    #[test]
    fn encodings_are_recognised() {
        let path = Path::new("r.txt");
        let decoded = |bytes: &[u8]| decode(bytes, path).ok();
        assert_eq!(decoded(b"\xef\xbb\xbfa").as_deref(), Some("a"));
        assert_eq!(decoded(b"\xff\xfea\0").as_deref(), Some("a"));
        assert_eq!(decoded(b"\0\0\xfe\xff\0\0\0a").as_deref(), Some("a"));
        assert_eq!(
            decoded(b"# -*- coding: latin-1 -*-\n\xe9").as_deref(),
            Some("# -*- coding: latin-1 -*-\né")
        );
        assert_eq!(decoded(b"\xe9"), None);
        assert_eq!(decoded(b"\xff\xfea"), None);
    }

    #[test]
    fn paths_are_normalised_by_text() {
        assert_eq!(normalised(Path::new("a/./b/../c")), Path::new("a/c"));
        assert_eq!(normalised(Path::new("../a/../../b")), Path::new("../../b"));
        assert_eq!(normalised(Path::new("/../a")), Path::new("/a"));
    }
}
