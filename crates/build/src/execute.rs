//! Executing a graph: the missing layers are made, the image is put together and kept.
//!
//! Stages come one after the other, and in a stage the operations. Each is first decided: what it would do, given what lies
//! below, and whether that was done before. Then it is done, or, in a plan, only noted.
//!
//! # Two ways to find a layer again
//!
//! 1. By the *chain*: the base, everything done since, and this operation. One record says which layers came of it. This is
//!    why a build that changes nothing opens no layer and lists no directory of the base.
//! 2. By *content*: what is copied, which wheels. What lies below is no part of it, so a new base or a changed line above
//!    costs a manifest (see the table at the crate's root).

use std::collections::BTreeMap;
use std::path::PathBuf;

use cartwheel_oci::layer::{Encoding, Tree};
use cartwheel_oci::{History, Image, Layer, Reference};
use cartwheel_python::{FetchOptions, IndexSettings};
use cartwheel_store::{Digest, Key, Record, Store};
use serde::{Deserialize, Serialize};

use crate::base::Images;
use crate::contexts::Contexts;
use crate::copy::{Changes, Destination, Load, layer_key};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{ConfigChange, Graph, Op, OpKind, Stage, StageBase};
use crate::images::keep_image;
use crate::install::{PackRecord, PackedLayer};
use crate::owner::owner;
use crate::packages::{Epoch, find, find_or_make};
use crate::plan::{Plan, PlannedStep, StepState};
use crate::progress::{Outcome, Progress, Steps};
use crate::running::RunOptions;
use crate::stage::StageState;
use crate::turn::Turn;

/// What building a graph depends on besides the graph and the files.
#[derive(Debug)]
pub struct BuildOptions<'a> {
    /// The names that the image gets in the store; what was resolved for the first of them before is preferred.
    pub names: &'a [Reference],
    /// The user's `uv`, which resolves requirements.
    pub uv: Option<PathBuf>,
    /// Some Python of the user's, of any version, that uv may ask about itself; without it, uv searches.
    pub interpreter: Option<PathBuf>,
    /// The user's package indexes.
    pub index: IndexSettings,
    /// The environment, for `${NAME}` in requirement files.
    pub variables: BTreeMap<String, String>,
    /// Which stages are done anew, although they were done before.
    pub no_cache: NoCache,
    /// When files of ours were changed.
    pub epoch: Epoch,
    /// How many layers a build may add.
    pub budget: usize,
    /// What commands see that have to be run.
    pub run: RunOptions,
    /// Labels that the image gets besides its own.
    pub labels: Vec<(String, String)>,
    /// How distributions are fetched.
    pub fetch: FetchOptions,
    /// The user's `git`, which fetches repositories.
    pub git: Option<PathBuf>,
    /// The content of the user's netrc.
    pub netrc: Option<String>,
    /// The current time, RFC 3339.
    pub now: &'a str,
}

/// Which stages are done anew: `--no-cache`, `--no-cache-filter`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NoCache {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// Those of these names.
    Stages(Vec<String>),
}

/// How many layers a build may add: leaves room for base and child images under the 127 of overlay runtimes.
pub const DEFAULT_BUDGET: usize = 48;

/// An image that was built and is in the store.
#[derive(Debug)]
pub struct Built {
    /// The image.
    pub image: Image,
    /// How many of its layers were made now.
    pub made: usize,
    /// How many were there.
    pub reused: usize,
    /// How many are of an image that the build began with.
    pub base: usize,
}

/// When some content was first built in this store.
#[derive(Serialize, Deserialize)]
struct CreatedRecord {
    created: String,
}

impl Record for CreatedRecord {
    const KIND: &'static str = "created-1";
}

/// What a build works with.
pub struct Workshop<'a> {
    /// Where everything is kept.
    pub store: &'a Store,
    /// Where bases come from.
    pub images: &'a Images<'a>,
    /// Where copied files come from.
    pub contexts: &'a Contexts,
}

/// Makes what the graph says and keeps the image in the store.
pub fn execute(
    workshop: &Workshop<'_>,
    graph: &Graph,
    options: &BuildOptions<'_>,
    progress: &dyn Progress,
) -> Result<Built> {
    let steps = Steps::new(progress);
    let engine = Engine { workshop, graph, options, steps: &steps, only_plan: false };
    let (state, below) = engine.run(&mut Vec::new())?;
    let base = state.base;
    let image = labelled(state.image, &options.labels);
    let image = dated(workshop.store, image, options.epoch, options.now)?;
    keep_image(workshop.store, &image, options.names)?;
    let made = steps.layers_made();
    let reused = (image.layers().len() - below).saturating_sub(made);
    Ok(Built { image, made, reused, base })
}

/// Says what [`execute`] would do, step by step. Makes nothing.
pub fn plan(
    workshop: &Workshop<'_>,
    graph: &Graph,
    options: &BuildOptions<'_>,
    progress: &dyn Progress,
) -> Result<Plan> {
    let steps = Steps::new(progress);
    let engine = Engine { workshop, graph, options, steps: &steps, only_plan: true };
    let mut lines = Vec::new();
    engine.run(&mut lines)?;
    Ok(Plan { steps: lines })
}

pub(crate) struct Engine<'a> {
    pub(crate) workshop: &'a Workshop<'a>,
    pub(crate) graph: &'a Graph,
    pub(crate) options: &'a BuildOptions<'a>,
    pub(crate) steps: &'a Steps<'a>,
    pub(crate) only_plan: bool,
}

/// An operation and its stage.
#[derive(Clone, Copy)]
pub(crate) struct At<'g> {
    pub(crate) stage: &'g Stage,
    pub(crate) op: &'g Op,
}

/// What an operation came to.
pub(crate) struct Done {
    /// How it shows in a plan.
    pub(crate) state: StepState,
    /// More about it.
    pub(crate) details: Vec<String>,
}

impl Done {
    pub(crate) fn new(state: StepState) -> Self {
        Self { state, details: Vec::new() }
    }
}

impl<'a> Engine<'a> {
    /// Goes through all stages; gives the target, and how many layers its base had.
    fn run(&self, plan: &mut Vec<PlannedStep>) -> Result<(StageState<'a>, usize)> {
        let mut done: Vec<StageState<'a>> = Vec::new();
        let mut below = 0;
        for stage in &self.graph.stages {
            let state = self.begin(stage, &done)?;
            below = state.image.layers().len();
            if self.only_plan {
                plan.push(PlannedStep {
                    line: None,
                    text: format!("FROM {}", stage.base),
                    state: StepState::Base,
                    details: vec![format!("{below} layers")],
                });
            }
            let state = self.stage(stage, state, &done, plan)?;
            done.push(state);
        }
        let target = done.pop().expect("invariant: every lowering gives a stage");
        Ok((target, below))
    }

    fn begin(&self, stage: &Stage, done: &[StageState<'a>]) -> Result<StageState<'a>> {
        match &stage.base {
            StageBase::Scratch => {
                Ok(StageState::new(self.workshop.store, Image::scratch(&stage.platform), None))
            }
            StageBase::Stage(index) => Ok(done[*index].child()),
            StageBase::Image(reference) => {
                let images = self.workshop.images;
                let image = images.open(reference, &stage.platform)?;
                let found = image.config().platform();
                let fits = found.satisfies(&stage.platform);
                if !fits && stage.config.is_none() {
                    // Nobody wrote for a project that its packages should lie on another architecture's Python.
                    let wanted = stage.platform.clone();
                    let kind = cartwheel_oci::ErrorKind::NoSuchPlatform { wanted, found: vec![found] };
                    let (reference, source) = (reference.to_string(), Box::new(kind.into()));
                    return Err(ErrorKind::Base { reference, source }.into());
                }
                if !fits {
                    self.steps.warn(format!(
                        "base image `{reference}` is for {found}, and this build for {}",
                        stage.platform
                    ));
                }
                Ok(StageState::new(self.workshop.store, image, images.registries()))
            }
        }
    }

    fn stage(
        &self,
        stage: &Stage,
        mut state: StageState<'a>,
        done: &[StageState<'a>],
        plan: &mut Vec<PlannedStep>,
    ) -> Result<StageState<'a>> {
        for op in &stage.ops {
            let came =
                self.op(At { stage, op }, &mut state, done).map_err(|source| self.placed(op, source))?;
            if self.only_plan {
                let Done { state, details } = came;
                plan.push(PlannedStep { line: op.line, text: op.text.clone(), state, details });
            }
        }
        if let Some(result) = &stage.config {
            let platform = stage.platform.clone();
            state.image = state.image.with_config(|config| {
                config.config = result.config.clone();
                config.architecture.clone_from(&platform.architecture);
                match &result.author {
                    Some(author) => drop(config.other.insert("author".to_owned(), author.clone().into())),
                    None => drop(config.other.remove("author")),
                }
            });
        }
        Ok(state)
    }

    /// The error with the place in the Dockerfile that it is about.
    fn placed(&self, op: &Op, source: Error) -> Error {
        let Some(line) = op.line else { return source };
        let place = format!("{}:{line}", self.graph.name);
        ErrorKind::Instruction { place, text: op.text.clone(), source: Box::new(source) }.into()
    }

    fn op(&self, at: At<'_>, state: &mut StageState<'a>, done: &[StageState<'a>]) -> Result<Done> {
        let At { stage, op } = at;
        match &op.kind {
            OpKind::Record => {
                state.record(&op.created_by);
                Ok(Done::new(StepState::Config))
            }
            OpKind::Configure(change) => {
                state.image = configure(state.image.clone(), change);
                Ok(Done::new(StepState::Config))
            }
            OpKind::InstallProject(source) => self.install_project(source, op, state),
            OpKind::CopyProject { destination } => self.copy_project(destination, op, state),
            OpKind::Copy { copy, from } => {
                let sources = self.sources(copy, from, &stage.platform, done)?;
                self.cached(at, state, &sources.identity(copy), |state| {
                    let load = sources.load(copy, state, self.mtime())?;
                    self.write_load(&load, op, state)
                })
            }
            OpKind::MakeDirectory { path, user } => {
                let what = format!("mkdir {path} {}", user.as_deref().unwrap_or_default());
                self.cached(at, state, &what, |state| {
                    let mut destination = Destination::new(Some(state.below()?), self.mtime());
                    let place = destination.resolve(path.trim_matches('/'))?;
                    let is_there = state.below()?.get(&place).is_some();
                    let owner = match user {
                        // Nobody asks who the user is if nothing is made for it.
                        Some(user) if !is_there => Some(owner(user, &|path| state.read(path))?),
                        _ => None,
                    };
                    destination.make_directories(&place, &Changes { owner, mode: None })?;
                    let tree = destination.into_tree(&op.text)?;
                    self.write_tree(Digest::of(b"directories"), tree, op, state)
                })
            }
            OpKind::Run { run, from } => self.run_command(at, (run, from), state, done),
        }
    }

    /// What the operation came to the last time on this chain; or what `work` makes of it now.
    pub(crate) fn cached(
        &self,
        At { stage, op }: At<'_>,
        state: &mut StageState<'a>,
        what: &str,
        work: impl FnOnce(&mut StageState<'a>) -> Result<(PackRecord, Done)>,
    ) -> Result<Done> {
        let store = self.workshop.store;
        let key = Key::<PackRecord>::new()
            .with("budget", self.options.budget)
            .with("chain", state.chain)
            .with("format", cartwheel_oci::layer::FORMAT)
            .with("mtime", self.mtime())
            .with("step", what);
        let find = || store.get(&key).filter(|found| !self.is_anew(stage) && found.is_there(store));
        let mut found = find();
        // Another build may be doing it. What is done anew is done by everybody.
        let turn = match found {
            None if !self.only_plan && !self.is_anew(stage) => Some(self.turn(&key, op)?),
            _ => None,
        };
        if turn.is_some() {
            found = find();
        }
        let came = if let Some(found) = found {
            self.steps.timed(&op.text, || Ok(((), Outcome::Cached)))?;
            found.warnings.iter().for_each(|warning| self.steps.warn(warning.clone()));
            state.push_all(&found, &op.created_by)?;
            Done::new(StepState::Cached)
        } else {
            let (made, came) = work(state)?;
            if !self.only_plan {
                store.put(&key, &made)?;
                state.push_all(&made, &op.created_by)?;
            }
            came
        };
        state.advance(what);
        Ok(came)
    }

    fn turn(&self, key: &Key<PackRecord>, op: &Op) -> Result<Turn> {
        let wait = || self.steps.assisted(&op.text, "waits for another build that does the same".to_owned());
        Turn::take(self.workshop.store, key.digest(), wait)
    }

    pub(crate) fn is_anew(&self, stage: &Stage) -> bool {
        match &self.options.no_cache {
            NoCache::None => false,
            NoCache::All => true,
            NoCache::Stages(names) => stage
                .name
                .as_ref()
                .is_some_and(|name| names.iter().any(|other| other.eq_ignore_ascii_case(name))),
        }
    }

    /// The layers of a copy: those that are taken as they are, and that of the rest.
    fn write_load(&self, load: &Load, op: &Op, state: &mut StageState<'a>) -> Result<(PackRecord, Done)> {
        let tree = load.place(state.below()?, self.mtime(), &op.text)?;
        let packed = |layer: &Layer| PackedLayer { layer: layer.clone(), created_by: op.created_by.clone() };
        let mut all = PackRecord::default();
        all.layers.extend(load.whole.layers.iter().map(packed));
        if self.only_plan && !all.layers.is_empty() {
            state.push_all(&all, &op.created_by)?;
        }
        let (rest, mut done) = self.write_tree(load.identity(), tree, op, state)?;
        if !all.layers.is_empty() {
            done.details.push(format!("{} layers as they are", all.layers.len()));
        }
        all.layers.extend(rest.layers);
        Ok((PackRecord { warnings: rest.warnings, ..all }, done))
    }

    /// The layer of a described tree: found by its content, or written.
    pub(crate) fn write_tree(
        &self,
        identity: Digest,
        tree: Tree,
        op: &Op,
        state: &mut StageState<'a>,
    ) -> Result<(PackRecord, Done)> {
        let mut layers = Vec::new();
        if self.only_plan {
            let details = vec![format!("{} files", tree.iter().count())];
            let found = find(self.workshop.store, &layer_key(identity, &tree));
            let came = if found.is_some() { StepState::Cached } else { StepState::Copied };
            state.push_planned(tree)?;
            return Ok((PackRecord::default(), Done { state: came, details }));
        }
        if tree.iter().next().is_some() {
            let key = layer_key(identity, &tree);
            let layer = self.steps.timed(&op.text, || {
                let describe = || Ok((tree, Encoding::Compressed));
                let (layer, found) = find_or_make(self.workshop.store, &key, &op.text, describe)?;
                if found {
                    return Ok((layer, Outcome::Cached));
                }
                self.steps.made();
                let size = layer.descriptor.size;
                Ok((layer, Outcome::Done(format!("{size} bytes"))))
            })?;
            layers.push(layer);
        } else {
            self.steps.timed(&op.text, || Ok(((), Outcome::Done("nothing to do".to_owned()))))?;
        }
        let packed = |layer: Layer| PackedLayer { layer, created_by: op.created_by.clone() };
        let layers = layers.into_iter().map(packed).collect();
        Ok((PackRecord { layers, warnings: Vec::new() }, Done::new(StepState::Copied)))
    }

    pub(crate) fn mtime(&self) -> u64 {
        self.options.epoch.mtime()
    }
}

fn configure(image: Image, change: &ConfigChange) -> Image {
    let line = format!("{change} # cartwheel");
    image.with_config(|config| {
        apply(config, change);
        config.history.push(History { created_by: Some(line), empty_layer: true, ..History::default() });
    })
}

fn apply(config: &mut cartwheel_oci::ImageConfig, change: &ConfigChange) {
    let runtime = &mut config.config;
    match change {
        ConfigChange::WorkingDir(path) => runtime.working_dir = Some(path.clone()),
        ConfigChange::Expose(port) => {
            let ports = runtime.exposed_ports.get_or_insert_default();
            ports.insert(port.clone(), serde_json::json!({}));
        }
        ConfigChange::User(user) => runtime.user = Some(user.clone()),
        ConfigChange::Entrypoint(words) => {
            runtime.entrypoint = Some(words.clone());
            runtime.cmd = None;
        }
        ConfigChange::Cmd(words) => runtime.cmd = Some(words.clone()),
    }
}

fn labelled(image: Image, labels: &[(String, String)]) -> Image {
    if labels.is_empty() {
        return image;
    }
    image.with_config(|config| config.config.labels.get_or_insert_default().extend(labels.iter().cloned()))
}

/// The image with its time: the moment at which this very content was first built here, so that a build that changes
/// nothing gives the same digest.
fn dated(store: &Store, image: Image, epoch: Epoch, now: &str) -> Result<Image> {
    let undated = image.clone().with_config(|config| config.created = None);
    let created = match epoch {
        Epoch::Source(_) => now.to_owned(),
        Epoch::Fixed => {
            let key = Key::<CreatedRecord>::new().with("image", undated.documents().descriptor.digest);
            if let Some(record) = store.get(&key) {
                record.created
            } else {
                store.put(&key, &CreatedRecord { created: now.to_owned() })?;
                now.to_owned()
            }
        }
    };
    Ok(image.with_config(|config| {
        let ours = config.history.iter_mut().filter(|line| line.created.is_none());
        ours.for_each(|line| line.created = Some(created.clone()));
        config.created = Some(created);
    }))
}
