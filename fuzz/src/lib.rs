//! What the fuzz targets share: an input as a blob, decoders that are not ours, and what they begin with.
#![forbid(unsafe_code)]

mod reference;
mod seeds;
mod zstd;

use std::path::PathBuf;
use std::sync::LazyLock;

use cartwheel_store::Blob;

pub use reference::{gunzip, inflate};
pub use seeds::seeds;
pub use zstd::{raw_frame, skippable_frame};

/// The one file that every input is written to; `xtask fuzz` names a folder in memory by `TMPDIR`.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("cartwheel-fuzz-{}", std::process::id())));

/// These bytes as a blob, until the next call.
pub fn blob(bytes: &[u8]) -> Blob {
    std::fs::write(&*FILE, bytes).expect("the input's file can be written");
    Blob::open(&*FILE).expect("the input's file can be read")
}
