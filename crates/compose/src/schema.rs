//! Which keys there are and what their values have to be.
//!
//! The tables in the modules below say what the specification's JSON schema says, and what the reference implementation
//! finds wrong when it turns texts into durations, sizes and the like. A document is checked after each file, so that a
//! mistake is found in the file that makes it.

mod deploy;
mod resource;
mod service;
mod shape;

use crate::error::{Error, Result};
use crate::node::{Key, Map, Node, Value};
use crate::path::{ITEM, Path};
use shape::{Kind, Names, Object, Scalar, Shape};

pub(crate) use shape::bytes;

/// Checks that a document is one that the specification allows.
pub(crate) fn validate(document: &Node) -> Result<()> {
    check(document, &Shape::Object(&resource::DOCUMENT), &Path::ROOT)
}

fn check(node: &Node, shape: &Shape, path: &Path<'_>) -> Result<()> {
    match (shape, &node.value) {
        (Shape::Any, _) => Ok(()),
        (Shape::Scalar(scalar), _) => check_scalar(node, scalar, path),
        (Shape::OneOf(texts), Value::String(text)) if texts.contains(&text.as_str()) => Ok(()),
        (Shape::OneOf(texts), Value::String(text)) => {
            let message = format!("`{path}` is `{text}`; it must be one of `{}`", texts.join("`, `"));
            Err(Error::invalid(&node.place, message))
        }
        (Shape::List(item), Value::List(items)) => {
            items.iter().try_for_each(|node| check(node, item, &path.to(ITEM)))
        }
        (Shape::UniqueList(item), Value::List(items)) => {
            items.iter().try_for_each(|node| check(node, item, &path.to(ITEM)))?;
            check_unique(items, path)
        }
        (Shape::Object(object), Value::Map(map)) => check_object(node, map, object, path),
        (Shape::Members(names, member), Value::Map(map)) => {
            map.iter().try_for_each(|(key, node)| check_member(key, node, (names, member), path))
        }
        (Shape::Either(shapes), _) => check_either(node, shapes, path),
        _ => Err(wrong_kind(node, shape, path)),
    }
}

fn check_scalar(node: &Node, scalar: &Scalar, path: &Path<'_>) -> Result<()> {
    let Some(kind) = Kind::of(&node.value) else {
        return Err(wrong_kind(node, &Shape::Scalar(*scalar), path));
    };
    if !scalar.kinds.iter().any(|allowed| allowed.takes(kind)) {
        return Err(wrong_kind(node, &Shape::Scalar(*scalar), path));
    }
    match (&node.value, scalar.meaning) {
        (Value::String(text), Some(meaning)) if !(meaning.accepts)(text) => {
            let message = format!("`{path}` is `{text}`, which is no {}", meaning.name);
            Err(Error::invalid(&node.place, message))
        }
        (Value::Integer(value), _) if !scalar.range.contains(value) => {
            let (from, to) = (scalar.range.start(), scalar.range.end());
            let message = format!("`{path}` is {value}; it must be from {from} to {to}");
            Err(Error::invalid(&node.place, message))
        }
        _ => Ok(()),
    }
}

fn check_unique(items: &[Node], path: &Path<'_>) -> Result<()> {
    let repeated = |index: usize, item: &Node| items.iter().take(index).any(|earlier| earlier == item);
    match items.iter().enumerate().find(|(index, item)| repeated(*index, item)) {
        Some((_, item)) => {
            Err(Error::invalid(&item.place, format!("`{}` is twice in `{path}`", item.text())))
        }
        None => Ok(()),
    }
}

fn check_object(node: &Node, map: &Map, object: &Object, path: &Path<'_>) -> Result<()> {
    for (key, member) in map {
        match object.members.iter().find(|(name, _)| *name == key.name) {
            Some((_, shape)) => check(member, shape, &path.to(&key.name))?,
            None if object.open || object.extensible && key.name.starts_with("x-") => {}
            None => return Err(unknown_key(key, path)),
        }
    }
    match object.required.iter().find(|name| !map.contains_key(**name)) {
        Some(name) => Err(Error::invalid(&node.place, format!("`{path}` has no `{name}`"))),
        None => Ok(()),
    }
}

fn check_member(key: &Key, node: &Node, shape: (&Names, &Shape), path: &Path<'_>) -> Result<()> {
    let (names, shape) = shape;
    match (names.accepts)(&key.name) {
        true => check(node, shape, &path.to(&key.name)),
        false if names.open => Ok(()),
        false => Err(unknown_key(key, path)),
    }
}

fn unknown_key(key: &Key, path: &Path<'_>) -> Error {
    let parts = path.parts();
    let of = if parts.is_empty() { "a Compose file".to_owned() } else { format!("`{path}`") };
    Error::invalid(&key.place, format!("`{}` is no key of {of}", key.name))
}

/// What is wrong is best said by the alternative of the same kind, if there is one.
fn check_either(node: &Node, shapes: &[Shape], path: &Path<'_>) -> Result<()> {
    let mut nearest = None;
    for shape in shapes {
        match check(node, shape, path) {
            Ok(()) => return Ok(()),
            Err(error) if shape.is_kind_of(&node.value) => nearest = Some(error),
            Err(_) => {}
        }
    }
    Err(nearest.unwrap_or_else(|| {
        let kinds: Vec<String> = shapes.iter().flat_map(Shape::kinds).collect();
        wrong_kind_among(node, &kinds, path)
    }))
}

fn wrong_kind(node: &Node, shape: &Shape, path: &Path<'_>) -> Error {
    wrong_kind_among(node, &shape.kinds(), path)
}

fn wrong_kind_among(node: &Node, kinds: &[String], path: &Path<'_>) -> Error {
    let article = if kinds.first().is_some_and(|kind| kind == "integer") { "an" } else { "a" };
    let message = format!("`{path}` must be {article} {}, not {}", kinds.join(" or "), node.kind());
    Error::invalid(&node.place, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn checked(text: &str) -> Result<()> {
        let node = yaml::documents(text, std::path::Path::new("compose.yaml"))?.remove(0).root;
        validate(&node)
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let cases = [
            ("service: {}", "1:1: `service` is no key of a Compose file"),
            ("services: []", "1:11: `services` must be a mapping, not a list"),
            (
                "services:\n  web:\n    build:\n      dockerfil: x",
                "4:7: `dockerfil` is no key of `services.web.build`",
            ),
            ("services: {web: {image: [a]}}", "1:25: `services.web.image` must be a string, not a list"),
            (
                "services: {web: {build: 1}}",
                "1:25: `services.web.build` must be a string or mapping, not an integer",
            ),
            (
                "services: {web: {build: {no_cache: maybe}}}",
                "1:36: `services.web.build.no_cache` is `maybe`, which is no boolean",
            ),
            (
                "services: {web: {build: {shm_size: much}}}",
                "1:36: `services.web.build.shm_size` is `much`, which is no size",
            ),
            (
                "services: {web: {stop_grace_period: 1 day}}",
                "1:37: `services.web.stop_grace_period` is `1 day`, which is no duration",
            ),
            (
                "services: {web: {cgroup: x}}",
                "1:26: `services.web.cgroup` is `x`; it must be one of `host`, `private`",
            ),
            (
                "services: {web: {cpu_percent: 101}}",
                "1:31: `services.web.cpu_percent` is 101; it must be from 0 to 100",
            ),
            ("services: {web: {extends: {file: x}}}", "1:27: `services.web.extends` has no `service`"),
            ("services: {web: {cap_add: [A, A]}}", "1:31: `A` is twice in `services.web.cap_add`"),
            ("services: {\"a b\": {}}", "1:12: `a b` is no key of `services`"),
            (
                "services: {web: {build: {args: {A: [1]}}}}",
                "1:36: `services.web.build.args.A` must be a string or number or boolean or null, not a list",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(checked(text).unwrap_err().to_string(), format!("compose.yaml:{message}"));
        }
    }

    #[test]
    fn what_the_specification_allows_is_taken() {
        let text = "
x-anything: [1]
name: project
services:
  web:
    x-mine: 1
    build: {context: ., args: {A: 1, B: , C: true}, ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}, tags: [a]}
    gpus: [{count: all}]
    deploy:
    healthcheck: {test: [CMD, x], interval: 1m30s, start_period: 1.5h}
    ports: [80, \"80:80\", {target: 80, published: \"8080\"}]
    mem_limit: 1.5gib
    depends_on: {db: {condition: service_started}}
networks: {back: , \"odd name\": 1}
";
        checked(text).unwrap();
    }
}
