//! Writing an image as an OCI layout, with tar, gzip and sha256sum.
//!
//! On purpose by other hands than the product's: a fixture that the code under test had made could hide its mistakes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{Result, command};

/// Changes whenever what this module writes changes.
pub(crate) const RECIPE: &str = "layout 1";

/// The one instant of everything in the image: the release of Debian 13, 2025-08-09.
const INSTANT: &str = "2025-08-09T00:00:00Z";

/// An image in the shape of the official Python ones.
pub(crate) struct Image<'a> {
    pub(crate) python_version: &'a str,
    /// Plain tars, the lowest first.
    pub(crate) layers: &'a [PathBuf],
}

/// Packs `path` below `root` into a layer: sorted, without `./` in front, with `path`'s parents.
pub(crate) fn tar(root: &Path, path: &str, tar: &Path) -> Result<PathBuf> {
    // What a runtime mounts over stays empty; mmdebstrap leaves a few device nodes there.
    let script = r#"
        cd "$1"
        {
            parents=$2
            while [ "${parents%/*}" != "$parents" ]; do parents=${parents%/*}; printf '%s\0' "$parents"; done
            find "$2" \( -path './dev/*' -o -path './proc/*' -o -path './sys/*' -o -path './run/*' \) \
                -prune -o -printf '%p\0' | sed -z 's,^\./,,; /^\.$/d'
        } | LC_ALL=C sort -z -u |
            tar --create --file="$3" --no-recursion --null --files-from=- --numeric-owner --format=pax \
                --mtime="$4" --pax-option=delete=atime,delete=ctime"#;
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", script, "tar"]).arg(root).arg(path).arg(tar).arg(INSTANT);
    command::quiet(&mut shell)?;
    Ok(tar.to_owned())
}

impl Image<'_> {
    /// Writes the layout into the new folder `layout`.
    pub(crate) fn write(&self, layout: &Path) -> Result {
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let layers = self.layers.iter().map(|tar| add_layer(&blobs, tar)).collect::<Result<Vec<_>>>()?;
        let diff_ids: Vec<&String> = layers.iter().map(|layer| &layer.diff_id).collect();
        let descriptors: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();

        let config = add_json(&blobs, "application/vnd.oci.image.config.v1+json", &self.config(&diff_ids))?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": descriptors,
        });
        let mut manifest = add_json(&blobs, "application/vnd.oci.image.manifest.v1+json", &manifest)?;
        manifest["platform"] = json!({ "architecture": "amd64", "os": "linux" });
        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "3.13-slim" });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [manifest],
        });
        fs::write(layout.join("index.json"), index.to_string())?;
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(())
    }

    fn config(&self, diff_ids: &[&String]) -> Value {
        let layer = |created_by: &str| json!({ "created": INSTANT, "created_by": created_by });
        let setting =
            |created_by: &str| json!({ "created": INSTANT, "created_by": created_by, "empty_layer": true });
        let path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let version = format!("PYTHON_VERSION={}", self.python_version);
        json!({
            "created": INSTANT,
            "architecture": "amd64",
            "os": "linux",
            "config": { "Env": [path, "LANG=C.UTF-8", version], "Cmd": ["python3"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": [
                layer("debian trixie, minimal, with the libraries of Python"),
                setting("ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
                setting("ENV LANG=C.UTF-8"),
                setting(&format!("ENV {version}")),
                layer("RUN compile CPython into /usr/local"),
                setting(r#"CMD ["python3"]"#),
            ],
        })
    }
}

struct Layer {
    diff_id: String,
    descriptor: Value,
}

fn add_layer(blobs: &Path, tar: &Path) -> Result<Layer> {
    let gzip = tar.with_extension("gz");
    let into = File::create(&gzip)?;
    let status =
        Command::new("gzip").args(["--no-name", "--stdout"]).arg(tar).stdout(Stdio::from(into)).status()?;
    if !status.success() {
        return Err(format!("`gzip` failed: {status}").into());
    }
    let descriptor = add(blobs, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip)?;
    Ok(Layer { diff_id: format!("sha256:{}", sha256(tar)?), descriptor })
}

fn add_json(blobs: &Path, media_type: &str, value: &Value) -> Result<Value> {
    let file = blobs.join("unnamed");
    fs::write(&file, value.to_string())?;
    add(blobs, media_type, &file)
}

/// Moves `file` among the blobs and describes it.
fn add(blobs: &Path, media_type: &str, file: &Path) -> Result<Value> {
    let digest = sha256(file)?;
    let size = fs::metadata(file)?.len();
    fs::rename(file, blobs.join(&digest))?;
    Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size }))
}

fn sha256(file: &Path) -> Result<String> {
    let line = command::output(Command::new("sha256sum").arg(file))?;
    line.split(' ').next().map(str::to_owned).ok_or_else(|| "`sha256sum` printed nothing".into())
}
