//! `cartwheel load`.

use std::io::{self, Write};
use std::path::Path;

use cartwheel_oci::{
    Descriptor, Documents, Engine, Image, ImageLayout, Loaded, Reference, Source, StoreAndOrigins,
    copy_as_it_is,
};
use cartwheel_store::Store;
use indicatif::DecimalBytes;

use crate::args::{LoadArguments, RegistryArguments};
use crate::engines::engine;
use crate::error::Failure;
use crate::location::{store_sink, stored};
use crate::registries;
use crate::settings::{Settings, host_platform};

/// Brings images of the local store into the engine, or those of an archive into the local store.
pub(crate) fn load(arguments: &LoadArguments, registries: &RegistryArguments) -> Result<(), Failure> {
    let settings = Settings::read()?;
    let store = Store::open(&settings.home)?;
    if let Some(archive) = &arguments.input {
        return unpack(archive, &store);
    }
    let engine = engine(&settings)?;
    let client = registries::client(&settings, registries, true)?;
    let source = StoreAndOrigins { store: &store, client: &client };
    for name in &arguments.names {
        let descriptor = stored(&store, name)?;
        let loaded = send(&engine, &descriptor, std::slice::from_ref(name), &source, &store)?;
        if !arguments.quiet {
            tell(&loaded, &engine);
        }
        writeln!(io::stdout(), "{}", name.familiar())?;
    }
    Ok(())
}

/// Brings what `descriptor` refers to into the engine: of an index, the image for this machine.
pub(crate) fn send(
    engine: &Engine,
    descriptor: &Descriptor,
    names: &[Reference],
    source: &dyn Source,
    store: &Store,
) -> Result<Loaded, Failure> {
    let platform = host_platform();
    let one = descriptor.is_index().then(|| Image::pick(source, descriptor, &platform)).transpose()?;
    let descriptor = one.as_ref().unwrap_or(descriptor);
    let (documents, layers) = Documents::read(source, descriptor)?;
    Ok(engine.load((&documents, &layers), names, source, store)?)
}

/// Says what was sent.
pub(crate) fn tell(loaded: &Loaded, engine: &Engine) {
    let (sent, spared) = (DecimalBytes(loaded.sent), DecimalBytes(loaded.spared));
    eprintln!("{}: {sent} sent, {spared} of layers are there already", engine.address());
}

/// Keeps the images of an archive under the names that they have there.
fn unpack(archive: &Path, store: &Store) -> Result<(), Failure> {
    let layout = if archive == Path::new("-") {
        let mut file = store.scratch()?;
        io::copy(&mut io::stdin().lock(), &mut file).map_err(Failure::io("read", archive))?;
        ImageLayout::open_archive(file, "standard input".as_ref())?
    } else {
        ImageLayout::open(archive)?
    };
    for descriptor in layout.images() {
        let name = layout.name(descriptor);
        copy_as_it_is(descriptor, name.as_slice(), &layout, &mut *store_sink(store))?;
        match name {
            Some(name) => writeln!(io::stdout(), "{}", name.familiar())?,
            None => eprintln!("warning: image `{}` has no name, so that nothing finds it", descriptor.digest),
        }
    }
    Ok(())
}
