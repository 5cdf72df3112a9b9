//! Compression of what is not a wheel: cut, compressed on all cores, written in order.

use std::io::{self, Write};

use flate2::{Compress, Compression, FlushCompress, Status};
use rayon::prelude::*;

/// Each piece is compressed alone, so that the bytes do not depend on how many threads there are. With 1 MiB the layer
/// grows by 0.2 % against one stream.
const PIECE: usize = 1 << 20;

/// With Zstandard each piece is a frame of its own, and its window is larger.
const ZSTD_PIECE: usize = 8 << 20;

/// The library's own default.
const ZSTD_LEVEL: i32 = 3;

/// Compresses a piece; the last one ends the stream.
type Compressor = fn(&[u8], bool) -> io::Result<Vec<u8>>;

/// Cuts a stream into pieces and compresses several at a time.
pub(crate) struct PieceCompressor {
    size: usize,
    compressor: Compressor,
    pieces: Vec<Vec<u8>>,
    /// How many pieces are compressed at a time: what bounds the memory.
    batch: usize,
}

impl PieceCompressor {
    pub(crate) fn new() -> Self {
        Self::of(PIECE, deflate)
    }

    pub(crate) fn zstd() -> Self {
        Self::of(ZSTD_PIECE, zstd_frame)
    }

    fn of(size: usize, compressor: Compressor) -> Self {
        Self { size, compressor, pieces: vec![Vec::new()], batch: rayon::current_num_threads() * 2 }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.last_piece().len() == self.size {
                if self.pieces.len() == self.batch {
                    self.drain(false, out)?;
                }
                self.pieces.push(Vec::with_capacity(self.size));
            }
            let size = self.size;
            let last = self.last_piece();
            let (now, later) = bytes.split_at(bytes.len().min(size - last.len()));
            last.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Writes all that is left and ends the DEFLATE stream.
    pub(crate) fn finish(mut self, out: &mut dyn Write) -> io::Result<()> {
        self.drain(true, out)
    }

    fn last_piece(&mut self) -> &mut Vec<u8> {
        if self.pieces.is_empty() {
            self.pieces.push(Vec::new());
        }
        let last = self.pieces.len() - 1;
        &mut self.pieces[last]
    }

    fn drain(&mut self, finish: bool, out: &mut dyn Write) -> io::Result<()> {
        let last = self.pieces.len().saturating_sub(1);
        let compressed: Result<Vec<_>, _> = self
            .pieces
            .par_iter()
            .enumerate()
            .map(|(index, piece)| (self.compressor)(piece, finish && index == last))
            .collect();
        self.pieces.clear();
        compressed?.iter().try_for_each(|piece| out.write_all(piece))
    }
}

fn zstd_frame(piece: &[u8], _: bool) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(piece, ZSTD_LEVEL)
}

fn deflate(piece: &[u8], last: bool) -> io::Result<Vec<u8>> {
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut compress = Compress::new(Compression::new(6), false);
    let mut out = Vec::with_capacity(piece.len() / 2 + 1024);
    loop {
        let consumed = compress.total_in() as usize;
        let status = compress.compress_vec(&piece[consumed..], &mut out, flush).map_err(io::Error::other)?;
        let flushed = compress.total_in() as usize == piece.len() && out.len() < out.capacity();
        match status {
            Status::StreamEnd => return Ok(out),
            _ if !last && flushed => return Ok(out),
            _ => out.reserve(32 << 10),
        }
    }
}
