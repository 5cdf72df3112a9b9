//! What lies below: the file system that the layers of a base image make, as far as later layers must know it.
//!
//! Overlay runtimes apply each layer alone. A layer that writes `lib/x` over a base where `/lib` is a symbolic link replaces
//! the link by a directory; a parent directory that is not in the layer comes out as 0755 root:root and hides the base's own
//! mode. So whoever makes a layer resolves its destinations through the links below, and writes parents as they are below.
//!
//! Each layer is read once and remembered by its digest ([`LayerFacts`] is a record); [`Below`] is a stack of them.

use std::collections::BTreeMap;
use std::io::{self, Read};

use cartwheel_store::{Digest, Key, Record};
use serde::{Deserialize, Serialize};

use crate::layer::{self, ReadEntry, ReadKind, Written};

/// What one layer has, removes and links.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFacts {
    nodes: BTreeMap<String, Node>,
    /// Paths that it removes from what lies below.
    whiteouts: Vec<String>,
    /// Directories whose content below it hides.
    opaque: Vec<String>,
}

/// One path of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// A directory.
    #[serde(rename = "d")]
    Directory(Permissions),
    /// A symbolic link and its target.
    #[serde(rename = "l")]
    Symlink(String),
    /// Any other file; what was extracted from it, if somebody wanted to know.
    #[serde(rename = "f")]
    File(Option<String>),
}

/// Mode, owner and time of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// The twelve permission bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u64,
}

impl Permissions {
    /// What a runtime gives a directory that no layer mentions: 0755, root's. Such a parent need not be in a layer.
    pub fn is_plain(self) -> bool {
        (self.mode, self.uid, self.gid) == (0o755, 0, 0)
    }
}

/// Turns the content of an interesting file into what is worth keeping of it.
pub type Extract = fn(&[u8]) -> Option<String>;

/// Interesting files larger than this are not looked into.
const LARGEST_EXTRACT: u64 = 16 << 20;

/// Links are followed so many times at most (Linux: `ELOOP` after 40).
const LINK_LIMIT: usize = 40;

impl Record for LayerFacts {
    const KIND: &'static str = "below-1";
}

impl LayerFacts {
    /// The key of the facts about the layer with this digest, found with this version of `extract`.
    pub fn key(layer: Digest, extract_version: u32) -> Key<Self> {
        Key::new().with("extract", extract_version).with("layer", layer)
    }

    /// Reads a layer. `interesting` says which files to look into, and how.
    pub fn read(
        layer: impl Read,
        interesting: impl Fn(&str) -> Option<Extract>,
    ) -> io::Result<(Written, Self)> {
        let mut facts = Self::default();
        let written = layer::read(layer, |entry, content| facts.add(entry, content, &interesting))?;
        Ok((written, facts))
    }

    fn add(
        &mut self,
        entry: &ReadEntry,
        content: &mut dyn Read,
        interesting: &impl Fn(&str) -> Option<Extract>,
    ) -> io::Result<()> {
        let (parent, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        if name == ".wh..wh..opq" {
            self.opaque.push(parent.to_owned());
        } else if let Some(hidden) = name.strip_prefix(".wh.") {
            self.whiteouts.push(join(parent, hidden));
        } else {
            let node = match &entry.kind {
                ReadKind::Directory => {
                    let ReadEntry { mode, uid, gid, mtime, .. } = *entry;
                    Node::Directory(Permissions { mode, uid, gid, mtime })
                }
                ReadKind::Symlink(target) => Node::Symlink(target.clone()),
                ReadKind::File => Node::File(extract(entry, content, interesting)?),
                _ => Node::File(None),
            };
            self.nodes.insert(entry.path.clone(), node);
        }
        Ok(())
    }
}

fn extract(
    entry: &ReadEntry,
    content: &mut dyn Read,
    interesting: &impl Fn(&str) -> Option<Extract>,
) -> io::Result<Option<String>> {
    let Some(extract) = interesting(&entry.path).filter(|_| entry.size <= LARGEST_EXTRACT) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    Ok(extract(&bytes))
}

/// The file system that a stack of layers makes.
#[derive(Debug, Clone, Default)]
pub struct Below {
    nodes: BTreeMap<String, Node>,
}

impl Below {
    /// Applies layers one over the other, the lowest first.
    pub fn stack(layers: impl IntoIterator<Item = LayerFacts>) -> Self {
        let mut below = Self::default();
        for facts in layers {
            for path in &facts.opaque {
                below.remove_children(path);
            }
            for path in &facts.whiteouts {
                below.nodes.remove(path);
                below.remove_children(path);
            }
            for (path, node) in facts.nodes {
                if !matches!(node, Node::Directory(_)) {
                    below.remove_children(&path);
                }
                below.add_parents(&path);
                below.nodes.insert(path, node);
            }
        }
        below
    }

    /// What is at `path`; links are not followed.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// All paths and what is there.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// The paths below the directory `path`, and what is there.
    pub fn children<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let start = prefix.clone();
        self.nodes
            .range(start..)
            .take_while(move |(key, _)| key.starts_with(&prefix))
            .map(|(key, node)| (key.as_str(), node))
    }

    /// `path` with every link in it followed, the last part's too. `None` if the links go round in circles.
    pub fn resolve(&self, path: &str) -> Option<String> {
        let mut todo: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut resolved = String::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_str() {
                "" | "." => {}
                ".." => resolved.truncate(resolved.rfind('/').unwrap_or(0)),
                name => {
                    let next = join(&resolved, name);
                    let Some(Node::Symlink(target)) = self.nodes.get(&next) else {
                        resolved = next;
                        continue;
                    };
                    links += 1;
                    if links > LINK_LIMIT {
                        return None;
                    }
                    if target.starts_with('/') {
                        resolved.clear();
                    }
                    todo.extend(target.split('/').rev().map(str::to_owned));
                }
            }
        }
        Some(resolved)
    }

    /// A parent that no layer mentions comes out as 0755 root's.
    fn add_parents(&mut self, path: &str) {
        let unmentioned = Permissions { mode: 0o755, uid: 0, gid: 0, mtime: 0 };
        let mut rest = path;
        while let Some((parent, _)) =
            rest.rsplit_once('/').filter(|(parent, _)| !self.nodes.contains_key(*parent))
        {
            self.nodes.insert(parent.to_owned(), Node::Directory(unmentioned));
            rest = parent;
        }
    }

    fn remove_children(&mut self, path: &str) {
        let children: Vec<String> = self.children(path).map(|(child, _)| child.to_owned()).collect();
        for child in children {
            self.nodes.remove(&child);
        }
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(nodes: &[(&str, Node)]) -> LayerFacts {
        let nodes = nodes.iter().map(|(path, node)| ((*path).to_owned(), node.clone())).collect();
        LayerFacts { nodes, ..LayerFacts::default() }
    }

    fn link(target: &str) -> Node {
        Node::Symlink(target.to_owned())
    }

    fn directory() -> Node {
        Node::Directory(Permissions { mode: 0o755, uid: 0, gid: 0, mtime: 0 })
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let below = Below::stack([facts(&[
            ("lib", link("usr/lib")),
            ("usr/lib/a", link("/opt/../../b")),
            ("loop", link("loop")),
        ])]);
        assert_eq!(below.resolve("lib/x").as_deref(), Some("usr/lib/x"));
        assert_eq!(below.resolve("lib/a/c").as_deref(), Some("b/c"));
        assert_eq!(below.resolve("loop/x"), None);
    }

    #[test]
    fn parents_that_no_layer_mentions_are_there() {
        let below = Below::stack([facts(&[("a/b/c", Node::File(None))])]);
        assert_eq!(below.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
    }

    #[test]
    fn whiteouts_and_files_hide_what_is_below() {
        let mut upper = facts(&[("b", Node::File(None))]);
        upper.whiteouts.push("a".to_owned());
        upper.opaque.push("c".to_owned());
        let lower = facts(&[
            ("a", directory()),
            ("a/x", directory()),
            ("b", directory()),
            ("b/x", directory()),
            ("c", directory()),
            ("c/x", directory()),
        ]);
        let below = Below::stack([lower, upper]);
        assert_eq!(below.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["b", "c"]);
    }
}
