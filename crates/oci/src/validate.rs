//! The validator: recomputes everything that an image says about itself.
//!
//! It shares no code with what writes layers beyond the digest: archives are read by the `tar` crate, streams by flate2. It
//! is slow on purpose. Every image that a test makes goes through it.

use std::collections::BTreeSet;
use std::io::{self, Read};

use cartwheel_store::Hasher;

use crate::config::ImageConfig;
use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{DiffId, document};
use crate::layer;
use crate::manifest::{ImageIndex, Manifest};
use crate::source::Source;

/// Checks the image or index that `descriptor` refers to: every digest, size and diff ID, the shape of the documents, the
/// tar of each layer. The error says which blob and what.
pub fn validate(source: &dyn Source, descriptor: &Descriptor) -> Result<()> {
    if descriptor.is_index() {
        let index = ImageIndex::parse(&document(source, descriptor)?)?;
        return index.manifests.iter().try_for_each(|entry| validate(source, entry));
    }
    if !descriptor.is_manifest() {
        return Err(Error::invalid(format!(
            "media type `{}` is neither manifest nor index",
            descriptor.media_type
        )));
    }
    let manifest = Manifest::parse(&document(source, descriptor)?)?;
    let config: ImageConfig = serde_json::from_slice(&document(source, &manifest.config)?)
        .map_err(|source| ErrorKind::Document { what: "image config", source: Box::new(source) })?;
    require(manifest.schema_version == 2, || "schemaVersion is not 2".to_owned())?;
    require(config.rootfs.kind == "layers", || "rootfs.type is not `layers`".to_owned())?;
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    require(layers == diff_ids, || format!("{layers} layers in the manifest, {diff_ids} in the config"))?;
    let told = config.history.iter().filter(|line| !line.empty_layer).count();
    require(config.history.is_empty() || told == layers, || {
        format!("history tells of {told} layers, there are {layers}")
    })?;
    let platform = descriptor.platform.as_ref();
    require(platform.is_none_or(|platform| config.platform().satisfies(platform)), || {
        "the index and the config name different platforms".to_owned()
    })?;
    manifest
        .layers
        .iter()
        .zip(&config.rootfs.diff_ids)
        .try_for_each(|(layer, &diff_id)| check_layer(source, layer, diff_id))
}

fn check_layer(source: &dyn Source, descriptor: &Descriptor, expected: DiffId) -> Result<()> {
    let wrong = |what: &str| Error::invalid(format!("layer `{}`: {what}", descriptor.digest));
    let mut reader = Counting { inner: source.open(descriptor)?, hasher: Hasher::default(), size: 0 };
    let mut paths = BTreeSet::new();
    let read = layer::read(&mut reader, |entry, content| {
        let plain =
            entry.path.split('/').all(|part| !matches!(part, "." | "..")) && !entry.path.contains('\0');
        if !plain {
            return Err(io::Error::other(format!("path `{}` is not plain", entry.path)));
        }
        if !paths.insert(entry.path.clone()) {
            return Err(io::Error::other(format!("`{}` is there twice", entry.path)));
        }
        let seen = io::copy(content, &mut io::sink())?;
        if seen == entry.size {
            Ok(())
        } else {
            Err(io::Error::other(format!("`{}` is cut short", entry.path)))
        }
    });
    let read = read.map_err(|error| wrong(&error.to_string()))?;
    io::copy(&mut reader, &mut io::sink()).map_err(Error::io("read", &source.place()))?;
    require(reader.size == descriptor.size, || wrong("its size is not the descriptor's").to_string())?;
    require(reader.hasher.finish() == descriptor.digest, || {
        wrong("its bytes have another digest").to_string()
    })?;
    require(read.diff_id == expected, || {
        wrong("its tar has another diff ID than the config says").to_string()
    })
}

fn require(condition: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if condition { Ok(()) } else { Err(Error::invalid(reason())) }
}

struct Counting<R> {
    inner: R,
    hasher: Hasher,
    size: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}
