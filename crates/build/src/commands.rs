//! `RUN`: a command that is an install is done as one, and every other is run (`running`).
//!
//! Recognition is pure; here its result meets the stage. What it assumed is checked, its Python is found, the requirement
//! files that it names are read from the stage or from what is mounted, and what is installed below counts.

mod asked;
mod building;
mod place;
mod understood;

use std::path::PathBuf;

use cartwheel_dockerfile::{Network, Run};
use cartwheel_python::{InstallRules, ResolveRequest, ResolveSource};
use cartwheel_store::{Digest, Hasher};
use cartwheel_transfer::without_credentials;

use crate::bytecode::Compiling;
use crate::error::Result;
use crate::execute::{At, Done, Engine};
use crate::graph::CopyFrom as GraphCopyFrom;
use crate::install::{PackRecord, Place, plan_install};
use crate::installed::installed;
use crate::interpreter::Interpreter;
use crate::plan::StepState;
use crate::projects::planned;
use crate::recognise::{Asked, Destination, InstallCommand, Installer};
use crate::running::name_mounts;
use crate::scratch::Scratch;
use crate::stage::StageState;
use asked::{Mounts, asked};
use building::{builds, must_build, to_build};
use place::{beyond, distributions, library, removed, scheme, seen_by, settings_file, tool};
use understood::recognised;

/// Why a command has to be run.
type Reason = String;

impl<'a> Engine<'a> {
    /// Does what a `RUN` asks for, if it is an install that is understood to the last word.
    pub(crate) fn run_command(
        &self,
        at: At<'_>,
        (run, from): (&Run, &[GraphCopyFrom]),
        state: &mut StageState<'a>,
        done: &[StageState<'a>],
    ) -> Result<Done> {
        let mounts = Mounts { run, engine: self };
        // Where nothing can be run, nothing is compiled.
        let runs = self.can_run(&at.stage.platform).is_ok();
        let what = self.named(run, name_mounts(self, at, (run, from), done)?, runs);
        self.cached(at, state, &what, |state| {
            let recognised = match recognised(run, state)? {
                Ok(recognised) => recognised,
                Err(reason) => return self.has_to_run(at, (run, from), (state, done), &reason),
            };
            let mut stage = state.child();
            let mut made = PackRecord::default();
            let mut came = Done::new(StepState::Spliced);
            for (number, command) in recognised.installs.iter().enumerate() {
                let step = format!("{number} {}", at.op.created_by);
                let task = Task { at, run, from, state: &stage, done };
                match self.command(command, &mounts, (task, &step))? {
                    Ok(Installed { packed, details }) => {
                        stage.push_all(&packed, &at.op.created_by)?;
                        made.layers.extend(packed.layers);
                        made.warnings.extend(packed.warnings);
                        came.details.extend(details);
                    }
                    Err(reason) => return self.has_to_run(at, (run, from), (state, done), &reason),
                }
            }
            Ok((made, came))
        })
    }

    fn has_to_run(
        &self,
        at: At<'_>,
        command: (&Run, &[GraphCopyFrom]),
        (state, done): (&mut StageState<'a>, &[StageState<'a>]),
        reason: &str,
    ) -> Result<(PackRecord, Done)> {
        if self.only_plan {
            let done = Done { state: StepState::Sandbox, details: vec![reason.to_owned()] };
            return Ok((PackRecord::default(), done));
        }
        self.run_in_sandbox(at, command, (state, done), reason)
    }

    /// Names a command for the chain: its words, what it sees, and what is mounted. Credentials in URLs are no part of it.
    fn named(&self, run: &Run, mounts: String, runs: bool) -> String {
        let mut hasher = Hasher::default();
        for (name, value) in &run.env {
            hasher.update(format!("{name}={}\n", without_credentials(value)).as_bytes());
        }
        let index = &self.options.index;
        let places = [
            index.index_url.iter().cloned().collect(),
            index.extra_index_urls.clone(),
            index.find_links.clone(),
        ];
        let places: Vec<String> = places.concat().iter().map(|place| without_credentials(place)).collect();
        let words: Vec<String> = run.argv.iter().map(|word| without_credentials(word)).collect();
        let script = run.file.as_ref().map_or("", |file| &file.content);
        let is_alone = self.options.run.network_of(run) == Network::None;
        [
            "run".to_owned(),
            words.join("\0"),
            run.working_dir.clone(),
            run.user.clone(),
            hasher.finish().to_string(),
            places.join("\0"),
            format!("{} {}", index.no_index, index.pre),
            format!("{is_alone} {}", run.insecure),
            format!("{runs}"),
            Digest::of(script.as_bytes()).to_string(),
            mounts,
        ]
        .join("\n")
    }

    /// Installs what one command asks for. What was chosen for the same `step` of an older build is preferred.
    fn command(
        &self,
        command: &InstallCommand,
        mounts: &Mounts<'_, '_>,
        (task, step): (Task<'_, 'a>, &str),
    ) -> Result<Result<Installed, Reason>> {
        let state = task.state;
        if let Some(reason) = beyond(command) {
            return Ok(Err(reason));
        }
        let path =
            mounts.run.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
        let interpreter = match Interpreter::choose(&command.python, path, state)? {
            Ok(interpreter) => interpreter,
            Err(reason) => return Ok(Err(reason)),
        };
        let below = state.below()?;
        let tool = tool(command.installer, &interpreter.scheme, below);
        let own = seen_by(tool, interpreter.scheme.clone(), &command.python, below);
        if let Some(path) = settings_file(command, &own, mounts.run, state)? {
            return Ok(Err(format!("`{path}` may say more about it")));
        }
        let scheme = scheme(&own, &command.destination, tool);
        if matches!(command.destination, Destination::Target(_))
            && below.children(scheme.library().trim_start_matches('/')).next().is_some()
        {
            return Ok(Err(format!("`{}` is not empty", scheme.library())));
        }
        let library = library(&own, &scheme, &command.destination, tool);
        let there = library.map(|library| installed(below, library)).unwrap_or_default();
        let scratch = Scratch::new(self.workshop.store)?;
        let source = match asked(command, mounts, state, &scratch)? {
            Ok(source) => source,
            Err(reason) => return Ok(Err(reason)),
        };
        let options = match &source {
            ResolveSource::Requirements(requirements) => requirements.options.clone(),
            _ => command.options.clone(),
        };
        // Requirements bring what the command says of indexes with them; a lock is compared with its project by uv.
        let index = match command.asked {
            Asked::Lock(_) => self.options.index.clone().with(&command.options),
            Asked::Requirements { .. } => self.options.index.clone(),
        };
        let request = ResolveRequest {
            uv: self.options.uv.clone().unwrap_or_default(),
            interpreter: self.options.interpreter.clone(),
            folder: PathBuf::from("/"),
            source,
            target: interpreter.target,
            index,
            no_dependencies: !command.dependencies,
            rules: InstallRules {
                strategy: command.strategy,
                installed: library.map(|library| distributions(below, library)).unwrap_or_default(),
                upgrade: command.upgrade.clone(),
                reinstall: command.reinstall,
                builds: builds(command, &options),
            },
            previous: None,
        };
        let fetch = self.fetching(&request);
        let found = match must_build(command) {
            Some(reason) => Err(reason),
            None => match self.resolve(request, step) {
                Err(error) => Err(to_build(error)?),
                Ok(resolution) => Ok(resolution),
            },
        };
        let resolution = match found {
            Ok(resolution) => resolution,
            Err(reason) if command.installer == Installer::Uv => return Ok(Err(reason)),
            Err(reason) => match self.built(task, (command, &options), &interpreter, &reason)? {
                Ok(resolution) => resolution,
                Err(reason) => return Ok(Err(reason)),
            },
        };
        if let Some(name) = removed(command, &there, &resolution) {
            return Ok(Err(format!("it removes `{name}`, which the lockfile does not have")));
        }
        let compiling = if command.bytecode {
            self.compiling((state, &interpreter), &mounts.run.env)?
        } else {
            Compiling::default()
        };
        let place = Place {
            below,
            scheme: &scheme,
            installed: &there,
            epoch: self.options.epoch,
            budget: self.options.budget.saturating_sub(1),
            tool,
            bytecode: compiling.identity.clone(),
        };
        let plan = plan_install(self.workshop.store, resolution.packages, &place);
        let satisfied =
            resolution.satisfied.iter().map(|package| format!("{} (there already)", package.name));
        let details: Vec<String> = planned(&plan).details.into_iter().chain(satisfied).collect();
        if self.only_plan {
            return Ok(Ok(Installed { packed: PackRecord::default(), details }));
        }
        Ok(Ok(Installed { packed: self.install(&plan, &place, (&fetch, &compiling))?, details }))
    }
}

/// An instruction that is being done.
#[derive(Clone, Copy)]
struct Task<'t, 'a> {
    at: At<'t>,
    run: &'t Run,
    from: &'t [GraphCopyFrom],
    /// The stage so far.
    state: &'t StageState<'a>,
    /// The stages before it.
    done: &'t [StageState<'a>],
}

/// What a command came to.
struct Installed {
    packed: PackRecord,
    details: Vec<String>,
}
