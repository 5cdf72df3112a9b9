//! The form of an image in one of its outputs: how its layers are compressed, what is noted on it.

use std::collections::BTreeMap;

use cartwheel_build::{Built, keep_image, keep_index};
use cartwheel_oci::{
    Descriptor, Image, IndexDocuments, Platform, Reference, Source, StoreAndOrigins, recompressed,
};
use cartwheel_store::Store;

use crate::error::Failure;
use crate::outputs::{AnnotationPlace, Form};

/// Puts the documents of what was built into the store in this form, under `names`: an image, or an index of several.
pub(crate) fn keep(
    built: &[Built],
    form: &Form,
    names: &[Reference],
    source: &StoreAndOrigins<'_>,
) -> Result<Descriptor, Failure> {
    let images: Vec<Image> =
        built.iter().map(|built| shaped(built, form, source.store, source)).collect::<Result<_, _>>()?;
    if let [image] = &images[..] {
        let mut descriptor = keep_image(source.store, image, names)?;
        let platform = image.config().platform();
        descriptor.annotations = annotations(form, AnnotationPlace::ManifestDescriptor, Some(&platform));
        return Ok(descriptor);
    }
    let documents = images.iter().map(|image| {
        let mut documents = image.documents();
        let platform = image.config().platform();
        documents.descriptor.annotations =
            annotations(form, AnnotationPlace::ManifestDescriptor, Some(&platform));
        documents
    });
    let index = IndexDocuments::new(documents.collect(), annotations(form, AnnotationPlace::Index, None));
    let layers = images.iter().flat_map(Image::layers);
    let size = layers.map(|layer| layer.descriptor.size).sum();
    let mut descriptor = keep_index(source.store, &index, size, names)?;
    descriptor.annotations = annotations(form, AnnotationPlace::IndexDescriptor, None);
    Ok(descriptor)
}

fn shaped(built: &Built, form: &Form, store: &Store, source: &dyn Source) -> Result<Image, Failure> {
    let mut image = built.image.clone();
    if let Some(compression) = form.compression {
        // As in BuildKit, a base stays what it is unless that is asked for: its layers need not come here.
        let base = if form.force { 0 } else { built.base };
        image = image.with_layers(|place, layer| {
            if place < base { Ok(layer.clone()) } else { recompressed(store, source, layer, compression) }
        })?;
    }
    let platform = image.config().platform();
    Ok(image.with_annotations(annotations(form, AnnotationPlace::Manifest, Some(&platform))))
}

/// What is noted on a document; of an image, for its platform.
fn annotations(form: &Form, on: AnnotationPlace, platform: Option<&Platform>) -> BTreeMap<String, String> {
    let applies = |wanted: &Option<Platform>| match (wanted, platform) {
        (Some(wanted), Some(platform)) => platform.satisfies(wanted),
        _ => true,
    };
    let these = form.annotations.iter().filter(|one| one.on == on && applies(&one.platform));
    these.map(|one| (one.key.clone(), one.value.clone())).collect()
}
