//! The images that are kept in the store, by name.

use std::sync::{Mutex, PoisonError};

use cartwheel_oci::{
    Descriptor, Documents, Image, ImageConfig, IndexDocuments, Layer, Reference, Sink, Source, import_blob,
};
use cartwheel_store::{Key, Record, Store};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// An image in the store under one of its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The name in full: `docker.io/library/fastapi:latest`.
    pub name: String,
    /// Refers to the manifest.
    pub manifest: Descriptor,
    /// When the image was made, RFC 3339.
    pub created: String,
    /// The bytes of all its layers, compressed.
    pub size: u64,
}

impl Record for ImageRecord {
    const KIND: &'static str = "image-1";
}

impl ImageRecord {
    /// The key of the image with this name.
    pub fn key(name: &Reference) -> Key<Self> {
        Key::new().with("name", name)
    }
}

/// Puts an image's documents into the store and names it. Its layers are there already.
pub fn keep_image(store: &Store, image: &Image, names: &[Reference]) -> Result<Descriptor> {
    let documents = image.documents();
    store.put_blob(&documents.config)?;
    store.put_blob(&documents.manifest)?;
    for name in names {
        let record = ImageRecord {
            name: name.to_string(),
            manifest: documents.descriptor.clone(),
            created: image.config().created.clone().unwrap_or_default(),
            size: image.layers().iter().map(|layer| layer.descriptor.size).sum(),
        };
        store.put(&ImageRecord::key(name), &record)?;
    }
    Ok(documents.descriptor)
}

/// Puts an index of images and their documents into the store and names it. Their layers, of so many bytes, are there
/// already, or where they were seen.
pub fn keep_index(
    store: &Store,
    index: &IndexDocuments,
    size: u64,
    names: &[Reference],
) -> Result<Descriptor> {
    StoreWriter { store, size }.publish_index(index, names)?;
    Ok(index.descriptor.clone())
}

/// The image of this name, if it is kept in the store.
pub fn find_image(store: &Store, name: &Reference) -> Option<ImageRecord> {
    store.get(&ImageRecord::key(name))
}

/// Gives an image another name.
pub fn name_image(store: &Store, image: &ImageRecord, name: &Reference) -> Result<()> {
    let record = ImageRecord { name: name.to_string(), ..image.clone() };
    Ok(store.put(&ImageRecord::key(name), &record)?)
}

/// Takes a name away; says whether it was there. The blobs stay until nothing refers to them and they are collected.
pub fn forget_image(store: &Store, name: &Reference) -> Result<bool> {
    Ok(store.remove(&ImageRecord::key(name))?)
}

/// How many layers are brought into the store at once.
const IMPORTS: usize = 8;

/// Keeps images in the store as they are, byte for byte.
#[derive(Debug)]
pub struct StoreWriter<'a> {
    store: &'a Store,
    /// The bytes of the layers so far.
    size: u64,
}

impl<'a> StoreWriter<'a> {
    /// Writes to this store.
    pub fn new(store: &'a Store) -> Self {
        Self { store, size: 0 }
    }

    fn keep(
        &mut self,
        manifest: &Descriptor,
        config: &[u8],
        names: &[Reference],
    ) -> cartwheel_store::Result<()> {
        // What cannot be read as a config has no date; whoever uses the image will say what is wrong with it.
        let config = serde_json::from_slice::<ImageConfig>(config).ok();
        let created = config.and_then(|config| config.created).unwrap_or_default();
        let size = std::mem::take(&mut self.size);
        let record = ImageRecord { name: String::new(), manifest: manifest.clone(), created, size };
        names.iter().try_for_each(|name| {
            let record = ImageRecord { name: name.to_string(), ..record.clone() };
            self.store.put(&ImageRecord::key(name), &record)
        })
    }

    fn put_documents(&self, image: &Documents) -> cartwheel_oci::Result<()> {
        self.store.put_blob(&image.config)?;
        self.store.put_blob(&image.manifest)?;
        Ok(())
    }
}

impl Sink for StoreWriter<'_> {
    fn put_blob(&mut self, descriptor: &Descriptor, source: &dyn Source) -> cartwheel_oci::Result<()> {
        self.put_blobs(std::slice::from_ref(descriptor), source)
    }

    fn put_blobs(&mut self, descriptors: &[Descriptor], source: &dyn Source) -> cartwheel_oci::Result<()> {
        self.size += descriptors.iter().map(|descriptor| descriptor.size).sum::<u64>();
        let (queue, failure) = (Mutex::new(descriptors.iter()), Mutex::new(None));
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            while let Some(descriptor) = next() {
                if let Err(error) = import_blob(self.store, source, descriptor) {
                    *queue.lock().unwrap_or_else(PoisonError::into_inner) = [].iter();
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        };
        // Threads of their own and not the pool's, because they wait for bytes.
        std::thread::scope(|threads| {
            for _ in 0..IMPORTS.min(descriptors.len()) {
                threads.spawn(work);
            }
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn publish(&mut self, image: &Documents, _: &[Layer], names: &[Reference]) -> cartwheel_oci::Result<()> {
        self.put_documents(image)?;
        self.keep(&image.descriptor, &image.config, names).map_err(cartwheel_oci::Error::from)
    }

    fn publish_index(&mut self, index: &IndexDocuments, names: &[Reference]) -> cartwheel_oci::Result<()> {
        index.images.iter().try_for_each(|image| self.put_documents(image))?;
        self.store.put_blob(&index.index)?;
        let config = index.images.first().map(|image| &image.config[..]).unwrap_or_default();
        self.keep(&index.descriptor, config, names).map_err(cartwheel_oci::Error::from)
    }
}

/// All named images, sorted by name.
pub fn list_images(store: &Store) -> Vec<ImageRecord> {
    let mut images: Vec<ImageRecord> = store.list();
    images.sort_by(|one, two| one.name.cmp(&two.name));
    images
}
