//! Root without being root: a user namespace, in which this program's user is user 0.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{getegid, geteuid, getpid};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities};

use crate::{ErrorKind, Result, system};

/// Who this program was outside of the user namespace that it entered, and whom it may become inside.
#[derive(Debug)]
pub struct UserNamespace {
    /// The user outside.
    pub uid: u32,
    /// The group outside.
    pub gid: u32,
    /// Why there is only user 0 inside, if so: then nothing in a sandbox can become or give a file to another user.
    pub only_root: Option<String>,
}

/// Makes this program root in a user namespace of its own; `None` if it has root's rights already.
///
/// To be called before there is a second thread: the namespace is one of a process, and the kernel insists. The process stays
/// the same one, with its terminal, its open files and its children to be. Other users come from the ranges of
/// `/etc/subuid` and `/etc/subgid`, by way of `newuidmap` and `newgidmap`, which are setuid root for that.
pub fn enter_user_namespace() -> Result<Option<UserNamespace>> {
    if capabilities(None).is_ok_and(|mine| mine.effective.contains(CapabilitySet::SYS_ADMIN)) {
        return Ok(None);
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    enter(uid, gid)
        .map(|only_root| Some(UserNamespace { uid, gid, only_root }))
        .map_err(|source| ErrorKind::UserNamespace { source }.into())
}

fn enter(uid: u32, gid: u32) -> io::Result<Option<String>> {
    // Started before, because whoever is inside has no say about it; they wait for their word to begin.
    let mapped = [(&UID, uid), (&GID, gid)].map(|(map, id)| Ok((map, map.helper(uid, id)?)));
    let mapped: Result<Vec<_>, String> = mapped.into_iter().collect();
    system::unshare(UnshareFlags::NEWUSER)?;
    let mapped =
        mapped.and_then(|helpers| helpers.into_iter().try_for_each(|(map, helper)| map.finish(helper)));
    if mapped.is_err() {
        // What the kernel asks for where nobody vouches for the groups.
        fs::write("/proc/self/setgroups", "deny")?;
        UID.write(uid)?;
        GID.write(gid)?;
    }
    Ok(mapped.err())
}

/// One of the two maps from numbers inside to numbers outside.
struct Map {
    program: &'static str,
    /// Which numbers users may have.
    ranges: &'static str,
    file: &'static str,
}

const UID: Map = Map { program: "newuidmap", ranges: "/etc/subuid", file: "/proc/self/uid_map" };
const GID: Map = Map { program: "newgidmap", ranges: "/etc/subgid", file: "/proc/self/gid_map" };

impl Map {
    /// Starts the program that writes the map of this process, or says why there is none.
    fn helper(&self, uid: u32, id: u32) -> Result<Child, String> {
        let text = fs::read_to_string(self.ranges).unwrap_or_default();
        let ranges = ranges(&text, uid, &fs::read_to_string("/etc/passwd").unwrap_or_default());
        if ranges.is_empty() {
            return Err(format!("`{}` has no range for user {uid}", self.ranges));
        }
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "read -r go && exec \"$@\"",
            "sh",
            self.program,
            &getpid().as_raw_pid().to_string(),
        ]);
        let mut inside = 0;
        for (start, count) in [(id, 1)].into_iter().chain(ranges) {
            command.args([inside, start, count].map(|number| number.to_string()));
            inside += count;
        }
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().map_err(|error| format!("could not run `{}`: {error}", self.program))
    }

    fn finish(&self, mut helper: Child) -> Result<(), String> {
        let told = helper.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(b"go\n"));
        let failed = |why: &str| format!("`{}` failed: {}", self.program, why.trim());
        match told.and_then(|()| helper.wait_with_output()) {
            Ok(Output { status, .. }) if status.success() => Ok(()),
            Ok(output) => Err(failed(&String::from_utf8_lossy(&output.stderr))),
            Err(error) => Err(failed(&error.to_string())),
        }
    }

    /// Maps this user alone, unless there is a map: one cannot be changed.
    fn write(&self, id: u32) -> io::Result<()> {
        let file = Path::new(self.file);
        if fs::read_to_string(file)?.is_empty() { fs::write(file, format!("0 {id} 1")) } else { Ok(()) }
    }
}

/// The ranges of a user, who is there by name or by number: the first number of each, and how many there are.
fn ranges(text: &str, uid: u32, passwd: &str) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then_some(name)
    });
    let range = |line: &str| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let (start, count) = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
        (owner == number || Some(owner) == name).then_some((start, count))
    };
    text.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let passwd = "root:x:0:0::/:/bin/sh\nana:x:1000:1000::/:/bin/sh\n";
        let text = "ben:100000:65536\nana:165536:65536\n1000:300000:10\nana:broken\n";
        assert_eq!(ranges(text, 1000, passwd), [(165_536, 65_536), (300_000, 10)]);
        assert_eq!(ranges(text, 1001, passwd), []);
    }
}
