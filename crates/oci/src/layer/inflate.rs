//! Inflate that stops at block boundaries: the one place in cartwheel that calls C-shaped code.
//!
//! zlib's `Z_BLOCK` is the only interface among the well-kept inflaters that says at which *bit* a block ends, which is
//! what splicing needs (see [`super::splice`]). It exists only as zlib's C interface, here from `libz-rs-sys`, which is
//! written in Rust. Everything unsafe about it is in this file, and nothing of it leaves: callers see slices in, counts
//! and a [`Stop`] out.
#![expect(unsafe_code, reason = "zlib's streaming interface takes raw pointers; see the SAFETY comments")]

use std::ffi::c_int;
use std::ptr;

use libz_rs_sys as zlib;

/// Raw DEFLATE: no zlib or gzip header, the largest window.
const RAW_WINDOW_BITS: c_int = -15;

/// In `data_type` after `Z_BLOCK`: the stop is right after a block's end (zlib.h, `inflate`).
const AT_BLOCK_END: c_int = 128;
/// In `data_type`: the block being decoded is the stream's last.
const IN_LAST_BLOCK: c_int = 64;
/// In `data_type`: how many bits of the bytes consumed so far are not used yet.
const UNUSED_BITS: c_int = 63;

/// zlib compares this with its own, to notice a caller compiled against another version.
#[expect(clippy::cast_possible_wrap, reason = "a struct of some hundred bytes")]
const STREAM_SIZE: c_int = size_of::<zlib::z_stream>() as c_int;

/// A raw DEFLATE decoder that can be used for one stream after another.
pub(crate) struct Inflater {
    /// Boxed because zlib keeps a pointer from its state back to the stream and checks it.
    stream: Box<zlib::z_stream>,
}

/// What one call of [`Inflater::step`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Input bytes taken.
    pub(crate) consumed: usize,
    /// Output bytes written.
    pub(crate) produced: usize,
    /// Why it stopped.
    pub(crate) stop: Stop,
}

/// Why [`Inflater::step`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It wants more input, or more room for output.
    Starved,
    /// A block ended; `unused_bits` of the consumed input belong to what follows.
    BlockEnd { unused_bits: u32, last: bool },
}

/// The bytes are not a DEFLATE stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Corrupt;

impl Inflater {
    pub(crate) fn new() -> Self {
        let mut stream = Box::new(zlib::z_stream::default());
        // SAFETY: `stream` is a valid, exclusively borrowed `z_stream` with zlib's default allocators, and the version
        // and size are those of the library that this file is compiled against.
        let code = unsafe {
            zlib::inflateInit2_(&raw mut *stream, RAW_WINDOW_BITS, zlib::zlibVersion(), STREAM_SIZE)
        };
        assert_eq!(
            code,
            zlib::Z_OK,
            "invariant: inflateInit2 fails only without memory or with a wrong version"
        );
        Self { stream }
    }

    /// Forgets the stream so far and begins a new one.
    pub(crate) fn reset(&mut self) {
        // SAFETY: `stream` was initialised by `new` and is exclusively borrowed.
        let code = unsafe { zlib::inflateReset(&raw mut *self.stream) };
        assert_eq!(code, zlib::Z_OK, "invariant: the state was made by inflateInit2");
    }

    /// Decodes from `input` into `output` until a block ends, the input is used up or the output is full.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Corrupt> {
        let available = (as_uint(input.len()), as_uint(output.len()));
        self.stream.next_in = input.as_ptr();
        self.stream.avail_in = available.0;
        self.stream.next_out = output.as_mut_ptr();
        self.stream.avail_out = available.1;
        // SAFETY: the state was made by `inflateInit2_`. `next_in`/`avail_in` describe `input` and `next_out`/`avail_out`
        // describe `output` (never more than their lengths), both of which outlive the call; they do not overlap, because
        // one is borrowed shared and the other exclusively. inflate only reads the first and only writes the second.
        let code = unsafe { zlib::inflate(&raw mut *self.stream, zlib::Z_BLOCK) };
        let consumed = (available.0 - self.stream.avail_in) as usize;
        let produced = (available.1 - self.stream.avail_out) as usize;
        // The slices end with this call: leave no pointer into them behind.
        self.stream.next_in = ptr::null();
        self.stream.next_out = ptr::null_mut();
        let state = self.stream.data_type;
        let stop = match code {
            zlib::Z_OK | zlib::Z_BUF_ERROR if state & AT_BLOCK_END != 0 => Stop::BlockEnd {
                unused_bits: (state & UNUSED_BITS).cast_unsigned(),
                last: state & IN_LAST_BLOCK != 0,
            },
            zlib::Z_OK | zlib::Z_BUF_ERROR => Stop::Starved,
            _ => return Err(Corrupt),
        };
        Ok(Step { consumed, produced, stop })
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // SAFETY: the state was made by `inflateInit2_` and is ended once.
        let _only_fails_on_foreign_state = unsafe { zlib::inflateEnd(&raw mut *self.stream) };
    }
}

/// zlib counts in `uInt`: what does not fit is left for the next call.
fn as_uint(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_at_the_end_of_the_last_block() {
        // An empty fixed block: BFINAL=1, BTYPE=01, end-of-block = 7 zero bits: 10 bits.
        let mut inflater = Inflater::new();
        let step = inflater.step(&[0x03, 0x00], &mut [0; 8]).unwrap();
        assert_eq!(
            step,
            Step { consumed: 2, produced: 0, stop: Stop::BlockEnd { unused_bits: 6, last: true } }
        );
    }

    #[test]
    fn garbage_is_corrupt() {
        assert_eq!(Inflater::new().step(&[0xff; 4], &mut [0; 8]), Err(Corrupt));
    }
}
