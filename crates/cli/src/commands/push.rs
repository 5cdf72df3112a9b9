//! `cartwheel push`.

use std::io::{self, Write};

use cartwheel_oci::{
    Descriptor, Reference, RepositoryWriter, StoreAndOrigins, copy_as_it_is, layers_of, remember_origin,
};
use cartwheel_store::Store;

use crate::args::{PushArguments, RegistryArguments};
use crate::error::Failure;
use crate::location::stored;
use crate::registries;
use crate::settings::Settings;

/// Sends an image of the local store to a registry.
pub(crate) fn push(arguments: &PushArguments, registries: &RegistryArguments) -> Result<(), Failure> {
    let settings = Settings::read()?;
    let store = Store::open(&settings.home)?;
    let descriptor = stored(&store, &arguments.name)?;
    let client = registries::client(&settings, registries, arguments.quiet)?;
    let destination = arguments.destination.as_ref().unwrap_or(&arguments.name);
    send(&StoreAndOrigins { store: &store, client: &client }, &descriptor, destination)?;
    if !arguments.quiet {
        eprintln!("pushed {}", destination.familiar());
    }
    Ok(writeln!(io::stdout(), "{}", descriptor.digest)?)
}

/// Sends an image or index of the store, and remembers that its layers are there now.
pub(in crate::commands) fn send(
    source: &StoreAndOrigins<'_>,
    descriptor: &Descriptor,
    destination: &Reference,
) -> Result<(), Failure> {
    let layers = layers_of(source, descriptor)?;
    let mounts = source.mounts(&layers, destination.registry());
    let mut sink = RepositoryWriter::new(source.client, destination)
        .with_origins(mounts.iter().map(|(digest, origin)| (*digest, origin)));
    copy_as_it_is(descriptor, std::slice::from_ref(destination), source, &mut sink)?;
    Ok(remember_origin(source.store, &layers, destination)?)
}
