//! Mounts as files: made or taken first, and then attached to a place that is open as well.
//!
//! No path is looked up twice, so nothing that changes in between can lead a mount astray.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, fstat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::points::Kind;

/// `nosuid,nodev,noexec`.
pub(crate) const INERT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A new file system of that kind.
pub(crate) fn fresh(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<OwnedFd> {
    let filesystem = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&filesystem, "source", kind)?;
    for (key, value) in options {
        fsconfig_set_string(&filesystem, *key, *value)?;
    }
    fsconfig_create(&filesystem)?;
    fsmount(&filesystem, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A second mount of what is at that path from `folder`, with all that is mounted below it.
pub(crate) fn copy(folder: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(folder, path, flags)
}

/// Attaches a mount to a place.
pub(crate) fn attach(mount: BorrowedFd<'_>, place: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", place.as_fd(), "", flags)
}

/// What a mount's place has to be.
pub(crate) fn kind(mount: BorrowedFd<'_>) -> rustix::io::Result<Kind> {
    let mode = fstat(mount)?.st_mode;
    Ok(if FileType::from_raw_mode(mode).is_dir() { Kind::Directory } else { Kind::File })
}
