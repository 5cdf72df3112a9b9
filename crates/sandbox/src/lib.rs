//! The sandbox: one process in Linux namespaces over an overlay of directories.
//!
//! It knows nothing of images, layers or Dockerfiles. It is given a [`Sandbox`], a value that says everything that the
//! process is to see, and [`run`] makes it so, as Docker's builder does: the same files in `/dev` and `/proc`, the same
//! capabilities, the same system calls, the user's program as process 1. What the process changed in the file system is in
//! [`Sandbox::upper`] afterwards, and nothing else of it is anywhere.
//!
//! # Three processes
//!
//! ```text
//! caller ── the program that calls `run`: any number of threads, any user
//!   │ a socket: the sandbox goes down, messages come up
//! keeper ── a copy of the same program, caught by `entry`: one thread, new mount, PID, IPC and UTS namespaces
//!   │ fork
//! first ─── process 1 of the PID namespace: mounts everything, gives up its rights, becomes the user's program
//! ```
//!
//! # Nothing stays behind
//!
//! There is nothing to clean up after a crash, because nothing is ever outside. Every mount is in the mount namespace, which is
//! gone with its last process; every process is in the PID namespace, which is gone with its first. The first process is
//! killed by the kernel when the keeper dies, and by the keeper when the socket says that the caller is gone. So it does
//! not matter who is killed, or when. The exception is a directory among the kernel's control groups: the keeper removes its own, and
//! those of keepers that were killed.
//!
//! # Without root
//!
//! [`enter_user_namespace`] makes the calling program root in a user namespace of its own, with the subordinate users that
//! `/etc/subuid` gives it; from there on everything works as for root, but that overlays mark deleted files with other
//! attributes ([`overlay_is_user`]), and that device nodes and `/sys` are the host's.
//!
//! # What is trusted
//!
//! The caller's paths are; nothing in the root file system is. The process's root is changed before the first of its
//! paths is looked at, so that no symbolic link leads out, and mounts are attached to places that are already open.
#![deny(unsafe_code)]

mod cgroup;
mod control;
mod device;
mod error;
mod first;
mod follow;
mod input;
mod keeper;
mod limits;
mod loopback;
mod mounts;
mod overlay;
mod points;
mod privileges;
mod root;
mod run;
mod sandbox;
mod seccomp;
mod sources;
mod system;
mod terminal;
mod user_namespace;
mod wire;

pub use control::Control;
pub use error::{Error, ErrorKind, Result};
pub use keeper::entry;
pub use limits::Ulimit;
pub use overlay::overlay_is_user;
pub use privileges::Capabilities;
pub use run::{Cancel, run, run_attended, run_fed};
pub use sandbox::{Exit, Mount, Network, Sandbox, Stdio, Stream};
pub use user_namespace::{UserNamespace, enter_user_namespace};
