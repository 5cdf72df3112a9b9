//! SHA-256 of the same bytes under two beginnings, for little more than the price of one.
//!
//! Each byte of a wheel is hashed twice: for the layer's diff ID, which began with all entries before, and for the digest
//! that RECORD promises, which begins with the file. In a tar a file begins at a multiple of 512 bytes, so both hashes cut it
//! into the same 64-byte blocks. They share the message schedule, and the processor, which in one hash waits for each round to
//! finish before the next, does the rounds of the other meanwhile. Where there are no SHA instructions, the two are computed one
//! after the other by the `sha2` crate, which also hashes everything else.
#![expect(
    unsafe_code,
    reason = "calling code for an instruction set that was detected; see the SAFETY comment"
)]

use cartwheel_store::Digest;
use sha2::block_api::compress256;

const BLOCK: usize = 64;

/// FIPS 180-4, 5.3.3.
const BEGINNING: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A SHA-256 in progress.
#[derive(Debug, Clone)]
pub(crate) struct Sha256 {
    state: [u32; 8],
    length: u64,
    /// The beginning of a block that is not complete yet; its length is `length` modulo 64.
    tail: [u8; BLOCK],
}

impl Default for Sha256 {
    fn default() -> Self {
        Self { state: BEGINNING, length: 0, tail: [0; BLOCK] }
    }
}

impl Sha256 {
    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let Some(rest) = self.complete_tail(bytes) else { return };
        let (blocks, rest) = rest.as_chunks();
        compress256(&mut self.state, blocks);
        self.keep(rest);
    }

    /// Adds the same bytes to two.
    pub(crate) fn update_both(one: &mut Self, two: &mut Self, bytes: &[u8]) {
        if one.filled() != two.filled() {
            one.update(bytes);
            two.update(bytes);
            return;
        }
        // Both have the same part of a block, so both take the same bytes to complete it.
        let (Some(rest), Some(_)) = (one.complete_tail(bytes), two.complete_tail(bytes)) else { return };
        let (blocks, rest) = rest.as_chunks();
        compress_both(&mut one.state, &mut two.state, blocks);
        one.keep(rest);
        two.keep(rest);
    }

    /// The digest of all bytes added (FIPS 180-4, 5.1.1: a one bit, zeros, the length in bits).
    pub(crate) fn finish(mut self) -> Digest {
        let bits = self.length * 8;
        let zeros = (BLOCK + 55 - self.filled()) % BLOCK;
        let mut padding = [0; 2 * BLOCK];
        padding[0] = 0x80;
        padding[zeros + 1..zeros + 9].copy_from_slice(&bits.to_be_bytes());
        self.update(&padding[..zeros + 9]);
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        Digest::from_bytes(digest)
    }

    fn filled(&self) -> usize {
        (self.length % BLOCK as u64) as usize
    }

    /// Adds the bytes to the incomplete block and gives those after it, all counted; `None` if they do not complete it.
    fn complete_tail<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let filled = self.filled();
        if filled > 0 && filled + bytes.len() < BLOCK {
            self.tail[filled..filled + bytes.len()].copy_from_slice(bytes);
            self.length += bytes.len() as u64;
            return None;
        }
        self.length += bytes.len() as u64;
        if filled == 0 {
            return Some(bytes);
        }
        let (now, rest) = bytes.split_at(BLOCK - filled);
        self.tail[filled..].copy_from_slice(now);
        compress256(&mut self.state, &[self.tail]);
        Some(rest)
    }

    fn keep(&mut self, rest: &[u8]) {
        self.tail[..rest.len()].copy_from_slice(rest);
    }
}

#[cfg(target_arch = "x86_64")]
fn compress_both(one: &mut [u32; 8], two: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    if is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("sse4.1")
        && is_x86_feature_detected!("ssse3")
    {
        // SAFETY: the processor has the instructions that the function is compiled for.
        unsafe { x86::compress_both(one, two, blocks) }
    } else {
        compress_apart(one, two, blocks);
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn compress_both(one: &mut [u32; 8], two: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    compress_apart(one, two, blocks);
}

fn compress_apart(one: &mut [u32; 8], two: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    compress256(one, blocks);
    compress256(two, blocks);
}

/// Intel's SHA extensions: `sha256rnds2` does two rounds on a state held as (A, B, E, F) and (C, D, G, H).
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
        _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
        _mm_shuffle_epi32,
    };

    use super::BLOCK;

    /// FIPS 180-4, 4.2.2.
    #[rustfmt::skip]
    const K: [u32; 64] = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ];

    #[derive(Clone, Copy)]
    struct State {
        abef: __m128i,
        cdgh: __m128i,
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    pub(super) fn compress_both(one: &mut [u32; 8], two: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
        let (mut first, mut second) = (load(one), load(two));
        for block in blocks {
            let (before_first, before_second) = (first, second);
            let mut words = [message(block, 0), message(block, 1), message(block, 2), message(block, 3)];
            for group in 0..16 {
                let index = group % 4;
                if group >= 4 {
                    words[index] = schedule(&words, index);
                }
                let keyed = _mm_add_epi32(words[index], constants(group));
                first = four_rounds(first, keyed);
                second = four_rounds(second, keyed);
            }
            first = add(first, before_first);
            second = add(second, before_second);
        }
        store(first, one);
        store(second, two);
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    #[inline]
    fn four_rounds(state: State, keyed: __m128i) -> State {
        let cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, keyed);
        let abef = _mm_sha256rnds2_epu32(state.abef, cdgh, _mm_shuffle_epi32::<0x0e>(keyed));
        State { abef, cdgh }
    }

    /// The next four words of the schedule, which replace the oldest four (FIPS 180-4, 6.2.2, step 1).
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    #[inline]
    fn schedule(words: &[__m128i; 4], oldest: usize) -> __m128i {
        let word = |age: usize| words[(oldest + age) % 4];
        let sum =
            _mm_add_epi32(_mm_sha256msg1_epu32(word(0), word(1)), _mm_alignr_epi8::<4>(word(3), word(2)));
        _mm_sha256msg2_epu32(sum, word(3))
    }

    /// Four big-endian words of a block.
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    #[inline]
    fn message(block: &[u8; BLOCK], quarter: usize) -> __m128i {
        let (halves, _) = block.as_chunks::<8>();
        let half = |index: usize| i64::from_le_bytes(halves[2 * quarter + index]);
        let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        _mm_shuffle_epi8(_mm_set_epi64x(half(1), half(0)), swap)
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    #[inline]
    fn constants(group: usize) -> __m128i {
        let key = |index: usize| K[4 * group + index].cast_signed();
        _mm_set_epi32(key(3), key(2), key(1), key(0))
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    #[inline]
    #[expect(clippy::many_single_char_names, reason = "the standard's names")]
    fn load(state: &[u32; 8]) -> State {
        let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
        State { abef: _mm_set_epi32(a, b, e, f), cdgh: _mm_set_epi32(c, d, g, h) }
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    #[inline]
    fn store(State { abef, cdgh }: State, state: &mut [u32; 8]) {
        *state = [
            _mm_extract_epi32::<3>(abef),
            _mm_extract_epi32::<2>(abef),
            _mm_extract_epi32::<3>(cdgh),
            _mm_extract_epi32::<2>(cdgh),
            _mm_extract_epi32::<1>(abef),
            _mm_extract_epi32::<0>(abef),
            _mm_extract_epi32::<1>(cdgh),
            _mm_extract_epi32::<0>(cdgh),
        ]
        .map(i32::cast_unsigned);
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    #[inline]
    fn add(one: State, two: State) -> State {
        State { abef: _mm_add_epi32(one.abef, two.abef), cdgh: _mm_add_epi32(one.cdgh, two.cdgh) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_digests() {
        for text in ["", "abc", &"a".repeat(55), &"a".repeat(56), &"a".repeat(64), &"a".repeat(1000)] {
            let mut hash = Sha256::default();
            hash.update(text.as_bytes());
            assert_eq!(hash.finish(), Digest::of(text.as_bytes()), "{}", text.len());
        }
    }

    proptest! {
        /// The slow twin is the store's digest, which is the `sha2` crate's.
        #[test]
        fn two_at_once_are_two_one_after_the_other(
            before in prop::collection::vec(any::<u8>(), 0..200),
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..6),
            after in prop::collection::vec(any::<u8>(), 0..100),
            aligned in any::<bool>(),
        ) {
            let before = if aligned { before.repeat(64) } else { before };
            let (mut one, mut two) = (Sha256::default(), Sha256::default());
            one.update(&before);
            for piece in &pieces {
                Sha256::update_both(&mut one, &mut two, piece);
            }
            one.update(&after);
            prop_assert_eq!(two.finish(), Digest::of(&pieces.concat()));
            prop_assert_eq!(one.finish(), Digest::of(&[before, pieces.concat(), after].concat()));
        }
    }
}
