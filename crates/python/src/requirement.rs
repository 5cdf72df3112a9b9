//! One requirement: a name, and which versions or which file of it
//! ([dependency specifiers](https://packaging.python.org/en/latest/specifications/dependency-specifiers/)).

use std::fmt;
use std::str::FromStr;

use pep440_rs::VersionSpecifier;

use crate::marker::Marker;
use crate::scan::Scanner;

/// A dependency specifier as PEP 508 has it: `name[extra]>=1 ; marker`, or `name @ url ; marker`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    name: String,
    extras: Vec<String>,
    specifiers: Vec<String>,
    url: Option<String>,
    marker: Option<Marker>,
}

impl Requirement {
    /// The name as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The extras as they were written.
    pub fn extras(&self) -> &[String] {
        &self.extras
    }

    /// Each version specifier, without spaces: `>=1.0`, `<2`.
    pub fn specifiers(&self) -> &[String] {
        &self.specifiers
    }

    /// The URL after the `@`.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The condition after the `;`.
    pub fn marker(&self) -> Option<&Marker> {
        self.marker.as_ref()
    }

    /// Whether exactly one version can satisfy it (`==1.0`), as hash-checking asks for.
    pub fn is_pinned(&self) -> bool {
        let [specifier] = self.specifiers.as_slice() else { return false };
        specifier.starts_with("==") && !specifier.ends_with(".*")
    }
}

impl FromStr for Requirement {
    type Err = InvalidRequirement;

    fn from_str(text: &str) -> Result<Self, InvalidRequirement> {
        let mut scanner = Scanner::new(text);
        scanner.skip_space();
        let name = scan_name(&mut scanner, "a package name")?;
        scanner.skip_space();
        let extras = scan_extras(&mut scanner)?;
        scanner.skip_space();
        let url = if scanner.take("@") { Some(scan_url(&mut scanner)?) } else { None };
        let specifiers = if url.is_some() { Vec::new() } else { scan_specifiers(&mut scanner)? };
        let marker = scan_marker(&mut scanner, url.is_some())?;
        Ok(Self { name, extras, specifiers, url, marker })
    }
}

/// A name starts and ends with a letter or digit.
fn scan_name(scanner: &mut Scanner<'_>, what: &'static str) -> Result<String, InvalidRequirement> {
    let start =
        scanner.peek_while(|character| character.is_ascii_alphanumeric() || "._-".contains(character));
    let name = start.trim_end_matches(['.', '_', '-']);
    if !name.starts_with(|character: char| character.is_ascii_alphanumeric()) || name != start {
        return Err(scanner.expected(what));
    }
    scanner.take(name);
    Ok(name.to_owned())
}

fn scan_extras(scanner: &mut Scanner<'_>) -> Result<Vec<String>, InvalidRequirement> {
    let mut extras = Vec::new();
    if !scanner.take("[") {
        return Ok(extras);
    }
    scanner.skip_space();
    if scanner.take("]") {
        return Ok(extras);
    }
    loop {
        scanner.skip_space();
        extras.push(scan_name(scanner, "the name of an extra")?);
        scanner.skip_space();
        if scanner.take("]") {
            return Ok(extras);
        }
        scanner.expect(",", "a comma or `]` after the extra")?;
    }
}

fn scan_url(scanner: &mut Scanner<'_>) -> Result<String, InvalidRequirement> {
    scanner.skip_space();
    let url = scanner.take_while(|character| character != ' ' && character != '\t');
    if url.is_empty() { Err(scanner.expected("a URL after `@`")) } else { Ok(url.to_owned()) }
}

fn scan_specifiers(scanner: &mut Scanner<'_>) -> Result<Vec<String>, InvalidRequirement> {
    let parenthesised = scanner.take("(");
    scanner.skip_space();
    let mut specifiers = Vec::new();
    while let Some(specifier) = scan_specifier(scanner)? {
        specifiers.push(specifier);
        scanner.skip_space();
        if !scanner.take(",") {
            break;
        }
        scanner.skip_space();
    }
    if parenthesised {
        scanner.expect(")", "a closing parenthesis")?;
    }
    Ok(specifiers)
}

const OPERATORS: [&str; 8] = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"];

fn scan_specifier(scanner: &mut Scanner<'_>) -> Result<Option<String>, InvalidRequirement> {
    let Some(operator) = OPERATORS.into_iter().find(|operator| scanner.take(operator)) else {
        return Ok(None);
    };
    scanner.skip_space();
    // `===` compares text and takes anything; the others take a version.
    let version = scanner.peek_while(|character| match operator {
        "===" => !character.is_whitespace() && !";)".contains(character),
        _ => character.is_ascii_alphanumeric() || "._-+*!".contains(character),
    });
    let specifier = format!("{operator}{version}");
    let is_version = VersionSpecifier::from_str(&specifier).is_ok();
    if version.is_empty() || (operator != "===" && !is_version) {
        return Err(scanner.expected("a version that this operator can take"));
    }
    scanner.take(version);
    Ok(Some(specifier))
}

/// After a URL the `;` must stand apart, for it may be part of the URL.
fn scan_marker(scanner: &mut Scanner<'_>, after_url: bool) -> Result<Option<Marker>, InvalidRequirement> {
    let before = scanner.position();
    scanner.skip_space();
    if scanner.is_at_end() {
        return Ok(None);
    }
    if after_url && scanner.position() == before {
        return Err(scanner.expected("a space after the URL"));
    }
    scanner.expect(";", "a version specifier, `;` or the end")?;
    let marker = Marker::scan(scanner)?;
    scanner.expect_end("the end of the requirement")?;
    Ok(Some(marker))
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.extras.is_empty() {
            write!(f, "[{}]", self.extras.join(","))?;
        }
        f.write_str(&self.specifiers.join(","))?;
        match (&self.url, &self.marker) {
            (Some(url), Some(marker)) => write!(f, " @ {url} ; {marker}"),
            (Some(url), None) => write!(f, " @ {url}"),
            (None, Some(marker)) => write!(f, "; {marker}"),
            (None, None) => Ok(()),
        }
    }
}

/// What was given is not a requirement or not a marker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no valid requirement: expected {expected} at `{}`", text.get(*.position..).unwrap_or_default())]
pub struct InvalidRequirement {
    text: String,
    position: usize,
    expected: &'static str,
}

impl InvalidRequirement {
    pub(crate) fn new(text: &str, position: usize, expected: &'static str) -> Self {
        Self { text: cartwheel_transfer::redact(text), position, expected }
    }

    /// At which byte of the text.
    pub fn position(&self) -> usize {
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str) -> String {
        text.parse::<Requirement>().unwrap().to_string()
    }

    #[test]
    fn requirements_are_read() {
        assert_eq!(print(" A.b_c [x, y-z] >= 1.0 , < 2 "), "A.b_c[x,y-z]>=1.0,<2");
        assert_eq!(print("a (==1.*) ;os_name=='x'"), "a==1.*; os_name == \"x\"");
        assert_eq!(print("a[]@ file:///x;y ; os_name=='x'"), "a @ file:///x;y ; os_name == \"x\"");
        assert_eq!(print("a===anything@all"), "a===anything@all");
        assert_eq!(print("a>=1,"), "a>=1");
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        for text in
            ["", "-a", "a-", "a b", "a=1", "a==", "a>=1.*", "a~=1", "a[", "a[x y]", "a @", "a;", "./a.whl"]
        {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
        for text in ["a==1 b", "a @ http://x/ y", "a (==1", "a >=1; os_name", "a==1.0; os_name == 'x' y"] {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
    }

    #[test]
    fn pinned_means_one_version() {
        let pinned = |text: &str| text.parse::<Requirement>().unwrap().is_pinned();
        assert!(pinned("a==1.0") && pinned("a===1.0"));
        assert!(!pinned("a") && !pinned("a==1.*") && !pinned("a>=1") && !pinned("a==1,==1.0"));
    }
}
