//! The images that a build begins with or copies from.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use cartwheel_oci::{
    Descriptor, Documents, Image, ImageLayout, Platform, Reference, RegistryClient, import_blob,
    remember_origin,
};
use cartwheel_store::{Key, Record, Store};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::images::ImageRecord;

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

/// The images that a build begins with: found here or elsewhere, each once.
pub struct Images<'a> {
    store: &'a Store,
    registries: Option<&'a RegistryClient>,
    pull: bool,
    own: &'a [Reference],
    found: Mutex<HashMap<(String, String), Image>>,
}

impl<'a> Images<'a> {
    /// The images of `store`.
    pub fn new(store: &'a Store) -> Self {
        Self { store, registries: None, pull: false, own: &[], found: Mutex::default() }
    }

    /// The images of the store and of registries. With `pull`, registries are asked for what is here, too.
    #[must_use]
    pub fn with_registries(self, registries: &'a RegistryClient, pull: bool) -> Self {
        Self { registries: Some(registries), pull, ..self }
    }

    /// Images of the store that no registry is asked for.
    #[must_use]
    pub fn with_own(self, own: &'a [Reference]) -> Self {
        Self { own, ..self }
    }

    /// Where layers can be had that the store lacks.
    pub(crate) fn registries(&self) -> Option<&'a RegistryClient> {
        self.registries
    }

    /// Finds an image. Layers that lie in a registry stay there.
    pub fn open(&self, reference: &BaseReference, platform: &Platform) -> Result<Image> {
        let key = (reference.to_string(), platform.to_string());
        let known = |found: &HashMap<_, Image>| found.get(&key).cloned();
        if let Some(found) = known(&self.found.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(found);
        }
        let image = self.find(reference, platform)?;
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(key, image.clone());
        Ok(image)
    }

    fn find(&self, reference: &BaseReference, platform: &Platform) -> Result<Image> {
        let failed = |source: cartwheel_oci::Error| {
            Error::from(ErrorKind::Base { reference: reference.to_string(), source: Box::new(source) })
        };
        match reference {
            BaseReference::Layout { path, name } => {
                let layout = ImageLayout::open(path).map_err(failed)?;
                let descriptor = layout.find(name.as_deref()).map_err(failed)?;
                let image = Image::read(&layout, descriptor, platform).map_err(failed)?;
                let layers: Vec<&Descriptor> = image.layers().iter().map(|layer| &layer.descriptor).collect();
                let import = |layer: &Descriptor| import_blob(self.store, &layout, layer);
                layers.into_par_iter().try_for_each(import).map_err(failed)?;
                Ok(image)
            }
            BaseReference::Image(name) => self.find_by_name(name, platform, &failed),
        }
    }

    /// An image by its name: one that was built or pulled, one that a registry gave before, or one that it gives now.
    fn find_by_name(
        &self,
        name: &Reference,
        platform: &Platform,
        failed: &dyn Fn(cartwheel_oci::Error) -> Error,
    ) -> Result<Image> {
        let asks = self.pull && !self.own.contains(name);
        if let Some(record) = self.store.get(&ImageRecord::key(name)).filter(|_| !asks) {
            match Image::read(self.store, &record.manifest, platform) {
                // The registry may have it for this platform, as Docker takes it.
                Err(error) if is_of_other_platform(&error) && self.registries.is_some() => {}
                image => return image.map_err(failed),
            }
        }
        let key = Key::<ResolvedRecord>::new().with("name", name).with("platform", platform);
        let kept = self.store.get(&key).filter(|_| !self.pull);
        if let Some(kept) = kept
            && let Ok(image) = Image::read(self.store, &kept.manifest, platform)
        {
            return Ok(image);
        }
        let Some(registries) = self.registries else {
            return Err(ErrorKind::BaseNotLocal { reference: name.familiar() }.into());
        };
        let repository = registries.repository(name);
        let descriptor = repository.resolve(name).map_err(failed)?;
        let manifest = Image::pick(&repository, &descriptor, platform).map_err(failed)?;
        let image = Image::read(&repository, &manifest, platform).map_err(failed)?;
        // The documents are small, and the next build then asks nobody.
        let (documents, _) = Documents::read(&repository, &manifest).map_err(failed)?;
        self.store.put_blob(&documents.manifest)?;
        self.store.put_blob(&documents.config)?;
        remember_origin(self.store, image.layers(), name)?;
        self.store.put(&key, &ResolvedRecord { manifest })?;
        Ok(image)
    }
}

fn is_of_other_platform(error: &cartwheel_oci::Error) -> bool {
    matches!(error.kind(), cartwheel_oci::ErrorKind::NoSuchPlatform { .. })
}

/// What a registry said a name is.
#[derive(Debug, Serialize, Deserialize)]
struct ResolvedRecord {
    manifest: Descriptor,
}

impl Record for ResolvedRecord {
    const KIND: &'static str = "resolved-1";
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
}
