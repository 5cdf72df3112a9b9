//! Zstandard as layers have it: any number of frames, one after another.
//!
//! The decoder knows one frame. Layers of several are common: podman's `zstd:chunked` writes a frame for each file and
//! its table of contents into skippable ones, and parallel compressors write a frame for each thread.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// How a frame begins (RFC 8878, 3.1.1).
const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A frame without content: a single segment of no bytes, and an empty last block.
const EMPTY_FRAME: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0];

/// Whether these are the first bytes of a frame, or of a skippable one (RFC 8878, 3.1.2).
pub(super) fn begins(magic: &[u8]) -> bool {
    magic.starts_with(&FRAME) || matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// The text of all frames of `source`.
pub(super) struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(source: R) -> io::Result<Self> {
        let mut decoder = FrameDecoder::new();
        // The decoder looks at the size of windows only when it is used again. Without that, a frame that announces a
        // window of exabytes would be held in memory until its end.
        decoder.init(&EMPTY_FRAME[..]).map_err(io::Error::other)?;
        decoder.decode_blocks(&EMPTY_FRAME[6..], BlockDecodingStrategy::All).map_err(io::Error::other)?;
        Ok(Self { source, decoder })
    }

    fn begin_frame(&mut self) -> io::Result<()> {
        match self.decoder.init(&mut self.source) {
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let skipped = io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                if skipped < u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(())
            }
            result => result.map_err(io::Error::other),
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            while self.decoder.can_collect() < buffer.len() && !self.decoder.is_finished() {
                let missing = BlockDecodingStrategy::UptoBytes(buffer.len() - self.decoder.can_collect());
                self.decoder.decode_blocks(&mut self.source, missing).map_err(io::Error::other)?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() || self.source.fill_buf()?.is_empty() {
                return Ok(count);
            }
            self.begin_frame()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &[u8]) -> Vec<u8> {
        let length = text.len() as u8;
        [&FRAME[..], &[0x20, length, length << 3 | 1, 0, 0], text].concat()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        Frames::new(bytes)?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn all_frames_are_read_and_skippable_ones_left_out() {
        let skippable = [0x5f, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
        let frames =
            [&skippable[..], &frame(b"ab"), &frame(b""), &skippable, &frame(b"cd"), &skippable].concat();
        assert!(begins(&frames) && begins(&frame(b"")));
        assert_eq!(read(&frames).unwrap(), b"abcd");
        for end in [frames.len() - 1, 3, 5] {
            assert!(read(&frames[..end]).is_err(), "cut at {end}");
        }
        assert!(read(&[&frame(b"ab")[..], b"else"].concat()).is_err());
    }

    #[test]
    fn a_window_of_any_size_is_not_granted() {
        // A single segment of 2^60 bytes: nothing of it could be given out before its end.
        let frame = [&FRAME[..], &[0xe0], &(1_u64 << 60).to_le_bytes(), &[3 << 3, 0, 0], b"abc"].concat();
        assert!(read(&frame).unwrap_err().to_string().contains("window"), "{:?}", read(&frame));
    }
}
