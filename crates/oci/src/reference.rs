//! Image references: `[registry/]repository[:tag][@digest]`, with Docker's defaults.

use std::fmt;
use std::str::FromStr;

use cartwheel_store::Digest;

use crate::error::{Error, ErrorKind};

/// The registry of a reference that names none.
const DEFAULT_REGISTRY: &str = "docker.io";

/// Names an image, in full: `fastapi` is `docker.io/library/fastapi:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry's host, with its port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` if neither tag nor digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The short form that Docker shows: without the default registry and `library/`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let short =
            full.strip_prefix(DEFAULT_REGISTRY).and_then(|rest| rest.strip_prefix('/')).unwrap_or(&full);
        short.strip_prefix("library/").unwrap_or(short).to_owned()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::from(ErrorKind::Reference { text: text.to_owned(), reason });
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(digest.parse().map_err(|_| refuse("after `@` comes `sha256:` and 64 hex digits"))?),
            ),
            None => (text, None),
        };
        // A colon after the last slash begins the tag; one before it is a port.
        let name_end = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_end..].split_once(':') {
            Some((last, tag)) => (&rest[..name_end + last.len()], Some(tag)),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(refuse(
                "a tag has letters, digits, `_`, `.` and `-`, at most 128, and begins with none of the last two",
            ));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
            Some(_) => (DEFAULT_REGISTRY, name.to_owned()),
            None => (DEFAULT_REGISTRY, format!("library/{name}")),
        };
        if name.is_empty() || !repository.split('/').all(is_path_component) || repository.len() > 255 {
            return Err(refuse(
                "a repository has lowercase letters and digits, separated by `.`, `_`, `__`, `-` or `/`",
            ));
        }
        let implied = (digest.is_none()).then_some("latest");
        let tag = tag.or(implied).map(str::to_owned);
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

/// Distribution spec: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// Distribution spec: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_path_component(part: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edge = |byte: Option<u8>| byte.is_some_and(alphanumeric);
    let separators = part.split(|letter: char| letter.is_ascii() && alphanumeric(letter as u8));
    edge(part.bytes().next())
        && edge(part.bytes().last())
        && separators
            .into_iter()
            .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> String {
        text.parse::<Reference>().unwrap().to_string()
    }

    #[test]
    fn docker_defaults_apply() {
        assert_eq!(full("fastapi"), "docker.io/library/fastapi:latest");
        assert_eq!(full("team/fastapi:1.2"), "docker.io/team/fastapi:1.2");
        assert_eq!(full("localhost/a/b"), "localhost/a/b:latest");
        assert_eq!(full("127.0.0.1:5000/a:b"), "127.0.0.1:5000/a:b");
        let digest = Digest::of(b"");
        assert_eq!(full(&format!("a@{digest}")), format!("docker.io/library/a@{digest}"));
        assert_eq!(full(&format!("a:1@{digest}")), format!("docker.io/library/a:1@{digest}"));
    }

    #[test]
    fn familiar_names_are_short() {
        let familiar = |text: &str| text.parse::<Reference>().unwrap().familiar();
        assert_eq!(familiar("fastapi"), "fastapi:latest");
        assert_eq!(familiar("team/a"), "team/a:latest");
        assert_eq!(familiar("example.org/library/a:1"), "example.org/library/a:1");
    }

    #[test]
    fn bad_references_are_refused() {
        for text in ["", "A", "a:", "a:-x", "a b", "a@sha256:1", "/a", "a/", "a..b", "a___b", ":x", "-a"] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
