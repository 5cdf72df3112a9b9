//! Archives: an image layout in one tar, with or without what `docker load` reads.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use cartwheel_store::Digest;
use serde::Serialize;

use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Documents, IndexDocuments, Layer, json};
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

/// Streams images into a tar. The caller publishes what was written when [`Sink::publish`] has returned for the last one.
#[derive(Debug)]
pub struct ArchiveWriter<W> {
    out: W,
    kind: ArchiveKind,
    written: BTreeSet<Digest>,
    /// How many images are still to come.
    expected: usize,
    listed: Vec<Descriptor>,
    docker: Vec<DockerManifest>,
}

/// One image of `manifest.json` (Docker's image spec v1.2).
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive of one image.
    pub fn new(out: W, kind: ArchiveKind) -> Self {
        Self::of_several(out, kind, 1)
    }

    /// Begins an archive of so many images or indexes.
    pub fn of_several(out: W, kind: ArchiveKind, count: usize) -> Self {
        let (written, listed, docker) = (BTreeSet::new(), Vec::new(), Vec::new());
        Self { out, kind, written, expected: count, listed, docker }
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

    fn documents(&mut self, image: &Documents) -> io::Result<()> {
        self.blob(Digest::of(&image.config), image.config.len() as u64, &mut &image.config[..])?;
        self.blob(image.descriptor.digest, image.descriptor.size, &mut &image.manifest[..])
    }

    fn image(&mut self, image: &Documents, layers: &[Layer], names: &[Reference]) -> io::Result<()> {
        self.documents(image)?;
        self.docker.push(DockerManifest {
            config: blob_name(Digest::of(&image.config)),
            repo_tags: names.iter().map(Reference::familiar).collect(),
            layers: layers.iter().map(|layer| blob_name(layer.descriptor.digest)).collect(),
        });
        self.list(&image.descriptor, names)
    }

    fn index(&mut self, index: &IndexDocuments, names: &[Reference]) -> io::Result<()> {
        index.images.iter().try_for_each(|image| self.documents(image))?;
        self.blob(index.descriptor.digest, index.descriptor.size, &mut &index.index[..])?;
        self.list(&index.descriptor, names)
    }

    /// Notes what `index.json` says of an image. The last one ends the archive.
    fn list(&mut self, descriptor: &Descriptor, names: &[Reference]) -> io::Result<()> {
        self.listed.extend(index_entries(descriptor, names));
        self.expected = self.expected.saturating_sub(1);
        if self.expected > 0 {
            return Ok(());
        }
        let index = json(&ImageIndex::new(std::mem::take(&mut self.listed)));
        self.member("index.json", index.len() as u64, &mut &index[..])?;
        if self.kind == ArchiveKind::Docker {
            let manifest = json(&self.docker);
            self.member("manifest.json", manifest.len() as u64, &mut &manifest[..])?;
        }
        self.member("oci-layout", LAYOUT_VERSION.len() as u64, &mut &LAYOUT_VERSION[..])?;
        self.out.write_all(archive_end())?;
        self.out.flush()
    }
}

impl<W: Write> Sink for ArchiveWriter<W> {
    fn put_blob(&mut self, descriptor: &Descriptor, source: &dyn Source) -> Result<()> {
        if self.written.contains(&descriptor.digest) {
            return Ok(());
        }
        let mut reader = source.open(descriptor)?;
        self.blob(descriptor.digest, descriptor.size, &mut reader)
            .map_err(Error::io("write the archive from", &source.place()))
    }

    fn publish(&mut self, image: &Documents, layers: &[Layer], names: &[Reference]) -> Result<()> {
        self.image(image, layers, names).map_err(Error::io("write", "the archive".as_ref()))
    }

    fn publish_index(&mut self, index: &IndexDocuments, names: &[Reference]) -> Result<()> {
        if self.kind == ArchiveKind::Docker {
            return Err(ErrorKind::OnePlatform { what: "an archive for `docker load`" }.into());
        }
        self.index(index, names).map_err(Error::io("write", "the archive".as_ref()))
    }
}
