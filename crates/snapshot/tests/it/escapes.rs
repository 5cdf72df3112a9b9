//! Layers that try to reach what is not theirs: each kind of attack that unpackers fell to, and a victim that must stay.

use std::fs;
use std::path::Path;

use cartwheel_snapshot::{EntryProblem, ErrorKind, Snapshots};

use super::files::{Layers, Tar, line, listing, marks, unpack, unpack_into};

/// A folder with a victim beside the directory to unpack into.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        fs::create_dir(scene.0.path().join("dest")).unwrap();
        fs::create_dir(scene.0.path().join("victim")).unwrap();
        fs::create_dir(scene.0.path().join("dest-evil")).unwrap();
        fs::write(scene.0.path().join("victim/hello"), "hello").unwrap();
        scene
    }

    fn victim(&self) -> String {
        self.0.path().join("victim").to_str().unwrap().to_owned()
    }

    /// Unpacks, and says what came of it; panics if anything outside changed.
    fn unpack(&self, tar: Tar) -> Result<String, String> {
        let dest = self.0.path().join("dest");
        let tar = tar.end();
        let unpacked = unpack_into(&dest, std::slice::from_ref(&tar)).map_err(|error| error.to_string());
        self.check();
        // The same for an overlay, where the layer is alone.
        let layers = Layers::new();
        let snapshots = Snapshots::open(&self.0.path().join("snapshots"), marks()).unwrap();
        let layer = layers.of_tar(&tar);
        let snapshot = snapshots.stack(std::slice::from_ref(&layer), |layer| layers.blob(layer));
        assert_eq!(snapshot.is_ok(), unpacked.is_ok());
        self.check();
        unpacked.map(|_| line(&listing(&dest)))
    }

    fn check(&self) {
        let outside = |name| line(&listing(&self.0.path().join(name)));
        assert_eq!((outside("victim").as_str(), outside("dest-evil").as_str()), ("hello=hello", ""));
        let around = listing(self.0.path());
        let strange = around.keys().find(|path| {
            let top = path.split('/').next().unwrap();
            !["dest", "dest-evil", "victim", "snapshots"].contains(&top)
        });
        assert_eq!(strange, None);
    }
}

fn refused(scene: &Scene, tar: Tar, problem: EntryProblem) {
    let message = scene.unpack(tar).unwrap_err();
    assert!(message.ends_with(&problem.to_string()), "{message}");
}

#[test]
fn paths_with_dots_are_refused() {
    for path in ["../victim/new", "a/../../victim/new", "..", "a/..", "../dest-evil/new", "a/.", "/../x"] {
        refused(&Scene::new(), Tar::new().file(path, "x"), EntryProblem::Dots);
    }
}

#[test]
fn an_absolute_path_lies_below() {
    assert_eq!(Scene::new().unpack(Tar::new().file("/etc/x", "x")).unwrap(), "etc=dir etc/x=x");
}

#[test]
fn links_on_the_way_stay_inside() {
    let scene = Scene::new();
    let tar = Tar::new()
        .symlink("up", "../victim")
        .symlink("far", "../../../../../..")
        .symlink("abs", "/victim")
        .symlink("chain", "up")
        .file("up/one", "1")
        .file("far/two", "2")
        .file("abs/three", "3")
        .file("chain/four", "4");
    assert_eq!(
        scene.unpack(tar).unwrap(),
        "abs=-> /victim chain=-> up far=-> ../../../../../.. two=2 up=-> ../victim victim=dir victim/four=4 \
         victim/one=1 victim/three=3"
    );
}

#[test]
fn an_entry_replaces_a_link_instead_of_writing_through_it() {
    let scene = Scene::new();
    let victim = format!("{}/hello", scene.victim());
    let tar = Tar::new().symlink("x", &victim).file("x", "mine").symlink("d", &scene.victim()).folder("d");
    assert_eq!(scene.unpack(tar).unwrap(), "d=dir x=mine");
}

#[test]
fn the_mode_of_an_entry_is_not_that_of_a_links_target() {
    let scene = Scene::new();
    let before = fs::metadata(scene.0.path().join("victim/hello")).unwrap();
    let target = format!("{}/hello", scene.victim());
    scene.unpack(Tar::new().symlink("x", &target).hardlink("y", "x")).unwrap();
    let after = fs::metadata(scene.0.path().join("victim/hello")).unwrap();
    assert_eq!(
        (before.permissions(), before.modified().unwrap()),
        (after.permissions(), after.modified().unwrap())
    );
}

#[test]
fn hard_links_lead_to_files_of_the_layers() {
    let problem = EntryProblem::Hardlink;
    let scene = Scene::new();
    let hello = format!("{}/hello", scene.victim());
    for target in ["../victim/hello", hello.as_str(), "nothing", "..", "a/..", "new"] {
        refused(&Scene::new(), Tar::new().hardlink("new", target), problem);
    }
    refused(&Scene::new(), Tar::new().folder("d").hardlink("new", "d"), problem);
    refused(&Scene::new(), Tar::new().symlink("up", "../victim").hardlink("new", "up/hello"), problem);
    // The link itself gets another name, and what it leads to is not touched by writing there.
    let tar = Tar::new().symlink("l", &hello).hardlink("m", "l").file("m", "mine");
    assert_eq!(scene.unpack(tar).unwrap(), format!("l=-> {hello} m=mine"));
}

#[test]
fn whiteouts_stay_inside() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh..", "a/.wh..."] {
        refused(&Scene::new(), Tar::new().file(name, ""), EntryProblem::Whiteout);
    }
    let scene = Scene::new();
    let tar = Tar::new().symlink("up", &scene.victim()).file("up/.wh.hello", "").file("up/.wh..wh..opq", "");
    scene.unpack(tar).unwrap();
    let scene = Scene::new();
    let tar = Tar::new().symlink("up", "../victim").file(".wh.up", "").file("..", "");
    refused(&scene, tar, EntryProblem::Dots);
}

#[test]
fn a_removed_directory_is_not_remembered() {
    // The second entry's directory is another than the first's, by the same name.
    let scene = Scene::new();
    let tar = Tar::new().file("d/x", "1").symlink("d", "/e").file("d/y", "2");
    assert_eq!(scene.unpack(tar).unwrap(), "d=-> /e e=dir e/y=2");
}

#[test]
fn links_in_circles_are_refused() {
    let mut chain = Tar::new();
    for link in 0..50 {
        chain = chain.symlink(&format!("l{link}"), &format!("l{}", link + 1));
    }
    refused(&Scene::new(), chain.file("l0/x", ""), EntryProblem::Circle);
    refused(&Scene::new(), Tar::new().symlink("l", "l").file("l/x", ""), EntryProblem::Circle);
    let pair = Tar::new().symlink("a", "b/c").symlink("b", "a/d").file("a/x", "");
    refused(&Scene::new(), pair, EntryProblem::Circle);
}

#[test]
fn nothing_lies_below_a_file() {
    refused(&Scene::new(), Tar::new().file("a", "").file("a/b", ""), EntryProblem::NotDirectory);
    let fifo = Tar::new().entry(b'6', b"p", "", b"").file("p/x", "");
    refused(&Scene::new(), fifo, EntryProblem::NotDirectory);
}

#[test]
fn deep_paths_end_somewhere_and_go_away() {
    let folder = tempfile::tempdir().unwrap();
    let deep = "d/".repeat(1500);
    let below = Tar::new().extended(&[("path", &deep)]).folder("d").extended(&[("linkpath", &deep)]);
    let below = below.symlink("s", "x").end();
    let deeper = Tar::new().extended(&[("path", &format!("s/{deep}"))]).folder("d").end();
    let error = unpack_into(folder.path(), &[below.clone(), deeper]).unwrap_err();
    let expected = EntryProblem::TooDeep;
    assert!(matches!(error.kind(), ErrorKind::Entry { problem, .. } if *problem == expected), "{error}");
    // More directories than a process may have open.
    unpack_into(folder.path(), &[below, Tar::new().file(".wh.d", "").file("s", "file").end()]).unwrap();
    assert_eq!(line(&listing(folder.path())), "s=file");
}

#[test]
fn what_readers_disagree_about_is_refused() {
    let with_content = |kind| Tar::new().entry(kind, b"x", "y", b"inner");
    for kind in [b'1', b'2', b'5', b'6'] {
        refused(&Scene::new(), with_content(kind), EntryProblem::Content);
    }
    refused(&Scene::new(), Tar::new().entry(b'0', b"\xff", "", b""), EntryProblem::NotUtf8);
}

#[test]
fn the_later_of_two_entries_counts() {
    let scene = Scene::new();
    let tar =
        Tar::new().file("a", "1").file("a", "2").folder("b").file("b/x", "").file("b", "3").file("A", "4");
    assert_eq!(scene.unpack(tar).unwrap(), "A=4 a=2 b=3");
}

#[test]
fn a_failed_layer_leaves_no_snapshot() {
    let (layers, folder) = (Layers::new(), tempfile::tempdir().unwrap());
    let snapshots = Snapshots::open(folder.path(), marks()).unwrap();
    let layer = layers.of_tar(&Tar::new().file("a", "1").hardlink("b", "nothing").end());
    let error = snapshots.stack(&[layer], |layer| layers.blob(layer)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Entry { .. }), "{error}");
    assert_eq!(snapshots.list().unwrap(), []);
    let left = listing(folder.path());
    assert!(!left.keys().any(|path| Path::new(path).parent().is_some_and(|parent| parent.ends_with("tmp"))));
}

#[test]
fn zeros_take_no_room() {
    use std::os::unix::fs::MetadataExt;

    let folder = tempfile::tempdir().unwrap();
    let size = 64 << 20;
    let tar = Tar::new().entry(b'0', b"zeros", "", &vec![0; size]).end();
    unpack_into(folder.path(), &[tar]).unwrap();
    let found = fs::metadata(folder.path().join("zeros")).unwrap();
    assert_eq!((found.len(), found.blocks() < 100), (size as u64, true));
    assert!(fs::read(folder.path().join("zeros")).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn layers_over_each_other_stay_inside_too() {
    let below = Tar::new().symlink("etc", "/victim").symlink("up", "..").end();
    let above = Tar::new().file("etc/x", "1").file("up/up/y", "2").file("etc/.wh.z", "").end();
    let (found, _) = unpack(&[below, above]).unwrap();
    assert_eq!(line(&found), "etc=-> /victim up=-> .. victim=dir victim/x=1 y=2");
}
