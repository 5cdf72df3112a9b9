//! Compiled Python whose source gets another time.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use cartwheel_oci::layer::{Content, Entry, Kind, Tree};

use crate::error::{Error, Result};

/// Where the time of the source stands in a `.pyc`, behind the magic number and the flags (PEP 552).
const TIME: u64 = 8;

/// Tells the compiled files of a tree, on disk, that their sources will have the time `mtime`. Those whose source is not in
/// the tree, or that are checked by a hash, stay as they are.
pub(super) fn follow(tree: &Tree, mtime: u64) -> Result<()> {
    for (path, entry) in tree.iter() {
        let Some(source) = source_of(path).and_then(|source| tree.get(&source)) else { continue };
        if let Some(compiled) = on_disk(entry) {
            tell(compiled, source.mtime, mtime).map_err(Error::io("change", compiled))?;
        }
    }
    Ok(())
}

/// The source that a compiled file belongs to: `a/__pycache__/b.cpython-313.pyc` to `a/b.py` (PEP 3147).
fn source_of(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/')?;
    let folder = folder.strip_suffix("__pycache__")?;
    let (module, _tag) = name.strip_suffix(".pyc")?.split_once('.')?;
    Some(format!("{folder}{module}.py"))
}

fn on_disk(entry: &Entry) -> Option<&Path> {
    match &entry.kind {
        Kind::File(Content::File { path, .. }) => Some(path),
        _ => None,
    }
}

/// Writes the low 32 bits of the new time, if the file is one that is checked by time and has the old one.
fn tell(compiled: &Path, old: u64, new: u64) -> std::io::Result<()> {
    let mut header = [0; 12];
    let read = File::open(compiled)?.read_at(&mut header, 0)?;
    let [_, _, _, _, flags @ .., a, b, c, d] = header;
    if read == header.len() && flags == [0; 4] && u32::from_le_bytes([a, b, c, d]) == old as u32 {
        OpenOptions::new().write(true).open(compiled)?.write_all_at(&(new as u32).to_le_bytes(), TIME)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_files_know_their_sources() {
        let cases = [
            ("a/__pycache__/b.cpython-313.pyc", Some("a/b.py")),
            ("__pycache__/b.cpython-313.opt-1.pyc", Some("b.py")),
            ("a/b.pyc", None),
            ("a/__pycache__/b.txt", None),
        ];
        for (path, source) in cases {
            assert_eq!(source_of(path).as_deref(), source, "{path}");
        }
    }

    #[test]
    fn the_time_of_the_source_is_followed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, flags: u8, time: u32| {
            let path = folder.path().join(name);
            let bytes = [&[7, 7, 7, 7, flags, 0, 0, 0][..], &time.to_le_bytes(), b"size code"].concat();
            std::fs::write(&path, &bytes).unwrap();
            Entry::file(Content::File { path, size: bytes.len() as u64 }, false)
        };
        let mut tree = Tree::new();
        tree.insert("__pycache__/a.x.pyc", file("timed", 0, 500)).unwrap();
        tree.insert("__pycache__/b.x.pyc", file("hashed", 1, 500)).unwrap();
        tree.insert("__pycache__/c.x.pyc", file("other", 0, 499)).unwrap();
        for source in ["a.py", "b.py", "c.py"] {
            tree.insert(source, Entry::file(Content::Bytes(Vec::new()), false).with_mtime(500)).unwrap();
        }
        follow(&tree, 77).unwrap();
        let time = |name: &str| {
            let bytes = std::fs::read(folder.path().join(name)).unwrap();
            (u32::from_le_bytes(bytes[8..12].try_into().unwrap()), bytes.len())
        };
        assert_eq!([time("timed"), time("hashed"), time("other")], [(77, 21), (500, 21), (499, 21)]);
    }
}
