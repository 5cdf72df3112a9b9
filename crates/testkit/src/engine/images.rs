//! What an engine keeps, and what it makes of an archive.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use cartwheel_store::Digest;
use serde_json::{Value, json};

use super::EngineKind;

/// The images of an engine and what they are made of.
#[derive(Debug, Default)]
pub(super) struct Images {
    all: Vec<Image>,
    /// For graph drivers: the diff IDs of each unpacked layer and of all below it.
    chains: BTreeSet<Vec<String>>,
    /// For the others: the blobs.
    blobs: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone)]
struct Image {
    config: String,
    manifest: String,
    names: Vec<String>,
    diff_ids: Vec<String>,
    /// Whether everything is there that it is made of.
    whole: bool,
}

/// What came of a load.
pub(super) enum Outcome {
    /// The image of this name is there.
    Loaded(String),
    /// This is neither here nor in the archive.
    Lacking(String),
}

/// The files of an archive.
struct Archive {
    files: BTreeMap<String, Vec<u8>>,
    violations: Vec<String>,
}

impl Images {
    pub(super) fn names(&self) -> Vec<String> {
        let whole = self.all.iter().filter(|image| image.whole);
        let mut names: Vec<String> = whole.flat_map(|image| image.names.clone()).collect();
        names.sort();
        names
    }

    pub(super) fn lose_layers(&mut self) {
        self.chains.clear();
        self.blobs.clear();
    }

    pub(super) fn list(&self, kind: EngineKind, query: &str) -> Value {
        let entry = |image: &Image| match kind {
            EngineKind::GraphDriver => json!({"Id": image.config, "RepoTags": image.names}),
            EngineKind::Podman => json!({"Id": image.config, "Digest": image.manifest}),
            EngineKind::Containerd if query == "manifests=1" => {
                let descriptor = json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.manifest, "size": 1
                });
                json!({"Id": image.manifest, "Manifests": [
                    {"ID": image.manifest, "Descriptor": descriptor, "Available": image.whole, "Kind": "image"}
                ]})
            }
            EngineKind::Containerd => json!({"Id": image.manifest}),
        };
        self.all.iter().map(entry).collect()
    }

    pub(super) fn inspect(&self, name: &str) -> Option<Value> {
        let image = self.all.iter().rev().find(|image| {
            image.config == name || image.manifest == name || image.names.iter().any(|own| own == name)
        })?;
        let root = if image.whole { json!({"Type": "layers", "Layers": image.diff_ids}) } else { json!({}) };
        Some(json!({"Id": image.config, "RootFS": root}))
    }

    /// Takes an archive; says as well what is wrong with it.
    pub(super) fn load(&mut self, kind: EngineKind, body: &[u8]) -> (Outcome, Vec<String>) {
        let mut archive = Archive::read(body);
        let outcome = match kind {
            EngineKind::GraphDriver => self.unpack(&mut archive),
            EngineKind::Containerd | EngineKind::Podman => self.take(kind, &mut archive),
        };
        (outcome, archive.violations)
    }

    /// As Docker with a graph driver: `manifest.json` says what there is.
    fn unpack(&mut self, archive: &mut Archive) -> Outcome {
        let listed = archive.json("manifest.json");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let config_file = text(&listed[0]["Config"]);
        let config = archive.json(&config_file);
        let layers: Vec<String> = listed[0]["Layers"].as_array().into_iter().flatten().map(text).collect();
        let diff_ids: Vec<String> =
            config["rootfs"]["diff_ids"].as_array().into_iter().flatten().map(text).collect();
        for (index, file) in layers.iter().enumerate() {
            let chain: Vec<String> = diff_ids.iter().take(index + 1).cloned().collect();
            if self.chains.contains(&chain) {
                continue;
            }
            let Some(layer) = archive.files.get(file) else { return Outcome::Lacking(file.clone()) };
            if Some(&diff_id(layer)) != chain.last() {
                archive.violations.push(format!("`{file}` has another diff ID"));
            }
            self.chains.insert(chain);
        }
        let names: Vec<String> = listed[0]["RepoTags"].as_array().into_iter().flatten().map(text).collect();
        let config = archive.digest(&config_file);
        self.keep(Image { manifest: String::new(), config, names, diff_ids, whole: true })
    }

    /// As containerd and Podman: `index.json` says what there is.
    fn take(&mut self, kind: EngineKind, archive: &mut Archive) -> Outcome {
        if archive.files.contains_key("manifest.json") {
            archive.violations.push("a `manifest.json` that is not read".to_owned());
        }
        let mut blobs = self.blobs.clone();
        let found =
            archive.files.iter().filter_map(|(name, text)| Some((name.strip_prefix("blobs/sha256/")?, text)));
        blobs.extend(found.map(|(digest, text)| (format!("sha256:{digest}"), text.clone())));
        let entry = archive.json("index.json")["manifests"][0].clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let blob = |digest: &Value| blobs.get(digest.as_str().unwrap_or_default());
        let parsed = |digest: &Value| serde_json::from_slice(blob(digest)?).ok();
        let manifest: Value = parsed(&entry["digest"]).unwrap_or_default();
        let config: Value = parsed(&manifest["config"]["digest"]).unwrap_or_default();
        let layers = manifest["layers"].as_array().into_iter().flatten();
        let lacking = layers.map(|layer| &layer["digest"]).find(|digest| blob(digest).is_none()).map(text);
        if let (Some(what), EngineKind::Podman) = (&lacking, kind) {
            return Outcome::Lacking(what.clone());
        }
        let diff_ids = config["rootfs"]["diff_ids"].as_array().into_iter().flatten().map(text).collect();
        let name = text(&entry["annotations"]["io.containerd.image.name"]);
        let image = Image {
            config: text(&manifest["config"]["digest"]),
            manifest: text(&entry["digest"]),
            names: vec![name],
            diff_ids,
            whole: lacking.is_none(),
        };
        self.blobs = blobs;
        let kept = self.keep(image);
        lacking.map_or(kept, Outcome::Lacking)
    }

    /// A name belongs to one image; whoever had it keeps its layers.
    fn keep(&mut self, image: Image) -> Outcome {
        let name = image.names.first().cloned().unwrap_or_default();
        for other in &mut self.all {
            other.names.retain(|own| !image.names.contains(own));
        }
        self.all.push(image);
        Outcome::Loaded(name)
    }
}

impl Archive {
    fn read(body: &[u8]) -> Self {
        let (mut files, mut violations) = (BTreeMap::new(), Vec::new());
        let mut archive = tar::Archive::new(body);
        for entry in archive.entries().into_iter().flatten() {
            let Ok(mut entry) = entry else {
                violations.push("an archive that ends early".to_owned());
                break;
            };
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut text = Vec::new();
            if entry.read_to_end(&mut text).is_err() {
                violations.push(format!("`{name}` ends early"));
            }
            if name.strip_prefix("blobs/sha256/").is_some_and(|digest| digest != Digest::of(&text).hex()) {
                violations.push(format!("`{name}` is not what its name says"));
            }
            if files.insert(name.clone(), text).is_some() {
                violations.push(format!("`{name}` comes twice"));
            }
        }
        Self { files, violations }
    }

    fn json(&mut self, name: &str) -> Value {
        let parsed = self.files.get(name).and_then(|text| serde_json::from_slice(text).ok());
        parsed.unwrap_or_else(|| {
            self.violations.push(format!("no `{name}`"));
            Value::Null
        })
    }

    fn digest(&self, name: &str) -> String {
        self.files.get(name).map(|text| Digest::of(text).to_string()).unwrap_or_default()
    }
}

/// The digest of the tar in a layer.
fn diff_id(layer: &[u8]) -> String {
    let mut tar = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(layer).read_to_end(&mut tar);
    Digest::of(if read.is_ok() { &tar } else { layer }).to_string()
}
