//! Manifests and indexes (image spec, «Image Manifest», «Image Index»).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::descriptor::{Descriptor, media_type};
use crate::error::{Error, ErrorKind, Result};

/// Larger manifests and configs are refused: registries refuse them too, and a hostile one would fill the memory.
pub(crate) const LARGEST_DOCUMENT: u64 = 4 << 20;

/// Lists the config and the layers of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What this document is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The image config.
    pub config: Descriptor,
    /// The lowest first.
    pub layers: Vec<Descriptor>,
    /// Free text by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Lists images, one for each platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// Always 2.
    pub schema_version: u32,
    /// What this document is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The images.
    pub manifests: Vec<Descriptor>,
    /// Free text by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// A manifest in OCI's media type.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        let media_type = Some(media_type::MANIFEST.to_owned());
        Self { schema_version: 2, media_type, config, layers, annotations: BTreeMap::new() }
    }

    /// Reads a manifest. A document that is an index as well is refused (CVE-2021-41190).
    pub fn parse(text: &[u8]) -> Result<Self> {
        parse(text, "manifest", "manifests")
    }
}

impl ImageIndex {
    /// An index in OCI's media type.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        let media_type = Some(media_type::INDEX.to_owned());
        Self { schema_version: 2, media_type, manifests, annotations: BTreeMap::new() }
    }

    /// Reads an index. A document that is a manifest as well is refused (CVE-2021-41190).
    pub fn parse(text: &[u8]) -> Result<Self> {
        parse(text, "image index", "layers")
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &[u8], what: &'static str, foreign: &str) -> Result<T> {
    let invalid = |source| Error::from(ErrorKind::Document { what, source: Box::new(source) });
    let value: serde_json::Value = serde_json::from_slice(text).map_err(invalid)?;
    if value.get(foreign).is_some() {
        return Err(ErrorKind::Ambiguous { what, field: foreign.to_owned() }.into());
    }
    serde_json::from_value(value).map_err(invalid)
}
