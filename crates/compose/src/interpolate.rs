//! Variables in a document, and the values of other kinds that a few texts become.

use crate::error::{Error, Place, Result};
use crate::node::{Node, Value};
use crate::path::{ITEM, Path};
use crate::template::{Scope, substitute};

/// What a text has to be where a variable may say it.
#[derive(Debug, Clone, Copy)]
enum Cast {
    Bool,
    Integer,
    Float,
}

/// Where texts become values of other kinds, so that the document can be checked as if they had been written so.
const CASTS: &[(&str, Cast)] = &[
    ("services.*.cpu_count", Cast::Integer),
    ("services.*.cpu_percent", Cast::Float),
    ("services.*.cpu_period", Cast::Integer),
    ("services.*.cpu_quota", Cast::Integer),
    ("services.*.cpu_rt_period", Cast::Integer),
    ("services.*.cpu_rt_runtime", Cast::Integer),
    ("services.*.cpus", Cast::Float),
    ("services.*.cpu_shares", Cast::Integer),
    ("services.*.init", Cast::Bool),
    ("services.*.depends_on.*.required", Cast::Bool),
    ("services.*.depends_on.*.restart", Cast::Bool),
    ("services.*.deploy.replicas", Cast::Integer),
    ("services.*.deploy.update_config.parallelism", Cast::Integer),
    ("services.*.deploy.update_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.rollback_config.parallelism", Cast::Integer),
    ("services.*.deploy.rollback_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.restart_policy.max_attempts", Cast::Integer),
    ("services.*.deploy.placement.max_replicas_per_node", Cast::Integer),
    ("services.*.healthcheck.retries", Cast::Integer),
    ("services.*.healthcheck.disable", Cast::Bool),
    ("services.*.oom_kill_disable", Cast::Bool),
    ("services.*.oom_score_adj", Cast::Integer),
    ("services.*.pids_limit", Cast::Integer),
    ("services.*.ports.*.target", Cast::Integer),
    ("services.*.privileged", Cast::Bool),
    ("services.*.read_only", Cast::Bool),
    ("services.*.scale", Cast::Integer),
    ("services.*.stdin_open", Cast::Bool),
    ("services.*.tty", Cast::Bool),
    ("services.*.ulimits.*", Cast::Integer),
    ("services.*.ulimits.*.hard", Cast::Integer),
    ("services.*.ulimits.*.soft", Cast::Integer),
    ("services.*.volumes.*.read_only", Cast::Bool),
    ("services.*.volumes.*.volume.nocopy", Cast::Bool),
    ("networks.*.external", Cast::Bool),
    ("networks.*.internal", Cast::Bool),
    ("networks.*.attachable", Cast::Bool),
    ("networks.*.enable_ipv4", Cast::Bool),
    ("networks.*.enable_ipv6", Cast::Bool),
    ("volumes.*.external", Cast::Bool),
    ("secrets.*.external", Cast::Bool),
    ("configs.*.external", Cast::Bool),
];

/// A variable that has no value where it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsetVariable {
    /// Its name.
    pub name: String,
    /// Where its value would be.
    pub place: Place,
}

/// Replaces the variables in a document's texts, and tells those without a value.
pub(crate) fn interpolate(
    node: &mut Node,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut Vec<UnsetVariable>,
) -> Result<()> {
    Interpolation { lookup, unset }.walk(node, &Path::ROOT)
}

struct Interpolation<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    unset: &'a mut Vec<UnsetVariable>,
}

impl Interpolation<'_> {
    fn walk(&mut self, node: &mut Node, path: &Path<'_>) -> Result<()> {
        match &mut node.value {
            Value::String(text) => {
                let text = self.text(text, &node.place)?;
                node.value = cast(text, path, &node.place)?;
                Ok(())
            }
            Value::List(items) => items.iter_mut().try_for_each(|item| self.walk(item, &path.to(ITEM))),
            Value::Map(map) => {
                map.iter_mut().try_for_each(|(key, member)| self.walk(member, &path.to(&key.name)))
            }
            _ => Ok(()),
        }
    }

    fn text(&mut self, text: &str, place: &Place) -> Result<String> {
        let mut scope = Scope::new(self.lookup);
        let text = substitute(text, &mut scope).map_err(|error| error.at(place))?;
        let unset = scope.unset().into_iter().map(|name| UnsetVariable { name, place: place.clone() });
        self.unset.extend(unset);
        Ok(text)
    }
}

fn cast(text: String, path: &Path<'_>, place: &Place) -> Result<Value> {
    let Some((_, cast)) = CASTS.iter().find(|(pattern, _)| path.matches(pattern)) else {
        return Ok(Value::String(text));
    };
    let (value, what) = match cast {
        Cast::Bool => (boolean(&text).map(Value::Bool), "boolean"),
        Cast::Integer => (text.parse().ok().map(|value: i64| Value::Integer(value.into())), "integer"),
        Cast::Float => (text.parse().ok().map(Value::Float), "number"),
    };
    value.ok_or_else(|| Error::invalid(place, format!("`{path}` is `{text}`, which is no {what}")))
}

/// What a text says where yes or no is wanted.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn interpolated(text: &str) -> Result<(String, Vec<String>)> {
        let mut node = yaml::documents(text, std::path::Path::new("compose.yaml"))?.remove(0).root;
        let mut unset = Vec::new();
        let lookup = |name: &str| (name == "ON").then(|| "on".to_owned());
        interpolate(&mut node, &lookup, &mut unset)?;
        let unset = unset.iter().map(|variable| format!("{} {}", variable.place, variable.name)).collect();
        Ok((node.text(), unset))
    }

    #[test]
    fn texts_become_what_they_have_to_be() {
        let text = "services: {web: {tty: \"$ON\", scale: \"2\", image: \"$ON$X\", ulimits: {n: \"5\"}}}";
        let (value, unset) = interpolated(text).unwrap();
        assert_eq!(value, "map[services:map[web:map[image:on scale:2 tty:true ulimits:map[n:5]]]]");
        assert_eq!(unset, ["compose.yaml:1:49 X"]);
    }

    #[test]
    fn what_cannot_become_it_is_an_error() {
        let error = interpolated("services:\n  web:\n    scale: ${X}\n").unwrap_err();
        assert_eq!(error.to_string(), "compose.yaml:3:12: `services.web.scale` is ``, which is no integer");
    }
}
