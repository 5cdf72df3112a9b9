//! How the image of a service is built.

use std::collections::BTreeMap;

use crate::check::is_true;
use crate::error::Place;
use crate::location::SERVICE_PREFIX;
use crate::node::{Node, Value};
use crate::schema::bytes;

/// What `build` says, with its paths absolute and its variables replaced.
#[derive(Debug)]
pub struct Build {
    /// The directory or the URL of the files.
    pub context: String,
    /// The Dockerfile, absolute or in the context, if one is named.
    pub dockerfile: Option<String>,
    /// The text of a Dockerfile that is in no file.
    pub dockerfile_inline: Option<String>,
    /// The stage to build.
    pub target: Option<String>,
    /// Values of `ARG`s.
    pub args: BTreeMap<String, String>,
    /// Contexts by the names that the Dockerfile has for them.
    pub additional_contexts: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Further names of the image.
    pub tags: Vec<String>,
    /// The platforms that it is built for.
    pub platforms: Vec<String>,
    /// Whether everything is done anew.
    pub no_cache: bool,
    /// The stages that are done anew.
    pub no_cache_filter: Vec<String>,
    /// Whether registries are asked for newer base images.
    pub pull: bool,
    /// Where layers are taken from and brought to, as `--cache-from` and `--cache-to` say it.
    pub cache_from: Vec<String>,
    /// See [`Build::cache_from`].
    pub cache_to: Vec<String>,
    /// Secrets that commands can mount.
    pub secrets: Vec<Secret>,
    /// Agents and keys that commands can mount: what each is called, and its path if it has one.
    pub ssh: Vec<(String, Option<String>)>,
    /// The network of commands.
    pub network: Option<String>,
    /// Hosts and their addresses.
    pub extra_hosts: Vec<(String, String)>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<i64>,
    /// Limits, as `--ulimit` says them.
    pub ulimits: Vec<String>,
    /// What commands may do besides what they always may.
    pub entitlements: Vec<String>,
    /// Whether commands may do everything.
    pub privileged: bool,
    /// How commands are kept apart from the machine.
    pub isolation: Option<String>,
    /// Which attestation of its origin the image has.
    pub provenance: Option<String>,
    /// Which list of its parts the image has.
    pub sbom: Option<String>,
    places: BTreeMap<String, Place>,
    place: Place,
}

/// A secret of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// What commands call it.
    pub id: String,
    /// Where it is from.
    pub source: SecretSource,
}

/// Where a secret is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file.
    File(String),
    /// A variable of the environment.
    Variable(String),
    /// Somewhere that only a cluster knows.
    External,
}

impl Build {
    /// Where a key is said, or else where the build is.
    pub fn place_of(&self, key: &str) -> &Place {
        self.places.get(key).unwrap_or(&self.place)
    }

    /// The services whose images are contexts of this build.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.additional_contexts.values().filter_map(|context| context.strip_prefix(SERVICE_PREFIX))
    }

    pub(crate) fn of(node: &Node, document: &Node) -> Self {
        let text = |name| node.text_of(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let texts = |name| match node.member(name) {
            Some(Node { value: Value::String(text), .. }) => vec![text.clone()],
            other => other.map_or(&[][..], Node::items).iter().map(Node::text).collect(),
        };
        let map = |name| assignments(node.member(name)).into_iter().collect();
        let keys = node.as_map().into_iter().flat_map(|map| map.keys());
        Self {
            context: text("context").unwrap_or_else(|| ".".to_owned()),
            dockerfile: text("dockerfile"),
            dockerfile_inline: text("dockerfile_inline"),
            target: text("target"),
            args: map("args"),
            additional_contexts: map("additional_contexts"),
            labels: map("labels"),
            tags: texts("tags"),
            platforms: texts("platforms"),
            no_cache: is_true(node.member("no_cache")),
            no_cache_filter: texts("no_cache_filter"),
            pull: is_true(node.member("pull")),
            cache_from: texts("cache_from"),
            cache_to: texts("cache_to"),
            secrets: secrets(node, document),
            ssh: node.member("ssh").map_or_else(Vec::new, ssh),
            network: text("network"),
            extra_hosts: node.member("extra_hosts").map_or_else(Vec::new, hosts),
            shm_size: node.member("shm_size").and_then(|size| bytes(&size.text())),
            ulimits: node.member("ulimits").map_or_else(Vec::new, ulimits),
            entitlements: texts("entitlements"),
            privileged: is_true(node.member("privileged")),
            isolation: text("isolation"),
            provenance: text("provenance"),
            sbom: text("sbom"),
            places: keys.map(|key| (key.name.clone(), key.place.clone())).collect(),
            place: node.place.clone(),
        }
    }
}

/// `NAME=value`s in either form; a name alone has an empty value.
fn assignments(node: Option<&Node>) -> Vec<(String, String)> {
    let Some(node) = node else { return Vec::new() };
    let listed = node.items().iter().map(|item| {
        let text = item.text();
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        (name.to_owned(), value.to_owned())
    });
    let mapped = node.as_map().into_iter().flatten().map(|(key, value)| (key.name.clone(), value.text()));
    listed.chain(mapped).collect()
}

fn secrets(build: &Node, document: &Node) -> Vec<Secret> {
    let secret = |mount: &Node| {
        let name = mount.text_of("source").unwrap_or_default();
        let described = document.member("secrets").and_then(|secrets| secrets.member(name));
        let text = |key| described.and_then(|secret| secret.text_of(key)).filter(|text| !text.is_empty());
        let source = match (text("file"), text("environment")) {
            (Some(file), _) => SecretSource::File(file.to_owned()),
            (None, Some(variable)) => SecretSource::Variable(variable.to_owned()),
            (None, None) => SecretSource::External,
        };
        Secret { id: mount.text_of("target").unwrap_or(name).to_owned(), source }
    };
    build.member("secrets").map_or(&[][..], Node::items).iter().map(secret).collect()
}

fn ssh(node: &Node) -> Vec<(String, Option<String>)> {
    let path = |value: &Node| Some(value.text()).filter(|_| !value.is_null());
    node.as_map().into_iter().flatten().map(|(key, value)| (key.name.clone(), path(value))).collect()
}

fn hosts(node: &Node) -> Vec<(String, String)> {
    let mut hosts = Vec::new();
    let mut add = |host: &str, address: &str| {
        let inner = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
        hosts.push((host.to_owned(), inner.unwrap_or(address).to_owned()));
    };
    for item in node.items() {
        let text = item.text();
        if let Some((host, addresses)) = text.split_once('=').or_else(|| text.split_once(':')) {
            addresses.split(',').for_each(|address| add(host, address));
        }
    }
    for (key, value) in node.as_map().into_iter().flatten() {
        match &value.value {
            Value::List(addresses) => addresses.iter().for_each(|address| add(&key.name, &address.text())),
            _ => add(&key.name, &value.text()),
        }
    }
    hosts
}

fn ulimits(node: &Node) -> Vec<String> {
    let limit = |value: &Node| match (value.member("soft"), value.member("hard")) {
        (Some(soft), Some(hard)) => format!("{}:{}", soft.text(), hard.text()),
        _ => value.text(),
    };
    let limits = node.as_map().into_iter().flatten();
    limits.map(|(key, value)| format!("{}={}", key.name, limit(value))).collect()
}
