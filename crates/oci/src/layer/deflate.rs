//! A small DEFLATE encoder for the glue between spliced streams.
//!
//! Tar headers, padding and generated files are not worth a compression library, and must not depend on one: a new
//! version that encodes better would change the bytes of every layer and silently empty every shared cache. So this
//! encoder is ours, small, and frozen: fixed Huffman codes (RFC 1951, 3.2.6), greedy matches found by a table of
//! four-byte prefixes. A tar header is mostly zeros and mostly the same as the one before it, so each segment may refer
//! back to the end of the one before, across whatever was spliced in between.

/// Matches reach back this far at most (RFC 1951, 2).
const WINDOW: u64 = 32 << 10;
/// The longest match (RFC 1951, 3.2.5).
const LONGEST: usize = 258;
/// The shortest match worth writing: shorter ones would not be found by a four-byte prefix.
const SHORTEST: usize = 4;
/// How much of a segment the next one may refer to: its last header with room for a long name.
const TAIL: usize = 1024;

/// Encodes segments of uncompressed bytes, each as one block that ends on a byte boundary.
#[derive(Debug, Default)]
pub(crate) struct GlueEncoder {
    /// The end of the previous segment, then the current one.
    text: Vec<u8>,
    /// How many bytes of `text` belong to the previous segment.
    tail: usize,
    /// Uncompressed bytes that went by between the previous segment's end and this one.
    gap: u64,
    /// Position + 1 in `text` of the last occurrence of each prefix; 0 is none.
    table: Vec<u32>,
}

impl GlueEncoder {
    /// Notes that `count` uncompressed bytes were written by other means since the last segment.
    pub(crate) fn skip(&mut self, count: u64) {
        self.gap += count;
    }

    /// Appends `segment` to `out` as one block. The final segment carries BFINAL; others end with an empty stored block,
    /// which brings the stream to a byte boundary.
    pub(crate) fn encode(&mut self, segment: &[u8], last: bool, out: &mut Vec<u8>) {
        // Only of the one segment before: what lies before that is behind another gap.
        let keep = (self.text.len() - self.tail).min(TAIL);
        self.text.drain(..self.text.len() - keep);
        self.tail = keep;
        self.text.extend_from_slice(segment);
        self.prepare_table();
        let mut bits = BitWriter { out, pending: 0, count: 0 };
        bits.put(u32::from(last), 1);
        bits.put(0b01, 2); // BTYPE: fixed Huffman codes
        self.encode_text(&mut bits);
        bits.symbol(END_OF_BLOCK);
        if !last {
            bits.put(0b000, 3); // BFINAL=0, BTYPE=00: an empty stored block
        }
        bits.align();
        if !last {
            out.extend_from_slice(&EMPTY_STORED);
        }
        self.gap = 0;
    }

    fn prepare_table(&mut self) {
        // Small segments are one per file: clearing a large table for each would cost more than encoding it.
        let bits = if self.text.len() <= 8 << 10 { 10 } else { 15 };
        self.table.clear();
        self.table.resize(1 << bits, 0);
        for position in 0..self.tail {
            self.remember(position);
        }
    }

    fn encode_text(&mut self, bits: &mut BitWriter<'_>) {
        let mut position = self.tail;
        while position < self.text.len() {
            let (length, distance) = self.longest_match(position);
            let covered = if length >= SHORTEST {
                bits.reference(length, distance);
                length
            } else {
                bits.symbol(u32::from(self.text[position]));
                1
            };
            for passed in position..position + covered {
                self.remember(passed);
            }
            position += covered;
        }
    }

    /// The longest match among the last occurrence of this prefix and a run of the previous byte: (length, distance).
    fn longest_match(&self, position: usize) -> (usize, u32) {
        let run = if position > self.tail { (self.common(position - 1, position), 1) } else { (0, 1) };
        let found = self.slot(position).map_or((0, 1), |slot| self.candidate(slot, position));
        if found.0 > run.0 { found } else { run }
    }

    fn candidate(&self, slot: usize, position: usize) -> (usize, u32) {
        let Some(earlier) = (self.table[slot] as usize).checked_sub(1) else { return (0, 1) };
        let gap = if earlier < self.tail { self.gap } else { 0 };
        let distance = (position - earlier) as u64 + gap;
        if distance > WINDOW {
            return (0, 1);
        }
        (self.common(earlier, position), distance as u32)
    }

    /// How many bytes at `earlier` and at `position` are the same. What was skipped over is not known here, so a match
    /// that begins in the tail ends with it (unless nothing was skipped).
    fn common(&self, earlier: usize, position: usize) -> usize {
        let end = if earlier < self.tail && self.gap > 0 { self.tail } else { self.text.len() };
        let longest = LONGEST.min(self.text.len() - position).min(end - earlier);
        (0..longest).take_while(|&step| self.text[earlier + step] == self.text[position + step]).count()
    }

    fn remember(&mut self, position: usize) {
        if let Some(slot) = self.slot(position) {
            self.table[slot] = position as u32 + 1;
        }
    }

    /// Where the four bytes at `position` have their place in the table (Knuth's multiplicative hash).
    fn slot(&self, position: usize) -> Option<usize> {
        let prefix: [u8; 4] = self.text.get(position..position + 4)?.try_into().ok()?;
        let hash = u32::from_le_bytes(prefix).wrapping_mul(0x9E37_79B1);
        Some((hash >> (32 - self.table.len().trailing_zeros())) as usize)
    }
}

/// LEN and NLEN of an empty stored block (RFC 1951, 3.2.4).
pub(crate) const EMPTY_STORED: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

const END_OF_BLOCK: u32 = 256;

/// RFC 1951, 3.2.5: the base of each length code from 257 on, and how many extra bits follow it.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// RFC 1951, 3.2.5: the base of each distance code, and how many extra bits follow it.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

/// Writes bits from the least significant one up (RFC 1951, 3.1.1).
struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter<'_> {
    fn put(&mut self, value: u32, width: u32) {
        self.pending |= u64::from(value) << self.count;
        self.count += width;
        while self.count >= 8 {
            self.out.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// A Huffman code: written from its most significant bit.
    fn code(&mut self, code: u32, width: u32) {
        self.put(code.reverse_bits() >> (32 - width), width);
    }

    /// A literal, a length code or the end of the block, in the fixed code (RFC 1951, 3.2.6).
    fn symbol(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0b0011_0000 + symbol, 8),
            144..=255 => self.code(0b1_1001_0000 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0b1100_0000 + symbol - 280, 8),
        }
    }

    fn reference(&mut self, length: usize, distance: u32) {
        let (index, extra, width) = coded(&LENGTHS, length as u32);
        self.symbol(257 + index);
        self.put(extra, width);
        let (index, extra, width) = coded(&DISTANCES, distance);
        self.code(index, 5);
        self.put(extra, width);
    }

    fn align(&mut self) {
        self.put(0, (8 - self.count) % 8);
    }
}

/// The code for `value`: its index, the extra bits and how many they are.
fn coded(table: &[(u16, u8)], value: u32) -> (u32, u32, u32) {
    let index = table.partition_point(|&(base, _)| u32::from(base) <= value) - 1;
    let (base, width) = table[index];
    (index as u32, value - u32::from(base), u32::from(width))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn inflate(bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        flate2::read::DeflateDecoder::new(bytes).read_to_end(&mut text).unwrap();
        text
    }

    fn stored(bytes: &[u8], out: &mut Vec<u8>) {
        let length = bytes.len() as u16;
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(bytes);
    }

    #[test]
    fn header_after_header_costs_few_bytes() {
        let mut encoder = GlueEncoder::default();
        let mut header = vec![0; 512];
        header[..30].copy_from_slice(b"usr/local/lib/python3.13/a.py\0");
        let mut first = Vec::new();
        encoder.encode(&header, false, &mut first);
        encoder.skip(2000);
        header[25] = b'b';
        let mut second = Vec::new();
        encoder.encode(&header, false, &mut second);
        assert!(first.len() < 60 && second.len() < 26, "{} {}", first.len(), second.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn segments_with_gaps_inflate_to_what_went_in(
            segments in prop::collection::vec(
                (prop::collection::vec(prop_oneof![Just(0u8), Just(b'a'), any::<u8>()], 0..3000), 0usize..60_000), 1..6),
        ) {
            let mut encoder = GlueEncoder::default();
            let (mut out, mut expected) = (Vec::new(), Vec::new());
            for (index, (segment, gap)) in segments.iter().enumerate() {
                encoder.encode(segment, index + 1 == segments.len(), &mut out);
                expected.extend_from_slice(segment);
                if index + 1 < segments.len() {
                    let between = vec![7; *gap];
                    stored(&between, &mut out);
                    encoder.skip(*gap as u64);
                    expected.extend_from_slice(&between);
                }
            }
            prop_assert_eq!(inflate(&out), expected);
        }
    }
}
