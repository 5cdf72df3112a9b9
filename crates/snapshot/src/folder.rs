//! A directory that is being filled, and the way through it: one part of a path at a time, each by the handle of the one
//! before, so that no link, however it is made, leads out.
//!
//! A path is never handed to the system as a whole: what lies at it is what this walk finds. A link is followed as a
//! process would whose root is the directory. The walk holds one handle, however long the way; going back up is safe
//! because nobody else moves directories here while they are filled.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, chmodat, openat, readlinkat, unlinkat};
use rustix::io::Errno;

use crate::error::EntryProblem;
use crate::place::Place;
use crate::unpack::Problem;

/// What the system answers.
pub(crate) type Result<T, E = Errno> = std::result::Result<T, E>;

/// Links are followed so many times at most (Linux: `ELOOP` after 40).
const LINK_LIMIT: usize = 40;

/// No directory lies deeper: what has a longer path could not be named.
const PATH_LIMIT: usize = 4096;

/// How a directory is opened to go through it.
const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An open directory, by its path from the root that it was reached from.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    handle: Arc<OwnedFd>,
    path: PathBuf,
}

/// What a name stands for.
pub(crate) enum Child {
    Folder(Folder),
    Link(OsString),
    Other,
    Missing,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl Folder {
    /// The directory at `path`, as a root.
    pub(crate) fn root(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { handle: Arc::new(handle), path: PathBuf::new() })
    }

    /// Its path from the root; without links, and empty for the root.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is at `name` in it; a link is not followed.
    pub(crate) fn child(&self, name: &OsStr) -> Result<Child> {
        match self.open(name) {
            Ok(folder) => Ok(Child::Folder(folder)),
            Err(Errno::NOENT) => Ok(Child::Missing),
            Err(Errno::NOTDIR | Errno::LOOP) => match readlinkat(self, name, Vec::new()) {
                Ok(target) => Ok(Child::Link(OsString::from_vec(target.into_bytes()))),
                Err(Errno::INVAL) => Ok(Child::Other),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// The directory at `name` in it, which is one.
    pub(crate) fn open(&self, name: &OsStr) -> Result<Self> {
        let handle = openat(self, name, STEP, Mode::empty())?;
        Ok(Self { handle: Arc::new(handle), path: self.path.join(name) })
    }

    /// A handle to read it and to change its attributes, which the one to go through it is not good for.
    pub(crate) fn reopen(&self) -> Result<OwnedFd> {
        openat(self, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }

    /// The directory above; the root is above itself.
    fn parent(&self) -> Result<Self> {
        let Some(path) = self.path.parent() else { return Ok(self.clone()) };
        let handle = openat(self, "..", STEP, Mode::empty())?;
        Ok(Self { handle: Arc::new(handle), path: path.to_owned() })
    }

    /// The directory at `path` below this one; `None` if there is none, or if a link is on the way.
    pub(crate) fn exactly(&self, path: &Path) -> Result<Option<Self>> {
        let mut here = self.clone();
        for part in path {
            let Child::Folder(next) = here.child(part)? else { return Ok(None) };
            here = next;
        }
        Ok(Some(here))
    }

    /// The directory at `path`, links followed, with this one as the root. What is in the way (nothing, or what is neither
    /// directory nor link) is shown to `make`, which puts a directory there.
    pub(crate) fn resolve(
        &self,
        path: &str,
        mut make: impl FnMut(Place<'_>) -> Result<Self, Problem>,
    ) -> Result<Self, Problem> {
        let mut here = self.clone();
        let mut todo = parts_reversed(OsStr::new(path));
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                here = here.parent()?;
                continue;
            }
            if here.path.as_os_str().len() + part.len() >= PATH_LIMIT {
                return Err(EntryProblem::TooDeep.into());
            }
            here = match here.child(&part)? {
                Child::Folder(next) => next,
                Child::Missing | Child::Other => make(Place { parent: &here, name: &part })?,
                Child::Link(target) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(EntryProblem::Circle.into());
                    }
                    todo.extend(parts_reversed(&target));
                    if target.as_bytes().starts_with(b"/") { self.clone() } else { here }
                }
            };
        }
        Ok(here)
    }

    /// The names in it.
    pub(crate) fn names(&self) -> Result<Vec<OsString>> {
        let names = Dir::new(self.reopen()?)?
            .map(|entry| Ok(OsString::from_vec(entry?.file_name().to_bytes().to_owned())));
        names.filter(|name| name.as_ref().map_or(true, |name| name != "." && name != "..")).collect()
    }

    /// Removes what is at `name` and everything in it, but for the paths that are to be kept and the way to them; says
    /// whether nothing is left.
    pub(crate) fn remove(&self, name: &OsStr, keep: &dyn Fn(&Path) -> bool) -> Result<bool> {
        Ok(self.clone().remove_and_return(name, keep)?.1)
    }

    /// Gives itself up on the way down and comes back on the way up, so that depth costs no handles.
    fn remove_and_return(self, name: &OsStr, keep: &dyn Fn(&Path) -> bool) -> Result<(Self, bool)> {
        let is_kept = keep(&self.path.join(name));
        if !is_kept {
            match unlinkat(&self, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => return Ok((self, true)),
                Err(Errno::ISDIR) => {}
                Err(error) => return Err(error),
            }
        }
        let Child::Folder(mut folder) = self.child(name)? else { return Ok((self, false)) };
        if !is_kept {
            // Who is not root may have made a directory that they may not empty.
            chmodat(&self, name, Mode::RWXU, AtFlags::empty())?;
        }
        drop(self);
        let mut is_empty = !is_kept;
        for child in folder.names()? {
            let is_gone;
            (folder, is_gone) = folder.remove_and_return(&child, keep)?;
            is_empty &= is_gone;
        }
        let above = folder.parent()?;
        if is_empty {
            unlinkat(&above, name, AtFlags::REMOVEDIR)?;
        }
        Ok((above, is_empty))
    }
}

/// The parts of a path that lead on, the last one first.
fn parts_reversed(path: &OsStr) -> Vec<OsString> {
    let parts = path.as_bytes().rsplit(|&byte| byte == b'/').map(OsStr::from_bytes);
    parts.filter(|part| !part.is_empty() && *part != ".").map(OsStr::to_owned).collect()
}
