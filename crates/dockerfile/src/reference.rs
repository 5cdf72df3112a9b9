//! References of images, as far as it takes to tell one from a mistake and from another name of the same image.

use std::sync::LazyLock;

use regex::Regex;

const DEFAULT_DOMAIN: &str = "docker.io";

static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    let label = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    let host = format!(r"(?:{label}(?:\.{label})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?");
    let component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
    let tag = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
    let digest = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";
    Regex::new(&format!("^(?:({host})/)?({component}(?:/{component})*)(?::({tag}))?(?:@({digest}))?$"))
        .expect("invariant: a constant that compiles")
});

/// The full form of a reference: with registry, `library/` where it belongs, and a tag or digest.
pub(crate) fn normalize(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("it looks like the ID of an image".to_owned());
    }
    let (domain, rest) = split_domain(text);
    let name = rest.split(':').next().unwrap_or_default();
    if name.to_lowercase() != name {
        return Err(format!("`{name}` has to be in lowercase"));
    }
    let full = format!("{domain}/{rest}");
    let groups = REFERENCE.captures(&full).ok_or("it is not of the form `registry/name:tag@digest`")?;
    if groups.get(2).is_some_and(|path| path.len() > 255) {
        return Err("the name is longer than 255 characters".to_owned());
    }
    if let Some(digest) = groups.get(4) {
        check_digest(digest.as_str())?;
    }
    let is_tagged = groups.get(3).is_some() || groups.get(4).is_some();
    Ok(if is_tagged { full } else { format!("{full}:latest") })
}

/// The short form, by which named contexts are found: `docker.io/library/a:latest` is `a`.
pub(crate) fn familiar(text: &str) -> Option<String> {
    let full = normalize(text).ok()?;
    let short = full.strip_prefix("docker.io/").unwrap_or(&full);
    let short = short
        .strip_prefix("library/")
        .filter(|rest| !rest.contains('/') && full.starts_with(DEFAULT_DOMAIN))
        .unwrap_or(short);
    Some(short.strip_suffix(":latest").unwrap_or(short).to_owned())
}

fn split_domain(text: &str) -> (&str, String) {
    let Some((first, rest)) = text.split_once('/') else {
        return (DEFAULT_DOMAIN, format!("library/{text}"));
    };
    let is_domain = first == "localhost" || first.contains(['.', ':']) || first.to_lowercase() != first;
    let (domain, rest) = match first {
        "index.docker.io" => (DEFAULT_DOMAIN, rest),
        _ if is_domain => (first, rest),
        _ => (DEFAULT_DOMAIN, text),
    };
    let library = if domain == DEFAULT_DOMAIN && !rest.contains('/') { "library/" } else { "" };
    (domain, format!("{library}{rest}"))
}

/// Whether a digest has an algorithm that is known and the length that goes with it.
pub(crate) fn check_digest(digest: &str) -> Result<(), String> {
    let (algorithm, hex) = digest.split_once(':').unwrap_or((digest, ""));
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(format!("digest algorithm `{algorithm}` is unknown")),
    };
    let is_hex = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if hex.len() == length && is_hex { Ok(()) } else { Err(format!("`{digest}` is no digest")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed() {
        for (text, full, short) in [
            ("a", "docker.io/library/a:latest", "a"),
            ("a:1", "docker.io/library/a:1", "a:1"),
            ("b/a", "docker.io/b/a:latest", "b/a"),
            ("index.docker.io/a", "docker.io/library/a:latest", "a"),
            ("docker.io/library/a:latest", "docker.io/library/a:latest", "a"),
            ("B/a", "B/a:latest", "B/a"),
            ("localhost/a", "localhost/a:latest", "localhost/a"),
            ("example.org:5000/b/a:1", "example.org:5000/b/a:1", "example.org:5000/b/a:1"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a"),
        ] {
            assert_eq!(normalize(text).as_deref(), Ok(full));
            assert_eq!(familiar(text).as_deref(), Some(short));
        }
        let digest = format!("a@sha256:{}", "0".repeat(64));
        assert_eq!(normalize(&digest).unwrap(), format!("docker.io/library/{digest}"));
    }

    #[test]
    fn what_is_no_reference() {
        let id = "a".repeat(64);
        let short_digest = format!("a@sha256:{}", "0".repeat(63));
        for text in ["", "A", "a:", "a b", "a/", "/a", "a:b:c", "-a", "b/A", "$a", &id, &short_digest] {
            assert!(normalize(text).is_err(), "{text}");
        }
    }
}
