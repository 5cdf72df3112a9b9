//! The image config: what a runtime is told, and how the image came to be (image spec, «Image Configuration»).
//!
//! Fields that the spec or Docker add and that nobody here reads (`Healthcheck`, `OnBuild`, …) are kept as they are: a
//! child image must not lose what its base says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::DiffId;
use crate::descriptor::Platform;

/// The config of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When the image was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v8`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `linux`.
    pub os: String,
    /// The system's own version, which only Windows asks for.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What a container of the image is started with.
    #[serde(default)]
    pub config: RuntimeConfig,
    /// The layers' diff IDs, the lowest first.
    pub rootfs: RootFs,
    /// One line for each instruction or layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// What else is in it.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// What a container is started with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RuntimeConfig {
    /// `user[:group]`, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `port/protocol`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, Value>>,
    /// `NAME=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// The command's fixed part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The command, or its default arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Where the command starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Free text by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// What else is in it.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

impl RuntimeConfig {
    /// The environment variables, in order.
    pub fn variables(&self) -> Vec<(String, String)> {
        let pairs = self.env.iter().flatten().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The value of an environment variable.
    pub fn env(&self, name: &str) -> Option<&str> {
        let pairs = self.env.as_deref().unwrap_or_default().iter().filter_map(|line| line.split_once('='));
        pairs.rev().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// The layers' diff IDs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The lowest first.
    pub diff_ids: Vec<DiffId>,
}

/// One line of `docker history`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

impl ImageConfig {
    /// The platform that the image is for.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: self.os_version.clone(),
            variant: self.variant.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Cmd":["a"],"Healthcheck":{"Test":["NONE"]}},"rootfs":{"type":"layers","diff_ids":[]},"docker_version":"1"}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        let again: Value = serde_json::to_value(&config).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn the_last_of_equal_variables_counts() {
        let env = Some(vec!["A=1".to_owned(), "B=x=y".to_owned(), "A=2".to_owned()]);
        let config = RuntimeConfig { env, ..RuntimeConfig::default() };
        assert_eq!((config.env("A"), config.env("B"), config.env("C")), (Some("2"), Some("x=y"), None));
    }
}
