//! What the schema cannot say about single parts of a document.

use std::net::IpAddr;

use crate::error::{Error, Result};
use crate::interpolate::boolean;
use crate::node::{Node, Value};
use crate::path::{ITEM, Path};

type Check = fn(&Node, &Path<'_>) -> Result<()>;

const CHECKS: &[(&str, Check)] = &[
    ("volumes.*", external_alone),
    ("configs.*", |node, path| one_source(node, path, &["file", "environment", "content"])),
    ("secrets.*", |node, path| one_source(node, path, &["file", "environment"])),
    ("services.*.ports.*", address),
    ("services.*.develop.watch.*.path", not_blank),
    ("services.*.deploy.resources.reservations.devices.*", devices),
    ("services.*.gpus.*", devices),
    ("services.*.command", command),
    ("services.*.entrypoint", command),
    ("services.*.extra_hosts", hosts),
    ("services.*.build.extra_hosts", hosts),
    ("services.*.environment.*", no_trailing_space),
    ("services.*.build.args.*", no_trailing_space),
];

/// Checks the parts of a document that have to make sense by themselves.
pub(crate) fn check(node: &Node, path: &Path<'_>) -> Result<()> {
    if let Some((_, check)) = CHECKS.iter().find(|(pattern, _)| path.matches(pattern)) {
        return check(node, path);
    }
    match &node.value {
        Value::Map(map) => map.iter().try_for_each(|(key, member)| check(member, &path.to(&key.name))),
        Value::List(items) => items.iter().try_for_each(|item| check(item, &path.to(ITEM))),
        _ => Ok(()),
    }
}

/// Whether a member says yes.
pub(crate) fn is_true(node: Option<&Node>) -> bool {
    match node.map(|node| &node.value) {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(text)) => boolean(text).unwrap_or_default(),
        _ => false,
    }
}

fn external_alone(node: &Node, path: &Path<'_>) -> Result<()> {
    if !is_true(node.member("external")) {
        return Ok(());
    }
    let other = |name: &&crate::node::Key| {
        !["name", "external"].contains(&name.name.as_str()) && !name.name.starts_with("x-")
    };
    match node.as_map().and_then(|map| map.keys().find(other)) {
        Some(key) => {
            let message = format!("`{path}` is external, so `{}` has nothing to say about it", key.name);
            Err(Error::invalid(&key.place, message))
        }
        None => Ok(()),
    }
}

fn one_source(node: &Node, path: &Path<'_>, names: &[&str]) -> Result<()> {
    let Some(map) = node.as_map() else { return Ok(()) };
    let given = names.iter().filter(|name| map.contains_key(**name)).count();
    let elsewhere = map.contains_key("driver") || map.contains_key("external");
    if given == 1 || given == 0 && elsewhere {
        return Ok(());
    }
    let message = format!("`{path}` has to have one of `{}`", names.join("`, `"));
    Err(Error::invalid(&node.place, message))
}

fn address(node: &Node, path: &Path<'_>) -> Result<()> {
    match node.member("host_ip").map(|node| (node, node.text())) {
        Some((node, text)) if text.parse::<IpAddr>().is_err() => {
            Err(Error::invalid(&node.place, format!("`{path}.host_ip` is `{text}`, which is no IP address")))
        }
        _ => Ok(()),
    }
}

fn not_blank(node: &Node, path: &Path<'_>) -> Result<()> {
    match node.as_str() {
        Some("") => Err(Error::invalid(&node.place, format!("`{path}` is empty"))),
        _ => Ok(()),
    }
}

fn devices(node: &Node, path: &Path<'_>) -> Result<()> {
    let has = |name: &str| node.as_map().is_some_and(|map| map.contains_key(name));
    if has("count") && has("device_ids") {
        return Err(Error::invalid(&node.place, format!("`{path}` has both `count` and `device_ids`")));
    }
    Ok(())
}

/// A command in one line is split as a shell would, for which its quotes have to end.
fn command(node: &Node, path: &Path<'_>) -> Result<()> {
    let mut quote = None;
    let mut characters = node.as_str().unwrap_or_default().chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => drop(characters.next()),
            ('\'' | '"', None) => quote = Some(character),
            (_, Some(open)) if open == character => quote = None,
            _ => {}
        }
    }
    match quote {
        Some(quote) => Err(Error::invalid(&node.place, format!("a `{quote}` in `{path}` has no end"))),
        None => Ok(()),
    }
}

fn hosts(node: &Node, path: &Path<'_>) -> Result<()> {
    let refuse = |node: &Node, host: &str| {
        Err(Error::invalid(&node.place, format!("`{host}` in `{path}` is no host with an address")))
    };
    for item in node.items() {
        let text = item.text();
        match text.split_once('=').or_else(|| text.split_once(':')) {
            Some((host, _)) if !host.is_empty() && !host.contains([':', '=']) => {}
            _ => return refuse(item, &text),
        }
    }
    for (key, value) in node.as_map().into_iter().flatten() {
        if key.name.is_empty() || key.name.contains([':', '=']) {
            return refuse(value, &key.name);
        }
    }
    Ok(())
}

fn no_trailing_space(node: &Node, path: &Path<'_>) -> Result<()> {
    let name = node.as_str().and_then(|text| text.split('=').next()).unwrap_or_default();
    // Members of a mapping have their names as keys.
    if path.parts().last() == Some(&ITEM) && name.ends_with(char::is_whitespace) {
        return Err(Error::invalid(
            &node.place,
            format!("there is a space after the name `{}`", name.trim_end()),
        ));
    }
    Ok(())
}
