//! What is mounted over the root file system, before it is: mounts that are attached nowhere yet.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, fchmod, fchown, open, openat};
use rustix::mount::{MountAttrFlags, UnmountFlags, unmount};

use crate::mounts::{self, INERT};
use crate::points::Kind;
use crate::sandbox::{Mount, Sandbox};
use crate::system::{Extent, set_read_only};
use crate::{Error, Result};

/// One of them.
pub(crate) struct Source<'a> {
    /// Nothing if it is a part of the root file system itself.
    pub(crate) mount: Option<OwnedFd>,
    pub(crate) target: &'a Path,
    pub(crate) kind: Kind,
}

/// Takes them all, in the order in which they are to be attached: `/etc/hosts` and `/etc/resolv.conf`, which are
/// nobody's to change, as in Docker's builder, and then the sandbox's own.
pub(crate) fn take(sandbox: &Sandbox) -> Result<Vec<Source<'_>>> {
    let hosts = hosts(sandbox);
    let resolv_conf = fs::read("/etc/resolv.conf").unwrap_or_default();
    let fixed = [("/etc/hosts", hosts.as_bytes()), ("/etc/resolv.conf", &resolv_conf)];
    let fixed = fixed.into_iter().map(|(target, content)| {
        let mount = file(sandbox, content, 0o644, (0, 0)).map_err(Error::io("create", target))?;
        Ok(Source { mount: Some(mount), target: Path::new(target), kind: Kind::File })
    });
    fixed.chain(sandbox.mounts.iter().map(|mount| own(sandbox, mount))).collect()
}

fn own<'a>(sandbox: &Sandbox, mount: &'a Mount) -> Result<Source<'a>> {
    match mount {
        Mount::Bind { source, target, read_only } => {
            let mount = mounts::copy(CWD, source).map_err(Error::io("open", source))?;
            if *read_only {
                set_read_only(mount.as_fd(), Extent::MountAndBelow).map_err(Error::io("protect", source))?;
            }
            let kind = mounts::kind(mount.as_fd()).map_err(Error::io("read", source))?;
            Ok(Source { mount: Some(mount), target, kind })
        }
        Mount::Tmpfs { target, size, mode } => {
            let (mode, size) = (format!("{mode:o}"), size.map(|size| size.to_string()));
            let size = size.as_deref().map(|size| ("size", size));
            let options: Vec<_> = [("mode", mode.as_str())].into_iter().chain(size).collect();
            let mount = mounts::fresh("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NOSUID);
            let mount = Some(mount.map_err(Error::io("mount", target))?);
            Ok(Source { mount, target, kind: Kind::Directory })
        }
        Mount::Writable { target } => Ok(Source { mount: None, target, kind: Kind::Directory }),
        Mount::File { target, content, mode, uid, gid } => {
            let mount = file(sandbox, content, *mode, (*uid, *gid)).map_err(Error::io("create", target))?;
            Ok(Source { mount: Some(mount), target, kind: Kind::File })
        }
    }
}

/// A file in memory that can only be read.
fn file(sandbox: &Sandbox, content: &[u8], mode: u32, (uid, gid): (u32, u32)) -> std::io::Result<OwnedFd> {
    let memory = mounts::fresh("tmpfs", &[], INERT)?;
    let new = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(&memory, "file", new, Mode::empty())?;
    fchown(&file, Some(Uid::from_raw_unchecked(uid)), Some(Gid::from_raw_unchecked(gid)))?;
    fchmod(&file, Mode::from_raw_mode(mode))?;
    File::from(file).write_all(content)?;
    // The kernel copies a mount only while that is attached somewhere: for a moment, where the root is to be.
    let place = open(&sandbox.upper, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    mounts::attach(memory.as_fd(), &place)?;
    let mount = mounts::copy(memory.as_fd(), Path::new("file"));
    unmount(&sandbox.upper, UnmountFlags::DETACH)?;
    let mount = mount?;
    set_read_only(mount.as_fd(), Extent::Mount)?;
    Ok(mount)
}

/// Docker's lines, and those that were asked for.
fn hosts(sandbox: &Sandbox) -> String {
    let mut hosts =
        format!("127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n", sandbox.hostname);
    for (name, address) in &sandbox.hosts {
        let _infallible = writeln!(hosts, "{address}\t{name}");
    }
    hosts
}
