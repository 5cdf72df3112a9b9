//! Sources of `ADD` and `COPY`: paths, addresses, repositories.

use std::sync::LazyLock;

use regex::Regex;

use crate::syntax::is_bool;

/// What the text of a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourceForm {
    Path,
    Url,
    Git(GitSource),
}

/// What the query of a repository's address says about this build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct GitSource {
    pub(super) keep_git_dir: Option<bool>,
    pub(super) checksum: Option<String>,
}

/// What BuildKit takes a source for.
///
/// An `http` address is a repository only if its path ends in `.git`. `github.com/a/b` is a path here, though it is a
/// repository where a build context is named.
pub(super) fn classify(text: &str) -> Result<SourceForm, String> {
    static SCP: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:.*?(?:\?(.*?))?(?:#.*)?$")
            .expect("invariant: a constant that compiles")
    });
    let scheme =
        text.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let Some((scheme, rest)) = scheme.filter(|(scheme, _)| !scheme.is_empty()) else {
        if text.starts_with("./") || text.starts_with("../") || text.starts_with("github.com/") {
            return Ok(SourceForm::Path);
        }
        return match SCP.captures(text) {
            Some(groups) => query(groups.get(1).map_or("", |group| group.as_str())).map(SourceForm::Git),
            None => Ok(SourceForm::Path),
        };
    };
    let address = rest.split('#').next().unwrap_or_default();
    let (path, parameters) = address.split_once('?').unwrap_or((address, ""));
    let has_path = path.split_once('/').is_some_and(|(_, path)| path.strip_suffix(".git").is_some());
    match scheme.to_lowercase().as_str() {
        "ssh" | "git" => query(parameters).map(SourceForm::Git),
        "http" | "https" if has_path => query(parameters).map(SourceForm::Git),
        _ if text.starts_with("http://") || text.starts_with("https://") => Ok(SourceForm::Url),
        _ => Ok(SourceForm::Path),
    }
}

/// Whether a source is downloaded.
pub(crate) fn is_remote(text: &str) -> bool {
    matches!(classify(text), Ok(SourceForm::Url | SourceForm::Git(_)))
}

/// The parameters of a repository's address.
fn query(text: &str) -> Result<GitSource, String> {
    let mut source = GitSource::default();
    let mut seen = Vec::new();
    for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let wrong = || format!("`{name}` of the repository cannot be `{value}`");
        if seen.contains(&name) {
            return Err(format!("`{name}` of the repository is given twice"));
        }
        seen.push(name);
        match name {
            "submodules" | "fetch-by-commit" | "keep-git-dir" => {
                let on = if value.is_empty() { Some(true) } else { is_bool(value) }.ok_or_else(wrong)?;
                if name == "keep-git-dir" {
                    source.keep_git_dir = Some(on);
                }
            }
            "checksum" | "commit" if !value.is_empty() => source.checksum = Some(value.to_owned()),
            "ref" | "tag" | "branch" | "subdir" if !value.is_empty() => {}
            "mtime" if matches!(value, "checkout" | "commit") => {}
            "checksum" | "commit" | "ref" | "tag" | "branch" | "subdir" | "mtime" => return Err(wrong()),
            _ => return Err(format!("`{name}` is nothing that can be said of a repository")),
        }
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let git = |text: &str| matches!(classify(text), Ok(SourceForm::Git(_)));
        for text in [
            "https://example.org/a.git",
            "http://example.org/a.git#v1:sub",
            "git@example.org:a.git",
            "ssh://a/b",
        ] {
            assert!(git(text), "{text}");
        }
        for text in ["https://example.org/a", "http://example.org/a.tar.gz?b.git", "https://example.org"] {
            assert_eq!(classify(text), Ok(SourceForm::Url), "{text}");
        }
        for text in ["a", "./a@b:c", "github.com/a/b", "ftp://a/b", "", "://a"] {
            assert_eq!(classify(text), Ok(SourceForm::Path), "{text}");
        }
    }

    #[test]
    fn queries() {
        let source = classify("https://example.org/a.git?keep-git-dir&commit=abc").unwrap();
        let expected = GitSource { keep_git_dir: Some(true), checksum: Some("abc".to_owned()) };
        assert_eq!(source, SourceForm::Git(expected));
        for text in ["?x=1", "?tag=", "?mtime=now", "?submodules=maybe", "?tag=a&tag=b"] {
            assert!(classify(&format!("https://example.org/a.git{text}")).is_err(), "{text}");
        }
    }
}
