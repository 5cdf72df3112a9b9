//! Zip archives, byte by byte.
//!
//! A library that writes zips writes good ones. Here an archive is first described (an [`Archive`] of [`Entry`]s, all
//! of whose fields are public) and then written as it stands, without any check: what is wrong in the description is
//! wrong in the bytes. For what no description can say, [`Archive::write`] returns where each structure begins, so
//! that a test can cut or patch there.
//!
//! The layout is that of PKWARE's APPNOTE: local headers with their data, the central directory, and the end records.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// The method number of a stored entry.
pub const STORED: u16 = 0;
/// The method number of a deflated entry.
pub const DEFLATED: u16 = 8;
/// The flag bit that says: sizes and CRC follow the data.
pub const FLAG_DESCRIPTOR: u16 = 1 << 3;
/// The flag bit that says: the name is UTF-8.
pub const FLAG_UTF8: u16 = 1 << 11;

const UNIX: u16 = 0x0300;
const VERSION_DEFLATE: u16 = 20;
const VERSION_ZIP64: u16 = 45;

/// What a local or a central header says about an entry.
#[derive(Debug, Clone)]
pub struct Header {
    /// The name, which need not be UTF-8.
    pub name: Vec<u8>,
    /// General purpose flags.
    pub flags: u16,
    /// Compression method.
    pub method: u16,
    /// CRC-32 of the content.
    pub crc: u32,
    /// Size of the data in the archive.
    pub compressed_size: u64,
    /// Size of the content.
    pub size: u64,
    /// Extra fields, written before the zip64 one that the writer adds.
    pub extra: Vec<u8>,
    /// Whether sizes (and in the central header the offset) go into a zip64 extra field.
    pub is_zip64: bool,
}

/// How the sizes and the CRC are repeated after the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// With the signature that everybody writes.
    Signed,
    /// Without it, as the specification once had it.
    Bare,
}

/// One file of an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What stands before the data.
    pub local: Header,
    /// What stands in the central directory.
    pub central: Header,
    /// The data as it lies in the archive.
    pub data: Vec<u8>,
    /// What follows the data.
    pub descriptor: Option<Descriptor>,
    /// The upper half holds the Unix mode.
    pub external_attributes: u32,
    /// Which system and version made it.
    pub version_made_by: u16,
    /// The comment in the central directory.
    pub comment: Vec<u8>,
    /// The local header's offset, if the central directory shall lie about it.
    pub offset: Option<u64>,
}

impl Entry {
    /// A deflated regular file of mode 0644.
    pub fn deflated(name: &str, content: &[u8]) -> Self {
        Self::new(name, content, DEFLATED, deflate(content))
    }

    /// A stored regular file of mode 0644.
    pub fn stored(name: &str, content: &[u8]) -> Self {
        Self::new(name, content, STORED, content.to_vec())
    }

    fn new(name: &str, content: &[u8], method: u16, data: Vec<u8>) -> Self {
        let header = Header {
            name: name.as_bytes().to_vec(),
            flags: if name.is_ascii() { 0 } else { FLAG_UTF8 },
            method,
            crc: crc32fast::hash(content),
            compressed_size: data.len() as u64,
            size: content.len() as u64,
            extra: Vec::new(),
            is_zip64: false,
        };
        Self {
            local: header.clone(),
            central: header,
            data,
            descriptor: None,
            external_attributes: 0o100_644 << 16,
            version_made_by: UNIX + VERSION_DEFLATE,
            comment: Vec::new(),
            offset: None,
        }
    }

    /// The same with both headers changed alike.
    #[must_use]
    pub fn with_headers(mut self, change: impl Fn(&mut Header)) -> Self {
        change(&mut self.local);
        change(&mut self.central);
        self
    }

    /// The same with this Unix mode, file type included (`0o100755`).
    #[must_use]
    pub fn with_mode(mut self, mode: u32) -> Self {
        self.external_attributes = mode << 16;
        self
    }

    /// The same with sizes in zip64 extra fields.
    #[must_use]
    pub fn with_zip64(self) -> Self {
        self.with_headers(|header| header.is_zip64 = true)
    }

    /// The same with sizes and CRC after the data instead of before.
    #[must_use]
    pub fn with_descriptor(mut self, descriptor: Descriptor) -> Self {
        self.descriptor = Some(descriptor);
        self.local.crc = 0;
        self.local.size = 0;
        self.local.compressed_size = 0;
        self.with_headers(|header| header.flags |= FLAG_DESCRIPTOR)
    }

    /// The name, if it is UTF-8; only for tests' own look-ups.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.central.name).unwrap_or_default()
    }
}

/// An archive, described.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    /// Bytes before the first local header; offsets count from the file's start all the same.
    pub prefix: Vec<u8>,
    /// The files.
    pub entries: Vec<Entry>,
    /// Bytes between the last entry and the central directory.
    pub gap: Vec<u8>,
    /// The archive's comment.
    pub comment: Vec<u8>,
    /// Bytes after the end record.
    pub suffix: Vec<u8>,
    /// Whether to write the zip64 end record and its locator.
    pub is_zip64: bool,
}

/// The bytes of an archive and where its structures begin.
#[derive(Debug, Clone)]
pub struct Written {
    /// The archive.
    pub bytes: Vec<u8>,
    /// Each entry's local header.
    pub locals: Vec<usize>,
    /// Each entry's data.
    pub data: Vec<usize>,
    /// Each entry's central header.
    pub centrals: Vec<usize>,
    /// The zip64 end record; its locator is 56 bytes further.
    pub zip64_end: Option<usize>,
    /// The end record.
    pub end: usize,
}

impl Written {
    /// The same with the 16 bits at `offset` replaced.
    #[must_use]
    pub fn with_u16(mut self, offset: usize, value: u16) -> Self {
        self.bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// The same with the 32 bits at `offset` replaced.
    #[must_use]
    pub fn with_u32(mut self, offset: usize, value: u32) -> Self {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// The same with the 64 bits at `offset` replaced.
    #[must_use]
    pub fn with_u64(mut self, offset: usize, value: u64) -> Self {
        self.bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        self
    }
}

impl Archive {
    /// Writes it as it stands.
    pub fn write(&self) -> Written {
        let mut bytes = self.prefix.clone();
        let (mut locals, mut data, mut centrals) = (Vec::new(), Vec::new(), Vec::new());
        for entry in &self.entries {
            locals.push(bytes.len());
            push_local(&mut bytes, &entry.local);
            data.push(bytes.len());
            bytes.extend(&entry.data);
            push_descriptor(&mut bytes, entry);
        }
        bytes.extend(&self.gap);
        let directory = bytes.len();
        for (entry, &offset) in self.entries.iter().zip(&locals) {
            centrals.push(bytes.len());
            push_central(&mut bytes, entry, entry.offset.unwrap_or(offset as u64));
        }
        let size = bytes.len() - directory;
        let zip64_end = self.is_zip64.then_some(bytes.len());
        if self.is_zip64 {
            push_zip64_end(&mut bytes, self.entries.len(), size, directory);
        }
        let end = bytes.len();
        self.push_end(&mut bytes, size, directory);
        bytes.extend(&self.suffix);
        Written { bytes, locals, data, centrals, zip64_end, end }
    }

    /// The entry of this name; panics if there is none, which is a mistake in the test.
    pub fn entry(&mut self, name: &str) -> &mut Entry {
        let found = self.entries.iter_mut().find(|entry| entry.name() == name);
        found.unwrap_or_else(|| panic!("no entry `{name}`"))
    }

    fn push_end(&self, bytes: &mut Vec<u8>, size: usize, directory: usize) {
        let (count, size, directory) = if self.is_zip64 {
            (u16::MAX, u32::MAX, u32::MAX)
        } else {
            (self.entries.len() as u16, size as u32, directory as u32)
        };
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend(count.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend(directory.to_le_bytes());
        bytes.extend((self.comment.len() as u16).to_le_bytes());
        bytes.extend(&self.comment);
    }
}

fn push_local(bytes: &mut Vec<u8>, header: &Header) {
    bytes.extend(b"PK\x03\x04");
    push_common(bytes, header);
    let extra = extra(header, None);
    bytes.extend((header.name.len() as u16).to_le_bytes());
    bytes.extend((extra.len() as u16).to_le_bytes());
    bytes.extend(&header.name);
    bytes.extend(extra);
}

fn push_central(bytes: &mut Vec<u8>, entry: &Entry, offset: u64) {
    let header = &entry.central;
    bytes.extend(b"PK\x01\x02");
    bytes.extend(entry.version_made_by.to_le_bytes());
    push_common(bytes, header);
    let extra = extra(header, Some(offset));
    bytes.extend((header.name.len() as u16).to_le_bytes());
    bytes.extend((extra.len() as u16).to_le_bytes());
    bytes.extend((entry.comment.len() as u16).to_le_bytes());
    bytes.extend([0; 4]); // disk number, internal attributes
    bytes.extend(entry.external_attributes.to_le_bytes());
    bytes.extend(narrow(header, offset).to_le_bytes());
    bytes.extend(&header.name);
    bytes.extend(extra);
    bytes.extend(&entry.comment);
}

/// The fields that both headers have, from the version needed to the sizes.
fn push_common(bytes: &mut Vec<u8>, header: &Header) {
    let version = if header.is_zip64 { VERSION_ZIP64 } else { VERSION_DEFLATE };
    bytes.extend(version.to_le_bytes());
    bytes.extend(header.flags.to_le_bytes());
    bytes.extend(header.method.to_le_bytes());
    bytes.extend(0u16.to_le_bytes()); // 00:00:00
    bytes.extend(0x0021u16.to_le_bytes()); // 1980-01-01
    bytes.extend(header.crc.to_le_bytes());
    bytes.extend(narrow(header, header.compressed_size).to_le_bytes());
    bytes.extend(narrow(header, header.size).to_le_bytes());
}

/// What stands in a 32-bit field whose value lies in the zip64 extra field.
fn narrow(header: &Header, value: u64) -> u32 {
    if header.is_zip64 { u32::MAX } else { value as u32 }
}

fn extra(header: &Header, offset: Option<u64>) -> Vec<u8> {
    let mut extra = header.extra.clone();
    if header.is_zip64 {
        let values: Vec<u64> = [header.size, header.compressed_size].into_iter().chain(offset).collect();
        extra.extend(1u16.to_le_bytes());
        extra.extend((values.len() as u16 * 8).to_le_bytes());
        extra.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    extra
}

fn push_descriptor(bytes: &mut Vec<u8>, entry: &Entry) {
    let Some(descriptor) = entry.descriptor else { return };
    if descriptor == Descriptor::Signed {
        bytes.extend(b"PK\x07\x08");
    }
    let header = &entry.central;
    bytes.extend(header.crc.to_le_bytes());
    if entry.local.is_zip64 {
        bytes.extend(header.compressed_size.to_le_bytes());
        bytes.extend(header.size.to_le_bytes());
    } else {
        bytes.extend((header.compressed_size as u32).to_le_bytes());
        bytes.extend((header.size as u32).to_le_bytes());
    }
}

fn push_zip64_end(bytes: &mut Vec<u8>, count: usize, size: usize, directory: usize) {
    let record = bytes.len() as u64;
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44u64.to_le_bytes()); // the size of what follows
    bytes.extend((UNIX + VERSION_ZIP64).to_le_bytes());
    bytes.extend(VERSION_ZIP64.to_le_bytes());
    bytes.extend([0; 8]); // disk numbers
    for value in [count, count, size, directory] {
        bytes.extend((value as u64).to_le_bytes());
    }
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(record.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
}

/// The content as a raw DEFLATE stream.
pub fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
    encoder
        .write_all(content)
        .and_then(|()| encoder.finish())
        .expect("invariant: writing to memory does not fail")
}
