//! Layers: what is written is what is read, whichever way it was compressed.

use std::collections::BTreeMap;
use std::io::Write;

use cartwheel_oci::layer::{
    self, Content, ContentProblem, Encoding, Entry, Kind, LayerError, Member, Method, ReadEntry, ReadKind,
    Tree,
};
use cartwheel_store::{Blob, Digest};
use proptest::prelude::*;

use crate::trees::{names, texts, trees};
use crate::wheels::Streams;

fn write(tree: &Tree, encoding: Encoding) -> (layer::Written, Vec<u8>) {
    let mut bytes = Vec::new();
    let written = layer::write(tree, encoding, &mut bytes).unwrap();
    (written, bytes)
}

/// Path, permission bits, and content or link target, as a foreign reader sees them.
fn read_back(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut entries = Vec::new();
    layer::read(bytes, |entry, content| {
        let mut text = Vec::new();
        content.read_to_end(&mut text)?;
        if let ReadKind::Symlink(target) = &entry.kind {
            text = target.clone().into_bytes();
        }
        entries.push((entry.path.clone(), entry.mode, text));
        Ok(())
    })
    .unwrap();
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Splicing and compressing anew give the same tar; a foreign reader reads from both what the tree said.
    #[test]
    fn both_encodings_hold_the_tree(files in prop::collection::btree_map(names(), (texts(), 0u32..13), 0..12)) {
        let mut streams = Streams::new();
        let mut generated = Vec::new();
        let mut expected = BTreeMap::new();
        for (path, (text, how)) in &files {
            match how {
                0..=9 => streams = streams.deflated(path, text, *how),
                10 => streams = streams.stored(path, text),
                _ => generated.push((path, text)),
            }
            expected.insert(path.clone(), text.clone());
        }
        let mut tree = Tree::new();
        let mut kept = BTreeMap::new();
        for (path, member) in streams.members() {
            if tree.insert(path.clone(), Entry::file(Content::Member(member), false)).is_ok() {
                kept.insert(path.clone(), (path.clone(), 0o644, expected[&path].clone()));
            }
        }
        for (path, text) in generated {
            if tree.insert(path.clone(), Entry::file(Content::Bytes(text.clone()), true)).is_ok() {
                kept.insert(path.clone(), (path.clone(), 0o755, text.clone()));
            }
        }
        let (spliced, bytes) = write(&tree, Encoding::Spliced);
        let (compressed, twin) = write(&tree, Encoding::Compressed);
        prop_assert_eq!(spliced, compressed);
        let kept: Vec<_> = kept.into_values().collect();
        prop_assert_eq!(&read_back(&bytes), &kept);
        prop_assert_eq!(&read_back(&twin), &kept);
    }
}

/// What a reader must say about an entry of ours, and the bytes of its content.
fn expected(entry: &Entry) -> (ReadKind, Vec<u8>) {
    match &entry.kind {
        Kind::File(Content::Bytes(bytes)) => (ReadKind::File, bytes.clone()),
        Kind::File(Content::Range { blob, offset, size }) => {
            let bytes = blob.read().unwrap()[*offset as usize..(offset + size) as usize].to_vec();
            (ReadKind::File, bytes)
        }
        Kind::File(_) => unreachable!("the strategy makes none"),
        Kind::Directory => (ReadKind::Directory, Vec::new()),
        Kind::Symlink { target } => (ReadKind::Symlink(target.clone()), Vec::new()),
        Kind::Hardlink { target } => (ReadKind::Hardlink(target.clone()), Vec::new()),
        Kind::Fifo => (ReadKind::Fifo, Vec::new()),
        Kind::CharDevice { major, minor } => (ReadKind::CharDevice(*major, *minor), Vec::new()),
        Kind::BlockDevice { major, minor } => (ReadKind::BlockDevice(*major, *minor), Vec::new()),
    }
}

fn read_all(bytes: &[u8]) -> Vec<(ReadEntry, Vec<u8>)> {
    let mut entries = Vec::new();
    layer::read(bytes, |entry, content| {
        let mut text = Vec::new();
        content.read_to_end(&mut text)?;
        entries.push((entry.clone(), text));
        Ok(())
    })
    .unwrap();
    entries
}

/// The tar in a layer of one gzip member.
fn tar_of(bytes: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    std::io::copy(&mut flate2::bufread::GzDecoder::new(bytes), &mut tar).unwrap();
    tar
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Everything that a tree can say is read back; content is where it is said to be.
    #[test]
    fn whatever_a_tree_says_is_read_back(tree in trees()) {
        let (_, bytes) = write(&tree, Encoding::Compressed);
        let (tar, read) = (tar_of(&bytes), read_all(&bytes));
        prop_assert_eq!(read.len(), tree.iter().count());
        for ((entry, text), (path, wanted)) in read.into_iter().zip(tree.iter()) {
            let (kind, content) = expected(wanted);
            prop_assert_eq!((entry.path.as_str(), &entry.kind, &text), (path, &kind, &content));
            prop_assert_eq!((entry.mode, entry.uid, entry.gid), (wanted.mode, wanted.uid, wanted.gid));
            prop_assert_eq!((entry.mtime, &entry.xattrs), (wanted.mtime, &wanted.xattrs));
            let offset = entry.offset.unwrap() as usize;
            prop_assert_eq!(&tar[offset..offset + entry.size as usize], &content[..]);
        }
    }
}

#[test]
fn numbers_that_ustar_cannot_say_are_in_the_extended_header() {
    for (uid, mtime) in [(0o7_777_777, (1 << 33) - 1), (1 << 21, 1 << 33)] {
        let mut tree = Tree::new();
        tree.insert("x", Entry::directory().with_owner(uid, uid + 1).with_mtime(mtime)).unwrap();
        let tar = tar_of(&write(&tree, Encoding::Spliced).1);
        let text = String::from_utf8_lossy(&tar).into_owned();
        let extended = uid == 1 << 21;
        for record in ["15 uid=2097152\n", "15 gid=2097153\n", "20 mtime=8589934592\n"] {
            assert_eq!(text.contains(record), extended, "{record}");
        }
    }
}

#[test]
fn a_piece_that_is_not_there_is_an_error() {
    let blob = Blob::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/main.rs")).unwrap();
    for (offset, size) in [(blob.size(), 1), (u64::MAX, 2)] {
        let mut tree = Tree::new();
        let content = Content::Range { blob: blob.clone(), offset, size };
        tree.insert("x", Entry::file(content, false)).unwrap();
        let error = layer::write(&tree, Encoding::Compressed, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("main.rs"), "{error}");
    }
}

#[test]
fn a_layer_is_one_gzip_member_and_nothing_behind_it() {
    let tree = Streams::new().deflated("a/b.py", b"print()", 6).stored("c", b"x").tree();
    for encoding in [Encoding::Spliced, Encoding::Compressed] {
        let (_, bytes) = write(&tree, encoding);
        let mut rest = &bytes[..];
        // `GzDecoder` over `BufRead` stops after the first member; what it leaves is what follows.
        let mut decoder = flate2::bufread::GzDecoder::new(&mut rest);
        std::io::copy(&mut decoder, &mut std::io::sink()).unwrap();
        assert!(rest.is_empty(), "{encoding:?}: {} bytes follow", rest.len());
    }
}

#[test]
fn bytes_do_not_depend_on_threads_or_places() {
    let text: Vec<u8> = (0..5_000_000_u32).map(|index| (index % 251) as u8 ^ (index >> 13) as u8).collect();
    let digest = |threads: usize| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&text).unwrap();
        let mut tree = Tree::new();
        let content = Content::File { path: file.path().to_owned(), size: text.len() as u64 };
        tree.insert("big", Entry::file(content, false)).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Digest::of(&write(&tree, Encoding::Compressed).1))
    };
    assert_eq!(digest(1), digest(7));
}

#[test]
fn links_and_directories_are_written_as_they_are() {
    let mut tree = Tree::new();
    tree.insert("d", Entry { mode: 0o1777, ..Entry::directory() }).unwrap();
    tree.insert("d/l", Entry::symlink("../x")).unwrap();
    let (_, bytes) = write(&tree, Encoding::Spliced);
    let expected = [("d".to_owned(), 0o1777, Vec::new()), ("d/l".to_owned(), 0o777, b"../x".to_vec())];
    assert_eq!(read_back(&bytes), expected);
}

fn problem(edit: impl FnOnce(&mut Member)) -> ContentProblem {
    let text = b"hello hello hello hello".repeat(9);
    let mut members = Streams::new().deflated("pkg/x.py", &text, 6).stored("tail", &[7; 64]).members();
    let (path, mut member) = members.remove(0);
    edit(&mut member);
    let mut tree = Tree::new();
    tree.insert(path, Entry::file(Content::Member(member), false)).unwrap();
    match layer::write(&tree, Encoding::Spliced, &mut Vec::new()) {
        Err(LayerError::Content { path, problem }) => {
            assert_eq!(path, "pkg/x.py");
            problem
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_that_are_not_what_was_promised_are_refused() {
    assert_eq!(problem(|member| member.crc32 ^= 1), ContentProblem::Crc32);
    assert_eq!(problem(|member| member.size += 1), ContentProblem::Size);
    assert_eq!(problem(|member| member.size -= 1), ContentProblem::Size);
    assert_eq!(problem(|member| member.compressed_size -= 1), ContentProblem::Truncated);
    assert_eq!(problem(|member| member.compressed_size += 1), ContentProblem::TrailingData);
    assert_eq!(problem(|member| member.offset += 64), ContentProblem::Corrupt);
    assert_eq!(problem(|member| member.method = Method::Stored), ContentProblem::Size);
    let wrong = layer::ContentDigest::Sha256(Digest::of(b"other"));
    assert_eq!(problem(|member| member.expected = Some(wrong)), ContentProblem::Digest);
}

#[test]
fn a_file_that_changes_while_it_is_packed_is_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"four").unwrap();
    for size in [3, 5] {
        let mut tree = Tree::new();
        let content = Content::File { path: file.path().to_owned(), size };
        tree.insert("x", Entry { kind: Kind::File(content), ..Entry::directory() }).unwrap();
        let error = layer::write(&tree, Encoding::Compressed, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, LayerError::Content { problem: ContentProblem::Size, .. }), "{error:?}");
    }
}
