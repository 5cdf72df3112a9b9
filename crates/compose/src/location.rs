//! Relative paths in a document as absolute ones.

use std::path::{Component, Path as FilePath, PathBuf};

use crate::error::{Error, Result};
use crate::node::{Node, Value};
use crate::path::{ITEM, Path};

/// How a path is written.
#[derive(Debug, Clone, Copy)]
enum Written {
    /// As a path, nothing else.
    Path,
    /// Perhaps as a path of Windows, which stays as it is.
    AnyPath,
    /// Perhaps as a URL or as another service.
    Context,
    /// In a mount, if it is one of the host's files.
    Mount,
}

const PATHS: &[(&str, Written)] = &[
    ("services.*.build.context", Written::Context),
    ("services.*.build.additional_contexts.*", Written::Context),
    ("services.*.build.ssh.*", Written::AnyPath),
    ("services.*.env_file.*.path", Written::Path),
    ("services.*.label_file.*", Written::Path),
    ("services.*.extends.file", Written::Path),
    ("services.*.develop.watch.*.path", Written::Path),
    ("services.*.volumes.*", Written::Mount),
    ("configs.*.file", Written::AnyPath),
    ("secrets.*.file", Written::AnyPath),
];

/// What begins the name of a service where a context may be one.
pub(crate) const SERVICE_PREFIX: &str = "service:";

/// What relative paths are relative to.
#[derive(Debug, Clone)]
pub(crate) struct Base<'a> {
    /// An absolute directory.
    pub(crate) directory: PathBuf,
    /// What `~` stands for.
    pub(crate) home: Option<&'a str>,
}

impl Base<'_> {
    /// Makes the paths in a document absolute.
    pub(crate) fn resolve(&self, node: &mut Node, path: &Path<'_>) -> Result<()> {
        if let Some((_, written)) = PATHS.iter().find(|(pattern, _)| path.matches(pattern)) {
            return self.resolve_path(node, *written);
        }
        match &mut node.value {
            Value::Map(map) => {
                map.iter_mut().try_for_each(|(key, member)| self.resolve(member, &path.to(&key.name)))
            }
            Value::List(items) => items.iter_mut().try_for_each(|item| self.resolve(item, &path.to(ITEM))),
            _ => Ok(()),
        }
    }

    fn resolve_path(&self, node: &mut Node, written: Written) -> Result<()> {
        let place = node.place.clone();
        match (&mut node.value, written) {
            (Value::Map(map), Written::Mount) => {
                if map.get("type").and_then(Node::as_str) != Some("bind") {
                    return Ok(());
                }
                let missing = || Error::invalid(&place, "a mount of type `bind` has no `source`");
                self.resolve_path(map.get_mut("source").ok_or_else(missing)?, Written::AnyPath)
            }
            (Value::String(text), Written::Context) if is_elsewhere(text) => Ok(()),
            (Value::String(text), Written::AnyPath) if is_windows(text) => Ok(()),
            (Value::String(text), Written::Path | Written::Context) if text.is_empty() => Ok(()),
            (Value::String(text), _) => {
                *text = self.absolute(text).display().to_string();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The file that a text names.
    pub(crate) fn absolute(&self, text: &str) -> PathBuf {
        match (text.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) => clean(&FilePath::new(home).join(rest.trim_start_matches('/'))),
            _ if text.starts_with('/') => PathBuf::from(text),
            _ => clean(&self.directory.join(text)),
        }
    }
}

/// Whether a context is no directory here.
fn is_elsewhere(context: &str) -> bool {
    let prefixes = [SERVICE_PREFIX, "https://", "http://", "git://", "ssh://", "github.com/", "git@"];
    context.contains("://") || prefixes.iter().any(|prefix| context.starts_with(prefix))
}

fn is_windows(text: &str) -> bool {
    let drive = matches!(text.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    drive || text.starts_with("\\\\")
}

/// The path without `.` and `..`, as it is written: no link is followed.
pub(crate) fn clean(path: &FilePath) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                result.pop();
            }
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_base() {
        let base = Base { directory: PathBuf::from("/work/project"), home: Some("/home/me") };
        let cases = [
            (".", "/work/project"),
            ("../x/./y", "/work/x/y"),
            ("/abs", "/abs"),
            ("~/x", "/home/me/x"),
            ("../../../x", "/x"),
        ];
        for (text, expected) in cases {
            assert_eq!(base.absolute(text), FilePath::new(expected));
        }
    }
}
