//! Container engines: Docker and Podman, asked over their socket.
//!
//! An [`Engine`] takes an image ([`Engine::load`]) and gives one back ([`Engine::save`]). Both go through the Engine API's
//! archives, the only door that all engines have.
//!
//! # Only what the engine lacks
//!
//! An archive for an engine may leave out what the engine has, and that is nearly everything when only a source line changed.
//! What it has is asked, never remembered, and each kind of engine is asked in another way:
//!
//! | engine | keeps | has a layer if | takes |
//! |---|---|---|---|
//! | Docker, graph driver (`overlay2`) | unpacked layers, by the chain of diff IDs below them | an image of its begins with the same diff IDs | `manifest.json` that names a file that is not there |
//! | Docker, containerd's store | compressed blobs, by digest | an image of its that is whole lists the blob | an OCI layout without the blob |
//! | Podman | unpacked layers, and from which blob each came | an image of its lists the blob | an OCI layout without the blob |
//!
//! Engines do not say of which blobs an image is made, only what its manifest's or config's digest is; the manifest or config
//! itself is read from the store, which keeps those of all images that were ever loaded from here.
//!
//! None of this may cost an image. An engine can forget between question and load; Docker's graph driver and Podman then refuse,
//! containerd's store answers 200, says «Error unpacking» in passing and keeps a broken image. So a load that left something out is
//! looked at afterwards, and whatever is wrong with it, everything is sent.

mod address;
mod client;
mod load;

pub use address::{EngineAddress, EngineSettings};
pub use client::Engine;
pub use load::Loaded;
