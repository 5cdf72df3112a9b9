//! The bound: inflate all entries, hash as many bytes as the tar and the layer have.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cartwheel_python::{Archive, Method};
use cartwheel_store::Blob;
use flate2::{Decompress, FlushDecompress};
use sha2::{Digest, Sha256};

use crate::Result;

/// The same sizes as the engine's own buffers.
const INPUT: usize = 64 << 10;
const OUTPUT: usize = 128 << 10;

/// Bytes of all entries, uncompressed.
pub(crate) fn unpacked(wheels: &[PathBuf]) -> Result<u64> {
    let mut sum = 0;
    for path in wheels {
        let archive = Archive::open(Blob::open(path)?, "wheel")?;
        sum += archive.members().iter().map(|member| member.size).sum::<u64>();
    }
    Ok(sum)
}

/// Inflates and hashes, on one thread.
pub(crate) fn run(wheels: &[PathBuf]) -> Result<Duration> {
    let started = Instant::now();
    let mut decompress = Decompress::new(false);
    let (mut input, mut output) = (vec![0; INPUT], vec![0; OUTPUT]);
    for path in wheels {
        let blob = Blob::open(path)?;
        let archive = Archive::open(blob.clone(), "wheel")?;
        let (mut tar, mut layer) = (Sha256::new(), Sha256::new());
        for member in archive.members() {
            decompress.reset(false);
            // A header and, on average, half a block of padding.
            tar.update([0; 768]);
            for start in (0..member.compressed_size).step_by(INPUT) {
                let length = (member.compressed_size - start).min(INPUT as u64) as usize;
                let bytes = &mut input[..length];
                blob.read_exact_at(bytes, member.offset + start)?;
                layer.update(&bytes);
                if member.method == Method::Stored {
                    tar.update(&bytes);
                    continue;
                }
                let mut rest = &bytes[..];
                loop {
                    let before = (decompress.total_in(), decompress.total_out());
                    decompress.decompress(rest, &mut output, FlushDecompress::None)?;
                    let consumed = (decompress.total_in() - before.0) as usize;
                    let produced = (decompress.total_out() - before.1) as usize;
                    tar.update(&output[..produced]);
                    rest = &rest[consumed..];
                    if produced < OUTPUT && (rest.is_empty() || consumed + produced == 0) {
                        break;
                    }
                }
            }
        }
        std::hint::black_box((tar.finalize(), layer.finalize()));
    }
    Ok(started.elapsed())
}
