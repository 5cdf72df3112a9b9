//! From the bytes of a layer to its entries: for base images, and for the validator.
//!
//! Reading is not ours to invent: the `tar` crate reads what Docker, BuildKit, podman and GNU tar write. What is ours is
//! that the whole stream is hashed, also what follows the archive's end, that no entry takes memory without bound, and that
//! extended attributes are read whatever is in them (`pax.rs`).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use cartwheel_store::Hasher;

use super::pax::Extended;
use super::write::Written;
use super::{tar as format, zstd};
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
    /// Where in the uncompressed tar the content begins; `None` for a sparse file, whose holes are not there.
    pub offset: Option<u64>,
    /// Extended attributes by name.
    pub xattrs: BTreeMap<String, Vec<u8>>,
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
    /// A named pipe.
    Fifo,
    /// A character device, by its major and minor number.
    CharDevice(u32, u32),
    /// A block device, by its major and minor number.
    BlockDevice(u32, u32),
}

/// Decompresses a layer (gzip, zstd or plain, by its first bytes), hashes the tar and shows each entry to `visit`, with
/// its content. Non-UTF-8 paths are shown with replacement characters.
pub fn read(
    layer: impl Read,
    visit: impl FnMut(&ReadEntry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<Written> {
    read_tar(decompress(layer)?, visit)
}

/// Hashes a tar and shows each entry to `visit`, as [`read`] does with the tar in a layer.
pub fn read_tar(
    tar: impl Read,
    mut visit: impl FnMut(&ReadEntry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<Written> {
    // Set for each entry in turn, while the archive holds what reads.
    let gap = Gap { begin: Cell::new(0), limit: Cell::new(HEADERS_LIMIT), bytes: RefCell::default() };
    let mut hashing = Hashing { inner: tar, hasher: Hasher::default(), size: 0, gap: &gap };
    let mut archive = tar::Archive::new(&mut hashing);
    archive.set_ignore_zeros(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let described = describe(&entry, &Extended::between(&gap.bytes.take())?)?;
        let end = content_end(&entry)?;
        gap.begin.set(end.saturating_add(format::padding(end) as u64));
        gap.limit.set(end.saturating_add(HEADERS_LIMIT));
        if let Some(described) = described {
            visit(&described, &mut entry)?;
        }
    }
    gap.limit.set(u64::MAX);
    gap.begin.set(u64::MAX);
    io::copy(&mut hashing, &mut io::sink())?;
    Ok(Written { diff_id: DiffId::new(hashing.hasher.finish()), tar_size: hashing.size })
}

/// The text of a layer: gzip, zstd or plain, by its first bytes.
pub fn decompress(layer: impl Read) -> io::Result<impl Read> {
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
fn describe(entry: &tar::Entry<'_, impl Read>, extended: &Extended) -> io::Result<Option<ReadEntry>> {
    let header = entry.header();
    let Some(kind) = kind(entry, extended)? else { return Ok(None) };
    if extended.size.is_some_and(|size| size != entry.size()) {
        return Err(io::Error::other("the size of an entry is hidden behind its attributes"));
    }
    let is_sparse = extended.is_sparse || header.entry_type() == tar::EntryType::GNUSparse;
    let path = match &extended.path {
        Some(path) => checked_path(path)?,
        None => checked_path(&entry.path_bytes())?,
    };
    Ok(Some(ReadEntry {
        path: relative(&path).to_owned(),
        kind,
        mode: header.mode()? & 0o7777,
        uid: extended.uid.map_or_else(|| header.uid().map(|uid| uid as u32), Ok)?,
        gid: extended.gid.map_or_else(|| header.gid().map(|gid| gid as u32), Ok)?,
        mtime: header.mtime()?,
        size: entry.size(),
        offset: (!is_sparse).then(|| entry.raw_file_position()),
        xattrs: extended.xattrs.clone(),
    }))
}

fn kind(entry: &tar::Entry<'_, impl Read>, extended: &Extended) -> io::Result<Option<ReadKind>> {
    let header = entry.header();
    let link = || {
        let target = extended.linkpath.as_deref().map(Into::into).or_else(|| entry.link_name_bytes());
        checked_path(&target.ok_or_else(|| io::Error::other("a link without a target"))?)
    };
    let device = || -> io::Result<(u32, u32)> {
        Ok((header.device_major()?.unwrap_or_default(), header.device_minor()?.unwrap_or_default()))
    };
    Ok(Some(match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::GNUSparse => ReadKind::File,
        tar::EntryType::Directory => ReadKind::Directory,
        tar::EntryType::Symlink => ReadKind::Symlink(link()?),
        tar::EntryType::Link => ReadKind::Hardlink(relative(&link()?).to_owned()),
        tar::EntryType::Fifo => ReadKind::Fifo,
        tar::EntryType::Char => device().map(|(major, minor)| ReadKind::CharDevice(major, minor))?,
        tar::EntryType::Block => device().map(|(major, minor)| ReadKind::BlockDevice(major, minor))?,
        tar::EntryType::XGlobalHeader => return Ok(None),
        other => return Err(io::Error::other(format!("unknown entry type {other:?}"))),
    }))
}

/// The path without `./` or `/` before it and without a `/` behind it; empty for the root.
fn relative(path: &str) -> &str {
    let path = path.strip_prefix("./").unwrap_or(path).trim_matches('/');
    if path == "." { "" } else { path }
}

fn checked_path(bytes: &[u8]) -> io::Result<String> {
    if bytes.len() > PATH_LIMIT {
        return Err(io::Error::other(format!("a path of {} bytes", bytes.len())));
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// What lies between the content of one entry and that of the next.
struct Gap {
    /// Where in the tar it begins: what is read from there on is kept.
    begin: Cell<u64>,
    /// Where no more is given.
    limit: Cell<u64>,
    bytes: RefCell<Vec<u8>>,
}

impl Gap {
    /// Takes what was read at `position`, as far as it lies in the gap.
    fn keep(&self, bytes: &[u8], position: u64) {
        let content = self.begin.get().saturating_sub(position);
        let headers = usize::try_from(content).ok().and_then(|content| bytes.get(content..));
        self.bytes.borrow_mut().extend_from_slice(headers.unwrap_or_default());
    }
}

struct Hashing<'a, R> {
    inner: R,
    hasher: Hasher,
    size: u64,
    gap: &'a Gap,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.size >= self.gap.limit.get() {
            return Err(io::Error::other(format!(
                "an entry's headers are larger than {HEADERS_LIMIT} bytes"
            )));
        }
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.gap.keep(&buffer[..count], self.size);
        self.size += count as u64;
        Ok(count)
    }
}
