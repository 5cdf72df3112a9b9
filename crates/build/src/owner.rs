//! Users and groups by name, as `/etc/passwd` and `/etc/group` of a stage say them.

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

    #[test]
    fn owners_are_read_as_docker_does() {
        let read = |path: &str| {
            Ok(Some(match path {
                "etc/passwd" => "root:x:0:0::/:/bin/sh\napp:x:1000:50::/:/bin/sh\n".to_owned(),
                _ => "root:x:0:\nstaff:x:50:app\n".to_owned(),
            }))
        };
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
