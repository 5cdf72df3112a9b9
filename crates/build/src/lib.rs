//! The engine: from what a team wrote to an image.
//!
//! ```text
//! project ──lower──► Graph          what is to be done: names and paths, no digests        (graph.rs, project.rs)
//! Graph   ──pin────► Plan           every input a digest, every step looked up              (plan.rs)
//! Plan    ──execute► layers         fetch, open, splice: one task per missing layer         (execute.rs)
//! layers + base ───► Image          config, history, manifest; kept in the store by name    (execute.rs, images.rs)
//! Image   ──copy───► a sink         `cartwheel_oci::copy`
//! ```
//!
//! The two forms in the middle are plain values that can be printed and compared. What decides returns one; what acts takes
//! one. The environment, the clock and the terminal are elsewhere: whoever calls [`build`] gives paths, settings, an
//! [`Epoch`] and somebody who listens to [`Event`]s.
//!
//! # From a wheel to a layer
//!
//! `cartwheel_python` says which files a wheel becomes (it knows nothing of layers); `cartwheel_oci` writes layers (it knows
//! nothing of Python). Between them, here: [`Interpreter`] finds the base's Python, `ground` says where files really go in
//! this base, [`pack()`] which wheels share a layer, and `packages` turns one into the other.
//!
//! # What enters the key of a layer
//!
//! | layer | key |
//! |---|---|
//! | packages | layer format, generation (how a wheel becomes a tree), the wheels' digests in order (with the URL of those asked for by URL), the places and generated content of their files, the modes of parent directories that the base dictates, mtime |
//! | removed distributions | layer format, the removed paths |
//! | application | layer format, the context's digest, the destination, the places of its files, the modes of parent directories that the base dictates, mtime |
//!
//! The base's digest is in none of them: a new base costs a manifest.
#![forbid(unsafe_code)]

mod base;
mod context;
mod error;
mod execute;
mod graph;
mod ground;
mod images;
mod interpreter;
mod pack;
mod packages;
mod plan;
mod progress;
mod project;

pub use base::{Base, BaseReference};
pub use context::{
    BuildContext, ContextFile, ContextKind, ContextTree, GitContext, StandardInput, read_ignore,
};
pub use error::{Error, ErrorKind, Result};
pub use execute::{Built, ExecuteOptions, execute};
pub use graph::{ConfigChange, Graph, Op, RequirementSource};
pub use ground::Ground;
pub use images::{ImageRecord, keep_image, list_images};
pub use interpreter::Interpreter;
pub use pack::{Parcel, pack};
pub use packages::{Epoch, LayerRecord, Prepared, layer_of, parcels, tree_of};
pub use plan::{
    CopyStep, DEFAULT_BUDGET, InstallStep, PackRecord, PackedLayer, Plan, PlanOptions, Step, pin,
};
pub use progress::{Event, Outcome, Progress, Silent};
pub use project::{ProjectOptions, lower_project};
