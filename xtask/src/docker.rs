//! Docker as tests' oracle and as a peer: Debian sid's, in a folder, because the stable ones are too old.
//!
//! The daemon gets its own mounts (`unshare`), which go when it goes. It shares the host's network, so that it reaches
//! a registry on loopback, but makes no bridge and no firewall rule there: containers run with the host's network or
//! with none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::daemon::Daemon;
use crate::debian::System;
use crate::peers::Folders;
use crate::project::{self, Project};
use crate::{Result, command};

const SUITE: &str = "sid";
/// `xz` because Docker runs it to unpack what `ADD` adds; without it such an archive is a file like any other. `git` because
/// without it Docker knows no repositories.
const PACKAGES: &[&str] =
    &["ca-certificates", "docker-buildx", "docker-cli", "docker-compose", "docker.io", "git", "xz-utils"];

/// Ends in the daemon itself, so that it is the daemon's process that is watched and told to end.
const ENTER: &str = r#"
root=$1 data=$2 run=$3
mount --bind "$root" "$root" # docker load remounts `/`, which must be a mount
for shared in proc sys dev; do mount --rbind "/$shared" "$root/$shared"; done
mount --bind "$data" "$root/var/lib/docker"
mount --bind "$run" "$root/run"
if [ -e /etc/resolv.conf ]; then mount --bind /etc/resolv.conf "$root/etc/resolv.conf"; fi
exec chroot "$root" dockerd --config-file /run/daemon.json
"#;

/// The two ways in which Docker keeps images; what loads into one may not load into the other.
#[derive(Clone, Copy)]
pub(crate) enum ImageStore {
    Overlay2,
    Containerd,
}

impl ImageStore {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Overlay2 => "docker-overlay2",
            Self::Containerd => "docker-containerd",
        }
    }
}

/// The folder with Docker in it.
pub(crate) fn provide(project: &Project) -> Result<PathBuf> {
    let recipe = [&[SUITE, "docker 1"], PACKAGES].concat();
    let root = project.provide("docker", &recipe, |folder| {
        project::require_root("making a system with Docker in it")?;
        println!("about to install from Debian {SUITE}'s packages, into a folder: {}", PACKAGES.join(" "));
        let root = folder.join("root");
        System { suite: SUITE, packages: PACKAGES, sources: false, options: &[] }
            .make(Some(&root), folder)?;
        fs::create_dir_all(root.join("var/lib/docker"))?;
        Ok(fs::write(root.join("etc/resolv.conf"), "")?) // to be mounted over
    })?;
    Ok(root.join("root"))
}

/// Docker's command, which runs outside of that folder as well, and where it finds its plug-ins.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) program: PathBuf,
    /// Its plug-in for builds, which runs without it as well, and starts twice as fast.
    pub(crate) buildx: PathBuf,
    /// `DOCKER_CONFIG`: no credentials of the user's, and no state of buildx that outlives the run.
    pub(crate) config: PathBuf,
}

impl Client {
    pub(crate) fn new(root: &Path, folders: &Folders) -> Result<Self> {
        let config = folders.run.join("docker-config");
        fs::create_dir_all(&config)?;
        let plugins = root.join("usr/libexec/docker/cli-plugins");
        let settings = json!({ "cliPluginsExtraDirs": [plugins] });
        fs::write(config.join("config.json"), settings.to_string())?;
        Ok(Self { program: root.join("usr/bin/docker"), buildx: plugins.join("docker-buildx"), config })
    }
}

/// A running Docker.
pub(crate) struct Docker {
    pub(crate) socket: PathBuf,
    _daemon: Daemon,
}

impl Docker {
    /// Starts one with an empty image store of that kind; its data, socket and log lie in `folders`.
    pub(crate) fn start(root: &Path, client: &Client, store: ImageStore, folders: &Folders) -> Result<Self> {
        let data = folders.data.join(store.name());
        let run = folders.run.join(store.name());
        fs::create_dir_all(&data)?;
        fs::create_dir_all(&run)?;
        let settings = json!({
            "hosts": ["unix:///run/docker.sock"],
            "bridge": "none",
            "iptables": false,
            "ip6tables": false,
            "storage-driver": match store { ImageStore::Overlay2 => "overlay2", ImageStore::Containerd => "overlayfs" },
            "features": { "containerd-snapshotter": matches!(store, ImageStore::Containerd) },
        });
        fs::write(run.join("daemon.json"), settings.to_string())?;
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation=private", "bash", "-euc", ENTER, store.name()]);
        unshare.args([root, &data, &run]);
        let mut daemon =
            Daemon::start(store.name(), &unshare, &folders.data.join(format!("{}.log", store.name())))?;
        let socket = run.join("docker.sock");
        let host = format!("unix://{}", socket.display());
        daemon.wait_until(|| {
            command::succeeds(Command::new(&client.program).args(["--host", &host, "info"]))
        })?;
        Ok(Self { socket, _daemon: daemon })
    }
}
