//! Between the config of an image and what the Dockerfile's instructions work on.

use std::collections::BTreeMap;

use cartwheel_dockerfile::{Healthcheck, StageConfig};
use cartwheel_oci::{ImageConfig, Platform, RuntimeConfig};
use serde_json::{Map, Value, json};

/// What a stage that begins with an image of this config inherits.
pub fn inherited(image: &ImageConfig) -> StageConfig {
    let config = &image.config;
    let env = config.env.iter().flatten().map(|line| {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        (name.to_owned(), value.to_owned())
    });
    StageConfig {
        env: env.collect(),
        cmd: config.cmd.clone(),
        args_escaped: config.other.get("ArgsEscaped").and_then(Value::as_bool).unwrap_or_default(),
        entrypoint: config.entrypoint.clone(),
        working_dir: config.working_dir.clone().unwrap_or_default(),
        user: config.user.clone().unwrap_or_default(),
        exposed_ports: config.exposed_ports.iter().flatten().map(|(port, _)| port.clone()).collect(),
        volumes: object(config, "Volumes")
            .map(|volumes| volumes.keys().cloned().collect())
            .unwrap_or_default(),
        labels: config.labels.clone().unwrap_or_default(),
        stop_signal: config.other.get("StopSignal").and_then(Value::as_str).map(str::to_owned),
        healthcheck: object(config, "Healthcheck").map(healthcheck),
        shell: strings(config, "Shell"),
        on_build: strings(config, "OnBuild"),
        author: image.other.get("author").and_then(Value::as_str).map(str::to_owned),
        ..StageConfig::default()
    }
}

/// The config that a stage ends with, as an image has it. What `base` has beside the fields that instructions set is kept.
pub(crate) fn finished(config: &StageConfig, base: &RuntimeConfig, platform: &Platform) -> RuntimeConfig {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let keys = |set: &std::collections::BTreeSet<String>| -> BTreeMap<String, Value> {
        set.iter().map(|key| (key.clone(), json!({}))).collect()
    };
    let mut other = base.other.clone();
    let fields = [
        ("Volumes", json!(keys(&config.volumes))),
        ("StopSignal", json!(config.stop_signal)),
        ("Healthcheck", config.healthcheck.as_ref().map_or(Value::Null, healthcheck_value)),
        ("Shell", json!(config.shell)),
        ("OnBuild", json!(config.on_build)),
        ("ArgsEscaped", json!(config.args_escaped)),
    ];
    for (name, value) in fields {
        if is_empty(&value) {
            other.remove(name);
        } else {
            other.insert(name.to_owned(), value);
        }
    }
    RuntimeConfig {
        user: some(&config.user),
        exposed_ports: Some(keys(&config.exposed_ports)).filter(|ports| !ports.is_empty()),
        env: Some(config.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        entrypoint: config.entrypoint.clone().filter(|words| !words.is_empty()),
        cmd: config.cmd.clone().filter(|words| !words.is_empty()),
        working_dir: some(&native(&config.working_dir, platform)),
        labels: Some(config.labels.clone()).filter(|labels| !labels.is_empty()),
        other,
    }
}

/// A path as programs of the platform write it.
fn native(path: &str, platform: &Platform) -> String {
    if platform.os == "windows" { path.replace('/', "\\") } else { path.to_owned() }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn object<'a>(config: &'a RuntimeConfig, name: &str) -> Option<&'a Map<String, Value>> {
    config.other.get(name).and_then(Value::as_object)
}

fn strings(config: &RuntimeConfig, name: &str) -> Vec<String> {
    let list = config.other.get(name).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn healthcheck(fields: &Map<String, Value>) -> Healthcheck {
    let test = fields.get("Test").and_then(Value::as_array);
    let number = |name: &str| fields.get(name).and_then(Value::as_i64).unwrap_or_default();
    Healthcheck {
        test: test.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
        interval: number("Interval"),
        timeout: number("Timeout"),
        start_period: number("StartPeriod"),
        start_interval: number("StartInterval"),
        retries: u32::try_from(number("Retries")).unwrap_or_default(),
    }
}

fn healthcheck_value(check: &Healthcheck) -> Value {
    let mut fields = Map::new();
    let numbers = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
        ("Retries", i64::from(check.retries)),
    ];
    fields.insert("Test".to_owned(), json!(check.test));
    for (name, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
        fields.insert(name.to_owned(), json!(number));
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_instruction_changes_is_kept() {
        let text = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{"User":"app","ExposedPorts":{"80/tcp":{}},"Env":["A=1","B=x=y"],"Entrypoint":["e"],"Cmd":["c"],"WorkingDir":"/w","Labels":{"l":"1"},"Volumes":{"/v":{}},"StopSignal":"SIGINT","Healthcheck":{"Test":["CMD","x"],"Interval":5,"Retries":3},"Shell":["/bin/bash","-c"],"OnBuild":["RUN x"],"ArgsEscaped":true,"Unknown":[1]}}"#;
        let image: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(finished(&inherited(&image), &image.config, &image.platform()), image.config);
    }
}
