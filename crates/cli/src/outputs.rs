//! `--output` and `--annotation` as the user wrote them: where an image goes, and in which form.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use cartwheel_dockerfile::csv_fields;
use cartwheel_oci::layer::Compression;
use cartwheel_oci::{ArchiveKind, Platform, Reference};

/// Where to bring what was built, as `docker buildx build --output` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputSpec {
    /// To which kind of place.
    pub(crate) place: Place,
    /// The names that the image has there, instead of those of the build.
    pub(crate) names: Vec<Reference>,
    /// How it is written.
    pub(crate) form: Form,
}

/// A place that an image or its files are brought to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// An OCI layout directory.
    Layout(PathBuf),
    /// An archive; `-` is standard output.
    Archive(PathBuf, ArchiveKind),
    /// The registries of the image's names.
    Registry,
    /// Docker or Podman.
    Engine,
    /// The local store, which has it anyway.
    Store,
    /// A directory that gets the image's files.
    Folder(PathBuf),
    /// A tar of the image's files; `-` is standard output.
    Tar(PathBuf),
}

/// How an image is written: what two outputs of one build may differ in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// How its layers are compressed; as they are if it is not said.
    pub(crate) compression: Option<Compression>,
    /// Those of the base, too.
    pub(crate) force: bool,
    /// What is noted on it.
    pub(crate) annotations: Vec<Annotation>,
}

/// Free text on a document of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotation {
    /// On which document.
    pub(crate) on: AnnotationPlace,
    /// Only on the image for this platform.
    pub(crate) platform: Option<Platform>,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// A document that has annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnnotationPlace {
    Manifest,
    /// What refers to the manifest: in an index, or in a layout.
    ManifestDescriptor,
    Index,
    /// What refers to the index, in a layout.
    IndexDescriptor,
}

impl Place {
    /// Whether standard output is taken by it.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Archive(path, _) | Self::Tar(path) if path == Path::new("-"))
    }

    /// Whether it gets an image, and not files.
    pub(crate) fn takes_image(&self) -> bool {
        !matches!(self, Self::Folder(_) | Self::Tar(_))
    }
}

impl From<Place> for OutputSpec {
    fn from(place: Place) -> Self {
        Self { place, names: Vec::new(), form: Form::default() }
    }
}

impl FromStr for OutputSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields = csv_fields(text)?;
        if let ([field], false) = (&fields[..], text.starts_with("type=")) {
            let place = if field == "-" { Place::Tar("-".into()) } else { Place::Folder(field.into()) };
            return Ok(place.into());
        }
        let mut words = Words { tar: true, ..Words::default() };
        for field in &fields {
            let (key, value) = field.split_once('=').ok_or_else(|| format!("`{field}` is not KEY=VALUE"))?;
            words.take(key.trim(), value)?;
        }
        words.spec()
    }
}

/// The values of an `--output`, until its type says which of them it may have.
#[derive(Debug, Default)]
struct Words {
    kind: Option<String>,
    dest: Option<PathBuf>,
    tar: bool,
    push: bool,
    names: Vec<Reference>,
    form: Form,
    /// A key that only images have.
    of_image: Option<String>,
}

impl Words {
    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        let truth =
            || value.parse::<bool>().map_err(|_| format!("`{key}` is `true` or `false`, not `{value}`"));
        match key.to_lowercase().as_str() {
            "type" => self.kind = Some(value.to_owned()),
            "dest" => self.dest = Some(PathBuf::from(value)).filter(|dest| !dest.as_os_str().is_empty()),
            "tar" => self.tar = truth()?,
            image => {
                self.of_image.get_or_insert(key.to_owned());
                match image {
                    "push" => self.push = truth()?,
                    "name" => self.names = names(value)?,
                    "compression" => self.form.compression = Some(compression(value)?),
                    "force-compression" => self.form.force = truth()?,
                    // What is written is OCI's, and nothing else.
                    "oci-mediatypes" if truth()? => {}
                    "oci-mediatypes" => return Err("images are written in OCI's media types only".to_owned()),
                    _ => self.form.annotations.push(annotation_key(key, value)?),
                }
            }
        }
        Ok(())
    }

    fn spec(self) -> Result<OutputSpec, String> {
        let Self { kind, dest, tar, push, names, form, of_image } = self;
        let path = |what: &str| dest.clone().ok_or_else(|| format!("`dest` is missing: {what}"));
        let archive = || dest.clone().unwrap_or_else(|| "-".into());
        let kind = kind.ok_or("`type` is missing: oci, docker, registry, image, local or tar")?;
        let place = match (kind.as_str(), tar) {
            ("oci" | "docker", false) => Place::Layout(path("the directory to write to")?),
            ("oci", true) => Place::Archive(archive(), ArchiveKind::Oci),
            ("docker", true) if dest.is_none() => Place::Engine,
            ("docker", true) => Place::Archive(archive(), ArchiveKind::Docker),
            ("registry", true) => Place::Registry,
            ("image", true) => {
                if push {
                    Place::Registry
                } else {
                    Place::Store
                }
            }
            ("local", true) if dest.as_deref() == Some(Path::new("-")) => {
                return Err("standard output is no directory: use type=tar".to_owned());
            }
            ("local", true) => Place::Folder(path("the directory to write to")?),
            ("tar", true) => Place::Tar(archive()),
            ("registry" | "image" | "local" | "tar", false) => {
                return Err("`tar=false` goes with type=oci and type=docker".to_owned());
            }
            (other, _) => {
                return Err(format!("type `{other}` is none of oci, docker, registry, image, local and tar"));
            }
        };
        let has_dest = !matches!(place, Place::Registry | Place::Store | Place::Engine);
        match of_image {
            Some(key) if !place.takes_image() => {
                Err(format!("`{key}` is of images, and type={kind} writes files"))
            }
            _ if dest.is_some() && !has_dest => Err(format!("type={kind} has no `dest`")),
            _ if push && has_dest => Err(format!("`push` goes with type=image, not with type={kind}")),
            _ => Ok(OutputSpec { place, names, form }),
        }
    }
}

fn names(value: &str) -> Result<Vec<Reference>, String> {
    let name = |name: &str| name.trim().parse::<Reference>().map_err(|error| error.to_string());
    value.split(',').map(name).collect()
}

fn compression(value: &str) -> Result<Compression, String> {
    match value {
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        "uncompressed" => Ok(Compression::Uncompressed),
        other => Err(format!("compression `{other}` is none of gzip, zstd and uncompressed")),
    }
}

/// `annotation.KEY`, `annotation-index.KEY`, `annotation[linux/amd64].KEY`, …
fn annotation_key(key: &str, value: &str) -> Result<Annotation, String> {
    let unknown = || {
        format!(
            "`{key}` is not an option of --output; there are type, dest, tar, name, push, compression, force-compression, oci-mediatypes and annotation.KEY"
        )
    };
    let (kind, name) =
        key.strip_prefix("annotation").and_then(|rest| rest.split_once('.')).ok_or_else(unknown)?;
    let kind = match kind.strip_prefix('-') {
        Some(kind) => kind.to_owned(),
        None if kind.is_empty() || kind.starts_with('[') => format!("manifest{kind}"),
        None => return Err(unknown()),
    };
    annotation(&kind, name, value)
}

/// An annotation on what `kind` says: `index`, `manifest[linux/amd64]`, …
fn annotation(kind: &str, key: &str, value: &str) -> Result<Annotation, String> {
    let (place, platform) = match kind.strip_suffix(']').and_then(|kind| kind.split_once('[')) {
        Some((place, platform)) => (place, Some(crate::settings::platform(platform)?)),
        None => (kind, None),
    };
    let on = match place {
        "manifest" => AnnotationPlace::Manifest,
        "manifest-descriptor" => AnnotationPlace::ManifestDescriptor,
        "index" => AnnotationPlace::Index,
        "index-descriptor" => AnnotationPlace::IndexDescriptor,
        other => {
            return Err(format!(
                "`{other}` has no annotations; manifest, manifest-descriptor, index and index-descriptor have"
            ));
        }
    };
    if platform.is_some() && matches!(on, AnnotationPlace::Index | AnnotationPlace::IndexDescriptor) {
        return Err("an index is for all platforms: it has no annotations for one".to_owned());
    }
    Ok(Annotation { on, platform, key: key.to_owned(), value: value.to_owned() })
}

/// What one `--annotation` says: the same text on every document that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AnnotationSpec(pub(crate) Vec<Annotation>);

impl FromStr for AnnotationSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write KEY=VALUE")?;
        let (kinds, key) = name.split_once(':').unwrap_or(("manifest", name));
        kinds.split(',').map(|kind| annotation(kind, key, value)).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<Place, String> {
        text.parse::<OutputSpec>().map(|spec| spec.place)
    }

    #[test]
    fn outputs_parse_as_in_buildx() {
        assert_eq!(place("type=oci,dest=a.tar"), Ok(Place::Archive("a.tar".into(), ArchiveKind::Oci)));
        assert_eq!(place("type=oci"), Ok(Place::Archive("-".into(), ArchiveKind::Oci)));
        assert_eq!(place("type=oci,dest=a,tar=false"), Ok(Place::Layout("a".into())));
        assert_eq!(place("dest=-,type=docker"), Ok(Place::Archive("-".into(), ArchiveKind::Docker)));
        assert_eq!(place("type=docker"), Ok(Place::Engine));
        assert_eq!(place("type=image,push=true"), Ok(Place::Registry));
        assert_eq!(place("type=image"), Ok(Place::Store));
        assert_eq!(place("out"), Ok(Place::Folder("out".into())));
        assert_eq!(place("type=local,dest=out"), Ok(Place::Folder("out".into())));
        assert_eq!(place("-"), Ok(Place::Tar("-".into())));
        assert_eq!(place("type=tar"), Ok(Place::Tar("-".into())));
        let spec: OutputSpec =
            "type=registry,\"name=a:1,b\",compression=zstd,force-compression=true".parse().unwrap();
        let names: Vec<String> = spec.names.iter().map(Reference::familiar).collect();
        assert_eq!(names.join(" "), "a:1 b:latest");
        assert_eq!((spec.form.compression, spec.form.force), (Some(Compression::Zstd), true));
    }

    #[test]
    fn what_an_output_cannot_have_is_named() {
        for (text, part) in [
            ("type=oci,a", "`a` is not KEY=VALUE"),
            ("type=oci,unpack=true", "`unpack` is not an option"),
            ("type=oci,annotated.x=1", "`annotated.x` is not an option"),
            ("type=oci,annotation-layer.x=1", "`layer` has no annotations"),
            ("type=nowhere", "`nowhere`"),
            ("type=image,push=maybe", "`maybe`"),
            ("type=local", "`dest` is missing"),
            ("type=local,dest=-", "no directory"),
            ("type=local,dest=a,compression=gzip", "`compression` is of images"),
            ("type=tar,dest=a,annotation.x=1", "`annotation.x` is of images"),
            ("type=registry,dest=a", "has no `dest`"),
            ("type=oci,dest=a,push=true", "`push` goes with"),
            ("type=oci,tar=false", "`dest` is missing"),
            ("type=tar,tar=false", "`tar=false` goes with"),
            ("type=oci,compression=lz4", "`lz4`"),
            ("type=oci,oci-mediatypes=false", "OCI's media types"),
        ] {
            let message = text.parse::<OutputSpec>().map(|spec| spec.place).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn annotations_parse_as_in_buildx() {
        let flag = |text: &str| text.parse::<AnnotationSpec>().map(|spec| spec.0);
        let attribute =
            |text: &str| format!("type=oci,{text}").parse::<OutputSpec>().map(|spec| spec.form.annotations);
        for (one, other) in [
            ("a.b=c=d", "annotation.a.b=c=d"),
            ("manifest:a=b", "annotation-manifest.a=b"),
            ("index:a=b", "annotation-index.a=b"),
            ("index-descriptor:a=", "annotation-index-descriptor.a="),
            ("manifest[linux/arm64]:a=b", "annotation[linux/arm64].a=b"),
            ("manifest-descriptor[linux/arm/v7]:a=b", "annotation-manifest-descriptor[linux/arm/v7].a=b"),
        ] {
            assert_eq!(flag(one), attribute(other), "{one}");
            assert_eq!(flag(one).unwrap().len(), 1, "{one}");
        }
        let both = flag("manifest,index:a=b").unwrap();
        assert_eq!(
            both.iter().map(|one| one.on).collect::<Vec<_>>(),
            [AnnotationPlace::Manifest, AnnotationPlace::Index]
        );
        for text in ["a", "=b", "layer:a=b", "manifest[x]:a=b", "index[linux/arm64]:a=b", ":a=b"] {
            assert!(flag(text).is_err(), "{text}");
        }
    }
}
