//! Layers in directories of their own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use cartwheel_oci::layer::{Content, Entry, Kind, Tree};
use cartwheel_oci::{Layer, layer};
use cartwheel_snapshot::{Error, ErrorKind, Marks, Snapshot, Snapshots};
use cartwheel_store::Digest;
use rustix::fs::lgetxattr;

use super::files::{Layers, Tar, is_root, line, listing, marks};

/// A store, and snapshots in it.
struct Scene {
    layers: Layers,
    asked: AtomicUsize,
}

impl Scene {
    fn new() -> Self {
        Self { layers: Layers::new(), asked: AtomicUsize::new(0) }
    }

    fn root(&self) -> std::path::PathBuf {
        self.layers.folder.path().join("snapshots")
    }

    fn snapshots(&self) -> Snapshots {
        Snapshots::open(&self.root(), marks()).unwrap()
    }

    fn stack(&self, layers: &[Layer]) -> Result<Vec<Snapshot>, Error> {
        self.snapshots().stack(layers, |layer| {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.layers.blob(layer)
        })
    }

    fn extract(&self, tar: Tar) -> Snapshot {
        self.stack(&[self.layers.of_tar(&tar.end())]).unwrap().remove(0)
    }

    /// The folder that the marks have here.
    fn folder(&self, name: &str) -> std::path::PathBuf {
        self.root().join(if is_root() { "trusted" } else { "user" }).join(name)
    }
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 100];
    let length = lgetxattr(path, name, &mut value[..]).ok()?;
    Some(value[..length].to_vec())
}

fn is_opaque(path: &Path) -> bool {
    let name = if is_root() { "trusted.overlay.opaque" } else { "user.overlay.opaque" };
    attribute(path, name).as_deref() == Some(b"y")
}

#[test]
fn whiteouts_are_kept_as_overlayfs_marks_them() {
    let scene = Scene::new();
    let tar = Tar::new()
        .file(".wh.gone", "")
        .folder("o")
        .file("o/.wh..wh..opq", "")
        .file("p/.wh.x", "")
        // The directory is new, and hides what the whiteout hides; in whatever order they come.
        .file(".wh.b", "")
        .file("b/new", "1")
        .file("c/new", "2")
        .file(".wh.c", "")
        .file("own", "3")
        .file(".wh.own", "")
        .file(".wh.late", "")
        .file("late", "4")
        .file(".wh.folder", "")
        .folder("folder");
    let snapshot = scene.extract(tar);
    let found = line(&listing(snapshot.path()));
    let expected = "b=dir b/new=1 c=dir c/new=2 folder=dir gone=device late=4 o=dir own=3 p=dir p/x=device";
    assert_eq!(found, expected);
    let device = fs::symlink_metadata(snapshot.path().join("gone")).unwrap();
    assert_eq!(device.rdev(), 0);
    for (path, opaque) in [("o", true), ("b", true), ("c", true), ("folder", true), ("p", false)] {
        assert_eq!(is_opaque(&snapshot.path().join(path)), opaque, "{path}");
    }
}

#[test]
fn marks_are_those_of_who_will_mount() {
    let layers = Layers::new();
    let layer = layers.of_tar(&Tar::new().file("o/.wh..wh..opq", "").end());
    let snapshots = Snapshots::open(layers.folder.path(), Marks::User).unwrap();
    let stack = snapshots.stack(&[layer], |layer| layers.blob(layer)).unwrap();
    assert_eq!(attribute(&stack[0].path().join("o"), "user.overlay.opaque").as_deref(), Some(&b"y"[..]));
    assert_eq!(attribute(&stack[0].path().join("o"), "trusted.overlay.opaque"), None);
}

#[test]
fn a_layer_cannot_speak_to_the_overlay() {
    let tar = Tar::new()
        .attribute("user.overlay.redirect", "/etc")
        .folder("a")
        .attribute("trusted.overlay.redirect", "/etc")
        .folder("b")
        .attribute("user.note", "x")
        .folder("c");
    let scene = Scene::new();
    let snapshot = scene.extract(tar);
    assert_eq!(attribute(&snapshot.path().join("a"), "user.overlay.redirect"), None);
    assert_eq!(attribute(&snapshot.path().join("b"), "trusted.overlay.redirect"), None);
    assert_eq!(attribute(&snapshot.path().join("c"), "user.note").as_deref(), Some(&b"x"[..]));
    assert!(snapshot.shortfall().attributes == 0);
}

#[test]
fn what_a_layer_says_is_what_is_there() {
    let scene = Scene::new();
    let mut tree = Tree::new();
    let mut file = Entry::file(Content::Bytes(b"x".to_vec()), true).with_mode(0o6755).with_owner(7, 8);
    // `cap_net_raw=ep`, as the kernel writes it.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
    file.xattrs.insert("security.capability".to_owned(), capability.clone());
    tree.insert("d", Entry::directory().with_mode(0o1777).with_mtime(5)).unwrap();
    tree.insert("d/ping", file.clone().with_mtime(6)).unwrap();
    tree.insert(
        "d/pong",
        Entry { kind: Kind::Hardlink { target: "d/ping".to_owned() }, xattrs: BTreeMap::new(), ..file },
    )
    .unwrap();
    tree.insert("e/implied", Entry::symlink("nowhere").with_mtime(7)).unwrap();
    let snapshot = scene.stack(&[scene.layers.of_tree(&tree)]).unwrap().remove(0);
    let found = |path: &str| fs::symlink_metadata(snapshot.path().join(path)).unwrap();
    assert_eq!((found("d").mode() & 0o7777, found("d").mtime()), (0o1777, 5));
    assert_eq!((found("d/ping").mode() & 0o7777, found("d/ping").nlink()), (0o6755, 2));
    assert_eq!((found("e").mode() & 0o7777, found("e").mtime()), (0o755, layer::FIXED_TIME.cast_signed()));
    assert_eq!(found("e/implied").mtime(), 7);
    assert_eq!(found("").mode() & 0o7777, 0o755);
    if is_root() {
        assert_eq!((found("d/ping").uid(), found("d/ping").gid()), (7, 8));
        let there = attribute(&snapshot.path().join("d/pong"), "security.capability");
        assert_eq!(there, Some(capability));
    }
    assert_eq!(snapshot.shortfall().is_empty(), is_root());
}

#[test]
fn a_layer_is_extracted_once() {
    let scene = Scene::new();
    let one = scene.layers.of_tar(&Tar::new().file("a", "1").end());
    let two = scene.layers.of_tar(&Tar::new().file("b", "2").end());
    let paths = |stack: &[Snapshot]| -> Vec<std::path::PathBuf> {
        stack.iter().map(|snapshot| snapshot.path().to_owned()).collect()
    };
    let first = paths(&scene.stack(&[one.clone(), two.clone()]).unwrap());
    assert_eq!(scene.asked.load(Ordering::Relaxed), 2);
    let again = paths(&scene.stack(&[two.clone(), one.clone()]).unwrap());
    assert_eq!(scene.asked.load(Ordering::Relaxed), 2);
    assert_eq!(first, [again[1].clone(), again[0].clone()]);
    // An overlay cannot lie on the same directory twice.
    assert_eq!(paths(&scene.stack(&[one.clone(), two.clone(), one.clone()]).unwrap()), again);
}

#[test]
fn many_who_want_the_same_get_it_once() {
    let scene = Scene::new();
    let layers: Vec<Layer> =
        (0..8).map(|n| scene.layers.of_tar(&Tar::new().file("a", &n.to_string()).end())).collect();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(scene.stack(&layers).unwrap().len(), 8));
        }
    });
    assert_eq!(scene.asked.load(Ordering::Relaxed), 8);
}

#[test]
fn a_layer_with_another_diff_id_is_refused() {
    let scene = Scene::new();
    let mut layer = scene.layers.of_tar(&Tar::new().file("a", "1").end());
    layer.diff_id = cartwheel_oci::DiffId::new(Digest::of(b"another"));
    let error = scene.stack(std::slice::from_ref(&layer)).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::DiffId { expected, .. } if *expected == layer.diff_id),
        "{error}"
    );
    assert_eq!(line(&listing(&scene.folder("layers"))) + &line(&listing(&scene.folder("tmp"))), "");
}

#[test]
fn a_broken_layer_is_refused() {
    let scene = Scene::new();
    let mut tar = Tar::new().file("a", "1").file("b", "2").end();
    let layer = scene.layers.of_tar(&tar);
    tar.truncate(1500);
    let (digest, _) = scene.layers.store.put_blob(&tar).unwrap();
    let mut cut = layer.clone();
    cut.descriptor.digest = digest;
    let error = scene.stack(&[cut]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Read { .. }), "{error}");
    // And the right bytes are taken after that.
    assert_eq!(line(&listing(scene.stack(&[layer]).unwrap()[0].path())), "a=1 b=2");
}

#[test]
fn what_a_killed_process_left_is_cleared() {
    let scene = Scene::new();
    let layer = scene.layers.of_tar(&Tar::new().file("a", "1").end());
    drop(scene.snapshots());
    let name = layer.diff_id.digest().hex();
    let left = |name: &str| {
        let left = scene.folder("tmp").join(name).join("closed");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("x"), "half").unwrap();
        fs::set_permissions(&left, PermissionsExt::from_mode(0o500)).unwrap();
    };
    left(&name);
    left(&"0".repeat(64));
    // Somebody is at work there.
    let busy = "1".repeat(64);
    left(&busy);
    let lock = File::create(scene.folder("locks").join(&busy)).unwrap();
    lock.lock().unwrap();
    drop(scene.snapshots());
    let names: Vec<String> = listing(&scene.folder("tmp")).into_keys().collect();
    assert_eq!(names, [busy.clone(), format!("{busy}/closed"), format!("{busy}/closed/x")]);
    drop(lock);
    left(&name);
    assert_eq!(line(&listing(scene.stack(&[layer]).unwrap()[0].path())), "a=1");
    assert_eq!(line(&listing(&scene.folder("tmp"))), "");
}

#[test]
fn a_snapshot_without_its_facts_is_made_again() {
    let scene = Scene::new();
    let layer = scene.layers.of_tar(&Tar::new().file("a", "1").end());
    let path = scene.stack(std::slice::from_ref(&layer)).unwrap().remove(0).path().to_owned();
    fs::write(scene.folder("locks").join(layer.diff_id.digest().hex()), "{").unwrap();
    fs::write(path.join("a"), "half").unwrap();
    assert_eq!(line(&listing(scene.stack(&[layer]).unwrap()[0].path())), "a=1");
    assert_eq!(scene.asked.load(Ordering::Relaxed), 2);
}

#[test]
fn snapshots_are_listed_and_removed_but_not_from_under_anybody() {
    let scene = Scene::new();
    let layer = scene.layers.of_tar(&Tar::new().mode(0o555).folder("d").file("d/a", &"x".repeat(5000)).end());
    let snapshots = scene.snapshots();
    let before = std::time::SystemTime::now();
    let held = scene.stack(std::slice::from_ref(&layer)).unwrap();
    let kept = snapshots.list().unwrap();
    assert_eq!((kept.len(), kept[0].diff_id, kept[0].size), (1, layer.diff_id, 8192));
    assert!(before.duration_since(kept[0].used).map_or(true, |since| since.as_millis() < 100));
    assert!(!snapshots.remove(layer.diff_id).unwrap());
    drop(held);
    assert!(snapshots.remove(layer.diff_id).unwrap());
    assert!(!snapshots.remove(layer.diff_id).unwrap());
    assert_eq!(snapshots.list().unwrap(), []);
    assert_eq!(line(&listing(&scene.folder("tmp"))), "");
}

#[test]
fn nobody_else_comes_near() {
    let scene = Scene::new();
    drop(scene.snapshots());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&scene.root()), mode(&scene.folder("layers"))), (0o700, 0o700));
}
