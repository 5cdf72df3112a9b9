//! What one layer has, removes and links: read from its bytes, or known from the tree that it is written from.

use std::collections::BTreeMap;
use std::io::{self, Read};

use cartwheel_store::{Digest, Key, Record};
use serde::{Deserialize, Serialize};

use super::rows::Rows;
use crate::layer::{
    self, Content, ContentDigest, Entry, Kind, LayerError, Member, ReadEntry, ReadKind, Tree, Written,
};
use crate::links::{LINK_LIMIT, join};

/// What one layer has, removes and links.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Rows", from = "Rows")]
pub struct LayerFacts {
    pub(super) nodes: BTreeMap<String, Node>,
    /// Hard links and where they lead.
    pub(super) links: BTreeMap<String, String>,
    /// Paths that it removes from what lies below.
    pub(super) whiteouts: Vec<String>,
    /// Directories whose content below it hides.
    pub(super) opaque: Vec<String>,
}

/// One path of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Mode, owner and time.
    pub permissions: Permissions,
    /// Extended attributes by name.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A symbolic link and its target.
    Symlink(String),
    /// A regular file.
    File(FileFacts),
    /// A named pipe.
    Fifo,
    /// A character device, by its major and minor number.
    CharDevice(u32, u32),
    /// A block device, by its major and minor number.
    BlockDevice(u32, u32),
}

/// What is known of a regular file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// Its size in bytes.
    pub size: u64,
    /// Where in the layer's uncompressed tar its content begins.
    pub offset: u64,
    /// The digest of its content; `None` if the layer was described and nobody read it yet.
    pub digest: Option<Digest>,
    /// What was extracted from it, if somebody wanted to know.
    pub extract: Option<String>,
    /// The file's first path in its layer, if this is another name of it.
    pub first_name: Option<String>,
}

/// Mode, owner and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl Node {
    /// A directory that no layer mentions, as runtimes make it.
    pub(super) fn unmentioned_directory() -> Self {
        let permissions = Permissions { mode: 0o755, uid: 0, gid: 0, mtime: 0 };
        Self { kind: NodeKind::Directory, permissions, xattrs: BTreeMap::new() }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory)
    }

    /// What is known of it, if it is a regular file.
    pub fn file(&self) -> Option<&FileFacts> {
        match &self.kind {
            NodeKind::File(facts) => Some(facts),
            _ => None,
        }
    }

    /// What was extracted from it, if it is a file that somebody wanted to know about.
    pub fn extract(&self) -> Option<&str> {
        self.file()?.extract.as_deref()
    }
}

/// Turns the content of an interesting file into what is worth keeping of it.
pub type Extract = fn(&[u8]) -> Option<String>;

/// Interesting files larger than this are not looked into.
const LARGEST_EXTRACT: u64 = 16 << 20;

impl Record for LayerFacts {
    const KIND: &'static str = "below-3";
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
        let written = layer::read(layer, |entry, content| {
            let extract = interesting(&entry.path).filter(|_| entry.size <= LARGEST_EXTRACT);
            match read_kind(entry, content, extract)? {
                Found::Link(target) => facts.add_link(&entry.path, target, permissions(entry)),
                Found::Node(kind) => {
                    let permissions = permissions(entry);
                    facts.add(&entry.path, Node { kind, permissions, xattrs: entry.xattrs.clone() });
                }
            }
            Ok(())
        })?;
        Ok((written, facts))
    }

    /// What the layer that is written from `tree` has: equal to reading it, but for digests that nobody knows yet.
    pub fn of_tree(tree: &Tree, interesting: impl Fn(&str) -> Option<Extract>) -> Result<Self, LayerError> {
        let mut facts = Self::default();
        let mut position = 0;
        let mut header = Vec::new();
        for (path, entry) in tree.iter() {
            header.clear();
            layer::append_header(path, entry, &mut header);
            position += header.len() as u64;
            let extract = interesting(path);
            match tree_kind(&entry.kind, position, extract)? {
                Found::Link(target) => facts.add_link(path, target, described(entry)),
                Found::Node(kind) => facts.add(path, node(kind, entry)),
            }
            let size = entry.kind.content().map_or(0, Content::size);
            position += size + layer::padding(size) as u64;
        }
        Ok(facts)
    }

    /// The paths that it has, and what is there; hard links are not among them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Whether its paths are all that it does to what lies below: it removes nothing, and has no hard links.
    pub fn only_adds(&self) -> bool {
        self.links.is_empty() && self.whiteouts.is_empty() && self.opaque.is_empty()
    }

    /// Adds a path, or what the name of a whiteout stands for. Of two entries for one path the later counts.
    fn add(&mut self, path: &str, node: Node) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == ".wh..wh..opq" {
            self.opaque.push(parent.to_owned());
        } else if let Some(hidden) = name.strip_prefix(".wh.") {
            self.whiteouts.push(join(parent, hidden));
        } else {
            self.links.remove(path);
            self.nodes.insert(path.to_owned(), node);
        }
    }

    /// Adds another name of a file. Who unpacks the layer gives the file what the link's entry says of mode, owner and time.
    fn add_link(&mut self, path: &str, target: String, permissions: Permissions) {
        self.nodes.remove(path);
        let mut first = target.as_str();
        for _ in 0..LINK_LIMIT {
            let Some(next) = self.links.get(first) else { break };
            first = next;
        }
        if let Some(node) = self.nodes.get_mut(first).filter(|node| !node.is_directory()) {
            node.permissions = permissions;
        }
        self.links.insert(path.to_owned(), target);
    }
}

/// An entry is a node of its own or another name of one.
enum Found {
    Node(NodeKind),
    Link(String),
}

fn read_kind(entry: &ReadEntry, content: &mut dyn Read, extract: Option<Extract>) -> io::Result<Found> {
    Ok(Found::Node(match &entry.kind {
        ReadKind::Hardlink(target) => return Ok(Found::Link(target.clone())),
        ReadKind::Directory => NodeKind::Directory,
        ReadKind::Symlink(target) => NodeKind::Symlink(target.clone()),
        ReadKind::Fifo => NodeKind::Fifo,
        ReadKind::CharDevice(major, minor) => NodeKind::CharDevice(*major, *minor),
        ReadKind::BlockDevice(major, minor) => NodeKind::BlockDevice(*major, *minor),
        ReadKind::File => {
            // «Sparse files SHOULD NOT be used» (image spec, layer.md), and no builder writes them.
            let sparse = || io::Error::other(format!("`{}` is a sparse file", entry.path));
            let offset = entry.offset.ok_or_else(sparse)?;
            let (digest, extract) = read_content(content, extract)?;
            let digest = Some(digest);
            NodeKind::File(FileFacts { size: entry.size, offset, digest, extract, first_name: None })
        }
    }))
}

fn read_content(content: &mut dyn Read, extract: Option<Extract>) -> io::Result<(Digest, Option<String>)> {
    if let Some(extract) = extract {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        return Ok((Digest::of(&bytes), extract(&bytes)));
    }
    Ok((Digest::of_reader(content)?, None))
}

fn permissions(entry: &ReadEntry) -> Permissions {
    let ReadEntry { mode, uid, gid, mtime, .. } = *entry;
    Permissions { mode, uid, gid, mtime }
}

fn described(entry: &Entry) -> Permissions {
    let Entry { mode, uid, gid, mtime, .. } = *entry;
    Permissions { mode: mode & 0o7777, uid, gid, mtime }
}

fn node(kind: NodeKind, entry: &Entry) -> Node {
    Node { kind, permissions: described(entry), xattrs: entry.xattrs.clone() }
}

fn tree_kind(kind: &Kind, offset: u64, extract: Option<Extract>) -> Result<Found, LayerError> {
    Ok(Found::Node(match kind {
        Kind::Hardlink { target } => return Ok(Found::Link(target.clone())),
        Kind::Directory => NodeKind::Directory,
        Kind::Symlink { target } => NodeKind::Symlink(target.clone()),
        Kind::Fifo => NodeKind::Fifo,
        Kind::CharDevice { major, minor } => NodeKind::CharDevice(*major, *minor),
        Kind::BlockDevice { major, minor } => NodeKind::BlockDevice(*major, *minor),
        Kind::File(content) => {
            let (size, digest) = (content.size(), known_digest(content));
            let extract = match extract.filter(|_| size <= LARGEST_EXTRACT) {
                Some(extract) => extract(&content.read()?),
                None => None,
            };
            NodeKind::File(FileFacts { size, offset, digest, extract, first_name: None })
        }
    }))
}

/// The digest of a content that need not be read for it.
fn known_digest(content: &Content) -> Option<Digest> {
    match content {
        Content::Bytes(bytes) => Some(Digest::of(bytes)),
        Content::Member(Member { expected: Some(ContentDigest::Sha256(digest)), .. }) => Some(*digest),
        Content::File { .. } | Content::Range { .. } | Content::Member(_) => None,
    }
}
