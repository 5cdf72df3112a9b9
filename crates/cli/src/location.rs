//! Where an image is, in the words of skopeo and buildx.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cartwheel_build::{StoreWriter, find_image};
use cartwheel_oci::{
    ArchiveKind, Descriptor, ImageLayout, Reference, RegistryClient, Sink, Source, StoreAndOrigins,
};
use cartwheel_store::Store;

use crate::engines::engine;
use crate::error::Failure;
use crate::settings::Settings;

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// `NAME`: the local store if it is there, else a registry.
    Name(Reference),
    /// `docker://REFERENCE`.
    Registry(Reference),
    /// `cartwheel:NAME`.
    Store(Reference),
    /// `oci:DIR[:TAG]` or `oci-layout://DIR[:TAG]`.
    Layout(PathBuf, Option<String>),
    /// `oci-archive:FILE[:TAG]` or `docker-archive:FILE[:NAME]`.
    Archive(ArchiveKind, PathBuf, Option<String>),
    /// `docker-daemon:NAME`.
    Engine(Reference),
}

/// An image to read: where its bytes are, and what refers to it.
pub(crate) struct Opened<'a> {
    pub(crate) source: Box<dyn Source + 'a>,
    pub(crate) descriptor: Descriptor,
    /// Its name, if it has one.
    pub(crate) name: Option<Reference>,
    /// Whether the name is one in a registry, which can lend the layers.
    pub(crate) is_remote: bool,
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let reference = |text: &str| text.parse::<Reference>().map_err(|error| error.to_string());
        let place = |text: &str| {
            let (path, name) = split(text.strip_prefix("//").unwrap_or(text));
            if path.as_os_str().is_empty() {
                Err(format!("`{text}` names no path"))
            } else {
                Ok((path, name))
            }
        };
        let (kind, rest) = text.split_once(':').unwrap_or(("", text));
        match kind {
            "docker" if rest.starts_with("//") => {
                Ok(Self::Registry(reference(rest.trim_start_matches('/'))?))
            }
            "cartwheel" => Ok(Self::Store(reference(rest)?)),
            "oci" | "oci-layout" => place(rest).map(|(path, name)| Self::Layout(path, name)),
            "oci-archive" => place(rest).map(|(path, name)| Self::Archive(ArchiveKind::Oci, path, name)),
            "docker-archive" => {
                place(rest).map(|(path, name)| Self::Archive(ArchiveKind::Docker, path, name))
            }
            "docker-daemon" => Ok(Self::Engine(reference(rest)?)),
            "dir" | "containers-storage" | "ostree" | "sif" => Err(format!(
                "`{kind}:` is not there; there are docker://, cartwheel:, oci:, oci-archive:, docker-archive: and docker-daemon:"
            )),
            _ => Ok(Self::Name(reference(text)?)),
        }
    }
}

/// A path and what comes after the colon behind its last slash, or after its `@`.
fn split(text: &str) -> (PathBuf, Option<String>) {
    if let Some((path, digest)) = text.split_once("@sha256:") {
        return (path.into(), Some(format!("sha256:{digest}")));
    }
    // A name in an archive may have slashes, but a path seldom has a colon: the first one ends it.
    match text.split_once(':') {
        Some((path, name)) if !name.is_empty() => (path.into(), Some(name.to_owned())),
        Some((path, _)) => (path.into(), None),
        None => (text.into(), None),
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |f: &mut fmt::Formatter<'_>, kind: &str, path: &Path, name: &Option<String>| {
            write!(f, "{kind}:{}", path.display())?;
            name.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
        };
        match self {
            Self::Name(name) => f.write_str(&name.familiar()),
            Self::Registry(name) => write!(f, "docker://{name}"),
            Self::Store(name) => write!(f, "cartwheel:{}", name.familiar()),
            Self::Engine(name) => write!(f, "docker-daemon:{}", name.familiar()),
            Self::Layout(path, name) => named(f, "oci", path, name),
            Self::Archive(ArchiveKind::Oci, path, name) => named(f, "oci-archive", path, name),
            Self::Archive(ArchiveKind::Docker, path, name) => named(f, "docker-archive", path, name),
        }
    }
}

impl Location {
    /// Opens the image that is here.
    pub(crate) fn open<'a>(
        &self,
        store: &'a Store,
        client: &'a RegistryClient,
        settings: &Settings,
    ) -> Result<Opened<'a>, Failure> {
        match self {
            Self::Engine(name) => {
                let layout = engine(settings)?.image(name, store.scratch()?)?;
                let descriptor = match layout.images() {
                    [one] => one.clone(),
                    _ => layout.find(Some(&name.to_string()))?.clone(),
                };
                let name = Some(name.clone());
                Ok(Opened { source: Box::new(layout), descriptor, name, is_remote: false })
            }
            Self::Name(name) if find_image(store, name).is_none() => open_remote(client, name),
            Self::Registry(name) => open_remote(client, name),
            Self::Name(name) | Self::Store(name) => open_stored(store, client, name),
            Self::Layout(path, name) | Self::Archive(_, path, name) => {
                let layout = ImageLayout::open(path)?;
                let descriptor = find(&layout, name.as_deref())?;
                Ok(Opened { source: Box::new(layout), descriptor, name: None, is_remote: false })
            }
        }
    }
}

/// The image of this name; in an archive for Docker, names are as `docker images` shows them.
fn find(layout: &ImageLayout, name: Option<&str>) -> Result<Descriptor, Failure> {
    let full = name.and_then(|name| Some(name.parse::<Reference>().ok()?.to_string()));
    match full.map(|full| layout.find(Some(&full))) {
        Some(Ok(descriptor)) => Ok(descriptor.clone()),
        _ => Ok(layout.find(name)?.clone()),
    }
}

fn open_remote<'a>(client: &'a RegistryClient, name: &Reference) -> Result<Opened<'a>, Failure> {
    let repository = client.repository(name);
    let descriptor = repository.resolve(name)?;
    Ok(Opened { source: Box::new(repository), descriptor, name: Some(name.clone()), is_remote: true })
}

fn open_stored<'a>(
    store: &'a Store,
    client: &'a RegistryClient,
    name: &Reference,
) -> Result<Opened<'a>, Failure> {
    let descriptor = stored(store, name)?;
    let source = Box::new(StoreAndOrigins { store, client });
    Ok(Opened { source, descriptor, name: Some(name.clone()), is_remote: false })
}

/// What the store knows under this name.
pub(crate) fn stored(store: &Store, name: &Reference) -> Result<Descriptor, Failure> {
    let record = find_image(store, name);
    let missing = || Failure::user(format!("image `{}` is not in the local store", name.familiar()));
    record
        .map(|record| record.manifest)
        .ok_or_else(|| missing().with_hint("`cartwheel images` lists what is there"))
}

/// The local store as a sink.
pub(crate) fn store_sink(store: &Store) -> Box<dyn Sink + '_> {
    Box::new(StoreWriter::new(store))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Location {
        text.parse().unwrap()
    }

    #[test]
    fn locations_are_those_of_skopeo() {
        let name = |text: &str| text.parse::<Reference>().unwrap();
        assert_eq!(parse("app:1"), Location::Name(name("app:1")));
        assert_eq!(parse("127.0.0.1:5000/a"), Location::Name(name("127.0.0.1:5000/a")));
        assert_eq!(parse("docker://example.org/a:1"), Location::Registry(name("example.org/a:1")));
        assert_eq!(parse("cartwheel:app:1"), Location::Store(name("app:1")));
        let layout = |path: &str, name: Option<&str>| Location::Layout(path.into(), name.map(str::to_owned));
        assert_eq!(parse("oci:a/b"), layout("a/b", None));
        assert_eq!(parse("oci:/a/b:1"), layout("/a/b", Some("1")));
        assert_eq!(parse("oci-layout:///a/b:1"), layout("/a/b", Some("1")));
        let archive =
            |kind, path: &str, name: &str| Location::Archive(kind, path.into(), Some(name.to_owned()));
        assert_eq!(parse("oci-archive:a.tar:x"), archive(ArchiveKind::Oci, "a.tar", "x"));
        assert_eq!(parse("docker-archive:a.tar:b/c:1"), archive(ArchiveKind::Docker, "a.tar", "b/c:1"));
        for text in ["", "oci:", "docker:x:y:z", "dir:x", "docker-daemon:", "A"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
        for text in [
            "app:1",
            "docker://example.org/a:1",
            "oci:a:1",
            "oci-archive:a:1",
            "docker-archive:a:1",
            "docker-daemon:a:1",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
    }
}
