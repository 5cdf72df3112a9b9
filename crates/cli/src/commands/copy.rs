//! `cartwheel copy`.

use std::io::{self, Write};

use cartwheel_oci::{
    ArchiveKind, Image, LayoutWriter, Reference, RegistryClient, RepositoryWriter, Sink, Source,
    StoreAndOrigins, copy_as_it_is, layers_of,
};
use cartwheel_store::Store;

use crate::args::{CopyArguments, RegistryArguments};
use crate::commands::load;
use crate::commands::save::write_archive;
use crate::engines::engine;
use crate::error::Failure;
use crate::location::{Location, Opened, store_sink};
use crate::registries;
use crate::settings::{Settings, host_platform};

/// Copies an image, or an index with all its images, byte for byte.
pub(crate) fn copy(arguments: &CopyArguments, registries: &RegistryArguments) -> Result<(), Failure> {
    let settings = Settings::read()?;
    let store = Store::open(&settings.home)?;
    let client = registries::client(&settings, registries, arguments.quiet)?;
    let mut opened = arguments.source.open(&store, &client, &settings)?;
    let one = arguments.platform.clone().or_else(|| needs_one(&arguments.destination).then(host_platform));
    if let Some(platform) = one {
        opened.descriptor = Image::pick(&*opened.source, &opened.descriptor, &platform)?;
    }
    write(&opened, &arguments.destination, &store, &client, &settings)?;
    if !arguments.quiet {
        eprintln!("copied {} to {}", arguments.source, arguments.destination);
    }
    Ok(writeln!(io::stdout(), "{}", opened.descriptor.digest)?)
}

/// What `docker load` reads has one platform.
fn needs_one(destination: &Location) -> bool {
    matches!(destination, Location::Archive(ArchiveKind::Docker, ..) | Location::Engine(_))
}

fn write(
    opened: &Opened<'_>,
    destination: &Location,
    store: &Store,
    client: &RegistryClient,
    settings: &Settings,
) -> Result<(), Failure> {
    let into = |names: &[Reference], sink: &mut dyn Sink| {
        copy_as_it_is(&opened.descriptor, names, &*opened.source, sink)
    };
    match destination {
        Location::Name(name) | Location::Registry(name) => {
            into(std::slice::from_ref(name), &mut remote(opened, name, store, client)?)?;
        }
        Location::Store(name) => into(std::slice::from_ref(name), &mut *store_sink(store))?,
        Location::Engine(name) => {
            let names = std::slice::from_ref(name);
            load::send(&engine(settings)?, &opened.descriptor, names, &*opened.source, store)?;
        }
        Location::Layout(path, name) => {
            into(&names(opened, name.as_deref())?, &mut LayoutWriter::create(path)?)?;
        }
        Location::Archive(kind, path, name) => {
            let names = names(opened, name.as_deref())?;
            write_archive(&*opened.source, &[(&names, opened.descriptor.clone())], *kind, path)?;
        }
    }
    Ok(())
}

/// A repository that mounts what it can from where the image is, or was.
fn remote(
    opened: &Opened<'_>,
    name: &Reference,
    store: &Store,
    client: &RegistryClient,
) -> Result<RepositoryWriter, Failure> {
    let source: &dyn Source = &*opened.source;
    let layers = layers_of(source, &opened.descriptor)?;
    let known = StoreAndOrigins { store, client }.mounts(&layers, name.registry());
    let here = opened.name.as_ref().filter(|_| opened.is_remote);
    let from = layers.iter().filter_map(|layer| Some((layer.descriptor.digest, here?)));
    let known = known.iter().map(|(digest, origin)| (*digest, origin));
    Ok(RepositoryWriter::new(client, name).with_origins(known.chain(from)))
}

/// The name in a layout or archive: the one that was given, in full or as a tag alone, or else the one that the image has.
fn names(opened: &Opened<'_>, given: Option<&str>) -> Result<Vec<Reference>, Failure> {
    let name = match (given, &opened.name) {
        (None, own) => own.clone(),
        (Some(tag), own) if !tag.contains(['/', ':']) => {
            let repository = own.as_ref().map(|own| format!("{}/{}", own.registry(), own.repository()));
            Some(format!("{}:{tag}", repository.unwrap_or_else(|| "image".to_owned())).parse()?)
        }
        (Some(name), _) => Some(name.parse()?),
    };
    Ok(name.into_iter().collect())
}
