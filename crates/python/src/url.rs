//! The few things that are asked of a URL without opening it.

use std::path::PathBuf;

/// The path that a `file:` URL names on this machine; `None` for other schemes and other machines.
pub(crate) fn file_path(url: &str) -> Option<PathBuf> {
    let (scheme, rest) = url.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("file") {
        return None;
    }
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            let (host, _) = rest.split_once('/')?;
            (host.is_empty() || host == "localhost").then(|| rest.get(host.len()..))??
        }
        None => rest,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some(PathBuf::from(decode(path)?))
}

/// The last part of a URL's path, with `%20` and the like decoded.
pub(crate) fn file_name(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?;
    decode(path.rsplit('/').next()?).filter(|name| !name.is_empty())
}

/// `text` with `%xx` decoded; `None` if that is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = after.get(..2).filter(|_| *first == b'%');
        let byte = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = after.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_urls_name_paths() {
        let path = |url| file_path(url).map(|path| path.to_string_lossy().into_owned());
        assert_eq!(path("file:///a%20b/c#x").as_deref(), Some("/a b/c"));
        assert_eq!(path("file://localhost/a").as_deref(), Some("/a"));
        assert_eq!(path("FILE:/a").as_deref(), Some("/a"));
        assert_eq!(path("file://other/a"), None);
        assert_eq!(path("http://x/a"), None);
    }

    #[test]
    fn file_names_are_decoded() {
        assert_eq!(file_name("http://x/a/b%2Bc.whl?q#f").as_deref(), Some("b+c.whl"));
        assert_eq!(decode("%zz%").as_deref(), Some("%zz%"));
    }
}
