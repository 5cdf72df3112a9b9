//! The gzip member around a layer (RFC 1952).

use std::io::{self, Write};

use cartwheel_store::Digest;

use super::sha256::Sha256;

/// Magic, DEFLATE, no flags, no time, no extra flags, unknown system (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// What goes by on the uncompressed side: the diff ID, the CRC-32 and the length.
#[derive(Default)]
pub(crate) struct Plain {
    hasher: Sha256,
    crc32: crc32fast::Hasher,
    size: u64,
}

impl Plain {
    /// Adds bytes whose CRC-32 is not known yet.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.crc32.update(bytes);
        self.hash(bytes);
    }

    /// Adds bytes to all but the CRC-32; the caller adds that with [`Self::combine`] when the content is complete.
    pub(crate) fn hash(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Adds the CRC-32 of bytes that went through [`Self::hash`]: it is known from checking them, and combining two takes
    /// less than computing one twice.
    pub(crate) fn combine(&mut self, content: &crc32fast::Hasher) {
        self.crc32.combine(content);
    }

    /// Adds bytes to all but the CRC-32, and to the digest of the content alone in the same pass.
    pub(crate) fn hash_with(&mut self, content: &mut Sha256, bytes: &[u8]) {
        Sha256::update_both(&mut self.hasher, content, bytes);
        self.size += bytes.len() as u64;
    }

    /// How many bytes went by.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The digest of all bytes, and how many they are.
    pub(crate) fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.size)
    }
}

pub(crate) fn write_header(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&HEADER)
}

pub(crate) fn write_trailer(plain: &Plain, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&plain.crc32.clone().finalize().to_le_bytes())?;
    out.write_all(&(plain.size as u32).to_le_bytes()) // ISIZE is the length modulo 2^32
}
