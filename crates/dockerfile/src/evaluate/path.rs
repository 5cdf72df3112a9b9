//! Paths in an image, as `WORKDIR` and the destination of `COPY` resolve them.

/// `path` in the directory `parent`. An absolute path stays as it is written, even `/a/../b`; a relative one is joined
/// and cleaned.
pub(super) fn resolve(parent: &str, path: &str) -> String {
    let parent = match parent {
        "" => "/".to_owned(),
        _ if parent.starts_with('/') => parent.to_owned(),
        _ => clean(parent),
    };
    match path {
        "" => parent,
        _ if path.starts_with('/') => path.to_owned(),
        _ => clean(&format!("{parent}/{path}")),
    }
}

/// The same, always cleaned, with a `/` or `/.` at the end kept: they say that the destination is a directory.
pub(super) fn resolve_destination(parent: &str, path: &str) -> String {
    let path = if path.is_empty() || path == "." { "./" } else { path };
    let resolved = clean(&resolve(parent, path));
    let resolved = resolved.strip_suffix('/').unwrap_or(&resolved);
    let end = if path.ends_with("/.") {
        "/."
    } else if path.ends_with('/') || resolved.is_empty() {
        "/"
    } else {
        ""
    };
    format!("{resolved}{end}")
}

/// An absolute path without `.`, `..` and doubled slashes.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories() {
        assert_eq!(resolve("/a", "b/../c/"), "/a/c");
        assert_eq!(resolve("/a", "/b/../c/"), "/b/../c/");
        assert_eq!(resolve("", "b"), "/b");
        assert_eq!(resolve("/a", ""), "/a");
        assert_eq!(resolve("/", ".."), "/");
    }

    #[test]
    fn destinations() {
        assert_eq!(resolve_destination("/a", "."), "/a/");
        assert_eq!(resolve_destination("/a", ""), "/a/");
        assert_eq!(resolve_destination("/", "."), "/");
        assert_eq!(resolve_destination("/a", "b/"), "/a/b/");
        assert_eq!(resolve_destination("/a", "b/."), "/a/b/.");
        assert_eq!(resolve_destination("/a", "/b/"), "/b/");
        assert_eq!(resolve_destination("/a", "/b/./c/../."), "/b/.");
        assert_eq!(resolve_destination("/a", ".."), "/");
        assert_eq!(resolve_destination("/", "./."), "/.");
        assert_eq!(resolve_destination("/a", "b"), "/a/b");
    }
}
