//! Archives: an image layout in one tar, with or without what `docker load` reads.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use cartwheel_store::Digest;
use serde::Serialize;

use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::image::{Documents, Layer, json};
use crate::layer::{Content, Entry, append_header, archive_end, padding};
use crate::layout::{LAYOUT_VERSION, blob_name, index_entries};
use crate::manifest::ImageIndex;
use crate::reference::Reference;
use crate::source::{Sink, Source};

/// What kind of archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// An image layout, as `docker buildx build --output type=oci` writes it.
    Oci,
    /// The same with `manifest.json`, which `docker load` of every version reads, as `--output type=docker` writes it.
    Docker,
}

/// Streams an image into a tar. The caller publishes what was written when [`Sink::publish`] has returned.
#[derive(Debug)]
pub struct ArchiveWriter<W> {
    out: W,
    kind: ArchiveKind,
    written: BTreeSet<Digest>,
}

/// One image of `manifest.json` (Docker's image spec v1.2).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive.
    pub fn new(out: W, kind: ArchiveKind) -> Self {
        Self { out, kind, written: BTreeSet::new() }
    }

    /// The writer with all bytes in it.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn member(&mut self, name: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let mut header = Vec::new();
        let entry = Entry::file(Content::File { path: name.into(), size }, false);
        append_header(name, &entry, &mut header);
        self.out.write_all(&header)?;
        let copied = io::copy(&mut content.take(size), &mut self.out)?;
        if copied != size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("`{name}` has {copied} of {size} bytes"),
            ));
        }
        self.out.write_all(&[0; 512][..padding(size)])
    }

    fn blob(&mut self, digest: Digest, size: u64, content: &mut dyn Read) -> io::Result<()> {
        if self.written.insert(digest) { self.member(&blob_name(digest), size, content) } else { Ok(()) }
    }

    fn documents(&mut self, image: &Documents, layers: &[Layer], names: &[Reference]) -> io::Result<()> {
        let config = Digest::of(&image.config);
        self.blob(config, image.config.len() as u64, &mut &image.config[..])?;
        self.blob(image.descriptor.digest, image.descriptor.size, &mut &image.manifest[..])?;
        let index = json(&ImageIndex::new(index_entries(&image.descriptor, names)));
        self.member("index.json", index.len() as u64, &mut &index[..])?;
        if self.kind == ArchiveKind::Docker {
            let manifest = json(&[DockerManifest {
                config: blob_name(config),
                repo_tags: names.iter().map(Reference::familiar).collect(),
                layers: layers.iter().map(|layer| blob_name(layer.descriptor.digest)).collect(),
            }]);
            self.member("manifest.json", manifest.len() as u64, &mut &manifest[..])?;
        }
        self.member("oci-layout", LAYOUT_VERSION.len() as u64, &mut &LAYOUT_VERSION[..])?;
        self.out.write_all(archive_end())?;
        self.out.flush()
    }
}

impl<W: Write> Sink for ArchiveWriter<W> {
    fn put_blob(&mut self, descriptor: &Descriptor, source: &dyn Source) -> Result<()> {
        let mut reader = source.open(descriptor)?;
        self.blob(descriptor.digest, descriptor.size, &mut reader)
            .map_err(Error::io("write the archive from", &source.place()))
    }

    fn publish(&mut self, image: &Documents, layers: &[Layer], names: &[Reference]) -> Result<()> {
        self.documents(image, layers, names).map_err(Error::io("write", "the archive".as_ref()))
    }
}
