//! Directories of the store that are needed for a while: by a command that is run, a checkout, the user's uv.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use cartwheel_store::Store;
use tempfile::TempDir;

use crate::error::{Error, Result};

/// A directory that is gone when this value is. What a killed process left is swept by the next one: nobody holds its lock.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
    _locked: File,
}

impl Scratch {
    pub(crate) fn new(store: &Store) -> Result<Self> {
        let root = store.root().join("scratch");
        fs::create_dir_all(&root).map_err(Error::io("create", &root))?;
        // The lock of all who make or sweep: so no directory is there without its lock being held.
        let gate = root.join("lock");
        let gate_file = File::create(&gate).map_err(Error::io("create", &gate))?;
        gate_file.lock().map_err(Error::io("lock", &gate))?;
        sweep(&root);
        let folder = tempfile::Builder::new().prefix("used-").tempdir_in(&root);
        let folder = folder.map_err(Error::io("create", &root))?;
        let lock = lock_of(folder.path());
        let locked = File::create(&lock).map_err(Error::io("create", &lock))?;
        locked.lock().map_err(Error::io("lock", &lock))?;
        Ok(Self { folder, _locked: locked })
    }

    /// A new directory in it.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::create_dir(&path).map_err(Error::io("create", &path))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if fs::remove_dir_all(self.folder.path()).is_ok() {
            let _left_for_the_next_sweep = fs::remove_file(lock_of(self.folder.path()));
        }
    }
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

fn sweep(root: &Path) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name != "lock").collect()
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_is_in_use_is_not() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let root = store.root().join("scratch");
        let used = Scratch::new(&store).unwrap();
        let file = used.folder("inside").unwrap().join("file");
        fs::write(&file, "x").unwrap();
        fs::create_dir_all(root.join("used-left/inside")).unwrap();
        fs::write(root.join("used-left.lock"), "").unwrap();
        drop(Scratch::new(&store).unwrap());
        assert!(file.exists() && names(&root).len() == 2, "{:?}", names(&root));
        drop(used);
        assert_eq!(names(&root), [""; 0]);
    }
}
