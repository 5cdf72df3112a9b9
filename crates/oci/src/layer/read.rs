//! From the bytes of a layer to its entries: for base images, and for the validator.
//!
//! Reading is not ours to invent: the `tar` crate reads what Docker, BuildKit, podman and GNU tar write. What is ours is
//! that the whole stream is hashed, also what follows the archive's end, and that no entry takes memory without bound.

use std::cell::Cell;
use std::io::{self, BufReader, Read};

use cartwheel_store::Hasher;

use super::write::Written;
use super::zstd;
use crate::DiffId;

/// The longest path, of an entry or in a link: what Linux takes (`PATH_MAX`).
const PATH_LIMIT: usize = 4096;

/// No entry's headers are larger: they are held in memory, and compress a thousand to one.
const HEADERS_LIMIT: u64 = 1 << 20;

/// One entry of a layer, as it was read.
#[derive(Debug, Clone)]
pub struct ReadEntry {
    /// Its path, without a leading `./` or `/` and without a trailing `/`; empty for the root.
    pub path: String,
    /// What it is.
    pub kind: ReadKind,
    /// The twelve permission bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    /// The content's size in bytes.
    pub size: u64,
}

/// What an entry of a foreign layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink(String),
    /// Another name of a file in the same layer.
    Hardlink(String),
    /// A device or a pipe.
    Special,
}

/// Decompresses a layer (gzip, zstd or plain, by its first bytes), hashes the tar and shows each entry to `visit`, with
/// its content. Non-UTF-8 paths are shown with replacement characters.
pub fn read(
    layer: impl Read,
    mut visit: impl FnMut(&ReadEntry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<Written> {
    // Set for each entry in turn, while the archive holds what reads.
    let limit = Cell::new(HEADERS_LIMIT);
    let mut hashing =
        Hashing { inner: decompress(layer)?, hasher: Hasher::default(), size: 0, limit: &limit };
    let mut archive = tar::Archive::new(&mut hashing);
    archive.set_ignore_zeros(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        limit.set(content_end(&entry)?.saturating_add(HEADERS_LIMIT));
        let described = describe(&entry)?;
        if let Some(described) = described {
            visit(&described, &mut entry)?;
        }
    }
    limit.set(u64::MAX);
    io::copy(&mut hashing, &mut io::sink())?;
    Ok(Written { diff_id: DiffId::new(hashing.hasher.finish()), tar_size: hashing.size })
}

fn decompress(layer: impl Read) -> io::Result<impl Read> {
    let mut layer = BufReader::with_capacity(256 << 10, layer);
    let magic = io::BufRead::fill_buf(&mut layer)?;
    let decompressed: Decompressed<_> = match magic {
        [0x1f, 0x8b, ..] => Decompressed::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(layer))),
        magic if zstd::begins(magic) => Decompressed::Zstd(Box::new(zstd::Frames::new(layer)?)),
        _ => Decompressed::Plain(layer),
    };
    Ok(decompressed)
}

enum Decompressed<R: io::BufRead> {
    Gzip(Box<flate2::bufread::MultiGzDecoder<R>>),
    Zstd(Box<zstd::Frames<R>>),
    Plain(R),
}

impl<R: io::BufRead> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(inner) => inner.read(buffer),
            Self::Zstd(inner) => inner.read(buffer),
            Self::Plain(inner) => inner.read(buffer),
        }
    }
}

/// Where in the tar the content of `entry` ends, as far as it is stored: a sparse file's size counts its holes.
fn content_end(entry: &tar::Entry<'_, impl Read>) -> io::Result<u64> {
    let stored = match entry.header().entry_type() {
        tar::EntryType::GNUSparse => entry.header().entry_size()?,
        _ => entry.size(),
    };
    Ok(entry.raw_file_position().saturating_add(stored))
}

/// `None` for what is not an entry of the file system (a global PAX header).
fn describe(entry: &tar::Entry<'_, impl Read>) -> io::Result<Option<ReadEntry>> {
    let header = entry.header();
    let link = || -> io::Result<String> {
        let target = entry.link_name_bytes().ok_or_else(|| io::Error::other("a link without a target"))?;
        checked_path(&target)
    };
    let kind = match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => ReadKind::File,
        tar::EntryType::Directory => ReadKind::Directory,
        tar::EntryType::Symlink => ReadKind::Symlink(link()?),
        tar::EntryType::Link => ReadKind::Hardlink(link()?),
        tar::EntryType::Char | tar::EntryType::Block | tar::EntryType::Fifo => ReadKind::Special,
        tar::EntryType::XGlobalHeader => return Ok(None),
        other => return Err(io::Error::other(format!("unknown entry type {other:?}"))),
    };
    let path = checked_path(&entry.path_bytes())?;
    let path = path.strip_prefix("./").unwrap_or(&path).trim_matches('/');
    Ok(Some(ReadEntry {
        path: if path == "." { String::new() } else { path.to_owned() },
        kind,
        mode: header.mode()? & 0o7777,
        uid: header.uid()? as u32,
        gid: header.gid()? as u32,
        mtime: header.mtime()?,
        size: entry.size(),
    }))
}

fn checked_path(bytes: &[u8]) -> io::Result<String> {
    if bytes.len() > PATH_LIMIT {
        return Err(io::Error::other(format!("a path of {} bytes", bytes.len())));
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

struct Hashing<'a, R> {
    inner: R,
    hasher: Hasher,
    size: u64,
    /// The size at which no more is given.
    limit: &'a Cell<u64>,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.size >= self.limit.get() {
            return Err(io::Error::other(format!(
                "an entry's headers are larger than {HEADERS_LIMIT} bytes"
            )));
        }
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}
