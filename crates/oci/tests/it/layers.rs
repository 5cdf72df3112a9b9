//! Layers: what is written is what is read, whichever way it was compressed.

use std::io::Write;

use cartwheel_oci::layer::{
    self, Content, ContentProblem, Encoding, Entry, Kind, LayerError, Member, Method, ReadKind, Tree,
};
use cartwheel_store::Digest;
use proptest::prelude::*;

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

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,12}",
        "[a-zé]{1,8}/[a-z.]{1,9}x",
        "[a-z]{60,120}/[a-z]{60,120}",
        "[a-z]{101,260}",
        "[a-z]{1,4}/[A-Z]{1,200}/é{1,60}",
    ]
}

fn texts() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..1500),
        prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0)], 0..40_000),
        prop::collection::vec(any::<u8>(), 511..514),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Splicing and compressing anew give the same tar; a foreign reader reads from both what the tree said.
    #[test]
    fn both_encodings_hold_the_tree(files in prop::collection::btree_map(names(), (texts(), 0u32..13), 0..12)) {
        let mut streams = Streams::new();
        let mut generated = Vec::new();
        let mut expected = std::collections::BTreeMap::new();
        for (path, (text, how)) in &files {
            match how {
                0..=9 => streams = streams.deflated(path, text, *how),
                10 => streams = streams.stored(path, text),
                _ => generated.push((path, text)),
            }
            expected.insert(path.clone(), text.clone());
        }
        let mut tree = Tree::new();
        let mut kept = std::collections::BTreeMap::new();
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
