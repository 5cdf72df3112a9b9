//! Short forms as the long ones that they stand for, so that everything after this sees one form.

use std::net::IpAddr;

use crate::error::{Error, Result};
use crate::merge::{with_dependencies, with_names};
use crate::node::{Key, Node, Value};
use crate::path::{ITEM, Path};
use crate::volume::Volume;

/// A short form.
#[derive(Debug, Clone, Copy)]
enum Short {
    /// A context alone.
    Build,
    /// The source of a secret or config.
    Mount,
    /// Any scalar for a text.
    Text,
    /// A list of `NAME=value`.
    Assignments,
    /// A list of `default` and `ID=path`.
    Ssh,
    /// A list of services.
    DependsOn,
    /// Paths of files.
    EnvFile,
    /// One item for a list.
    List,
    /// A service alone.
    Extends,
    /// `all`.
    Gpus,
    /// A list of names.
    Names,
    Volume,
    Device,
    Ports,
    /// One number for both limits, as it may stay.
    Ulimit,
    /// A mapping where `true` is meant.
    External,
}

const FORMS: &[(&str, Short)] = &[
    ("services.*.build", Short::Build),
    ("services.*.build.secrets.*", Short::Mount),
    ("services.*.build.provenance", Short::Text),
    ("services.*.build.sbom", Short::Text),
    ("services.*.build.additional_contexts", Short::Assignments),
    ("services.*.build.ssh", Short::Ssh),
    ("services.*.build.ulimits.*", Short::Ulimit),
    ("services.*.depends_on", Short::DependsOn),
    ("services.*.env_file", Short::EnvFile),
    ("services.*.label_file", Short::List),
    ("services.*.extends", Short::Extends),
    ("services.*.gpus", Short::Gpus),
    ("services.*.networks", Short::Names),
    ("services.*.models", Short::Names),
    ("services.*.volumes.*", Short::Volume),
    ("services.*.dns", Short::List),
    ("services.*.devices.*", Short::Device),
    ("services.*.secrets.*", Short::Mount),
    ("services.*.configs.*", Short::Mount),
    ("services.*.ports", Short::Ports),
    ("services.*.ulimits.*", Short::Ulimit),
    ("services.*.develop.watch.*.ignore", Short::List),
    ("services.*.develop.watch.*.include", Short::List),
    ("volumes.*", Short::External),
    ("networks.*", Short::External),
    ("secrets.*", Short::External),
    ("configs.*", Short::External),
];

/// Writes out the short forms in a document.
pub(crate) fn canonical(node: Node, path: &Path<'_>) -> Result<Node> {
    let form = FORMS.iter().find(|(pattern, _)| path.matches(pattern)).map(|(_, form)| *form);
    let mut node = match form {
        Some(form) => form.written_out(node, path)?,
        None => node,
    };
    match &mut node.value {
        Value::Map(map) => {
            for (key, member) in std::mem::take(map) {
                let member = canonical(member, &path.to(&key.name))?;
                map.insert(key, member);
            }
        }
        Value::List(items) => {
            let written: Result<_> =
                std::mem::take(items).into_iter().map(|item| canonical(item, &path.to(ITEM))).collect();
            *items = written?;
        }
        _ => {}
    }
    Ok(node)
}

impl Short {
    fn written_out(self, node: Node, path: &Path<'_>) -> Result<Node> {
        let place = node.place.clone();
        match (self, &node.value) {
            (Self::Build, Value::String(_)) => Ok(only_member("context", node)),
            (Self::Mount, Value::String(_)) => Ok(only_member("source", node)),
            (Self::Extends, Value::String(_)) => Ok(only_member("service", node)),
            (Self::Text, _) => Ok(Node::string(node.text(), &place)),
            (Self::Assignments, Value::List(items)) => assignments(items, &place, path),
            (Self::Ssh, Value::List(items)) => ssh(items, &place, path),
            (Self::DependsOn, _) => Ok(depends_on(node)),
            (Self::EnvFile, Value::List(_) | Value::String(_)) => Ok(env_files(node)),
            (Self::List, Value::String(_)) => Ok(Node::new(Value::List(vec![node]), &place)),
            (Self::Gpus, Value::String(_)) => {
                Ok(Node::new(Value::List(vec![only_member("count", node)]), &place))
            }
            (Self::Names, _) => Ok(with_names(node, &[])),
            (Self::Volume, Value::String(text)) => Ok(Volume::parse(text, &place)?.node(&place)),
            (Self::Device, Value::String(text)) => device(text, &place),
            (Self::Ports, _) => node.items().iter().try_for_each(check_port).map(|()| node),
            (Self::Ulimit, Value::String(text)) => {
                Err(Error::invalid(&place, format!("`{path}` is `{text}`, which is no integer")))
            }
            (Self::External, _) => external(node),
            _ => Ok(node),
        }
    }
}

fn only_member(name: &str, node: Node) -> Node {
    Node::map([(name, node.value)], &node.place)
}

fn assignments(items: &[Node], place: &crate::Place, path: &Path<'_>) -> Result<Node> {
    let pair = |item: &Node| {
        let text = item.text();
        let refuse =
            || Error::invalid(&item.place, format!("`{text}` in `{path}` is not of the form NAME=VALUE"));
        let (name, value) = text.split_once('=').ok_or_else(refuse)?;
        Ok((Key::new(name, &item.place), Node::string(value, &item.place)))
    };
    let map: Result<_> = items.iter().map(pair).collect();
    Ok(Node::new(Value::Map(map?), place))
}

fn ssh(items: &[Node], place: &crate::Place, path: &Path<'_>) -> Result<Node> {
    let pair = |item: &Node| {
        let text = item.text();
        let key = |name: &str| Key::new(name, &item.place);
        match text.split_once('=') {
            Some((id, value)) => Ok((key(id), Node::string(value, &item.place))),
            None if text == "default" => Ok((key(&text), Node::new(Value::Null, &item.place))),
            None => {
                let message = format!("`{text}` in `{path}` is neither `default` nor of the form ID=PATH");
                Err(Error::invalid(&item.place, message))
            }
        }
    };
    let map: Result<_> = items.iter().map(pair).collect();
    Ok(Node::new(Value::Map(map?), place))
}

/// The mapping form, in which the list form has its defaults and so have members that were left out.
fn depends_on(node: Node) -> Node {
    let mut node = with_dependencies(node);
    for dependency in node.as_map_mut().into_iter().flat_map(|map| map.values_mut()) {
        let place = dependency.place.clone();
        if let Some(map) = dependency.as_map_mut() {
            map.entry(Key::new("required", &place)).or_insert(Node::new(Value::Bool(true), &place));
        }
    }
    node
}

fn env_files(node: Node) -> Node {
    let place = node.place.clone();
    let items = match node.value {
        Value::List(items) => items,
        _ => vec![node],
    };
    let long = |item: Node| if item.as_str().is_some() { only_member("path", item) } else { item };
    Node::new(Value::List(items.into_iter().map(long).collect()), &place)
}

fn device(text: &str, place: &crate::Place) -> Result<Node> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (source, source, &"rwm"),
        [source, target] => (source, target, &"rwm"),
        [source, target, permissions] => (source, target, permissions),
        _ => return Err(Error::invalid(place, format!("device `{text}` has too many colons"))),
    };
    let members = [("source", source), ("target", target), ("permissions", permissions)];
    Ok(Node::map(members.map(|(name, value)| (name, Value::String((*value).to_owned()))), place))
}

/// An old form: `external: {name: …}`.
fn external(mut node: Node) -> Result<Node> {
    let Some(map) = node.as_map_mut() else { return Ok(node) };
    let Some(external) = map.get_mut("external") else { return Ok(node) };
    let place = external.place.clone();
    let Some(long) = external.as_map() else { return Ok(node) };
    let name = long.get("name").cloned();
    external.value = Value::Bool(true);
    if let Some(name) = name {
        let key = Key::new("name", &place);
        if map.entry(key).or_insert_with(|| name.clone()) != &name {
            return Err(Error::invalid(
                &name.place,
                "`name` and `external.name` differ: only `name` is needed",
            ));
        }
    }
    Ok(node)
}

/// Checks the short form of a port: `[[address:]published:]target[/protocol]`, both ports perhaps ranges.
fn check_port(node: &Node) -> Result<()> {
    if node.as_map().is_some() {
        return Ok(());
    }
    let text = node.text();
    let refuse = |why: &str| Error::invalid(&node.place, format!("port `{text}` {why}"));
    let (addresses, target) = text.rsplit_once(':').unwrap_or(("", &text));
    let (address, published) = addresses.rsplit_once(':').unwrap_or(("", addresses));
    let (target, protocol) = match target.split_once('/') {
        Some((target, protocol)) if !protocol.is_empty() => (target, protocol),
        Some((target, _)) => (target, "tcp"),
        None => (target, "tcp"),
    };
    let address = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(refuse("has no IP address before its ports"));
    }
    let target = range(target).ok_or_else(|| refuse("is no port of a container"))?;
    if !published.is_empty() {
        let published = range(published).ok_or_else(|| refuse("is published on no port"))?;
        if target != 1 && target != published {
            return Err(refuse("has ranges of different lengths"));
        }
    }
    if !["tcp", "udp", "sctp"].contains(&protocol.to_ascii_lowercase().as_str()) {
        return Err(refuse("is of no known protocol"));
    }
    Ok(())
}

/// How many ports there are in `80` or `80-90`.
fn range(text: &str) -> Option<u32> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
    Some(u32::from(last.checked_sub(first)?) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn written_out(service: &str) -> Result<String> {
        let text = format!("services: {{web: {service}}}");
        let node = yaml::documents(&text, std::path::Path::new("compose.yaml"))?.remove(0).root;
        let node = canonical(node, &Path::ROOT)?;
        Ok(node.member("services").and_then(|services| services.member("web")).unwrap().text())
    }

    #[test]
    fn short_forms_are_written_out() {
        let cases = [
            ("{build: dir}", "map[build:map[context:dir]]"),
            (
                "{build: {ssh: [default, a=b], secrets: [s], sbom: true}}",
                "map[build:map[sbom:true secrets:[map[source:s]] ssh:map[a:b default:]]]",
            ),
            ("{build: {additional_contexts: [a=b=c]}}", "map[build:map[additional_contexts:map[a:b=c]]]"),
            ("{depends_on: [a]}", "map[depends_on:map[a:map[condition:service_started required:true]]]"),
            ("{env_file: [a, {path: b}]}", "map[env_file:[map[path:a] map[path:b]]]"),
            ("{networks: [a, b]}", "map[networks:map[a: b:]]"),
            ("{devices: [/dev/x]}", "map[devices:[map[permissions:rwm source:/dev/x target:/dev/x]]]"),
        ];
        for (service, expected) in cases {
            assert_eq!(written_out(service).unwrap(), expected);
        }
    }

    #[test]
    fn ports_are_checked() {
        for port in
            ["80", "80:80/udp", "127.0.0.1::80", "[::1]:80:80", "::1:80:80", "80-90:80", "1-2:3-4", "80/"]
        {
            written_out(&format!("{{ports: [\"{port}\"]}}")).unwrap();
        }
        for port in ["", "99999", "80/xyz", "x:80", "localhost:80:80", "2-1", "1-2:3-5", "1-3:4-5"] {
            assert!(written_out(&format!("{{ports: [\"{port}\"]}}")).is_err(), "{port}");
        }
    }
}
