//! Files that `COPY` and `ADD` can take: those of a build context, of a stage or image, of an unpacked archive.

use std::collections::BTreeMap;

use cartwheel_oci::layer::{Content, Entry, Kind};
use cartwheel_oci::{Node, NodeKind, Permissions, follow_links};
use cartwheel_store::Digest;

use crate::error::{ErrorKind, Result};

/// A tree of files to copy from, by path relative to its root.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileSet {
    nodes: BTreeMap<String, FileNode>,
}

/// One file of a [`FileSet`].
#[derive(Debug, Clone)]
pub(crate) struct FileNode {
    /// What it is, and where its content lies.
    pub(crate) entry: Entry,
    /// The digest of a regular file's content, if it is known.
    pub(crate) digest: Option<Digest>,
    /// Regular files with the same number are one file under several names.
    pub(crate) inode: Option<u64>,
}

impl FileNode {
    /// A file that has no other name.
    pub(crate) fn new(entry: Entry) -> Self {
        Self { entry, digest: None, inode: None }
    }

    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.entry.kind, Kind::Directory)
    }
}

impl FileSet {
    /// The files of a file system: each path with what is there, and the layer that its bytes are in. Contents are not in
    /// it; whoever knows where they lie puts them in for what was picked.
    pub(crate) fn of<'n>(nodes: impl Iterator<Item = (&'n str, &'n Node, usize)>) -> Self {
        let nodes: Vec<_> = nodes.collect();
        let first = |path: &'n str, node: &'n Node| {
            Some(node.file()?.first_name.as_deref().unwrap_or(path)).filter(|first| !first.is_empty())
        };
        // The files that have more than one name.
        let mut linked: BTreeMap<(usize, &str), u64> = BTreeMap::new();
        for &(path, node, layer) in &nodes {
            if let Some(first) = first(path, node).filter(|&first| first != path) {
                let next = linked.len() as u64;
                linked.entry((layer, first)).or_insert(next);
            }
        }
        let file = |&(path, node, layer): &(&'n str, &'n Node, usize)| {
            let inode = first(path, node).and_then(|first| linked.get(&(layer, first)).copied());
            let digest = node.file().and_then(|facts| facts.digest);
            (path.to_owned(), FileNode { entry: entry(node), digest, inode })
        };
        Self { nodes: nodes.iter().map(file).collect() }
    }

    /// Puts in the contents of regular files.
    pub(crate) fn set_contents(&mut self, content: impl Fn(&str) -> Option<Content>) {
        for (path, node) in &mut self.nodes {
            if let (Kind::File(_), Some(content)) = (&node.entry.kind, content(path)) {
                node.entry.kind = Kind::File(content);
            }
        }
    }

    /// Puts a file under a path, in the place of what was there.
    #[cfg(test)]
    pub(crate) fn insert(&mut self, path: String, node: FileNode) {
        self.nodes.insert(path, node);
    }

    /// The file at `path`, links not followed. The root is no file.
    pub(crate) fn get(&self, path: &str) -> Option<&FileNode> {
        self.nodes.get(path)
    }

    /// Whether there is a directory at `path`; the root is one.
    pub(crate) fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.get(path).is_some_and(FileNode::is_directory)
    }

    /// What lies below the directory `path`, sorted, each directory before what is in it.
    pub(crate) fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a FileNode)> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.nodes
            .range(prefix.clone()..)
            .take_while(move |(key, _)| key.starts_with(&prefix))
            .map(|(key, node)| (key.as_str(), node))
    }

    /// `path` with every link in it followed inside the root, the last part's too.
    pub(crate) fn resolve(&self, path: &str) -> Result<String> {
        follow(path, |place| match self.nodes.get(place).map(|node| &node.entry.kind) {
            Some(Kind::Symlink { target }) => Some(target.as_str()),
            _ => None,
        })
    }
}

fn entry(node: &Node) -> Entry {
    let Permissions { mode, uid, gid, mtime } = node.permissions;
    let kind = match &node.kind {
        NodeKind::Directory => Kind::Directory,
        NodeKind::Symlink(target) => Kind::Symlink { target: target.clone() },
        NodeKind::File(_) => Kind::File(Content::Bytes(Vec::new())),
        NodeKind::Fifo => Kind::Fifo,
        NodeKind::CharDevice(major, minor) => Kind::CharDevice { major: *major, minor: *minor },
        NodeKind::BlockDevice(major, minor) => Kind::BlockDevice { major: *major, minor: *minor },
    };
    Entry { kind, mode, uid, gid, mtime, xattrs: node.xattrs.clone() }
}

/// `path` with every link in it followed inside the root; `link` gives the target of the link at a place.
pub(crate) fn follow<'t>(path: &str, link: impl Fn(&str) -> Option<&'t str>) -> Result<String> {
    follow_links(path, link).ok_or_else(|| ErrorKind::LinkLoop { path: path.to_owned() }.into())
}

/// Two relative paths as one; either may be empty.
pub(crate) fn join(parent: &str, name: &str) -> String {
    match (parent, name) {
        ("", one) | (one, "") => one.to_owned(),
        (parent, name) => format!("{parent}/{name}"),
    }
}

/// The directory that a path is in; the root's is the root.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
