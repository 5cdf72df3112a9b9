//! What a document does not say but means.

use crate::dotenv::Variables;
use crate::location::SERVICE_PREFIX;
use crate::node::{Key, Map, Node, Value};

/// Where a service may name another one whose namespace it shares.
const NAMESPACES: [&str; 5] = ["network_mode", "ipc", "pid", "uts", "cgroup"];

/// Adds what is implied: networks, dependencies, the values that build arguments have in the environment.
pub(crate) fn normalize(document: &mut Node, variables: &Variables) {
    let place = document.place.clone();
    let Some(document) = document.as_map_mut() else { return };
    let mut uses_default = false;
    let services = document.get_mut("services").and_then(Node::as_map_mut);
    for service in services.into_iter().flat_map(|services| services.values_mut()) {
        uses_default |= add_network(service);
        if let Some(build) = service.as_map_mut().and_then(|service| service.get_mut("build")) {
            complete_build(build, variables);
        }
        add_dependencies(service);
    }
    if uses_default {
        let networks = document
            .entry(Key::new("networks", &place))
            .or_insert_with(|| Node::new(Value::Map(Map::new()), &place));
        if let Some(networks) = networks.as_map_mut() {
            networks.entry(Key::new("default", &place)).or_insert(Node::new(Value::Null, &place));
        }
    }
}

/// A service that says nothing of networks is in the default one. Whether this one is.
fn add_network(service: &mut Node) -> bool {
    let place = service.place.clone();
    let Some(map) = service.as_map_mut() else { return false };
    if map.contains_key("provider") || map.contains_key("network_mode") {
        return false;
    }
    let networks =
        map.entry(Key::new("networks", &place)).or_insert_with(|| Node::new(Value::Map(Map::new()), &place));
    let Some(networks) = networks.as_map_mut() else { return false };
    if networks.is_empty() {
        networks.insert(Key::new("default", &place), Node::new(Value::Null, &place));
    }
    networks.contains_key("default")
}

fn complete_build(build: &mut Node, variables: &Variables) {
    if let Some(args) = build.as_map_mut().and_then(|build| build.get_mut("args")) {
        *args = with_values(args, variables);
    }
}

/// Arguments as a mapping. One without a value has that of the variable, and is left out if there is none.
fn with_values(args: &Node, variables: &Variables) -> Node {
    let known = |name: &str| variables.get(name).cloned();
    let mut map = Map::new();
    for item in args.items() {
        let text = item.text();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), known(&text)),
        };
        map.extend(value.map(|value| (Key::new(name, &item.place), Node::string(value, &item.place))));
    }
    for (key, value) in args.as_map().into_iter().flatten() {
        let text = if value.is_null() { known(&key.name) } else { Some(value.text()) };
        map.extend(text.map(|text| (key.clone(), Node::string(text, &value.place))));
    }
    Node::new(Value::Map(map), &args.place)
}

/// A service depends on those that it links to, shares namespaces with or has volumes from.
fn add_dependencies(service: &mut Node) {
    let place = service.place.clone();
    let mut names: Vec<String> = Vec::new();
    let texts =
        |name: &str| service.member(name).map_or(&[][..], Node::items).iter().filter_map(Node::as_str);
    names.extend(texts("links").map(|link| match link.split(':').collect::<Vec<_>>().as_slice() {
        [service, _] => (*service).to_owned(),
        _ => link.to_owned(),
    }));
    let shared = NAMESPACES.iter().filter_map(|name| service.text_of(name)?.strip_prefix(SERVICE_PREFIX));
    names.extend(shared.map(str::to_owned));
    let volumes = texts("volumes_from").filter(|volume| !volume.starts_with("container:"));
    names.extend(volumes.filter_map(|volume| Some(volume.split(':').next()?.to_owned())));
    let Some(map) = service.as_map_mut() else { return };
    if names.is_empty() {
        return;
    }
    let empty = || Node::new(Value::Map(Map::new()), &place);
    let dependencies = map.entry(Key::new("depends_on", &place)).or_insert_with(empty);
    if let Some(dependencies) = dependencies.as_map_mut() {
        for name in names {
            let required = || Node::map([("required", Value::Bool(true))], &place);
            dependencies.entry(Key::new(name, &place)).or_insert_with(required);
        }
    }
}
