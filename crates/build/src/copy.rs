//! `COPY` and `ADD`: what is taken, where it goes, and by which key the layer is found again.
//!
//! ```text
//! sources ──select──► picked files        of the context, a stage, an image; nothing known of the destination
//!         ──place───► tree                links, owners and what lies below decide                  (place.rs)
//!         ──or are──► layers              of the stage that they come from, as they are             (whole.rs)
//! ```
//!
//! The two halves meet in the key: what was picked, and where it came to lie. What lies below enters only as far as it
//! decided that.

mod mode;
mod place;
mod select;
mod whole;

use std::collections::BTreeMap;
use std::fmt::Write;

use cartwheel_oci::Below;
use cartwheel_oci::layer::{self, Content, Entry, Kind, Tree};
use cartwheel_store::{Digest, Hasher, Key};

pub(crate) use mode::ModeChange;
pub(crate) use place::{Changes, Destination};
pub(crate) use select::{Choice, Picked, PickedFile, select};
pub(crate) use whole::{Whole, place_of_both};

use crate::error::Result;
use crate::files::{FileNode, FileSet};
use crate::packages::LayerRecord;

/// One thing that a `COPY` puts into the image.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Files as they are.
    Files(Picked),
    /// What an archive holds.
    Unpacked(FileSet),
}

/// What a `COPY` takes and how it changes it; where it goes is not decided yet.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) pieces: Vec<Piece>,
    /// What is taken without being made again.
    pub(crate) whole: Whole,
    pub(crate) destination: String,
    pub(crate) changes: Changes,
    /// Whether what lies below must not matter (`--link`).
    pub(crate) link: bool,
}

impl Load {
    /// The layer's content over what lies below. `what` names it in errors.
    pub(crate) fn place(&self, below: &Below, mtime: u64, what: &str) -> Result<Tree> {
        let mut destination = Destination::new(Some(below).filter(|_| !self.link), mtime);
        for piece in &self.pieces {
            match piece {
                Piece::Files(picked) => destination.copy(picked, &self.destination, &self.changes)?,
                Piece::Unpacked(files) => {
                    destination.unpack(files, &self.destination, self.changes.owner)?;
                }
            }
        }
        destination.leave_out(&self.whole);
        destination.into_tree(what)
    }

    /// Names what is taken.
    pub(crate) fn identity(&self) -> Digest {
        Self::name(&self.pieces)
    }

    /// Names what is taken: paths, kinds, modes, owners and contents.
    pub(crate) fn name(pieces: &[Piece]) -> Digest {
        let mut description = Description::default();
        for piece in pieces {
            description.linked.clear();
            match piece {
                Piece::Files(picked) => {
                    description.hasher.update(format!("files {}\n", picked.name).as_bytes());
                    let files = picked.files.iter();
                    files.for_each(|file| description.add(&file.path, &file.node, file.only_parent));
                }
                Piece::Unpacked(files) => {
                    description.hasher.update(b"unpacked\n");
                    files.below("").for_each(|(path, node)| description.add(path, node, false));
                }
            }
        }
        description.hasher.finish()
    }
}

/// The text that names what is taken, hashed as it is written.
#[derive(Default)]
struct Description {
    hasher: Hasher,
    /// Files with several names, in the order in which they were met: their numbers elsewhere are no part of the text.
    linked: BTreeMap<u64, usize>,
}

impl Description {
    fn add(&mut self, path: &str, node: &FileNode, only_parent: bool) {
        let group = node.inode.map(|inode| {
            let next = self.linked.len();
            *self.linked.entry(inode).or_insert(next)
        });
        describe(&mut self.hasher, path, node, group, only_parent);
    }
}

fn describe(hasher: &mut Hasher, path: &str, node: &FileNode, group: Option<usize>, only_parent: bool) {
    let entry = &node.entry;
    let mut line = format!(
        "{path}\0{} {:o} {} {} {only_parent} ",
        letter(&entry.kind),
        entry.mode,
        entry.uid,
        entry.gid
    );
    if let Some(group) = group {
        // Writing to a string cannot fail.
        let _ = write!(line, "linked {group} ");
    }
    // Writing to a string cannot fail.
    let _ = match (&entry.kind, node.digest) {
        (Kind::Symlink { target } | Kind::Hardlink { target }, _) => write!(line, "{target}"),
        (Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor }, _) => {
            write!(line, "{major} {minor}")
        }
        (Kind::File(Content::Bytes(bytes)), None) => write!(line, "{}", Digest::of(bytes)),
        (Kind::File(_), Some(digest)) => write!(line, "{digest}"),
        _ => Ok(()),
    };
    hasher.update(line.as_bytes());
    for (name, value) in &entry.xattrs {
        hasher.update(format!("\0{name}\0{}\0", value.len()).as_bytes());
        hasher.update(value);
    }
    hasher.update(b"\n");
}

fn letter(kind: &Kind) -> char {
    match kind {
        Kind::File(_) => 'f',
        Kind::Directory => 'd',
        Kind::Symlink { .. } => 'l',
        Kind::Hardlink { .. } => 'h',
        Kind::Fifo => 'p',
        Kind::CharDevice { .. } => 'c',
        Kind::BlockDevice { .. } => 'b',
    }
}

/// The key of the layer that a tree of copied files is: what was taken, and how it lies in the tree.
pub(crate) fn layer_key(identity: Digest, tree: &Tree) -> Key<LayerRecord> {
    let mut hasher = Hasher::default();
    for (path, Entry { kind, mode, uid, gid, mtime, .. }) in tree.iter() {
        let target = match kind {
            Kind::Symlink { target } | Kind::Hardlink { target } => target.as_str(),
            _ => "",
        };
        hasher.update(format!("{path}\0{} {mode:o} {uid} {gid} {mtime} {target}\n", letter(kind)).as_bytes());
    }
    Key::new().with("copied", identity).with("format", layer::FORMAT).with("tree", hasher.finish())
}

/// A single file that has no place in a file system yet: a heredoc, a download.
pub(crate) fn single(name: &str, content: Content, digest: Option<Digest>, mode: u32) -> Picked {
    let entry = Entry::file(content, false).with_mode(mode);
    let node = FileNode { digest, ..FileNode::new(entry) };
    let file = PickedFile { path: String::new(), place: name.to_owned(), node, only_parent: false };
    Picked { name: name.to_owned(), is_directory: false, files: vec![file] }
}
