//! The builds of a project as a bake file, for a look or for `docker buildx bake`.

use std::collections::BTreeMap;

use cartwheel_compose::{Build, Project, SecretSource, Service};
use serde_json::{Map, Value, json};

use crate::args::ComposeBuildArguments;

/// A bake file with one target for each service.
pub(super) fn file(project: &Project, services: &[&Service], wishes: &ComposeBuildArguments) -> Value {
    let targets: Map<String, Value> = services
        .iter()
        .filter_map(|service| {
            Some((name(&service.name), target(project, service, service.build.as_ref()?, wishes)))
        })
        .collect();
    let names: Vec<&String> = targets.keys().collect();
    json!({ "group": { "default": { "targets": names } }, "target": targets })
}

/// Targets have no dots in their names.
fn name(service: &str) -> String {
    service.replace('.', "_")
}

fn target(project: &Project, service: &Service, build: &Build, wishes: &ComposeBuildArguments) -> Value {
    let tags: Vec<&String> = build.tags.iter().collect();
    let image = project.image_name(service);
    let tags: Vec<&String> = tags.into_iter().chain([&image]).collect();
    let target = json!({
        "context": build.context,
        "contexts": contexts(build),
        "dockerfile": build.dockerfile.as_deref().or(build.dockerfile_inline.is_none().then_some("Dockerfile")),
        "dockerfile-inline": build.dockerfile_inline.as_deref().map(escaped),
        "args": args(build, wishes),
        "labels": build.labels,
        "tags": tags,
        "target": build.target,
        "platforms": build.platforms,
        "secret": build.secrets.iter().map(secret).collect::<Vec<_>>(),
        "ssh": build.ssh.iter().map(ssh).collect::<Vec<_>>(),
        "network": build.network,
        "shm-size": build.shm_size.map(|bytes| bytes.to_string()),
        "ulimits": build.ulimits,
        "extra-hosts": build.extra_hosts.iter().cloned().collect::<BTreeMap<_, _>>(),
        "cache-from": build.cache_from,
        "cache-to": build.cache_to,
        "entitlements": build.entitlements,
        "no-cache": build.no_cache || wishes.no_cache,
        "no-cache-filter": build.no_cache_filter,
        "pull": build.pull || wishes.pull,
    });
    without_empty(target)
}

fn contexts(build: &Build) -> BTreeMap<&str, String> {
    let value = |value: &String| match value.strip_prefix("service:") {
        Some(service) => format!("target:{}", name(service)),
        None => value.clone(),
    };
    build.additional_contexts.iter().map(|(key, context)| (key.as_str(), value(context))).collect()
}

fn args(build: &Build, wishes: &ComposeBuildArguments) -> BTreeMap<String, String> {
    let own = build.args.iter().map(|(name, value)| (name.clone(), escaped(value)));
    let given = wishes.build_args.iter().filter_map(|given| given.split_once('='));
    own.chain(given.map(|(name, value)| (name.to_owned(), escaped(value)))).collect()
}

/// Bake would take `${` for a variable of its own.
fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

fn secret(secret: &cartwheel_compose::Secret) -> String {
    match &secret.source {
        SecretSource::File(path) => format!("id={},type=file,src={path}", secret.id),
        SecretSource::Variable(name) => format!("id={},type=env,env={name}", secret.id),
        SecretSource::External => format!("id={}", secret.id),
    }
}

fn ssh((id, path): &(String, Option<String>)) -> String {
    path.as_ref().map_or_else(|| id.clone(), |path| format!("{id}={path}"))
}

/// The members that say something.
fn without_empty(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    };
    Value::Object(members.into_iter().filter(|(_, value)| says(value)).collect())
}
