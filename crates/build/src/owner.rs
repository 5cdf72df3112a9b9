//! Users and groups by name, as `/etc/passwd` and `/etc/group` of a stage say them.

use cartwheel_store::Record;
use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, Result};

/// Reads a file of the stage; `None` if there is none.
pub(crate) type ReadFile<'a> = dyn Fn(&str) -> Result<Option<String>> + 'a;

/// The numbers of `user[:group]`, each by name or number. Without a group, a user by name has the group that
/// `/etc/passwd` gives, and one by number the group of the same number (Dockerfile reference, «COPY --chown»). A colon
/// with nothing behind it names a group, root's.
pub(crate) fn owner(text: &str, read: &ReadFile<'_>) -> Result<(u32, u32)> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let (uid, own_group) = match (user.parse::<u32>(), user) {
        (Ok(number), _) => (number, number),
        (Err(_), "") => (0, 0),
        (Err(_), "root") if group.is_some() => (0, 0),
        (Err(_), name) => user_by_name(name, read)?,
    };
    let gid = match group {
        None => own_group,
        Some("") => 0,
        Some(group) => match group.parse::<u32>() {
            Ok(number) => number,
            Err(_) => group_by_name(group, read)?,
        },
    };
    Ok((uid, gid))
}

/// As whom a command runs.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessUser {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All its groups, its own among them.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

impl Record for ProcessUser {
    const KIND: &'static str = "user-1";
}

/// The user of a command by `user[:group]`, each by name or number (`USER`). Unlike for an [`owner`], a number is looked up
/// too, and one that is not there has root's group. With a group, there are no others.
pub(crate) fn process_user(text: &str, read: &ReadFile<'_>) -> Result<ProcessUser> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let user = if user.is_empty() { "0" } else { user };
    let passwd = read("etc/passwd")?.unwrap_or_default();
    let is_user = |line: &&str| field(line, 0) == Some(user) || field(line, 2) == Some(user);
    let line = passwd.lines().find(is_user).filter(|line| number(line, 2).is_some());
    let uid = match line.and_then(|line| number(line, 2)).or_else(|| user.parse().ok()) {
        Some(uid) => uid,
        None if user == "root" => 0,
        None => return Err(ErrorKind::UnknownUser { user: user.to_owned() }.into()),
    };
    let name = line.and_then(|line| field(line, 0)).unwrap_or_default();
    let home = line.and_then(|line| field(line, 5)).filter(|home| !home.is_empty()).unwrap_or("/");
    let mut found = ProcessUser { uid, gid: 0, groups: Vec::new(), home: home.to_owned() };
    let list = read("etc/group")?.unwrap_or_default();
    if group.is_empty() {
        found.gid = line.and_then(|line| number(line, 3)).unwrap_or_default();
        let has_user = |line: &&str| {
            !name.is_empty() && field(line, 3).is_some_and(|users| users.split(',').any(|user| user == name))
        };
        found.groups = list.lines().filter(has_user).filter_map(|line| number(line, 2)).collect();
        found.groups.retain(|&group| group != found.gid);
    } else {
        let is_group = |line: &&str| field(line, 0) == Some(group) || field(line, 2) == Some(group);
        let number =
            list.lines().find(is_group).and_then(|line| number(line, 2)).or_else(|| group.parse().ok());
        found.gid = number.ok_or_else(|| ErrorKind::UnknownGroup { group: group.to_owned() })?;
    }
    found.groups.insert(0, found.gid);
    Ok(found)
}

fn user_by_name(name: &str, read: &ReadFile<'_>) -> Result<(u32, u32)> {
    let passwd = read("etc/passwd")?;
    let line = passwd.iter().flat_map(|text| text.lines()).find(|line| field(line, 0) == Some(name));
    let numbers = line.and_then(|line| Some((number(line, 2)?, number(line, 3)?)));
    match numbers {
        Some(numbers) => Ok(numbers),
        None if name == "root" && passwd.is_none() => Ok((0, 0)),
        None => Err(ErrorKind::UnknownUser { user: name.to_owned() }.into()),
    }
}

fn group_by_name(name: &str, read: &ReadFile<'_>) -> Result<u32> {
    let groups = read("etc/group")?;
    let line = groups.iter().flat_map(|text| text.lines()).find(|line| field(line, 0) == Some(name));
    match line.and_then(|line| number(line, 2)) {
        Some(number) => Ok(number),
        None if name == "root" && groups.is_none() => Ok(0),
        None => Err(ErrorKind::UnknownGroup { group: name.to_owned() }.into()),
    }
}

fn field(line: &str, index: usize) -> Option<&str> {
    line.split(':').nth(index)
}

fn number(line: &str, index: usize) -> Option<u32> {
    field(line, index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as a stage reads its files")]
    fn read(path: &str) -> Result<Option<String>> {
        Ok(Some(match path {
            "etc/passwd" => "root:x:0:0::/root:/bin/sh\napp:x:1000:50::/home/app:/bin/sh\n".to_owned(),
            _ => "root:x:0:\nstaff:x:50:app\nmore:x:60:other,app\n".to_owned(),
        }))
    }

    #[test]
    fn commands_run_as_whom_docker_would_run_them() {
        let found = |text: &str| process_user(text, &read).map_err(|error| error.to_string());
        let user = |uid, gid, groups: &[u32], home: &str| {
            Ok(ProcessUser { uid, gid, groups: groups.to_vec(), home: home.to_owned() })
        };
        assert_eq!(found(""), user(0, 0, &[0], "/root"));
        assert_eq!(found("app"), user(1000, 50, &[50, 60], "/home/app"));
        assert_eq!(found("1000"), user(1000, 50, &[50, 60], "/home/app"));
        assert_eq!(found("app:more"), user(1000, 60, &[60], "/home/app"));
        assert_eq!(found("77"), user(77, 0, &[0], "/"));
        assert_eq!(found("77:78"), user(77, 78, &[78], "/"));
        assert!(found("nobody").is_err() && found("app:nobody").is_err());
    }

    #[test]
    fn owners_are_read_as_docker_does() {
        let numbers = |text: &str| owner(text, &read).map_err(|error| error.to_string());
        assert_eq!(numbers("app"), Ok((1000, 50)));
        assert_eq!(numbers("app:7"), Ok((1000, 7)));
        assert_eq!(numbers("app:"), Ok((1000, 0)));
        assert_eq!(numbers("12"), Ok((12, 12)));
        assert_eq!(numbers("12:staff"), Ok((12, 50)));
        assert_eq!(numbers("root"), Ok((0, 0)));
        assert!(numbers("nobody").is_err() && numbers("app:nobody").is_err());
    }
}
