//! The directory itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::blob::{TemporaryPath, blob_path, publish};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Key, Record};
use crate::{Blob, BlobWriter, Digest};

/// A directory of blobs and records. Cheap to clone; safe to use from many threads and processes.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// A record as it lies on disk. The inputs are there for people and for `plan --why`.
#[derive(Deserialize)]
struct Stored<R> {
    value: R,
}

#[derive(Serialize)]
struct StoredRef<'a, R> {
    inputs: &'a std::collections::BTreeMap<&'static str, String>,
    value: &'a R,
}

impl Store {
    /// Opens the store below `home`, making it if it is not there, and sweeps what killed processes left.
    pub fn open(home: &Path) -> Result<Self> {
        let store = Self { root: home.join("v1") };
        for folder in ["blobs/sha256", "records", "partial", "tmp"] {
            let path = store.root.join(folder);
            fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        }
        sweep(&store.root.join("tmp"));
        Ok(store)
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The blob of this digest, if it is here.
    pub fn blob(&self, digest: Digest) -> Option<Blob> {
        Blob::open(blob_path(&self.blobs(), digest)).ok()
    }

    /// The blob of this digest, or an error that names it.
    pub fn expect_blob(&self, digest: Digest) -> Result<Blob> {
        self.blob(digest).ok_or_else(|| ErrorKind::MissingBlob { digest }.into())
    }

    /// Whether the blob is here with this size. The size is a cheap guard; the digest was checked when it was written.
    pub fn has_blob(&self, digest: Digest, size: u64) -> bool {
        fs::metadata(blob_path(&self.blobs(), digest))
            .is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// Starts a blob whose digest is not known yet.
    pub fn writer(&self) -> Result<BlobWriter> {
        let (file, temporary) = self.temporary()?;
        Ok(BlobWriter::new(file, temporary, self.blobs()))
    }

    /// Publishes bytes that are in memory.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<(Digest, Blob)> {
        let digest = Digest::of(bytes);
        if let Some(blob) = self.blob(digest).filter(|blob| blob.size() == bytes.len() as u64) {
            return Ok((digest, blob));
        }
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(Error::io("write", &self.root))?;
        writer.commit()
    }

    /// The record under `key`. One that is missing, torn or of another shape is `None`.
    pub fn get<R: Record>(&self, key: &Key<R>) -> Option<R> {
        read_record(&self.record_path::<R>(key.digest()))
    }

    /// Remembers `record` under `key`, replacing what was there.
    pub fn put<R: Record>(&self, key: &Key<R>, record: &R) -> Result<()> {
        let path = self.record_path::<R>(key.digest());
        let stored = StoredRef { inputs: key.inputs(), value: record };
        let text =
            serde_json::to_vec(&stored).map_err(io::Error::other).map_err(Error::io("encode", &path))?;
        let (mut file, temporary) = self.temporary()?;
        file.write_all(&text).map_err(Error::io("write", temporary.path()))?;
        temporary.rename(&path)
    }

    /// Forgets the record under `key`; says whether there was one.
    pub fn remove<R: Record>(&self, key: &Key<R>) -> Result<bool> {
        let path = self.record_path::<R>(key.digest());
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("remove", &path)(error)),
        }
    }

    /// All records of one kind, in no particular order.
    pub fn list<R: Record>(&self) -> Vec<R> {
        let folders = fs::read_dir(self.root.join("records").join(R::KIND)).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        files.filter_map(|file| read_record(&file.path())).collect()
    }

    /// An unfinished download under `name`, locked for this process: its bytes so far, to be continued.
    pub fn partial(&self, name: Digest) -> Result<Partial> {
        let path = self.root.join("partial").join(name.hex());
        loop {
            let file = OpenOptions::new().read(true).append(true).create(true).open(&path);
            let file = file.map_err(Error::io("open", &path))?;
            file.lock().map_err(Error::io("lock", &path))?;
            // While this process waited for the lock, the one before may have published the very file.
            let mine = file.metadata().map_err(Error::io("read", &path))?;
            if fs::metadata(&path).is_ok_and(|there| same_file(&there, &mine)) {
                return Ok(Partial { file, path, blobs: self.blobs() });
            }
        }
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    fn record_path<R: Record>(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("records").join(R::KIND).join(&hex[..2]).join(hex)
    }

    /// A new file without a name, which is gone when it is closed: for what has to be read in another order than it comes.
    pub fn scratch(&self) -> Result<File> {
        Ok(self.temporary()?.0)
    }

    /// A new file in `tmp/`, locked for as long as it is open.
    fn temporary(&self) -> Result<(File, TemporaryPath)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
        let path = self.root.join("tmp").join(format!("{}-{nanos}-{number}", std::process::id()));
        let open = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = open.map_err(Error::io("create", &path))?;
        file.lock().map_err(Error::io("lock", &path))?;
        Ok((file, TemporaryPath::new(path)))
    }
}

impl TemporaryPath {
    fn rename(self, target: &Path) -> Result<()> {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        }
        fs::rename(self.path(), target).map_err(Error::io("publish", target))?;
        self.keep();
        Ok(())
    }
}

/// A download in progress, resumable by the next process if this one dies.
#[derive(Debug)]
pub struct Partial {
    file: File,
    path: PathBuf,
    blobs: PathBuf,
}

impl Partial {
    /// How many bytes are here already.
    pub fn size(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(Error::io("read", &self.path))?.len())
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::io("write", &self.path))
    }

    /// Throws away what is here: the server began anew, or the bytes were wrong.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(Error::io("truncate", &self.path))
    }

    /// Hashes what is here and publishes it if it is what was expected; if not, it is thrown away.
    pub fn commit_as(self, expected: Digest) -> Result<Blob> {
        let found = Blob::open(&self.path)?.digest()?;
        let temporary = TemporaryPath::new(self.path);
        if found != expected {
            return Err(ErrorKind::DigestMismatch { expected, found }.into());
        }
        Blob::open(publish(&self.file, temporary, &blob_path(&self.blobs, expected))?)
    }
}

fn same_file(one: &fs::Metadata, two: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (two.dev(), two.ino())
}

fn read_record<R: Record>(path: &Path) -> Option<R> {
    serde_json::from_slice::<Stored<R>>(&fs::read(path).ok()?).ok().map(|stored| stored.value)
}

/// Removes temporary files whose writer is gone: nobody holds their lock.
///
/// A writer creates its file a moment before it locks it, so files younger than a minute are left alone.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age =
            entry.metadata().and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
        let old = age.is_some_and(|age| age > Duration::from_mins(1));
        if old && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _left_for_the_next_sweep = fs::remove_file(entry.path());
        }
    }
}
