//! Taking turns: of several builds that have to do the same step, one does it, and the others find what it made.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cartwheel_store::{Digest, Store};

use crate::error::{Error, Result};

/// The right to do a step, as long as this value lives.
#[derive(Debug)]
pub(crate) struct Turn {
    path: PathBuf,
    _locked: File,
}

impl Turn {
    /// Waits until nobody else does the step. `wait` is called first if there is somebody.
    pub(crate) fn take(store: &Store, step: Digest, wait: impl Fn()) -> Result<Self> {
        let root = store.root().join("turns");
        fs::create_dir_all(&root).map_err(Error::io("create", &root))?;
        let path = root.join(step.hex());
        let failed = || Error::io("lock", &path);
        loop {
            let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let file = open.map_err(failed())?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    wait();
                    file.lock().map_err(failed())?;
                }
                Err(TryLockError::Error(error)) => return Err(failed()(error)),
            }
            if is_at(&file, &path) {
                return Ok(Self { path, _locked: file });
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Under its lock: whoever has it open meanwhile sees that it is no longer there.
        let _an_empty_file_stays = fs::remove_file(&self.path);
    }
}

/// Whether the file is the one at `path` still: whoever had it before us has removed it.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |one: fs::Metadata, two: fs::Metadata| (one.dev(), one.ino()) == (two.dev(), two.ino());
    file.metadata().ok().zip(fs::metadata(path).ok()).is_some_and(|(one, two)| same(one, two))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time_has_a_turn_and_nothing_stays() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let (inside, most, waited) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    for _ in 0..50 {
                        let wait = || {
                            waited.fetch_add(1, Ordering::SeqCst);
                        };
                        let turn = Turn::take(&store, Digest::of(b"step"), wait).unwrap();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(turn);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        assert!(waited.into_inner() > 0);
        assert_eq!(fs::read_dir(store.root().join("turns")).unwrap().count(), 0);
    }
}
