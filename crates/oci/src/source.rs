//! Where images come from and where they go.

use std::io::Read;
use std::path::PathBuf;

use cartwheel_store::{BlobReader, Store};

use crate::descriptor::Descriptor;
use crate::error::{ErrorKind, Result};
use crate::image::{Documents, Image, IndexDocuments, Layer, document};
use crate::manifest::ImageIndex;
use crate::reference::Reference;

/// Blobs can be read from it: the store, an image layout, an archive.
pub trait Source: Sync {
    /// Opens the blob that `descriptor` refers to. The caller checks digest and size.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>>;

    /// Where it is, for messages.
    fn place(&self) -> PathBuf;

    /// Copies a blob into the store, checked, unless it is there. A source behind a network goes on where an earlier import
    /// stopped.
    fn import(&self, store: &Store, descriptor: &Descriptor) -> Result<()> {
        if store.has_blob(descriptor.digest, descriptor.size) {
            return Ok(());
        }
        let mut reader = self.open(descriptor)?.take(descriptor.size + 1);
        let mut writer = store.writer()?;
        std::io::copy(&mut reader, &mut writer).map_err(|error| ErrorKind::Io {
            action: "copy a blob from",
            path: self.place(),
            source: error,
        })?;
        writer.commit_as(descriptor.digest)?;
        Ok(())
    }
}

/// An image can be written to it. The order is [`copy`]'s job: blobs first, then what refers to them.
pub trait Sink {
    /// Takes a blob of the image.
    fn put_blob(&mut self, descriptor: &Descriptor, source: &dyn Source) -> Result<()>;

    /// Takes several blobs of the image, in this order or, where that is faster, at once.
    fn put_blobs(&mut self, descriptors: &[Descriptor], source: &dyn Source) -> Result<()> {
        descriptors.iter().try_for_each(|descriptor| self.put_blob(descriptor, source))
    }

    /// Takes config and manifest and publishes the image under `names`: only now does anybody see it.
    fn publish(&mut self, image: &Documents, layers: &[Layer], names: &[Reference]) -> Result<()>;

    /// Takes an index with the documents of all its images and publishes it under `names`.
    fn publish_index(&mut self, index: &IndexDocuments, names: &[Reference]) -> Result<()>;
}

/// Writes `image` to `sink`, reading what is needed from `source`.
pub fn copy(
    image: &Image,
    names: &[Reference],
    source: &dyn Source,
    sink: &mut dyn Sink,
) -> Result<Documents> {
    let documents = image.documents();
    sink.put_blobs(&descriptors(image.layers()), source)?;
    sink.publish(&documents, image.layers(), names)?;
    Ok(documents)
}

/// Writes what `descriptor` refers to, an image or an index with all its images, to `sink` byte for byte: its digest
/// stays what it is.
pub fn copy_as_it_is(
    descriptor: &Descriptor,
    names: &[Reference],
    source: &dyn Source,
    sink: &mut dyn Sink,
) -> Result<()> {
    if !descriptor.is_index() {
        let (documents, layers) = Documents::read(source, descriptor)?;
        sink.put_blobs(&descriptors(&layers), source)?;
        return sink.publish(&documents, &layers, names);
    }
    let index = document(source, descriptor)?;
    let mut images = Vec::new();
    for entry in ImageIndex::parse(&index)?.manifests {
        let (documents, layers) = Documents::read(source, &entry)?;
        sink.put_blobs(&descriptors(&layers), source)?;
        images.push(documents);
    }
    sink.publish_index(&IndexDocuments { index, images, descriptor: descriptor.without_name() }, names)
}

/// The layers of what `descriptor` refers to: of an index, those of all its images.
pub fn layers_of(source: &dyn Source, descriptor: &Descriptor) -> Result<Vec<Layer>> {
    if !descriptor.is_index() {
        return Ok(Documents::read(source, descriptor)?.1);
    }
    let mut layers = Vec::new();
    for entry in ImageIndex::parse(&document(source, descriptor)?)?.manifests {
        layers.extend(Documents::read(source, &entry)?.1);
    }
    Ok(layers)
}

fn descriptors(layers: &[Layer]) -> Vec<Descriptor> {
    layers.iter().map(|layer| layer.descriptor.clone()).collect()
}

/// One blob that is in memory.
#[derive(Debug, Clone, Copy)]
pub struct Memory<'a>(pub &'a [u8]);

impl Source for Memory<'_> {
    fn open(&self, _: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.0))
    }

    fn place(&self) -> PathBuf {
        PathBuf::from("memory")
    }
}

impl Source for Store {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let reader: BlobReader = self.expect_blob(descriptor.digest)?.reader();
        Ok(Box::new(reader))
    }

    fn place(&self) -> PathBuf {
        self.root().to_owned()
    }
}

/// Copies a blob into the store, checked, unless it is there.
pub fn import_blob(store: &Store, source: &dyn Source, descriptor: &Descriptor) -> Result<()> {
    source.import(store, descriptor)
}
