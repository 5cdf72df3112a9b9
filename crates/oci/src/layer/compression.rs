//! A tar that exists, compressed as a layer can be.

use std::io::{self, Read, Write};

use super::compress::PieceCompressor;
use super::gzip::{self, Plain};
use super::write::Written;
use crate::DiffId;
use crate::descriptor::media_type;

/// How the tar of a layer can be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Uncompressed,
    /// What every runtime and registry reads.
    Gzip,
    /// Faster and smaller; old runtimes do not read it.
    Zstd,
}

impl Compression {
    /// The media type of a layer that is compressed like this.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Uncompressed => media_type::LAYER_TAR,
            Self::Gzip => media_type::LAYER_GZIP,
            Self::Zstd => media_type::LAYER_ZSTD,
        }
    }
}

/// Compresses a tar. The bytes depend on the tar and the version of the compressor, not on the number of threads.
pub(crate) fn compress(
    mut tar: impl Read,
    compression: Compression,
    out: &mut dyn Write,
) -> io::Result<Written> {
    let mut plain = Plain::default();
    let mut pieces = match compression {
        Compression::Uncompressed => None,
        Compression::Gzip => Some(PieceCompressor::new()),
        Compression::Zstd => Some(PieceCompressor::zstd()),
    };
    if compression == Compression::Gzip {
        gzip::write_header(out)?;
    }
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = tar.read(&mut buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        plain.update(bytes);
        match &mut pieces {
            _ if count == 0 => break,
            Some(pieces) => pieces.push(bytes, out)?,
            None => out.write_all(bytes)?,
        }
    }
    pieces.map_or(Ok(()), |pieces| pieces.finish(out))?;
    if compression == Compression::Gzip {
        gzip::write_trailer(&plain, out)?;
    }
    let (digest, tar_size) = plain.finish();
    Ok(Written { diff_id: DiffId::new(digest), tar_size })
}
