//! Registries (distribution spec): images are read from a [`Repository`] and written by a [`RepositoryWriter`].
//!
//! A [`RegistryClient`] knows how registries are reached and who we are to them; everything else is cheap and made from it. Outside all of this is
//! blocking, as [`crate::Source`] and [`crate::Sink`] are; inside, tokio drives the sockets on two threads, and each blob that moves has a thread of its own
//! that reads or writes it.
//!
//! # What moves, and what does not
//!
//! Documents are read once. A blob is read only by whoever needs its bytes: an image whose base layers are never
//! opened is built without them. Nothing is sent that is there already:
//!
//! ```text
//! HEAD  blobs/<digest>                           200: it is there
//! POST  blobs/uploads/?mount=<digest>&from=…     201: the registry took it from the repository where it was seen
//! POST  blobs/uploads/                           202 and a Location
//! PUT   <Location>&digest=<digest>               the blob, in one request: registries limit chunks, not requests
//! PUT   manifests/<tag>                          when everything that it refers to is there
//! ```
//!
//! What comes is checked against its digest by [`crate::import_blob`], which goes on where an earlier attempt or process
//! stopped, or by whoever reads the stream.
//!
//! # Who we are
//!
//! A registry is asked without a name first; its challenge says whether it wants a password or a token, and from whom. Tokens
//! are bought once for each set of rights, for a push with mounts one that covers all repositories in question. They
//! go to the registry's own origin alone: not to the storage that it redirects to, not to another host in a `Location`. A
//! realm gets credentials over TLS only, unless the registry has none either.
//!
//! # What goes wrong
//!
//! Connections that fail, stall or break, 408, 429 and 5xx are tried again with back-off; `Retry-After` is honoured up to a
//! bound. A second attempt at an upload begins by asking whether the first one arrived. Everything else is an error at once,
//! with the registry's own code and words, and a hint.

mod challenge;
mod client;
mod error;
mod logins;
mod origin;
mod repository;
mod stream;
mod token;
mod upload;
mod writer;

pub use client::{RegistryClient, RegistryEvent, RegistryOptions};
pub use error::{RegistryError, RegistryProblem};
pub use logins::Logins;
pub use origin::{StoreAndOrigins, origins, remember_origin};
pub use repository::Repository;
pub use writer::RepositoryWriter;
