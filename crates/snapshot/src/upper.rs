//! From the upper directory of an overlay to what a layer will contain.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use cartwheel_oci::layer::{Content, Entry, Kind, Tree};
use cartwheel_oci::{Below, FileFacts, Node, NodeKind, Permissions};
use cartwheel_store::Blob;
use rustix::fs::{major, minor};

use crate::attributes::{self, Attributes};
use crate::error::{Error, ErrorKind, Result};
use crate::marks::{Marks, is_overlays_own};
use crate::place::is_whiteout;

/// What the upper directory of an overlay over `below` says: the layer that makes the same of `below`.
///
/// The overlay was mounted with `redirect_dir=off,metacopy=off,index=off`, and nobody uses it any more.
pub fn diff(upper: &Path, marks: Marks, below: &Below) -> Result<Tree> {
    let found = scan(upper, marks)?;
    let mut changes = Vec::new();
    // The directories that something is in which goes into the layer.
    let mut needed = HashSet::new();
    // What is in a directory comes behind it: backwards, it is known before.
    for (path, found) in found.iter().rev() {
        let change = found.change(path, below, needed.contains(path.as_str()))?;
        if change.is_some() || needed.contains(path.as_str()) {
            needed.extend(path.rsplit_once('/').map(|(parent, _)| parent));
        }
        changes.extend(change.map(|change| (path.as_str(), found, change)));
    }
    let mut tree = Tree::new();
    let mut names = HashMap::new();
    for (path, found, change) in changes.into_iter().rev() {
        change.add(path, found, &mut names, &mut tree)?;
    }
    Ok(tree)
}

/// One path of the upper directory.
struct Found {
    path: PathBuf,
    metadata: Metadata,
    attributes: Attributes,
    is_opaque: bool,
    /// It is in a directory that hides what lies below.
    is_alone: bool,
}

/// What becomes of a path.
enum Change<'a> {
    /// It is removed from what lies below.
    Removed,
    /// It is there, as it is here.
    Put {
        /// And nothing that lies below is in it.
        opaque: bool,
    },
    /// It is there because of what is in it, and as it is below.
    Parent(&'a Node),
}

/// Everything in the upper directory, by path.
fn scan(upper: &Path, marks: Marks) -> Result<BTreeMap<String, Found>> {
    let mut reader = attributes::Reader::new();
    let mut all = BTreeMap::new();
    let mut folders = vec![(String::new(), upper.to_owned(), false)];
    while let Some((folder, place, is_alone)) = folders.pop() {
        for entry in fs::read_dir(&place).map_err(Error::io("read", &place))? {
            let path = entry.map_err(Error::io("read", &place))?.path();
            let name = utf8(&path, path.file_name())?;
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let found = Found { is_alone, ..Found::read(path, marks, &mut reader)? };
            if found.metadata.is_dir() {
                folders.push((name.clone(), found.path.clone(), is_alone || found.is_opaque));
            }
            all.insert(name, found);
        }
    }
    Ok(all)
}

/// A name at or behind `path` as text.
fn utf8(path: &Path, name: Option<&OsStr>) -> Result<String> {
    let name = name.and_then(OsStr::to_str).map(str::to_owned);
    name.ok_or_else(|| ErrorKind::NotUtf8 { path: path.to_owned() }.into())
}

impl Found {
    fn read(path: PathBuf, marks: Marks, reader: &mut attributes::Reader) -> Result<Self> {
        let metadata = fs::symlink_metadata(&path).map_err(Error::io("read", &path))?;
        let mut attributes = reader.read(&path).map_err(Error::io("read", &path))?;
        if attributes.contains_key(marks.redirect()) {
            return Err(ErrorKind::Redirect { path }.into());
        }
        let is_opaque = attributes.get(marks.opaque()).is_some_and(|value| value == b"y");
        attributes.retain(|name, _| is_for_layers(name));
        Ok(Self { path, metadata, attributes, is_opaque, is_alone: false })
    }

    /// What this path means over `below`; nothing if it is a socket, or as it is there. `needed` says that something in it
    /// is a change.
    fn change<'a>(&self, path: &str, below: &'a Below, needed: bool) -> Result<Option<Change<'a>>> {
        let there = below.get(path).filter(|_| !self.is_alone);
        if is_whiteout(self.metadata.mode(), self.metadata.rdev()) {
            return Ok(there.map(|_| Change::Removed));
        }
        if self.metadata.file_type().is_socket() {
            return Ok(None);
        }
        // Overlayfs marks every new directory, whether or not it hides something.
        let opaque = self.is_opaque && !self.is_alone && below.children(path).next().is_some();
        let Some(node) = there.filter(|_| !opaque) else { return Ok(Some(Change::Put { opaque })) };
        if !self.is_as(node)? {
            return Ok(Some(Change::Put { opaque }));
        }
        // A parent that is plain is made by whoever unpacks the layer.
        let is_parent = needed && !(node.permissions.is_plain() && self.attributes.is_empty());
        Ok(is_parent.then_some(Change::Parent(node)))
    }

    /// Whether it is what lies below. A change of a directory's time is none: it comes from what happened in it.
    fn is_as(&self, node: &Node) -> Result<bool> {
        let metadata = &self.metadata;
        let (here, there) = (self.permissions(), node.permissions);
        let same_time = here.mtime == there.mtime && metadata.mtime_nsec() == 0;
        let kept = node.xattrs.iter().filter(|(name, _)| is_for_layers(name));
        if here != (Permissions { mtime: here.mtime, ..there }) || !kept.eq(&self.attributes) {
            return Ok(false);
        }
        if let NodeKind::Directory = node.kind {
            return Ok(metadata.is_dir());
        }
        // The names of a file stay together.
        if !same_time || metadata.nlink() > 1 {
            return Ok(false);
        }
        match &node.kind {
            NodeKind::File(facts) => self.is_file(facts),
            NodeKind::Symlink(target) => Ok(metadata.is_symlink() && self.target()? == *target),
            _ => Ok(false),
        }
    }

    fn is_file(&self, facts: &FileFacts) -> Result<bool> {
        if !self.metadata.is_file() || self.metadata.len() != facts.size || facts.digest.is_none() {
            return Ok(false);
        }
        let digest = Blob::open(&self.path).and_then(|file| file.digest())?;
        Ok(facts.digest == Some(digest))
    }

    fn permissions(&self) -> Permissions {
        let metadata = &self.metadata;
        Permissions {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: u64::try_from(metadata.mtime()).unwrap_or_default(),
        }
    }

    fn target(&self) -> Result<String> {
        let target = fs::read_link(&self.path).map_err(Error::io("read", &self.path))?;
        utf8(&self.path, Some(target.as_os_str()))
    }

    fn entry(&self, kind: Kind) -> Entry {
        let Permissions { mode, uid, gid, mtime } = self.permissions();
        Entry { kind, mode, uid, gid, mtime, xattrs: self.attributes.clone() }
    }

    /// What it is, but for a file's other names; nothing if a layer cannot say it.
    fn kind(&self) -> Result<Option<Kind>> {
        let kind = self.metadata.file_type();
        let device = self.metadata.rdev();
        let (major, minor) = (major(device), minor(device));
        Ok(match () {
            () if kind.is_dir() => Some(Kind::Directory),
            () if kind.is_symlink() => Some(Kind::Symlink { target: self.target()? }),
            () if kind.is_fifo() => Some(Kind::Fifo),
            () if kind.is_char_device() => Some(Kind::CharDevice { major, minor }),
            () if kind.is_block_device() => Some(Kind::BlockDevice { major, minor }),
            () if kind.is_socket() => None,
            () => {
                let (path, size) = (self.path.clone(), self.metadata.len());
                Some(Kind::File(Content::File { path, size }))
            }
        })
    }
}

impl Change<'_> {
    /// Adds it to the layer. `names` are the first paths of the files of several names.
    fn add<'a>(
        self,
        path: &'a str,
        found: &Found,
        names: &mut HashMap<(u64, u64), &'a str>,
        tree: &mut Tree,
    ) -> Result<()> {
        match self {
            Self::Removed => tree.remove_below(path)?,
            Self::Parent(node) => {
                let Permissions { mode, uid, gid, mtime } = node.permissions;
                let xattrs = found.attributes.clone();
                tree.insert(path, Entry { kind: Kind::Directory, mode, uid, gid, mtime, xattrs })?;
            }
            Self::Put { opaque } => {
                let metadata = &found.metadata;
                let has_names = !metadata.is_dir() && metadata.nlink() > 1;
                let inode = (metadata.dev(), metadata.ino());
                let first = if has_names { *names.entry(inode).or_insert(path) } else { path };
                let kind = if first == path {
                    found.kind()?
                } else {
                    Some(Kind::Hardlink { target: first.to_owned() })
                };
                if let Some(kind) = kind {
                    tree.insert(path, found.entry(kind))?;
                }
                if opaque {
                    tree.hide_below(path)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether an extended attribute goes into a layer: the user's own and capabilities. Others are the machine's (labels of
/// security modules) or overlayfs's.
fn is_for_layers(attribute: &str) -> bool {
    attribute == "security.capability" || attribute.starts_with("user.") && !is_overlays_own(attribute)
}
