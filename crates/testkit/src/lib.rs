//! What the tests of all crates are made with: wheels, a package index, and the real tools.
//!
//! Only tests depend on this crate. A double here is stricter than the thing it doubles: a test that passes against
//! the double shall pass against the real one.
//!
//! * [`WheelBuilder`] writes wheels, the same bytes for the same calls, correct unless told otherwise. Below it lies
//!   [`zip`], which writes archives byte by byte so that every field can be made wrong.
//! * [`hostile`] is a table of wheels that must be refused, [`sound`] one of wheels that look odd and must not.
//! * [`index::PackageIndex`] serves distributions over HTTP, and fails in every way that real indexes do.
//! * [`registry::Registry`] does the same with images.
//! * [`engine::Engine`] takes images as Docker and Podman do, and can lose what it has.
//! * [`oracle`] asks the real tools about an image, [`peers`] says where `cargo xtask test` has put them.
//!
//! Deflated entries are compressed by the library that the workspace uses today, so their bytes may change with its
//! version. A golden digest that shall hold for ever is made of stored entries.
#![forbid(unsafe_code)]

mod accept;
pub mod engine;
pub mod hostile;
pub mod index;
pub mod oracle;
pub mod peers;
pub mod registry;
pub mod sound;
mod wheel;
pub mod zip;

pub use wheel::{Member, WheelBuilder, record_line};
