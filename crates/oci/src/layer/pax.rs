//! The extended headers of a tar that is being read.
//!
//! The `tar` crate splits the records of an extended header at newlines. A value may have newlines in it (a capability is
//! twenty bytes of any kind), and then the records behind it are lost, the path among them. So what passes between two
//! entries is kept and read here by the lengths that the records have in front.

use std::collections::BTreeMap;
use std::io;

use super::tar::{BLOCK, XATTR, padding};

/// The records of one entry's extended header that its own header cannot say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
    /// A map of holes follows, in one of the ways that GNU tar thought of.
    pub(super) is_sparse: bool,
}

impl Extended {
    /// Reads what lay between the content of the entry before and that of this one: headers with their own content, of
    /// which an extended one (`x`) is looked for.
    pub(super) fn between(mut headers: &[u8]) -> io::Result<Self> {
        while let Some((header, rest)) = headers.split_at_checked(BLOCK) {
            if !matches!(header[156], b'x' | b'L' | b'K') {
                break;
            }
            let size = tar::Header::from_byte_slice(header).entry_size()?;
            let broken = || io::Error::other("an extended header is cut short");
            let length = usize::try_from(size).map_err(|_| broken())?;
            let content = rest.get(..length).ok_or_else(broken)?;
            if header[156] == b'x' {
                return Self::parse(content);
            }
            headers = rest.get(length + padding(size)..).unwrap_or_default();
        }
        Ok(Self::default())
    }

    fn parse(mut records: &[u8]) -> io::Result<Self> {
        let mut extended = Self::default();
        while !records.is_empty() && records[0] != 0 {
            let (key, value, rest) =
                split_record(records).ok_or_else(|| io::Error::other("an extended header is malformed"))?;
            extended.add(key, value);
            records = rest;
        }
        Ok(extended)
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        let number = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
        let id = || number().map(|number| number as u32);
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.linkpath = Some(value.to_vec()),
            b"size" => self.size = number(),
            b"uid" => self.uid = id(),
            b"gid" => self.gid = id(),
            _ if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(XATTR.as_bytes()) {
                    self.xattrs.insert(String::from_utf8_lossy(name).into_owned(), value.to_vec());
                }
            }
        }
    }
}

/// The key and value of the first record, and what follows it.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (&pair[..equals], &pair[equals + 1..]);
    // A reader that takes the zero for an end finds another key than one that does not.
    (!key.contains(&0)).then_some((key, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_by_their_lengths() {
        let text = b"24 SCHILY.xattr.u.a=\n=\n\n9 path=b\n12 uid=3000\n";
        let extended = Extended::parse(text).unwrap();
        assert_eq!(extended.xattrs, BTreeMap::from([("u.a".to_owned(), b"\n=\n".to_vec())]));
        assert_eq!((extended.path.as_deref(), extended.uid), (Some(&b"b"[..]), Some(3000)));
    }

    #[test]
    fn records_that_lie_about_their_length_are_refused() {
        for text in [
            "11 path\0=b\n",
            "9 path=b",
            "8 path=b\n",
            "99 path=b\n",
            "x path=b\n",
            "5 ab\n",
            "0 a=b\n",
            "path=b\n",
        ] {
            assert!(Extended::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
