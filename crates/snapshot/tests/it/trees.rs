//! Trees of all that a layer can contain and a directory can hold, and what is found in a directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use cartwheel_oci::layer::{self, Content, Encoding, Entry, Kind, Tree};
use cartwheel_store::Digest;
use proptest::prelude::*;

use super::files::is_root;

/// Names that are of directories, and names that never are: what lies below a file is refused.
fn paths() -> impl Strategy<Value = (Vec<String>, Option<String>)> {
    (prop::collection::vec("d[0-2]", 0..3), prop::option::weighted(0.8, "[-f][0-3]|\\.é"))
}

fn kinds() -> impl Strategy<Value = Kind> {
    let text = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..1500),
        prop::collection::vec(prop_oneof![Just(b'a'), Just(0)], 0..9000),
        (0usize..20_000).prop_map(|size| vec![0; size]),
    ];
    prop_oneof![
        4 => text.prop_map(|text| Kind::File(Content::Bytes(text))),
        1 => "[a-z/]{1,120}".prop_map(|target| Kind::Symlink { target }),
        2 => Just(Kind::Hardlink { target: String::new() }),
        1 => Just(Kind::Fifo),
    ]
}

fn entries() -> impl Strategy<Value = Entry> {
    let xattrs =
        prop::collection::btree_map("user[.][a-z]{1,9}", prop::collection::vec(any::<u8>(), 0..90), 0..2);
    // What its owner may not read, only root can.
    let mode = (0u32..0o10000).prop_map(|mode| if is_root() { mode } else { mode | 0o700 });
    (kinds(), mode, 0u32..3, 0u32..3, 0u64..1 << 33, xattrs)
        .prop_map(|(kind, mode, uid, gid, mtime, xattrs)| Entry { kind, mode, uid, gid, mtime, xattrs })
}

/// What is at a path.
#[derive(Debug, Clone)]
enum There {
    Entry(Entry),
    Whiteout,
    Opaque,
}

/// Trees with whiteouts and opaque directories; hard links lead to any file before them.
pub(crate) fn trees() -> impl Strategy<Value = Tree> {
    let there = prop_oneof![6 => entries().prop_map(There::Entry), 1 => Just(There::Whiteout), 1 => Just(There::Opaque)];
    prop::collection::vec((paths(), there), 0..14).prop_map(|all| {
        let mut entries = BTreeMap::new();
        let mut marks = Vec::new();
        for ((folders, name), there) in all {
            let folder = folders.join("/");
            let path = folders.iter().cloned().chain(name.clone()).collect::<Vec<_>>().join("/");
            if path.is_empty() {
                continue;
            }
            match there {
                There::Entry(entry) if name.is_none() => {
                    drop(entries.insert(path, Entry { kind: Kind::Directory, ..entry }));
                }
                There::Entry(entry) => drop(entries.insert(path, entry)),
                There::Whiteout => marks.push((path, folder, There::Whiteout)),
                There::Opaque if name.is_none() => marks.push((path.clone(), path, There::Opaque)),
                There::Opaque => {}
            }
        }
        tree(entries, marks)
    })
}

fn tree(entries: BTreeMap<String, Entry>, marks: Vec<(String, String, There)>) -> Tree {
    let mut tree = Tree::new();
    for (path, mut entry) in entries {
        if let Kind::Hardlink { target } = &mut entry.kind {
            let is_file = |entry: &Entry| !matches!(entry.kind, Kind::Directory | Kind::Hardlink { .. });
            let Some((first, found)) = tree.iter().find(|(_, entry)| is_file(entry)) else { continue };
            first.clone_into(target);
            entry = Entry { kind: entry.kind, ..found.clone() };
        }
        // The system knows no attributes of links and pipes, and no modes of links.
        if matches!(entry.kind, Kind::Symlink { .. } | Kind::Fifo) {
            entry.xattrs.clear();
        }
        if let Kind::Symlink { .. } = entry.kind {
            entry.mode = 0o777;
        }
        tree.insert(path, entry).unwrap();
    }
    for (path, folder, mark) in marks {
        // A mark alone says nothing of the directories that it is in.
        for end in folder.match_indices('/').map(|(end, _)| end).chain([folder.len()]) {
            if end > 0 && tree.get(&folder[..end]).is_none() {
                tree.insert(&folder[..end], Entry::directory().with_mode(0o750)).unwrap();
            }
        }
        let _is_there_already = match mark {
            There::Opaque => tree.hide_below(&path),
            _ => tree.remove_below(&path),
        };
    }
    tree
}

/// The layer of a tree.
pub(crate) fn bytes(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    layer::write(tree, Encoding::Compressed, &mut bytes).unwrap();
    bytes
}

/// What the system says of a path.
#[derive(Debug)]
pub(crate) struct Found {
    path: PathBuf,
    kind: fs::FileType,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: u64,
    pub(crate) inode: u64,
}

impl Found {
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.kind.is_file().then(|| {
            open_up(&self.path);
            Digest::of(&fs::read(&self.path).unwrap())
        })
    }

    pub(crate) fn target(&self) -> String {
        fs::read_link(&self.path).unwrap().into_os_string().into_string().unwrap()
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind.is_dir()
    }

    pub(crate) fn is_fifo(&self) -> bool {
        self.kind.is_fifo()
    }
}

/// Everything below `folder`; what its modes close to this process is opened.
pub(crate) fn found(folder: &Path) -> BTreeMap<String, Found> {
    let mut all = BTreeMap::new();
    look(folder, "", &mut all);
    all
}

fn look(folder: &Path, prefix: &str, all: &mut BTreeMap<String, Found>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        let metadata = fs::symlink_metadata(&path).unwrap();
        let kind = metadata.file_type();
        if kind.is_dir() {
            open_up(&path);
            look(&path, &format!("{name}/"), all);
        }
        let (mode, mtime) = (metadata.mode() & 0o7777, metadata.mtime().try_into().unwrap());
        let (uid, gid, inode) = (metadata.uid(), metadata.gid(), metadata.ino());
        all.insert(name, Found { path, kind, mode, uid, gid, mtime, inode });
    }
}

fn open_up(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}
