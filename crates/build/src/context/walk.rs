//! Listing a directory, in parallel, behind an ignore file.
//!
//! What is found is what BuildKit's sender finds (fsutil), seen with Docker 28.5: all mode bits; root's, whoever owns the
//! file; no extended attributes (those that are sent are gone from the layer); several names of one file stay one; pipes and
//! devices as they are; a socket is an empty file. `.git` is a directory like any other.

use std::collections::BTreeMap;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use cartwheel_dockerfile::{IgnoreFile, MatchState};
use cartwheel_oci::{FileFacts, Node, NodeKind, Permissions};
use rayon::prelude::*;

use super::digests::Stamp;
use super::tree::Found;
use crate::error::{Error, ErrorKind, Result};
use crate::files::join;

/// A directory to be listed.
pub(super) struct Walk<'a> {
    pub(super) root: &'a Path,
    pub(super) ignore: &'a IgnoreFile,
}

/// A directory in a listing.
struct Folder {
    path: String,
    metadata: Metadata,
    is_unicode: bool,
}

impl Walk<'_> {
    /// Everything in the directory, in no particular order.
    pub(super) fn run(&self) -> Result<Vec<Found>> {
        self.folder("", &self.ignore.root())
    }

    fn folder(&self, folder: &str, state: &MatchState) -> Result<Vec<Found>> {
        let path = self.root.join(folder);
        let (mut found, mut folders) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&path).map_err(Error::io("list", &path))? {
            let entry = entry.map_err(Error::io("list", &path))?;
            let metadata = match entry.metadata() {
                // It was removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.map_err(|error| Error::io("read", &entry.path())(error))?,
            };
            let name = entry.file_name();
            let is_unicode = name.to_str().is_some();
            let child = join(folder, &String::from_utf8_lossy(name.as_bytes()));
            if metadata.is_dir() {
                folders.push(Folder { path: child, metadata, is_unicode });
            } else if !self.ignore.excludes(&child, state) {
                require(is_unicode, &entry.path())?;
                found.push(describe(child, &entry.path(), &metadata)?);
            }
        }
        let below: Result<Vec<Vec<Found>>> =
            folders.into_par_iter().map(|folder| self.subfolder(folder, state)).collect();
        found.extend(below?.into_iter().flatten());
        Ok(found)
    }

    fn subfolder(&self, folder: Folder, parent: &MatchState) -> Result<Vec<Found>> {
        let state = self.ignore.enter(&folder.path, parent);
        let mut found = Vec::new();
        if !state.is_excluded() || self.ignore.may_descend(&folder.path, &state) {
            require(folder.is_unicode, &self.root.join(&folder.path))?;
            found = self.folder(&folder.path, &state)?;
        }
        // An excluded directory is there only for what was taken back below it.
        if !state.is_excluded() || !found.is_empty() {
            let path = self.root.join(&folder.path);
            found.push(describe(folder.path, &path, &folder.metadata)?);
        }
        Ok(found)
    }
}

fn require(is_unicode: bool, path: &Path) -> Result<()> {
    if is_unicode { Ok(()) } else { Err(ErrorKind::NotUnicode { path: path.to_owned() }.into()) }
}

fn describe(child: String, path: &Path, metadata: &Metadata) -> Result<Found> {
    let kind = kind(path, metadata)?;
    let mtime = u64::try_from(metadata.mtime()).unwrap_or_default();
    let permissions = Permissions { mode: metadata.mode() & 0o7777, uid: 0, gid: 0, mtime };
    let is_shared = metadata.nlink() > 1 && !metadata.is_dir();
    Ok(Found {
        path: child,
        node: Node { kind, permissions, xattrs: BTreeMap::new() },
        group: is_shared.then(|| (metadata.dev(), metadata.ino())),
        stamp: metadata.is_file().then(|| Stamp::of(metadata)),
    })
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
