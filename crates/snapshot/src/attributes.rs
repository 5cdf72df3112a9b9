//! The extended attributes of what is on disk.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::Errno;

/// No list of names, and no value, is longer (Linux: `XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const LIMIT: usize = 64 << 10;

/// Attributes by name.
pub(crate) type Attributes = BTreeMap<String, Vec<u8>>;

/// Reads the attributes of files, one after the other.
pub(crate) struct Reader {
    names: Vec<u8>,
    value: Vec<u8>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { names: vec![0; LIMIT], value: vec![0; LIMIT] }
    }

    /// All attributes of what is at `path`; a link is not followed.
    pub(crate) fn read(&mut self, path: &Path) -> rustix::io::Result<Attributes> {
        let length = match llistxattr(path, &mut self.names[..]) {
            // A file system without them.
            Err(Errno::NOTSUP) => 0,
            length => length?,
        };
        let names = self.names.get(..length).unwrap_or_default().split(|&byte| byte == 0);
        let mut attributes = Attributes::new();
        for name in names.filter(|name| !name.is_empty()) {
            match lgetxattr(path, name, &mut self.value[..]) {
                // Not for us to see.
                Err(Errno::NODATA | Errno::PERM | Errno::ACCESS) => {}
                length => {
                    let value = self.value.get(..length?).unwrap_or_default().to_vec();
                    attributes.insert(String::from_utf8_lossy(name).into_owned(), value);
                }
            }
        }
        Ok(attributes)
    }
}
