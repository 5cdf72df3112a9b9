//! The digests of a directory's files, remembered from build to build.
//!
//! A digest is believed while the file's size, inode, modification time and change time (in nanoseconds) are what they were.
//! The change time alone would do on an honest file system: it is the kernel's own, and no program sets it. What it cannot
//! tell apart is a change in the same tick of the clock as the reading (git calls such an entry racy), so a file that was
//! changed less than two seconds before it was listed is not remembered.
//!
//! There is one record for each directory and ignore file; whoever writes it last wins, and nothing wrong is in either.

use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cartwheel_dockerfile::IgnoreFile;
use cartwheel_store::{Digest, Key, Record, Store};
use serde::{Deserialize, Serialize};

use super::tree::{Found, Known};
use crate::error::{Error, Result};

/// A file that was changed so short a time before it was listed may have been changed since, without a trace.
const RACY: Duration = Duration::from_secs(2);

/// What tells a file from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp(u64, u64, i64, i64);

impl Stamp {
    /// Size, inode, modification and change time.
    pub(super) fn of(metadata: &Metadata) -> Self {
        let time = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Self(
            metadata.len(),
            metadata.ino(),
            time(metadata.mtime(), metadata.mtime_nsec()),
            time(metadata.ctime(), metadata.ctime_nsec()),
        )
    }

    /// Whether a file that was listed at `now` can change without changing its stamp.
    pub(super) fn is_racy(self, now: SystemTime) -> bool {
        let settled = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(RACY);
        i128::from(self.3) > settled.as_nanos().cast_signed()
    }
}

/// The digests that were remembered for a directory behind an ignore file.
#[derive(Debug)]
pub(super) struct DigestCache {
    key: Key<Remembered>,
    rows: Vec<Row>,
}

/// Path, stamp, digest.
#[derive(Debug, Serialize, Deserialize)]
struct Row(String, Stamp, Digest);

/// Sorted by path.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    files: Vec<Row>,
}

impl Record for Remembered {
    const KIND: &'static str = "context-1";
}

impl DigestCache {
    pub(super) fn load(store: &Store, root: &Path, ignore: &IgnoreFile) -> Self {
        let patterns = ignore.patterns().collect::<Vec<_>>().join("\n");
        // The place is what the record is about; it enters nothing that is shared.
        let key = Key::new()
            .with("ignore", Digest::of(patterns.as_bytes()))
            .with("root", Digest::of(root.as_os_str().as_bytes()));
        let rows = store.get(&key).map_or_else(Vec::new, |remembered: Remembered| remembered.files);
        Self { key, rows }
    }

    /// What is remembered of `entries`, which are sorted as the rows are.
    pub(super) fn known(&self, entries: &[Found]) -> Vec<Option<Known>> {
        let mut rows = self.rows.iter().peekable();
        let known = |found: &Found| {
            while rows.next_if(|row| row.0 < found.path).is_some() {}
            let Row(_, stamp, digest) = rows.next_if(|row| row.0 == found.path)?;
            (Some(*stamp) == found.stamp).then_some(Known { digest: *digest, lasting: true })
        };
        entries.iter().map(known).collect()
    }

    /// Remembers what is known of `entries` from now on.
    pub(super) fn store(&self, store: &Store, entries: &[Found], known: &[Option<Known>]) -> Result<()> {
        let row = |(found, known): (&Found, &Option<Known>)| {
            let known = known.filter(|known| known.lasting)?;
            Some(Row(found.path.clone(), found.stamp?, known.digest))
        };
        let files = entries.iter().zip(known).filter_map(row).collect();
        Ok(store.put(&self.key, &Remembered { files })?)
    }
}

/// Reads a file that was listed at `now`. Its digest lasts if it still is what was listed and was left alone for a while.
pub(super) fn read_digest(path: &Path, listed: Stamp, now: SystemTime) -> Result<Known> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let digest = Digest::of_reader(&file).map_err(Error::io("read", path))?;
    // The descriptor's own metadata, and after reading: what was changed in between is not remembered.
    let read = Stamp::of(&file.metadata().map_err(Error::io("read", path))?);
    Ok(Known { digest, lasting: read == listed && !listed.is_racy(now) })
}
