//! The engine: from what a team wrote to an image.
//!
//! ```text
//! Dockerfile ─┐
//! project ────┴─lower──► Graph   stages of operations: names and paths, no digests          (lower.rs, graph.rs)
//! Graph       ──execute► Image   stage by stage, operation by operation; kept by name       (execute.rs, images.rs)
//!             ──plan───► Plan    the same walk, which decides and makes nothing             (execute.rs, plan.rs)
//! Image       ──copy───► a sink  `cartwheel_oci::copy`
//! ```
//!
//! [`Graph`] and [`Plan`] are plain values that can be printed and compared. The environment, the clock and the terminal are
//! elsewhere: whoever calls [`execute`] gives a [`Workshop`] (store, base images, build contexts), [`BuildOptions`], and
//! somebody who listens to [`Event`]s.
//!
//! There is no plan of the whole build before its first step is done, and there cannot be: which files a `COPY` replaces, and
//! which packages a `RUN` finds, depends on the layers below. So each operation is decided when what lies below it is known.
//! `plan` makes this walk with layers that are described and not made.
//!
//! # What an operation does
//!
//! - `COPY`, `ADD`: [`Contexts`], stages and images are all a file set; `copy` selects from it, places what it selected over
//!   what lies below, and has a tree.
//! - `RUN`: `recognise` says what a command installs, or which word it did not understand; `commands` checks what that
//!   assumes of the image. Every other command is run in a sandbox over the extracted layers, and what it changed is its
//!   layer (`running`).
//! - A bare project is lowered to the same operations: install, copy, configure.
//!
//! # From a wheel to a layer
//!
//! `cartwheel_python` says which wheels are meant and which files each becomes (it knows nothing of layers); `cartwheel_oci`
//! writes layers (it knows nothing of Python). Between them, here: `interpreter` finds the Python, `installed` what is
//! there already, [`Ground`] says where files really go, `pack` which wheels share a layer, `packages` turns one into the other.
//! `bytecode` has the stage's own Python compile the modules.
//!
//! # Two ways to find a layer again
//!
//! The **chain key** of an operation names all that came before it. It is asked first, and its answer is a list of layers:
//! nothing is opened, resolved or listed. A **content key** names what a layer will contain, and of what lies below only what
//! decided that; it is asked when the chain has changed. A new base image or another line above changes every chain key
//! below it and the key of no layer: such a build writes a manifest.
//!
//! | chain key of | names |
//! |---|---|
//! | every operation | layer format, mtime, layer budget, the diff IDs of the base, the operations since, this operation: |
//! | `COPY`, `ADD` | paths, modes and content of what is picked in a context (the chain of a stage or image that is copied from), sources, destination, `--chown`, `--chmod`, `--exclude`, the other flags |
//! | `WORKDIR` | the path, the user |
//! | `RUN` | words, script, working directory, user, the variables that it sees (without the credentials of URLs, without proxies), whether it has a network, whether anything can be run here, the index settings without credentials, of each mount the target, and the content of those from a context, the chain of those from a stage or image |
//!
//! | content key of | names |
//! |---|---|
//! | copied files | layer format, what was picked (content included), and of each entry of the tree: path, kind, mode, owner, mtime, link target |
//! | an installation | layer format, generation (how a wheel becomes a tree), mtime, layer budget, the tool, the scheme, what compiles (see `bytecode`), the wheels' digests in order (with the URL of those asked for by URL), the files that it removes, all links and directories below |
//! | one layer of packages | layer format, generation, mtime, the wheels' digests in order, the places and generated content of their files, the modes of parent directories that the base dictates, the version of the Python that compiled them, if one did |
//! | removed distributions | layer format, the removed paths |
//!
//! No key holds the digest of a base's manifest, a time stamp of a file, or a password. `--no-cache` passes over chain keys and kept
//! resolutions, never over content keys: the same content is the same layer.
#![forbid(unsafe_code)]

mod base;
mod bytecode;
mod commands;
mod container;
mod context;
mod contexts;
mod copy;
mod downloads;
mod error;
mod execute;
mod export;
mod files;
mod graph;
mod ground;
mod images;
mod install;
mod installed;
mod interpreter;
mod lower;
mod owner;
mod pack;
mod packages;
mod plan;
mod progress;
mod projects;
mod recognise;
mod removal;
mod running;
mod scratch;
mod sources;
mod stage;
mod turn;

pub use base::{BaseReference, Images};
pub use container::Container;
pub use context::{BuildContext, ContextTree, GitSource, StandardInput, read_ignore};
pub use contexts::Contexts;
pub use error::{Error, ErrorKind, Result};
pub use execute::{BuildOptions, Built, DEFAULT_BUDGET, NoCache, Workshop, execute, plan};
pub use export::{export_files, files_of};
pub use graph::Graph;
pub use ground::Ground;
pub use images::{
    ImageRecord, StoreWriter, find_image, forget_image, keep_image, keep_index, list_images, name_image,
};
pub use lower::{
    DockerfileSource, NamedContext, ProjectOptions, image_platform, inherited, lower_dockerfile,
    lower_project,
};
pub use packages::{Epoch, Prepared, layer_of, tree_of};
pub use plan::Plan;
pub use progress::{Event, Outcome, Progress};
pub use running::{Entitlements, RunOptions};
