//! What pip would find installed: the distributions that lie in a `site-packages`.

use std::collections::BTreeMap;

use cartwheel_oci::Below;

/// A distribution that is installed below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    /// Its version, as the directory is named.
    pub(crate) version: String,
    /// The paths of its files in the image.
    pub(crate) files: Vec<String>,
}

/// What pip would find installed in a library (a `site-packages`, absolute), by normalised name.
pub(crate) fn installed(below: &Below, library: &str) -> BTreeMap<String, Installed> {
    let library = library.trim_start_matches('/');
    let found = below.children(library).filter_map(|(path, node)| {
        let record = node.extract()?;
        let folder = path.strip_prefix(library)?.strip_prefix('/')?.strip_suffix(".dist-info/RECORD")?;
        let (name, version) = folder.split_once('-')?;
        let files = recorded_files(record, library);
        Some((normalised(name), Installed { version: version.to_owned(), files }))
    });
    found.collect()
}

/// PEP 503.
fn normalised(name: &str) -> String {
    let mut normalised = String::new();
    for part in name.split(['-', '_', '.']).filter(|part| !part.is_empty()) {
        if !normalised.is_empty() {
            normalised.push('-');
        }
        normalised.push_str(&part.to_lowercase());
    }
    normalised
}

/// The paths that a RECORD lists, in the image. Those that leave the root, and those that are absolute, are left out: they
/// decide what is removed, and a hostile RECORD must not choose that (GHSA-pjjw-68hj-v9mw).
fn recorded_files(record: &str, library: &str) -> Vec<String> {
    let resolve = |path: &str| {
        let mut parts: Vec<&str> = library.split('/').collect();
        for part in path.split('/') {
            match part {
                "" => return None,
                "." => {}
                ".." => drop(parts.pop()?),
                name => parts.push(name),
            }
        }
        Some(parts.join("/"))
    };
    let path = |line: &str| match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map(|(path, _)| path.to_owned()),
        None => line.split(',').next().map(str::to_owned),
    };
    record.lines().filter_map(path).filter_map(|path| resolve(&path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_do_not_choose_files_outside() {
        let record =
            "pip/a.py,sha256=x,1\n../../../bin/pip,,\n\"a,b.py\",,\n/etc/passwd,,\n../../../../../../x,,\n";
        let files = recorded_files(record, "usr/local/lib/python3.13/site-packages");
        let library = "usr/local/lib/python3.13/site-packages";
        assert_eq!(
            files,
            [format!("{library}/pip/a.py"), "usr/local/bin/pip".into(), format!("{library}/a,b.py")]
        );
    }
}
