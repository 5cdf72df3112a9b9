//! The ground that packages are laid on: where their files really go in a base, and which directories must come along.
//!
//! A destination is resolved through the links below it, because a layer that writes through a link would replace the link
//! (see [`cartwheel_oci::Below`]). Which parent directories a layer has follows one rule:
//!
//! 1. A directory that is below with another mode or owner than 0755 root's is written exactly as it is below: a layer that
//!    leaves it out would hide its mode.
//! 2. A directory inside `site-packages` belongs to the packages, and is always written: the layer of a wheel must not
//!    depend on what else the base has there.
//! 3. Any other directory is left out if it is below, and written if it is not.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use cartwheel_oci::layer::{Entry, Tree};
use cartwheel_oci::{Below, Node};

use crate::error::{ErrorKind, Result};

/// A base as seen by somebody who puts files into it.
pub struct Ground<'a> {
    below: &'a Below,
    /// The directories whose content is the packages' own.
    libraries: Vec<String>,
    mtime: u64,
    resolved: Mutex<HashMap<String, String>>,
}

impl<'a> Ground<'a> {
    /// `libraries` are absolute; `mtime` is for directories that are not below.
    pub fn new(below: &'a Below, libraries: &[&str], mtime: u64) -> Result<Self> {
        let mut ground = Self { below, libraries: Vec::new(), mtime, resolved: Mutex::default() };
        ground.libraries = libraries
            .iter()
            .map(|path| ground.resolve(path.trim_start_matches('/')))
            .collect::<Result<_>>()?;
        Ok(ground)
    }

    /// Where a file really goes: its directory with all links followed, and its name.
    pub(crate) fn place(&self, path: &str) -> Result<String> {
        let Some((parent, name)) = path.rsplit_once('/') else { return Ok(path.to_owned()) };
        let mut known = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(parent) {
            known.insert(parent.to_owned(), self.resolve(parent)?);
        }
        let resolved = known.get(parent).map_or("", String::as_str);
        Ok(if resolved.is_empty() { name.to_owned() } else { format!("{resolved}/{name}") })
    }

    /// The directories above these places that a layer must have, by the rule.
    pub(crate) fn parents<'p>(&self, places: impl Iterator<Item = &'p str>) -> BTreeMap<String, Entry> {
        let mut parents = BTreeMap::new();
        let mut seen: Option<&str> = None;
        for place in places {
            let Some((folder, _)) = place.rsplit_once('/') else { continue };
            // Most files lie in the directory of the one before.
            if seen == Some(folder) {
                continue;
            }
            seen = Some(folder);
            let ends = folder.match_indices('/').map(|(end, _)| end).chain([folder.len()]);
            for path in ends.map(|end| &folder[..end]) {
                if !parents.contains_key(path)
                    && let Some(entry) = self.parent(path)
                {
                    parents.insert(path.to_owned(), entry);
                }
            }
        }
        parents
    }

    /// What of the base enters a layer of files at these places: the parents that are not the packages' own. It belongs in
    /// the layer's key.
    pub(crate) fn fingerprint<'p>(&self, places: impl Iterator<Item = &'p str>) -> String {
        let outside =
            self.parents(places).into_iter().filter(|(path, entry)| !self.is_own(path) || !is_plain(entry));
        let line = |(path, entry): (String, Entry)| {
            format!("{path} {:o} {}:{} {}\n", entry.mode, entry.uid, entry.gid, entry.mtime)
        };
        outside.map(line).collect()
    }

    /// Adds the parents of everything in `tree`.
    pub(crate) fn add_parents(&self, tree: &mut Tree) {
        let places: Vec<String> = tree.iter().map(|(path, _)| path.to_owned()).collect();
        for (path, entry) in self.parents(places.iter().map(String::as_str)) {
            // What the tree says itself about a directory counts more.
            if tree.get(&path).is_none() {
                let inserted = tree.insert(path, entry);
                debug_assert!(
                    inserted.is_ok(),
                    "a tree refuses files below files, so every parent is free: {inserted:?}"
                );
            }
        }
    }

    fn parent(&self, path: &str) -> Option<Entry> {
        match self.below.get(path).filter(|node| node.is_directory()) {
            Some(Node { permissions: found, .. }) if !found.is_plain() => Some(
                Entry::directory()
                    .with_mode(found.mode)
                    .with_owner(found.uid, found.gid)
                    .with_mtime(found.mtime),
            ),
            Some(_) if !self.is_own(path) => None,
            _ => Some(Entry::directory().with_mtime(self.mtime)),
        }
    }

    fn is_own(&self, path: &str) -> bool {
        self.libraries
            .iter()
            .any(|library| path.strip_prefix(library.as_str()).is_some_and(|rest| rest.starts_with('/')))
    }

    fn resolve(&self, path: &str) -> Result<String> {
        self.below.resolve(path).ok_or_else(|| ErrorKind::LinkLoop { path: path.to_owned() }.into())
    }
}

fn is_plain(entry: &Entry) -> bool {
    (entry.mode, entry.uid, entry.gid) == (0o755, 0, 0)
}

#[cfg(test)]
mod tests {
    use cartwheel_oci::LayerFacts;
    use cartwheel_oci::layer::{self, Content, Encoding, FIXED_TIME};

    use super::*;

    const LIBRARY: &str = "/usr/lib/python3.13/site-packages";

    fn below(entries: &[(&str, Entry)]) -> Below {
        let mut tree = Tree::new();
        for (path, entry) in entries {
            tree.insert(*path, entry.clone()).unwrap();
        }
        let mut bytes = Vec::new();
        layer::write(&tree, Encoding::Compressed, &mut bytes).unwrap();
        Below::stack([LayerFacts::read(&bytes[..], |_| None).unwrap().1])
    }

    #[test]
    fn parents_follow_the_rule() {
        let sticky = Entry { mode: 0o2775, ..Entry::directory().with_owner(0, 50).with_mtime(7) };
        let below = below(&[
            ("usr", Entry::directory()),
            ("usr/lib", Entry::directory()),
            ("usr/lib/python3.13", Entry::directory()),
            ("usr/lib/python3.13/site-packages", sticky),
            ("usr/lib/python3.13/site-packages/pkg", Entry::directory()),
            ("lib", Entry::symlink("usr/lib")),
        ]);
        let ground = Ground::new(&below, &[LIBRARY], FIXED_TIME).unwrap();
        let place = ground.place("lib/python3.13/site-packages/pkg/a.py").unwrap();
        assert_eq!(place, "usr/lib/python3.13/site-packages/pkg/a.py");
        let mut tree = Tree::new();
        tree.insert(place, Entry::file(Content::Bytes(Vec::new()), false)).unwrap();
        tree.insert("usr/share/new/x", Entry::file(Content::Bytes(Vec::new()), false)).unwrap();
        ground.add_parents(&mut tree);
        let found: Vec<_> =
            tree.iter().map(|(path, entry)| format!("{path} {:o} {}", entry.mode, entry.gid)).collect();
        assert_eq!(
            found,
            [
                "usr/lib/python3.13/site-packages 2775 50",
                "usr/lib/python3.13/site-packages/pkg 755 0",
                "usr/lib/python3.13/site-packages/pkg/a.py 644 0",
                "usr/share 755 0",
                "usr/share/new 755 0",
                "usr/share/new/x 644 0",
            ]
        );
        let places: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        let fingerprint = ground.fingerprint(places.into_iter());
        assert!(
            fingerprint.contains("site-packages 2775 0:50 7\n") && !fingerprint.contains("pkg"),
            "{fingerprint}"
        );
    }
}
