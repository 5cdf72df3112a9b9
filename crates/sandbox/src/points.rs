//! Mount points: where in the root file system something is mounted, made if need be.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, readlinkat, statat,
    unlinkat,
};
use rustix::io::Errno;

use crate::{Error, Result};

/// As many as the kernel follows.
const MAX_SYMLINKS: usize = 40;

/// What a mount point has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
}

/// Finds and makes mount points in the root of this process.
#[derive(Default)]
pub(crate) struct Points {
    /// What was made, parents first, by names without symbolic links.
    pub(crate) made: Vec<PathBuf>,
}

impl Points {
    /// The place with that path, made with all its parents if it is not there.
    ///
    /// It is resolved by the kernel under a root of its own, so nothing leads out of it, except the links in `/proc` to
    /// what processes have open: those are refused.
    pub(crate) fn open(&mut self, path: &Path, kind: Kind) -> Result<OwnedFd> {
        self.follow(&Path::new("/").join(path), kind, MAX_SYMLINKS).map_err(Error::io("mount on", path))
    }

    fn follow(&mut self, path: &Path, kind: Kind, links: usize) -> rustix::io::Result<OwnedFd> {
        match openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::NOENT) };
        let links = links.checked_sub(1).ok_or(Errno::LOOP)?;
        let folder = self.follow(parent, Kind::Directory, links)?;
        match readlinkat(&folder, name, Vec::new()) {
            // A link to something that is not there, which is then what has to be made.
            Ok(target) => {
                let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
                return self.follow(&parent.join(target), kind, links);
            }
            Err(Errno::NOENT) => make(folder.as_fd(), Path::new(name), kind)?,
            Err(error) => return Err(error),
        }
        self.made.push(real_path(folder.as_fd())?.join(name));
        openat(&folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    }
}

fn make(folder: BorrowedFd<'_>, name: &Path, kind: Kind) -> rustix::io::Result<()> {
    match kind {
        Kind::Directory => mkdirat(folder, name, Mode::from_raw_mode(0o755)),
        Kind::File => {
            let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(folder, name, new, Mode::from_raw_mode(0o644)).map(drop)
        }
    }
}

fn real_path(file: BorrowedFd<'_>) -> rustix::io::Result<PathBuf> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::read_link(link).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Removes the mount points that were made from the upper directory, unless something was put there.
///
/// What the process did to its parents, and where it moved them, is its own affair.
pub(crate) fn remove(made: &[PathBuf], upper: &Path) -> Result<()> {
    let upper_folder = openat(CWD, upper, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let upper_folder = upper_folder.map_err(Error::io("open", upper))?;
    for path in made.iter().rev() {
        match remove_one(path, upper_folder.as_fd()) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST | Errno::LOOP) => {}
            Err(error) => {
                return Err(Error::io("remove", upper.join(path.strip_prefix("/").unwrap_or(path)))(error));
            }
        }
    }
    Ok(())
}

fn remove_one(path: &Path, upper: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let parent = Path::new(".").join(parent.strip_prefix("/").unwrap_or(parent));
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let folder = openat2(upper, &parent, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), inside)?;
    let found = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => unlinkat(&folder, name, AtFlags::REMOVEDIR),
        FileType::RegularFile if found.st_size == 0 => unlinkat(&folder, name, AtFlags::empty()),
        _ => Ok(()),
    }
}
