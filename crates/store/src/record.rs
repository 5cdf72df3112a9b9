//! Small results under keys that name their inputs.
//!
//! A key is the digest of *named* values, each written with its length in front, so that no two lists of inputs hash
//! alike. The names are kept beside the value on disk: when a step is not cached, the nearest record tells which
//! input changed. What may enter a key is decided where the key is built; never an mtime, an absolute path, the
//! order of a map, a `Debug` or serde rendering, or a credential.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Digest, Hasher};

/// A small value that the store remembers under a [`Key`].
pub trait Record: Serialize + DeserializeOwned {
    /// The folder below `records/`: the kind's name and version (`layer-1`). A change of meaning changes it.
    const KIND: &'static str;
}

/// Names the inputs of a record of type `R`.
#[derive(Debug)]
pub struct Key<R> {
    inputs: BTreeMap<&'static str, String>,
    record: PhantomData<fn() -> R>,
}

impl<R> Clone for Key<R> {
    fn clone(&self) -> Self {
        Self { inputs: self.inputs.clone(), record: PhantomData }
    }
}

impl<R> Default for Key<R> {
    fn default() -> Self {
        Self { inputs: BTreeMap::new(), record: PhantomData }
    }
}

impl<R: Record> Key<R> {
    /// A key without inputs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same key with one more input. The order in which inputs are named does not matter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.inputs.insert(name, value.to_string());
        self
    }

    /// The inputs by name, as `plan --why` shows them.
    pub fn inputs(&self) -> &BTreeMap<&'static str, String> {
        &self.inputs
    }

    /// The digest that names the record: each name and value with its length, in name order.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        let mut field = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        field(R::KIND);
        for (name, value) in &self.inputs {
            field(name);
            field(value);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Note;

    impl Record for Note {
        const KIND: &'static str = "note-1";
    }

    #[test]
    fn inputs_that_join_alike_differ() {
        let one = Key::<Note>::new().with("a", "bc").with("d", "");
        let two = Key::<Note>::new().with("a", "b").with("d", "c");
        assert_ne!(one.digest(), two.digest());
    }

    #[test]
    fn order_of_naming_is_free() {
        let one = Key::<Note>::new().with("a", 1).with("b", 2);
        let two = Key::<Note>::new().with("b", 2).with("a", 1);
        assert_eq!(one.digest(), two.digest());
    }
}
