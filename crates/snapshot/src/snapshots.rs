//! Extracted layers, kept for every build that needs them.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cartwheel_oci::{DiffId, Layer};
use cartwheel_store::{Blob, Digest};
use rayon::prelude::*;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens, syncfs};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::folder::Folder;
use crate::marks::Marks;
use crate::unpack::{Shortfall, Unpack};

/// A directory of extracted layers. Safe to use from many threads and processes; the crate's essay draws it.
#[derive(Debug)]
pub struct Snapshots {
    root: PathBuf,
    marks: Marks,
}

/// An extracted layer, which stays while this value lives.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    shortfall: Shortfall,
    /// Shared by all who use it; who removes it needs it alone.
    _lock: File,
}

/// What is known of an extracted layer that nobody need be using.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The layer.
    pub diff_id: DiffId,
    /// How many bytes its files take on disk.
    pub size: u64,
    /// When it was last asked for.
    pub used: SystemTime,
}

/// What is written about a snapshot into its lock.
#[derive(Serialize, Deserialize)]
struct Facts {
    size: u64,
    shortfall: Shortfall,
}

impl Snapshot {
    /// The directory, for an overlay to lie on. Nobody writes into it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is not as the layer says.
    pub fn shortfall(&self) -> Shortfall {
        self.shortfall
    }
}

impl Snapshots {
    /// Opens the snapshots below `root`, making the directory if it is not there, and sweeps what killed processes left.
    /// `root` is for one way to see owners: another mapping of users needs another.
    pub fn open(root: &Path, marks: Marks) -> Result<Self> {
        let snapshots = Self { root: root.join(marks.name()), marks };
        // Programs that are setuid lie in it: nobody else may come near.
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        for folder in ["layers", "locks", "tmp"] {
            let path = snapshots.root.join(folder);
            private.create(&path).map_err(Error::io("create", &path))?;
        }
        snapshots.sweep()?;
        Ok(snapshots)
    }

    /// The snapshots of a stack of layers, the lowest first, each extracted if it is not there: several at a time, the
    /// largest first. `blob` gives a layer's bytes, as a tar or compressed, and is asked only when they are needed.
    ///
    /// A layer that is there twice comes once, at its upper place: what it does below, it does again above, and no overlay
    /// can be mounted on the same directory twice.
    pub fn stack<E: From<Error> + Send>(
        &self,
        layers: &[Layer],
        blob: impl Fn(&Layer) -> Result<Blob, E> + Sync,
    ) -> Result<Vec<Snapshot>, E> {
        let mut todo: Vec<(usize, &Layer)> = topmost(layers);
        todo.sort_by_key(|(_, layer)| std::cmp::Reverse(layer.descriptor.size));
        // A bridge hands them out in this order; a slice would be cut into halves.
        let extracted = todo.into_iter().par_bridge();
        let extracted = extracted.map(|(place, layer)| Ok((place, self.layer(layer, &blob)?)));
        let mut extracted: Vec<(usize, Snapshot)> = extracted.collect::<Result<_, E>>()?;
        extracted.sort_by_key(|(place, _)| *place);
        Ok(extracted.into_iter().map(|(_, snapshot)| snapshot).collect())
    }

    /// All extracted layers, in no particular order.
    pub fn list(&self) -> Result<Vec<Kept>> {
        let names = names(&self.root.join("layers"))?;
        Ok(names.iter().filter_map(|name| self.kept(name)).collect())
    }

    /// Removes an extracted layer; says whether it was there and nobody was using it.
    pub fn remove(&self, diff_id: DiffId) -> Result<bool> {
        let name = diff_id.digest().hex();
        let Some(_lock) = self.try_lock(&name)? else { return Ok(false) };
        self.discard(&name)
    }

    fn layer<E: From<Error>>(
        &self,
        layer: &Layer,
        blob: &impl Fn(&Layer) -> Result<Blob, E>,
    ) -> Result<Snapshot, E> {
        let name = layer.diff_id.digest().hex();
        let path = self.locked(&name);
        let failed = |error| Error::io("lock", &path)(error);
        let lock = self.lock_file(&name)?;
        loop {
            lock.lock_shared().map_err(failed)?;
            if let Some(facts) = self.facts(&name) {
                touch(&lock).map_err(failed)?;
                return Ok(Snapshot { path: self.extracted(&name), shortfall: facts.shortfall, _lock: lock });
            }
            // A lock cannot be exchanged for another in one step: whoever was first has made it, when it comes to us.
            lock.unlock().and_then(|()| lock.lock()).map_err(failed)?;
            if self.facts(&name).is_none() {
                self.extract(&name, layer.diff_id, &blob(layer)?)?;
            }
            lock.unlock().map_err(failed)?;
        }
    }

    /// Extracts a layer, under its lock.
    fn extract(&self, name: &str, diff_id: DiffId, blob: &Blob) -> Result<()> {
        self.discard(name)?;
        let extracted = self.extract_temporary(name, diff_id, blob);
        if extracted.is_err() {
            self.clear(name)?;
        }
        extracted
    }

    fn extract_temporary(&self, name: &str, diff_id: DiffId, blob: &Blob) -> Result<()> {
        let path = self.temporary(name);
        fs::create_dir(&path).map_err(Error::io("create", &path))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(Error::io("create", &path))?;
        let mut unpack = Unpack::for_overlay(&path, self.marks)?;
        let written = unpack.layer(blob.reader())?;
        if written.diff_id != diff_id {
            return Err(ErrorKind::DiffId { expected: diff_id, found: written.diff_id }.into());
        }
        let facts = Facts { size: unpack.size(), shortfall: unpack.finish()? };
        // A power failure must not leave a layer that looks whole and whose files are empty.
        File::open(&path).and_then(|file| Ok(syncfs(file)?)).map_err(Error::io("flush", &path))?;
        self.write_facts(name, &facts)?;
        let target = self.extracted(name);
        fs::rename(&path, &target).map_err(Error::io("publish", &target))
    }

    /// What is known of an extracted layer; `None` if it is not there.
    fn facts(&self, name: &str) -> Option<Facts> {
        let facts = fs::read(self.locked(name)).ok().filter(|_| self.extracted(name).is_dir())?;
        serde_json::from_slice(&facts).ok()
    }

    fn write_facts(&self, name: &str, facts: &Facts) -> Result<()> {
        let path = self.locked(name);
        let text = serde_json::to_vec(facts).map_err(Into::into);
        text.and_then(|text| fs::write(&path, text)).map_err(Error::io("write", &path))
    }

    fn kept(&self, name: &str) -> Option<Kept> {
        let size = self.facts(name)?.size;
        let used = fs::metadata(self.locked(name)).and_then(|found| found.modified()).ok()?;
        Some(Kept { diff_id: DiffId::new(Digest::from_hex(name).ok()?), size, used })
    }

    /// Removes what was begun by processes that are no more: nobody holds the lock.
    fn sweep(&self) -> Result<()> {
        for name in names(&self.root.join("tmp"))? {
            if let Some(_lock) = self.try_lock(&name)? {
                self.clear(&name)?;
            }
        }
        Ok(())
    }

    /// Removes what is there of a layer, under its lock; says whether all of it was.
    fn discard(&self, name: &str) -> Result<bool> {
        self.clear(name)?;
        let path = self.extracted(name);
        // First out of the way: whoever is killed leaves no half of a layer where layers are.
        match fs::rename(&path, self.temporary(name)) {
            Ok(()) => self.clear(name).map(|()| true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("remove", &path)(error)),
        }
    }

    /// Removes what is unfinished of a layer, under its lock.
    fn clear(&self, name: &str) -> Result<()> {
        let folder = self.root.join("tmp");
        let removed = Folder::root(&folder).and_then(|folder| folder.remove(OsStr::new(name), &|_| false));
        removed.map(drop).map_err(Error::io("remove", &folder.join(name)))
    }

    /// The lock of a layer, if nobody else has it.
    fn try_lock(&self, name: &str) -> Result<Option<File>> {
        let lock = self.lock_file(name)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &self.locked(name))(error)),
        }
    }

    /// A lock is never removed: who waits for it would hold one that others no longer see.
    fn lock_file(&self, name: &str) -> Result<File> {
        let path = self.locked(name);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        open.map_err(Error::io("open", &path))
    }

    fn extracted(&self, name: &str) -> PathBuf {
        self.root.join("layers").join(name)
    }

    fn locked(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.root.join("tmp").join(name)
    }
}

/// The layers with their places, each at its uppermost.
fn topmost(layers: &[Layer]) -> Vec<(usize, &Layer)> {
    let mut seen = HashSet::new();
    let places = layers.iter().enumerate().rev();
    places.filter(|(_, layer)| seen.insert(layer.diff_id.digest())).collect()
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = || Error::io("read", folder);
    let entries = fs::read_dir(folder).map_err(failed())?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect::<std::io::Result<_>>().map_err(failed())
}

/// Notes that it is used now.
fn touch(lock: &File) -> std::io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Ok(futimens(lock, &Timestamps { last_access: now, last_modification: now })?)
}
