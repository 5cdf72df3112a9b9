//! Several layers in one directory.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use cartwheel_oci::{Below, LayerFacts, NodeKind};
use cartwheel_snapshot::Shortfall;
use proptest::prelude::*;

use super::files::{Tar, is_root, line, unpack, unpack_into};
use super::trees;

fn unpacked(layers: &[Tar]) -> String {
    let layers: Vec<Vec<u8>> = layers.iter().map(|tar| tar.clone().end()).collect();
    line(&unpack(&layers).unwrap().0)
}

#[test]
fn whiteouts_remove_what_lies_below() {
    let below = Tar::new().file("a/x", "1").file("a/y", "2").file("b/z", "3").file("c", "4");
    let above = Tar::new().file("a/.wh.x", "").file(".wh.b", "").file(".wh.nothing", "");
    assert_eq!(unpacked(&[below, above]), "a=dir a/y=2 c=4");
}

#[test]
fn a_layers_own_files_survive_its_whiteouts_in_any_order() {
    let below = || Tar::new().file("a/x", "1").file("a/s/y", "2").file("b", "3");
    for opaque in [true, false] {
        let mark = if opaque { "a/.wh..wh..opq" } else { ".wh.a" };
        let before = Tar::new().file(mark, "").file("a/n", "4").file("a/s/m", "5");
        let after = Tar::new().file("a/n", "4").file("a/s/m", "5").file(mark, "");
        let expected = "a=dir a/n=4 a/s=dir a/s/m=5 b=3";
        assert_eq!(unpacked(&[below(), before]), expected);
        assert_eq!(unpacked(&[below(), after]), expected);
    }
    let both = Tar::new().file("b", "6").file(".wh.b", "");
    assert_eq!(unpacked(&[below(), both]), "a=dir a/s=dir a/s/y=2 a/x=1 b=6");
}

#[test]
fn kinds_replace_each_other() {
    let below = Tar::new().file("a/x", "1").file("b", "2").symlink("c", "a").file("d/x", "3");
    let above =
        Tar::new().file("a", "4").folder("b").folder("c").symlink("d", "b").entry(b'6', b"e", "", b"");
    assert_eq!(unpacked(&[below, above]), "a=4 b=dir c=dir d=-> b e=fifo");
}

#[test]
fn hard_links_lead_to_lower_layers() {
    let folder = tempfile::tempdir().unwrap();
    let below = Tar::new().file("a/x", "1").symlink("l", "a").end();
    unpack_into(folder.path(), &[below, Tar::new().hardlink("y", "l/x").end()]).unwrap();
    let inode = |path| fs::metadata(folder.path().join(path)).unwrap().ino();
    assert_eq!(inode("a/x"), inode("y"));
}

#[test]
fn a_replaced_file_keeps_its_other_names() {
    let below = Tar::new().file("a", "1").hardlink("b", "a");
    assert_eq!(unpacked(&[below, Tar::new().file("a", "2")]), "a=2 b=1");
}

#[test]
fn what_aufs_kept_for_itself_is_left_out() {
    let layer =
        Tar::new().folder(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "").file(".wh..wh.aufs", "").file("a", "");
    assert_eq!(unpacked(&[layer]), "a=");
}

#[test]
fn what_cannot_be_set_is_counted() {
    let owned = |tar: Tar| tar.owner(12, 34);
    let tar = owned(Tar::new()).file("a", "1").folder("d").symlink("l", "a");
    let device = tar.entry(b'3', b"null", "", b"").attribute("trusted.note", "x").file("t", "");
    let (found, shortfall) = unpack(&[device.end()]).unwrap();
    if is_root() {
        assert_eq!(
            (line(&found).as_str(), shortfall),
            ("a=1 d=dir l=-> a null=device t=", Shortfall::default())
        );
    } else {
        let expected = Shortfall { owners: 4, devices: 1, attributes: 1 };
        assert_eq!((line(&found).as_str(), shortfall), ("a=1 d=dir l=-> a t=", expected));
    }
    assert_eq!(shortfall.is_empty(), is_root());
}

#[test]
fn directories_closed_to_their_owner_take_entries_first() {
    let folder = tempfile::tempdir().unwrap();
    let below = Tar::new().mode(0o555).folder("d").mode(0o644).file("d/x", "1").end();
    let above = Tar::new().file("d/y", "2").end();
    unpack_into(folder.path(), &[below, above]).unwrap();
    let found = fs::metadata(folder.path().join("d")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.mtime()), (0o555, 1_000_000_000));
    assert!(folder.path().join("d/y").exists());
    fs::set_permissions(folder.path().join("d"), PermissionsExt::from_mode(0o755)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The stack of the layers' facts is the twin: it knows of no disk.
    #[test]
    fn a_stack_is_what_its_facts_say(stack in prop::collection::vec(trees::trees(), 1..4)) {
        let layers: Vec<Vec<u8>> = stack.iter().map(trees::bytes).collect();
        let facts = layers.iter().map(|layer| LayerFacts::read(&layer[..], |_| None).unwrap().1);
        let below = Below::stack(facts);
        let folder = tempfile::tempdir().unwrap();
        unpack_into(folder.path(), &layers).unwrap();
        let found = trees::found(folder.path());
        let paths: Vec<&str> = below.iter().map(|(path, _)| path).collect();
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), paths);
        for (path, node) in below.iter() {
            let there = &found[path];
            prop_assert_eq!(there.mode, node.permissions.mode, "{}", path);
            if is_root() {
                prop_assert_eq!((there.uid, there.gid), (node.permissions.uid, node.permissions.gid), "{}", path);
            }
            if !node.is_directory() {
                prop_assert_eq!(there.mtime, node.permissions.mtime, "{}", path);
            }
            match &node.kind {
                NodeKind::File(facts) => {
                    prop_assert_eq!(there.digest(), facts.digest, "{}", path);
                    // The first of its names may be another file by now.
                    let first = facts.first_name.as_ref();
                    let first = first.filter(|first| below.layer(first) == below.layer(path));
                    let inode = first.map_or(there.inode, |first| found[first].inode);
                    prop_assert_eq!(there.inode, inode, "{}", path);
                }
                NodeKind::Symlink(target) => prop_assert_eq!(&there.target(), target, "{}", path),
                NodeKind::Fifo => prop_assert!(there.is_fifo(), "{}", path),
                _ => prop_assert!(node.is_directory() && there.is_directory(), "{}", path),
            }
        }
    }
}
