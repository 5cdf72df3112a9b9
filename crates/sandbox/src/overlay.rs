//! The root file system: the lower directories, and one on top that takes what is written.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsFd;

use rustix::fs::{CWD, symlinkat};
use rustix::mount::{MountAttrFlags, MountFlags};
use rustix::process::fchdir;

use crate::sandbox::Sandbox;
use crate::{Error, Result, mounts};

/// Whether overlays mark what was deleted with `user.overlay.*` attributes instead of `trusted.overlay.*`.
///
/// So it is in every user namespace but the first: only there is anybody trusted.
pub fn overlay_is_user() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let words: Vec<&str> = map.split_whitespace().collect();
    words != ["0", "0", "4294967295"]
}

/// Mounts it over the upper directory itself, which the overlay goes on seeing without it.
///
/// The options of a mount are a page at most, and a colon in them ends a name. So the directories are called by numbers:
/// symbolic links in a file system that only this call can see.
pub(crate) fn mount(sandbox: &Sandbox) -> Result<()> {
    let failed = |source: rustix::io::Errno| Error::io("mount", "the root file system")(source);
    let names = mounts::fresh("tmpfs", &[], MountAttrFlags::empty()).map_err(failed)?;
    fchdir(names.as_fd()).map_err(failed)?;
    for (number, lower) in sandbox.lower.iter().enumerate() {
        symlinkat(lower, CWD, number.to_string()).map_err(Error::io("name", lower))?;
    }
    symlinkat(&sandbox.upper, CWD, "upper").map_err(Error::io("name", &sandbox.upper))?;
    symlinkat(&sandbox.work, CWD, "work").map_err(Error::io("name", &sandbox.work))?;
    let options = CString::new(options(sandbox.lower.len(), overlay_is_user())).unwrap_or_default();
    rustix::mount::mount("overlay", &sandbox.upper, "overlay", MountFlags::empty(), options.as_c_str())
        .map_err(failed)
}

/// The uppermost directory comes first. What makes the upper directory more than a diff (renamed directories that say
/// where they were, metadata without content) is off, and so is waiting for a disk that holds nothing to keep.
fn options(lowers: usize, is_user: bool) -> String {
    let lower: Vec<String> = (0..lowers).rev().map(|number| number.to_string()).collect();
    let user = if is_user { ",userxattr" } else { "" };
    format!(
        "lowerdir={},upperdir=upper,workdir=work,redirect_dir=nofollow,metacopy=off,index=off,xino=off,volatile{user}",
        lower.join(":")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_many_directories_fit_in_a_page() {
        assert!(options(130, true).len() < 4096);
        assert!(options(3, false).starts_with("lowerdir=2:1:0,upperdir"));
    }
}
