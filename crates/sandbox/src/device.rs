//! `/dev`, as containers have it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, chmod, makedev, mknodat, symlink};
use rustix::mount::MountAttrFlags;

use crate::mounts::{self, INERT};
use crate::points::{Kind, Points};
use crate::root::mount;
use crate::sandbox::{Mount, Sandbox};
use crate::{Error, Result, overlay};

/// A character device that every process may use.
pub(crate) struct Node {
    name: &'static str,
    major: u32,
    minor: u32,
}

const fn node(name: &'static str, major: u32, minor: u32) -> Node {
    Node { name, major, minor }
}

pub(crate) const NULL: Node = node("null", 1, 3);

/// The numbers are those of the kernel's `Documentation/admin-guide/devices.txt`.
const NODES: &[Node] = &[
    NULL,
    node("zero", 1, 5),
    node("full", 1, 7),
    node("random", 1, 8),
    node("urandom", 1, 9),
    node("tty", 5, 0),
];

/// Symbolic links: what they lead to, and their names.
const LINKS: &[(&str, &str)] = &[
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

impl Node {
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/dev").join(self.name)
    }

    /// Makes it, whatever the mask of this process takes from modes.
    fn make(&self) -> rustix::io::Result<()> {
        let (kind, number) = (FileType::CharacterDevice, makedev(self.major, self.minor));
        mknodat(CWD, self.path(), kind, Mode::from_raw_mode(0o666), number)?;
        chmod(self.path(), Mode::from_raw_mode(0o666))
    }

    fn attach(&self, device: &OwnedFd) -> Result<()> {
        let place = Points::default().open(&self.path(), Kind::File)?;
        mounts::attach(device.as_fd(), &place).map_err(Error::io("mount", self.path()))
    }
}

/// The host's devices where this process may not make its own, in a user namespace; otherwise none.
pub(crate) struct Devices {
    taken: Vec<OwnedFd>,
}

impl Devices {
    /// Takes them if need be.
    pub(crate) fn take() -> Result<Self> {
        let take = |node: &Node| mounts::copy(CWD, &node.path()).map_err(Error::io("open", node.path()));
        let nodes = if overlay::overlay_is_user() { NODES } else { &[] };
        Ok(Self { taken: nodes.iter().map(take).collect::<Result<_>>()? })
    }

    /// Mounts `/dev` and what is in it.
    pub(crate) fn mount(&self, sandbox: &Sandbox) -> Result<()> {
        mount("/dev", "tmpfs", &[("mode", "755"), ("size", "65536k")], MountAttrFlags::MOUNT_ATTR_NOSUID)?;
        for (number, node) in NODES.iter().enumerate() {
            match self.taken.get(number) {
                Some(device) => node.attach(device)?,
                None => node.make().map_err(Error::io("create", node.path()))?,
            }
        }
        for (target, name) in LINKS {
            symlink(*target, Path::new("/dev").join(name)).map_err(Error::io("create", name))?;
        }
        self.mount_terminals()?;
        let is_given = |mount: &Mount| mount.target() == Path::new("/dev/shm");
        // As Docker's builder: what the caller mounts there is in its place, not over it.
        if !sandbox.mounts.iter().any(is_given) {
            let size = sandbox.shm_size.to_string();
            mount("/dev/shm", "tmpfs", &[("mode", "1777"), ("size", &size)], INERT)?;
        }
        mount("/dev/mqueue", "mqueue", &[], INERT)
    }

    fn mount_terminals(&self) -> Result<()> {
        let attributes = INERT.difference(MountAttrFlags::MOUNT_ATTR_NODEV);
        let options = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
        match mount("/dev/pts", "devpts", &options, attributes) {
            // The group of terminals is not one that this user namespace has.
            Err(_) if !self.taken.is_empty() => mount("/dev/pts", "devpts", &options[..2], attributes),
            mounted => mounted,
        }
    }
}
