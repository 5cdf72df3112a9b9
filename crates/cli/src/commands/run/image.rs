//! The image that is run: found, and brought here if need be.

use cartwheel_build::list_images;
use cartwheel_oci::{
    Descriptor, Image, Manifest, Reference, RegistryClient, Source, StoreAndOrigins, copy_as_it_is,
    media_type, remember_origin,
};
use cartwheel_store::{Digest, Store};

use crate::args::{ContainerArguments, PullPolicy};
use crate::error::Failure;
use crate::location::{Location, Opened, store_sink};
use crate::settings::{Settings, host_platform};

/// The image that the first word says. Its layers are in the store afterwards, or it knows where they are.
pub(super) fn find(
    arguments: &ContainerArguments,
    store: &Store,
    client: &RegistryClient,
    settings: &Settings,
) -> Result<Image, Failure> {
    let word = arguments.words.first().map(String::as_str).unwrap_or_default();
    let platform = arguments.platform.clone().unwrap_or_else(host_platform);
    if let Ok(digest) = word.parse::<Digest>() {
        let source = StoreAndOrigins { store, client };
        return Ok(Image::read(&source, &by_digest(store, digest)?, &platform)?);
    }
    let location = word.parse::<Location>().map_err(Failure::user)?;
    let location = match (location, arguments.pull) {
        (Location::Name(name), PullPolicy::Never) => Location::Store(name),
        (Location::Name(name), PullPolicy::Always) => Location::Registry(name),
        (location, _) => location,
    };
    let opened = location.open(store, client, settings)?;
    let is_stored = match location {
        Location::Store(_) => true,
        Location::Name(_) => !opened.is_remote,
        _ => false,
    };
    let image = Image::read(&*opened.source, &opened.descriptor, &platform)?;
    if !is_stored {
        let descriptor = Image::pick(&*opened.source, &opened.descriptor, &platform)?;
        bring(&opened, &descriptor, &image, store)?;
    }
    Ok(image)
}

/// Brings an image into the store; one of a registry under its name, as `cartwheel pull` does.
fn bring(opened: &Opened<'_>, descriptor: &Descriptor, image: &Image, store: &Store) -> Result<(), Failure> {
    let source: &dyn Source = &*opened.source;
    let name = opened.name.as_ref().filter(|_| opened.is_remote);
    let names: Vec<Reference> = name.into_iter().cloned().collect();
    copy_as_it_is(descriptor, &names, source, &mut *store_sink(store))?;
    if let Some(name) = name {
        remember_origin(store, image.layers(), name)?;
    }
    Ok(())
}

/// The image in the store whose manifest has this digest, or whose config has (Docker's image ID).
fn by_digest(store: &Store, digest: Digest) -> Result<Descriptor, Failure> {
    let manifest = |digest: Digest| -> Option<Manifest> {
        serde_json::from_slice(&store.blob(digest)?.read().ok()?).ok()
    };
    let is_meant = |found: &Descriptor| {
        found.digest == digest
            || manifest(found.digest).is_some_and(|manifest| manifest.config.digest == digest)
    };
    if let Some(found) = list_images(store).into_iter().map(|image| image.manifest).find(is_meant) {
        return Ok(found);
    }
    // One without a name.
    let size = store.blob(digest).map(|blob| blob.size());
    let unnamed = manifest(digest).zip(size).map(|(manifest, size)| {
        let kind = manifest.media_type.unwrap_or_else(|| media_type::MANIFEST.to_owned());
        Descriptor::new(&kind, digest, size)
    });
    unnamed.ok_or_else(|| {
        Failure::user(format!("image `{digest}` is not in the local store")).with_hint(
            "the digest that `cartwheel build` prints is, and so is the ID of an image that has a name",
        )
    })
}
