//! Where a built image goes: `--output`, `--push`, `--load`.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use cartwheel_build::{Built, export_files, files_of};
use cartwheel_oci::layer::{self, Tree};
use cartwheel_oci::{
    ArchiveKind, Descriptor, LayoutWriter, Reference, StoreAndOrigins, copy_as_it_is, write_and_rename,
};

use crate::args::BuildArguments;
use crate::commands::load::{self, tell};
use crate::commands::push;
use crate::commands::save::write_archive;
use crate::engines::engine;
use crate::error::Failure;
use crate::outputs::{AnnotationPlace, Form, OutputSpec, Place};
use crate::settings::Settings;

use super::form::keep;

/// A place that the image is brought to, with its names and its form there.
pub(crate) struct Output {
    pub(crate) place: Place,
    pub(crate) names: Vec<Reference>,
    pub(crate) form: Form,
}

/// What was asked for, checked before anything is built.
pub(crate) struct Outputs {
    /// The image in the local store; what is printed of the build is of this one.
    pub(crate) kept: Output,
    /// Where it goes besides.
    pub(crate) others: Vec<Output>,
}

/// What outputs take from.
pub(crate) struct Shop<'a> {
    pub(crate) source: StoreAndOrigins<'a>,
    pub(crate) settings: &'a Settings,
    /// Whether nothing is told on the way.
    pub(crate) is_quiet: bool,
}

impl Outputs {
    /// What the arguments say, as buildx understands them: `--push` and `--load` add an output unless there is one.
    pub(crate) fn of(arguments: &BuildArguments) -> Result<Self, Failure> {
        let mut specs = arguments.outputs.clone();
        if arguments.push {
            let stored = specs.iter_mut().filter(|spec| spec.place == Place::Store);
            stored.for_each(|spec| spec.place = Place::Registry);
        }
        for (wanted, place) in [(arguments.push, Place::Registry), (arguments.load, Place::Engine)] {
            if wanted && !specs.iter().any(|spec| spec.place == place) {
                specs.push(place.into());
            }
        }
        let others: Vec<Output> = specs.into_iter().map(|spec| output(spec, arguments)).collect();
        // What goes elsewhere is what is kept, so that the digest that is printed is the one that is found there.
        let first = others.iter().find(|output| output.place.takes_image());
        let form = first.map_or_else(|| form(Form::default(), arguments), |output| output.form.clone());
        let stored = others.iter().filter(|output| output.place == Place::Store);
        let mut names = arguments.tags.clone();
        names.extend(
            stored.flat_map(|output| output.names.clone()).filter(|name| !arguments.tags.contains(name)),
        );
        let outputs = Self { kept: Output { place: Place::Store, names, form }, others };
        outputs.check(arguments.platforms.len() > 1)?;
        Ok(outputs)
    }

    fn check(&self, has_several: bool) -> Result<(), Failure> {
        let refuse = |message: &str| Err(Failure::user(message.to_owned()));
        let all = || self.others.iter().chain([&self.kept]);
        let stdouts = self.others.iter().filter(|output| output.place.is_stdout()).count();
        let is_of_index = |on| matches!(on, AnnotationPlace::Index | AnnotationPlace::IndexDescriptor);
        match () {
            () if stdouts > 1 => refuse("only one output can be standard output"),
            () if stdouts == 1 && io::stdout().is_terminal() => {
                refuse("an archive is not written to a terminal: redirect standard output")
            }
            () if all().any(|output| output.place == Place::Registry && output.names.is_empty()) => {
                refuse("an image is pushed under a name: give it one with `--tag`")
            }
            () if has_several && all().any(|output| output.place == Place::Engine) => {
                refuse("an engine takes one platform at a time: choose it with `--platform`")
            }
            () if has_several && all().any(|output| is_for_docker(&output.place)) => {
                refuse("an archive for Docker has one platform: use type=oci")
            }
            () if !has_several
                && all().any(|output| output.form.annotations.iter().any(|one| is_of_index(one.on))) =>
            {
                refuse("an image for one platform has no index, and so no annotations on one")
            }
            () => Ok(()),
        }
    }

    /// Whether standard output is taken by one of them.
    pub(crate) fn take_stdout(&self) -> bool {
        self.others.iter().any(|output| output.place.is_stdout())
    }
}

fn is_for_docker(place: &Place) -> bool {
    matches!(place, Place::Archive(_, ArchiveKind::Docker))
}

fn output(spec: OutputSpec, arguments: &BuildArguments) -> Output {
    let names = if spec.names.is_empty() { arguments.tags.clone() } else { spec.names };
    Output { place: spec.place, names, form: form(spec.form, arguments) }
}

/// A form with the annotations that all outputs get; those that the output has itself count more.
fn form(mut form: Form, arguments: &BuildArguments) -> Form {
    let all = arguments.annotations.iter().flat_map(|spec| spec.0.clone());
    form.annotations = all.chain(form.annotations).collect();
    form
}

impl Output {
    /// Brings what was built there.
    pub(crate) fn write(&self, built: &[Built], shop: &Shop<'_>) -> Result<(), Failure> {
        let source = &shop.source;
        if let Place::Folder(path) | Place::Tar(path) = &self.place {
            let images: Vec<_> = built.iter().map(|built| &built.image).collect();
            let files = files_of(&images, source.store, source.client)?;
            return match &self.place {
                Place::Tar(_) => write_tar(&files, path),
                _ => Ok(export_files(&files, path)?),
            };
        }
        let descriptor = keep(built, &self.form, &[], source)?;
        self.send(&descriptor, shop)
    }

    fn send(&self, descriptor: &Descriptor, shop: &Shop<'_>) -> Result<(), Failure> {
        let source = &shop.source;
        match &self.place {
            Place::Engine => {
                let engine = engine(shop.settings)?;
                let loaded = load::send(&engine, descriptor, &self.names, source, source.store)?;
                if !shop.is_quiet {
                    tell(&loaded, &engine);
                }
                Ok(())
            }
            Place::Registry => self.names.iter().try_for_each(|name| push::send(source, descriptor, name)),
            Place::Layout(path) => {
                Ok(copy_as_it_is(descriptor, &self.names, source, &mut LayoutWriter::create(path)?)?)
            }
            Place::Archive(path, kind) => {
                write_archive(source, &[(&self.names, descriptor.clone())], *kind, path)
            }
            Place::Store | Place::Folder(_) | Place::Tar(_) => Ok(()),
        }
    }
}

/// Writes a tar of an image's files; `-` is standard output.
fn write_tar(files: &Tree, path: &Path) -> Result<(), Failure> {
    let write = |out: &mut dyn Write| {
        let mut out = io::BufWriter::with_capacity(1 << 20, out);
        layer::write_tar(files, &mut out).map_err(io::Error::other)?;
        out.flush()
    };
    if path == Path::new("-") {
        return Ok(write(&mut io::stdout().lock())?);
    }
    Ok(write_and_rename(path, |file| write(file))?)
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Layout(path) | Place::Archive(path, _) | Place::Folder(path) | Place::Tar(path) => {
                path.display().fmt(f)
            }
            Place::Registry => {
                let names: Vec<String> = self.names.iter().map(Reference::familiar).collect();
                f.write_str(&names.join(", "))
            }
            Place::Engine => f.write_str("the container engine"),
            Place::Store => f.write_str("the local store"),
        }
    }
}
