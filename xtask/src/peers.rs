//! The real tools that tests compare with, installed and, where they are servers, running.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::Daemon;
use crate::docker::{self, Docker, ImageStore};
use crate::project::{self, Project};
use crate::{Result, command, debian};

/// From this machine's Debian: what reads the layouts, archives and registries that tests write.
const PACKAGES: &[&str] = &[
    "ca-certificates",
    Registry::PACKAGE,
    "gzip",
    "podman",
    "runc",
    "skopeo",
    "uidmap",
    "umoci",
    "util-linux",
    "zstd",
];

/// The servers; all end when this value is dropped.
pub(crate) struct Peers {
    overlay2: Docker,
    containerd: Docker,
    registry: Registry,
    client: docker::Client,
    podman: Podman,
    // The last to go: the others' folders.
    _folders: Folders,
}

impl Peers {
    /// Installs what is missing and starts the servers. One that cannot start is a failure, never a skipped test.
    pub(crate) fn start(project: &Project) -> Result<Self> {
        debian::install(PACKAGES, "the tests that compare with real tools")?;
        let root = docker::provide(project)?;
        project::require_root("running Docker")?;
        let folders = Folders::new(project)?;
        let client = docker::Client::new(&root, &folders)?;
        let overlay2 = Docker::start(&root, &client, ImageStore::Overlay2, &folders)?;
        let containerd = Docker::start(&root, &client, ImageStore::Containerd, &folders)?;
        let registry = Registry::start(&folders, "registry")?;
        let podman = Podman::new(&folders)?;
        Ok(Self { overlay2, containerd, registry, client, podman, _folders: folders })
    }

    /// Docker with containerd's image store: its socket, and what asks it.
    pub(crate) fn docker(&self) -> (&Path, &docker::Client) {
        (&self.containerd.socket, &self.client)
    }

    /// How tests are told of them.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("CARTWHEEL_TEST_DOCKER", self.client.program.clone()),
            ("DOCKER_CONFIG", self.client.config.clone()),
            ("CARTWHEEL_TEST_DOCKER_SOCKET", self.overlay2.socket.clone()),
            ("CARTWHEEL_TEST_DOCKER_CONTAINERD_SOCKET", self.containerd.socket.clone()),
            ("CONTAINERS_CONF", self.podman.settings.clone()),
            ("CONTAINERS_STORAGE_CONF", self.podman.storage.clone()),
            ("CARTWHEEL_TEST_REGISTRY", PathBuf::from(&self.registry.address)),
        ]
    }
}

/// The reference registry, on loopback.
pub(crate) struct Registry {
    pub(crate) address: String,
    _daemon: Daemon,
}

impl Registry {
    /// What provides it.
    pub(crate) const PACKAGE: &str = "docker-registry";

    /// Starts an empty one; `name` tells several of one run apart.
    pub(crate) fn start(folders: &Folders, name: &str) -> Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let storage = folders.data.join(name);
        let settings = folders.run.join(name).with_extension("yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
             http:\n  addr: {address}\nlog:\n  accesslog:\n    disabled: true\n  level: warn\n",
            storage.display()
        );
        fs::write(&settings, text)?;
        let mut serve = Command::new(Self::PACKAGE);
        serve.env("OTEL_TRACES_EXPORTER", "none").arg("serve").arg(settings);
        let mut daemon = Daemon::start(name, &serve, &storage.with_extension("log"))?;
        daemon.wait_until(|| TcpStream::connect(&address).is_ok())?;
        Ok(Self { address, _daemon: daemon })
    }
}

/// Settings for podman, skopeo and buildah: a store of this run's own, and containers that any root may start.
struct Podman {
    settings: PathBuf,
    storage: PathBuf,
}

impl Podman {
    fn new(folders: &Folders) -> Result<Self> {
        let settings = folders.run.join("containers.conf");
        // podman's default limits are beyond what a root without CAP_SYS_RESOURCE may ask for.
        let text = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\nnetns = \"none\"\n\
                    [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n";
        fs::write(&settings, text)?;
        let storage = folders.run.join("storage.conf");
        let text = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            folders.data.join("podman").display(),
            folders.run.join("podman").display()
        );
        fs::write(&storage, text)?;
        Ok(Self { settings, storage })
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // It has no daemon to end: what a failed test left running would run on.
        let mut remove = Command::new("podman");
        remove.env("CONTAINERS_CONF", &self.settings).env("CONTAINERS_STORAGE_CONF", &self.storage);
        command::succeeds(remove.args(["rm", "--all", "--force", "--time", "0"]));
    }
}

/// A port of loopback that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Where servers keep things while they run: one pair of folders for each run of this program.
pub(crate) struct Folders {
    /// On the disk of the checkout: images, logs.
    pub(crate) data: PathBuf,
    /// With a short path, because a socket's may not be longer than 107 bytes.
    pub(crate) run: PathBuf,
}

impl Folders {
    pub(crate) fn new(project: &Project) -> Result<Self> {
        let parents = [project.root().join("target/peers"), std::env::temp_dir().join("cartwheel-peers")];
        let [data, run] = parents.map(|parent| {
            remove_abandoned(&parent);
            parent.join(std::process::id().to_string())
        });
        fs::create_dir_all(&data)?;
        fs::create_dir_all(&run)?;
        Ok(Self { data, run })
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for folder in [&self.data, &self.run] {
            if let Err(error) = clear(folder) {
                eprintln!("warning: {error}");
            }
        }
    }
}

/// Removes the folders of runs that were killed: those named by a process that is no more.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            let _tried_again_next_time = clear(&entry.path());
        }
    }
}

/// Removes a folder and what podman, which has no daemon to end, left mounted in it.
fn clear(folder: &Path) -> Result {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let points = mounts.lines().rev().filter_map(|line| line.split(' ').nth(1));
    for point in points.filter(|point| Path::new(point).starts_with(folder)) {
        command::quiet(Command::new("umount").args(["--lazy", point]))?;
    }
    project::remove(folder)
}
