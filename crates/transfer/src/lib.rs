//! HTTP as wheels and layers need it: clients, patience, resumption, redaction.
//!
//! Package indexes and registries have little in common but the network between them and us, and what goes wrong in it.
//! That part is here, once:
//!
//! * [`Clients`] are HTTP clients that trust the system's certificates and those that the user adds, go through the
//!   user's proxies, and never follow a redirect by themselves: [`follow`] does, hop by hop, so that whoever makes the
//!   requests decides for each host anew who we are.
//! * [`Patience`] says how long to wait and how often to try again; a [`Hitch`] is an attempt that failed in a way that
//!   another may not.
//! * [`download`] brings a file into the store: from the byte where an earlier attempt or process stopped, checked
//!   against its digest, and from zero once more if it is another. [`Position`] is its knowledge of which bytes are
//!   here and whether an answer continues them.
//! * [`fetch_file`] brings a file whose digest nobody promised, unless it is the one that is here.
//! * [`redact`] is what every text goes through that could show a user or a password.
//!
//! Nothing here knows credentials, statuses that mean something to one kind of server only, or messages to people.
#![forbid(unsafe_code)]

mod client;
mod download;
mod error;
mod file;
mod patience;
mod position;
mod redact;
mod redirect;

pub use client::{ClientOptions, Clients, client_builder, is_loopback};
pub use download::{DownloadEvent, Wanted, download};
pub use error::{Error, ErrorKind, Failure, Result};
pub use file::{Fetched, FileError, Validators, fetch_file, file_name};
pub use patience::{Break, Hitch, Patience, within};
pub use position::{Placement, Position};
pub use redact::{redact, without_credentials};
pub use redirect::{Misdirected, follow};
