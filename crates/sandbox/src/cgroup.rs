//! How many processes there may be: a fork bomb is to end its sandbox and not the machine.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, unlinkat};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

use crate::{Error, Result};

/// More than any build needs, and less than a machine has numbers for.
const MAX_PROCESSES: u64 = 16_384;

/// How the groups are called, before the number of the keeper.
const PREFIX: &str = "cartwheel-";

/// A group of processes that the kernel counts, for as long as the value lives.
pub(crate) struct Cgroup {
    parent: File,
    name: String,
    processes: File,
}

impl Cgroup {
    /// One for the sandbox of this keeper; `None` where there are none to be had, as often without root.
    pub(crate) fn make(keeper: Pid) -> Option<Self> {
        let parent = folder(&fs::read_to_string("/proc/self/cgroup").ok()?)?;
        sweep(&parent);
        let name = format!("{PREFIX}{}", keeper.as_raw_pid());
        let folder = parent.join(&name);
        fs::create_dir(&folder).ok()?;
        let parent = File::open(parent).ok()?;
        let processes = fs::write(folder.join("pids.max"), MAX_PROCESSES.to_string())
            .and_then(|()| File::options().write(true).open(folder.join("cgroup.procs")));
        let Ok(processes) = processes else {
            let _nothing_lost = fs::remove_dir(folder);
            return None;
        };
        Some(Self { parent, name, processes })
    }

    /// Has this process counted, and those that it makes; whether that was possible.
    pub(crate) fn join(&self) -> bool {
        (&self.processes).write_all(b"0").is_ok()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // By the open parent: the path leads nowhere once the keeper's root is the sandbox's.
        let _left_to_the_next_keeper = unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR);
    }
}

/// Removes the groups of keepers that were killed. The kernel removes none that has processes.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let keeper = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if keeper.is_some_and(|keeper| !Path::new("/proc").join(keeper).exists()) {
            let _in_use = fs::remove_dir(entry.path());
        }
    }
}

/// Has the kernel count the processes of this user instead, which it does for all users but root.
pub(crate) fn limit_processes() -> Result<()> {
    let limit = getrlimit(Resource::Nproc);
    let least = |limit: Option<u64>| Some(limit.unwrap_or(u64::MAX).min(MAX_PROCESSES));
    let limit = Rlimit { current: least(limit.current), maximum: least(limit.maximum) };
    setrlimit(Resource::Nproc, limit).map_err(Error::io("limit", "the number of processes"))
}

/// The folder for groups of ours, by `/proc/self/cgroup`.
///
/// In version 1 below our own group, in version 2 beside it: there a group that has processes cannot have groups
/// that are counted.
fn folder(groups: &str) -> Option<PathBuf> {
    let path = |path: &str| path.trim_start_matches('/').to_owned();
    let mut fields = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    if let Some((_, own)) =
        fields.clone().find(|(controllers, _)| controllers.split(',').any(|name| name == "pids"))
    {
        return Some(Path::new("/sys/fs/cgroup/pids").join(path(own)));
    }
    let (_, own) = fields.find(|(controllers, _)| controllers.is_empty())?;
    Path::new("/sys/fs/cgroup")
        .join(path(own))
        .parent()
        .filter(|parent| parent.starts_with("/sys/fs/cgroup"))
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_below_in_version_1_and_beside_in_version_2() {
        let found = |groups| folder(groups).map(|folder| folder.display().to_string());
        assert_eq!(found("3:cpu,pids:/a/b\n0::/c\n").unwrap(), "/sys/fs/cgroup/pids/a/b");
        assert_eq!(found("2:cpu:/\n1:pids:/\n").unwrap(), "/sys/fs/cgroup/pids/");
        assert_eq!(found("0::/user.slice/session.scope\n").unwrap(), "/sys/fs/cgroup/user.slice");
        assert_eq!(found("0::/\n"), None);
        assert_eq!(found(""), None);
    }
}
