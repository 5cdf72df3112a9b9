//! Two documents as one: what a later file says about a service is added to, or takes the place of, what an earlier one says.
//!
//! Mappings are merged member by member, lists are joined, anything else is replaced. Members for which that would be
//! wrong have rules of their own, in [`RULES`].

use crate::error::{Error, Result};
use crate::node::{Key, Map, Node, Value};
use crate::path::Path;

/// How two values of a member become one.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// The later one counts.
    Replace,
    /// Both are written as lists, of `name=value` for mappings, and joined. Of two items for one name the later one counts in the end.
    Join,
    /// Like [`Rule::Join`], without what is there already.
    JoinNew,
    /// The short form is a context.
    Build,
    /// The list form names members with nothing to say about them.
    Names,
    /// The list form names services that have to be started before.
    DependsOn,
    /// Options belong to their driver.
    Logging,
    /// Items with one subnet are one item.
    Subnets,
}

/// The members with rules of their own.
const RULES: &[(&str, Rule)] = &[
    ("networks.*.ipam.config", Rule::Subnets),
    ("networks.*.labels", Rule::Join),
    ("volumes.*.labels", Rule::Join),
    ("services.*.annotations", Rule::Join),
    ("services.*.build", Rule::Build),
    ("services.*.build.args", Rule::Join),
    ("services.*.build.additional_contexts", Rule::Join),
    ("services.*.build.extra_hosts", Rule::JoinNew),
    ("services.*.build.labels", Rule::Join),
    ("services.*.command", Rule::Replace),
    ("services.*.depends_on", Rule::DependsOn),
    ("services.*.deploy.labels", Rule::Join),
    ("services.*.dns", Rule::Join),
    ("services.*.dns_opt", Rule::Join),
    ("services.*.dns_search", Rule::Join),
    ("services.*.entrypoint", Rule::Replace),
    ("services.*.env_file", Rule::Join),
    ("services.*.label_file", Rule::Join),
    ("services.*.environment", Rule::Join),
    ("services.*.extra_hosts", Rule::JoinNew),
    ("services.*.healthcheck.test", Rule::Replace),
    ("services.*.labels", Rule::Join),
    ("services.*.volumes.*.volume.labels", Rule::Join),
    ("services.*.logging", Rule::Logging),
    ("services.*.models", Rule::Names),
    ("services.*.networks", Rule::Names),
    ("services.*.sysctls", Rule::Join),
    ("services.*.tmpfs", Rule::Join),
    ("services.*.ulimits.*", Rule::Replace),
];

/// `base` with what `over` says in addition, both at `path`.
pub(crate) fn merge(base: Node, over: Node, path: &Path<'_>) -> Result<Node> {
    let rule = RULES.iter().find(|(pattern, _)| path.matches(pattern)).map(|(_, rule)| *rule);
    match rule {
        Some(Rule::Replace) => Ok(over),
        Some(Rule::Join) => Ok(join(base, over, false)),
        Some(Rule::JoinNew) => Ok(join(base, over, true)),
        Some(Rule::Build) => merge_mappings(with_context(base), with_context(over), path),
        Some(Rule::Names) => merge_mappings(with_names(base, &[]), with_names(over, &[]), path),
        Some(Rule::DependsOn) => {
            merge_mappings(with_names(base, &DEPENDENCY), with_names(over, &DEPENDENCY), path)
        }
        Some(Rule::Logging) if has_another_driver(&base, &over) => Ok(over),
        Some(Rule::Logging) => merge_mappings(base, over, path),
        Some(Rule::Subnets) => merge_subnets(base, over, path),
        None if over.is_null() => Ok(base),
        None => merge_plain(base, over, path),
    }
}

fn merge_plain(base: Node, over: Node, path: &Path<'_>) -> Result<Node> {
    match (base.value, over.value) {
        (Value::Map(mut map), Value::Map(other)) => {
            merge_into(&mut map, other, path)?;
            Ok(Node::new(Value::Map(map), &base.place))
        }
        (Value::List(mut list), Value::List(other)) => {
            list.extend(other);
            Ok(Node::new(Value::List(list), &base.place))
        }
        (Value::Map(_) | Value::List(_), _) => {
            let message = format!("`{path}` is written in another form than in `{}`", base.place);
            Err(Error::invalid(&over.place, message))
        }
        (_, value) => Ok(Node::new(value, &over.place)),
    }
}

fn merge_into(map: &mut Map, other: Map, path: &Path<'_>) -> Result<()> {
    for (key, over) in other {
        let merged = match map.remove(&key) {
            Some(base) => merge(base, over, &path.to(&key.name))?,
            None => over,
        };
        map.insert(key, merged);
    }
    Ok(())
}

/// Both merged as mappings; what is none counts for nothing here, and is found later.
fn merge_mappings(base: Node, over: Node, path: &Path<'_>) -> Result<Node> {
    match (&base.value, &over.value) {
        (Value::Map(_), Value::Map(_)) => merge_plain(base, over, path),
        (_, Value::Map(_)) => Ok(over),
        (_, Value::Null) => Ok(base),
        _ => Err(Error::invalid(&over.place, format!("`{path}` cannot be {}", over.kind()))),
    }
}

fn with_context(build: Node) -> Node {
    match build.value {
        Value::String(context) => Node::map([("context", Value::String(context))], &build.place),
        _ => build,
    }
}

/// What a service in the list form of `depends_on` is waited for.
const DEPENDENCY: [(&str, &str); 2] = [("condition", "service_started"), ("required", "")];

/// The mapping that a list of names stands for, each with `members`; one without a text is true.
pub(crate) fn with_names(node: Node, members: &[(&str, &str)]) -> Node {
    let Value::List(items) = node.value else { return node };
    let member = |place| {
        if members.is_empty() {
            return Node::new(Value::Null, place);
        }
        let value =
            |text: &str| if text.is_empty() { Value::Bool(true) } else { Value::String(text.to_owned()) };
        Node::map(members.iter().map(|(name, text)| (*name, value(text))), place)
    };
    let map = items.iter().map(|item| (Key::new(item.text(), &item.place), member(&item.place)));
    Node::new(Value::Map(map.collect()), &node.place)
}

/// A service in the list form of `depends_on`, as in its mapping form.
pub(crate) fn with_dependencies(node: Node) -> Node {
    with_names(node, &DEPENDENCY)
}

fn join(base: Node, over: Node, only_new: bool) -> Node {
    let place = base.place.clone();
    let mut items = into_items(base);
    let new = into_items(over);
    if only_new {
        let new: Vec<Node> = new.into_iter().filter(|item| !items.contains(item)).collect();
        items.extend(new);
    } else {
        items.extend(new);
    }
    Node::new(Value::List(items), &place)
}

fn into_items(node: Node) -> Vec<Node> {
    match node.value {
        Value::List(items) => items,
        Value::String(_) => vec![node],
        Value::Map(map) => map.into_iter().flat_map(|(key, value)| assignments(&key, &value)).collect(),
        _ => Vec::new(),
    }
}

fn assignments(key: &Key, value: &Node) -> Vec<Node> {
    let one = |value: &Node| Node::string(format!("{}={}", key.name, value.text()), &key.place);
    match &value.value {
        Value::Null => vec![Node::string(&*key.name, &key.place)],
        Value::List(values) => values.iter().map(one).collect(),
        _ => vec![one(value)],
    }
}

fn has_another_driver(base: &Node, over: &Node) -> bool {
    let driver = |node: &Node| node.as_map().and_then(|map| map.get("driver")).cloned();
    matches!((driver(base), driver(over)), (Some(one), Some(other)) if one != other)
}

fn merge_subnets(base: Node, over: Node, path: &Path<'_>) -> Result<Node> {
    let (Value::List(mut items), Value::List(new)) = (base.value, over.value) else {
        return Err(Error::invalid(&over.place, format!("`{path}` must be a list")));
    };
    for item in new {
        let subnet = |node: &Node| node.text_of("subnet").map(str::to_owned);
        match items.iter_mut().find(|known| subnet(known) == subnet(&item)) {
            Some(known) => *known = merge_mappings(known.clone(), item, path)?,
            None => items.push(item),
        }
    }
    Ok(Node::new(Value::List(items), &base.place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn merged(base: &str, over: &str) -> Result<String> {
        let read = |text: &str, file: &str| -> Result<Node> {
            let text = format!("services: {{web: {text}}}");
            Ok(yaml::documents(&text, std::path::Path::new(file))?.remove(0).root)
        };
        let merged = merge(read(base, "a.yaml")?, read(over, "b.yaml")?, &Path::ROOT)?;
        Ok(merged.member("services").and_then(|services| services.member("web")).unwrap().text())
    }

    #[test]
    fn members_are_merged_by_their_rules() {
        let cases = [
            ("{image: a, tty: true}", "{image: b}", "map[image:b tty:true]"),
            ("{image: a}", "{image: null}", "map[image:a]"),
            ("{cap_add: [A]}", "{cap_add: [B]}", "map[cap_add:[A B]]"),
            ("{command: [A]}", "{command: [B]}", "map[command:[B]]"),
            ("{build: a}", "{build: {target: b}}", "map[build:map[context:a target:b]]"),
            ("{build: {args: {B: 2, A: }}}", "{build: {args: [A=1]}}", "map[build:map[args:[A B=2 A=1]]]"),
            ("{extra_hosts: {a: [1, 2]}}", "{extra_hosts: [a=2, b=3]}", "map[extra_hosts:[a=1 a=2 b=3]]"),
            ("{networks: [a]}", "{networks: {b: {x: 1}}}", "map[networks:map[a: b:map[x:1]]]"),
            (
                "{depends_on: [a]}",
                "{depends_on: {a: {condition: x}}}",
                "map[depends_on:map[a:map[condition:x required:true]]]",
            ),
            (
                "{logging: {driver: a, options: {x: 1}}}",
                "{logging: {driver: b}}",
                "map[logging:map[driver:b]]",
            ),
            ("{dns: a}", "{dns: [b]}", "map[dns:[a b]]"),
        ];
        for (base, over, expected) in cases {
            assert_eq!(merged(base, over).unwrap(), expected, "{base} {over}");
        }
    }

    #[test]
    fn two_forms_of_one_member_do_not_merge() {
        let error = merged("{cap_add: [A]}", "{cap_add: B}").unwrap_err();
        let message = "b.yaml:1:27: `services.web.cap_add` is written in another form than in `a.yaml:1:27`";
        assert_eq!(error.to_string(), message);
    }
}
