//! Immutable files, named by what is in them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::{Digest, Hasher};

/// An immutable file whose bytes are known: a published blob, or a wheel on disk.
///
/// Bytes are read by position, never mapped: a mapped file counts as resident memory (a 700 MB wheel would blow the
/// memory bound), and a file that is cut short behind a mapping kills the process, where a read returns an error.
#[derive(Debug, Clone)]
pub struct Blob {
    file: Arc<File>,
    path: PathBuf,
    size: u64,
}

impl Blob {
    /// Opens any file for reading by position; `path` is kept for messages.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let metadata = file.metadata().map_err(Error::io("read", &path))?;
        if !metadata.is_file() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(Error::io("read", &path)(source));
        }
        Ok(Self { file: Arc::new(file), path, size: metadata.len() })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` with the bytes at `offset`; an error if there are fewer.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(Error::io("read", &self.path))
    }

    /// Reads the whole of it; for small blobs (configs, manifests).
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.size as usize];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// A sequential reader over all bytes, independent of other readers of this blob.
    pub fn reader(&self) -> BlobReader {
        self.range(0, self.size)
    }

    /// A reader over the `size` bytes at `offset`; an error while it is read if there are fewer.
    pub fn range(&self, offset: u64, size: u64) -> BlobReader {
        BlobReader { blob: self.clone(), offset, rest: size }
    }

    /// Hashes all bytes anew.
    pub fn digest(&self) -> Result<Digest> {
        Digest::of_reader(self.reader()).map_err(Error::io("read", &self.path))
    }
}

/// Reads a blob, or a range of it, from its start to its end.
#[derive(Debug)]
pub struct BlobReader {
    blob: Blob,
    offset: u64,
    rest: u64,
}

impl io::Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = self.rest.min(buffer.len() as u64) as usize;
        let count = self.blob.file.read_at(&mut buffer[..wanted], self.offset)?;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        self.rest -= count as u64;
        Ok(count)
    }
}

/// A blob in the making: hashes while it writes, and becomes a [`Blob`] when committed.
///
/// Dropped without a commit, it leaves nothing behind.
#[derive(Debug)]
pub struct BlobWriter {
    file: BufWriter<File>,
    temporary: TemporaryPath,
    hasher: Hasher,
    size: u64,
    blobs: PathBuf,
}

impl BlobWriter {
    pub(crate) fn new(file: File, temporary: TemporaryPath, blobs: PathBuf) -> Self {
        let file = BufWriter::with_capacity(256 << 10, file);
        Self { file, temporary, hasher: Hasher::default(), size: 0, blobs }
    }

    /// Publishes what was written under its own digest.
    pub fn commit(self) -> Result<(Digest, Blob)> {
        let digest = self.hasher.clone().finish();
        Ok((digest, self.publish(digest)?))
    }

    /// Publishes what was written if it is what was expected.
    pub fn commit_as(self, expected: Digest) -> Result<Blob> {
        let found = self.hasher.clone().finish();
        if found != expected {
            return Err(ErrorKind::DigestMismatch { expected, found }.into());
        }
        self.publish(expected)
    }

    fn publish(self, digest: Digest) -> Result<Blob> {
        let Self { file, temporary, size, blobs, .. } = self;
        let path = temporary.path();
        let file =
            file.into_inner().map_err(io::IntoInnerError::into_error).map_err(Error::io("write", path))?;
        publish(&file, temporary, &blob_path(&blobs, digest)).map(|path| Blob {
            file: Arc::new(file),
            path,
            size,
        })
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Where a blob of this digest lies below `blobs`.
pub(crate) fn blob_path(blobs: &Path, digest: Digest) -> PathBuf {
    let hex = digest.hex();
    blobs.join(&hex[..2]).join(hex)
}

/// Makes `file` durable and read-only, then renames it to `target`: the one place where a blob becomes visible.
pub(crate) fn publish(file: &File, temporary: TemporaryPath, target: &Path) -> Result<PathBuf> {
    let path = temporary.path();
    file.sync_data().map_err(Error::io("flush", path))?;
    file.set_permissions(std::fs::Permissions::from_mode(0o444)).map_err(Error::io("protect", path))?;
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    std::fs::rename(path, target).map_err(Error::io("publish", target))?;
    temporary.keep();
    Ok(target.to_owned())
}

/// A file that goes away with this value, unless it was published.
#[derive(Debug)]
pub(crate) struct TemporaryPath(Option<PathBuf>);

impl TemporaryPath {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(Some(path))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for TemporaryPath {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Nothing to be done if it fails: the next `Store::open` sweeps it.
            let _swept_later = std::fs::remove_file(path);
        }
    }
}
