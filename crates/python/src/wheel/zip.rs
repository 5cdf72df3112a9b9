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
//! catches the runs of small files: 13,187 entries over 400 MB open in 16 ms on a busy machine.
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
        /// Mostly the first read is the only one; but any number of empty blocks may come first.
        const PIECE: u64 = 4096;
        let mut start = vec![0; count];
        let mut inflater = Decompress::new(false);
        let (mut offset, mut rest) = (member.offset, member.compressed_size);
        if member.method == Method::Stored {
            start.truncate(rest.min(count as u64) as usize);
            self.blob.read_exact_at(&mut start, offset)?;
            return Ok(start);
        }
        while rest > 0 && inflater.total_out() < count as u64 {
            let mut input = vec![0; rest.min(PIECE) as usize];
            self.blob.read_exact_at(&mut input, offset)?;
            let room = start.get_mut(inflater.total_out() as usize..).unwrap_or_default();
            let status = inflater.decompress(&input, room, FlushDecompress::None);
            if status.map_err(|_| Defect::BadDeflate.at(&member.name))? == Status::StreamEnd {
                break;
            }
            (offset, rest) = (offset + input.len() as u64, rest - input.len() as u64);
        }
        start.truncate(inflater.total_out() as usize);
        Ok(start)
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

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use proptest::prelude::*;
    use zip::write::SimpleFileOptions;

    use super::*;

    type Content = Vec<(String, Vec<u8>)>;

    fn open(bytes: &[u8]) -> Result<Archive> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Archive::open(Blob::open(file.path()).unwrap(), "x.zip")
    }

    fn content(bytes: &[u8]) -> Result<Content> {
        let archive = open(bytes)?;
        let members = archive.members().iter();
        members.map(|member| Ok((member.name.clone(), archive.read(member)?))).collect()
    }

    fn defect(bytes: &[u8]) -> Defect {
        content(bytes).unwrap_err().defect().unwrap().clone()
    }

    /// Written by somebody else's library.
    fn written(files: &Content, stored: bool) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let method = if stored { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
        for (name, bytes) in files {
            let options = SimpleFileOptions::default().compression_method(method).unix_permissions(0o755);
            writer.start_file(name.as_str(), options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn small() -> (Content, Vec<u8>) {
        let files = [("a/b.py", &b"x = 1\n"[..]), ("\u{e9}", b""), ("c", &[7; 300])];
        let files: Content = files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).into();
        let bytes = written(&files, false);
        (files, bytes)
    }

    #[test]
    fn an_empty_archive_is_sound() {
        assert_eq!(content(&written(&Vec::new(), false)).unwrap(), Vec::new());
    }

    #[test]
    fn modes_tell_executables() {
        let archive = open(&small().1).unwrap();
        assert!(archive.members().iter().all(Member::is_executable));
    }

    /// Whatever byte is changed: the archive is refused, or its names and contents are what they were.
    #[test]
    fn no_changed_bit_changes_content() {
        let (files, bytes) = small();
        let mut refused = 0;
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                match content(&changed) {
                    Ok(found) => assert_eq!(found, files, "byte {place}, bit {bit}"),
                    Err(_) => refused += 1,
                }
            }
        }
        // What remains are times, modes and other notes.
        assert!(refused * 10 > bytes.len() * 8 * 6, "{refused} of {}", bytes.len() * 8);
    }

    #[test]
    fn beginnings_are_found_behind_empty_blocks() {
        use cartwheel_testkit::zip::{Archive as Written, Entry};
        let script = Entry::deflated("script", b"#!python\nprint()\n");
        for blocks in [0, 1, 818, 819, 820, 10_000] {
            let data = [[0, 0, 0, 0xff, 0xff].repeat(blocks), script.data.clone()].concat();
            let size = data.len() as u64;
            let script =
                Entry { data, ..script.clone() }.with_headers(|header| header.compressed_size = size);
            let short = Entry::deflated("short", b"#!py");
            let stored = Entry::stored("stored", b"#!python -s");
            let archive = Written { entries: vec![script, short, stored], ..Written::default() };
            let archive = open(&archive.write().bytes).unwrap();
            let starts = archive.members().iter().map(|member| archive.peek(member, 8).unwrap());
            assert_eq!(
                starts.collect::<Vec<_>>(),
                [&b"#!python"[..], b"#!py", b"#!python"],
                "{blocks} blocks"
            );
        }
    }

    #[test]
    fn no_shorter_or_longer_file_is_accepted() {
        let (_, bytes) = small();
        for place in 0..bytes.len() {
            assert!(content(&bytes[..place]).is_err(), "cut at {place}");
            let longer = [&bytes[..place], b"\0", &bytes[place..]].concat();
            assert!(content(&longer).is_err(), "a byte at {place}");
        }
        assert_eq!(defect(&[&bytes[..], b"x"].concat()), Defect::TrailingData { bytes: 1 });
        assert_eq!(defect(b""), Defect::NoEndRecord);
    }

    #[test]
    fn a_second_fitting_end_record_is_refused() {
        let (_, bytes) = small();
        let end = bytes.len() - 22;
        // An archive comment that is a whole archive: from the front one, from the back the other.
        let mut outer = bytes.clone();
        outer[end + 20..].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
        assert_eq!(defect(&[&outer[..], &bytes].concat()), Defect::AmbiguousEnd);
    }

    /// The local and the central zip64 field of a stored file, in bytes.
    fn with_zip64(local: &[u8], central: &[u8], size: u32) -> Vec<u8> {
        let (data, crc) = (b"12345", crc32fast::hash(b"12345").to_le_bytes());
        let sizes = [5u32.to_le_bytes(), size.to_le_bytes()].concat();
        let field = |value: &[u8]| [&[1, 0], &(value.len() as u16).to_le_bytes()[..], value].concat();
        let (local, central) = (field(local), field(central));
        let start = [&[20, 0][..], &[0; 8], &crc, &sizes, &[1, 0]].concat();
        let mut bytes = [b"PK\x03\x04", &start[..], &[local.len() as u8, 0], b"f", &local, data].concat();
        let directory = bytes.len() as u32;
        let header =
            [b"PK\x01\x02\x14\x03", &start[..], &[central.len() as u8, 0], &[0; 14], b"f", &central].concat();
        bytes.extend(&header);
        bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        bytes.extend([(header.len() as u32).to_le_bytes(), directory.to_le_bytes()].concat());
        bytes.extend([0, 0]);
        bytes
    }

    #[test]
    fn zip64_fields_hold_what_is_left_to_them_or_repeat() {
        let long =
            |values: &[u64]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
        let taken =
            |local: &[u64], central: &[u64], size| content(&with_zip64(&long(local), &long(central), size));
        let expected: Content = vec![("f".to_owned(), b"12345".to_vec())];
        assert_eq!(taken(&[5], &[5], u32::MAX).unwrap(), expected);
        assert_eq!(taken(&[5, 5], &[], 5).unwrap(), expected);
        assert_eq!(taken(&[5, 5], &[5, 5, 0], 5).unwrap(), expected);
        for (local, central, size) in [
            (&[5][..], &[][..], u32::MAX),
            (&[5, 5], &[5], u32::MAX),
            (&[5, 6], &[], 5),
            (&[], &[5, 6], 5),
            (&[], &[5, 5, 1], 5),
            (&[5, 5, 0], &[], 5),
        ] {
            assert!(taken(local, central, size).is_err(), "{local:?} {central:?} {size}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            files in proptest::collection::btree_map("[a-z\u{e9}]{1,9}", proptest::collection::vec(any::<u8>(), 0..3000), 0..8),
            stored: bool,
        ) {
            let files: Content = files.into_iter().collect();
            let bytes = written(&files, stored);
            prop_assert_eq!(content(&bytes).unwrap(), files);
            // The place that the layer engine is told holds the very data.
            for member in open(&bytes).unwrap().members().iter().filter(|member| member.method == Method::Stored) {
                let data = &bytes[member.offset as usize..][..member.compressed_size as usize];
                prop_assert_eq!(crc32fast::hash(data), member.crc32);
            }
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..400) {
            let (_, mut archive) = small();
            let at = at % archive.len();
            archive.splice(at..(at + bytes.len()).min(archive.len()), bytes);
            let _either = content(&archive);
        }
    }
}
