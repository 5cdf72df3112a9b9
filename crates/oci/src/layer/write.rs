//! From a tree to the bytes of a layer.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use cartwheel_store::{Blob, Digest};
use sha2::Digest as _;

use super::compress::PieceCompressor;
use super::deflate::GlueEncoder;
use super::entry::{Content, ContentDigest, Member, Method, Tree};
use super::gzip::{self, Plain};
use super::sha256::Sha256;
use super::splice::{SpliceError, Splicer};
use super::tar;
use crate::DiffId;

/// Compressed bytes are read in pieces of this size.
const INPUT: usize = 64 << 10;

/// The longest stored block (RFC 1951, 3.2.4).
const STORED_BLOCK: usize = 65_535;

/// Glue is encoded in segments of at most this size.
const GLUE: usize = 256 << 10;

/// How a layer's DEFLATE stream is made; see the format essay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Streams of wheels are spliced, the rest is glue.
    Spliced,
    /// Everything is compressed anew, in parallel.
    Compressed,
}

/// A layer that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// The size of the tar in bytes.
    pub tar_size: u64,
}

/// A layer that could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The layer's own bytes could not be written.
    #[error("could not write the layer")]
    Write(#[source] io::Error),
    /// A file could not be read.
    #[error("could not read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A wheel could not be read.
    #[error(transparent)]
    Store(#[from] cartwheel_store::Error),
    /// The content of an entry is not what was promised.
    #[error("`{path}`: {problem}")]
    Content {
        /// The entry's path in the layer.
        path: String,
        /// What is wrong with it.
        problem: ContentProblem,
    },
}

/// What is wrong with the content of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentProblem {
    /// The compressed bytes are not DEFLATE.
    #[error("the compressed data is corrupt")]
    Corrupt,
    /// Bytes follow the end of the compressed data.
    #[error("data follows the end of the compressed stream")]
    TrailingData,
    /// The compressed data ends early.
    #[error("the compressed data is cut short")]
    Truncated,
    /// It is longer or shorter than announced.
    #[error("its size is not the one announced")]
    Size,
    /// Its CRC-32 is not the one in the wheel's directory.
    #[error("its CRC-32 is not the one in the wheel's directory")]
    Crc32,
    /// Its digest is not the one in the wheel's RECORD.
    #[error("its digest is not the one in RECORD")]
    Digest,
}

/// Writes `tree` as a gzip layer.
pub fn write(tree: &Tree, encoding: Encoding, out: &mut dyn Write) -> Result<Written, LayerError> {
    gzip::write_header(out).map_err(LayerError::Write)?;
    let mut writer = LayerWriter::new(out, Body::new(encoding));
    writer.tree(tree)?;
    let LayerWriter { out, plain, body, .. } = writer;
    body.finish(out).and_then(|()| gzip::write_trailer(&plain, out)).map_err(LayerError::Write)?;
    let (digest, tar_size) = plain.finish();
    Ok(Written { diff_id: DiffId::new(digest), tar_size })
}

/// Writes `tree` as a tar that is not compressed: an image's files for whoever wants no image.
pub fn write_tar(tree: &Tree, out: &mut dyn Write) -> Result<(), LayerError> {
    LayerWriter::new(out, Body::Plain).tree(tree)
}

impl Content {
    /// Writes all of it, checked as [`write()`] checks it; `path` is for messages.
    pub fn write(&self, path: &str, out: &mut dyn Write) -> Result<(), LayerError> {
        LayerWriter::new(out, Body::Plain).content(path, self)
    }
}

/// The compressed side of a layer: chosen once, by the [`Encoding`].
enum Body {
    Spliced(Glue),
    Compressed(PieceCompressor),
    /// The tar itself.
    Plain,
}

impl Body {
    fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Spliced => Self::Spliced(Glue::default()),
            Encoding::Compressed => Self::Compressed(PieceCompressor::new()),
        }
    }

    /// Adds bytes that are not compressed yet.
    fn text(&mut self, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Spliced(glue) => glue.push(bytes, out),
            Self::Compressed(pieces) => pieces.push(bytes, out),
            Self::Plain => out.write_all(bytes),
        }
    }

    /// Where compressed streams go as they are; `None` if everything is compressed anew.
    fn splices(&mut self) -> Option<&mut Glue> {
        match self {
            Self::Spliced(glue) => Some(glue),
            Self::Compressed(_) | Self::Plain => None,
        }
    }

    /// Ends the stream.
    fn finish(self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Spliced(mut glue) => glue.flush(true, out),
            Self::Compressed(pieces) => pieces.finish(out),
            Self::Plain => Ok(()),
        }
    }
}

/// What lies between spliced streams.
#[derive(Default)]
struct Glue {
    encoder: GlueEncoder,
    /// Not encoded yet.
    pending: Vec<u8>,
    encoded: Vec<u8>,
}

impl Glue {
    fn push(&mut self, mut bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        // Cut by position, not by call: the bytes of a layer must not depend on how its content was handed over.
        while self.pending.len() + bytes.len() > GLUE {
            let (now, later) = bytes.split_at(GLUE - self.pending.len());
            self.pending.extend_from_slice(now);
            self.flush(false, out)?;
            bytes = later;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes a piece of compressed stream, byte-aligned, that stands for `size` bytes.
    fn splice(&mut self, bytes: &[u8], size: u64, out: &mut dyn Write) -> io::Result<()> {
        self.flush(false, out)?;
        self.encoder.skip(size);
        out.write_all(bytes)
    }

    fn flush(&mut self, last: bool, out: &mut dyn Write) -> io::Result<()> {
        if self.pending.is_empty() && !last {
            return Ok(());
        }
        self.encoded.clear();
        self.encoder.encode(&self.pending, last, &mut self.encoded);
        self.pending.clear();
        out.write_all(&self.encoded)
    }
}

struct LayerWriter<'a> {
    out: &'a mut dyn Write,
    plain: Plain,
    body: Body,
    splicer: Splicer,
    input: Vec<u8>,
}

impl<'a> LayerWriter<'a> {
    fn new(out: &'a mut dyn Write, body: Body) -> Self {
        Self { out, plain: Plain::default(), body, splicer: Splicer::new(), input: vec![0; INPUT] }
    }

    /// All entries, and the archive's end.
    fn tree(&mut self, tree: &Tree) -> Result<(), LayerError> {
        for (path, entry) in tree.iter() {
            let mut header = Vec::with_capacity(3 * tar::BLOCK);
            tar::append_header(path, entry, &mut header);
            self.plain(&header)?;
            if let Some(content) = entry.kind.content() {
                self.content(path, content)?;
                self.plain(&tar::END[..tar::padding(content.size())])?;
            }
        }
        self.plain(&tar::END)
    }

    fn plain(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.plain.update(bytes);
        self.body.text(bytes, self.out).map_err(LayerError::Write)
    }

    fn content(&mut self, path: &str, content: &Content) -> Result<(), LayerError> {
        match content {
            Content::Bytes(bytes) => self.plain(bytes),
            Content::File { path: file, size } => self.file(path, file, *size),
            Content::Range { blob, offset, size } => self.range(blob, *offset, *size),
            Content::Member(member) => self.member(path, member),
        }
    }

    fn range(&mut self, blob: &Blob, offset: u64, size: u64) -> Result<(), LayerError> {
        let mut buffer = vec![0; size.min(INPUT as u64) as usize];
        for start in (0..size).step_by(INPUT) {
            let bytes = &mut buffer[..(size - start).min(INPUT as u64) as usize];
            blob.read_exact_at(bytes, offset.saturating_add(start))?;
            self.plain(bytes)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &str, file: &PathBuf, size: u64) -> Result<(), LayerError> {
        let read = |source| LayerError::Read { path: file.clone(), source };
        let mut reader = File::open(file).map_err(read)?.take(size + 1);
        let mut buffer = vec![0; INPUT];
        let mut seen = 0;
        loop {
            let count = reader.read(&mut buffer).map_err(read)?;
            seen += count as u64;
            // A file that changes while it is packed would give a tar that no reader understands.
            if seen > size || (count == 0 && seen < size) {
                return Err(LayerError::Content { path: path.to_owned(), problem: ContentProblem::Size });
            }
            if count == 0 {
                return Ok(());
            }
            self.plain(&buffer[..count])?;
        }
    }

    fn member(&mut self, path: &str, member: &Member) -> Result<(), LayerError> {
        let mut check = Check::new(member.expected.as_ref());
        let seen = match member.method {
            Method::Stored => self.stored(member, &mut check)?,
            Method::Deflated => self.deflated(path, member, &mut check)?,
        };
        let problem = check.problem(seen, member);
        self.plain.combine(&check.crc32);
        problem.map_or(Ok(()), |problem| Err(LayerError::Content { path: path.to_owned(), problem }))
    }

    fn stored(&mut self, member: &Member, check: &mut Check) -> Result<u64, LayerError> {
        let mut buffer = vec![0; STORED_BLOCK];
        for start in (0..member.compressed_size).step_by(STORED_BLOCK) {
            let length = (member.compressed_size - start).min(STORED_BLOCK as u64) as u16;
            let bytes = &mut buffer[..usize::from(length)];
            member.wheel.read_exact_at(bytes, member.offset + start)?;
            check.update(bytes, &mut self.plain);
            let written = match self.body.splices() {
                Some(glue) => {
                    let [low, high] = length.to_le_bytes();
                    // BFINAL=0, BTYPE=00, LEN, NLEN (RFC 1951, 3.2.4).
                    let header = [0, low, high, !low, !high];
                    glue.splice(&header, 0, self.out)
                        .and_then(|()| glue.splice(bytes, length.into(), self.out))
                }
                None => self.body.text(bytes, self.out),
            };
            written.map_err(LayerError::Write)?;
        }
        Ok(member.compressed_size)
    }

    fn deflated(&mut self, path: &str, member: &Member, check: &mut Check) -> Result<u64, LayerError> {
        let corrupt = |error| LayerError::Content { path: path.to_owned(), problem: problem_of(error) };
        let Self { out, plain, body, splicer, input } = self;
        let before = plain.size();
        splicer.begin(member.size);
        let mut written = Ok(());
        for start in (0..member.compressed_size).step_by(INPUT) {
            let length = (member.compressed_size - start).min(INPUT as u64) as usize;
            let bytes = &mut input[..length];
            member.wheel.read_exact_at(bytes, member.offset + start)?;
            let mut passed = 0;
            let fed = splicer.feed(bytes, |text| {
                passed += text.len() as u64;
                check.update(text, plain);
                if body.splices().is_none() && written.is_ok() {
                    written = body.text(text, out);
                }
            });
            fed.map_err(corrupt)?;
            if let Some(glue) = body.splices() {
                written = glue.splice(bytes, passed, out);
            }
            std::mem::replace(&mut written, Ok(())).map_err(LayerError::Write)?;
        }
        let end = splicer.finish().map_err(corrupt)?;
        if let Some(glue) = body.splices() {
            glue.splice(end, 0, out).map_err(LayerError::Write)?;
        }
        Ok(plain.size() - before)
    }
}

fn problem_of(error: SpliceError) -> ContentProblem {
    match error {
        SpliceError::Corrupt => ContentProblem::Corrupt,
        SpliceError::TrailingData => ContentProblem::TrailingData,
        SpliceError::Truncated => ContentProblem::Truncated,
        SpliceError::TooLong => ContentProblem::Size,
    }
}

/// Checks a member's bytes as they go by.
struct Check {
    crc32: crc32fast::Hasher,
    digest: Option<Promise>,
}

/// The digest that RECORD promises, and the one that is being computed.
enum Promise {
    Sha256(Sha256, Digest),
    Sha384(sha2::Sha384, Box<[u8; 48]>),
    Sha512(sha2::Sha512, Box<[u8; 64]>),
}

impl Check {
    fn new(expected: Option<&ContentDigest>) -> Self {
        let digest = expected.map(|expected| match expected {
            ContentDigest::Sha256(digest) => Promise::Sha256(Sha256::default(), *digest),
            ContentDigest::Sha384(bytes) => Promise::Sha384(sha2::Sha384::new(), bytes.clone()),
            ContentDigest::Sha512(bytes) => Promise::Sha512(sha2::Sha512::new(), bytes.clone()),
        });
        Self { crc32: crc32fast::Hasher::new(), digest }
    }

    /// Adds bytes to what is checked here and to the layer's own digest.
    fn update(&mut self, bytes: &[u8], plain: &mut Plain) {
        self.crc32.update(bytes);
        match &mut self.digest {
            Some(Promise::Sha256(hasher, _)) => return plain.hash_with(hasher, bytes),
            Some(Promise::Sha384(hasher, _)) => hasher.update(bytes),
            Some(Promise::Sha512(hasher, _)) => hasher.update(bytes),
            None => {}
        }
        plain.hash(bytes);
    }

    fn problem(&mut self, seen: u64, member: &Member) -> Option<ContentProblem> {
        let kept = match self.digest.take() {
            Some(Promise::Sha256(hasher, expected)) => hasher.finish() == expected,
            Some(Promise::Sha384(hasher, expected)) => hasher.finalize()[..] == expected[..],
            Some(Promise::Sha512(hasher, expected)) => hasher.finalize()[..] == expected[..],
            None => true,
        };
        match () {
            () if seen != member.size => Some(ContentProblem::Size),
            () if self.crc32.clone().finalize() != member.crc32 => Some(ContentProblem::Crc32),
            () if !kept => Some(ContentProblem::Digest),
            () => None,
        }
    }
}
