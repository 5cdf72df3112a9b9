//! The bytes of an entry's content, read for somebody who wants to know what is in it.

use std::fs::File;
use std::io::{self, Read};

use cartwheel_store::Blob;

use super::entry::{Content, Method};
use super::write::{ContentProblem, LayerError};

impl Content {
    /// Reads all of it; for small contents. Nothing that a wheel promises about it is checked: [`super::write()`] does that.
    pub fn read(&self) -> Result<Vec<u8>, LayerError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Range { blob, offset, size } => read_piece(blob, *offset, *size),
            Self::File { path, size } => {
                let failed = |source| LayerError::Read { path: path.clone(), source };
                read_bounded(File::open(path).map_err(failed)?, *size).map_err(failed)
            }
            Self::Member(member) => {
                let raw = read_piece(&member.wheel, member.offset, member.compressed_size)?;
                let corrupt = |_| LayerError::Content {
                    path: member.wheel.path().display().to_string(),
                    problem: ContentProblem::Corrupt,
                };
                match member.method {
                    Method::Stored => Ok(raw),
                    Method::Deflated => {
                        let text = flate2::read::DeflateDecoder::new(&raw[..]);
                        read_bounded(text, member.size).map_err(corrupt)
                    }
                }
            }
        }
    }
}

fn read_piece(blob: &Blob, offset: u64, size: u64) -> Result<Vec<u8>, LayerError> {
    let mut bytes = vec![0; size as usize];
    blob.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn read_bounded(text: impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    text.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}
