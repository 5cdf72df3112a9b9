//! Where the central directory lies, and the headers in it.

use cartwheel_store::Blob;

use super::fields::Fields;
use super::header::CentralHeader;
use crate::wheel::defect::{Defect, Refusal};

const END_RECORD: u64 = 22;
const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";
const LOCATOR: u64 = 20;
const LOCATOR_SIGNATURE: &[u8; 4] = b"PK\x06\x07";
const ZIP64_RECORD: u64 = 56;
const ZIP64_SIGNATURE: &[u8; 4] = b"PK\x06\x06";
/// Everything that a reader who does not know where the file ends could take for a structure.
const SIGNATURES: [&[u8; 4]; 5] =
    [b"PK\x01\x02", b"PK\x03\x04", END_SIGNATURE, ZIP64_SIGNATURE, LOCATOR_SIGNATURE];

/// The largest central directory that is read: some 500,000 entries, forty times torch's.
const LIMIT: u64 = 64 << 20;
/// The value of a field that is too small for what it should say.
const SHORT_MAX: u64 = u32::MAX as u64;
const COUNT_MAX: u64 = u16::MAX as u64;

/// The central directory's place.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) offset: u64,
    size: u64,
    count: u64,
}

/// The end record, as it lies in the file.
#[derive(Debug)]
struct EndRecord {
    /// Where it begins.
    place: u64,
    disks: (u16, u16),
    counts: (u64, u64),
    size: u64,
    offset: u64,
}

impl Directory {
    /// Finds the end record and what it points at; everything up to the end of the file must be accounted for.
    pub(super) fn locate(blob: &Blob) -> Result<Self, Refusal> {
        let end = EndRecord::find(blob)?;
        let (directory, directory_end) = match zip64_record(blob, &end)? {
            Some((long, place)) => (long, place),
            None => (end.directory()?, end.place),
        };
        if directory.offset.checked_add(directory.size) != Some(directory_end) {
            return Err(Defect::DirectoryPlace.into());
        }
        if directory.size > LIMIT {
            return Err(Defect::DirectorySize { size: directory.size, limit: LIMIT }.into());
        }
        Ok(directory)
    }

    pub(super) fn read(&self, blob: &Blob) -> Result<Vec<u8>, Refusal> {
        let mut bytes = vec![0; self.size as usize];
        blob.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes)
    }

    /// Takes the directory apart: exactly the declared number of headers, and nothing else.
    pub(super) fn headers<'a>(&self, bytes: &'a [u8]) -> Result<Vec<CentralHeader<'a>>, Refusal> {
        let count_is_wrong = Defect::DirectoryCount { declared: self.count };
        let mut fields = Fields(bytes);
        let mut headers = Vec::new();
        while !fields.0.is_empty() {
            if headers.len() as u64 == self.count {
                return Err(count_is_wrong.into());
            }
            headers.push(CentralHeader::read(&mut fields)?);
        }
        if headers.len() as u64 == self.count { Ok(headers) } else { Err(count_is_wrong.into()) }
    }
}

impl EndRecord {
    /// Looks for the record from the end of the file backwards, as every reader does.
    fn find(blob: &Blob) -> Result<Self, Refusal> {
        let tail_size = blob.size().min(END_RECORD + COUNT_MAX);
        let tail_place = blob.size() - tail_size;
        let mut tail = vec![0; tail_size as usize];
        blob.read_exact_at(&mut tail, tail_place)?;

        let mut places = positions(&tail, END_SIGNATURE);
        let last = places.next().ok_or(Defect::NoEndRecord)?;
        let (record, comment) =
            Self::read(&tail, last).ok_or(Defect::Truncated { what: "its end record" })?;
        match comment.behind(&tail) {
            Ok(0) => {}
            Ok(bytes) => return Err(Defect::TrailingData { bytes }.into()),
            Err(()) => return Err(Defect::Truncated { what: "its comment" }.into()),
        }
        if places.any(|place| Self::read(&tail, place).is_some_and(|(_, comment)| comment.fits(&tail))) {
            return Err(Defect::AmbiguousEnd.into());
        }
        let text = tail.get(comment.start..).unwrap_or_default();
        if SIGNATURES.iter().any(|signature| positions(text, signature).next().is_some()) {
            return Err(Defect::CommentSignature.into());
        }
        Ok(Self { place: tail_place + record.place, ..record })
    }

    fn read(tail: &[u8], place: usize) -> Option<(Self, Comment)> {
        let mut fields = Fields(tail.get(place + 4..)?);
        let record = Self {
            place: place as u64,
            disks: (fields.u16()?, fields.u16()?),
            counts: (fields.u16()?.into(), fields.u16()?.into()),
            size: fields.short()?,
            offset: fields.short()?,
        };
        let comment = Comment { start: place + END_RECORD as usize, size: fields.u16()?.into() };
        Some((record, comment))
    }

    fn directory(&self) -> Result<Directory, Defect> {
        let (disk, directory_disk) = self.disks;
        single_disk((disk.into(), directory_disk.into()), self.counts)?;
        Ok(Directory { offset: self.offset, size: self.size, count: self.counts.0 })
    }
}

/// The archive comment, which follows the end record.
struct Comment {
    start: usize,
    size: usize,
}

impl Comment {
    /// How many bytes lie behind it, or an error if it is longer than the file.
    fn behind(&self, tail: &[u8]) -> Result<u64, ()> {
        tail.len().checked_sub(self.start + self.size).map(|bytes| bytes as u64).ok_or(())
    }

    fn fits(&self, tail: &[u8]) -> bool {
        self.behind(tail) == Ok(0)
    }
}

/// The zip64 end record's directory and place, if there is one.
///
/// It must lie directly before its locator, which lies directly before the end record, and have no room for anything
/// else; and where the end record has room for a value, both must say the same.
fn zip64_record(blob: &Blob, end: &EndRecord) -> Result<Option<(Directory, u64)>, Refusal> {
    let Some(locator) = end.place.checked_sub(LOCATOR) else { return Ok(None) };
    let mut bytes = [0; LOCATOR as usize];
    blob.read_exact_at(&mut bytes, locator)?;
    if !bytes.starts_with(LOCATOR_SIGNATURE) {
        return Ok(None);
    }
    let place = locator.checked_sub(ZIP64_RECORD).ok_or(Defect::Zip64Record)?;
    let (disk, offset, disks) = read_locator(&bytes).ok_or(Defect::Zip64Record)?;
    if disk != 0 || disks > 1 {
        return Err(Defect::MultipleDisks.into());
    }
    if offset != place {
        return Err(Defect::Zip64Record.into());
    }
    let mut bytes = [0; ZIP64_RECORD as usize];
    blob.read_exact_at(&mut bytes, place)?;
    let directory = read_zip64(&bytes)?;
    agrees("number of entries", end.counts.0, COUNT_MAX, directory.count)?;
    agrees("number of entries", end.counts.1, COUNT_MAX, directory.count)?;
    agrees("size of the directory", end.size, SHORT_MAX, directory.size)?;
    agrees("offset of the directory", end.offset, SHORT_MAX, directory.offset)?;
    Ok(Some((directory, place)))
}

fn read_locator(bytes: &[u8]) -> Option<(u32, u64, u32)> {
    let mut fields = Fields(bytes.get(4..)?);
    Some((fields.u32()?, fields.u64()?, fields.u32()?))
}

fn read_zip64(bytes: &[u8]) -> Result<Directory, Defect> {
    let (directory, disks, counts) = zip64_fields(bytes).ok_or(Defect::Zip64Record)?;
    single_disk(disks, counts)?;
    Ok(directory)
}

type Zip64Fields = (Directory, (u32, u32), (u64, u64));

fn zip64_fields(bytes: &[u8]) -> Option<Zip64Fields> {
    let mut fields = Fields(bytes);
    let signed = fields.bytes(4)? == ZIP64_SIGNATURE;
    // The record's own size, without these first twelve bytes: more would be room to hide something.
    let exact = fields.u64()? == ZIP64_RECORD - 12;
    let _versions = fields.u32()?;
    let disks = (fields.u32()?, fields.u32()?);
    let counts = (fields.u64()?, fields.u64()?);
    let (size, offset) = (fields.u64()?, fields.u64()?);
    (signed && exact).then_some((Directory { offset, size, count: counts.0 }, disks, counts))
}

fn single_disk(disks: (u32, u32), counts: (u64, u64)) -> Result<(), Defect> {
    if disks == (0, 0) && counts.0 == counts.1 { Ok(()) } else { Err(Defect::MultipleDisks) }
}

fn agrees(field: &'static str, short: u64, short_max: u64, long: u64) -> Result<(), Defect> {
    if short == short_max || short == long { Ok(()) } else { Err(Defect::Zip64Mismatch { field }) }
}

/// Where `signature` lies in `bytes`, from the last place to the first.
fn positions<'a>(bytes: &'a [u8], signature: &'a [u8; 4]) -> impl Iterator<Item = usize> + 'a {
    let places = bytes.windows(signature.len()).enumerate().rev();
    places.filter(move |(_, window)| window == signature).map(|(place, _)| place)
}
