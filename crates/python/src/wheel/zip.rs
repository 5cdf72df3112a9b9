//! The zip file that a wheel is, read strictly.
//!
//! # What is accepted
//!
//! A zip says everything twice, once in front of each file and once in the central directory at its end, and programs
//! differ in which of the two they believe, in where they begin to read and in what they skip. Whatever two programs
//! read differently, an attacker shows to the scanner in one way and to the installer in the other. So this reader
//! accepts only files about which no two programs can disagree:
//!
//! ```text
//! ┌──────────────┬──────┬────────────┬─ ─ ─┬───────────────────┬──────────────────────┬────────────┬─────────┐
//! │ local header │ data │ descriptor │  …  │ central directory │ zip64 end + locator  │ end record │ comment │
//! └──────────────┴──────┴────────────┴─ ─ ─┴───────────────────┴──────────────────────┴────────────┴─────────┘
//! 0                        (if flagged)                          (if needed)                          end of file
//! ```
//!
//! The pieces tile the file: each begins where the one before it ends, nothing lies between, before or behind them,
//! and nothing is used twice. What is said twice is said alike. What is accepted is then exactly what CPython's
//! `zipfile`, and so pip, would unpack. Each refusal is a [`Defect`]; why it is one stands in `docs/wheels.md`.
//!
//! # How it is read
//!
//! By position, never mapped. A mapped wheel counts as resident memory (torch alone would take twice the bound that
//! cartwheel keeps), and a file that is cut short behind a mapping kills the process, where a read returns an error.
//! The central directory is one read; the local headers, which lie between the data, are read through a window that
//! catches the runs of small files: a directory of 13,000 entries opens in a few milliseconds.
//!
//! Nothing is allocated because a file asks for it: the directory must lie within the file and below a limit, and
//! content grows as bytes arrive.
//!
//! # What is left to others
//!
//! Opening does not decompress. [`Archive::read`] and [`Archive::each_chunk`] do, and check size, CRC and that the
//! compressed data ends where the directory says; they are for metadata and for tests. The layer engine takes offset,
//! sizes and CRC of a [`Member`] and checks the same three in its own single pass.

mod directory;
mod fields;
mod header;
mod member_name;

use cartwheel_store::Blob;
use flate2::{Decompress, FlushDecompress, Status};

use self::directory::Directory;
use self::header::{CentralHeader, LocalHeader, Window};
use super::defect::{Defect, Refusal};
use crate::error::Result;

pub(crate) use self::member_name::file_above;

/// An opened zip: its entries, all headers checked.
#[derive(Debug, Clone)]
pub struct Archive {
    blob: Blob,
    label: String,
    members: Vec<Member>,
}

/// One entry of an [`Archive`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path in the archive; a folder's ends with `/`.
    pub name: String,
    /// How its data is stored.
    pub method: Method,
    /// Where its data begins in the file.
    pub offset: u64,
    /// How many bytes its data has in the file.
    pub compressed_size: u64,
    /// How many bytes it has unpacked.
    pub size: u64,
    /// The CRC-32 of the unpacked bytes.
    pub crc32: u32,
    /// Its Unix mode with the file type, or 0 if the maker did not say.
    pub mode: u16,
}

/// How the data of a [`Member`] is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As it is.
    Stored,
    /// As one raw DEFLATE stream.
    Deflated,
}

/// How much more than its own size a wheel may unpack to, once that is more than [`BOMB_FLOOR`]: the package index
/// refuses uploads beyond the same bounds, so no wheel that it serves comes near.
const BOMB_RATIO: u64 = 50;
/// What may be unpacked from any wheel, however small.
const BOMB_FLOOR: u64 = 64 << 20;

impl Member {
    /// Whether it is a folder, which has no content.
    pub fn is_folder(&self) -> bool {
        self.name.ends_with('/')
    }

    /// Whether pip would make it executable: a mode that says regular file and any `x`.
    pub fn is_executable(&self) -> bool {
        const FILE_TYPE: u16 = 0o170_000;
        const REGULAR: u16 = 0o100_000;
        self.mode & FILE_TYPE == REGULAR && self.mode & 0o111 != 0
    }
}

impl Archive {
    /// Reads and checks all headers. `label` names the file in errors.
    pub fn open(blob: Blob, label: &str) -> Result<Self> {
        let members = read_members(&blob).map_err(|refusal| refusal.of(label))?;
        Ok(Self { blob, label: label.to_owned(), members })
    }

    /// The entries, in the order of the central directory.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The entry of this name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// The file it was opened from.
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// Unpacks one entry piece by piece and checks it; the last piece may come before an error.
    pub fn each_chunk(&self, member: &Member, sink: impl FnMut(&[u8])) -> Result<()> {
        self.unpack(member, sink).map_err(|refusal| refusal.at(&member.name).of(&self.label))
    }

    /// Unpacks one entry into memory and checks it.
    pub fn read(&self, member: &Member) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        self.each_chunk(member, |bytes| content.extend_from_slice(bytes))?;
        Ok(content)
    }

    /// [`Archive::read`] for files that are small in every honest wheel.
    pub(crate) fn read_limited(&self, member: &Member, limit: u64) -> Result<Vec<u8>, Refusal> {
        if member.size > limit {
            return Err(Defect::TooLarge { size: member.size, limit }.at(&member.name));
        }
        let mut content = Vec::new();
        self.unpack(member, |bytes| content.extend_from_slice(bytes))
            .map_err(|refusal| refusal.at(&member.name))?;
        Ok(content)
    }

    /// The first bytes of an entry, unchecked: enough to see whether a script begins with `#!python`.
    pub(crate) fn peek(&self, member: &Member, count: usize) -> Result<Vec<u8>, Refusal> {
        // A deflated beginning needs its whole block header first, which takes at most a few hundred bytes.
        let mut input = vec![0; member.compressed_size.min(4096) as usize];
        self.blob.read_exact_at(&mut input, member.offset)?;
        if member.method == Method::Deflated {
            let mut output = vec![0; count];
            let mut inflater = Decompress::new(false);
            inflater
                .decompress(&input, &mut output, FlushDecompress::Sync)
                .map_err(|_| Defect::BadDeflate.at(&member.name))?;
            output.truncate(inflater.total_out() as usize);
            input = output;
        }
        input.truncate(count);
        Ok(input)
    }

    fn unpack(&self, member: &Member, mut sink: impl FnMut(&[u8])) -> Result<(), Refusal> {
        let mut crc = crc32fast::Hasher::new();
        let mut size = 0;
        let mut checked = |bytes: &[u8]| {
            crc.update(bytes);
            size += bytes.len() as u64;
            sink(bytes);
            if size > member.size { Err(Defect::SizeMismatch { expected: member.size }) } else { Ok(()) }
        };
        match member.method {
            Method::Stored => self.each_input(member, |bytes| checked(bytes).map_err(Refusal::from))?,
            Method::Deflated => self.inflate(member, checked)?,
        }
        let found = crc.finalize();
        if size != member.size {
            Err(Defect::SizeMismatch { expected: member.size }.into())
        } else if found != member.crc32 {
            Err(Defect::CrcMismatch { expected: member.crc32, found }.into())
        } else {
            Ok(())
        }
    }

    fn inflate(
        &self,
        member: &Member,
        mut sink: impl FnMut(&[u8]) -> Result<(), Defect>,
    ) -> Result<(), Refusal> {
        let mut inflater = Decompress::new(false);
        let mut output = vec![0; 64 << 10];
        let mut ended = false;
        self.each_input(member, |mut input| {
            while !input.is_empty() && !ended {
                let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
                let status = inflater.decompress(input, &mut output, FlushDecompress::None);
                ended = status.map_err(|_| Defect::BadDeflate)? == Status::StreamEnd;
                let made = (inflater.total_out() - before_out) as usize;
                sink(output.get(..made).unwrap_or_default())?;
                input = input.get((inflater.total_in() - before_in) as usize..).unwrap_or_default();
            }
            Ok(())
        })?;
        // The input is at its end; what it made may not all be out yet.
        while !ended {
            let before = inflater.total_out();
            let status = inflater.decompress(&[], &mut output, FlushDecompress::Finish);
            ended = status.map_err(|_| Defect::BadDeflate)? == Status::StreamEnd;
            let made = (inflater.total_out() - before) as usize;
            if made == 0 && !ended {
                return Err(Defect::BadDeflate.into());
            }
            sink(output.get(..made).unwrap_or_default())?;
        }
        match member.compressed_size - inflater.total_in() {
            0 => Ok(()),
            bytes => Err(Defect::HiddenCompressedData { bytes }.into()),
        }
    }

    /// Gives the bytes of a member as they lie in the file.
    fn each_input(
        &self,
        member: &Member,
        mut sink: impl FnMut(&[u8]) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut buffer = vec![0; member.compressed_size.min(64 << 10) as usize];
        let (mut offset, end) = (member.offset, member.offset + member.compressed_size);
        while offset < end {
            let count = (end - offset).min(buffer.len() as u64) as usize;
            let input = buffer.get_mut(..count).unwrap_or_default();
            self.blob.read_exact_at(input, offset)?;
            sink(input)?;
            offset += count as u64;
        }
        Ok(())
    }
}

fn read_members(blob: &Blob) -> Result<Vec<Member>, Refusal> {
    let directory = Directory::locate(blob)?;
    let bytes = directory.read(blob)?;
    let headers = directory.headers(&bytes)?;
    member_name::check_all(&headers)?;
    check_ratio(&headers, blob.size())?;
    tile(blob, &headers, directory.offset)
}

fn check_ratio(headers: &[CentralHeader<'_>], file_size: u64) -> Result<(), Defect> {
    let size = headers.iter().fold(0u64, |sum, header| sum.saturating_add(header.size));
    if size > BOMB_FLOOR && size / BOMB_RATIO > file_size {
        return Err(Defect::Bomb { size, ratio: BOMB_RATIO });
    }
    Ok(())
}

/// Walks the file from its first byte to the central directory: every byte belongs to exactly one entry.
fn tile(blob: &Blob, headers: &[CentralHeader<'_>], directory: u64) -> Result<Vec<Member>, Refusal> {
    let mut order: Vec<(usize, &CentralHeader<'_>)> = headers.iter().enumerate().collect();
    order.sort_by_key(|(_, header)| header.offset);
    let mut window = Window::new(blob, directory);
    let mut placed = Vec::with_capacity(headers.len());
    let mut end = 0;
    for (index, header) in order {
        adjoins(end, header.offset).map_err(|defect| defect.at(header.name))?;
        let local = LocalHeader::read(&mut window, header).map_err(|refusal| refusal.at(header.name))?;
        end = local.end;
        placed.push((index, header.member(local.data)));
    }
    adjoins(end, directory)?;
    placed.sort_by_key(|(index, _)| *index);
    Ok(placed.into_iter().map(|(_, member)| member).collect())
}

fn adjoins(end: u64, next: u64) -> Result<(), Defect> {
    match next.checked_sub(end) {
        Some(0) => Ok(()),
        Some(bytes) if end == 0 => Err(Defect::PrependedData { bytes }),
        Some(bytes) => Err(Defect::HiddenData { offset: end, bytes }),
        None => Err(Defect::Overlap),
    }
}
