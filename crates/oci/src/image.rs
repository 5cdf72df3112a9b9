//! An image as a value: a config and finished layers.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use cartwheel_store::Digest;
use serde::{Deserialize, Serialize};

use crate::config::{History, ImageConfig};
use crate::descriptor::{Descriptor, Platform, media_type};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{ImageIndex, LARGEST_DOCUMENT, Manifest};
use crate::source::Source;

/// The digest of a layer's tar, before compression. A type of its own, so that it is not taken for a blob's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(Digest);

impl DiffId {
    /// Marks a digest as that of an uncompressed layer.
    pub fn new(digest: Digest) -> Self {
        Self(digest)
    }

    /// The digest itself: of the tar, when that is a blob of its own.
    pub fn digest(self) -> Digest {
        self.0
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A finished layer: its bytes exist, or can be made again, and are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The compressed blob.
    pub descriptor: Descriptor,
    /// The digest of the tar in it.
    pub diff_id: DiffId,
}

/// A config and the layers that belong to it. Immutable: edits give a new image.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    config: ImageConfig,
    layers: Vec<Layer>,
    /// Of the manifest.
    annotations: BTreeMap<String, String>,
}

/// The documents of an image as they are stored and sent.
#[derive(Debug, Clone)]
pub struct Documents {
    /// The config's JSON.
    pub config: Vec<u8>,
    /// The manifest's JSON.
    pub manifest: Vec<u8>,
    /// Refers to the manifest: the image's digest.
    pub descriptor: Descriptor,
}

/// The documents of an image index and of its images, as they are stored and sent.
#[derive(Debug, Clone)]
pub struct IndexDocuments {
    /// The index's JSON.
    pub index: Vec<u8>,
    /// The images that it lists.
    pub images: Vec<Documents>,
    /// Refers to the index.
    pub descriptor: Descriptor,
}

impl Documents {
    /// Reads the documents of the image whose manifest `descriptor` refers to, byte for byte, and what they say of its layers.
    pub fn read(source: &dyn Source, descriptor: &Descriptor) -> Result<(Self, Vec<Layer>)> {
        let manifest = document(source, descriptor)?;
        let parsed = Manifest::parse(&manifest)?;
        let config = document(source, &parsed.config)?;
        let image: ImageConfig = serde_json::from_slice(&config)
            .map_err(|source| ErrorKind::Document { what: "image config", source: Box::new(source) })?;
        let layers = pair(parsed.layers, &image)?;
        let mut descriptor = descriptor.without_name();
        descriptor.platform.get_or_insert_with(|| image.platform());
        Ok((Self { config, manifest, descriptor }, layers))
    }
}

impl IndexDocuments {
    /// An index of these images, one for each platform, with annotations of its own.
    pub fn new(images: Vec<Documents>, annotations: BTreeMap<String, String>) -> Self {
        let manifests = images.iter().map(|image| image.descriptor.clone()).collect();
        let index = json(&ImageIndex { annotations, ..ImageIndex::new(manifests) });
        let descriptor = Descriptor::new(media_type::INDEX, Digest::of(&index), index.len() as u64);
        Self { index, images, descriptor }
    }
}

impl Image {
    /// An image without layers for `platform`.
    pub fn scratch(platform: &Platform) -> Self {
        let mut config = ImageConfig {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: platform.os_version.clone(),
            variant: platform.variant.clone(),
            ..ImageConfig::default()
        };
        "layers".clone_into(&mut config.rootfs.kind);
        Self { config, layers: Vec::new(), annotations: BTreeMap::new() }
    }

    /// Reads the image that `descriptor` refers to; in an index, the one for `platform`. A manifest that no index leads to
    /// is taken for what it is, as Docker does: its config may say another platform.
    pub fn read(source: &dyn Source, descriptor: &Descriptor, platform: &Platform) -> Result<Self> {
        let manifest = Manifest::parse(&document(source, &pick(source, descriptor, platform)?)?)?;
        let text = document(source, &manifest.config)?;
        let config: ImageConfig = serde_json::from_slice(&text)
            .map_err(|source| ErrorKind::Document { what: "image config", source: Box::new(source) })?;
        let layers = pair(manifest.layers, &config)?;
        Ok(Self { config, layers, annotations: BTreeMap::new() })
    }

    /// The manifest, for `platform`, of what `descriptor` refers to: itself, or one that the index lists.
    pub fn pick(source: &dyn Source, descriptor: &Descriptor, platform: &Platform) -> Result<Descriptor> {
        pick(source, descriptor, platform)
    }

    /// The config.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The image with one more layer on top, and the line of history that belongs to it.
    #[must_use]
    pub fn append(mut self, layer: Layer, history: History) -> Self {
        self.config.rootfs.diff_ids.push(layer.diff_id);
        self.config.history.push(history);
        self.layers.push(layer);
        self
    }

    /// The image with another config. The layers stay, whatever `edit` does to them.
    #[must_use]
    pub fn with_config(mut self, edit: impl FnOnce(&mut ImageConfig)) -> Self {
        edit(&mut self.config);
        self.config.rootfs.diff_ids = self.layers.iter().map(|layer| layer.diff_id).collect();
        self
    }

    /// The image with each of its layers, which have their place among them, in another form. What a layer contains, and so its
    /// diff ID, stays.
    pub fn with_layers(mut self, form: impl Fn(usize, &Layer) -> Result<Layer>) -> Result<Self> {
        let layers = self.layers.iter().enumerate().map(|(place, layer)| {
            Ok(Layer { descriptor: form(place, layer)?.descriptor, diff_id: layer.diff_id })
        });
        self.layers = layers.collect::<Result<_>>()?;
        Ok(self)
    }

    /// The image with annotations on its manifest. Those of an image that it was made from are not its own.
    #[must_use]
    pub fn with_annotations(self, annotations: BTreeMap<String, String>) -> Self {
        Self { annotations, ..self }
    }

    /// Config and manifest as JSON, with the manifest's descriptor.
    pub fn documents(&self) -> Documents {
        let config = json(&self.config);
        let config_descriptor = Descriptor::new(media_type::CONFIG, Digest::of(&config), config.len() as u64);
        let layers = self.layers.iter().map(|layer| oci_descriptor(&layer.descriptor)).collect();
        let annotations = self.annotations.clone();
        let manifest = json(&Manifest { annotations, ..Manifest::new(config_descriptor, layers) });
        let mut descriptor =
            Descriptor::new(media_type::MANIFEST, Digest::of(&manifest), manifest.len() as u64);
        descriptor.platform = Some(self.config.platform());
        Documents { config, manifest, descriptor }
    }
}

/// The layers of a manifest with the diff IDs that the config gives them.
fn pair(layers: Vec<Descriptor>, config: &ImageConfig) -> Result<Vec<Layer>> {
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != layers.len() {
        return Err(Error::invalid("config and manifest do not have the same number of layers"));
    }
    let pairs = layers.into_iter().zip(diff_ids);
    Ok(pairs.map(|(descriptor, &diff_id)| Layer { descriptor, diff_id }).collect())
}

/// The same in OCI's media type.
fn oci_descriptor(descriptor: &Descriptor) -> Descriptor {
    Descriptor::new(media_type::of_layer(&descriptor.media_type), descriptor.digest, descriptor.size)
}

/// Follows indexes to the manifest for `platform`.
fn pick(source: &dyn Source, descriptor: &Descriptor, platform: &Platform) -> Result<Descriptor> {
    if descriptor.is_manifest() {
        return Ok(descriptor.clone());
    }
    if !descriptor.is_index() {
        return Err(Error::invalid(format!(
            "media type `{}` is neither manifest nor index",
            descriptor.media_type
        )));
    }
    let index = ImageIndex::parse(&document(source, descriptor)?)?;
    let fits = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|found| found.satisfies(platform));
    match index.manifests.iter().find(fits) {
        Some(found) if found.is_manifest() => Ok(found.clone()),
        Some(_) => Err(Error::invalid("an index lists another index for a platform")),
        None => {
            let found = index.manifests.into_iter().filter_map(|entry| entry.platform).collect();
            Err(ErrorKind::NoSuchPlatform { wanted: platform.clone(), found }.into())
        }
    }
}

/// Reads a small blob and checks it against its descriptor.
pub(crate) fn document(source: &dyn Source, descriptor: &Descriptor) -> Result<Vec<u8>> {
    if descriptor.size > LARGEST_DOCUMENT {
        return Err(Error::invalid(format!("document `{}` is larger than 4 MiB", descriptor.digest)));
    }
    let mut text = Vec::new();
    let mut reader = source.open(descriptor)?.take(descriptor.size + 1);
    reader.read_to_end(&mut text).map_err(Error::io("read", &source.place()))?;
    let found = Digest::of(&text);
    if found != descriptor.digest || text.len() as u64 != descriptor.size {
        let expected = descriptor.digest;
        return Err(cartwheel_store::Error::from(cartwheel_store::ErrorKind::DigestMismatch {
            expected,
            found,
        })
        .into());
    }
    Ok(text)
}

pub(crate) fn json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("invariant: documents have string keys and no failing serializers")
}
