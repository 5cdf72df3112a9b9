//! Wheels: what is in the file, checked before anything is made of it.
//!
//! [`Wheel::open`] reads the zip's headers and the four files that say how to install it (WHEEL, METADATA, RECORD,
//! `entry_points.txt`), milliseconds even for the largest wheels. A value of this type is a wheel that can
//! be installed as far as its own statements go; that its content is what it states is checked by whoever inflates it
//! (the layer engine, in its one pass), for which each file comes with its CRC and the digest of its RECORD row.

mod defect;
mod entry_points;
mod filename;
mod metadata;
mod record;
mod zip;

use cartwheel_store::Blob;

use crate::error::Result;

pub use self::defect::Defect;
pub use self::entry_points::{EntryPoints, Script};
pub use self::filename::{WheelFilename, best_wheel};
pub use self::metadata::Metadata;
pub use self::record::{FileDigest, RecordRow};
pub use self::zip::{Archive, Member, Method};

pub(crate) use self::defect::Refusal;
pub(crate) use self::record::write_row;
pub(crate) use self::zip::file_above;

/// No metadata file of an honest wheel is larger; torch's RECORD has 2 MB.
const METADATA_LIMIT: u64 = 64 << 20;

/// A wheel that was opened and whose metadata is sound.
#[derive(Debug, Clone)]
pub struct Wheel {
    filename: WheelFilename,
    archive: Archive,
    dist_info: String,
    root_is_purelib: bool,
    metadata: Metadata,
    record: Vec<RecordRow>,
    entry_points: EntryPoints,
}

impl Wheel {
    /// Opens the wheel in `blob`, whose name says what to expect in it.
    pub fn open(blob: Blob, filename: &str) -> Result<Self> {
        let filename: WheelFilename = filename.parse()?;
        let archive = Archive::open(blob, filename.as_str())?;
        let label = filename.as_str().to_owned();
        Self::read(filename, archive).map_err(|refusal| refusal.of(&label))
    }

    fn read(filename: WheelFilename, archive: Archive) -> Result<Self, Refusal> {
        let dist_info = find_dist_info(&archive, &filename)?;
        let file = |name: &str| format!("{dist_info}/{name}");
        let required = |name: &str| -> Result<(String, String), Refusal> {
            let path = file(name);
            let text = read_text(&archive, &path)?;
            Ok((text.ok_or_else(|| Defect::MissingFile { path: path.clone() })?, path))
        };

        let (text, path) = required("WHEEL")?;
        let root_is_purelib = metadata::root_is_purelib(&text).map_err(|defect| defect.at(&path))?;
        let (text, path) = required("METADATA")?;
        let metadata = Metadata::parse(&text, &filename).map_err(|defect| defect.at(&path))?;
        let (text, path) = required("RECORD")?;
        let record = record::parse(&text).map_err(|defect| defect.at(&path))?;
        let path = file("entry_points.txt");
        let text = read_text(&archive, &path)?.unwrap_or_default();
        let entry_points = EntryPoints::parse(&text).map_err(|defect| defect.at(&path))?;

        Ok(Self { filename, archive, dist_info, root_is_purelib, metadata, record, entry_points })
    }

    /// Its file name.
    pub fn filename(&self) -> &WheelFilename {
        &self.filename
    }

    /// The zip that it is.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The name of its `.dist-info` folder.
    pub fn dist_info(&self) -> &str {
        &self.dist_info
    }

    /// Whether its root goes to purelib; else to platlib.
    pub fn root_is_purelib(&self) -> bool {
        self.root_is_purelib
    }

    /// What METADATA says.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The rows of RECORD.
    pub fn record(&self) -> &[RecordRow] {
        &self.record
    }

    /// The scripts that it asks for.
    pub fn entry_points(&self) -> &EntryPoints {
        &self.entry_points
    }
}

/// The one `.dist-info` folder. Like pip and uv, it is asked to begin with the package's name; that METADATA in it
/// is of this very package and version is checked afterwards.
fn find_dist_info(archive: &Archive, filename: &WheelFilename) -> Result<String, Defect> {
    let roots = archive.members().iter().map(|member| member.name.split('/').next().unwrap_or_default());
    let mut found: Vec<String> =
        roots.filter(|root| root.ends_with(".dist-info")).map(str::to_owned).collect();
    found.sort_unstable();
    found.dedup();
    if found.len() > 1 {
        return Err(Defect::SeveralDistInfo { found });
    }
    let dist_info = found.pop().ok_or(Defect::NoDistInfo)?;
    if crate::name::normalise(&dist_info).starts_with(filename.name().as_str()) {
        Ok(dist_info)
    } else {
        Err(Defect::DistInfoMismatch { dist_info, expected: filename.name().clone() })
    }
}

fn read_text(archive: &Archive, path: &str) -> Result<Option<String>, Refusal> {
    let Some(member) = archive.member(path) else { return Ok(None) };
    let bytes = archive.read_limited(member, METADATA_LIMIT)?;
    String::from_utf8(bytes).map(Some).map_err(|_| Defect::NotUtf8.at(path))
}
