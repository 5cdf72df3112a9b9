//! Descriptors: how one blob of an image refers to another (image spec, «OCI Content Descriptors»).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use cartwheel_store::Digest;
use serde::{Deserialize, Serialize};

/// The media types that cartwheel writes, and the Docker ones that it reads as the same thing.
pub mod media_type {
    /// An image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image config.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer, tar with gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer, tar as it is.
    pub const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer, tar with Zstandard.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's image index.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's image manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's layer, tar with gzip.
    const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

    /// OCI's media type for the bytes of a layer: an OCI manifest may not list layers in Docker's.
    pub(crate) fn of_layer(media_type: &str) -> &str {
        if media_type == DOCKER_LAYER { LAYER_GZIP } else { media_type }
    }
}

/// The annotation by which a layout names its images.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation by which BuildKit and containerd name them, in full.
pub(crate) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Refers to a blob by digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// The blob's digest.
    pub digest: Digest,
    /// The blob's size in bytes.
    pub size: u64,
    /// For which platform it is, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free text by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A descriptor without platform or annotations.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, platform: None, annotations: BTreeMap::new() }
    }

    /// The same without the names by which layouts list it.
    pub(crate) fn without_name(&self) -> Self {
        let mut descriptor = self.clone();
        descriptor.annotations.retain(|key, _| key != REF_NAME && key != CONTAINERD_NAME);
        descriptor
    }

    /// Whether it refers to an image index (OCI's or Docker's).
    pub fn is_index(&self) -> bool {
        matches!(self.media_type.as_str(), media_type::INDEX | media_type::DOCKER_INDEX)
    }

    /// Whether it refers to an image manifest (OCI's or Docker's).
    pub fn is_manifest(&self) -> bool {
        matches!(self.media_type.as_str(), media_type::MANIFEST | media_type::DOCKER_MANIFEST)
    }
}

/// An operating system and architecture, in Go's names (image spec, «Image Index»): `linux/arm64/v8`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// The system's own version, which only Windows asks for: `10.0.20348.1`.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// `v8`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Whether an image for `self` runs where `wanted` is asked for. arm64 is arm64/v8.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let version = wanted.os_version.is_none() || self.os_version == wanted.os_version;
        let is_same = self.os == wanted.os && self.architecture == wanted.architecture;
        is_same && version && self.level() == wanted.level()
    }

    fn level(&self) -> Option<&str> {
        let implied = (self.architecture == "arm64").then_some("v8");
        self.variant.as_deref().or(implied)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.os_version.as_ref().map(|version| format!("({version})")).unwrap_or_default();
        write!(f, "{}{version}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// Reads the names of the specification; what users write besides them is for whoever asks the users.
impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, ParsePlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_name = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(ParsePlatformError { text: text.to_owned() }),
        };
        if !parts.iter().all(is_name) {
            return Err(ParsePlatformError { text: text.to_owned() });
        }
        let variant = variant.map(str::to_owned);
        Ok(Self { architecture: architecture.to_owned(), os: os.to_owned(), os_version: None, variant })
    }
}

/// What was given is not `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a platform (`os/architecture[/variant]`, as `linux/arm64`)")]
pub struct ParsePlatformError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_what_they_satisfy() {
        let platform: Platform = "linux/arm64".parse().unwrap();
        assert_eq!(platform.to_string(), "linux/arm64");
        assert!("linux/arm64/v8".parse::<Platform>().unwrap().satisfies(&platform));
        assert!(!"linux/arm64/v9".parse::<Platform>().unwrap().satisfies(&platform));
        assert!("linux".parse::<Platform>().is_err() && "linux/".parse::<Platform>().is_err());
    }
}
