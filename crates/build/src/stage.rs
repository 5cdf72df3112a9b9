//! A stage while it is built: the layers so far, and the file system that they make.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use cartwheel_oci::layer::{Content, LayerError, Tree};
use cartwheel_oci::{
    Below, History, Image, Layer, LayerFacts, Node, RegistryClient, Source, StoreAndOrigins, uncompressed,
};
use cartwheel_store::{Blob, Digest, Hasher, Store};
use rayon::prelude::*;

use crate::error::{Error, ErrorKind, Result};
use crate::files::FileSet;
use crate::install::PackRecord;
use crate::interpreter::{EXTRACT_VERSION, interesting};

/// The layers of a stage so far.
pub(crate) struct StageState<'a> {
    store: &'a Store,
    /// The image so far.
    pub(crate) image: Image,
    /// How many of its layers are of the image that its stages began with.
    pub(crate) base: usize,
    /// Names the base and everything that was done on it. What depends on all of that is found by it.
    pub(crate) chain: Digest,
    /// Where layers can be had that the store lacks.
    registries: Option<&'a RegistryClient>,
    /// Layers that were described and not made: a plan makes none. They lie over those of the image.
    planned: Vec<Tree>,
    below: OnceLock<Below>,
    tars: Mutex<HashMap<usize, Blob>>,
}

impl<'a> StageState<'a> {
    /// A stage that begins with `image`.
    pub(crate) fn new(store: &'a Store, image: Image, registries: Option<&'a RegistryClient>) -> Self {
        let mut hasher = Hasher::default();
        // What is installed depends on the architecture, and two images of different ones may have the same layers.
        hasher.update(format!("{}\n", image.config().platform()).as_bytes());
        for layer in image.layers() {
            hasher.update(format!("{}\n", layer.diff_id).as_bytes());
        }
        Self {
            store,
            base: image.layers().len(),
            image,
            chain: hasher.finish(),
            registries,
            planned: Vec::new(),
            below: OnceLock::new(),
            tars: Mutex::default(),
        }
    }

    /// A stage that begins where this one is now.
    pub(crate) fn child(&self) -> Self {
        let below = self.below.get().cloned().map(OnceLock::from).unwrap_or_default();
        Self {
            store: self.store,
            image: self.image.clone(),
            base: self.base,
            chain: self.chain,
            registries: self.registries,
            planned: self.planned.clone(),
            below,
            tars: Mutex::default(),
        }
    }

    /// The file system so far.
    pub(crate) fn below(&self) -> Result<&Below> {
        if let Some(below) = self.below.get() {
            return Ok(below);
        }
        let facts: Result<Vec<LayerFacts>> =
            self.image.layers().par_iter().map(|layer| self.facts(layer)).collect();
        let mut below = Below::stack(facts?);
        for tree in &self.planned {
            below.push(described(tree)?);
        }
        Ok(self.below.get_or_init(|| below))
    }

    /// Adds a layer, and the line of history that belongs to it.
    pub(crate) fn push(&mut self, layer: Layer, history: History) -> Result<()> {
        if self.below.get().is_some() {
            let facts = self.facts(&layer)?;
            if let Some(below) = self.below.get_mut() {
                below.push(facts);
            }
        }
        self.image = self.image.clone().append(layer, history);
        Ok(())
    }

    /// Adds the layers that an operation came to; an operation without layers leaves a line of history all the same.
    pub(crate) fn push_all(&mut self, packed: &PackRecord, created_by: &str) -> Result<()> {
        if packed.layers.is_empty() {
            self.record(created_by);
        }
        for packed in &packed.layers {
            let created_by = Some(packed.created_by.clone());
            self.push(packed.layer.clone(), History { created_by, ..History::default() })?;
        }
        Ok(())
    }

    /// Adds a line of history for an instruction that made no layer.
    pub(crate) fn record(&mut self, created_by: &str) {
        let line =
            History { created_by: Some(created_by.to_owned()), empty_layer: true, ..History::default() };
        self.image = self.image.clone().with_config(|config| config.history.push(line));
    }

    /// Adds a layer that is not made.
    pub(crate) fn push_planned(&mut self, tree: Tree) -> Result<()> {
        if let Some(below) = self.below.get_mut() {
            below.push(described(&tree)?);
        }
        self.planned.push(tree);
        Ok(())
    }

    /// Where its layers are kept.
    #[cfg(test)]
    pub(crate) fn store(&self) -> &'a Store {
        self.store
    }

    /// Whether all its layers are made.
    pub(crate) fn is_made(&self) -> bool {
        self.planned.is_empty()
    }

    /// Notes that something was done: the chain goes on.
    pub(crate) fn advance(&mut self, what: &str) {
        let mut hasher = Hasher::default();
        hasher.update(self.chain.to_string().as_bytes());
        hasher.update(what.as_bytes());
        self.chain = hasher.finish();
    }

    /// A file of the stage as text, links followed; `None` if there is none.
    pub(crate) fn read(&self, path: &str) -> Result<Option<String>> {
        let bytes = self.read_bytes(path)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A file of the stage, links followed; `None` if there is none.
    pub(crate) fn read_bytes(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let below = self.below()?;
        let place = below.resolve(path).ok_or_else(|| ErrorKind::LinkLoop { path: path.to_owned() })?;
        if below.get(&place).and_then(Node::file).is_none() {
            return Ok(None);
        }
        self.content(&place)?.read().map(Some).map_err(unreadable(&place))
    }

    /// The stage's files, to copy from. Where the contents of regular files lie is for [`StageState::content`] to say,
    /// because that may mean to decompress layers.
    pub(crate) fn files(&self) -> Result<FileSet> {
        let below = self.below()?;
        Ok(FileSet::of(below.iter().map(|(path, node)| (path, node, below.layer(path).unwrap_or_default()))))
    }

    /// The content of the regular file at `place`, which has no links in it.
    pub(crate) fn content(&self, place: &str) -> Result<Content> {
        let below = self.below()?;
        let found = below.get(place).and_then(Node::file).zip(below.layer(place));
        let (facts, index) = found.ok_or_else(|| ErrorKind::SourceNotFound { path: place.to_owned() })?;
        let name = facts.first_name.as_deref().unwrap_or(place);
        let Some(layer) = self.image.layers().get(index) else {
            let tree = self.planned.get(index - self.image.layers().len());
            let entry = tree.and_then(|tree| tree.get(name)).and_then(|entry| entry.kind.content());
            return Ok(entry.cloned().unwrap_or(Content::Bytes(Vec::new())));
        };
        let mut tars = self.tars.lock().unwrap_or_else(PoisonError::into_inner);
        let blob = if let Some(blob) = tars.get(&index) {
            blob.clone()
        } else {
            self.fetch(layer)?;
            let blob = uncompressed(self.store, layer)?;
            tars.insert(index, blob.clone());
            blob
        };
        Ok(Content::Range { blob, offset: facts.offset, size: facts.size })
    }

    /// The digest of the regular file at `place`.
    pub(crate) fn digest(&self, place: &str) -> Result<Digest> {
        let known = self.below()?.get(place).and_then(Node::file).and_then(|facts| facts.digest);
        if let Some(digest) = known {
            return Ok(digest);
        }
        self.content(place)?.digest().map_err(unreadable(place))
    }

    /// Sees to it that the store has a layer's bytes.
    pub(crate) fn fetch(&self, layer: &Layer) -> Result<()> {
        if self.store.has_blob(layer.descriptor.digest, layer.descriptor.size) {
            return Ok(());
        }
        let Some(client) = self.registries else {
            return Ok(self.store.expect_blob(layer.descriptor.digest).map(drop)?);
        };
        Ok(StoreAndOrigins { store: self.store, client }.import(self.store, &layer.descriptor)?)
    }

    /// What a layer has, removes and links; read once in the store's life.
    pub(crate) fn facts(&self, layer: &Layer) -> Result<LayerFacts> {
        let key = LayerFacts::key(layer.descriptor.digest, EXTRACT_VERSION);
        if let Some(facts) = self.store.get(&key) {
            return Ok(facts);
        }
        let failed = |source| ErrorKind::BaseLayer { layer: layer.descriptor.digest.to_string(), source };
        self.fetch(layer)?;
        let blob = self.store.expect_blob(layer.descriptor.digest)?;
        let (read, facts) = LayerFacts::read(blob.reader(), interesting).map_err(failed)?;
        if read.diff_id != layer.diff_id {
            return Err(
                failed(std::io::Error::other("its tar has another diff ID than the config says")).into()
            );
        }
        self.store.put(&key, &facts)?;
        Ok(facts)
    }
}

fn unreadable(place: &str) -> impl FnOnce(LayerError) -> Error {
    let what = format!("`/{place}`");
    |source| ErrorKind::Layer { what, source }.into()
}

/// Remembers what a layer has that was written from `tree`, so that it need not be read.
pub(crate) fn remember(store: &Store, layer: &Layer, tree: &Tree) -> Result<()> {
    let key = LayerFacts::key(layer.descriptor.digest, EXTRACT_VERSION);
    Ok(store.put(&key, &described(tree)?)?)
}

fn described(tree: &Tree) -> Result<LayerFacts> {
    LayerFacts::of_tree(tree, interesting)
        .map_err(|source| ErrorKind::Layer { what: "a step".to_owned(), source }.into())
}
