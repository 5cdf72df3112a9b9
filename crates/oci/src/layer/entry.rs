//! What a layer will contain, described before it is written.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::path::PathBuf;

use cartwheel_store::{Blob, Digest};

use super::FIXED_TIME;

/// One file, directory or link of a layer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The twelve permission bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Extended attributes by name (`user.note`, `security.capability`).
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A regular file.
    File(Content),
    /// A directory.
    Directory,
    /// A symbolic link to `target`, which is written as it is.
    Symlink {
        /// Where it points.
        target: String,
    },
    /// Another name of the file `target`, which is in the same tree and before this one.
    Hardlink {
        /// The file's path in the tree.
        target: String,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
}

impl Kind {
    /// The bytes of a regular file; `None` for everything else.
    pub fn content(&self) -> Option<&Content> {
        match self {
            Self::File(content) => Some(content),
            _ => None,
        }
    }
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes in memory: generated files.
    Bytes(Vec<u8>),
    /// A file on disk that must have `size` bytes when it is read.
    File {
        /// Where it lies.
        path: PathBuf,
        /// Its size when it was listed.
        size: u64,
    },
    /// A piece of a larger file: a file in a tar that lies uncompressed on disk.
    Range {
        /// The larger file.
        blob: Blob,
        /// Where the piece begins.
        offset: u64,
        /// How many bytes it has.
        size: u64,
    },
    /// An entry of a wheel, compressed as the wheel has it.
    Member(Member),
}

/// An entry of a wheel.
#[derive(Debug, Clone)]
pub struct Member {
    /// The wheel.
    pub wheel: Blob,
    /// Where the entry's raw data begins.
    pub offset: u64,
    /// How many bytes of raw data there are.
    pub compressed_size: u64,
    /// How many bytes they are uncompressed.
    pub size: u64,
    /// The CRC-32 of the uncompressed bytes that the wheel's directory promises.
    pub crc32: u32,
    /// How the raw data is encoded.
    pub method: Method,
    /// The digest that the wheel's RECORD promises.
    pub expected: Option<ContentDigest>,
}

/// How an entry of a wheel is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As it is.
    Stored,
    /// Raw DEFLATE.
    Deflated,
}

/// A digest of a file's content in one of the algorithms that RECORD may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentDigest {
    /// SHA-256.
    Sha256(Digest),
    /// SHA-384.
    Sha384(Box<[u8; 48]>),
    /// SHA-512.
    Sha512(Box<[u8; 64]>),
}

impl Content {
    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } | Self::Range { size, .. } => *size,
            Self::Member(member) => member.size,
        }
    }
}

impl Entry {
    /// A regular file of root's, 0755 if it is executable and 0644 if not.
    pub fn file(content: Content, executable: bool) -> Self {
        Self { kind: Kind::File(content), mode: if executable { 0o755 } else { 0o644 }, ..Self::directory() }
    }

    /// A directory of root's, 0755.
    pub fn directory() -> Self {
        let xattrs = BTreeMap::new();
        Self { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, mtime: FIXED_TIME, xattrs }
    }

    /// A symbolic link of root's.
    pub fn symlink(target: impl Into<String>) -> Self {
        Self { kind: Kind::Symlink { target: target.into() }, mode: 0o777, ..Self::directory() }
    }

    /// Another name of the file `target`. Runtimes give the file the mode and owner of the link too, so a link has
    /// those of its target.
    pub fn hardlink(target: impl Into<String>) -> Self {
        Self { kind: Kind::Hardlink { target: target.into() }, mode: 0o644, ..Self::directory() }
    }

    /// The same entry with other permission bits.
    #[must_use]
    pub fn with_mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// The same entry with another modification time.
    #[must_use]
    pub fn with_mtime(self, mtime: u64) -> Self {
        Self { mtime, ..self }
    }

    /// The same entry with another owner.
    #[must_use]
    pub fn with_owner(self, uid: u32, gid: u32) -> Self {
        Self { uid, gid, ..self }
    }
}

/// The content of a layer: entries by path, sorted, each path once, no entry below a file, each hard link behind its file.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

/// A path that a tree refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The path is empty, absolute, or has an empty, `.` or `..` part.
    #[error("`{path}` is not a plain relative path")]
    Path {
        /// The path.
        path: String,
    },
    /// The path is taken.
    #[error("`{path}` is there twice")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// Runtimes would take the file for a whiteout (image spec, «Whiteouts») and remove another one.
    #[error("`{path}` cannot be in an image: names that begin with `.wh.` remove files")]
    Whiteout {
        /// The path.
        path: String,
    },
    /// Something is below a path that is not a directory.
    #[error("`{path}` is below `{parent}`, which is not a directory")]
    ParentNotDirectory {
        /// The path.
        path: String,
        /// Its ancestor that is a file or link.
        parent: String,
    },
    /// A hard link to what is not a file before it: who unpacks the layer could not make it.
    #[error("`{path}` is a hard link to `{target}`, which is no file before it")]
    Hardlink {
        /// The path.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// The name of an extended attribute that tar cannot say.
    #[error("`{path}` has an extended attribute `{name}`, which a layer cannot say")]
    Attribute {
        /// The path.
        path: String,
        /// The attribute.
        name: String,
    },
}

impl Tree {
    /// A tree without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `entry` at `path`, which is relative to the root and has no `.` or `..` in it. A hard link is added after the
    /// file that it leads to.
    pub fn insert(&mut self, path: impl Into<String>, entry: Entry) -> Result<(), TreeError> {
        let path = path.into();
        if path.split('/').any(|part| part.starts_with(".wh.")) {
            return Err(TreeError::Whiteout { path });
        }
        self.insert_any(path, entry)
    }

    /// Adds the mark that removes `path` from what lies below.
    pub fn remove_below(&mut self, path: &str) -> Result<(), TreeError> {
        let (parent, name) = path.rsplit_once('/').map_or(("", path), |(parent, name)| (parent, name));
        let separator = if parent.is_empty() { "" } else { "/" };
        let whiteout = Entry::file(Content::Bytes(Vec::new()), false);
        self.insert_any(format!("{parent}{separator}.wh.{name}"), whiteout)
    }

    /// Adds the mark that hides what lies below in `directory`.
    pub fn hide_below(&mut self, directory: &str) -> Result<(), TreeError> {
        self.remove_below(&format!("{directory}/.wh..opq"))
    }

    fn insert_any(&mut self, path: String, entry: Entry) -> Result<(), TreeError> {
        if path.is_empty()
            || path.contains('\0')
            || path.split('/').any(|part| matches!(part, "" | "." | ".."))
        {
            return Err(TreeError::Path { path });
        }
        self.check_entry(&path, &entry)?;
        let leaf = ancestors(&path).find(|parent| self.is_leaf(parent)).map(str::to_owned);
        if let Some(parent) = leaf {
            return Err(TreeError::ParentNotDirectory { path, parent });
        }
        if !matches!(entry.kind, Kind::Directory) {
            let below = format!("{path}/");
            if let Some((child, _)) =
                self.entries.range(below.clone()..).next().filter(|(key, _)| key.starts_with(&below))
            {
                return Err(TreeError::ParentNotDirectory { path: child.clone(), parent: path });
            }
        }
        match self.entries.entry(path) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(entry);
                Ok(())
            }
            btree_map::Entry::Occupied(taken) => Err(TreeError::Duplicate { path: taken.key().clone() }),
        }
    }

    fn check_entry(&self, path: &str, entry: &Entry) -> Result<(), TreeError> {
        if let Some(name) = entry.xattrs.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            return Err(TreeError::Attribute { path: path.to_owned(), name: name.clone() });
        }
        match &entry.kind {
            Kind::Hardlink { target } if target.as_str() >= path || !self.is_file(target) => {
                Err(TreeError::Hardlink { path: path.to_owned(), target: target.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The same tree with another modification time of everything in it.
    #[must_use]
    pub fn with_mtime(mut self, mtime: u64) -> Self {
        self.entries.values_mut().for_each(|entry| entry.mtime = mtime);
        self
    }

    /// The entry at `path`.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// All entries in the order of the layer.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a hard link can lead there: everything but directories and other links of its kind.
    fn is_file(&self, path: &str) -> bool {
        let kind = self.entries.get(path).map(|entry| &entry.kind);
        kind.is_some_and(|kind| !matches!(kind, Kind::Directory | Kind::Hardlink { .. }))
    }

    fn is_leaf(&self, path: &str) -> bool {
        self.entries.get(path).is_some_and(|entry| !matches!(entry.kind, Kind::Directory))
    }
}

/// The directories above `path`, the outermost first: `a`, `a/b` for `a/b/c`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Entry {
        Entry::file(Content::Bytes(Vec::new()), false)
    }

    #[test]
    fn paths_that_leave_are_refused() {
        for path in ["", "/a", "a//b", "a/../b", "./a", "a/", "a\0b"] {
            assert!(matches!(Tree::new().insert(path, file()), Err(TreeError::Path { .. })), "{path:?}");
        }
    }

    #[test]
    fn a_file_has_nothing_below_it_in_either_order() {
        let mut tree = Tree::new();
        tree.insert("a", file()).unwrap();
        assert!(matches!(tree.insert("a/b", file()), Err(TreeError::ParentNotDirectory { .. })));
        let mut tree = Tree::new();
        tree.insert("a/b", file()).unwrap();
        tree.insert("a-b", file()).unwrap();
        assert!(matches!(tree.insert("a", file()), Err(TreeError::ParentNotDirectory { .. })));
        assert!(matches!(tree.insert("a/b", file()), Err(TreeError::Duplicate { .. })));
    }

    #[test]
    fn a_hard_link_comes_after_its_file() {
        let mut tree = Tree::new();
        tree.insert("b", file()).unwrap();
        tree.insert("c", Entry::hardlink("b")).unwrap();
        tree.insert("d", Entry::directory()).unwrap();
        for (path, target) in [("a", "b"), ("b2", "b2"), ("e", "c"), ("e", "d"), ("e", "x")] {
            let refused = tree.insert(path, Entry::hardlink(target));
            assert!(matches!(refused, Err(TreeError::Hardlink { .. })), "{path} to {target}");
        }
    }

    #[test]
    fn attributes_that_tar_cannot_say_are_refused() {
        for name in ["", "user.a=b", "user.\0"] {
            let xattrs = BTreeMap::from([(name.to_owned(), Vec::new())]);
            let refused = Tree::new().insert("a", Entry { xattrs, ..file() });
            assert!(matches!(refused, Err(TreeError::Attribute { .. })), "{name:?}");
        }
    }

    #[test]
    fn files_that_would_remove_others_are_refused() {
        let mut tree = Tree::new();
        for path in [".wh.a", "a/.wh.b", "a/.wh..wh..opq", ".wh.d/x"] {
            assert!(matches!(tree.insert(path, file()), Err(TreeError::Whiteout { .. })), "{path}");
        }
        tree.remove_below("a/b").unwrap();
        tree.remove_below("c").unwrap();
        tree.hide_below("d").unwrap();
        let marks = [".wh.c", "a/.wh.b", "d/.wh..wh..opq"];
        assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), marks);
    }
}
