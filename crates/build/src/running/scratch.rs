//! Directories that one command needs while it runs.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use cartwheel_store::Store;

use crate::error::{Error, Result};

/// A directory that is gone when this value is. What a killed process left is swept by the next one: nobody holds its lock.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    lock: PathBuf,
    _locked: File,
}

impl Scratch {
    pub(super) fn new(store: &Store) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let root = store.root().join("scratch");
        fs::create_dir_all(&root).map_err(Error::io("create", &root))?;
        // The lock of all who make or sweep: so no directory is there without its lock being held.
        let gate = root.join("lock");
        let gate_file = File::create(&gate).map_err(Error::io("create", &gate))?;
        gate_file.lock().map_err(Error::io("lock", &gate))?;
        sweep(&root);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (path, lock) = (root.join(&name), root.join(format!("{name}.lock")));
        let locked = File::create(&lock).map_err(Error::io("create", &lock))?;
        locked.lock().map_err(Error::io("lock", &lock))?;
        fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        Ok(Self { path, lock, _locked: locked })
    }

    /// A new directory in it.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir(&path).map_err(Error::io("create", &path))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.path).is_ok() {
            let _left_for_the_next_sweep = fs::remove_file(&self.lock);
        }
    }
}

fn sweep(root: &PathBuf) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let lock = entry.path();
        let is_free = || File::open(&lock).is_ok_and(|file| file.try_lock().is_ok());
        if lock.extension().is_some_and(|extension| extension == "lock") && is_free() {
            let gone = fs::remove_dir_all(lock.with_extension(""));
            if gone.is_ok() || gone.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
                let _left_for_the_next_sweep = fs::remove_file(&lock);
            }
        }
    }
}
