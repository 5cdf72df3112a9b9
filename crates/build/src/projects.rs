//! The operations of a bare project: what it requires is installed, its sources are copied.

use cartwheel_oci::layer::{Content, Entry};
use cartwheel_python::{
    FetchOptions, InstallRules, LockSelection, Requirements, Resolution, ResolveRequest, ResolveSource, Tool,
    resolve,
};
use cartwheel_store::{Key, Record};
use serde::{Deserialize, Serialize};

use crate::bytecode::Compiling;
use crate::context::ContextKind;
use crate::copy::Destination;
use crate::error::{ErrorKind, Result};
use crate::execute::{Done, Engine};
use crate::graph::{ConfigChange, Op, OpKind, RequirementSource};
use crate::install::{InstallPlan, Installer, PackRecord, Place, plan_install};
use crate::installed::installed;
use crate::interpreter::Interpreter;
use crate::plan::StepState;
use crate::progress::Outcome;
use crate::stage::StageState;

/// The lockfile of the last resolution for an image of this name: what a new one prefers.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PreferenceRecord {
    pylock: String,
}

impl Record for PreferenceRecord {
    const KIND: &'static str = "preference-1";
}

impl<'a> Engine<'a> {
    pub(crate) fn install_project(
        &self,
        source: &RequirementSource,
        op: &Op,
        state: &mut StageState<'a>,
    ) -> Result<Done> {
        let interpreter = Interpreter::find(state.image.config(), state.below()?)?;
        let (resolution, fetch) = self.resolve_project(source, &interpreter)?;
        let installed = installed(state.below()?, &interpreter.scheme.purelib);
        let has = |name: &str| {
            installed.contains_key(name) || resolution.packages.iter().any(|wheel| wheel.name == name)
        };
        self.check_command(state, &has)?;
        let environment = state.image.config().config.variables();
        let compiling = self.compiling((state, &interpreter), &environment)?;
        let place = Place {
            below: state.below()?,
            scheme: &interpreter.scheme,
            installed: &installed,
            epoch: self.options.epoch,
            budget: self.options.budget.saturating_sub(1),
            tool: Tool::default(),
            bytecode: compiling.identity.clone(),
        };
        let plan = plan_install(self.workshop.store, resolution.packages, &place);
        if self.only_plan {
            return Ok(planned(&plan));
        }
        let packed = self.install(&plan, &place, (&fetch, &compiling))?;
        drop(compiling);
        state.push_all(&packed, &op.created_by)?;
        Ok(Done::new(StepState::Spliced))
    }

    /// Makes the layers of an install, or finds them.
    pub(crate) fn install(
        &self,
        plan: &InstallPlan,
        place: &Place<'_>,
        (fetch, compiling): (&FetchOptions, &Compiling<'_, 'a>),
    ) -> Result<PackRecord> {
        let installer = Installer {
            store: self.workshop.store,
            fetch,
            epoch: self.options.epoch,
            steps: self.steps,
            compiler: compiling.compiler.as_ref(),
        };
        if plan.packed.is_some() {
            let name = format!("install {} packages", plan.wheels.len());
            self.steps.timed(&name, || Ok(((), Outcome::Cached)))?;
        }
        let mut packed = installer.run(plan, place)?;
        packed.warnings.extend(compiling.warning.clone().filter(|_| !plan.wheels.is_empty()));
        packed.warnings.iter().for_each(|warning| self.steps.warn(warning.clone()));
        Ok(packed)
    }

    fn resolve_project(
        &self,
        source: &RequirementSource,
        interpreter: &Interpreter,
    ) -> Result<(Resolution, FetchOptions)> {
        let options = self.options;
        let request = ResolveRequest {
            uv: options.uv.clone().unwrap_or_default(),
            interpreter: options.interpreter.clone(),
            folder: source.folder(),
            source: self.resolve_source(source)?,
            target: interpreter.target,
            index: options.index.clone(),
            no_dependencies: false,
            rules: InstallRules::default(),
            previous: None,
        };
        let fetch = self.fetching(&request);
        Ok((self.resolve(request, "project")?, fetch))
    }

    fn resolve_source(&self, source: &RequirementSource) -> Result<ResolveSource> {
        Ok(match source {
            RequirementSource::Files(files) => {
                let variable = |name: &str| self.options.variables.get(name).cloned();
                let mut requirements = Requirements::default();
                for file in files {
                    requirements.add_file(file, false, &variable)?;
                }
                ResolveSource::Requirements(requirements)
            }
            RequirementSource::Pyproject(path) => {
                ResolveSource::Project { path: path.clone(), extras: Vec::new(), groups: Vec::new() }
            }
            RequirementSource::UvLock(project) => {
                ResolveSource::UvLock { project: project.clone(), selection: LockSelection::default() }
            }
            RequirementSource::Pylock(path) => ResolveSource::Pylock { path: path.clone() },
        })
    }

    /// The wheels that a request resolves to: as kept, or asked anew and then kept.
    pub(crate) fn resolve(&self, mut request: ResolveRequest, step: &str) -> Result<Resolution> {
        let store = self.workshop.store;
        let key = request.key()?;
        let anew = self.options.no_cache == crate::execute::NoCache::All;
        if let Some(kept) = store.get(&key).filter(|_| !anew) {
            return Ok(kept);
        }
        // A `pylock.toml` is an answer already; everything else is a question for uv.
        if self.options.uv.is_none() && !matches!(request.source, ResolveSource::Pylock { .. }) {
            return Err(ErrorKind::NoUv.into());
        }
        // An image without a name has no past.
        let preference = self
            .options
            .names
            .first()
            .map(|name| Key::<PreferenceRecord>::new().with("image", name).with("step", step));
        let previous = preference.as_ref().filter(|_| !anew).and_then(|preference| store.get(preference));
        request.previous = previous.map(|record| record.pylock);
        let resolution = resolve(&request)?;
        store.put(&key, &resolution)?;
        if let Some(preference) = preference {
            store.put(&preference, &PreferenceRecord { pylock: resolution.pylock.clone() })?;
        }
        Ok(resolution)
    }

    /// How distributions are fetched that a request comes to.
    pub(crate) fn fetching(&self, request: &ResolveRequest) -> FetchOptions {
        let mut credentials = request.credentials();
        if let Some(netrc) = &self.options.netrc {
            credentials.add_netrc(netrc);
        }
        FetchOptions { credentials, ..self.options.fetch.clone() }
    }

    /// A command that cannot work is better noticed now than in production.
    fn check_command(&self, state: &StageState<'_>, has: &dyn Fn(&str) -> bool) -> Result<()> {
        for op in self.graph.stages.iter().flat_map(|stage| &stage.ops) {
            match &op.kind {
                OpKind::Configure(ConfigChange::User(user)) => {
                    let name = user.split(':').next().unwrap_or(user);
                    let is_number = name.parse::<u32>().is_ok_and(|id| id <= i32::MAX.cast_unsigned());
                    let passwd = state.read("etc/passwd")?.unwrap_or_default();
                    if !is_number && !passwd.lines().any(|line| line.split(':').next() == Some(name)) {
                        return Err(ErrorKind::UnknownUser { user: user.clone() }.into());
                    }
                }
                OpKind::Configure(ConfigChange::Cmd(words))
                    if words.first().is_some_and(|word| word == "uvicorn") && !has("uvicorn") =>
                {
                    let application = words.get(1).cloned().unwrap_or_default();
                    return Err(ErrorKind::NoServer { application }.into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Copies the sources of a project: all that is not ignored, with plain modes.
    pub(crate) fn copy_project(
        &self,
        destination: &str,
        op: &Op,
        state: &mut StageState<'a>,
    ) -> Result<Done> {
        let context = self.workshop.contexts.project()?;
        let mut target = Destination::new(Some(state.below()?), self.mtime());
        let root = target.resolve(destination.trim_matches('/'))?;
        target.make_directories(&root, &crate::copy::Changes::default())?;
        for file in context.files() {
            let entry = match &file.kind {
                ContextKind::Directory => Entry::directory(),
                ContextKind::File { size, executable, .. } => {
                    let content = Content::File { path: context.root().join(&file.path), size: *size };
                    Entry::file(content, *executable)
                }
                ContextKind::Symlink(to) => Entry::symlink(to.clone()),
            };
            let place = target.through_links(&crate::files::join(&root, &file.path))?;
            target.put(place, entry.with_mtime(self.mtime()));
        }
        let tree = target.into_tree(destination)?;
        let (made, done) = self.write_tree(context.digest(), tree, op, state)?;
        state.push_all(&made, &op.created_by)?;
        Ok(done)
    }
}

/// An install as a plan shows it.
pub(crate) fn planned(plan: &InstallPlan) -> Done {
    let state = if plan.packed.is_some() { StepState::Cached } else { StepState::Spliced };
    let mut details: Vec<String> =
        plan.wheels.iter().map(|wheel| format!("{} {}", wheel.name, wheel.version)).collect();
    details.extend(plan.satisfied.iter().map(|name| format!("{name} (there already)")));
    Done { state, details }
}
