//! Package names, and the two-part version of a Python.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// The name of a package, normalised as PEP 503 says: `Foo.Bar_baz` is `foo-bar-baz`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

impl PackageName {
    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as it begins the file name of a wheel: dashes are underscores.
    pub fn as_wheel_part(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl FromStr for PackageName {
    type Err = Error;

    /// Reads a name in any spelling that PEP 508 allows.
    fn from_str(text: &str) -> Result<Self, Error> {
        let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let inner = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
        if inner && ends(bytes.first()) && ends(bytes.last()) {
            Ok(Self(normalise(text)))
        } else {
            Err(ErrorKind::PackageName { name: text.to_owned() }.into())
        }
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lowercase, and one dash for each run of dashes, dots and underscores.
pub(crate) fn normalise(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let mut separated = false;
    for letter in text.chars() {
        let separator = matches!(letter, '-' | '_' | '.');
        match (separator, separated) {
            (true, true) => {}
            (true, false) => name.push('-'),
            (false, _) => name.extend(letter.to_lowercase()),
        }
        separated = separator;
    }
    name
}

/// Major and minor version of a Python: `3.13`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PythonVersion {
    /// The `3` of `3.13`.
    pub major: u8,
    /// The `13` of `3.13`.
    pub minor: u8,
}

impl PythonVersion {
    /// `PythonVersion::new(3, 13)`.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for PythonVersion {
    type Err = Error;

    /// Reads `3.13`, and `3.13.2` as the same.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        match (parts.next().flatten(), parts.next().flatten()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(ErrorKind::PythonVersion { text: text.to_owned() }.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_equal() {
        for text in ["Foo.Bar_baz", "foo-bar-baz", "foo__bar.-baz", "FOO-BAR-BAZ"] {
            assert_eq!(text.parse::<PackageName>().unwrap().as_str(), "foo-bar-baz", "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "-foo", "foo.", "föö", "foo bar", "foo/bar"] {
            assert!(text.parse::<PackageName>().is_err(), "{text}");
        }
    }

    #[test]
    fn python_versions_have_two_parts() {
        assert_eq!("3.13.0".parse::<PythonVersion>().unwrap(), PythonVersion::new(3, 13));
        assert!("3".parse::<PythonVersion>().is_err());
        assert!("3.x".parse::<PythonVersion>().is_err());
    }
}
