//! Layers as directories on disk, and directories as layers.
//!
//! A RUN step sees the file system that the layers below make, and leaves a layer behind. In between lies an overlay: its
//! lower directories are layers that were extracted once and serve every build, its upper directory takes what the step
//! changes, and nothing ever walks the whole file system.
//!
//! - [`Snapshots`]: extracted layers, one directory each, made when somebody first needs them.
//! - [`diff()`]: an upper directory as the [`Tree`](cartwheel_oci::layer::Tree) of a layer.
//! - [`Unpack`]: a stack of layers in one directory, for those who want the files and no overlay.
//!
//! The first and the last are one engine. What differs is what becomes of a whiteout: in a directory of its own, a layer
//! keeps it for the overlay to see, in the form that overlayfs knows ([`Marks`]); in a directory of several, it removes.
//!
//! # Layout on disk
//!
//! ```text
//! snapshots/
//! └── trusted/                    or `user`: overlayfs looks for other marks in a user namespace
//!     ├── layers/<diff ID>/       a layer, extracted whole
//!     ├── locks/<diff ID>         its lock; what is known of it is in it, and it was modified when it was last used
//!     └── tmp/<diff ID>/          being extracted by who has the lock
//! ```
//!
//! A layer is extracted under its lock into `tmp`, checked against its diff ID as it is read, flushed, and renamed into
//! `layers`: it is there whole or not at all. A second process that wants the same layer waits for the lock and finds the layer made. What is
//! in `tmp` under a lock that nobody holds was left by a process that is gone: [`Snapshots::open`] removes it. Who uses a
//! snapshot shares its lock, so that nobody removes it meanwhile.
//!
//! # Nothing leads out
//!
//! A layer is not trusted: it may have links to anywhere, entries below these links, hard links to what is not in it. So no
//! path of a layer is ever handed to the system. It is walked by directory handles, one part at a time, without following
//! links; a link that is met is followed by the walk itself, as a process would whose root is the directory. What comes of it
//! is a handle inside and a single name. A path with `..`, or a second tar reader's idea of where an entry begins, is refused.
//!
//! # What a layer of a RUN has
//!
//! What BuildKit's has when it diffs an overlay (its `util/overlay`, as Docker's containerd store uses it): everything in the
//! upper directory but sockets, and but what only looks like a change. A file that was copied up and is still what it was
//! below is none; neither is a directory whose mode, owner and attributes are as below, whatever its time. A whiteout of what
//! is not below and an opaque directory that hides nothing (overlayfs marks every new directory) are left out. Docker's
//! overlay2 store does not look below and writes all of these: its layers are larger and mean the same.
//!
//! Both write the parents of everything that changed, with the times that the change gave them. We leave out those that are
//! 0755 root's, which whoever unpacks the layer makes the same, and write the others exactly as they are below, so that the
//! time of day does not enter. Of extended attributes, both keep `security.capability` alone; we keep those of `user.*` too. The
//! rest belongs to the machine.
#![forbid(unsafe_code)]

mod attributes;
mod error;
mod folder;
mod marks;
mod place;
mod snapshots;
mod unpack;
mod upper;

pub use error::{EntryProblem, Error, ErrorKind, Result};
pub use marks::Marks;
pub use snapshots::{Kept, Snapshot, Snapshots};
pub use unpack::{Shortfall, Unpack};
pub use upper::diff;
