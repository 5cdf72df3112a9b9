//! OCI images: values, the layer engine, layouts, archives and registries, validation.
//!
//! # Anatomy of an image
//!
//! An image is four kinds of blob, each referred to by digest and size (a [`Descriptor`]):
//!
//! ```text
//! index.json ──► image index ──► manifest ──► config      what to run, and the diff ID of each layer
//! (a layout's)   (platforms)        │
//!                                   └───────► layers      tar, compressed; applied one over the other
//! ```
//!
//! A layer has two digests. That of the compressed blob is in the manifest: registries and stores know the layer by it. That
//! of the tar inside, the [`DiffId`], is in the config: it says what the layer *is*, however it is compressed.
//!
//! # What is here
//!
//! - [`layer`]: the engine. A [`layer::Tree`] describes what a layer will contain; [`layer::write()`] makes its bytes, for
//!   wheels by splicing. Its essay is the normative format.
//! - [`Image`]: config and finished layers as an immutable value.
//! - [`Source`], [`Sink`] and [`copy`]: where images come from and go. [`ImageLayout`] reads directories and tars,
//!   [`LayoutWriter`] and [`ArchiveWriter`] write them; the store is a source too, and a registry is both: a
//!   [`Repository`] is read, a [`RepositoryWriter`] writes.
//! - [`Engine`]: Docker or Podman, which takes an image and gives one back.
//! - [`Below`]: what the layers of a base image make, as far as later layers must know it; [`follow_links`]: where a path
//!   leads in it or in any other tree; [`uncompressed()`]: a layer as a tar from which single files can be read.
//! - [`validate()`]: the second, dumber implementation that checks all of the above.
#![deny(unsafe_code)]

pub mod layer;

mod archive;
mod below;
mod config;
mod descriptor;
mod engine;
mod error;
mod image;
mod layout;
mod links;
mod manifest;
mod recompress;
mod reference;
mod registry;
mod source;
mod uncompressed;
mod validate;

pub use archive::{ArchiveKind, ArchiveWriter};
pub use below::{Below, Extract, FileFacts, LayerFacts, Node, NodeKind, Permissions};
pub use config::{History, ImageConfig, RootFs, RuntimeConfig};
pub use descriptor::{Descriptor, ParsePlatformError, Platform, media_type};
pub use engine::{Engine, EngineAddress, EngineSettings, Loaded};
pub use error::{Error, ErrorKind, Result};
pub use image::{DiffId, Documents, Image, IndexDocuments, Layer};
pub use layout::{ImageLayout, LayoutWriter, write_and_rename};
pub use links::follow_links;
pub use manifest::{ImageIndex, Manifest};
pub use recompress::recompressed;
pub use reference::Reference;
pub use registry::{
    Logins, RegistryClient, RegistryError, RegistryEvent, RegistryOptions, RegistryProblem, Repository,
    RepositoryWriter, StoreAndOrigins, origins, remember_origin,
};
pub use source::{Memory, Sink, Source, copy, copy_as_it_is, import_blob, layers_of};
pub use uncompressed::uncompressed;
pub use validate::validate;
