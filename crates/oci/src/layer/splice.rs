//! Splicing: a finished DEFLATE stream becomes blocks in the middle of another one.
//!
//! A wheel's entry is a complete raw DEFLATE stream: blocks, the last of which has its BFINAL bit set, then padding to a
//! byte boundary. To continue after it, three things must change, and nothing else:
//!
//! 1. the BFINAL bit of its last block is cleared,
//! 2. the bits that follow its end in the last byte are zeroed,
//! 3. the header of an empty stored block (three zero bits) follows, padding to the byte, and `00 00 FF FF`.
//!
//! When the end uses more than five bits of its byte, the three header bits reach into one more byte.
//!
//! Finding the last block takes a full decode, because blocks have no length. That decode is not extra work: the diff ID,
//! the CRC-32 of the wheel and the digest in its RECORD all need the uncompressed bytes, and this is the one pass in
//! which they go by. The decoder stops after each block; the next bit is the next block's BFINAL, so it can be cleared at
//! once, and the bytes need not be held back until the last block is known.

use super::deflate::EMPTY_STORED;
use super::inflate::{Corrupt, Inflater, Stop};

/// Room for output per step: with the input beside it, it stays in the second-level cache while it is hashed.
const OUTPUT: usize = 128 << 10;

/// Decodes streams one after another, handing out the bytes of both sides as they go by.
pub(crate) struct Splicer {
    inflater: Inflater,
    output: Box<[u8]>,
    /// Uncompressed bytes that may still come.
    remaining: u64,
    /// The first bit of the next input byte is a BFINAL.
    header_in_next_byte: bool,
    /// The last block was seen to its end, with so many bits of its byte unused.
    end: Option<u32>,
}

/// Why a stream cannot be spliced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpliceError {
    /// Not DEFLATE.
    Corrupt,
    /// The last block ends before the input does.
    TrailingData,
    /// The input ends before the last block does.
    Truncated,
    /// More output than was announced.
    TooLong,
}

impl From<Corrupt> for SpliceError {
    fn from(Corrupt: Corrupt) -> Self {
        Self::Corrupt
    }
}

impl Splicer {
    pub(crate) fn new() -> Self {
        let output = vec![0; OUTPUT].into_boxed_slice();
        Self { inflater: Inflater::new(), output, remaining: 0, header_in_next_byte: true, end: None }
    }

    /// Begins a new stream that has `size` uncompressed bytes.
    pub(crate) fn begin(&mut self, size: u64) {
        self.inflater.reset();
        self.remaining = size;
        self.header_in_next_byte = true;
        self.end = None;
    }

    /// Takes the next piece of the stream, hands its uncompressed bytes to `sink` and turns it, in place, into what the
    /// spliced stream has instead.
    pub(crate) fn feed(&mut self, input: &mut [u8], mut sink: impl FnMut(&[u8])) -> Result<(), SpliceError> {
        let mut position = 0;
        loop {
            if self.end.is_some() {
                return if position == input.len() { Ok(()) } else { Err(SpliceError::TrailingData) };
            }
            let step = self.inflater.step(&input[position..], &mut self.output)?;
            if step.consumed > 0 && self.header_in_next_byte {
                input[position] &= !1;
                self.header_in_next_byte = false;
            }
            position += step.consumed;
            self.remaining = self.remaining.checked_sub(step.produced as u64).ok_or(SpliceError::TooLong)?;
            sink(&self.output[..step.produced]);
            match step.stop {
                Stop::BlockEnd { unused_bits, last } => {
                    self.end_block(&mut input[..position], unused_bits, last)?;
                }
                Stop::Starved if step.consumed + step.produced == 0 => return Ok(()),
                Stop::Starved => {}
            }
        }
    }

    /// `consumed` ends with the byte in which the block ended; `unused_bits` of it belong to what follows.
    fn end_block(&mut self, consumed: &mut [u8], unused_bits: u32, last: bool) -> Result<(), SpliceError> {
        self.end = last.then_some(unused_bits);
        self.header_in_next_byte = unused_bits == 0;
        if unused_bits == 0 {
            return Ok(());
        }
        // The decoder gives whole bytes back, so the block's end lies in the last byte that it took.
        let used = 8_u32.checked_sub(unused_bits).ok_or(SpliceError::Corrupt)?;
        let byte = consumed.last_mut().ok_or(SpliceError::Corrupt)?;
        *byte &= if last { (1 << used) - 1 } else { !(1 << used) };
        Ok(())
    }

    /// What follows the last piece: the rest of an empty stored block.
    pub(crate) fn finish(&self) -> Result<&'static [u8], SpliceError> {
        let unused_bits = self.end.ok_or(SpliceError::Truncated)?;
        // The three header bits are in the last byte already, as zeros, if there is room for them.
        Ok(if unused_bits >= 3 { &EMPTY_STORED } else { &[0x00, 0x00, 0x00, 0xff, 0xff] })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use flate2::Compression;
    use flate2::read::DeflateDecoder;
    use flate2::write::DeflateEncoder;
    use proptest::prelude::*;

    use super::*;

    fn deflate(text: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Splices `stream` fed in pieces of `piece` bytes: (spliced bytes, uncompressed bytes).
    fn splice(stream: &[u8], size: u64, piece: usize) -> Result<(Vec<u8>, Vec<u8>), SpliceError> {
        let mut splicer = Splicer::new();
        splicer.begin(size);
        let (mut spliced, mut text) = (Vec::new(), Vec::new());
        for chunk in stream.chunks(piece) {
            let mut chunk = chunk.to_vec();
            splicer.feed(&mut chunk, |bytes| text.extend_from_slice(bytes))?;
            spliced.extend_from_slice(&chunk);
        }
        spliced.extend_from_slice(splicer.finish()?);
        Ok((spliced, text))
    }

    #[test]
    fn damage_is_told_apart() {
        let stream = deflate(b"hello hello hello", 6);
        assert_eq!(splice(&stream[..stream.len() - 1], 17, 64), Err(SpliceError::Truncated));
        assert_eq!(splice(&[&stream[..], b"x"].concat(), 17, 64), Err(SpliceError::TrailingData));
        assert_eq!(splice(&stream, 16, 64), Err(SpliceError::TooLong));
        assert_eq!(splice(b"\xff\xff", 16, 64), Err(SpliceError::Corrupt));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// The slow twin: concatenating spliced streams and a final empty block inflates to the concatenated texts.
        #[test]
        fn spliced_streams_concatenate(
            texts in prop::collection::vec((
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..2000),
                    prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), any::<u8>()], 0..200_000),
                ], 0u32..10), 1..4),
            piece in prop_oneof![1usize..9, 1000usize..100_000],
        ) {
            let (mut joined, mut expected) = (Vec::new(), Vec::new());
            for (text, level) in &texts {
                let (spliced, seen) = splice(&deflate(text, *level), text.len() as u64, piece).unwrap();
                prop_assert_eq!(&seen, text);
                joined.extend_from_slice(&spliced);
                expected.extend_from_slice(text);
            }
            joined.extend_from_slice(&[0x03, 0x00]); // an empty final block
            let mut text = Vec::new();
            DeflateDecoder::new(&joined[..]).read_to_end(&mut text).unwrap();
            prop_assert_eq!(text, expected);
        }
    }
}
