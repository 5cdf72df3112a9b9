//! Listing a directory, in parallel, behind an ignore file.
//!
//! What is found is what BuildKit's sender finds (fsutil), seen with Docker 28.5: all mode bits; root's, whoever owns the
//! file; no extended attributes (those that are sent are gone from the layer); several names of one file stay one; pipes and
//! devices as they are; a socket is an empty file. `.git` is a directory like any other.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use cartwheel_dockerfile::{IgnoreFile, MatchState};
use cartwheel_oci::{FileFacts, Node, NodeKind, Permissions};
use rayon::prelude::*;

use super::digests::Stamp;
use super::tree::Found;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{join, parent};

/// A directory to be listed.
pub(super) struct Walk<'a> {
    pub(super) root: &'a Path,
    pub(super) ignore: &'a IgnoreFile,
}

/// A directory whose content is to be listed.
struct Folder {
    path: String,
    state: MatchState,
}

/// Something in a directory.
struct Listed {
    /// Relative to the root.
    path: String,
    place: PathBuf,
    metadata: Metadata,
    is_unicode: bool,
}

/// What is in one directory, or in several.
#[derive(Default)]
struct Listing {
    found: Vec<Found>,
    /// Excluded directories below which something may be taken back.
    excluded: Vec<Found>,
    folders: Vec<Folder>,
}

impl Walk<'_> {
    /// Everything in the directory, in no particular order.
    pub(super) fn run(&self) -> Result<Vec<Found>> {
        let mut all = Listing::default();
        all.folders.push(Folder { path: String::new(), state: self.ignore.root() });
        // Level by level: a path is long enough for more directories than a stack has room for calls.
        while !all.folders.is_empty() {
            let level = std::mem::take(&mut all.folders);
            let listings: Result<Vec<Listing>> =
                level.into_par_iter().map(|folder| self.list(&folder)).collect();
            listings?.into_iter().for_each(|listing| all.extend(listing));
        }
        Ok(all.into_found())
    }

    fn list(&self, folder: &Folder) -> Result<Listing> {
        let path = self.root.join(&folder.path);
        let mut listing = Listing::default();
        for entry in fs::read_dir(&path).map_err(Error::io("list", &path))? {
            let entry = entry.map_err(Error::io("list", &path))?;
            let place = entry.path();
            let metadata = match entry.metadata() {
                // It was removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.map_err(Error::io("read", &place))?,
            };
            let name = entry.file_name();
            let is_unicode = name.to_str().is_some();
            let path = join(&folder.path, &String::from_utf8_lossy(name.as_bytes()));
            self.add(Listed { path, place, metadata, is_unicode }, &folder.state, &mut listing)?;
        }
        Ok(listing)
    }

    fn add(&self, listed: Listed, parent: &MatchState, listing: &mut Listing) -> Result<()> {
        if !listed.metadata.is_dir() {
            if !self.ignore.excludes(&listed.path, parent) {
                listing.found.push(listed.describe()?);
            }
            return Ok(());
        }
        let state = self.ignore.enter(&listed.path, parent);
        let is_excluded = state.is_excluded();
        if !is_excluded || self.ignore.may_descend(&listed.path, &state) {
            let found = listed.describe()?;
            listing.folders.push(Folder { path: found.path.clone(), state });
            if is_excluded { &mut listing.excluded } else { &mut listing.found }.push(found);
        }
        Ok(())
    }
}

impl Listing {
    fn extend(&mut self, other: Self) {
        self.found.extend(other.found);
        self.excluded.extend(other.excluded);
        self.folders.extend(other.folders);
    }

    /// What was found. An excluded directory is there only for what was taken back below it.
    fn into_found(mut self) -> Vec<Found> {
        if self.excluded.is_empty() {
            return self.found;
        }
        let mut above = HashSet::new();
        for found in &self.found {
            let mut folder = parent(&found.path);
            while above.insert(folder) && !folder.is_empty() {
                folder = parent(folder);
            }
        }
        let needed: Vec<Found> =
            self.excluded.into_iter().filter(|folder| above.contains(folder.path.as_str())).collect();
        self.found.extend(needed);
        self.found
    }
}

impl Listed {
    fn describe(self) -> Result<Found> {
        let Self { path, place, metadata, is_unicode } = self;
        if !is_unicode {
            return Err(ErrorKind::NotUnicode { path: place }.into());
        }
        let kind = kind(&place, &metadata)?;
        let mtime = u64::try_from(metadata.mtime()).unwrap_or_default();
        let permissions = Permissions { mode: metadata.mode() & 0o7777, uid: 0, gid: 0, mtime };
        let is_shared = metadata.nlink() > 1 && !metadata.is_dir();
        Ok(Found {
            path,
            node: Node { kind, permissions, xattrs: BTreeMap::new() },
            group: is_shared.then(|| (metadata.dev(), metadata.ino())),
            stamp: metadata.is_file().then(|| Stamp::of(&metadata)),
        })
    }
}

fn kind(path: &Path, metadata: &Metadata) -> Result<NodeKind> {
    let kind: FileType = metadata.file_type();
    let size = metadata.len();
    Ok(match kind {
        _ if kind.is_file() => NodeKind::File(FileFacts { size, ..FileFacts::default() }),
        _ if kind.is_dir() => NodeKind::Directory,
        _ if kind.is_symlink() => {
            let target = fs::read_link(path).map_err(Error::io("read", path))?.into_os_string();
            NodeKind::Symlink(
                target.into_string().map_err(|_| ErrorKind::NotUnicode { path: path.to_owned() })?,
            )
        }
        _ if kind.is_fifo() => NodeKind::Fifo,
        _ if kind.is_char_device() => {
            let (major, minor) = device(metadata.rdev());
            NodeKind::CharDevice(major, minor)
        }
        _ if kind.is_block_device() => {
            let (major, minor) = device(metadata.rdev());
            NodeKind::BlockDevice(major, minor)
        }
        _ => NodeKind::File(FileFacts::default()),
    })
}

/// Linux's device number, taken apart (makedev(3)).
fn device(number: u64) -> (u32, u32) {
    let major = (number >> 8) & 0xfff | (number >> 32) & !0xfff;
    let minor = number & 0xff | (number >> 12) & 0xffff_ff00;
    (major as u32, minor as u32)
}
