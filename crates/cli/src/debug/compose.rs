//! `cartwheel debug batch compose`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cartwheel_compose::{Build, LoadOptions, Project};
use serde_json::{Value, json};

use super::Answer;

pub(super) fn compose(request: &Value) -> Answer {
    let files = request["files"].as_array().ok_or("the request has no `files`")?;
    let project = Project::load(&LoadOptions {
        files: files.iter().filter_map(Value::as_str).map(PathBuf::from).collect(),
        name: Some("proj".to_owned()),
        variables: BTreeMap::from([("COMPOSE_DISABLE_ENV_FILE".to_owned(), "1".to_owned())]),
        profiles: vec!["*".to_owned()],
        current_directory: PathBuf::from("/"),
        checks_env_files: true,
        ..LoadOptions::default()
    })?;
    let services: serde_json::Map<String, Value> = project
        .services
        .values()
        .map(|service| {
            let build = service.build.as_ref().map(described);
            (service.name.clone(), json!({ "image": service.image, "build": build }))
        })
        .collect();
    Ok(json!({ "services": services }))
}

fn described(build: &Build) -> Value {
    json!({
        "context": build.context,
        "dockerfile": build.dockerfile.as_deref().or(build.dockerfile_inline.is_none().then_some("Dockerfile")),
        "dockerfile_inline": build.dockerfile_inline,
        "target": build.target,
        "args": build.args,
        "additional_contexts": build.additional_contexts,
    })
}
