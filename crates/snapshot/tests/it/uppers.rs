//! Upper directories as layers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cartwheel_oci::layer::Tree;
use cartwheel_oci::layer::{Content, Entry, Kind, TreeError};
use cartwheel_oci::{Below, LayerFacts};
use cartwheel_snapshot::{Error, ErrorKind, Snapshots, diff};
use cartwheel_store::Digest;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat};

use super::files::{Layers, Tar, is_root, marks};
use super::trees;

/// Who this process is, and therefore whose files are in the upper directory.
fn me() -> u32 {
    fs::metadata("/proc/self").unwrap().uid()
}

fn mark_opaque(path: &Path) {
    let name = if is_root() { "trusted.overlay.opaque" } else { "user.overlay.opaque" };
    lsetxattr(path, name, b"y", XattrFlags::empty()).unwrap();
}

fn mark_removed(path: &Path) {
    mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
}

fn set_time(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let times = FileTimes::new().set_modified(time);
    fs::File::open(path).unwrap().set_times(times).unwrap();
}

/// A layer below, and the upper directory over it.
struct Scene {
    below: Below,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(below: Tar) -> Self {
        let facts = LayerFacts::read(&below.end()[..], |_| None).unwrap().1;
        Self { below: Below::stack([facts]), folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    fn file(&self, path: &str, text: &str) -> &Self {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
        self
    }

    /// A directory that overlayfs copied up: as it is below, but for the time.
    fn copied_up(&self, path: &str) -> &Self {
        fs::create_dir_all(self.path(path)).unwrap();
        fs::set_permissions(self.path(path), PermissionsExt::from_mode(0o700)).unwrap();
        self
    }

    fn tree(&self) -> Result<Tree, Error> {
        diff(self.folder.path(), marks(), &self.below)
    }

    fn line(&self) -> String {
        self.tree().unwrap().iter().map(|(path, _)| path).collect::<Vec<_>>().join(" ")
    }
}

/// Whose entries are this process's, with mode 0700.
fn mine() -> Tar {
    Tar::new().mode(0o700).owner(me(), me())
}

#[test]
fn what_changed_is_in_the_layer() {
    let scene = Scene::new(mine().folder("d").file("d/old", "1").file("d/gone", "2"));
    scene.copied_up("d").file("d/new", "3").file("d/old", "4");
    mark_removed(&scene.path("d/gone"));
    mark_removed(&scene.path("never"));
    symlink("target", scene.path("link")).unwrap();
    mknodat(CWD, scene.path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = UnixListener::bind(scene.path("socket")).unwrap();
    assert_eq!(scene.line(), "d d/.wh.gone d/new d/old link pipe");
    let tree = scene.tree().unwrap();
    let Kind::File(Content::File { path, size: 1 }) = &tree.get("d/new").unwrap().kind else { panic!() };
    assert_eq!(path, &scene.path("d/new"));
    assert!(matches!(&tree.get("link").unwrap().kind, Kind::Symlink { target } if target == "target"));
    assert!(matches!(&tree.get("pipe").unwrap().kind, Kind::Fifo));
}

#[test]
fn parents_are_as_they_are_below() {
    let below = mine().folder("a").folder("a/b").folder("e").mode(0o755).owner(0, 0).folder("plain");
    let scene = Scene::new(below);
    scene.copied_up("a").copied_up("a/b").file("a/b/new", "").copied_up("e").file("new/x", "");
    fs::create_dir(scene.path("plain")).unwrap();
    scene.file("plain/x", "");
    let plain = if is_root() { "" } else { "plain " };
    assert_eq!(scene.line(), format!("a a/b a/b/new new new/x {plain}plain/x"));
    // What happened in it has changed its time.
    assert_eq!(scene.tree().unwrap().get("a").unwrap().mtime, 1_000_000_000);
    fs::set_permissions(scene.path("e"), PermissionsExt::from_mode(0o711)).unwrap();
    assert_eq!(scene.tree().unwrap().get("e").unwrap().mode, 0o711);
}

#[test]
fn what_was_copied_up_and_is_the_same_is_left_out() {
    let scene = Scene::new(
        mine().file("same", "1").file("text", "1").file("time", "1").file("mode", "1").file("names", "1"),
    );
    for (path, text, seconds) in
        [("same", "1", 0), ("text", "2", 0), ("time", "1", 1), ("mode", "1", 0), ("names", "1", 0)]
    {
        scene.file(path, text);
        set_time(&scene.path(path), 1_000_000_000 + seconds);
        let mode = if path == "mode" { 0o600 } else { 0o700 };
        fs::set_permissions(scene.path(path), PermissionsExt::from_mode(mode)).unwrap();
    }
    fs::hard_link(scene.path("names"), scene.path("other")).unwrap();
    assert_eq!(scene.line(), "mode names other text time");
}

#[test]
fn an_opaque_directory_hides_only_what_is_there() {
    let scene = Scene::new(mine().folder("d").file("d/x", "1").folder("d/e").folder("empty"));
    for path in ["d", "empty", "new"] {
        scene.copied_up(path);
        mark_opaque(&scene.path(path));
    }
    // The same as below, but what is below is hidden.
    scene.file("d/x", "1");
    set_time(&scene.path("d/x"), 1_000_000_000);
    fs::set_permissions(scene.path("d/x"), PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(scene.line(), "d d/.wh..wh..opq d/x new");
}

#[test]
fn names_of_one_file_stay_together() {
    let scene = Scene::new(Tar::new());
    scene.file("b/x", "1");
    // `b-` comes before `b/`, though a walk finds it later.
    for path in ["b-", "z", "b/a"] {
        fs::hard_link(scene.path("b/x"), scene.path(path)).unwrap();
    }
    let tree = scene.tree().unwrap();
    let kinds: BTreeMap<&str, &Kind> = tree.iter().map(|(path, entry)| (path, &entry.kind)).collect();
    assert!(matches!(kinds["b-"], Kind::File(_)));
    for path in ["b/a", "b/x", "z"] {
        assert!(matches!(kinds[path], Kind::Hardlink { target } if target == "b-"), "{path}");
    }
}

#[test]
fn attributes_of_the_machine_stay_behind() {
    let scene = Scene::new(Tar::new());
    scene.file("a", "1").copied_up("d");
    mark_opaque(&scene.path("d"));
    let set = |path: &str, name, value: &[u8]| {
        lsetxattr(scene.path(path), name, value, XattrFlags::empty()).unwrap();
    };
    set("a", "user.note", b"x");
    set("a", "user.overlay.origin", b"y");
    if is_root() {
        set("a", "trusted.note", b"z");
    }
    let tree = scene.tree().unwrap();
    let attributes = |path| tree.get(path).unwrap().xattrs.clone();
    assert_eq!(attributes("a"), BTreeMap::from([("user.note".to_owned(), b"x".to_vec())]));
    assert_eq!(attributes("d"), BTreeMap::new());
}

#[test]
fn what_a_layer_cannot_say_is_an_error() {
    let scene = Scene::new(Tar::new());
    scene.file("d/.wh.x", "");
    let error = scene.tree().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Tree(TreeError::Whiteout { path }) if path == "d/.wh.x"),
        "{error}"
    );

    let scene = Scene::new(Tar::new());
    fs::write(scene.folder.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    assert!(matches!(scene.tree().unwrap_err().kind(), ErrorKind::NotUtf8 { .. }));

    let scene = Scene::new(Tar::new());
    symlink(std::ffi::OsStr::from_bytes(b"\xff"), scene.path("l")).unwrap();
    assert!(matches!(scene.tree().unwrap_err().kind(), ErrorKind::NotUtf8 { .. }));

    let scene = Scene::new(Tar::new());
    scene.copied_up("moved");
    let name = if is_root() { "trusted.overlay.redirect" } else { "user.overlay.redirect" };
    lsetxattr(scene.path("moved"), name, b"/from", XattrFlags::empty()).unwrap();
    assert!(matches!(scene.tree().unwrap_err().kind(), ErrorKind::Redirect { .. }));
}

#[test]
fn links_are_not_followed() {
    let scene = Scene::new(Tar::new());
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "").unwrap();
    symlink(outside.path(), scene.path("l")).unwrap();
    assert_eq!(scene.line(), "l");
}

/// All that a tree says, but where the bytes are.
fn said(tree: &Tree) -> BTreeMap<String, String> {
    let line = |entry: &Entry| {
        let kind = match &entry.kind {
            Kind::File(content) => format!("{}", Digest::of(&content.read().unwrap())),
            kind => format!("{kind:?}"),
        };
        let Entry { mode, uid, gid, mtime, xattrs, .. } = entry;
        format!("{kind} {mode:o} {uid}:{gid} {mtime} {xattrs:?}")
    };
    tree.iter().map(|(path, entry)| (path.to_owned(), line(entry))).collect()
}

/// What comes back of a tree that was a layer and then a directory, found by the meaning of marks and without a disk.
/// Below lies something at each path that the tree hides, and nothing else.
fn expected(tree: &Tree) -> Tree {
    let is_mark = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with(".wh."));
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for (path, entry) in tree.iter() {
        for (end, _) in path.match_indices('/') {
            entries.entry(path[..end].to_owned()).or_insert_with(Entry::directory);
        }
        if !is_mark(path) {
            entries.insert(path.to_owned(), entry.clone());
        }
    }
    let (mut removed, mut opaque) = (BTreeSet::new(), BTreeSet::new());
    for (path, _) in tree.iter().filter(|(path, _)| is_mark(path)) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let hidden = hidden(path);
        match entries.get(&hidden).map(|entry| &entry.kind) {
            _ if name == ".wh..wh..opq" => drop(opaque.insert(parent.to_owned())),
            Some(Kind::Directory) => drop(opaque.insert(hidden)),
            Some(_) => {}
            None => drop(removed.insert(hidden)),
        }
    }
    let is_alone = |path: &str| path.match_indices('/').any(|(end, _)| opaque.contains(&path[..end]));
    let owner = |entry: Entry| if is_root() { entry } else { entry.with_owner(me(), me()) };
    let mut all = Tree::new();
    for (path, entry) in entries {
        all.insert(path, owner(entry)).unwrap();
    }
    removed.iter().filter(|path| !is_alone(path)).for_each(|path| all.remove_below(path).unwrap());
    opaque.iter().filter(|path| !is_alone(path)).for_each(|path| all.hide_below(path).unwrap());
    all
}

/// What the mark at `path` hides: a path, or something in the opaque directory.
fn hidden(path: &str) -> String {
    match path.rsplit_once('/').unwrap_or(("", path)) {
        (parent, ".wh..wh..opq") => format!("{parent}/low"),
        ("", name) => name[4..].to_owned(),
        (parent, name) => format!("{parent}/{}", &name[4..]),
    }
}

/// What lies below the tree: something at each path that it hides, in directories that are like nothing in it.
fn below(tree: &Tree) -> Tree {
    let mut below = Tree::new();
    let strange = |entry: Entry| entry.with_mode(0o4321).with_owner(9, 9);
    for (path, _) in tree.iter().filter(|(path, _)| path.contains(".wh.")) {
        let mut hidden = hidden(path);
        // Names of directories begin with `d`.
        if hidden.rsplit('/').next().unwrap().starts_with('d') {
            hidden.push_str("/low");
        }
        for (end, _) in hidden.match_indices('/') {
            let _is_there = below.insert(&hidden[..end], strange(Entry::directory()));
        }
        let _is_there = below.insert(hidden, strange(Entry::file(Content::Bytes(b"low".to_vec()), false)));
    }
    below
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_tree_comes_back_from_disk(tree in trees::trees()) {
        let layers = Layers::new();
        let layer = layers.of_tree(&tree);
        let snapshots = Snapshots::open(&layers.folder.path().join("snapshots"), marks()).unwrap();
        let stack = snapshots.stack(&[layer], |layer| layers.blob(layer)).unwrap();
        let below = Below::stack([LayerFacts::of_tree(&below(&tree), |_| None).unwrap()]);
        let back = diff(stack[0].path(), marks(), &below).unwrap();
        prop_assert_eq!(said(&back), said(&expected(&tree)));
    }
}
