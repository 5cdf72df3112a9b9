//! What lies below: the file system that the layers of a base image make, as far as later layers must know it.
//!
//! Overlay runtimes apply each layer alone. A layer that writes `lib/x` over a base where `/lib` is a symbolic link replaces
//! the link by a directory; a parent directory that is not in the layer comes out as 0755 root:root and hides the base's own
//! mode. So whoever makes a layer resolves its destinations through the links below, and writes parents as they are below.
//! Who copies from an image wants to know more: what each file is, and where its bytes are.
//!
//! Each layer is read once and remembered by its digest ([`LayerFacts`] is a record); [`Below`] is a stack of them.

mod facts;
mod rows;

use std::collections::BTreeMap;

use crate::links::{LINK_LIMIT, follow_links};

pub use facts::{Extract, FileFacts, LayerFacts, Node, NodeKind, Permissions};

/// The file system that a stack of layers makes.
#[derive(Debug, Clone, Default)]
pub struct Below {
    nodes: BTreeMap<String, Placed>,
    layers: usize,
}

/// A path, and the layer that it comes from.
#[derive(Debug, Clone)]
struct Placed {
    node: Node,
    layer: usize,
}

impl Below {
    /// Applies layers one over the other, the lowest first.
    pub fn stack(layers: impl IntoIterator<Item = LayerFacts>) -> Self {
        let mut below = Self::default();
        layers.into_iter().for_each(|facts| below.push(facts));
        below
    }

    /// Applies one more layer.
    pub fn push(&mut self, facts: LayerFacts) {
        let layer = self.layers;
        self.layers += 1;
        for path in &facts.opaque {
            self.remove_children(path);
        }
        for path in &facts.whiteouts {
            self.nodes.remove(path);
            self.remove_children(path);
        }
        if self.nodes.is_empty() {
            let placed = facts.nodes.into_iter().map(|(path, node)| (path, Placed { node, layer }));
            self.nodes = placed.collect();
            self.add_all_parents(layer);
        } else {
            facts.nodes.into_iter().for_each(|(path, node)| self.put(path, Placed { node, layer }));
        }
        for (path, target) in &facts.links {
            // A link to what is not there cannot be unpacked: no such image runs.
            if let Some(linked) = self.linked(&facts.links, target) {
                self.put(path.clone(), linked);
            }
        }
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// What is at `path`; links are not followed.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path).map(|placed| &placed.node)
    }

    /// Which layer (the lowest is 0) `path` comes from; for a file, the one that has its bytes.
    pub fn layer(&self, path: &str) -> Option<usize> {
        self.nodes.get(path).map(|placed| placed.layer)
    }

    /// All paths and what is there.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, placed)| (path.as_str(), &placed.node))
    }

    /// The paths below the directory `path`, and what is there.
    pub fn children<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        self.range(path).map(|(path, placed)| (path, &placed.node))
    }

    /// `path` with every link in it followed, the last part's too. `None` if the links go round in circles.
    pub fn resolve(&self, path: &str) -> Option<String> {
        follow_links(path, |place| match &self.get(place)?.kind {
            NodeKind::Symlink(target) => Some(target.as_str()),
            _ => None,
        })
    }

    fn range<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a Placed)> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let start = prefix.clone();
        self.nodes
            .range(start..)
            .take_while(move |(key, _)| key.starts_with(&prefix))
            .map(|(key, placed)| (key.as_str(), placed))
            .filter(|(key, _)| !key.is_empty())
    }

    /// The file that a hard link to `target` is another name of. A link to a link of the same layer is followed.
    fn linked(&self, links: &BTreeMap<String, String>, target: &str) -> Option<Placed> {
        let mut first = target;
        for _ in 0..LINK_LIMIT {
            match links.get(first) {
                Some(next) => first = next,
                None => break,
            }
        }
        let mut linked = self.nodes.get(first).filter(|placed| !placed.node.is_directory())?.clone();
        if let NodeKind::File(facts) = &mut linked.node.kind {
            facts.first_name.get_or_insert_with(|| first.to_owned());
        }
        Some(linked)
    }

    fn put(&mut self, path: String, placed: Placed) {
        self.add_parents(&path, placed.layer);
        let replaces = !placed.node.is_directory();
        // Only a directory has something below it: `add_parents` sees to that.
        match self.nodes.get_mut(&path) {
            Some(there) => {
                let had_children = there.node.is_directory();
                *there = placed;
                if replaces && had_children {
                    self.remove_children(&path);
                }
            }
            None => drop(self.nodes.insert(path, placed)),
        }
    }

    /// A parent that no layer mentions comes out as 0755 root's; what is no directory is replaced by one.
    fn add_parents(&mut self, path: &str, layer: usize) {
        let mut rest = path;
        while let Some((parent, _)) = rest.rsplit_once('/') {
            if self.get(parent).is_some_and(Node::is_directory) {
                return;
            }
            self.nodes.insert(parent.to_owned(), Placed { node: Node::unmentioned_directory(), layer });
            rest = parent;
        }
    }

    fn add_all_parents(&mut self, layer: usize) {
        let lost = |path: &&String| {
            let parent = path.rsplit_once('/').map(|(parent, _)| parent);
            parent.is_some_and(|parent| !self.get(parent).is_some_and(Node::is_directory))
        };
        let orphans: Vec<String> = self.nodes.keys().filter(lost).cloned().collect();
        for path in orphans {
            self.add_parents(&path, layer);
        }
    }

    fn remove_children(&mut self, path: &str) {
        let children: Vec<String> = self.range(path).map(|(child, _)| child.to_owned()).collect();
        for child in children {
            self.nodes.remove(&child);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(nodes: &[(&str, NodeKind)]) -> LayerFacts {
        let node = |kind: &NodeKind| Node { kind: kind.clone(), ..Node::unmentioned_directory() };
        let nodes = nodes.iter().map(|(path, kind)| ((*path).to_owned(), node(kind))).collect();
        LayerFacts { nodes, ..LayerFacts::default() }
    }

    fn link(target: &str) -> NodeKind {
        NodeKind::Symlink(target.to_owned())
    }

    fn file(size: u64) -> NodeKind {
        NodeKind::File(FileFacts { size, ..FileFacts::default() })
    }

    fn paths(below: &Below) -> Vec<&str> {
        below.iter().map(|(path, _)| path).collect()
    }

    const DIRECTORY: NodeKind = NodeKind::Directory;

    #[test]
    fn links_are_followed() {
        let links = [("lib", link("usr/lib")), ("usr/lib/a", link("/../b")), ("loop", link("loop"))];
        let below = Below::stack([facts(&links)]);
        assert_eq!(below.resolve("lib/a/c").as_deref(), Some("b/c"));
        assert_eq!(below.resolve("loop/x"), None);
    }

    #[test]
    fn parents_that_no_layer_mentions_are_there() {
        let below = Below::stack([facts(&[("a/b/c", file(1))])]);
        assert_eq!(paths(&below), ["a", "a/b", "a/b/c"]);
    }

    #[test]
    fn whiteouts_and_files_hide_what_is_below() {
        let mut upper = facts(&[("b", file(1))]);
        upper.whiteouts.push("a".to_owned());
        upper.opaque.push("c".to_owned());
        let folders = ["a", "a/x", "b", "b/x", "c", "c/x"].map(|path| (path, DIRECTORY));
        let below = Below::stack([facts(&folders), upper]);
        assert_eq!(paths(&below), ["b", "c"]);
    }

    #[test]
    fn a_path_comes_from_the_layer_that_has_it_last() {
        let lower = facts(&[("a", DIRECTORY), ("a/x", file(1)), ("a/y", file(2)), ("link", link("a"))]);
        let below = Below::stack([lower, facts(&[("a/y", file(3)), ("link/z", file(4))])]);
        let places: Vec<_> = below.iter().map(|(path, _)| (path, below.layer(path).unwrap())).collect();
        // Overlay runtimes put a directory over the link.
        assert_eq!(places, [("a", 0), ("a/x", 0), ("a/y", 1), ("link", 1), ("link/z", 1)]);
        assert_eq!((below.layers(), below.layer("b")), (2, None));
    }

    #[test]
    fn hard_links_are_the_files_they_lead_to() {
        let mut lower = facts(&[("b", file(1)), ("pipe", NodeKind::Fifo)]);
        let links = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(path, target)| ((*path).to_owned(), (*target).to_owned())).collect()
        };
        // A tar has the file first; its path may be any.
        lower.links = links(&[("a", "b"), ("chain", "a"), ("gone", "nowhere"), ("p", "pipe")]);
        let mut upper = facts(&[]);
        upper.links = links(&[("later", "chain")]);
        let below = Below::stack([lower, upper]);
        assert_eq!(paths(&below), ["a", "b", "chain", "later", "p", "pipe"]);
        for path in ["a", "chain", "later"] {
            let found = below.get(path).and_then(Node::file).unwrap();
            assert_eq!((found.size, found.first_name.as_deref()), (1, Some("b")), "{path}");
            assert_eq!(below.layer(path), Some(0));
        }
        assert_eq!(below.get("p").unwrap().kind, NodeKind::Fifo);
    }

    fn trees() -> impl Strategy<Value = LayerFacts> {
        let kind = prop_oneof![Just(DIRECTORY), (0u64..9).prop_map(file), Just(link("b"))];
        let path = prop::collection::vec("[a-c]", 1..4).prop_map(|parts| parts.join("/"));
        prop::collection::btree_map(path, kind, 0..12).prop_map(|nodes| {
            let nodes: Vec<(&str, NodeKind)> =
                nodes.iter().map(|(path, kind)| (path.as_str(), kind.clone())).collect();
            facts(&nodes)
        })
    }

    proptest! {
        /// The first layer is taken as a whole, which is quick; its slow twin goes path by path.
        #[test]
        fn the_first_layer_is_like_any_other(first in trees(), second in trees()) {
            let quick = Below::stack([first.clone(), second.clone()]);
            let mut slow = Below::stack([facts(&[("seed", file(0))]), first, second]);
            slow.nodes.remove("seed");
            let all = |below: &Below| -> Vec<(String, Node)> {
                below.iter().map(|(path, node)| (path.to_owned(), node.clone())).collect()
            };
            prop_assert_eq!(all(&quick), all(&slow));
            // Nothing lies below what is no directory.
            for (path, _) in quick.iter() {
                let parent = path.rsplit_once('/').map(|(parent, _)| parent);
                prop_assert!(parent.is_none_or(|parent| quick.get(parent).unwrap().is_directory()));
            }
        }
    }
}
