//! `cartwheel save`.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use cartwheel_oci::{
    ArchiveKind, ArchiveWriter, Descriptor, Image, Reference, Source, StoreAndOrigins, copy_as_it_is,
    write_and_rename,
};
use cartwheel_store::Store;

use crate::args::{ArchiveFormat, RegistryArguments, SaveArguments};
use crate::error::Failure;
use crate::location::stored;
use crate::registries;
use crate::settings::{Settings, host_platform};

/// Writes images of the local store to an archive.
pub(crate) fn save(arguments: &SaveArguments, registries: &RegistryArguments) -> Result<(), Failure> {
    let to_stdout = arguments.output == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        return Err(Failure::user(
            "an archive is not written to a terminal: name a file with `-o`, or redirect standard output"
                .to_owned(),
        ));
    }
    let settings = Settings::read()?;
    let store = Store::open(&settings.home)?;
    let client = registries::client(&settings, registries, true)?;
    let source = StoreAndOrigins { store: &store, client: &client };
    let mut images = Vec::new();
    for name in &arguments.names {
        let mut descriptor = stored(&store, name)?;
        if arguments.format == ArchiveFormat::Docker {
            descriptor = Image::pick(&source, &descriptor, &platform_of(&source, &descriptor))?;
        }
        images.push((std::slice::from_ref(name), descriptor));
    }
    let kind = match arguments.format {
        ArchiveFormat::Oci => ArchiveKind::Oci,
        ArchiveFormat::Docker => ArchiveKind::Docker,
    };
    write_archive(&source, &images, kind, &arguments.output)
}

/// Writes images, each with its names, to an archive; `-` is standard output.
pub(in crate::commands) fn write_archive(
    source: &dyn Source,
    images: &[(&[Reference], Descriptor)],
    kind: ArchiveKind,
    path: &Path,
) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Ok(fill(source, images, kind, &mut io::stdout().lock()).map(drop)?);
    }
    let write = |file: &mut File| {
        let out = io::BufWriter::with_capacity(1 << 20, file);
        fill(source, images, kind, out).map_err(io::Error::other)?.flush()
    };
    Ok(write_and_rename(path, write)?)
}

/// An image is for what it is for; of an index, this machine's is meant.
fn platform_of(source: &StoreAndOrigins<'_>, descriptor: &Descriptor) -> cartwheel_oci::Platform {
    let own = cartwheel_oci::Documents::read(source, descriptor).ok();
    own.and_then(|(documents, _)| documents.descriptor.platform).unwrap_or_else(host_platform)
}

fn fill<W: Write>(
    source: &dyn Source,
    images: &[(&[Reference], Descriptor)],
    kind: ArchiveKind,
    out: W,
) -> cartwheel_oci::Result<W> {
    let mut sink = ArchiveWriter::of_several(out, kind, images.len());
    for (names, descriptor) in images {
        copy_as_it_is(descriptor, names, source, &mut sink)?;
    }
    Ok(sink.into_inner())
}
