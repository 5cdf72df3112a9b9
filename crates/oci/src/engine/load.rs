//! An image on its way to an engine.

use std::collections::BTreeSet;

use cartwheel_store::{Digest, Store};
use serde::Deserialize;

use super::client::{Engine, Feed, Kind};
use crate::archive::{ArchiveKind, ArchiveWriter};
use crate::config::RootFs;
use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::image::{DiffId, Documents, Layer};
use crate::manifest::{LARGEST_DOCUMENT, Manifest};
use crate::reference::Reference;
use crate::source::{Sink, Source};

/// What an engine is asked for here, in messages.
const ACTION: &str = "load the image";

/// Less than this is sent sooner than one could ask about it.
const NOT_WORTH_ASKING: u64 = 1 << 20;

/// How many images an engine is asked about, one by one.
const MOST_QUESTIONS: usize = 100;

/// What a load came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// How many bytes were sent, those of an attempt that failed included.
    pub sent: u64,
    /// How many bytes of layers were not sent because the engine has them.
    pub spared: u64,
}

/// An image in the engine's list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Listed {
    /// Of the config, or, in containerd's store, of the manifest or index.
    id: String,
    /// Of the manifest, in Podman.
    digest: Option<String>,
    /// In containerd's store, since version 1.47 of the API.
    manifests: Option<Vec<ListedManifest>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedManifest {
    descriptor: Descriptor,
    /// Whether all of its blobs are there.
    #[serde(default)]
    available: bool,
}

/// What the engine says of an image; of a broken one, nothing.
#[derive(Debug, Deserialize)]
struct Inspected {
    #[serde(rename = "RootFS")]
    root: InspectedRoot,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct InspectedRoot {
    layers: Vec<DiffId>,
}

/// A config, as far as it names its layers.
#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

/// A line of the engine's answer to a load.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    stream: Option<String>,
    error: Option<String>,
}

impl Engine {
    /// Brings an image, its documents and its layers, into the engine under `names`. Layers that the engine has are not sent, nor read from `source`. What an
    /// engine has is known by the manifests and configs in `store`, and the image's own are left there for the next time.
    pub fn load(
        &self,
        (image, layers): (&Documents, &[Layer]),
        names: &[Reference],
        source: &dyn Source,
        store: &Store,
    ) -> Result<Loaded> {
        let load = Load { engine: self, image, layers, names, source };
        let loaded = load.run(&load.present(store))?;
        store.put_blob(&image.manifest)?;
        store.put_blob(&image.config)?;
        Ok(loaded)
    }
}

struct Load<'a> {
    engine: &'a Engine,
    image: &'a Documents,
    layers: &'a [Layer],
    names: &'a [Reference],
    source: &'a dyn Source,
}

impl Load<'_> {
    /// Sends what is not `present`, and everything if the engine does not get along with that.
    fn run(&self, present: &BTreeSet<Digest>) -> Result<Loaded> {
        let sizes = self.layers.iter().map(|layer| (layer.descriptor.digest, layer.descriptor.size));
        let spared = sizes.filter(|(digest, _)| present.contains(digest)).collect::<BTreeSet<_>>();
        let mut loaded = Loaded { sent: 0, spared: spared.iter().map(|(_, size)| size).sum() };
        if !spared.is_empty() {
            let sparing = self.send(present, &mut loaded.sent).and_then(|()| self.check());
            if sparing.is_ok() {
                return Ok(loaded);
            }
            loaded.spared = 0;
        }
        self.send(&BTreeSet::new(), &mut loaded.sent)?;
        Ok(loaded)
    }

    fn send(&self, present: &BTreeSet<Digest>, sent: &mut u64) -> Result<()> {
        let (body, size) = self.engine.post_archive(|feed| self.write(feed, present))?;
        *sent += size;
        let lines = serde_json::Deserializer::from_slice(&body).into_iter::<Line>();
        for line in lines.map_while(Result::ok) {
            // Docker with containerd's store has no error for an image that it took and could not unpack.
            let unpacked = line.stream.filter(|text| text.starts_with("Error unpacking image"));
            if let Some(words) = line.error.or(unpacked) {
                return Err(self.engine.no(ACTION, &words));
            }
        }
        Ok(())
    }

    fn write(&self, feed: &mut Feed, present: &BTreeSet<Digest>) -> Result<()> {
        let kind = match self.engine.kind {
            Kind::GraphDriver => ArchiveKind::Docker,
            Kind::Containerd | Kind::Podman => ArchiveKind::Oci,
        };
        let mut archive = ArchiveWriter::new(feed, kind);
        let lacking = self.layers.iter().map(|layer| &layer.descriptor);
        let lacking = lacking.filter(|descriptor| !present.contains(&descriptor.digest));
        let lacking: Vec<Descriptor> = lacking.cloned().collect();
        archive.put_blobs(&lacking, self.source)?;
        archive.publish(self.image, self.layers, self.names)
    }

    /// Whether the image has come to be what it is.
    fn check(&self) -> Result<()> {
        let id = match self.engine.kind {
            Kind::GraphDriver | Kind::Podman => Digest::of(&self.image.config),
            Kind::Containerd => self.image.descriptor.digest,
        };
        let found = self.engine.inspect(&id.to_string())?;
        let expected = self.layers.iter().map(|layer| layer.diff_id);
        if found.iter().copied().eq(expected) {
            return Ok(());
        }
        Err(self.engine.no(ACTION, "the image has other layers than were sent"))
    }

    /// The layers' blobs that the engine does not need. When it cannot be asked, there are none.
    fn present(&self, store: &Store) -> BTreeSet<Digest> {
        let path = match self.engine.kind {
            Kind::Containerd => "images/json?manifests=1",
            Kind::GraphDriver | Kind::Podman => "images/json",
        };
        let images: Vec<Listed> = self.engine.get(path, "list its images").unwrap_or_default();
        match self.engine.kind {
            Kind::GraphDriver => self.lowest(self.chain(&images, store)),
            Kind::Containerd | Kind::Podman => {
                images.iter().flat_map(Listed::whole).flat_map(|manifest| layers(store, manifest)).collect()
            }
        }
    }

    /// How many layers, from the lowest, some image of the engine begins with. Those whose config we have are compared without
    /// asking; about the others is asked only while there is enough to be won.
    fn chain(&self, images: &[Listed], store: &Store) -> usize {
        let ids = images.iter().filter_map(|image| image.id.parse().ok());
        let (mut best, mut unknown) = (0, Vec::<Digest>::new());
        for id in ids {
            match diff_ids(store, id) {
                Some(found) => best = best.max(self.common(&found)),
                None => unknown.push(id),
            }
        }
        for id in unknown.into_iter().take(MOST_QUESTIONS) {
            let left: u64 = self.layers.iter().skip(best).map(|layer| layer.descriptor.size).sum();
            if left < NOT_WORTH_ASKING {
                break;
            }
            let found = self.engine.inspect(&id.to_string()).unwrap_or_default();
            best = best.max(self.common(&found));
        }
        best
    }

    /// How many layers, from the lowest, are those of the other image.
    fn common(&self, other: &[DiffId]) -> usize {
        self.layers.iter().zip(other).take_while(|(layer, other)| layer.diff_id == **other).count()
    }

    /// The blobs of so many layers, but none that comes again higher up: there it lies on other layers and is needed.
    fn lowest(&self, count: usize) -> BTreeSet<Digest> {
        let digest = |layer: &Layer| layer.descriptor.digest;
        let higher: BTreeSet<Digest> = self.layers.iter().skip(count).map(digest).collect();
        self.layers.iter().take(count).map(digest).filter(|digest| !higher.contains(digest)).collect()
    }
}

impl Engine {
    /// The diff IDs of an image.
    fn inspect(&self, image: &str) -> Result<Vec<DiffId>> {
        let found: Inspected = self.get(&format!("images/{image}/json"), "show the image")?;
        Ok(found.root.layers)
    }
}

impl Listed {
    /// The manifests whose blobs are all there.
    fn whole(&self) -> Vec<Digest> {
        let listed = self.manifests.iter().flatten().filter(|manifest| manifest.available);
        let own = self.digest.as_ref().and_then(|digest| digest.parse().ok());
        listed.map(|manifest| manifest.descriptor.digest).chain(own).collect()
    }
}

/// The layers of a manifest that the store has.
fn layers(store: &Store, manifest: Digest) -> Vec<Digest> {
    let parsed = document(store, manifest).and_then(|text| Manifest::parse(&text).ok());
    parsed.into_iter().flat_map(|manifest| manifest.layers).map(|layer| layer.digest).collect()
}

/// The diff IDs in a config that the store has.
fn diff_ids(store: &Store, config: Digest) -> Option<Vec<DiffId>> {
    let config: Config = serde_json::from_slice(&document(store, config)?).ok()?;
    Some(config.rootfs.diff_ids)
}

/// A document of the store, checked: what is concluded from it is not sent.
fn document(store: &Store, digest: Digest) -> Option<Vec<u8>> {
    let blob = store.blob(digest).filter(|blob| blob.size() <= LARGEST_DOCUMENT)?;
    blob.read().ok().filter(|text| Digest::of(text) == digest)
}
