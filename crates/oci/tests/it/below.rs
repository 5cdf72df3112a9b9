//! What lies below: facts read from layers, known from trees, and remembered.

use std::collections::BTreeMap;

use cartwheel_oci::layer::{self, Encoding, Entry, Tree};
use cartwheel_oci::{
    Below, Descriptor, DiffId, Extract, Layer, LayerFacts, Node, NodeKind, media_type, uncompressed,
};
use cartwheel_store::{Digest, Store};
use proptest::prelude::*;

use crate::trees::trees;
use crate::wheels::Streams;

fn interesting(path: &str) -> Option<Extract> {
    let first: Extract = |bytes| Some(format!("{:?}", bytes.first()));
    path.contains('a').then_some(first)
}

fn written(tree: &Tree) -> (LayerFacts, Vec<u8>) {
    let mut bytes = Vec::new();
    layer::write(tree, Encoding::Spliced, &mut bytes).unwrap();
    (LayerFacts::read(&bytes[..], interesting).unwrap().1, bytes)
}

/// What `facts` make of a base: every path, what is there, and the layer that it comes from.
fn over_a_base(facts: LayerFacts) -> BTreeMap<String, (Node, Option<usize>)> {
    let mut base = Tree::new();
    for path in ["a/x", "b/x", "d"] {
        base.insert(path, Entry::symlink("x")).unwrap();
    }
    let below = Below::stack([LayerFacts::of_tree(&base, interesting).unwrap(), facts]);
    below.iter().map(|(path, node)| (path.to_owned(), (node.clone(), below.layer(path)))).collect()
}

/// Takes digests from `read` where a tree does not know them.
fn complete(
    described: &mut BTreeMap<String, (Node, Option<usize>)>,
    read: &BTreeMap<String, (Node, Option<usize>)>,
) {
    for (path, (node, _)) in described {
        let known = read.get(path).and_then(|(node, _)| node.file()).and_then(|file| file.digest);
        if let NodeKind::File(file) = &mut node.kind {
            file.digest = file.digest.or(known);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    /// A tree knows what reading the layer written from it would say.
    #[test]
    fn a_tree_knows_what_its_layer_will_say(mut tree in trees(), removed in prop::collection::btree_set("[abd]", 0..3)) {
        for path in removed {
            tree.remove_below(&path).unwrap();
        }
        let read = over_a_base(written(&tree).0);
        let mut described = over_a_base(LayerFacts::of_tree(&tree, interesting).unwrap());
        complete(&mut described, &read);
        prop_assert_eq!(described, read);
    }

    #[test]
    fn facts_are_remembered_as_they_are(tree in trees()) {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let (facts, bytes) = written(&tree);
        let key = LayerFacts::key(Digest::of(&bytes), 1);
        store.put(&key, &facts).unwrap();
        prop_assert_eq!(store.get(&key), Some(facts));
    }
}

#[test]
fn a_wheel_s_files_are_known_without_reading_the_layer() {
    let tree = Streams::new().deflated("pkg/a.py", b"hello hello hello", 6).stored("pkg/b", b"x").tree();
    let facts = LayerFacts::of_tree(&tree, interesting).unwrap();
    assert_eq!(facts, written(&tree).0);
    let below = Below::stack([facts]);
    let file = below.get("pkg/a.py").and_then(Node::file).unwrap();
    assert_eq!(file.digest, Some(Digest::of(b"hello hello hello")));
    assert_eq!(file.extract.as_deref(), Some("Some(104)"));
}

/// A layer in a store, and its tree's only file.
fn kept_layer(store: &Store) -> (Layer, Tree) {
    let tree = Streams::new().deflated("pkg/a.py", b"hello hello hello", 6).tree();
    let mut bytes = Vec::new();
    let written = layer::write(&tree, Encoding::Spliced, &mut bytes).unwrap();
    let (digest, blob) = store.put_blob(&bytes).unwrap();
    let descriptor = Descriptor::new(media_type::LAYER_GZIP, digest, blob.size());
    (Layer { descriptor, diff_id: written.diff_id }, tree)
}

#[test]
fn a_file_is_read_from_the_uncompressed_layer() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let (layer, tree) = kept_layer(&store);
    let below = Below::stack([LayerFacts::of_tree(&tree, interesting).unwrap()]);
    let file = below.get("pkg/a.py").and_then(Node::file).unwrap();
    // The second time it is found: the compressed blob is not needed for it.
    for pass in 0..2 {
        let tar = uncompressed(&store, &layer).unwrap();
        let mut bytes = vec![0; file.size as usize];
        tar.read_exact_at(&mut bytes, file.offset).unwrap();
        assert_eq!(bytes, b"hello hello hello", "pass {pass}");
        if let Some(compressed) = store.blob(layer.descriptor.digest) {
            std::fs::remove_file(compressed.path()).unwrap();
        }
    }
}

#[test]
fn a_layer_with_another_diff_id_is_not_uncompressed() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let (layer, _) = kept_layer(&store);
    let other = Layer { diff_id: DiffId::new(Digest::of(b"other")), ..layer };
    assert!(uncompressed(&store, &other).is_err());
    assert!(store.blob(other.diff_id.digest()).is_none());
}
