//! The engine, from a folder of wheels to layers.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cartwheel_build::{Epoch, Ground, Prepared, layer_of, tree_of};
use cartwheel_oci::Below;
use cartwheel_oci::layer::{self, Encoding};
use cartwheel_python::{LockedWheel, PythonVersion, Scheme, Tool, WheelLocation};
use cartwheel_store::{Blob, Digest, Hasher, Store};

use crate::Result;

/// Every wheel as a layer of its own; the layers are hashed and thrown away.
pub(crate) fn to_nowhere(wheels: &[PathBuf]) -> Result<Duration> {
    convert(wheels, |prepared, ground| {
        let tree = tree_of(&[prepared], ground, Epoch::Fixed)?;
        let mut sink = HashingSink::default();
        layer::write(&tree, Encoding::Spliced, &mut sink)?;
        std::hint::black_box(sink.hasher.finish());
        Ok(())
    })
}

/// Every wheel as a layer of its own, in a new store: written, flushed to the disk, published.
pub(crate) fn to_store(wheels: &[PathBuf]) -> Result<Duration> {
    // Beside the executable, on the disk that builds use; `/tmp` may be memory.
    let beside = std::env::current_exe()?;
    let home = tempfile::tempdir_in(beside.parent().ok_or("the executable is in a folder")?)?;
    let store = Store::open(home.path())?;
    convert(wheels, |prepared, ground| {
        layer_of(&store, &[prepared], ground, Epoch::Fixed)?;
        Ok(())
    })
}

fn convert(wheels: &[PathBuf], write: impl Fn(&Prepared, &Ground<'_>) -> Result + Sync) -> Result<Duration> {
    let scheme = Scheme::for_prefix("/usr/local", PythonVersion::new(3, 13));
    let below = Below::default();
    let ground = Ground::new(&below, &[&scheme.purelib], Epoch::Fixed.mtime())?;
    let started = Instant::now();
    // One task for each wheel, begun in order, the largest first: as the engine does it.
    let failure = Mutex::new(None);
    rayon::in_place_scope_fifo(|pool| {
        for path in wheels {
            let (scheme, ground, write, failure) = (&scheme, &ground, &write, &failure);
            pool.spawn_fifo(move |_| {
                let convert = || {
                    write(&Prepared::open(&locked(path), Blob::open(path)?, scheme, Tool::default())?, ground)
                };
                if let Err(error) = convert() {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            });
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    Ok(started.elapsed())
}

/// A wheel as a resolution would name it. Its digest is known by then, so finding it is no part of converting.
fn locked(path: &std::path::Path) -> LockedWheel {
    let filename = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut parts = filename.split('-').map(str::to_owned);
    LockedWheel {
        name: parts.next().unwrap_or_default(),
        version: parts.next().unwrap_or_default(),
        location: WheelLocation::Path(path.to_owned()),
        size: None,
        digest: Digest::of(filename.as_bytes()),
        direct: false,
        direct_url: None,
        filename,
    }
}

#[derive(Default)]
struct HashingSink {
    hasher: Hasher,
}

impl Write for HashingSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
