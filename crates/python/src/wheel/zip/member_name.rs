//! Names of entries: each safe by itself, and all of them together.

use std::collections::HashSet;

use super::header::CentralHeader;
use crate::wheel::defect::{Defect, Refusal};

/// The longest name of a file or folder that Linux file systems take.
const PART_LIMIT: usize = 255;
/// The longest path, with room for the prefix that it is installed under.
const PATH_LIMIT: usize = 3800;

/// The name, if it is spelt in the one way that every reader understands alike and stays inside.
pub(super) fn check(raw: &[u8], marked_utf8: bool) -> Result<&str, Defect> {
    let name = std::str::from_utf8(raw).map_err(|_| Defect::NameEncoding)?;
    if !marked_utf8 && !name.is_ascii() {
        return Err(Defect::NameEncoding);
    }
    if name.is_empty() {
        return Err(Defect::NameEmpty);
    }
    // One pass over each name: a large wheel has a megabyte of them.
    match name.bytes().find(|byte| byte.is_ascii_control() || *byte == b'\\') {
        None => {}
        Some(b'\\') => return Err(Defect::NameBackslash),
        Some(_) => return Err(Defect::NameControl),
    }
    if name.starts_with('/') {
        return Err(Defect::NameAbsolute);
    }
    // `a:b` is a good name on Linux; `c:/b` is nothing but a drive.
    if let [letter, b':', b'/', ..] = raw
        && letter.is_ascii_alphabetic()
    {
        return Err(Defect::NameDrive);
    }
    for part in name.strip_suffix('/').unwrap_or(name).split('/') {
        match part {
            ".." => return Err(Defect::NameTraversal),
            "" | "." => return Err(Defect::NameNotCanonical),
            part if part.len() > PART_LIMIT => return Err(Defect::NameTooLong),
            _ => {}
        }
    }
    if name.len() > PATH_LIMIT { Err(Defect::NameTooLong) } else { Ok(name) }
}

/// No name is there twice, and no file has something below it.
pub(super) fn check_all(headers: &[CentralHeader<'_>]) -> Result<(), Refusal> {
    let names = || headers.iter().map(|header| header.name);
    let mut seen = HashSet::with_capacity(headers.len());
    for name in names() {
        if !seen.insert(name) {
            return Err(Defect::Duplicate.at(name));
        }
    }
    match file_above(names(), |folder| seen.contains(folder)) {
        Some((name, file)) => Err(Defect::BelowFile { file: file.to_owned() }.at(name)),
        None => Ok(()),
    }
}

/// The first path that lies below a path which `is_file`, and that file.
///
/// Neighbours mostly share their folder, so each run of them is looked up once.
pub(crate) fn file_above<'a>(
    paths: impl Iterator<Item = &'a str>,
    is_file: impl Fn(&str) -> bool,
) -> Option<(&'a str, &'a str)> {
    let mut last_folder = "";
    for path in paths {
        let folder = parent(path.strip_suffix('/').unwrap_or(path)).unwrap_or("");
        // A folder's own entry is there too: `a/` and `a` are one path.
        let own = path.strip_suffix('/');
        let above = if folder == last_folder { None } else { Some(folder) };
        last_folder = folder;
        let folders = own.into_iter().chain(std::iter::successors(above, |folder| parent(folder)));
        for folder in folders.filter(|folder| !folder.is_empty()) {
            if is_file(folder) {
                return Some((path, folder));
            }
        }
    }
    None
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["a", "a/b.py", "a b", "a:b", "a..b/c", "...", "folder/", "é/x"] {
            assert_eq!(check(name.as_bytes(), true), Ok(name));
        }
    }

    #[test]
    fn each_bad_name_has_its_own_defect() {
        let cases: [(&[u8], Defect); 16] = [
            (b"", Defect::NameEmpty),
            (b"a\0b", Defect::NameControl),
            (b"a\nb", Defect::NameControl),
            (b"a\x7f", Defect::NameControl),
            (b"a\\b", Defect::NameBackslash),
            (b"/a", Defect::NameAbsolute),
            (b"//a", Defect::NameAbsolute),
            (b"c:/a", Defect::NameDrive),
            (b"../a", Defect::NameTraversal),
            (b"a/../b", Defect::NameTraversal),
            (b"a/..", Defect::NameTraversal),
            (b"./a", Defect::NameNotCanonical),
            (b"a//b", Defect::NameNotCanonical),
            (b"a/./b", Defect::NameNotCanonical),
            (b"a//", Defect::NameNotCanonical),
            (b"\xff", Defect::NameEncoding),
        ];
        for (name, defect) in cases {
            assert_eq!(check(name, true), Err(defect), "{name:?}");
        }
        assert_eq!(check("é".as_bytes(), false), Err(Defect::NameEncoding));
        assert_eq!(check("x".repeat(256).as_bytes(), true), Err(Defect::NameTooLong));
    }

    #[test]
    fn a_file_cannot_be_a_folder() {
        let above = |paths: &[&'static str]| {
            file_above(paths.iter().copied(), |folder| paths.contains(&folder)).map(|(path, _)| path)
        };
        assert_eq!(above(&["a/b", "a/c", "d"]), None);
        assert_eq!(above(&["a", "b", "a/x/y"]), Some("a/x/y"));
        assert_eq!(above(&["a/x/y", "a/x/z", "a"]), Some("a/x/y"));
        assert_eq!(above(&["a/", "a"]), Some("a/"));
        assert_eq!(above(&["a/", "a-b", "a/b"]), None);
    }
}
