//! The two headers of an entry: the one in the central directory is believed, the local one must say the same.

use cartwheel_store::Blob;

use super::fields::Fields;
use super::{Member, Method, member_name};
use crate::wheel::defect::{Defect, Refusal};

const CENTRAL_SIGNATURE: &[u8; 4] = b"PK\x01\x02";
const LOCAL_SIGNATURE: &[u8; 4] = b"PK\x03\x04";
const DESCRIPTOR_SIGNATURE: &[u8; 4] = b"PK\x07\x08";
const LOCAL_HEADER: usize = 30;

/// Bit 0, and bits 6 and 13 of the strong encryption that nobody uses.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
/// How hard the compressor tried; changes nothing.
const EFFORT: u16 = 0b110;
/// A data descriptor follows the data.
const DESCRIPTOR: u16 = 1 << 3;
/// The name is UTF-8.
const UTF8: u16 = 1 << 11;

/// The latest version of the specification that CPython reads, times ten.
const VERSION_LIMIT: u16 = 63;
/// No DEFLATE stream unpacks to more than this many times its size.
const DEFLATE_RATIO: u64 = 1032;
const SHORT_MAX: u64 = u32::MAX as u64;

const ZIP64_FIELD: u16 = 0x0001;
const UNICODE_PATH_FIELD: u16 = 0x7075;

/// An entry as the central directory has it, checked by itself.
#[derive(Debug)]
pub(super) struct CentralHeader<'a> {
    pub(super) name: &'a str,
    pub(super) offset: u64,
    pub(super) size: u64,
    compressed_size: u64,
    crc32: u32,
    flags: u16,
    raw_method: u16,
    method: Method,
    mode: u16,
}

/// The fixed fields of a central header, in their order.
struct CentralFields<'a> {
    version: u16,
    flags: u16,
    method: u16,
    crc32: u32,
    compressed_size: u64,
    size: u64,
    disk: u16,
    attributes: u32,
    offset: u64,
    name: &'a [u8],
    extra: &'a [u8],
    comment: &'a [u8],
}

impl<'a> CentralHeader<'a> {
    pub(super) fn read(fields: &mut Fields<'a>) -> Result<Self, Refusal> {
        if !fields.0.starts_with(CENTRAL_SIGNATURE) {
            return Err(Defect::DirectorySignature.into());
        }
        let raw = CentralFields::read(fields).ok_or(Defect::DirectorySignature)?;
        let name = raw.name;
        raw.check().map_err(|defect| defect.at(&String::from_utf8_lossy(name)))
    }

    pub(super) fn member(&self, data: u64) -> Member {
        Member {
            name: self.name.to_owned(),
            method: self.method,
            offset: data,
            compressed_size: self.compressed_size,
            size: self.size,
            crc32: self.crc32,
            mode: self.mode,
        }
    }
}

impl<'a> CentralFields<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        let _signature = fields.bytes(4)?;
        let _made_by = fields.u16()?;
        let (version, flags, method) = (fields.u16()?, fields.u16()?, fields.u16()?);
        let _time = fields.u32()?;
        let crc32 = fields.u32()?;
        let (compressed_size, size) = (fields.short()?, fields.short()?);
        let (name, extra, comment) = (fields.u16()?, fields.u16()?, fields.u16()?);
        let disk = fields.u16()?;
        let _internal = fields.u16()?;
        let (attributes, offset) = (fields.u32()?, fields.short()?);
        Some(Self {
            version,
            flags,
            method,
            crc32,
            compressed_size,
            size,
            disk,
            attributes,
            offset,
            name: fields.bytes(name.into())?,
            extra: fields.bytes(extra.into())?,
            comment: fields.bytes(comment.into())?,
        })
    }

    fn check(self) -> Result<CentralHeader<'a>, Defect> {
        let name = member_name::check(self.name, self.flags & UTF8 != 0)?;
        check_flags(self.flags)?;
        // The high byte tells on which system the header was made, not what is needed to read it.
        if self.version & 0xff > VERSION_LIMIT {
            return Err(Defect::UnsupportedVersion { version: self.version & 0xff });
        }
        if !self.comment.is_empty() {
            return Err(Defect::EntryComment);
        }
        let extra = Extra::read(self.extra)?;
        extra.same_path(name)?;
        let mut zip64 = Zip64::new(extra.zip64);
        let size = zip64.resolve(self.size)?;
        let compressed_size = zip64.resolve(self.compressed_size)?;
        let offset = zip64.resolve(self.offset)?;
        let disk = zip64.disk(self.disk)?;
        zip64.finish(&[size, compressed_size, offset])?;
        if disk != 0 {
            return Err(Defect::MultipleDisks);
        }
        let method = check_method(self.method, compressed_size, size)?;
        let mode = check_kind(name, self.attributes, size)?;
        let (crc32, flags, raw_method) = (self.crc32, self.flags, self.method);
        Ok(CentralHeader { name, offset, size, compressed_size, crc32, flags, raw_method, method, mode })
    }
}

fn check_flags(flags: u16) -> Result<(), Defect> {
    if flags & ENCRYPTED != 0 {
        return Err(Defect::Encrypted);
    }
    match flags & !(EFFORT | DESCRIPTOR | UTF8) {
        0 => Ok(()),
        flags => Err(Defect::UnsupportedFlags { flags }),
    }
}

fn check_method(method: u16, compressed_size: u64, size: u64) -> Result<Method, Defect> {
    match method {
        0 if compressed_size == size => Ok(Method::Stored),
        0 => Err(Defect::StoredSize { compressed_size, size }),
        8 if size <= compressed_size.saturating_mul(DEFLATE_RATIO) => Ok(Method::Deflated),
        8 => Err(Defect::ImpossibleSize { compressed_size, size }),
        method => Err(Defect::UnsupportedMethod { method }),
    }
}

/// The Unix mode, if what it and the DOS attributes say of the kind agrees with the name.
fn check_kind(name: &str, attributes: u32, size: u64) -> Result<u16, Defect> {
    const DOS_FOLDER: u32 = 0x10;
    let mode = (attributes >> 16) as u16;
    let folder = name.ends_with('/');
    match mode >> 12 {
        0o12 => return Err(Defect::Symlink),
        0o04 if !folder => return Err(Defect::FolderMark),
        // A pipe is what `zip` marks a file as that was piped into it.
        0 | 0o01 | 0o04 | 0o10 => {}
        _ => return Err(Defect::SpecialFile),
    }
    if !folder && attributes & DOS_FOLDER != 0 {
        return Err(Defect::FolderMark);
    }
    if folder && size != 0 {
        return Err(Defect::FolderContent);
    }
    Ok(mode)
}

/// The extra fields that matter.
#[derive(Debug, Default)]
struct Extra<'a> {
    zip64: Option<&'a [u8]>,
    unicode_path: Option<&'a [u8]>,
}

impl<'a> Extra<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Defect> {
        let mut extra = Self::default();
        let mut fields = Fields(bytes);
        while !fields.0.is_empty() {
            let (id, value) = Self::field(&mut fields).ok_or(Defect::BadExtra)?;
            let slot = match id {
                ZIP64_FIELD => &mut extra.zip64,
                UNICODE_PATH_FIELD => &mut extra.unicode_path,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(Defect::DuplicateExtra { id });
            }
        }
        Ok(extra)
    }

    fn field(fields: &mut Fields<'a>) -> Option<(u16, &'a [u8])> {
        let id = fields.u16()?;
        let size = fields.u16()?;
        Some((id, fields.bytes(size.into())?))
    }

    /// Info-ZIP's field for names in another encoding: some readers prefer it, some ignore it, so it may only repeat.
    fn same_path(&self, name: &str) -> Result<(), Defect> {
        const VERSION_AND_CRC: usize = 5;
        match self.unicode_path.map(|field| field.get(VERSION_AND_CRC..)) {
            None => Ok(()),
            Some(Some(path)) if path == name.as_bytes() => Ok(()),
            Some(_) => Err(Defect::UnicodePath),
        }
    }
}

/// The zip64 field: one value for each field that was too small, in their order, and no more.
///
/// Some writers (Bazel's, and so every protobuf wheel) also add it where nothing was too small; then it must repeat
/// the fields as they are.
struct Zip64<'a> {
    present: bool,
    used: bool,
    fields: Fields<'a>,
}

impl<'a> Zip64<'a> {
    fn new(field: Option<&'a [u8]>) -> Self {
        Self { present: field.is_some(), used: false, fields: Fields(field.unwrap_or_default()) }
    }

    fn resolve(&mut self, short: u64) -> Result<u64, Defect> {
        if short == SHORT_MAX && self.present {
            self.used = true;
            self.fields.u64().ok_or(Defect::Zip64Extra)
        } else {
            Ok(short)
        }
    }

    fn disk(&mut self, short: u16) -> Result<u32, Defect> {
        if short == u16::MAX && self.present {
            self.used = true;
            self.fields.u32().ok_or(Defect::Zip64Extra)
        } else {
            Ok(short.into())
        }
    }

    /// Nothing is left, or it is `repeated` from its beginning.
    fn finish(mut self, repeated: &[u64]) -> Result<(), Defect> {
        let mut expected = repeated.iter();
        while !self.fields.0.is_empty() {
            let found = self.fields.u64();
            if self.used || found.is_none() || found != expected.next().copied() {
                return Err(Defect::Zip64Extra);
            }
        }
        Ok(())
    }
}

/// Where an entry's data begins, and where what belongs to it ends.
#[derive(Debug)]
pub(super) struct LocalHeader {
    pub(super) data: u64,
    pub(super) end: u64,
}

impl LocalHeader {
    /// Reads the local header of `central` and compares the two.
    pub(super) fn read(window: &mut Window<'_>, central: &CentralHeader<'_>) -> Result<Self, Refusal> {
        window.expect(central.compressed_size);
        let fixed = window.bytes(central.offset, LOCAL_HEADER)?;
        let local = LocalFields::read(fixed).ok_or(Defect::LocalSignature)?;
        let rest_size = usize::from(local.name_size) + usize::from(local.extra_size);
        let rest = window.bytes(central.offset + LOCAL_HEADER as u64, rest_size)?;
        let (name, extra) = rest.split_at(local.name_size.into());
        let wide = local.check(central, name, extra)?;

        let data = central.offset + (LOCAL_HEADER + rest_size) as u64;
        let end = data.checked_add(central.compressed_size).ok_or(Defect::Overlap)?;
        let end =
            if local.flags & DESCRIPTOR == 0 { end } else { descriptor_end(window, central, end, wide)? };
        Ok(Self { data, end })
    }
}

struct LocalFields {
    flags: u16,
    method: u16,
    crc32: u32,
    compressed_size: u64,
    size: u64,
    name_size: u16,
    extra_size: u16,
}

impl LocalFields {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        if fields.bytes(4)? != LOCAL_SIGNATURE {
            return None;
        }
        let _version = fields.u16()?;
        let (flags, method) = (fields.u16()?, fields.u16()?);
        let _time = fields.u32()?;
        Some(Self {
            flags,
            method,
            crc32: fields.u32()?,
            compressed_size: fields.short()?,
            size: fields.short()?,
            name_size: fields.u16()?,
            extra_size: fields.u16()?,
        })
    }

    /// Compares with the central header; says whether sizes in a data descriptor are 64 bits wide.
    fn check(&self, central: &CentralHeader<'_>, name: &[u8], extra: &[u8]) -> Result<bool, Defect> {
        let same = |field, equal| if equal { Ok(()) } else { Err(Defect::LocalMismatch { field }) };
        same("name", name == central.name.as_bytes())?;
        same("method", self.method == central.raw_method)?;
        // A writer that learns later that no descriptor is needed, or that one is, may say so only in the directory.
        same("set of flags", (self.flags ^ central.flags) & !(EFFORT | DESCRIPTOR) == 0)?;
        let described = self.flags & DESCRIPTOR != 0;
        same("set of flags", described || central.flags & DESCRIPTOR == 0)?;

        let extra = Extra::read(extra)?;
        extra.same_path(central.name)?;
        let mut zip64 = Zip64::new(extra.zip64);
        let size = zip64.resolve(self.size)?;
        let compressed_size = zip64.resolve(self.compressed_size)?;
        zip64.finish(&[size, compressed_size])?;
        // With a descriptor, what is not known yet is zero.
        let open = |value: u64| described && value == 0;
        same("CRC", self.crc32 == central.crc32 || open(self.crc32.into()))?;
        same("size", size == central.size || open(size))?;
        same("compressed size", compressed_size == central.compressed_size || open(compressed_size))?;
        Ok(extra.zip64.is_some() || central.size > SHORT_MAX || central.compressed_size > SHORT_MAX)
    }
}

/// Where the data descriptor at `place` ends; it must say what the directory says, with or without its signature.
fn descriptor_end(
    window: &mut Window<'_>,
    central: &CentralHeader<'_>,
    place: u64,
    wide: bool,
) -> Result<u64, Refusal> {
    let mut expected = DESCRIPTOR_SIGNATURE.to_vec();
    expected.extend(central.crc32.to_le_bytes());
    for size in [central.compressed_size, central.size] {
        let bytes = size.to_le_bytes();
        expected.extend(if wide { &bytes[..] } else { &bytes[..4] });
    }
    for expected in [&expected[..], &expected[4..]] {
        if window.bytes(place, expected.len()).is_ok_and(|found| found == expected) {
            return Ok(place + expected.len() as u64);
        }
    }
    Err(Defect::BadDescriptor.into())
}

/// A view of the file that reads ahead, for headers that follow each other closely.
#[derive(Debug)]
pub(super) struct Window<'a> {
    blob: &'a Blob,
    /// Where the headers end: the central directory.
    limit: u64,
    start: u64,
    buffer: Vec<u8>,
    /// How much is read at once.
    ahead: usize,
}

impl<'a> Window<'a> {
    /// For small files: some headers with what lies between them.
    const SEVERAL: usize = 4 << 10;
    /// For large files: one header with its name; the next one is out of reach.
    const ONE: usize = 256;

    pub(super) fn new(blob: &'a Blob, limit: u64) -> Self {
        Self { blob, limit, start: 0, buffer: Vec::new(), ahead: Self::SEVERAL }
    }

    /// Chooses how much to read by how far away the next header is.
    fn expect(&mut self, data_size: u64) {
        self.ahead = if data_size < Self::SEVERAL as u64 / 2 { Self::SEVERAL } else { Self::ONE };
    }

    /// The bytes at `offset`, as many as asked for.
    fn bytes(&mut self, offset: u64, count: usize) -> Result<&[u8], Refusal> {
        let held = |window: &Self| {
            let from = usize::try_from(offset.checked_sub(window.start)?).ok()?;
            let to = from.checked_add(count)?;
            (to <= window.buffer.len()).then_some(from..to)
        };
        if held(self).is_none() {
            self.fill(offset, count)?;
        }
        let range = held(self).unwrap_or_default();
        Ok(self.buffer.get(range).unwrap_or_default())
    }

    fn fill(&mut self, offset: u64, count: usize) -> Result<(), Refusal> {
        let rest = self.limit.saturating_sub(offset);
        if rest < count as u64 {
            return Err(Defect::Truncated { what: "its local header" }.into());
        }
        self.buffer.resize(rest.min(count.max(self.ahead) as u64) as usize, 0);
        self.start = offset;
        self.blob.read_exact_at(&mut self.buffer, offset)?;
        Ok(())
    }
}
