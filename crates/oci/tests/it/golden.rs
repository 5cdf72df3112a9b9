//! The layer format does not change: a digest that differs here is a new `layer::FORMAT`.

use std::collections::BTreeMap;

use cartwheel_oci::layer::{self, Content, Encoding, Entry, Kind, Method, Tree};
use cartwheel_store::Digest;

use crate::wheels::Streams;

/// «import numpy, print its version», four times; compressed once, so that no encoder's version is in the golden bytes.
const SCRIPT: &[u8] = b"import numpy\n\nprint(numpy.__version__)\n";
const SCRIPT_DEFLATED: &str =
    "cbcc2dc82f2a51c82bcd2da8e4e22a28cacc2bd10073f4e2e3cb528b8a33f3f3e2e335b93207421900";

fn from_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Everything that a tar header of the format can say.
fn tree(streams: &mut Streams) -> Tree {
    let mut tree = streams.tree();
    let long = format!("long/{}/{}", "d".repeat(90), "f".repeat(90));
    let longer = format!("long/{}", "n".repeat(150));
    let file = |text: &str, executable| Entry::file(Content::Bytes(text.as_bytes().to_vec()), executable);
    tree.insert("bin/tool", file("#!/usr/local/bin/python3.13\nimport sys\n", true)).unwrap();
    tree.insert("empty", file("", false)).unwrap();
    tree.insert(long, file("long", false)).unwrap();
    tree.insert(longer.clone(), file("longer", false)).unwrap();
    tree.insert("naïve/ü.py", file("x = 'ü'\n", false).with_owner(1000, 100)).unwrap();
    tree.insert("link", Entry::symlink("bin/tool")).unwrap();
    tree.insert("link-long", Entry::symlink(longer)).unwrap();
    tree.insert("tmp", Entry { mode: 0o1777, ..Entry::directory().with_mtime(1) }).unwrap();
    tree.remove_below("usr/gone").unwrap();
    tree
}

fn golden(encoding: Encoding) -> (String, String) {
    let script = SCRIPT.repeat(4);
    let mut streams = Streams::new()
        .raw("pkg/a.py", &script, &from_hex(SCRIPT_DEFLATED), Method::Deflated)
        .raw("pkg/b.py", &script, &from_hex(SCRIPT_DEFLATED), Method::Deflated)
        .stored("pkg/data.bin", &vec![0xa5; 70_000]);
    let mut bytes = Vec::new();
    let written = layer::write(&tree(&mut streams), encoding, &mut bytes).unwrap();
    (written.diff_id.to_string(), Digest::of(&bytes).to_string())
}

const DIFF_ID: &str = "sha256:50ab530cf2fa8e8acb585ae1cf03c984950bd97b0d2b06b8ce6f6461abcf0d23";

#[test]
fn spliced_layer_has_its_golden_digest() {
    assert_eq!(layer::FORMAT, 1);
    let (diff_id, digest) = golden(Encoding::Spliced);
    assert_eq!(
        (diff_id.as_str(), digest.as_str()),
        (DIFF_ID, "sha256:1d8e6f6587f556d5e07f0c3a0d42032e4a05829d166ab0cab102ec4178e8285d")
    );
}

#[test]
fn compressed_layer_has_its_golden_digest() {
    let (diff_id, digest) = golden(Encoding::Compressed);
    assert_eq!(
        (diff_id.as_str(), digest.as_str()),
        (DIFF_ID, "sha256:f9943bc03fb1bbe45c3729cd4f18b1a9736f8081f458de7f36b980da2d083201")
    );
}

/// What files of applications, other images and commands bring in addition.
fn foreign_tree() -> Tree {
    let mut tree = Tree::new();
    let file = || Entry::file(Content::Bytes(b"ping".to_vec()), true);
    let xattrs = BTreeMap::from([
        ("security.capability".to_owned(), b"\x01\0\0\x02\0\x20\n=\0\0\0\0\0\0\0\0\0\0\0\0".to_vec()),
        ("user.ü".to_owned(), Vec::new()),
    ]);
    let kinds = [
        ("dev/null", Kind::CharDevice { major: 1, minor: 3 }, 0o666),
        ("dev/loop0", Kind::BlockDevice { major: 7, minor: 0 }, 0o660),
        ("run/pipe", Kind::Fifo, 0o600),
    ];
    tree.insert("bin/ping", Entry { xattrs, ..file().with_mode(0o4755) }).unwrap();
    tree.insert("bin/ping6", Entry::hardlink("bin/ping").with_mode(0o4755)).unwrap();
    for (path, kind, mode) in kinds {
        tree.insert(path, Entry { kind, ..Entry::directory().with_mode(mode) }).unwrap();
    }
    tree.insert("srv", Entry::directory().with_owner(3_000_000, 2_097_152).with_mtime(1 << 33)).unwrap();
    tree
}

#[test]
fn a_layer_of_all_kinds_has_its_golden_diff_id() {
    let written = layer::write(&foreign_tree(), Encoding::Spliced, &mut Vec::new()).unwrap();
    assert_eq!(
        written.diff_id.to_string(),
        "sha256:b193284aa195c543594150200e7ad074e6dd68a4a6a7933d03ba368dfa6f89a2"
    );
}
