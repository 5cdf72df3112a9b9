//! The root of the sandbox's processes, with the kernel's files in it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, mkdir, open};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{chdir, fchdir, pivot_root};

use crate::device::{self, Devices};
use crate::mounts::{self, INERT};
use crate::points::{Kind, Points};
use crate::sandbox::{Network, Sandbox};
use crate::sources::{self, Source};
use crate::system::{Extent, set_read_only};
use crate::{Error, Result, overlay};

/// What Docker hides: `/dev/null` or an empty directory is in its place.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What Docker lets nobody write.
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Makes the sandbox's root file system the root of this process, and mounts there what is to be seen.
///
/// What comes from the host is taken while the host can be seen, as mounts that are attached nowhere. The host is gone
/// before the first path is looked at that others had a say in: as long as both roots are there, `/..` leads from the new one
/// to the old one. `/proc` comes before that, because in a user namespace the kernel gives it only to those who can see one.
///
/// Returns the mount points that were made, and that are to be removed when all is over.
pub(crate) fn enter(sandbox: &Sandbox) -> Result<Vec<PathBuf>> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(Error::io("detach", "/"))?;
    let sources = sources::take(sandbox)?;
    let devices = Devices::take()?;
    let sys = sys(sandbox)?;
    overlay::mount(sandbox)?;
    let host = open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(Error::io("open", "/"))?;
    chdir(&sandbox.upper).map_err(Error::io("enter", &sandbox.upper))?;
    pivot_root(".", ".").map_err(Error::io("enter", "the root file system"))?;
    mount("/proc", "proc", &[], INERT)?;
    fchdir(&host)
        .and_then(|()| unmount(".", UnmountFlags::DETACH))
        .and_then(|()| chdir("/"))
        .map_err(Error::io("leave", "the host's files"))?;
    mounts::attach(sys.as_fd(), &folder("/sys")?).map_err(Error::io("mount", "/sys"))?;
    devices.mount(sandbox)?;
    furnish(sandbox, sources)
}

fn furnish(sandbox: &Sandbox, sources: Vec<Source<'_>>) -> Result<Vec<PathBuf>> {
    let mut points = Points::default();
    for Source { mount, target, kind } in sources {
        let place = points.open(target, kind)?;
        let mount = match mount {
            Some(mount) => mount,
            None => mounts::copy(CWD, target).map_err(Error::io("open", target))?,
        };
        mounts::attach(mount.as_fd(), &place).map_err(Error::io("mount", target))?;
    }
    if !sandbox.insecure {
        mask()?;
    }
    // Stays, as in Docker.
    Points::default().open(&sandbox.working_dir, Kind::Directory)?;
    if sandbox.read_only_root {
        set_read_only(folder("/")?.as_fd(), Extent::Mount).map_err(Error::io("protect", "/"))?;
    }
    Ok(points.made)
}

/// `/sys`: where the network is not this user's to see, the host's.
fn sys(sandbox: &Sandbox) -> Result<OwnedFd> {
    let is_host = overlay::overlay_is_user() && sandbox.network == Network::Host;
    let sys = if is_host { mounts::copy(CWD, Path::new("/sys")) } else { mounts::fresh("sysfs", &[], INERT) };
    let sys = sys.map_err(Error::io("mount", "/sys"))?;
    if !sandbox.insecure {
        set_read_only(sys.as_fd(), Extent::MountAndBelow).map_err(Error::io("protect", "/sys"))?;
    }
    Ok(sys)
}

/// A directory where Docker has one; no symbolic link, which could give another directory its files.
fn folder(path: &str) -> Result<OwnedFd> {
    match mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(Error::io("create", path)(error)),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).map_err(Error::io("mount on", path))
}

/// Mounts a new file system on such a directory.
pub(crate) fn mount(
    path: &str,
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<()> {
    let mount = mounts::fresh(kind, options, attributes).map_err(Error::io("mount", path))?;
    mounts::attach(mount.as_fd(), &folder(path)?).map_err(Error::io("mount", path))
}

fn mask() -> Result<()> {
    for path in MASKED.iter().map(Path::new) {
        unless_missing(hide(path)).map_err(Error::io("hide", path))?;
    }
    for path in READ_ONLY.iter().map(Path::new) {
        unless_missing(protect(path)).map_err(Error::io("protect", path))?;
    }
    Ok(())
}

fn unless_missing(done: std::io::Result<()>) -> std::io::Result<()> {
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn hide(path: &Path) -> std::io::Result<()> {
    let place = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mask = match mounts::kind(place.as_fd())? {
        Kind::Directory => {
            let empty = [("size", "4k"), ("nr_inodes", "1")];
            mounts::fresh("tmpfs", &empty, MountAttrFlags::MOUNT_ATTR_RDONLY)?
        }
        Kind::File => mounts::copy(CWD, &device::NULL.path())?,
    };
    Ok(mounts::attach(mask.as_fd(), &place)?)
}

fn protect(path: &Path) -> std::io::Result<()> {
    let place = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let copy = mounts::copy(CWD, path)?;
    set_read_only(copy.as_fd(), Extent::MountAndBelow)?;
    Ok(mounts::attach(copy.as_fd(), &place)?)
}
