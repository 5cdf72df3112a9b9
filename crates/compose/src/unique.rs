//! Lists in which an item may come once: of two for the same name, port or target, the later one counts.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::node::{Node, Value};
use crate::path::Path;
use crate::volume::Volume;

/// By what two items of a list are the same.
#[derive(Debug, Clone, Copy)]
enum Identity {
    /// What is before `=`.
    Name,
    /// The path in the container.
    VolumeTarget,
    /// The same, for devices.
    DeviceTarget,
    /// Where a config or secret is mounted, below a default directory.
    MountTarget(&'static str),
    /// The path of a file of variables.
    EnvFile,
    /// The whole item.
    Text,
    /// Address, both ports and protocol.
    Port,
}

const LISTS: &[(&str, Identity)] = &[
    ("networks.*.labels", Identity::Name),
    ("networks.*.ipam.options", Identity::Name),
    ("services.*.annotations", Identity::Name),
    ("services.*.build.args", Identity::Name),
    ("services.*.build.additional_contexts", Identity::Name),
    ("services.*.build.tags", Identity::Name),
    ("services.*.build.labels", Identity::Name),
    ("services.*.cap_add", Identity::Name),
    ("services.*.cap_drop", Identity::Name),
    ("services.*.configs", Identity::MountTarget("")),
    ("services.*.deploy.labels", Identity::Name),
    ("services.*.dns", Identity::Name),
    ("services.*.dns_opt", Identity::Name),
    ("services.*.dns_search", Identity::Name),
    ("services.*.environment", Identity::Name),
    ("services.*.env_file", Identity::EnvFile),
    ("services.*.expose", Identity::Text),
    ("services.*.labels", Identity::Name),
    ("services.*.links", Identity::Name),
    ("services.*.networks.*.aliases", Identity::Name),
    ("services.*.networks.*.link_local_ips", Identity::Name),
    ("services.*.ports", Identity::Port),
    ("services.*.profiles", Identity::Name),
    ("services.*.secrets", Identity::MountTarget("/run/secrets")),
    ("services.*.sysctls", Identity::Name),
    ("services.*.tmpfs", Identity::Name),
    ("services.*.volumes", Identity::VolumeTarget),
    ("services.*.devices", Identity::DeviceTarget),
];

/// Leaves of each such list the last of the items that are the same, in the place of the first.
pub(crate) fn make_unique(node: &mut Node, path: &Path<'_>) -> Result<()> {
    match &mut node.value {
        Value::Map(map) => {
            map.iter_mut().try_for_each(|(key, member)| make_unique(member, &path.to(&key.name)))
        }
        Value::List(items) => match LISTS.iter().find(|(pattern, _)| path.matches(pattern)) {
            Some((_, identity)) => {
                *items = last_of_each(std::mem::take(items), *identity, path)?;
                Ok(())
            }
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn last_of_each(items: Vec<Node>, identity: Identity, path: &Path<'_>) -> Result<Vec<Node>> {
    let mut unique: Vec<Node> = Vec::new();
    let mut known = HashMap::new();
    for item in items {
        let index = *known.entry(identity.of(&item, path)?).or_insert(unique.len());
        match unique.get_mut(index) {
            Some(earlier) => *earlier = item,
            None => unique.push(item),
        }
    }
    Ok(unique)
}

impl Identity {
    fn of(self, item: &Node, path: &Path<'_>) -> Result<String> {
        let missing =
            |what: &str| Error::invalid(&item.place, format!("an item of `{path}` has no `{what}`"));
        match (self, &item.value) {
            (Self::Name, Value::String(text)) => {
                Ok(text.split_once('=').map_or(&**text, |(name, _)| name).to_owned())
            }
            (Self::VolumeTarget, Value::String(text)) => Ok(Volume::parse(text, &item.place)?.target),
            (Self::DeviceTarget, Value::String(text)) => {
                let mut parts = text.split(':');
                let source = parts.next().unwrap_or_default();
                Ok(parts.next().unwrap_or(source).to_owned())
            }
            (Self::VolumeTarget | Self::DeviceTarget, Value::Map(_)) => {
                item.text_of("target").map(str::to_owned).ok_or_else(|| missing("target"))
            }
            (Self::MountTarget(directory), Value::String(text)) => Ok(format!("{directory}/{text}")),
            (Self::MountTarget(directory), Value::Map(_)) => Ok(item.text_of("target").map_or_else(
                || format!("{directory}/{}", item.text_of("source").unwrap_or_default()),
                str::to_owned,
            )),
            (Self::EnvFile, Value::Map(_)) => {
                item.text_of("path").map(str::to_owned).ok_or_else(|| missing("path"))
            }
            (Self::Port, Value::Map(_)) => port(item).ok_or_else(|| missing("target")),
            (Self::Text | Self::EnvFile, Value::String(_))
            | (Self::Text, Value::Integer(_))
            | (Self::Port, Value::String(_) | Value::Integer(_)) => Ok(item.text()),
            _ => Err(Error::invalid(&item.place, format!("an item of `{path}` cannot be {}", item.kind()))),
        }
    }
}

fn port(item: &Node) -> Option<String> {
    let text = |name: &str| item.member(name).map(Node::text);
    let address = text("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned());
    let protocol = text("protocol").unwrap_or_else(|| "tcp".to_owned());
    Some(format!("{address}:{}:{}/{protocol}", text("published").unwrap_or_default(), text("target")?))
}
