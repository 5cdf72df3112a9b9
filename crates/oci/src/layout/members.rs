//! The files of a tar, and where in it their content is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// A tar whose files can be read in any order.
#[derive(Debug)]
pub(super) struct Members {
    file: File,
    /// Offset and size of each file's content.
    places: BTreeMap<String, (u64, u64)>,
}

impl Members {
    /// Lists the files of a tar. Later members replace earlier ones, as when unpacking. A link is the file that it leads to:
    /// `docker save` before version 25 links layers that are the same.
    pub(super) fn list(file: File, path: &Path) -> Result<Self> {
        let not_archive = |_| {
            Error::from(ErrorKind::NotLayout { path: path.to_owned(), reason: "it is not a tar archive" })
        };
        // Whoever has just written it stands at its end.
        (&file).rewind().map_err(Error::io("read", path))?;
        let (mut places, mut links) = (BTreeMap::new(), Vec::new());
        let mut archive = tar::Archive::new(&file);
        for entry in archive.entries_with_seek().map_err(not_archive)? {
            let entry = entry.map_err(not_archive)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
            let kind = entry.header().entry_type();
            if kind.is_file() {
                places.insert(name, (entry.raw_file_position(), entry.size()));
            } else if let Some(target) = entry.link_name_bytes() {
                let target = String::from_utf8_lossy(&target);
                let folder = if kind.is_symlink() {
                    name.rsplit_once('/').map_or("", |(folder, _)| folder)
                } else {
                    ""
                };
                links.push((joined(folder, &target), name));
            }
        }
        for (target, name) in links {
            if let Some(&place) = places.get(&target) {
                places.entry(name).or_insert(place);
            }
        }
        Ok(Self { file, places })
    }

    /// The content of a file.
    pub(super) fn open(&self, name: &str) -> Option<Section<'_>> {
        let &(offset, size) = self.places.get(name)?;
        Some(Section { file: &self.file, offset, end: offset + size })
    }

    /// The size of a file.
    pub(super) fn size(&self, name: &str) -> Option<u64> {
        self.places.get(name).map(|&(_, size)| size)
    }
}

/// Where a relative link in a folder leads.
fn joined(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A part of a file.
pub(super) struct Section<'a> {
    file: &'a File,
    offset: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (self.end - self.offset).min(buffer.len() as u64) as usize;
        let count = self.file.read_at(&mut buffer[..length], self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
