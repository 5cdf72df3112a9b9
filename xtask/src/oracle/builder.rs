//! The two that are compared, each run as its users run it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Base;
use super::case::Case;
use crate::docker::{self, Client, Docker, ImageStore};
use crate::peers::{Folders, Peers};
use crate::project::{self, Project};
use crate::{Result, command, tools};

/// What came of a build.
pub(super) struct Outcome {
    /// The image's OCI layout, or what the builder said when it failed.
    result: Result<PathBuf, String>,
    said: String,
    pub(super) took: Duration,
}

impl Outcome {
    pub(super) fn built(&self) -> Result<&Path, &str> {
        self.result.as_ref().map(PathBuf::as_path).map_err(String::as_str)
    }

    /// What cartwheel says of the commands that it ran.
    pub(super) fn ran(&self) -> impl Iterator<Item = &str> {
        self.said.lines().filter(|line| line.contains("  is run: "))
    }

    /// Runs the build, which leaves the image at `layout` if it succeeds; if not, the reason is what it said from the
    /// last line on that starts with `from`, or all.
    fn of(build: &mut Command, layout: &Path, from: &str) -> Result<Self> {
        let started = Instant::now();
        let output = build.stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("`{}`: {error}", build.get_program().display()))?;
        let took = started.elapsed();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let reason = said.rfind(&format!("\n{from}")).and_then(|start| said.get(start..)).unwrap_or(&said);
        let result =
            if output.status.success() { Ok(layout.to_owned()) } else { Err(reason.trim().to_owned()) };
        Ok(Self { result, said, took })
    }
}

/// Docker's BuildKit.
pub(super) struct BuildKit {
    socket: PathBuf,
    client: Client,
    layouts: PathBuf,
    /// If it runs for this alone; the folders go last.
    _own: Option<(Docker, Folders)>,
}

impl BuildKit {
    pub(super) fn start(project: &Project, store: ImageStore, scratch: &Path) -> Result<Self> {
        let root = docker::provide(project)?;
        project::require_root("running Docker")?;
        let folders = Folders::new(project)?;
        let client = Client::new(&root, &folders)?;
        let docker = Docker::start(&root, &client, store, &folders)?;
        let own = Some((docker, folders));
        let socket = own.as_ref().map(|(docker, _)| docker.socket.clone()).unwrap_or_default();
        Ok(Self { socket, client, layouts: scratch.join("docker"), _own: own })
    }

    /// The Docker that tests have beside them.
    pub(super) fn of(peers: &Peers, scratch: &Path) -> Self {
        let (socket, client) = peers.docker();
        Self {
            socket: socket.to_owned(),
            client: client.clone(),
            layouts: scratch.join("docker"),
            _own: None,
        }
    }

    /// Builds the case and keeps it as `tag`. With that image store or the other: `docker save` writes layouts of both.
    pub(super) fn build(&self, case: &Case, staged: &Path, tag: &str) -> Result<Outcome> {
        let layout = self.layouts.join(&case.name);
        let mut buildx = self.command(&self.client.buildx);
        // The daemon has no bridge.
        buildx.args(["build", "--provenance=false", "--progress=plain", "--network=host", "--tag", tag]);
        words(&mut buildx, case, staged);
        if let Some(dockerfile) = &case.settings.instead {
            buildx.args(["--file", dockerfile]);
        }
        let outcome = Outcome::of(&mut buildx, &layout, "ERROR: ")?;
        if outcome.result.is_ok() {
            self.save(tag, &layout)?;
        }
        Ok(outcome)
    }

    fn save(&self, tag: &str, layout: &Path) -> Result {
        fs::create_dir_all(layout)?;
        let archive = layout.with_extension("tar");
        command::quiet(self.command(&self.client.program).args(["save", "--output"]).arg(&archive).arg(tag))?;
        command::quiet(
            Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(layout),
        )?;
        Ok(fs::remove_file(archive)?)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("DOCKER_CONFIG", &self.client.config);
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command
    }
}

/// The program under test.
pub(super) struct Cartwheel {
    program: PathBuf,
    /// `--build-context NAME=oci-layout://…` for every base.
    bases: Vec<String>,
    store: PathBuf,
    layouts: PathBuf,
    /// With uv on it.
    path: OsString,
}

impl Cartwheel {
    pub(super) fn new(project: &Project, program: &Path, bases: &[Base], scratch: &Path) -> Result<Self> {
        if !program.is_file() {
            return Err(format!(
                "`{}` is not there: `cargo build --release --package cartwheel`, or say in CARTWHEEL where it is",
                program.display()
            )
            .into());
        }
        let context = |base: &Base| format!("{}=oci-layout://{}", base.name, base.layout.display());
        Ok(Self {
            program: program.canonicalize()?,
            bases: bases.iter().map(context).collect(),
            store: scratch.join("store"),
            layouts: scratch.join("cartwheel"),
            path: tools::path(project)?,
        })
    }

    pub(super) fn build(&self, case: &Case, staged: &Path) -> Result<Outcome> {
        let layout = self.layouts.join(&case.name);
        let mut cartwheel = Command::new(&self.program);
        cartwheel.env("CARTWHEEL_HOME", &self.store).env("PATH", &self.path).arg("build");
        for base in &self.bases {
            cartwheel.args(["--build-context", base]);
        }
        cartwheel.arg("--output").arg(format!("type=oci,tar=false,dest={}", layout.display()));
        words(&mut cartwheel, case, staged);
        fs::create_dir_all(&self.layouts)?;
        Outcome::of(&mut cartwheel, &layout, "error: ")
    }
}

/// What is the same on both command lines.
fn words(command: &mut Command, case: &Case, staged: &Path) {
    command.current_dir(staged).envs(&case.settings.environment);
    command.args(&case.settings.arguments).arg(case.context());
}
