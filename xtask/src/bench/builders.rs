//! The two that are timed, and what they take from the outside: a package index and registries, all on loopback.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::docker::{self, Client, Docker, ImageStore};
use crate::peers::{Folders, Registry};
use crate::project::Project;
use crate::wheels::{FULL, INSTALLERS, LIGHT, MEDIUM};
use crate::{Result, base_image, command, debian, index, test, tools};

const BASE: &str = "python:3.13-slim";

/// Who builds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Builder {
    Docker,
    Cartwheel,
}

impl Builder {
    pub(super) const ALL: [Self; 2] = [Self::Docker, Self::Cartwheel];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Cartwheel => "cartwheel",
        }
    }
}

/// Where the image goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Nowhere: what was built is kept for the next build.
    Cache,
    /// Into the builder's own store.
    Local,
    /// Into that builder's registry.
    Push,
    /// Into Docker.
    Load,
}

/// Both builders, with nothing built yet, and all that they need.
pub(super) struct Builders {
    cartwheel: PathBuf,
    path: std::ffi::OsString,
    docker: Docker,
    client: Client,
    index: String,
    /// Has the base.
    hub: Registry,
    /// One for each builder, because what one has pushed the other would not have to push.
    registries: [Registry; 2],
    /// The last to go: what the others keep on the disk.
    folders: Folders,
}

impl Builders {
    pub(super) fn start(project: &Project, full: bool) -> Result<Self> {
        debian::install(
            &[Registry::PACKAGE, "python3", "skopeo", "util-linux"],
            "whole builds against Docker's",
        )?;
        base_image::provide(project)?;
        let root = docker::provide(project)?;
        command::shown(test::cargo(project).args(["build", "--release", "--package", "cartwheel"]))?;
        let folders = Folders::new(project)?;
        let client = Client::new(&root, &folders)?;
        let docker = Docker::start(&root, &client, ImageStore::Containerd, &folders)?;
        let hub = Registry::start(&folders, "hub")?;
        let registries =
            [Registry::start(&folders, "registry-docker")?, Registry::start(&folders, "registry-cartwheel")?];
        let index = serve_index(project, full, &folders.data.join("index"))?;
        let layout = format!("oci:{}", project.fixtures().join("python-slim").display());
        let base = format!("docker://{}/{BASE}", hub.address);
        command::quiet(Command::new("skopeo").args(["copy", "--dest-tls-verify=false", &layout, &base]))?;
        let cartwheel = project.target().join("release/cartwheel");
        let path = tools::path(project)?;
        Ok(Self { cartwheel, path, docker, client, index, hub, registries, folders })
    }

    /// A folder of this run's.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.folders.data.join(name)
    }

    /// Builds and returns how many seconds that took.
    pub(super) fn time(
        &self,
        builder: Builder,
        goal: Goal,
        context: &Path,
        dockerfile: &Path,
    ) -> Result<f64> {
        let mut build = self.command(builder, goal);
        build.arg("--file").arg(dockerfile).arg(context);
        let log = self.folder(builder.name()).with_extension("log");
        build
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        // What others left to be written is not this build's to wait for.
        command::quiet(&mut Command::new("sync"))?;
        let started = Instant::now();
        let status = build.status()?;
        let took = started.elapsed().as_secs_f64();
        if status.success() {
            return Ok(took);
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        Err(format!("{} failed: {status}\n{said}", builder.name()).into())
    }

    /// Has Docker forget all that nobody could miss: its disk is needed for another row.
    pub(super) fn prune(&self) -> Result {
        let mut prune = self.docker_command(&self.client.program);
        command::quiet(prune.args(["system", "prune", "--all", "--force"]))?;
        let mut builder = self.docker_command(&self.client.program);
        command::quiet(builder.args(["builder", "prune", "--all", "--force"]))
    }

    fn command(&self, builder: Builder, goal: Goal) -> Command {
        let [docker, cartwheel] = &self.registries;
        let (mut command, registry) = match builder {
            Builder::Docker => (self.docker_command(&self.client.buildx), docker),
            Builder::Cartwheel => (self.cartwheel_command(), cartwheel),
        };
        command.args(["build", "--progress=plain", "--network=host"]);
        let base = format!("{BASE}=docker-image://{}/{BASE}", self.hub.address);
        let index = format!("PIP_INDEX_URL={}", self.index);
        command.args(["--build-context", &base, "--build-arg", &index]);
        let pushed = format!("{}/fastapi", registry.address);
        match (goal, builder) {
            (Goal::Cache, Builder::Docker) => command.arg("--output=type=cacheonly"),
            (Goal::Push, _) => command.args(["--push", "--tag", &pushed]),
            (Goal::Load, Builder::Cartwheel) => command.args(["--load", "--tag", "fastapi-loaded"]),
            // What cartwheel builds is in its store.
            (Goal::Cache | Goal::Local | Goal::Load, _) => command.args(["--tag", "fastapi"]),
        };
        if builder == Builder::Docker {
            // What cartwheel does not write, Docker shall not have to.
            command.arg("--provenance=false");
        }
        command
    }

    fn docker_command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("DOCKER_CONFIG", &self.client.config);
        command.env("DOCKER_HOST", format!("unix://{}", self.docker.socket.display()));
        command
    }

    fn cartwheel_command(&self) -> Command {
        let mut command = self.docker_command(&self.cartwheel);
        command.env("PATH", &self.path);
        command.env("CARTWHEEL_HOME", self.folder("cartwheel-home"));
        command.env("UV_CACHE_DIR", self.folder("uv-cache"));
        command
    }
}

/// Serves the wheels that the example may ask for as a package index below `folder`; returns its URL.
fn serve_index(project: &Project, full: bool, folder: &Path) -> Result<String> {
    let tools = tools::provide(project)?;
    let sets = if full { &[INSTALLERS, LIGHT, MEDIUM, FULL][..] } else { &[INSTALLERS, LIGHT, MEDIUM] };
    let mut wheels = Vec::new();
    for set in sets {
        wheels.extend(index::distributions(&set.provide(project, &tools)?)?);
    }
    index::serve(&wheels, folder)
}
