//! `cartwheel pull`.

use std::io::{self, Write};

use cartwheel_oci::{Image, copy_as_it_is, remember_origin};
use cartwheel_store::Store;

use crate::args::{PullArguments, RegistryArguments};
use crate::error::Failure;
use crate::location::store_sink;
use crate::registries;
use crate::settings::{Settings, host_platform};

/// Brings an image of a registry into the local store: of an index, the one for the platform.
pub(crate) fn pull(arguments: &PullArguments, registries: &RegistryArguments) -> Result<(), Failure> {
    let settings = Settings::read()?;
    let store = Store::open(&settings.home)?;
    let client = registries::client(&settings, registries, arguments.quiet)?;
    let name = &arguments.reference;
    let platform = arguments.platform.clone().unwrap_or_else(host_platform);
    let repository = client.repository(name);
    let found = repository.resolve(name)?;
    let image = Image::read(&repository, &found, &platform)?;
    let descriptor = Image::pick(&repository, &found, &platform)?;
    copy_as_it_is(&descriptor, std::slice::from_ref(name), &repository, &mut *store_sink(&store))?;
    remember_origin(&store, image.layers(), name)?;
    if !arguments.quiet {
        eprintln!("digest: {}", found.digest);
    }
    Ok(writeln!(io::stdout(), "{name}")?)
}
