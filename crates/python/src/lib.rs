//! The standards of the Python Packaging Authority: what a wheel is, what it becomes when it is installed.
//!
//! A [`Wheel`] is opened and checked ([`Wheel::open`]); a [`Scheme`] says where an interpreter looks for things;
//! [`install`] says which [`InstalledFile`]s the one becomes under the other. Nothing is written anywhere: the files
//! are described, and most of them only by where their compressed bytes lie in the wheel, so that the layer engine
//! can splice them. [`Tags`] decide which of several wheels a [`Target`] takes.
//!
//! Which wheels those are is asked for by [`Requirements`] and answered by [`resolve()`], which runs `uv` and brings
//! back a [`Resolution`]; [`fetch()`] brings its wheels into the store.
#![forbid(unsafe_code)]

mod bytecode;
mod error;
mod fetch;
mod install;
mod marker;
mod name;
mod pylock;
mod report;
mod requirement;
mod requirements;
mod resolve;
mod scan;
mod scheme;
mod tag;
mod url;
mod wheel;

pub use bytecode::{compiled_header, compiled_path, modules, traced_path};
pub use cartwheel_transfer::{Patience, redact};
pub use error::{Error, ErrorKind, Result};
pub use fetch::{Credentials, FetchError, FetchEvent, FetchOptions, fetch};
pub use install::{
    DirectUrl, InstallOptions, InstalledContent, InstalledFile, RecordCheck, install, read_installed,
};
pub use marker::Marker;
pub use name::{PackageName, PythonVersion};
pub use pep440_rs::Version;
pub use pylock::{LockedWheel, Lockfile, LockfileError, WheelLocation};
pub use report::{PipReport, PipSource};
pub use requirement::{InvalidRequirement, Requirement};
pub use requirements::{
    BinaryChoice, Files, Location, RequirementLine, RequirementOptions, Requirements, RequirementsError,
    RequirementsFile, Variables,
};
pub use resolve::{
    Change, IndexSettings, IndexStrategy, InstallRules, InstalledDistribution, LockSelection, Resolution,
    ResolveError, ResolveRequest, ResolveSource, SatisfiedPackage, Upgrade, resolve,
};
pub use scheme::{PipScripts, Scheme, Tool};
pub use tag::{Arch, Libc, Tag, Tags, Target};
pub use wheel::{
    Archive, Defect, EntryPoints, FileDigest, Member, Metadata, Method, RecordRow, Script, Wheel,
    WheelFilename, best_wheel,
};
