//! A name in a directory, and what one entry of a layer makes there. No link is ever followed from here.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use cartwheel_oci::layer::ReadEntry;
use rustix::fs::{
    AtFlags, Dev, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chmodat, chownat, fchmod,
    fchown, futimens, linkat, mknodat, openat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use crate::folder::{Child, Folder, Result};
use crate::unpack::Problem;

/// What disks count in.
const BLOCK: usize = 4096;

/// The number of the character device that overlayfs takes for a whiteout.
const WHITEOUT: Dev = 0;

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) parent: &'a Folder,
    pub(crate) name: &'a OsStr,
}

impl Place<'_> {
    /// What is there.
    pub(crate) fn child(self) -> Result<Child> {
        self.parent.child(self.name)
    }

    /// What the system says of what is there.
    pub(crate) fn stat(self) -> Result<Option<Stat>> {
        match statat(self.parent, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it is a whiteout as overlayfs marks it.
    pub(crate) fn is_whiteout(self) -> Result<bool> {
        Ok(self.stat()?.is_some_and(|found| is_whiteout(found.st_mode, found.st_rdev)))
    }

    /// Makes a whiteout for overlayfs.
    pub(crate) fn make_whiteout(self) -> Result<()> {
        mknodat(self.parent, self.name, FileType::CharacterDevice, Mode::empty(), WHITEOUT)
    }

    pub(crate) fn make_file(self) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(self.parent, self.name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    pub(crate) fn make_symlink(self, target: &str) -> Result<()> {
        symlinkat(target, self.parent, self.name)
    }

    pub(crate) fn make_special(self, kind: FileType, device: Dev) -> Result<()> {
        mknodat(self.parent, self.name, kind, Mode::empty(), device)
    }

    /// Makes another name of what is at `target`.
    pub(crate) fn make_hardlink(self, target: Place<'_>) -> Result<()> {
        linkat(target.parent, target.name, self.parent, self.name, AtFlags::empty())
    }

    /// A handle to the regular file that is there.
    pub(crate) fn open_file(self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(self.parent, self.name, flags, Mode::empty())
    }

    /// Gives what is there to its owner.
    pub(crate) fn set_owner(self, uid: u32, gid: u32) -> Result<()> {
        let (uid, gid) = ids(uid, gid)?;
        chownat(self.parent, self.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Sets mode and time; a link has no mode.
    pub(crate) fn set_permissions(self, permissions: Permissions, kind: FileType) -> Result<()> {
        if kind != FileType::Symlink {
            // It is no link, so none is followed.
            chmodat(self.parent, self.name, Mode::from_raw_mode(permissions.mode), AtFlags::empty())?;
        }
        let times = times(permissions.mtime);
        utimensat(self.parent, self.name, &times, AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// Whether a file of this mode and device number is a whiteout as overlayfs marks it.
pub(crate) fn is_whiteout(mode: u32, device: Dev) -> bool {
    FileType::from_raw_mode(mode) == FileType::CharacterDevice && device == WHITEOUT
}

/// The mode and time of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permissions {
    pub(crate) mode: u32,
    pub(crate) mtime: u64,
}

impl Permissions {
    pub(crate) fn of(entry: &ReadEntry) -> Self {
        Self { mode: entry.mode, mtime: entry.mtime }
    }

    /// Sets them, when nothing more will change the file.
    pub(crate) fn set(self, file: impl AsFd) -> Result<()> {
        fchmod(&file, Mode::from_raw_mode(self.mode))?;
        futimens(&file, &times(self.mtime))
    }
}

/// Gives an open file to its owner. That takes away its capabilities and its setuid bit.
pub(crate) fn set_owner(file: impl AsFd, uid: u32, gid: u32) -> Result<()> {
    let (uid, gid) = ids(uid, gid)?;
    fchown(file, Some(uid), Some(gid))
}

/// Numbers of a user and a group; the largest means nobody, and to the system «as it is».
fn ids(uid: u32, gid: u32) -> Result<(Uid, Gid)> {
    if uid == u32::MAX || gid == u32::MAX {
        return Err(Errno::INVAL);
    }
    Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
}

fn times(mtime: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(mtime).unwrap_or(i64::MAX), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// Copies a file's content and says how much room it takes. Where there are only zeros nothing is written: a file of
/// 100 GB of them is as long, and takes no room.
pub(crate) fn copy(content: &mut dyn Read, file: &File, buffer: &mut [u8]) -> Result<u64, Problem> {
    let (mut size, mut written, mut room) = (0, 0, 0);
    loop {
        let count = match content.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count.map_err(Problem::Read)?,
        };
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        if count < BLOCK || !is_zero(bytes) {
            file.write_all_at(bytes, size).map_err(Problem::Write)?;
            written = size + count as u64;
            room += count as u64;
        }
        size += count as u64;
    }
    if written < size {
        file.set_len(size).map_err(Problem::Write)?;
    }
    Ok(room.next_multiple_of(BLOCK as u64))
}

fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    bytes.chunks(BLOCK).all(|chunk| ZEROS.starts_with(chunk))
}
