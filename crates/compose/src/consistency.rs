//! Whether the parts of a project fit together: what services refer to is there, and what they say twice is the same.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::location::SERVICE_PREFIX;
use crate::node::{Node, Value};
use crate::schema::bytes;

/// A project's services that are in use and those that are not, and what they share.
pub(crate) struct Parts<'a> {
    pub(crate) document: &'a Node,
    pub(crate) enabled: &'a BTreeMap<String, Node>,
    pub(crate) disabled: &'a BTreeMap<String, Node>,
}

/// Checks a project.
pub(crate) fn check(parts: &Parts<'_>) -> Result<()> {
    for (name, node) in parts.enabled {
        let service = Service { name, node, parts };
        service.has_a_source()?;
        service.builds()?;
        service.has_networks()?;
        service.refers_to_what_is_there()?;
        service.depends_on_what_is_there()?;
        service.has_one_scale()?;
        service.has_one_limit_each()?;
        service.runs()?;
        service.mounts_each_target_once()?;
    }
    secrets_have_a_source(parts.document)?;
    has_no_cycle(parts)
}

struct Service<'a> {
    name: &'a str,
    node: &'a Node,
    parts: &'a Parts<'a>,
}

impl Service<'_> {
    fn wrong(&self, node: &Node, what: &str) -> Error {
        Error::invalid(&node.place, format!("service `{}` {what}", self.name))
    }

    fn has_a_source(&self) -> Result<()> {
        let given = |name| self.node.member(name).is_some_and(|node| node.as_str() != Some(""));
        if given("build") || given("image") || given("provider") {
            return Ok(());
        }
        Err(self.wrong(self.node, "has neither `image` nor `build`"))
    }

    fn builds(&self) -> Result<()> {
        let Some(build) = self.node.member("build") else { return Ok(()) };
        let text = |name| build.text_of(name).filter(|text| !text.is_empty());
        if text("dockerfile").is_some() && text("dockerfile_inline").is_some() {
            return Err(self.wrong(build, "has both `dockerfile` and `dockerfile_inline`"));
        }
        for context in members(build, "additional_contexts") {
            let Some(other) = context.as_str().and_then(|text| text.strip_prefix(SERVICE_PREFIX)) else {
                continue;
            };
            match self.parts.enabled.get(other).map(|service| service.member("build")) {
                Some(Some(_)) => {}
                Some(None) => {
                    return Err(self.wrong(context, &format!("builds from `{other}`, which is not built")));
                }
                None => {
                    return Err(self.wrong(context, &format!("builds from `{other}`, which is no service")));
                }
            }
        }
        let platforms = build.member("platforms").map_or(&[][..], Node::items);
        match self.node.member("platform") {
            Some(platform) if !platforms.is_empty() && !platforms.contains(platform) => {
                let what = format!("runs on `{}`, for which it is not built", platform.text());
                Err(self.wrong(platform, &what))
            }
            _ => Ok(()),
        }
    }

    fn has_networks(&self) -> Result<()> {
        let networks = self.node.member("networks").and_then(Node::as_map);
        if let (Some(mode), Some(networks)) = (self.node.member("network_mode"), networks)
            && mode.as_str() != Some("")
            && !networks.is_empty()
        {
            return Err(self.wrong(mode, "has both `network_mode` and `networks`"));
        }
        if let Some(mode) = self.node.member("network_mode")
            && let Some(other) = mode.as_str().and_then(|text| text.strip_prefix(SERVICE_PREFIX))
            && !self.parts.enabled.contains_key(other)
        {
            return Err(self.wrong(mode, &format!("is in the network of `{other}`, which is no service")));
        }
        Ok(())
    }

    fn refers_to_what_is_there(&self) -> Result<()> {
        for section in ["networks", "models"] {
            for key in self.node.member(section).and_then(Node::as_map).into_iter().flat_map(|map| map.keys())
            {
                self.is_there(section, &key.name, self.node.member(section).unwrap_or(self.node))?;
            }
        }
        for volume in items(self.node, "volumes") {
            let source = volume.text_of("source").filter(|source| !source.is_empty());
            if let Some(source) = source.filter(|_| volume.text_of("type") == Some("volume")) {
                self.is_there("volumes", source, volume)?;
            }
        }
        let build_secrets = self.node.member("build").map_or(&[][..], |build| items(build, "secrets"));
        for secret in items(self.node, "secrets").iter().chain(build_secrets) {
            self.is_there("secrets", secret.text_of("source").unwrap_or_default(), secret)?;
        }
        for config in items(self.node, "configs") {
            self.is_there("configs", config.text_of("source").unwrap_or_default(), config)?;
        }
        Ok(())
    }

    fn is_there(&self, section: &str, name: &str, node: &Node) -> Result<()> {
        let known = self.parts.document.member(section).and_then(Node::as_map);
        if known.is_some_and(|known| known.contains_key(name)) {
            return Ok(());
        }
        Err(self.wrong(node, &format!("refers to `{name}`, which is not in `{section}`")))
    }

    fn depends_on_what_is_there(&self) -> Result<()> {
        for (key, dependency) in self.node.member("depends_on").and_then(Node::as_map).into_iter().flatten() {
            let optional = dependency.member("required").is_some_and(|node| node.value == Value::Bool(false));
            let missed =
                if optional && self.parts.disabled.contains_key(&key.name) { None } else { Some(key) };
            if let Some(key) = missed.filter(|key| !self.parts.enabled.contains_key(&key.name)) {
                let what = format!("depends on `{}`, which is no service", key.name);
                return Err(Error::invalid(&key.place, format!("service `{}` {what}", self.name)));
            }
        }
        Ok(())
    }

    fn has_one_scale(&self) -> Result<()> {
        let scale = self.node.member("scale");
        let replicas = self.node.member("deploy").and_then(|deploy| deploy.member("replicas"));
        if let (Some(scale), Some(replicas)) = (scale, replicas)
            && number(scale) != number(replicas)
        {
            return Err(self.wrong(scale, "has another `scale` than `deploy.replicas`"));
        }
        let Some(count) = scale.or(replicas) else { return Ok(()) };
        match number(count) {
            Some(value) if value < 0.0 => Err(self.wrong(count, "cannot have fewer containers than none")),
            Some(value) if value > 1.0 && self.node.member("container_name").is_some() => {
                Err(self.wrong(count, "has a `container_name`, so it cannot have several containers"))
            }
            _ => Ok(()),
        }
    }

    /// What can be said both of a service and of its deployment.
    fn has_one_limit_each(&self) -> Result<()> {
        type Reading = fn(&Node) -> Option<f64>;
        const LIMITS: [(&str, &str, &str, Reading); 4] = [
            ("cpus", "limits", "cpus", number),
            ("mem_limit", "limits", "memory", size),
            ("mem_reservation", "reservations", "memory", size),
            ("pids_limit", "limits", "pids", number),
        ];
        let resources = self.node.member("deploy").and_then(|deploy| deploy.member("resources"));
        for (name, kind, deployed, reading) in LIMITS {
            let Some(own) = self.node.member(name) else { continue };
            let Some(limits) = resources.and_then(|resources| resources.member(kind)) else { continue };
            let other = limits.member(deployed).and_then(reading).unwrap_or_default();
            let value = reading(own).unwrap_or_default();
            #[expect(clippy::float_cmp, reason = "both are read in the same way from what was written")]
            if value != 0.0 && value != other {
                let what = format!("has another `{name}` than `deploy.resources.{kind}.{deployed}`");
                return Err(self.wrong(own, &what));
            }
        }
        Ok(())
    }

    fn runs(&self) -> Result<()> {
        let test = self.node.member("healthcheck").and_then(|check| check.member("test"));
        if let Some(first) = test.and_then(|test| test.items().first())
            && !["CMD", "CMD-SHELL", "NONE"].contains(&first.text().as_str())
        {
            return Err(self.wrong(
                first,
                "has a `healthcheck.test` that begins with none of `CMD`, `CMD-SHELL`, `NONE`",
            ));
        }
        for watch in self.node.member("develop").map_or(&[][..], |develop| items(develop, "watch")) {
            let copies = !matches!(watch.text_of("action"), Some("rebuild" | "restart"));
            if copies && watch.text_of("target").unwrap_or_default().is_empty() {
                return Err(self.wrong(watch, "watches files without a `target` to copy them to"));
            }
        }
        Ok(())
    }

    fn mounts_each_target_once(&self) -> Result<()> {
        let tmpfs = match self.node.member("tmpfs") {
            Some(Node { value: Value::List(items), .. }) => items.iter().collect(),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        let tmpfs = tmpfs.into_iter().map(|node| (node, node.text()));
        let tmpfs = tmpfs.map(|(node, text)| (node, text.split(':').next().unwrap_or_default().to_owned()));
        let volumes = items(self.node, "volumes").iter();
        let volumes = volumes.map(|node| (node, node.text_of("target").unwrap_or_default().to_owned()));
        let mut targets: Vec<String> = Vec::new();
        for (node, target) in tmpfs.chain(volumes) {
            if targets.contains(&target) {
                return Err(self.wrong(node, &format!("mounts two things at `{target}`")));
            }
            targets.push(target);
        }
        Ok(())
    }
}

fn secrets_have_a_source(document: &Node) -> Result<()> {
    for (key, secret) in document.member("secrets").and_then(Node::as_map).into_iter().flatten() {
        let given = |name| secret.text_of(name).is_some_and(|text| !text.is_empty());
        if !crate::check::is_true(secret.member("external")) && !given("file") && !given("environment") {
            let message = format!("secret `{}` has neither `file` nor `environment`", key.name);
            return Err(Error::invalid(&key.place, message));
        }
    }
    Ok(())
}

fn has_no_cycle(parts: &Parts<'_>) -> Result<()> {
    let mut done = Vec::new();
    parts.enabled.keys().try_for_each(|name| search_cycle(parts, name, &mut Vec::new(), &mut done))
}

fn search_cycle<'a>(
    parts: &'a Parts<'_>,
    name: &'a str,
    chain: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
) -> Result<()> {
    let Some(service) = parts.enabled.get(name).filter(|_| !done.contains(&name)) else { return Ok(()) };
    if let Some(index) = chain.iter().position(|earlier| *earlier == name) {
        let names = chain.get(index..).unwrap_or_default().join("`, `");
        return Err(Error::invalid(
            &service.place,
            format!("services depend on each other: `{names}`, `{name}`"),
        ));
    }
    chain.push(name);
    let dependencies = service.member("depends_on").and_then(Node::as_map);
    for key in dependencies.into_iter().flat_map(|map| map.keys()) {
        search_cycle(parts, &key.name, chain, done)?;
    }
    chain.pop();
    done.push(name);
    Ok(())
}

fn items<'a>(node: &'a Node, name: &str) -> &'a [Node] {
    node.member(name).map_or(&[], Node::items)
}

fn members<'a>(node: &'a Node, name: &str) -> impl Iterator<Item = &'a Node> {
    node.member(name).and_then(Node::as_map).into_iter().flat_map(|map| map.values())
}

fn number(node: &Node) -> Option<f64> {
    node.text().parse().ok()
}

fn size(node: &Node) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "compared with another that lost the same")]
    bytes(&node.text()).map(|bytes| bytes as f64)
}
