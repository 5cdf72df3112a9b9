//! A command that has to be run: everything that is not an install which is understood to the last word.
//!
//! ```text
//! layers of the stage ──snapshots──► directories ─┐
//! contexts, stages, caches, secrets ──► mounts ───┴──sandbox──► upper directory ──diff──► layer
//! ```
//!
//! A layer is extracted once, when the first command needs it. What the command changed is in the upper directory of an
//! overlay, and nothing else is looked at. The layer says of time what every layer of ours says: each file has the fixed
//! instant. Compiled Python names the time of its source in its first bytes, so it is told of the change (`bytecode`);
//! else every start in a container would compile again.
//!
//! What is mounted never enters the layer. Secrets exist in memory alone, and no key has more of them than their names.

mod bytecode;
mod caches;
mod mounts;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;

use cartwheel_dockerfile as dockerfile;
use cartwheel_dockerfile::Run;
use cartwheel_oci::Platform;
use cartwheel_oci::layer::Encoding;
use cartwheel_sandbox::{Cancel, Exit, Mount, Network, Sandbox, Ulimit};

pub(crate) use caches::PLACE;
pub(crate) use mounts::name_mounts;

use crate::container::{Container, marks};
use crate::error::{ErrorKind, Result};
use crate::execute::{At, Done, Engine};
use crate::graph::CopyFrom;
use crate::install::{PackRecord, PackedLayer};
use crate::packages::make;
use crate::plan::StepState;
use crate::progress::Outcome;
use crate::stage::StageState;
use mounts::Mounted;

/// What the command line adds to commands that are run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Secrets by their names.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// The sockets of SSH agents by their names.
    pub agents: BTreeMap<String, PathBuf>,
    /// Lines for `/etc/hosts`.
    pub hosts: Vec<(String, IpAddr)>,
    /// The network of commands that do not say theirs.
    pub network: dockerfile::Network,
    /// The size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Limits.
    pub ulimits: Vec<Ulimit>,
    /// What commands may ask for beyond a sandbox's own: `--allow`.
    pub allowed: Entitlements,
    /// Whether the caches of pip, uv, npm and apt are mounted unasked.
    pub automatic_caches: bool,
    /// The architectures whose programs this machine runs.
    pub architectures: Vec<String>,
    /// Why there can be no sandbox, if there cannot.
    pub impossible: Option<String>,
    /// Why there is no user but root in a sandbox, if so.
    pub only_root: Option<String>,
}

/// A process that has run, and what it left.
pub(crate) struct Ran {
    /// The upper directory of its overlay.
    upper: PathBuf,
    _container: Container,
}

/// What a command may ask for only if the user allows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entitlements {
    /// `RUN --security=insecure`.
    pub insecure: bool,
    /// `RUN --network=host`.
    pub host_network: bool,
}

impl RunOptions {
    /// The network that a command sees: its own, or that of the build.
    pub(crate) fn network_of(&self, run: &Run) -> dockerfile::Network {
        match run.network {
            dockerfile::Network::Default => self.network,
            asked => asked,
        }
    }
}

impl<'a> Engine<'a> {
    /// Runs a command; its layer is what it changed.
    pub(crate) fn run_in_sandbox(
        &self,
        at: At<'_>,
        (run, from): (&Run, &[CopyFrom]),
        (state, done): (&mut StageState<'a>, &[StageState<'a>]),
        reason: &str,
    ) -> Result<(PackRecord, Done)> {
        let started = Instant::now();
        self.steps.started(&at.op.text, reason);
        let ran = self.process(at, (run, from), (state, done), None)?;
        let store = self.workshop.store;
        let upper = cartwheel_snapshot::diff(&ran.upper, marks(), state.below()?)?;
        bytecode::follow(&upper, self.mtime())?;
        let tree = upper.with_mtime(self.mtime());
        let mut made = PackRecord::default();
        let mut outcome = "no file changed".to_owned();
        if !tree.is_empty() {
            let layer = make(store, &at.op.text, &tree, Encoding::Compressed)?;
            outcome = format!("{} bytes", layer.descriptor.size);
            made.layers.push(PackedLayer { layer, created_by: at.op.created_by.clone() });
        }
        self.steps.made();
        self.steps.finished(&at.op.text, Outcome::Done(outcome), started.elapsed());
        Ok((made, Done::new(StepState::Sandbox)))
    }

    /// Runs a process in the place of an instruction's, with one mount more; an error if it fails.
    pub(crate) fn process(
        &self,
        at: At<'_>,
        (run, from): (&Run, &[CopyFrom]),
        (state, done): (&StageState<'a>, &[StageState<'a>]),
        mount: Option<Mount>,
    ) -> Result<Ran> {
        self.may_run(at, run)?;
        if let Some(reason) = &self.options.run.only_root {
            self.steps.warn(format!("commands have no user but root: {reason}"));
        }
        let container = Container::of_stage(self.workshop.store, state, &run.user)?;
        if let Some(warning) = container.lacking() {
            self.steps.warn(warning);
        }
        let mut mounted = Mounted::new(self, at, (run, from), done, &container.scratch)?;
        if self.options.run.automatic_caches {
            mounted.add_automatic(self.workshop.store, run, &container.user, state.below()?)?;
        }
        let mut sandbox = self.sandbox(run, &container);
        mounted.put_into(&mut sandbox);
        sandbox.mounts.extend(mount);
        let mut lines = self.steps.lines(&at.op.text);
        let exit = cartwheel_sandbox::run(&sandbox, &Cancel::new()?, &mut |_, bytes| lines.push(bytes))?;
        lines.end();
        if exit != Exit::Code(0) {
            return Err(failed(run, exit).into());
        }
        Ok(Ran { upper: sandbox.upper, _container: container })
    }

    /// Whether this machine runs programs for the platform.
    pub(crate) fn can_run(&self, platform: &Platform) -> Result<()> {
        let options = &self.options.run;
        if let Some(reason) = &options.impossible {
            return Err(ErrorKind::NoSandbox { reason: reason.clone() }.into());
        }
        if platform.os != "linux" || !options.architectures.contains(&platform.architecture) {
            return Err(ErrorKind::ForeignPlatform { platform: platform.clone() }.into());
        }
        Ok(())
    }

    /// Whether the user and the machine let this command run.
    fn may_run(&self, at: At<'_>, run: &Run) -> Result<()> {
        let options = &self.options.run;
        self.can_run(&at.stage.platform)?;
        let denied = [
            (run.insecure && !options.allowed.insecure, "security.insecure"),
            (run.network == dockerfile::Network::Host && !options.allowed.host_network, "network.host"),
        ];
        if let Some((_, entitlement)) = denied.into_iter().find(|(is_denied, _)| *is_denied) {
            return Err(ErrorKind::NotAllowed { entitlement }.into());
        }
        match run.devices.iter().find(|device| device.required) {
            Some(device) => Err(ErrorKind::NoDevice { device: device.name.clone() }.into()),
            None => Ok(()),
        }
    }

    /// The process; what is mounted for it is put in later.
    fn sandbox(&self, run: &Run, container: &Container) -> Sandbox {
        let options = &self.options.run;
        let mut env = run.env.clone();
        for (name, value) in &run.proxies {
            // Programs disagree about the case, so BuildKit gives both.
            put_default(&mut env, &name.to_uppercase(), value);
            put_default(&mut env, &name.to_lowercase(), value);
        }
        put_default(&mut env, "HOME", container.home());
        let is_alone = options.network_of(run) == dockerfile::Network::None;
        let default = container.sandbox();
        Sandbox {
            args: run.argv.clone(),
            env,
            working_dir: if run.working_dir.is_empty() { "/".into() } else { run.working_dir.clone().into() },
            network: if is_alone { Network::None } else { Network::Host },
            hostname: "buildkitsandbox".to_owned(),
            hosts: options.hosts.clone(),
            shm_size: options.shm_size.unwrap_or(default.shm_size),
            ulimits: options.ulimits.clone(),
            insecure: run.insecure,
            ..default
        }
    }
}

/// Gives a variable a value, unless it has one.
fn put_default(env: &mut Vec<(String, String)>, name: &str, value: &str) {
    if !env.iter().any(|(other, _)| other == name) {
        env.push((name.to_owned(), value.to_owned()));
    }
}

fn failed(run: &Run, exit: Exit) -> ErrorKind {
    let command = cartwheel_transfer::redact(&run.argv.join(" "));
    match exit {
        Exit::Code(code) => ErrorKind::CommandFailed { command, ended: format!("exit code: {code}") },
        Exit::Signal(signal) => ErrorKind::CommandFailed { command, ended: format!("signal: {signal}") },
    }
}
