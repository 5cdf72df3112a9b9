//! Running an image as a container, with no daemon: umoci unpacks it, runc runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::{Result, command, debian, project};

const NAME: &str = "cartwheel-demo";

/// What it takes.
pub(crate) fn install() -> Result {
    debian::install(&["umoci", "runc", "util-linux"], "running an image as a container")
}

/// An image unpacked and ready to run: runc's bundle.
pub(crate) struct Bundle {
    folder: PathBuf,
}

impl Bundle {
    /// Unpacks the only image of the OCI layout `image` into `folder`, replacing what was there.
    pub(crate) fn unpack(image: &Path, folder: &Path) -> Result<Self> {
        remove(&state(folder)); // what a killed run left: its process may not have heard that it should end
        project::remove(folder)?;
        let index = read_json(&image.join("index.json"))?;
        let name = &index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"];
        let name = name.as_str().ok_or("the image layout names no image")?;
        let image = format!("{}:{name}", image.display());
        let rootfs = folder.join("rootfs");
        fs::create_dir_all(folder)?;
        // Its `raw` commands: the others also digest all that they unpacked, to be able to pack it again.
        command::quiet(Command::new("umoci").args(["raw", "unpack", "--image", &image]).arg(&rootfs))?;
        let mut describe = Command::new("umoci");
        describe.args(["raw", "runtime-config", "--image", &image]).arg("--rootfs").arg(&rootfs);
        command::quiet(describe.arg(folder.join("config.json")))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Starts the image's own command on 127.0.0.1:`port`, in the host's network so that nothing needs forwarding.
    pub(crate) fn run(self, port: u16) -> Result<Container> {
        let path = self.folder.join("config.json");
        let mut config = read_json(&path)?;
        config["process"]["terminal"] = json!(false);
        let words = config["process"]["args"].as_array_mut().ok_or("the image has no command")?;
        *words = listening(words, port)?;
        let namespaces =
            config["linux"]["namespaces"].as_array_mut().ok_or("the bundle has no namespaces")?;
        namespaces.retain(|namespace| namespace["type"] != "network");
        fs::write(&path, config.to_string())?;

        let mut runc = Command::new("runc");
        runc.arg("--root").arg(state(&self.folder)).arg("run").arg("--bundle").arg(&self.folder).arg(NAME);
        let daemon = Daemon::start("the container", &runc, &self.folder.with_extension("log"))?;
        Ok(Container { daemon, bundle: self })
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if let Err(error) = project::remove(&self.folder) {
            eprintln!("warning: {error}");
        }
    }
}

/// A running container; stopped and removed when this value is dropped.
pub(crate) struct Container {
    daemon: Daemon,
    bundle: Bundle,
}

impl Container {
    /// Waits until `answers`.
    pub(crate) fn wait_until(&mut self, answers: impl Fn() -> bool) -> Result {
        self.daemon.wait_until(answers)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        remove(&state(&self.bundle.folder));
    }
}

/// Where runc keeps what it knows of the containers of this bundle.
fn state(bundle: &Path) -> PathBuf {
    bundle.with_extension("runc")
}

/// Ends and removes the container. At once: a process that is the first of its tree ignores the polite signal.
fn remove(state: &Path) {
    let mut delete = Command::new("runc");
    command::succeeds(delete.arg("--root").arg(state).args(["delete", "--force", NAME]));
}

/// The command with the values of its `--host` and `--port` replaced.
fn listening(words: &[Value], port: u16) -> Result<Vec<Value>> {
    let mut words = words.to_vec();
    for (option, value) in [("--host", "127.0.0.1".to_owned()), ("--port", port.to_string())] {
        let place = words.iter().position(|word| word == option);
        let word = place.and_then(|place| words.get_mut(place + 1));
        *word.ok_or_else(|| format!("the image's command has no `{option}` to be replaced"))? = json!(value);
    }
    Ok(words)
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read(path).map_err(|error| format!("could not read `{}`: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_and_port_are_replaced() {
        let words = ["uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000"].map(Value::from);
        let found = listening(&words, 41).unwrap();
        assert_eq!(
            found,
            ["uvicorn", "app.main:app", "--host", "127.0.0.1", "--port", "41"].map(Value::from)
        );
        assert!(listening(&["python3".into()], 41).is_err());
    }
}
