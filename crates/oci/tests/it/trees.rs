//! Trees of all that a layer can contain.

use cartwheel_oci::layer::{Content, Entry, Kind, Tree};
use cartwheel_store::Blob;
use proptest::prelude::*;

pub(crate) fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,12}",
        "[a-zé]{1,8}/[a-z.]{1,9}x",
        "[a-z]{60,120}/[a-z]{60,120}",
        "[a-z]{101,260}",
        "[a-z]{1,4}/[A-Z]{1,200}/é{1,60}",
    ]
}

pub(crate) fn texts() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..1500),
        prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0)], 0..40_000),
        prop::collection::vec(any::<u8>(), 511..514),
    ]
}

/// A file that is there for its bytes: content can be a piece of it.
pub(crate) fn some_blob() -> Blob {
    Blob::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/layers.rs")).unwrap()
}

fn kinds() -> impl Strategy<Value = Kind> {
    let device = || (0u32..4096, 0u32..1 << 20);
    prop_oneof![
        4 => texts().prop_map(|text| Kind::File(Content::Bytes(text))),
        2 => (0u64..5000, 0u64..90_000).prop_map(|(offset, size)| {
            let blob = some_blob();
            let offset = offset.min(blob.size());
            Kind::File(Content::Range { size: size.min(blob.size() - offset), blob, offset })
        }),
        1 => Just(Kind::Directory),
        1 => names().prop_map(|target| Kind::Symlink { target }),
        2 => names().prop_map(|target| Kind::Hardlink { target }),
        1 => Just(Kind::Fifo),
        1 => device().prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        1 => device().prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
    ]
}

fn entries() -> impl Strategy<Value = Entry> {
    let id = || prop_oneof![0u32..5, any::<u32>()];
    let value = prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'='), any::<u8>()], 0..90);
    let xattrs = prop::collection::btree_map("(user|security)[.][a-zé.]{1,9}", value, 0..3);
    (kinds(), 0u32..0o10000, id(), id(), 0u64..1 << 33, xattrs)
        .prop_map(|(kind, mode, uid, gid, mtime, xattrs)| Entry { kind, mode, uid, gid, mtime, xattrs })
}

/// Trees with everything in them; hard links lead to the first path.
pub(crate) fn trees() -> impl Strategy<Value = Tree> {
    prop::collection::btree_map(names(), entries(), 0..12).prop_map(|files| {
        let mut tree = Tree::new();
        for (path, mut entry) in files {
            let first = tree.iter().next().map(|(path, _)| path.to_owned());
            if let (Kind::Hardlink { target }, Some(first)) = (&mut entry.kind, first) {
                *target = first;
            }
            // What lies below a file, and links to what is none, are left out.
            let _refused = tree.insert(path, entry);
        }
        tree
    })
}
