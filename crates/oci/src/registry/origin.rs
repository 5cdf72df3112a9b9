//! Where layers came from: what need not be here to be sent, and need not be sent to be there.
//!
//! The layers of a base image are referred to, and mostly never needed here. A record says for each of them in which
//! repositories it was seen. Pushing to one of the same registries, it is mounted from there; pushing elsewhere, or writing an
//! archive, it is read from there. A repository that has lost it costs a request: records are hints, and the registry is
//! always asked.

use std::io::Read;
use std::path::PathBuf;

use cartwheel_store::{Digest, Key, Record, Store};
use serde::{Deserialize, Serialize};

use super::client::RegistryClient;
use crate::descriptor::Descriptor;
use crate::error::{ErrorKind, Result};
use crate::image::Layer;
use crate::reference::Reference;
use crate::source::Source;

/// More repositories than this are not remembered for one layer.
const MOST: usize = 8;

/// The repositories in which a layer was seen, the last one first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct OriginRecord {
    /// In full: `example.org/team/app`.
    repositories: Vec<String>,
}

impl Record for OriginRecord {
    const KIND: &'static str = "origin-1";
}

fn key(layer: Digest) -> Key<OriginRecord> {
    Key::new().with("layer", layer)
}

/// Remembers that the repository of `reference` has these layers.
pub fn remember_origin(store: &Store, layers: &[Layer], reference: &Reference) -> Result<()> {
    let repository = format!("{}/{}", reference.registry(), reference.repository());
    for layer in layers {
        let key = key(layer.descriptor.digest);
        let mut record = store.get(&key).unwrap_or_default();
        if record.repositories.first() != Some(&repository) {
            record.repositories.retain(|known| *known != repository);
            record.repositories.insert(0, repository.clone());
            record.repositories.truncate(MOST);
            store.put(&key, &record)?;
        }
    }
    Ok(())
}

/// The repositories in which a layer was seen, the last one first.
pub fn origins(store: &Store, layer: Digest) -> Vec<Reference> {
    let record = store.get(&key(layer)).unwrap_or_default();
    record.repositories.iter().filter_map(|name| name.parse().ok()).collect()
}

/// The store, and behind it the registries that its layers came from.
#[derive(Debug)]
pub struct StoreAndOrigins<'a> {
    /// Is asked first.
    pub store: &'a Store,
    /// Asks where a layer was seen.
    pub client: &'a RegistryClient,
}

impl StoreAndOrigins<'_> {
    /// For each layer, a repository of this registry that has it.
    pub fn mounts(&self, layers: &[Layer], registry: &str) -> Vec<(Digest, Reference)> {
        let from = |layer: &Layer| {
            let digest = layer.descriptor.digest;
            let mut known = origins(self.store, digest).into_iter();
            Some((digest, known.find(|origin| origin.registry() == registry)?))
        };
        layers.iter().filter_map(from).collect()
    }
}

impl Source for StoreAndOrigins<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        if let Some(blob) = self.store.blob(descriptor.digest) {
            return Ok(Box::new(blob.reader()));
        }
        let mut failure = None;
        for origin in origins(self.store, descriptor.digest) {
            match self.client.repository(&origin).stream(descriptor) {
                Ok(stream) => return Ok(Box::new(stream)),
                Err(error) => failure = Some(error),
            }
        }
        let missing = || ErrorKind::MissingBlob { digest: descriptor.digest, path: self.place() }.into();
        Err(failure.unwrap_or_else(missing))
    }

    fn place(&self) -> PathBuf {
        self.store.root().to_owned()
    }
}
