//! The layer engine, and the layer format it writes. This essay is normative.
//!
//! # The promise
//!
//! The bytes of a layer are a function of its [`Tree`], its [`Encoding`] and [`FORMAT`]: nothing else. Not of the CPU, the
//! number of threads, the order in which entries were found, a temporary path, the time of day or the version of a
//! library. That is what makes one cache true for all machines and teams: the same wheel is the same layer everywhere.
//! Golden digests in `tests/it/golden.rs` hold it; changing one of them is a new [`FORMAT`], and every key that names a
//! layer has the format in it.
//!
//! # Format 1
//!
//! **Tar.** POSIX ustar. Entries are sorted by path, compared as bytes; a directory comes before what is in it. A path is
//! relative, without `./`; a directory's ends with `/`. A path that is longer than 100 bytes is split into prefix and name
//! where that is possible. Otherwise, and for a path or link target that is not ASCII, for a size or time of 2³³ or more,
//! for a user or group of 2²¹ or more, and for extended attributes, a PAX extended header (`x`) comes first, with only the
//! records that are needed, in the order `gid`, `linkpath`, `mtime`, `path`, `size`, `uid`, `SCHILY.xattr.*` by name. User
//! and group are numbers only; their names are empty, and so are the device numbers of what is no device. A file of several
//! names is a file at the first of them and hard links (`1`, without content) at the others. The mode is the entry's twelve
//! permission bits. Two zero blocks end the archive; there is no further padding.
//!
//! **Gzip.** One member (several decoders in use stop after the first): the fixed header `1f 8b 08 00 00000000 00 ff`
//! (no name, no time, no flags, unknown system), a DEFLATE stream, its CRC-32 and its length modulo 2³².
//!
//! **DEFLATE, [`Encoding::Spliced`].** The stream is a sequence of pieces, each of which ends on a byte boundary:
//! *glue* (headers, padding, content that is in memory, in a file or a piece of one), encoded by `deflate.rs` as one fixed-Huffman block and an empty stored
//! block; a *spliced* stream of a wheel, changed in three places as `splice.rs` says; a *stored* wheel entry, as stored blocks of
//! 65,535 bytes. All glue between two contents is one segment. The last glue ends the stream.
//!
//! **DEFLATE, [`Encoding::Compressed`].** The tar is cut every 1 MiB; each piece is compressed alone (zlib level 6, `zlib-rs`)
//! and ends with an empty stored block, the last with a final block. Pieces are compressed on all cores and written in order.
//! This is how files of applications are packed, and it is the slow twin of splicing: both give the same tar.
//!
//! # How it runs
//!
//! [`write()`] walks the tree once. For a wheel's entry it reads the compressed bytes in pieces, decodes them (that finds
//! the places that splicing must change), and while the decoded bytes are in the cache adds them to the layer's diff ID, to the
//! entry's CRC-32 and to the digest that the wheel's RECORD promised. One pass, two buffers, whatever the wheel's size.

mod compress;
mod compression;
mod content;
mod deflate;
mod entry;
mod gzip;
mod inflate;
mod pax;
mod read;
mod sha256;
mod splice;
mod tar;
mod write;
mod zstd;

pub(crate) use compression::compress;
pub(crate) use tar::{append_header, padding};

pub use compression::Compression;
pub use entry::{Content, ContentDigest, Entry, Kind, Member, Method, Tree, TreeError};
pub use read::{ReadEntry, ReadKind, decompress, read, read_tar};
pub use write::{ContentProblem, Encoding, LayerError, Written, write, write_tar};

/// The version of the layer format. It is part of every key that names a layer.
pub const FORMAT: u32 = 1;

/// The modification time of entries that have none of their own: 1980-01-02T00:00:00Z, in seconds since 1970.
///
/// The first day that a zip can say (in every time zone), so that wheels built again from a layer's files keep it.
pub const FIXED_TIME: u64 = 315_619_200;

/// What ends a tar archive.
pub(crate) fn archive_end() -> &'static [u8] {
    &tar::END
}
