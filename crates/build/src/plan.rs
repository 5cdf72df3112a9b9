//! The plan: the graph with every input pinned to a digest and every step looked up.
//!
//! Pinning reads the world: it opens the base, resolves the requirements (or finds the resolution that was kept) and hashes
//! the context. It makes no layer. `--emit plan` prints what it found.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use cartwheel_oci::layer::{self, Content, Encoding, Entry, Tree};
use cartwheel_oci::{Layer, Platform, Reference};
use cartwheel_python::{
    Credentials, IndexSettings, LockedWheel, Requirements, Resolution, ResolveRequest, ResolveSource, resolve,
};
use cartwheel_store::{Digest, Key, Record, Store};
use serde::{Deserialize, Serialize};

use crate::base::{Base, BaseReference};
use crate::context::{BuildContext, ContextKind};
use crate::error::{ErrorKind, Result};
use crate::graph::{ConfigChange, Graph, Op, RequirementSource};
use crate::ground::Ground;
use crate::packages::{Epoch, GENERATION, LayerRecord, identity};

/// What a plan depends on besides graph and context.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// For which platform.
    pub platform: Platform,
    /// The user's `uv`, which resolves requirements.
    pub uv: Option<PathBuf>,
    /// Some Python of the user's, of any version, that uv may ask about itself; without it, uv searches.
    pub interpreter: Option<PathBuf>,
    /// The user's package indexes.
    pub index: IndexSettings,
    /// The environment, for `${NAME}` in requirement files.
    pub variables: BTreeMap<String, String>,
    /// The names that the image gets: what was resolved for the first of them before is preferred.
    pub names: Vec<Reference>,
    /// Whether to ask the index again, although a resolution was kept.
    pub no_cache: bool,
    /// When files of ours were changed.
    pub epoch: Epoch,
    /// How many layers a build may add.
    pub budget: usize,
}

/// How many layers a build may add: leaves room for base and child images under the 127 of overlay runtimes.
pub const DEFAULT_BUDGET: usize = 48;

/// What a build will do.
#[derive(Debug)]
pub struct Plan {
    /// The base image, in the store.
    pub base: Base,
    /// In order.
    pub steps: Vec<Step>,
    /// When files of ours were changed.
    pub epoch: Epoch,
    /// Who we are, to the indexes that the wheels come from. Never printed.
    pub credentials: Credentials,
    /// How many layers packages may take.
    pub(crate) budget: usize,
}

/// One entry of a [`Plan`].
#[derive(Debug)]
pub enum Step {
    /// Install wheels.
    Install(InstallStep),
    /// Copy the context.
    Copy(CopyStep),
    /// Change the config.
    Configure(ConfigChange),
}

/// Installing what was resolved.
#[derive(Debug)]
pub struct InstallStep {
    /// In the order of installation, without what the base has in the same version.
    pub wheels: Vec<LockedWheel>,
    /// Packages that the base has already, as `name version`.
    pub satisfied: Vec<String>,
    /// Packages of the base that are replaced, by name.
    pub replaced: Vec<String>,
    /// The layers that this made before, on this base.
    pub packed: Option<PackRecord>,
    pub(crate) key: Key<PackRecord>,
    credentials: Credentials,
}

/// Copying the context.
#[derive(Debug)]
pub struct CopyStep {
    /// Absolute in the image.
    pub destination: String,
    /// The layer that this made before.
    pub cached: Option<Layer>,
    pub(crate) key: Key<LayerRecord>,
    pub(crate) files: Vec<(String, Entry)>,
}

/// The layers that a list of wheels became on a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackRecord {
    /// The lowest first.
    pub layers: Vec<PackedLayer>,
    /// What the user was told.
    pub warnings: Vec<String>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedLayer {
    /// The layer.
    pub layer: Layer,
    /// What is in it, as a line of history.
    pub created_by: String,
}

impl Record for PackRecord {
    const KIND: &'static str = "pack-1";
}

/// The lockfile of the last resolution for an image of this name: what a new one prefers.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PreferenceRecord {
    pylock: String,
}

impl Record for PreferenceRecord {
    const KIND: &'static str = "preference-1";
}

/// Pins a graph.
pub fn pin(store: &Store, graph: &Graph, context: &BuildContext, options: &PlanOptions) -> Result<Plan> {
    let base = open_base(store, graph, &options.platform)?;
    let mut steps = Vec::new();
    for op in &graph.ops {
        match op {
            Op::Base(_) => {}
            Op::Install(source) => steps.push(Step::Install(install_step(store, &base, source, options)?)),
            Op::Copy { destination } => {
                steps.push(Step::Copy(copy_step(store, &base, context, destination, options.epoch)?));
            }
            Op::Configure(change) => steps.push(Step::Configure(change.clone())),
        }
    }
    check_command(&base, &steps)?;
    let copies = steps.iter().filter(|step| matches!(step, Step::Copy(_))).count();
    let budget = options.budget.saturating_sub(copies);
    let installs = steps.iter().find_map(|step| match step {
        Step::Install(install) => Some(install.credentials.clone()),
        _ => None,
    });
    Ok(Plan { base, steps, epoch: options.epoch, credentials: installs.unwrap_or_default(), budget })
}

fn open_base(store: &Store, graph: &Graph, platform: &Platform) -> Result<Base> {
    let base = graph.ops.iter().find_map(|op| match op {
        Op::Base(reference) => Some(reference),
        _ => None,
    });
    let reference: &BaseReference = base.expect("invariant: every lowering begins with a base");
    Base::open(store, reference, platform)
}

fn install_step(
    store: &Store,
    base: &Base,
    source: &RequirementSource,
    options: &PlanOptions,
) -> Result<InstallStep> {
    let installed = base.installed();
    let (mut wheels, mut satisfied, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
    let (resolved, credentials) = resolution(store, base, source, options)?;
    for wheel in resolved {
        match installed.get(&wheel.name) {
            Some(found) if found.version == wheel.version => {
                satisfied.push(format!("{} {}", wheel.name, wheel.version));
                continue;
            }
            Some(_) => replaced.push(wheel.name.clone()),
            None => {}
        }
        wheels.push(wheel);
    }
    let digests = |lines: &mut dyn Iterator<Item = String>| lines.collect::<Vec<_>>().join("\n");
    let key = Key::<PackRecord>::new()
        .with(
            "base",
            digests(&mut base.image.layers().iter().map(|layer| layer.descriptor.digest.to_string())),
        )
        .with("budget", options.budget)
        .with("format", layer::FORMAT)
        .with("generation", GENERATION)
        .with("mtime", options.epoch.mtime())
        .with("python", &base.interpreter.scheme.python)
        .with("wheels", digests(&mut wheels.iter().map(identity)));
    let packed = store.get(&key).filter(|packed| all_there(store, packed));
    Ok(InstallStep { wheels, satisfied, replaced, packed, key, credentials })
}

fn all_there(store: &Store, packed: &PackRecord) -> bool {
    packed.layers.iter().all(|packed| {
        let descriptor = &packed.layer.descriptor;
        store.has_blob(descriptor.digest, descriptor.size)
    })
}

/// The wheels that the requirements resolve to: as kept, or asked anew and then kept.
fn resolution(
    store: &Store,
    base: &Base,
    source: &RequirementSource,
    options: &PlanOptions,
) -> Result<(Vec<LockedWheel>, Credentials)> {
    let mut request = ResolveRequest {
        uv: options.uv.clone().unwrap_or_default(),
        interpreter: options.interpreter.clone(),
        folder: source.folder(),
        source: resolve_source(source, options)?,
        target: base.interpreter.target,
        index: options.index.clone(),
        no_dependencies: false,
        previous: None,
    };
    let key = request.key()?;
    let credentials = request.credentials();
    if let Some(kept) = store.get(&key).filter(|_| !options.no_cache) {
        return Ok((kept.packages, credentials));
    }
    // A `pylock.toml` is an answer already; everything else is a question for uv.
    if options.uv.is_none() && !matches!(source, RequirementSource::Pylock(_)) {
        return Err(ErrorKind::NoUv.into());
    }
    let name = options.names.first().map(ToString::to_string).unwrap_or_default();
    let preference = Key::<PreferenceRecord>::new().with("image", name);
    request.previous = store.get(&preference).filter(|_| !options.no_cache).map(|record| record.pylock);
    let resolution: Resolution = resolve(&request)?;
    store.put(&key, &resolution)?;
    store.put(&preference, &PreferenceRecord { pylock: resolution.pylock })?;
    Ok((resolution.packages, credentials))
}

fn resolve_source(source: &RequirementSource, options: &PlanOptions) -> Result<ResolveSource> {
    Ok(match source {
        RequirementSource::Files(files) => {
            let variable = |name: &str| options.variables.get(name).cloned();
            let mut requirements = Requirements::default();
            for file in files {
                requirements.add_file(file, false, &variable)?;
            }
            ResolveSource::Requirements(requirements)
        }
        RequirementSource::Pyproject(path) => {
            ResolveSource::Project { path: path.clone(), extras: Vec::new(), groups: Vec::new() }
        }
        RequirementSource::UvLock(project) => ResolveSource::UvLock { project: project.clone() },
        RequirementSource::Pylock(path) => ResolveSource::Pylock { path: path.clone() },
    })
}

fn copy_step(
    store: &Store,
    base: &Base,
    context: &BuildContext,
    destination: &str,
    epoch: Epoch,
) -> Result<CopyStep> {
    // What the base dictates: where links lead, and the modes of the directories on the way.
    let ground = Ground::new(&base.below, &[], epoch.mtime())?;
    let (root, _) = ground.directory(destination.trim_matches('/'))?;
    let place =
        |path: &str| ground.place(&if root.is_empty() { path.to_owned() } else { format!("{root}/{path}") });
    let places = context.files().iter().map(|file| place(&file.path)).collect::<Result<Vec<String>>>()?;
    let key = Key::<LayerRecord>::new()
        .with("context", context.digest())
        .with("destination", destination)
        .with("format", layer::FORMAT)
        .with("mtime", epoch.mtime())
        .with("parents", ground.fingerprint(places.iter().map(String::as_str)))
        .with("places", Digest::of(places.join("\n").as_bytes()));
    let cached = store.get(&key).map(|record| record.layer);
    let cached = cached.filter(|layer| store.has_blob(layer.descriptor.digest, layer.descriptor.size));
    let entry = |kind: &ContextKind, path: &str| match kind {
        ContextKind::Directory => Entry::directory(),
        ContextKind::File { size, executable, .. } => {
            Entry::file(Content::File { path: context.root().join(path), size: *size }, *executable)
        }
        ContextKind::Symlink(target) => Entry::symlink(target.clone()),
    };
    let files = context
        .files()
        .iter()
        .map(|file| (file.path.clone(), entry(&file.kind, &file.path).with_mtime(epoch.mtime())));
    Ok(CopyStep { destination: destination.to_owned(), cached, key, files: files.collect() })
}

impl CopyStep {
    /// What the layer will contain.
    pub(crate) fn tree(&self, base: &Base, epoch: Epoch) -> Result<(Tree, Encoding)> {
        let ground = Ground::new(&base.below, &[], epoch.mtime())?;
        let refused = |source| ErrorKind::Tree { what: self.destination.clone(), source };
        let mut tree = Tree::new();
        let (root, there) = ground.directory(self.destination.trim_matches('/'))?;
        if !root.is_empty() && !there {
            tree.insert(root.clone(), Entry::directory().with_mtime(epoch.mtime())).map_err(refused)?;
        }
        for (path, entry) in &self.files {
            let path = if root.is_empty() { path.clone() } else { format!("{root}/{path}") };
            tree.insert(ground.place(&path)?, entry.clone()).map_err(refused)?;
        }
        ground.add_parents(&mut tree);
        Ok((tree, Encoding::Compressed))
    }
}

/// A command that cannot work is better noticed now than in production.
fn check_command(base: &Base, steps: &[Step]) -> Result<()> {
    let mut names = steps.iter().flat_map(|step| match step {
        Step::Install(install) => &install.wheels[..],
        _ => &[],
    });
    for step in steps {
        match step {
            Step::Configure(ConfigChange::User(user)) => {
                let name = user.split(':').next().unwrap_or(user);
                let is_number = name.parse::<u32>().is_ok_and(|id| id <= i32::MAX.cast_unsigned());
                if !is_number && !base.has_user(name) {
                    return Err(ErrorKind::UnknownUser { user: user.clone() }.into());
                }
            }
            Step::Configure(ConfigChange::Cmd(words))
                if words.first().is_some_and(|word| word == "uvicorn") =>
            {
                let there =
                    names.any(|wheel| wheel.name == "uvicorn") || base.installed().contains_key("uvicorn");
                if !there {
                    let application = words.get(1).cloned().unwrap_or_default();
                    return Err(ErrorKind::NoServer { application }.into());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = self.base.image.layers().len();
        writeln!(f, "base       {layers} layers, python {}", self.base.interpreter.target.python)?;
        for step in &self.steps {
            match step {
                Step::Install(step) => {
                    let state = if step.packed.is_some() { "cached" } else { "spliced" };
                    writeln!(f, "{state:<10} {} wheels", step.wheels.len())?;
                    step.wheels
                        .iter()
                        .try_for_each(|wheel| writeln!(f, "           {} {}", wheel.name, wheel.version))?;
                    step.satisfied
                        .iter()
                        .try_for_each(|name| writeln!(f, "           {name} (in the base)"))?;
                }
                Step::Copy(step) => {
                    let state = if step.cached.is_some() { "cached" } else { "copied" };
                    writeln!(f, "{state:<10} {} files to {}", step.files.len(), step.destination)?;
                }
                Step::Configure(change) => writeln!(f, "config     {change}")?,
            }
        }
        Ok(())
    }
}

/// A copy of the context as history shows it.
pub(crate) fn copied_line(destination: &str) -> String {
    format!("COPY . {destination} # cartwheel")
}
