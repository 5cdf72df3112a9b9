//! The base image: brought into the store, and looked at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use cartwheel_oci::{
    Below, Descriptor, Image, ImageLayout, Layer, LayerFacts, Node, Platform, Reference, Source, import_blob,
};
use cartwheel_store::Store;
use rayon::prelude::*;

use crate::error::{Error, ErrorKind, Result};
use crate::images::ImageRecord;
use crate::interpreter::{EXTRACT_VERSION, Interpreter, interesting};

/// Where a base image is, as `--base` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseReference {
    /// `oci-layout://DIR[:TAG][@DIGEST]` or `oci-archive://FILE[:TAG]`: a layout as directory or tar.
    Layout {
        /// The directory or tar.
        path: PathBuf,
        /// The tag or digest in it.
        name: Option<String>,
    },
    /// `REGISTRY/REPOSITORY:TAG`.
    Image(Reference),
}

impl FromStr for BaseReference {
    type Err = cartwheel_oci::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let layout = text.strip_prefix("oci-layout://").or_else(|| text.strip_prefix("oci-archive://"));
        let Some(rest) = layout else { return Ok(Self::Image(text.parse()?)) };
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (rest, None),
        };
        // A colon after the last slash begins the tag, as in Docker's own `oci-layout://`.
        let name_at = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (path, tag) = match rest[name_at..].split_once(':') {
            Some((name, tag)) => (&rest[..name_at + name.len()], Some(tag)),
            None => (rest, None),
        };
        Ok(Self::Layout { path: path.into(), name: digest.or(tag).map(str::to_owned) })
    }
}

impl fmt::Display for BaseReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(reference) => f.write_str(&reference.familiar()),
            Self::Layout { path, name } => {
                write!(f, "oci-layout://{}", path.display())?;
                let Some(name) = name else { return Ok(()) };
                write!(f, "{}{name}", if name.starts_with("sha256:") { '@' } else { ':' })
            }
        }
    }
}

/// A base image whose blobs are in the store.
#[derive(Debug)]
pub struct Base {
    /// The image.
    pub image: Image,
    /// What its layers make.
    pub below: Below,
    /// Its Python.
    pub interpreter: Interpreter,
}

/// A distribution that is installed in the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    pub(crate) version: String,
    /// The paths of its files in the image.
    pub(crate) files: Vec<String>,
}

impl Base {
    /// Finds the image, copies what the store lacks of it and reads its layers, each once in the store's life.
    pub fn open(store: &Store, reference: &BaseReference, platform: &Platform) -> Result<Self> {
        let image = import(store, reference, platform)?;
        let facts: Result<Vec<LayerFacts>> =
            image.layers().par_iter().map(|layer| facts(store, layer)).collect();
        let below = Below::stack(facts?);
        let interpreter = Interpreter::find(image.config(), &below)?;
        Ok(Self { image, below, interpreter })
    }

    /// What pip would find installed for the base's Python, by normalised name.
    pub(crate) fn installed(&self) -> BTreeMap<String, Installed> {
        let library = self.interpreter.scheme.purelib.trim_start_matches('/');
        let found = self.below.children(library).filter_map(|(path, node)| {
            let record = node.extract()?;
            let folder = path.strip_prefix(library)?.strip_prefix('/')?.strip_suffix(".dist-info/RECORD")?;
            let (name, version) = folder.split_once('-')?;
            let files = recorded_files(record, library);
            Some((normalised(name), Installed { version: version.to_owned(), files }))
        });
        found.collect()
    }

    /// Whether `/etc/passwd` of the base has this user.
    pub(crate) fn has_user(&self, name: &str) -> bool {
        let passwd = self.below.get("etc/passwd").and_then(Node::extract).unwrap_or_default();
        passwd.lines().any(|line| line.split(':').next() == Some(name))
    }
}

/// PEP 503.
fn normalised(name: &str) -> String {
    let mut normalised = String::new();
    for part in name.split(['-', '_', '.']).filter(|part| !part.is_empty()) {
        if !normalised.is_empty() {
            normalised.push('-');
        }
        normalised.push_str(&part.to_lowercase());
    }
    normalised
}

/// The paths that a RECORD lists, in the image. Those that leave the root, and those that are absolute, are left out: they
/// decide what is removed, and a hostile RECORD must not choose that (GHSA-pjjw-68hj-v9mw).
fn recorded_files(record: &str, library: &str) -> Vec<String> {
    let resolve = |path: &str| {
        let mut parts: Vec<&str> = library.split('/').collect();
        for part in path.split('/') {
            match part {
                "" => return None,
                "." => {}
                ".." => drop(parts.pop()?),
                name => parts.push(name),
            }
        }
        Some(parts.join("/"))
    };
    let path = |line: &str| match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map(|(path, _)| path.to_owned()),
        None => line.split(',').next().map(str::to_owned),
    };
    record.lines().filter_map(path).filter_map(|path| resolve(&path)).collect()
}

fn import(store: &Store, reference: &BaseReference, platform: &Platform) -> Result<Image> {
    let failed = |source: cartwheel_oci::Error| {
        Error::from(ErrorKind::Base { reference: reference.to_string(), source: Box::new(source) })
    };
    match reference {
        BaseReference::Layout { path, name } => {
            let layout = ImageLayout::open(path).map_err(failed)?;
            let descriptor = layout.find(name.as_deref()).map_err(failed)?;
            let image = Image::read(&layout, descriptor, platform).map_err(failed)?;
            import_layers(store, &layout, &image).map_err(failed)?;
            Ok(image)
        }
        BaseReference::Image(name) => {
            let found = store.get(&ImageRecord::key(name));
            let record = found.ok_or_else(|| ErrorKind::BaseNotLocal { reference: reference.to_string() })?;
            Image::read(store, &record.manifest, platform).map_err(failed)
        }
    }
}

fn import_layers(store: &Store, source: &dyn Source, image: &Image) -> cartwheel_oci::Result<()> {
    let layers: Vec<&Descriptor> = image.layers().iter().map(|layer| &layer.descriptor).collect();
    layers.into_par_iter().try_for_each(|layer| import_blob(store, source, layer))
}

fn facts(store: &Store, layer: &Layer) -> Result<LayerFacts> {
    let key = LayerFacts::key(layer.descriptor.digest, EXTRACT_VERSION);
    if let Some(facts) = store.get(&key) {
        return Ok(facts);
    }
    let failed = |source| ErrorKind::BaseLayer { layer: layer.descriptor.digest.to_string(), source };
    let blob = store.expect_blob(layer.descriptor.digest)?;
    let (read, facts) = LayerFacts::read(blob.reader(), interesting).map_err(failed)?;
    if read.diff_id != layer.diff_id {
        return Err(failed(std::io::Error::other("its tar has another diff ID than the config says")).into());
    }
    store.put(&key, &facts)?;
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_three_kinds_parse() {
        let layout = |path: &str, name: Option<&str>| BaseReference::Layout {
            path: path.into(),
            name: name.map(str::to_owned),
        };
        let parse = |text: &str| text.parse::<BaseReference>().unwrap();
        assert_eq!(parse("oci-layout://a/b"), layout("a/b", None));
        assert_eq!(parse("oci-layout:///a.b/c:tag"), layout("/a.b/c", Some("tag")));
        assert_eq!(parse("oci-archive://x.tar@sha256:12"), layout("x.tar", Some("sha256:12")));
        assert_eq!(parse("python:3.13-slim").to_string(), "python:3.13-slim");
    }

    #[test]
    fn records_do_not_choose_files_outside() {
        let record =
            "pip/a.py,sha256=x,1\n../../../bin/pip,,\n\"a,b.py\",,\n/etc/passwd,,\n../../../../../../x,,\n";
        let files = recorded_files(record, "usr/local/lib/python3.13/site-packages");
        let library = "usr/local/lib/python3.13/site-packages";
        assert_eq!(
            files,
            [format!("{library}/pip/a.py"), "usr/local/bin/pip".into(), format!("{library}/a,b.py")]
        );
    }
}
