//! Every way in which a wheel can be refused, one variant for each.

use crate::PackageName;

/// What is wrong with a wheel or one of its entries.
///
/// The text completes a sentence that begins with «wheel `x`» or «entry `y`», so that every message names both.
/// Why each of them is refused stands in `docs/wheels.md`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    // The file as a whole.
    /// The file ends within a structure.
    #[error("is cut short: {what} is not whole")]
    Truncated {
        /// Which structure.
        what: &'static str,
    },
    /// No zip at all.
    #[error("is not a zip file: it has no end of central directory record")]
    NoEndRecord,
    /// Bytes follow the end record and its comment.
    #[error("has {bytes} bytes after its end")]
    TrailingData {
        /// How many.
        bytes: u64,
    },
    /// Two end records both fit the end of the file: readers choose differently.
    #[error("has two end of central directory records that fit")]
    AmbiguousEnd,
    /// The archive comment holds what a reader could take for a structure.
    #[error("has a zip signature in its comment")]
    CommentSignature,
    /// One part of a split archive.
    #[error("is one part of an archive that is split over several files")]
    MultipleDisks,
    /// The zip64 end record contradicts the plain one.
    #[error("gives two values for the {field} in its end records")]
    Zip64Mismatch {
        /// Which value.
        field: &'static str,
    },
    /// The zip64 end record is not where its locator must point, or carries more than it should.
    #[error("has a zip64 end record that is not where or what it must be")]
    Zip64Record,
    /// The central directory does not end where the end record begins.
    #[error("has a central directory that is not where its end record says")]
    DirectoryPlace,
    /// The central directory is larger than any wheel needs.
    #[error("has a central directory of {size} bytes; the limit is {limit}")]
    DirectorySize {
        /// What it declares.
        size: u64,
        /// What is accepted.
        limit: u64,
    },
    /// The central directory holds more or fewer entries than it says.
    #[error("does not have the {declared} entries that its end record counts")]
    DirectoryCount {
        /// What the end record says.
        declared: u64,
    },
    /// Something else than an entry lies in the central directory.
    #[error("has a damaged central directory")]
    DirectorySignature,
    /// Bytes lie before the first entry.
    #[error("has {bytes} bytes before its first entry")]
    PrependedData {
        /// How many.
        bytes: u64,
    },
    /// Bytes belong to no entry.
    #[error("has {bytes} bytes at offset {offset} that belong to no entry")]
    HiddenData {
        /// Where.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// The last entry reaches into the central directory, or an entry into the next one.
    #[error("overlaps with what lies before it")]
    Overlap,
    /// Unpacking it would fill the disk.
    #[error("would unpack to {size} bytes, more than {ratio} times its own size")]
    Bomb {
        /// The sum of all declared sizes.
        size: u64,
        /// The ratio that is accepted.
        ratio: u64,
    },

    // The headers of an entry.
    /// No local header lies where the central directory points.
    #[error("has no local header where the central directory points")]
    LocalSignature,
    /// The local header contradicts the central directory.
    #[error("has another {field} in its local header than in the central directory")]
    LocalMismatch {
        /// Which field.
        field: &'static str,
    },
    /// The data descriptor contradicts the central directory.
    #[error("has a data descriptor that contradicts the central directory")]
    BadDescriptor,
    /// Encrypted.
    #[error("is encrypted")]
    Encrypted,
    /// Flags that change what the bytes mean, or that nobody has defined.
    #[error("has unsupported flags ({flags:#06x})")]
    UnsupportedFlags {
        /// The flags that are not understood.
        flags: u16,
    },
    /// Neither stored nor deflated.
    #[error("is compressed with method {method}; wheels are stored or deflated")]
    UnsupportedMethod {
        /// The method's number.
        method: u16,
    },
    /// A reader of a later specification is asked for.
    #[error("asks for version {}.{} of the zip specification", version / 10, version % 10)]
    UnsupportedVersion {
        /// Ten times the version.
        version: u16,
    },
    /// Stored bytes that are not as many as the file has.
    #[error("is stored as {compressed_size} bytes but claims to have {size}")]
    StoredSize {
        /// Bytes in the archive.
        compressed_size: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// More bytes than DEFLATE can make of so few.
    #[error("claims {size} bytes, more than {compressed_size} compressed bytes can hold")]
    ImpossibleSize {
        /// Bytes in the archive.
        compressed_size: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// A comment at an entry.
    #[error("has a comment of its own")]
    EntryComment,
    /// Extra fields that do not add up.
    #[error("has extra fields that are cut short")]
    BadExtra,
    /// An extra field twice, of which readers take the first or the last.
    #[error("has the extra field {id:#06x} twice")]
    DuplicateExtra {
        /// Its identifier.
        id: u16,
    },
    /// A Unicode path field that gives another name.
    #[error("has another name in its Unicode path field")]
    UnicodePath,
    /// A zip64 field that neither holds exactly what was left to it nor repeats what was not.
    #[error("has a zip64 field that does not hold exactly the values left to it")]
    Zip64Extra,

    // The name and the kind of an entry.
    /// No name.
    #[error("has an empty name")]
    NameEmpty,
    /// A name whose encoding is not known for certain.
    #[error("has a name that is neither ASCII nor marked UTF-8")]
    NameEncoding,
    /// NUL, newline or another control character.
    #[error("has a control character in its name")]
    NameControl,
    /// A backslash, which is a separator to some.
    #[error("has a backslash in its name")]
    NameBackslash,
    /// An absolute path.
    #[error("has an absolute path for a name")]
    NameAbsolute,
    /// A Windows drive.
    #[error("has a drive in its name")]
    NameDrive,
    /// `..` in the path.
    #[error("leads out of the wheel with `..`")]
    NameTraversal,
    /// Empty or `.` parts: another spelling of some other path.
    #[error("has empty or `.` parts in its name")]
    NameNotCanonical,
    /// Longer than a file system takes.
    #[error("has a name that no file system takes")]
    NameTooLong,
    /// The same name twice.
    #[error("is there twice")]
    Duplicate,
    /// A file and a folder of one name.
    #[error("lies below `{file}`, which is a file")]
    BelowFile {
        /// The file above it.
        file: String,
    },
    /// A symbolic link.
    #[error("is a symbolic link")]
    Symlink,
    /// A device, a socket, a pipe.
    #[error("is neither a file nor a folder")]
    SpecialFile,
    /// Marked as a folder, named as a file.
    #[error("is marked as a folder but named as a file")]
    FolderMark,
    /// A folder with content.
    #[error("is a folder with content")]
    FolderContent,

    // The content of an entry.
    /// Not DEFLATE.
    #[error("does not decompress")]
    BadDeflate,
    /// The compressed stream ends early, and something lies behind it.
    #[error("has {bytes} bytes behind the end of its compressed data")]
    HiddenCompressedData {
        /// How many.
        bytes: u64,
    },
    /// More or fewer bytes than declared.
    #[error("does not have the {expected} bytes that it claims")]
    SizeMismatch {
        /// What it claims.
        expected: u64,
    },
    /// A wrong CRC-32.
    #[error("has CRC-32 {found:08x} where the directory says {expected:08x}")]
    CrcMismatch {
        /// What the directory says.
        expected: u32,
        /// What the bytes say.
        found: u32,
    },
    /// A metadata file that nobody could have meant.
    #[error("has {size} bytes; the limit for such a file is {limit}")]
    TooLarge {
        /// Its size.
        size: u64,
        /// What is accepted.
        limit: u64,
    },

    // The wheel's own metadata.
    /// No `.dist-info` folder.
    #[error("has no `.dist-info` folder")]
    NoDistInfo,
    /// More than one `.dist-info` folder.
    #[error("has more than one `.dist-info` folder: `{}`", found.join("`, `"))]
    SeveralDistInfo {
        /// All of them, sorted.
        found: Vec<String>,
    },
    /// A `.dist-info` folder of another package.
    #[error("has the folder `{dist_info}`, which is not that of `{expected}`")]
    DistInfoMismatch {
        /// The folder.
        dist_info: String,
        /// The package of the file name.
        expected: PackageName,
    },
    /// A file that every wheel has.
    #[error("has no `{path}`")]
    MissingFile {
        /// Which.
        path: String,
    },
    /// A metadata file that is not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// A field that must be there.
    #[error("has no field `{field}`")]
    MissingField {
        /// Which.
        field: &'static str,
    },
    /// A field that says what cannot be read.
    #[error("has an invalid `{field}`: `{value}`")]
    InvalidField {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// A wheel of a specification that is not known here.
    #[error("is of wheel version {version}; version 1 is supported")]
    WheelVersion {
        /// Its version.
        version: String,
    },
    /// METADATA is of another package.
    #[error("says that it is `{found}`, the file name says `{expected}`")]
    MetadataMismatch {
        /// Name or version of the file name.
        expected: String,
        /// What METADATA says.
        found: String,
    },

    // RECORD.
    /// A row that is not CSV.
    #[error("is not readable at line {line}")]
    RecordSyntax {
        /// Counted from one.
        line: usize,
    },
    /// Two rows that contradict each other.
    #[error("lists `{path}` twice and differently")]
    RecordConflict {
        /// Which path.
        path: String,
    },
    /// A row that leads out of the library folder.
    #[error("lists `{path}`, which leads out of the wheel")]
    RecordPath {
        /// Which path.
        path: String,
    },
    /// A digest that forgers have broken.
    #[error("is listed in RECORD with {algorithm}, which proves nothing")]
    WeakDigest {
        /// Its name.
        algorithm: String,
    },
    /// A digest that cannot be read.
    #[error("is listed in RECORD with the unreadable digest `{digest}`")]
    UnreadableDigest {
        /// As written.
        digest: String,
    },
    /// A size that cannot be read.
    #[error("is listed in RECORD with the unreadable size `{size}`")]
    UnreadableSize {
        /// As written.
        size: String,
    },
    /// Another size than RECORD promised.
    #[error("has {found} bytes, RECORD says {expected}")]
    RecordSize {
        /// What RECORD says.
        expected: u64,
        /// What the wheel has.
        found: u64,
    },
    /// Another content than RECORD promised.
    #[error("is not the file that RECORD lists")]
    RecordDigest,

    // Installation.
    /// A line of entry_points.txt that is neither a section nor `name = value`.
    #[error("is not readable at line {line}")]
    EntryPointSyntax {
        /// Counted from one.
        line: usize,
    },
    /// A script whose target is not `module:callable`.
    #[error("points the script `{name}` at `{target}`, which is not `module:callable`")]
    EntryPointTarget {
        /// The script.
        name: String,
        /// What it points at.
        target: String,
    },
    /// A script that would lie outside the scripts folder.
    #[error("names a script `{name}`, which is not a file inside the scripts folder")]
    EntryPointName {
        /// The script.
        name: String,
    },
    /// A `.data` folder with a key that no scheme has.
    #[error("is for `{key}`; the keys are `purelib`, `platlib`, `headers`, `scripts` and `data`")]
    SchemeKey {
        /// The key.
        key: String,
    },
    /// A file in a `.data` folder that lies below no key.
    #[error("lies in the `.data` folder below no key")]
    DataPath,
    /// Two entries whose places in the image exclude each other.
    #[error("has to be a folder and a file in the image: `{path}`")]
    PlaceConflict {
        /// The path in the image.
        path: String,
    },
}

/// A defect on its way up: it learns the entry's name first, the wheel's name last.
#[derive(Debug)]
pub(crate) struct Refusal {
    entry: Option<String>,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Defect(Defect),
    Read(cartwheel_store::Error),
}

impl Refusal {
    /// Names the entry, if none is named yet.
    pub(crate) fn at(mut self, entry: &str) -> Self {
        self.entry.get_or_insert_with(|| entry.to_owned());
        self
    }

    /// Names the wheel: the finished error.
    pub(crate) fn of(self, wheel: &str) -> crate::Error {
        let wheel = wheel.to_owned();
        match self.cause {
            Cause::Defect(defect) => crate::ErrorKind::Wheel { wheel, entry: self.entry, defect }.into(),
            Cause::Read(source) => crate::ErrorKind::Read { wheel, source }.into(),
        }
    }
}

impl Defect {
    pub(crate) fn at(self, entry: &str) -> Refusal {
        Refusal::from(self).at(entry)
    }
}

impl From<Defect> for Refusal {
    fn from(defect: Defect) -> Self {
        Self { entry: None, cause: Cause::Defect(defect) }
    }
}

impl From<cartwheel_store::Error> for Refusal {
    fn from(error: cartwheel_store::Error) -> Self {
        Self { entry: None, cause: Cause::Read(error) }
    }
}
