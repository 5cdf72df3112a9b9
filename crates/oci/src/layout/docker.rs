//! Archives that are for `docker load` alone: `docker save` before version 25, Podman, skopeo, kaniko, jib, Bazel.
//!
//! Such an archive has a `manifest.json` that names files, and no manifest. One is made for each image, so that it is an
//! image like any other. Its layers stay as they are: mostly plain tars, whose digest is the diff ID that the config
//! gives, and which is checked like every digest when the layer is read. The digest of a compressed one has to be counted.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use cartwheel_store::Digest;
use serde::Deserialize;

use super::index_entries;
use super::members::Members;
use crate::config::ImageConfig;
use crate::descriptor::{Descriptor, media_type};
use crate::error::{Error, ErrorKind, Result};
use crate::image::json;
use crate::manifest::{LARGEST_DOCUMENT, Manifest};
use crate::reference::Reference;

/// Where a blob is that lies in no `blobs` folder.
#[derive(Debug)]
pub(super) enum Elsewhere {
    /// In this file of the archive.
    Member(String),
    /// Nowhere: it was made.
    Made(Vec<u8>),
}

/// What an archive comes to as a layout.
#[derive(Debug, Default)]
pub(super) struct Translated {
    pub(super) images: Vec<Descriptor>,
    pub(super) blobs: BTreeMap<Digest, Elsewhere>,
}

/// One image of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Reads an archive with this `manifest.json`.
pub(super) fn translate(manifest: &[u8], members: &Members, path: &Path) -> Result<Translated> {
    let listed: Vec<Listed> = serde_json::from_slice(manifest)
        .map_err(|source| ErrorKind::Document { what: "manifest.json", source: Box::new(source) })?;
    let mut archive = Archive { members, path, translated: Translated::default() };
    listed.iter().try_for_each(|image| archive.image(image))?;
    Ok(archive.translated)
}

struct Archive<'a> {
    members: &'a Members,
    path: &'a Path,
    translated: Translated,
}

impl Archive<'_> {
    fn image(&mut self, listed: &Listed) -> Result<()> {
        let mut text = Vec::new();
        let size = self.size(&listed.config)?;
        if size > LARGEST_DOCUMENT {
            return Err(Error::invalid("a config is larger than 4 MiB"));
        }
        self.open(&listed.config)?.read_to_end(&mut text).map_err(Error::io("read", self.path))?;
        let config: ImageConfig = serde_json::from_slice(&text)
            .map_err(|source| ErrorKind::Document { what: "image config", source: Box::new(source) })?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != listed.layers.len() {
            return Err(Error::invalid("config and manifest.json do not have the same number of layers"));
        }
        let layers = listed.layers.iter().zip(diff_ids);
        let layers: Vec<Descriptor> =
            layers.map(|(name, id)| self.layer(name, id.digest())).collect::<Result<_>>()?;
        let config_descriptor = Descriptor::new(media_type::CONFIG, Digest::of(&text), size);
        self.translated.blobs.insert(config_descriptor.digest, Elsewhere::Made(text));
        let manifest = json(&Manifest::new(config_descriptor, layers));
        let mut descriptor =
            Descriptor::new(media_type::MANIFEST, Digest::of(&manifest), manifest.len() as u64);
        descriptor.platform = Some(config.platform());
        self.translated.blobs.insert(descriptor.digest, Elsewhere::Made(manifest));
        let names = listed.repo_tags.iter().flatten().filter_map(|name| name.parse().ok());
        let names: Vec<Reference> = names.collect();
        self.translated.images.extend(index_entries(&descriptor, &names));
        Ok(())
    }

    fn layer(&mut self, name: &str, diff_id: Digest) -> Result<Descriptor> {
        let mut magic = Vec::new();
        self.open(name)?.take(4).read_to_end(&mut magic).map_err(Error::io("read", self.path))?;
        let (media_type, digest) = match magic[..] {
            [0x1f, 0x8b, ..] => (media_type::LAYER_GZIP, self.digest(name)?),
            [0x28, 0xb5, 0x2f, 0xfd] => (media_type::LAYER_ZSTD, self.digest(name)?),
            _ => (media_type::LAYER_TAR, diff_id),
        };
        self.translated.blobs.insert(digest, Elsewhere::Member(plain(name).to_owned()));
        Ok(Descriptor::new(media_type, digest, self.size(name)?))
    }

    fn digest(&self, name: &str) -> Result<Digest> {
        Digest::of_reader(self.open(name)?).map_err(Error::io("read", self.path))
    }

    fn open(&self, name: &str) -> Result<impl Read> {
        self.members.open(plain(name)).ok_or_else(|| self.missing(name))
    }

    fn size(&self, name: &str) -> Result<u64> {
        self.members.size(plain(name)).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> Error {
        let source = io::Error::new(
            io::ErrorKind::NotFound,
            format!("manifest.json names `{name}`, which is not in it"),
        );
        Error::io("read", self.path)(source)
    }
}

fn plain(name: &str) -> &str {
    name.trim_start_matches("./")
}
