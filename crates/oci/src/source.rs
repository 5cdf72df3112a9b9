//! Where images come from and where they go.

use std::io::Read;
use std::path::PathBuf;

use cartwheel_store::{BlobReader, Store};

use crate::descriptor::Descriptor;
use crate::error::{ErrorKind, Result};
use crate::image::{Documents, Image, Layer};
use crate::reference::Reference;

/// Blobs can be read from it: the store, an image layout, an archive.
pub trait Source: Sync {
    /// Opens the blob that `descriptor` refers to. The caller checks digest and size.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>>;

    /// Where it is, for messages.
    fn place(&self) -> PathBuf;
}

/// An image can be written to it. The order is [`copy`]'s job: blobs first, then what refers to them.
pub trait Sink {
    /// Takes a blob of the image.
    fn put_blob(&mut self, descriptor: &Descriptor, source: &dyn Source) -> Result<()>;

    /// Takes config and manifest and publishes the image under `names`: only now does anybody see it.
    fn publish(&mut self, image: &Documents, layers: &[Layer], names: &[Reference]) -> Result<()>;
}

/// Writes `image` to `sink`, reading what is needed from `source`.
pub fn copy(
    image: &Image,
    names: &[Reference],
    source: &dyn Source,
    sink: &mut dyn Sink,
) -> Result<Documents> {
    let documents = image.documents();
    for layer in image.layers() {
        sink.put_blob(&layer.descriptor, source)?;
    }
    sink.publish(&documents, image.layers(), names)?;
    Ok(documents)
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
    if store.has_blob(descriptor.digest, descriptor.size) {
        return Ok(());
    }
    let mut reader = source.open(descriptor)?.take(descriptor.size + 1);
    let mut writer = store.writer()?;
    std::io::copy(&mut reader, &mut writer).map_err(|error| ErrorKind::Io {
        action: "copy a blob from",
        path: source.place(),
        source: error,
    })?;
    writer.commit_as(descriptor.digest)?;
    Ok(())
}
