//! The images that are kept in the store, by name.

use cartwheel_oci::{Descriptor, Image, Reference};
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

/// All named images, sorted by name.
pub fn list_images(store: &Store) -> Vec<ImageRecord> {
    let mut images: Vec<ImageRecord> = store.list();
    images.sort_by(|one, two| one.name.cmp(&two.name));
    images
}
