//! The store: bytes by digest, small results by key.
//!
//! Everything that cartwheel remembers lives in one directory. A **blob** is an immutable file named by the SHA-256
//! of its content: a wheel, a layer, a config, a manifest. A **record** is a small JSON value named by the digest of
//! its *named inputs* (a [`Key`]): «this wheel, under this scheme, in this layer format, is that layer».
//!
//! # Layout on disk
//!
//! ```text
//! $CARTWHEEL_HOME/
//! └── v1/                              any change of meaning below makes a v2 beside it
//!     ├── blobs/sha256/ab/abcd…        a blob, read-only, named by its SHA-256
//!     ├── records/<kind>-<n>/ab/abcd…  a record: {"inputs": …, "value": …}; n is the kind's own version
//!     ├── partial/<key>                an unfinished download, kept so that it can be resumed
//!     ├── tmp/<pid>-<n>                an unfinished write; swept when its writer is gone
//!     ├── turns/<key>                  the lock of a step that a build is doing
//!     └── snapshots/ mounts/ scratch/  of those who run commands: extracted layers, caches, what one command needs
//! ```
//!
//! # Many processes at once
//!
//! There is no daemon and no lock around the store. What is published is immutable, and publishing is one `rename`:
//! a reader sees a whole blob or none, and two processes that make the same blob publish the same bytes, so the last
//! one wins harmlessly. A writer holds an advisory lock on its temporary file; [`Store::open`] removes temporary
//! files whose lock is free, which is how the leftovers of a killed process go away.
//!
//! # What survives what
//!
//! A blob is hashed while it is written, checked against the digest its maker expected, flushed to the disk
//! (`fsync`) and only then renamed into place: after a crash it is there whole or not there. A record is not flushed:
//! if a power failure tears it, it no longer parses, and a record that does not parse is a miss. Losing a blob or a
//! record costs time, never correctness: everything here can be made again from its inputs.
#![forbid(unsafe_code)]

mod blob;
mod digest;
mod disk;
mod error;
mod record;

pub use blob::{Blob, BlobReader, BlobWriter};
pub use digest::{Digest, Hasher, ParseDigestError};
pub use disk::{Partial, Store};
pub use error::{Error, ErrorKind, Result};
pub use record::{Key, Record};
