//! What pip itself would install: the report of `pip install --dry-run --report`, version 1 of its format.
//!
//! uv answers for pip as long as all is wheels. Where something has to be built, only pip can say what: it takes the newest
//! version, wheel or not, and what a source needs is known when its build system was asked. So pip is asked, where it can
//! be run; what it names as sources is built, and everything is installed as any other wheels are.

use std::collections::BTreeMap;

use cartwheel_store::Digest;
use cartwheel_transfer::without_credentials;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::install::json_string;
use crate::name::normalise;
use crate::pylock::{LockedWheel, WheelLocation, is_wheel};
use crate::requirement::Requirement;
use crate::resolve::{Dependents, Resolution, ResolveError, installation_order};

/// What pip would install, some of it not built yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipReport {
    wheels: Vec<LockedWheel>,
    /// What has to be built.
    pub sources: Vec<PipSource>,
    dependents: Dependents,
}

/// A distribution that is no wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipSource {
    /// The package, normalised.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What `pip wheel` is asked for: this very source.
    pub requirement: String,
    /// The text of direct_url.json, if it was asked for by its URL.
    pub direct_url: Option<String>,
}

#[derive(Deserialize)]
struct Report {
    install: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    download_info: Map<String, Value>,
    is_direct: bool,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
    #[serde(default)]
    requires_dist: Vec<String>,
}

impl PipReport {
    /// Reads a report.
    pub fn parse(text: &str) -> Result<Self> {
        let problem = |problem: String| ResolveError::Report { problem };
        let report: Report = serde_json::from_str(text).map_err(|error| problem(error.to_string()))?;
        let mut found = Self { wheels: Vec::new(), sources: Vec::new(), dependents: Dependents::new() };
        for item in report.install {
            let name = normalise(&item.metadata.name);
            for requirement in &item.metadata.requires_dist {
                if let Ok(needed) = requirement.parse::<Requirement>() {
                    found.dependents.entry(normalise(needed.name())).or_default().insert(name.clone());
                }
            }
            let without = || problem(format!("it does not say where `{name}` comes from"));
            let source = item.source().ok_or_else(without)?;
            match source {
                Source::Wheel(wheel) => found.wheels.push(wheel),
                Source::Built(source) => found.sources.push(source),
            }
        }
        Ok(found)
    }

    /// What is installed when the sources have become these wheels, in pip's order.
    pub fn resolution(self, built: Vec<LockedWheel>) -> Resolution {
        let packages = installation_order([self.wheels, built].concat(), &self.dependents);
        Resolution { packages, satisfied: Vec::new(), pylock: String::new() }
    }
}

enum Source {
    Wheel(LockedWheel),
    Built(PipSource),
}

impl Item {
    /// What it is; `None` if it is none of what pip 22.2 and later report.
    fn source(&self) -> Option<Source> {
        let info = &self.download_info;
        let url = without_credentials(info.get("url")?.as_str()?);
        let Metadata { name, version, .. } = &self.metadata;
        let (name, version) = (normalise(name), version.clone());
        let direct_url = self.is_direct.then(|| python_json(&Value::Object(info.clone())));
        let folder = info.get("subdirectory").and_then(Value::as_str);
        let fragment = |more: Option<String>| {
            let parts: Vec<String> =
                more.into_iter().chain(folder.map(|folder| format!("subdirectory={folder}"))).collect();
            if parts.is_empty() { String::new() } else { format!("#{}", parts.join("&")) }
        };
        let requirement = if let Some(vcs) = info.get("vcs_info") {
            let (system, commit) = (vcs.get("vcs")?.as_str()?, vcs.get("commit_id")?.as_str()?);
            format!("{name} @ {system}+{url}@{commit}{}", fragment(None))
        } else {
            let hex = sha256(info.get("archive_info")?)?;
            let filename = url.rsplit('/').next()?.to_owned();
            // A wheel that lies in the image is had in the same way as one that has to be built.
            if is_wheel(&filename) && !url.starts_with("file:") {
                let digest = Digest::from_hex(&hex).ok()?;
                let location = WheelLocation::Url(url);
                let (direct, size) = (self.is_direct, None);
                return Some(Source::Wheel(LockedWheel {
                    name,
                    version,
                    filename,
                    location,
                    size,
                    digest,
                    direct,
                    direct_url,
                }));
            }
            format!("{name} @ {url}{}", fragment(Some(format!("sha256={hex}"))))
        };
        Some(Source::Built(PipSource { name, version, requirement, direct_url }))
    }
}

/// `hashes.sha256`, or `hash`, which pip 22 writes.
fn sha256(archive: &Value) -> Option<String> {
    let listed = archive.get("hashes").and_then(|hashes| hashes.get("sha256")).and_then(Value::as_str);
    let single = || archive.get("hash").and_then(Value::as_str)?.strip_prefix("sha256=");
    listed.or_else(single).map(str::to_owned)
}

/// JSON as Python's `json.dumps(…, sort_keys=True)` writes it, which is how pip writes direct_url.json.
fn python_json(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            let field =
                |(key, value): (&&String, &&Value)| format!("{}: {}", json_string(key), python_json(value));
            format!("{{{}}}", sorted.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(python_json).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => json_string(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"version": "1", "pip_version": "26.0", "install": [
        {"download_info": {"url": "https://u:secret@example.org/b-1.0.tar.gz", "archive_info": {"hash": "sha256=aa", "hashes": {"sha256": "aa"}}},
         "is_direct": false, "requested": true, "metadata": {"name": "B", "version": "1.0", "requires_dist": ["a>=1; extra == 'x'", "?"]}},
        {"download_info": {"url": "https://example.org/c.git", "vcs_info": {"vcs": "git", "requested_revision": "main", "commit_id": "beef"}, "subdirectory": "py"},
         "is_direct": true, "metadata": {"name": "c", "version": "2"}},
        {"download_info": {"url": "https://example.org/a-1-py3-none-any.whl", "archive_info": {"hash": "sha256=DIGEST"}},
         "is_direct": true, "metadata": {"name": "a", "version": "1", "requires_dist": []}}]}"#;

    #[test]
    fn sources_are_asked_for_as_they_were_found() {
        let digest = Digest::of(b"a");
        let report = PipReport::parse(&REPORT.replace("DIGEST", &digest.hex())).unwrap();
        let asked: Vec<&str> = report.sources.iter().map(|source| source.requirement.as_str()).collect();
        assert_eq!(
            asked,
            [
                "b @ https://example.org/b-1.0.tar.gz#sha256=aa",
                "c @ git+https://example.org/c.git@beef#subdirectory=py"
            ]
        );
        let stated = r#"{"subdirectory": "py", "url": "https://example.org/c.git", "vcs_info": {"commit_id": "beef", "requested_revision": "main", "vcs": "git"}}"#;
        let direct: Vec<Option<&str>> =
            report.sources.iter().map(|source| source.direct_url.as_deref()).collect();
        assert_eq!(direct, [None, Some(stated)]);
        let built = LockedWheel { name: "b".to_owned(), ..report.wheels[0].clone() };
        let names: Vec<String> =
            report.resolution(vec![built]).packages.into_iter().map(|wheel| wheel.name).collect();
        // What is needed comes first.
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn what_is_no_report_is_said() {
        let error = |text: &str| PipReport::parse(text).unwrap_err().to_string();
        assert!(
            error("{}").starts_with("could not read the report of `pip install --dry-run`: missing field")
        );
        let folder = r#"{"install": [{"download_info": {"url": "file:///x", "dir_info": {}}, "is_direct": true, "metadata": {"name": "x", "version": "1"}}]}"#;
        assert!(error(folder).ends_with("it does not say where `x` comes from"));
    }
}
