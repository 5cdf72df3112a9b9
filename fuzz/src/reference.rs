//! Decoders that are not ours, used in the plainest way.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};

/// The text of a raw DEFLATE stream, and how many bytes of `raw` the stream has; `None` if it is broken or has no end.
pub fn inflate(raw: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut inflater = Decompress::new(false);
    let mut text = Vec::new();
    loop {
        text.reserve(64 << 10);
        let before = (inflater.total_in(), inflater.total_out());
        let rest = &raw[before.0 as usize..];
        let status = inflater.decompress_vec(rest, &mut text, FlushDecompress::None).ok()?;
        if status == Status::StreamEnd {
            return Some((text, inflater.total_in() as usize));
        }
        if before == (inflater.total_in(), inflater.total_out()) {
            return None;
        }
    }
}

/// The tar in a layer of ours: one gzip member, nothing behind it, and every decoder reads the same.
pub fn gunzip(layer: &[u8]) -> Vec<u8> {
    let mut rest = layer;
    let mut tar = Vec::new();
    // Over `BufRead` it stops after the first member, with CRC and length checked.
    flate2::bufread::GzDecoder::new(&mut rest).read_to_end(&mut tar).expect("the layer is gzip");
    assert!(rest.is_empty(), "{} bytes follow the first member", rest.len());
    let stream = &layer[10..layer.len() - 8];
    let other = miniz_oxide::inflate::decompress_to_vec(stream).expect("another decoder reads the layer");
    assert!(other == tar, "two decoders read the layer differently");
    tar
}
