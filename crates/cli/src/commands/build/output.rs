//! Where a built image goes: `--output`, `--push`, `--load`.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use cartwheel_build::StoreWriter;
use cartwheel_oci::{
    ArchiveKind, ArchiveWriter, Descriptor, Image, LayoutWriter, Reference, RepositoryWriter, Sink, Source,
    StoreAndOrigins, copy, copy_index, remember_origin, write_and_rename,
};
use cartwheel_store::Store;

use crate::args::{BuildArguments, OutputSpec};
use crate::commands::load::tell;
use crate::commands::push::send;
use crate::engines::engine;
use crate::error::Failure;
use crate::settings::Settings;

/// A place that the image is brought to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// An OCI layout directory.
    Layout(PathBuf),
    /// An archive; `-` is standard output.
    Archive(PathBuf, ArchiveFormat),
    /// A registry.
    Registry(Reference),
    /// Docker or Podman.
    Engine,
}

/// The format of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArchiveFormat {
    Oci,
    Docker,
}

/// The outputs that were asked for, checked before anything is built.
pub(crate) fn wanted(arguments: &BuildArguments) -> Result<Vec<Output>, Failure> {
    let mut outputs = Vec::new();
    let push = arguments.push.then_some(OutputSpec::Registry(None));
    let load = arguments.load.then_some(OutputSpec::Engine);
    for spec in arguments.outputs.iter().chain(&push).chain(&load) {
        match spec {
            OutputSpec::Layout(path) => outputs.push(Output::Layout(path.clone())),
            OutputSpec::OciArchive(path) => outputs.push(Output::Archive(path.clone(), ArchiveFormat::Oci)),
            OutputSpec::DockerArchive(path) => {
                outputs.push(Output::Archive(path.clone(), ArchiveFormat::Docker));
            }
            OutputSpec::Registry(Some(name)) => outputs.push(Output::Registry(name.clone())),
            OutputSpec::Registry(None) if arguments.tags.is_empty() => {
                return Err(Failure::user(
                    "an image is pushed under a name: give it one with `--tag`".to_owned(),
                ));
            }
            OutputSpec::Registry(None) => {
                outputs.extend(arguments.tags.iter().cloned().map(Output::Registry));
            }
            OutputSpec::Engine => outputs.push(Output::Engine),
            OutputSpec::Store => {}
        }
    }
    let stdouts = outputs.iter().filter(|output| output.is_stdout()).count();
    if stdouts > 1 {
        return Err(Failure::user("only one output can be standard output".to_owned()));
    }
    if stdouts == 1 && io::stdout().is_terminal() {
        return Err(Failure::user(
            "an archive is not written to a terminal: redirect standard output".to_owned(),
        ));
    }
    Ok(outputs)
}

impl Output {
    /// Whether standard output is taken by it.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Archive(path, _) if path == Path::new("-"))
    }

    /// Brings what was built there.
    pub(crate) fn write(
        &self,
        images: &[Image],
        names: &[Reference],
        source: &StoreAndOrigins<'_>,
        settings: &Settings,
    ) -> Result<(), Failure> {
        match (self, images) {
            (Self::Engine, [image]) => {
                let engine = engine(settings)?;
                let documents = image.documents();
                let loaded = engine.load((&documents, image.layers()), names, source, source.store)?;
                tell(&loaded, &engine);
                Ok(())
            }
            (Self::Engine, _) => Err(Failure::user(
                "an engine takes one platform at a time: choose it with `--platform`".to_owned(),
            )),
            (Self::Registry(name), [image]) => {
                send(source, &image.documents().descriptor, name)?;
                Ok(())
            }
            (Self::Registry(name), images) => {
                let layers: Vec<_> = images.iter().flat_map(|image| image.layers().to_vec()).collect();
                let mounts = source.mounts(&layers, name.registry());
                let mut sink = RepositoryWriter::new(source.client, name)
                    .with_origins(mounts.iter().map(|(digest, origin)| (*digest, origin)));
                copy_index(images, std::slice::from_ref(name), source, &mut sink)?;
                Ok(remember_origin(source.store, &layers, name)?)
            }
            (Self::Layout(path), [image]) => {
                copy(image, names, source, &mut LayoutWriter::create(path)?)?;
                Ok(())
            }
            (Self::Layout(path), images) => {
                copy_index(images, names, source, &mut LayoutWriter::create(path)?)?;
                Ok(())
            }
            (Self::Archive(path, format), images) => archive(images, names, source, path, *format),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(path) | Self::Archive(path, _) => path.display().fmt(f),
            Self::Registry(name) => f.write_str(&name.familiar()),
            Self::Engine => f.write_str("the container engine"),
        }
    }
}

fn archive(
    images: &[Image],
    names: &[Reference],
    source: &dyn Source,
    path: &Path,
    format: ArchiveFormat,
) -> Result<(), Failure> {
    let kind = match format {
        ArchiveFormat::Oci => ArchiveKind::Oci,
        ArchiveFormat::Docker if images.len() > 1 => {
            return Err(Failure::user("an archive for Docker has one platform: use type=oci".to_owned()));
        }
        ArchiveFormat::Docker => ArchiveKind::Docker,
    };
    let all = |sink: &mut dyn Sink| -> cartwheel_oci::Result<()> {
        match images {
            [image] => copy(image, names, source, sink).map(drop),
            images => copy_index(images, names, source, sink).map(drop),
        }
    };
    if path == Path::new("-") {
        all(&mut ArchiveWriter::new(io::stdout().lock(), kind))?;
        return Ok(());
    }
    let fill = |file: &mut File| {
        let mut sink = ArchiveWriter::new(io::BufWriter::with_capacity(1 << 20, file), kind);
        all(&mut sink).map_err(io::Error::other)?;
        sink.into_inner().flush()
    };
    Ok(write_and_rename(path, fill)?)
}

/// The documents of the image or index that was built; an index is kept in the store under its names.
pub(crate) fn result(images: &[Image], names: &[Reference], store: &Store) -> Result<Descriptor, Failure> {
    match images {
        [image] => Ok(image.documents().descriptor),
        images => Ok(copy_index(images, names, store, &mut StoreWriter::new(store))?.descriptor),
    }
}
