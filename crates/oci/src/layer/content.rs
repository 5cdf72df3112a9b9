//! The bytes of an entry's content, read for somebody who wants to know what is in it.
//!
//! Nothing that a wheel promises about them is checked here: [`super::write()`] does that.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cartwheel_store::Digest;
use flate2::read::DeflateDecoder;

use super::entry::{Content, Member, Method};
use super::write::LayerError;

impl Content {
    /// A reader over its bytes, which are not taken into memory.
    pub fn reader(&self) -> Result<Box<dyn Read + '_>, LayerError> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(&bytes[..]),
            Self::Range { blob, offset, size } => Box::new(blob.range(*offset, *size)),
            Self::File { path, size } => Box::new(File::open(path).map_err(failed(path))?.take(*size)),
            Self::Member(member) => member.reader(),
        })
    }

    /// Reads all of it; for small contents.
    pub fn read(&self) -> Result<Vec<u8>, LayerError> {
        let mut bytes = Vec::new();
        self.reader()?.read_to_end(&mut bytes).map_err(failed(self.path()))?;
        Ok(bytes)
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> Result<Digest, LayerError> {
        Digest::of_reader(self.reader()?).map_err(failed(self.path()))
    }

    /// The file that its bytes are in.
    fn path(&self) -> &Path {
        match self {
            Self::Bytes(_) => Path::new(""),
            Self::Range { blob, .. } => blob.path(),
            Self::File { path, .. } => path,
            Self::Member(member) => member.wheel.path(),
        }
    }
}

impl Member {
    fn reader(&self) -> Box<dyn Read> {
        let raw = self.wheel.range(self.offset, self.compressed_size);
        match self.method {
            Method::Stored => Box::new(raw),
            Method::Deflated => Box::new(DeflateDecoder::new(raw).take(self.size)),
        }
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LayerError {
    let path = PathBuf::from(path);
    |source| LayerError::Read { path, source }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use cartwheel_store::Blob;
    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    /// One content of each kind, all with `text` as their bytes.
    fn contents(folder: &Path, text: &[u8]) -> Vec<Content> {
        let path = folder.join("file");
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        let deflated = encoder.finish().unwrap();
        std::fs::write(&path, [text, &deflated, b"what follows"].concat()).unwrap();
        let blob = Blob::open(&path).unwrap();
        let (size, compressed_size) = (text.len() as u64, deflated.len() as u64);
        let stored = Member {
            wheel: blob.clone(),
            offset: 0,
            compressed_size: size,
            size,
            crc32: 0,
            method: Method::Stored,
            expected: None,
        };
        let deflated = Member { offset: size, compressed_size, method: Method::Deflated, ..stored.clone() };
        vec![
            Content::Bytes(text.to_vec()),
            Content::File { path, size },
            Content::Range { blob, offset: 0, size },
            Content::Member(stored),
            Content::Member(deflated),
        ]
    }

    #[test]
    fn all_kinds_are_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        for text in [b"some text".repeat(10_000), Vec::new()] {
            for content in contents(folder.path(), &text) {
                assert!(content.read().unwrap() == text, "{content:?}");
                assert_eq!(content.digest().unwrap(), Digest::of(&text), "{content:?}");
            }
        }
    }

    #[test]
    fn a_range_that_ends_early_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short");
        std::fs::write(&path, "short").unwrap();
        let content = Content::Range { blob: Blob::open(&path).unwrap(), offset: 3, size: 3 };
        let message = format!("could not read `{}`", path.display());
        assert_eq!(content.read().unwrap_err().to_string(), message);
        assert_eq!(content.digest().unwrap_err().to_string(), message);
    }

    #[test]
    fn a_reader_takes_no_more_than_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        // No machine has the memory for all of it.
        let size = 1 << 42;
        File::create(&path).unwrap().set_len(size).unwrap();
        let blob = Blob::open(&path).unwrap();
        for content in [Content::File { path, size }, Content::Range { blob, offset: 0, size }] {
            let mut start = [1; 10];
            content.reader().unwrap().read_exact(&mut start).unwrap();
            assert_eq!(start, [0; 10]);
        }
    }
}
