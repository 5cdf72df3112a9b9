//! Layers applied to a directory, one over the other.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use cartwheel_oci::layer::{self, FIXED_TIME, ReadEntry, ReadKind, Written};
use rustix::fs::{Dev, FileType, Mode, Stat, XattrFlags, fsetxattr, makedev, mkdirat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{EntryProblem, Error, ErrorKind, Result};
use crate::folder::{Child, Folder};
use crate::marks::{Mark, Marks, is_overlays_own};
use crate::place::{self, Permissions, Place};

/// A directory to which layers are applied, the lowest first, as containerd does it.
///
/// An entry replaces what is at its path, but for a directory, which stays with what is in it. A whiteout removes what
/// the layers before have put there, and an opaque directory empties; neither touches what its own layer has, in whatever
/// order the entries come. A link on the way to an entry is followed inside the directory. A parent that no layer mentions
/// is 0755 and belongs to root.
#[derive(Debug)]
pub struct Unpack {
    path: PathBuf,
    root: Folder,
    whiteouts: Whiteouts,
    /// What the layer that is being applied has put, as far as its whiteouts must know.
    own: HashSet<PathBuf>,
    /// Modes and times come last: a directory must take entries until then, and each of them changes its time.
    directories: BTreeMap<PathBuf, Permissions>,
    /// The directory of the last entry, by how the layer called it: most entries are neighbours.
    last: Option<(String, Folder)>,
    shortfall: Shortfall,
    size: u64,
    buffer: Vec<u8>,
}

/// What becomes of whiteouts.
#[derive(Debug, Clone, Copy)]
enum Whiteouts {
    /// They remove what is there.
    Remove,
    /// They are kept for an overlay to see: the directory is one layer, and nothing was there before.
    Keep(Marks),
}

/// What could not be set, because who unpacks is not root, or because the file system cannot hold it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// So many entries belong to who unpacked them, and not to their owner.
    pub owners: u64,
    /// So many devices are not there.
    pub devices: u64,
    /// So many extended attributes are not there.
    pub attributes: u64,
}

impl Shortfall {
    /// Whether everything is as the layers say.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Why an entry was not unpacked.
#[derive(Debug)]
pub(crate) enum Problem {
    Entry(EntryProblem),
    /// Its content could not be read.
    Read(io::Error),
    /// It could not be written.
    Write(io::Error),
}

impl From<EntryProblem> for Problem {
    fn from(problem: EntryProblem) -> Self {
        Self::Entry(problem)
    }
}

impl From<Errno> for Problem {
    fn from(error: Errno) -> Self {
        Self::Write(error.into())
    }
}

impl Unpack {
    /// Begins with the directory at `path`, which is there.
    pub fn into(path: &Path) -> Result<Self> {
        Self::new(path, Whiteouts::Remove)
    }

    /// Begins with an empty directory that will hold one layer, for an overlay.
    pub(crate) fn for_overlay(path: &Path, marks: Marks) -> Result<Self> {
        Self::new(path, Whiteouts::Keep(marks))
    }

    fn new(path: &Path, whiteouts: Whiteouts) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            root: Folder::root(path).map_err(Error::io("open", path))?,
            whiteouts,
            own: HashSet::new(),
            directories: BTreeMap::new(),
            last: None,
            shortfall: Shortfall::default(),
            size: 0,
            buffer: vec![0; 256 << 10],
        })
    }

    /// Applies a layer: gzip, zstd or a plain tar. Its diff ID is known when all of it was read.
    pub fn layer(&mut self, layer: impl Read) -> Result<Written> {
        self.own.clear();
        let mut failed = None;
        let read = layer::read(layer, |entry, content| {
            self.entry(entry, content).map_err(|problem| {
                failed = Some(self.error(entry, problem));
                io::Error::other("an entry could not be unpacked")
            })
        });
        match failed {
            Some(error) => Err(error),
            None => read.map_err(|source| ErrorKind::Read { source }.into()),
        }
    }

    /// Gives the directories their modes and times, and tells what is not as the layers say.
    pub fn finish(self) -> Result<Shortfall> {
        // What is deeper comes first: a directory may be closed to its owner from then on.
        for (path, permissions) in self.directories.iter().rev() {
            let closed = self.root.exactly(path).and_then(|found| match found {
                Some(folder) => permissions.set(&folder.reopen()?),
                None => Ok(()),
            });
            closed.map_err(Error::io("unpack", &self.path.join(path)))?;
        }
        Ok(self.shortfall)
    }

    /// How many bytes of files were written, in blocks as disks count.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    fn error(&self, entry: &ReadEntry, problem: Problem) -> Error {
        match problem {
            Problem::Entry(problem) => ErrorKind::Entry { entry: entry.path.clone(), problem }.into(),
            Problem::Read(source) => ErrorKind::Read { source }.into(),
            Problem::Write(source) => Error::io("unpack", &self.path.join(&entry.path))(source),
        }
    }

    fn entry(&mut self, entry: &ReadEntry, content: &mut dyn Read) -> Result<(), Problem> {
        check(entry)?;
        let (parent, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        let mark = Mark::of(name);
        // The root is whose directory it is, and what AUFS kept for itself is no file.
        if name.is_empty() || entry.path.starts_with(".wh..wh.") && mark != Some(Mark::Opaque) {
            return Ok(());
        }
        let parent = self.folder(parent)?;
        match mark {
            Some(Mark::Opaque) => self.hide_all(&parent),
            Some(Mark::Whiteout("" | "." | "..")) => Err(EntryProblem::Whiteout.into()),
            Some(Mark::Whiteout(hidden)) => self.hide(Place { parent: &parent, name: OsStr::new(hidden) }),
            None => self.put(Place { parent: &parent, name: OsStr::new(name) }, entry, content),
        }
    }

    /// The directory that the layer calls `path`, made if it is not there.
    fn folder(&mut self, path: &str) -> Result<Folder, Problem> {
        if let Some((known, folder)) = &self.last
            && known == path
        {
            return Ok(folder.clone());
        }
        let root = self.root.clone();
        let folder = root.resolve(path, |place| self.make_parent(place))?;
        self.last = Some((path.to_owned(), folder.clone()));
        Ok(folder)
    }

    /// A directory that no entry mentions.
    fn make_parent(&mut self, place: Place<'_>) -> Result<Folder, Problem> {
        if matches!(place.child()?, Child::Other) && !self.is_hidden(place)? {
            return Err(EntryProblem::NotDirectory.into());
        }
        let made = self.make_directory(place)?;
        self.count_owner(place.set_owner(0, 0))?;
        self.directories.insert(made.path().to_owned(), Permissions { mode: 0o755, mtime: FIXED_TIME });
        Ok(made)
    }

    /// Makes a directory where nothing is but, maybe, a whiteout: then it hides what is in it below.
    fn make_directory(&mut self, place: Place<'_>) -> Result<Folder, Problem> {
        let was_hidden = self.is_hidden(place)?;
        if was_hidden {
            self.clear(place)?;
        }
        mkdirat(place.parent, place.name, Mode::RWXU)?;
        let made = place.parent.open(place.name)?;
        if was_hidden {
            self.hide_all(&made)?;
        }
        Ok(made)
    }

    /// Whether a whiteout of this layer is there, kept for an overlay.
    fn is_hidden(&self, place: Place<'_>) -> Result<bool, Problem> {
        match self.whiteouts {
            Whiteouts::Remove => Ok(false),
            Whiteouts::Keep(_) => Ok(place.is_whiteout()?),
        }
    }

    /// Hides what is there below.
    fn hide(&mut self, place: Place<'_>) -> Result<(), Problem> {
        if let Whiteouts::Remove = self.whiteouts {
            // It may be the way to the last entry's directory.
            self.last = None;
            place.parent.remove(place.name, &|path| self.own.contains(path))?;
            return Ok(());
        }
        match place.child()? {
            Child::Missing => Ok(place.make_whiteout()?),
            Child::Folder(folder) => self.hide_all(&folder),
            // What the layer has there hides the other by itself.
            Child::Link(_) | Child::Other => Ok(()),
        }
    }

    /// Hides everything that is in `folder` below.
    fn hide_all(&mut self, folder: &Folder) -> Result<(), Problem> {
        if let Whiteouts::Keep(marks) = self.whiteouts {
            return Ok(fsetxattr(folder.reopen()?, marks.opaque(), b"y", XattrFlags::empty())?);
        }
        for name in folder.names()? {
            self.hide(Place { parent: folder, name: &name })?;
        }
        Ok(())
    }

    /// Removes what is there.
    fn clear(&mut self, place: Place<'_>) -> Result<(), Problem> {
        self.last = None;
        place.parent.remove(place.name, &|_| false)?;
        Ok(())
    }

    /// Puts an entry, in the place of what is there.
    fn put(&mut self, place: Place<'_>, entry: &ReadEntry, content: &mut dyn Read) -> Result<(), Problem> {
        match &entry.kind {
            ReadKind::File => self.put_file(place, entry, content)?,
            ReadKind::Directory => self.put_directory(place, entry)?,
            ReadKind::Hardlink(target) => self.put_hardlink(place, entry, target)?,
            ReadKind::Symlink(target) => {
                self.anew(place, || place.make_symlink(target))?;
                self.describe(place, entry)?;
            }
            ReadKind::Fifo => self.put_special(place, entry, FileType::Fifo, 0)?,
            ReadKind::CharDevice(major, minor) => {
                self.put_special(place, entry, FileType::CharacterDevice, makedev(*major, *minor))?;
            }
            ReadKind::BlockDevice(major, minor) => {
                self.put_special(place, entry, FileType::BlockDevice, makedev(*major, *minor))?;
            }
        }
        if let Whiteouts::Remove = self.whiteouts {
            self.own.insert(place.parent.path().join(place.name));
        }
        Ok(())
    }

    /// Makes something; what is there makes way.
    fn anew<T>(&mut self, place: Place<'_>, make: impl Fn() -> rustix::io::Result<T>) -> Result<T, Problem> {
        match make() {
            Err(Errno::EXIST) => {
                self.clear(place)?;
                Ok(make()?)
            }
            made => Ok(made?),
        }
    }

    fn put_file(
        &mut self,
        place: Place<'_>,
        entry: &ReadEntry,
        content: &mut dyn Read,
    ) -> Result<(), Problem> {
        let file = self.anew(place, || place.make_file())?;
        self.size += place::copy(content, &file, &mut self.buffer)?;
        // The owner first: that takes away capabilities and the setuid bit.
        self.count_owner(place::set_owner(&file, entry.uid, entry.gid))?;
        self.set_attributes(&file, entry)?;
        Ok(Permissions::of(entry).set(&file)?)
    }

    fn put_directory(&mut self, place: Place<'_>, entry: &ReadEntry) -> Result<(), Problem> {
        let there = place.child()?;
        if matches!(there, Child::Link(_) | Child::Other) && !self.is_hidden(place)? {
            self.clear(place)?;
        }
        let folder = match there {
            Child::Folder(folder) => folder,
            _ => self.make_directory(place)?,
        };
        let handle = folder.reopen()?;
        self.count_owner(place::set_owner(&handle, entry.uid, entry.gid))?;
        self.set_attributes(&handle, entry)?;
        self.directories.insert(folder.path().to_owned(), Permissions::of(entry));
        Ok(())
    }

    fn put_special(
        &mut self,
        place: Place<'_>,
        entry: &ReadEntry,
        kind: FileType,
        device: Dev,
    ) -> Result<(), Problem> {
        match self.anew(place, || place.make_special(kind, device)) {
            // Only root makes devices.
            Err(Problem::Write(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.shortfall.devices += 1;
                Ok(())
            }
            made => made.and_then(|()| self.describe(place, entry)),
        }
    }

    /// Puts another name of a file that is there.
    fn put_hardlink(&mut self, place: Place<'_>, entry: &ReadEntry, target: &str) -> Result<(), Problem> {
        let (parent, name) = target.rsplit_once('/').unwrap_or(("", target));
        let parent = self.root.resolve(parent, |_| Err(EntryProblem::Hardlink.into()))?;
        let target = Place { parent: &parent, name: OsStr::new(name) };
        let is_file = |found: Stat| FileType::from_raw_mode(found.st_mode) != FileType::Directory;
        if !target.stat()?.is_some_and(is_file) {
            return Err(EntryProblem::Hardlink.into());
        }
        self.anew(place, || place.make_hardlink(target))?;
        self.describe(place, entry)
    }

    /// Gives what has no handle its owner, attributes, mode and time.
    fn describe(&mut self, place: Place<'_>, entry: &ReadEntry) -> Result<(), Problem> {
        let Some(found) = place.stat()? else { return Ok(()) };
        let kind = FileType::from_raw_mode(found.st_mode);
        // A hard link's file has its owner already, and would lose its capabilities.
        if (found.st_uid, found.st_gid) != (entry.uid, entry.gid) {
            self.count_owner(place.set_owner(entry.uid, entry.gid))?;
        }
        match kind {
            _ if entry.xattrs.is_empty() => {}
            FileType::RegularFile => self.set_attributes(place.open_file()?, entry)?,
            _ => self.shortfall.attributes += entry.xattrs.len() as u64,
        }
        Ok(place.set_permissions(Permissions::of(entry), kind)?)
    }

    fn set_attributes(&mut self, file: impl AsFd, entry: &ReadEntry) -> Result<(), Problem> {
        for (name, value) in entry.xattrs.iter().filter(|(name, _)| !is_overlays_own(name)) {
            match fsetxattr(&file, name.as_str(), value, XattrFlags::empty()) {
                Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) => self.shortfall.attributes += 1,
                set => set?,
            }
        }
        Ok(())
    }

    fn count_owner(&mut self, owned: rustix::io::Result<()>) -> Result<(), Problem> {
        match owned {
            // Not root, or root of a user namespace that does not know the number.
            Err(Errno::PERM | Errno::INVAL) => self.shortfall.owners += 1,
            owned => owned?,
        }
        Ok(())
    }
}

/// Refuses what no name on disk can be.
fn check(entry: &ReadEntry) -> Result<(), EntryProblem> {
    let target = match &entry.kind {
        ReadKind::Symlink(target) | ReadKind::Hardlink(target) => target,
        _ => "",
    };
    // The reader puts this character where bytes are no text.
    if entry.path.contains('\u{fffd}') || target.contains('\u{fffd}') {
        return Err(EntryProblem::NotUtf8);
    }
    if entry.path.split('/').any(|part| part == "..") || entry.path.ends_with("/.") {
        return Err(EntryProblem::Dots);
    }
    match entry.kind {
        ReadKind::File if entry.offset.is_none() => Err(EntryProblem::Sparse),
        ReadKind::File => Ok(()),
        _ if entry.size > 0 => Err(EntryProblem::Content),
        _ => Ok(()),
    }
}
