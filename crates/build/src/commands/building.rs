//! Packages that have to be built: the stage's own pip says which, builds them, and they are installed as any wheels are.
//!
//! ```text
//! pip install … --dry-run --report ──► wheels with their URLs ──────────────────────► fetched, spliced
//!                                  └─► sources ──pip wheel, each once for a stage──► wheels
//! ```
//!
//! Both commands are run in the place of the instruction's: with its mounts, variables, user and network, and with what
//! compilers the stage has. Nothing of them enters a layer but the wheels.
//!
//! A wheel that was built is kept by its source and by what it may have been built with: the Python and all files below
//! that are neither packages nor anybody's data. A project in a directory of the image is not built so, nor what is
//! installed for development: their own tools leave more behind than a wheel, in places of their choosing.

use std::fs;
use std::path::{Path, PathBuf};

use cartwheel_oci::{Below, Layer};
use cartwheel_python::{
    LockedWheel, PipReport, PipSource, RequirementOptions, Resolution, WheelFilename, WheelLocation,
};
use cartwheel_sandbox::Mount;
use cartwheel_store::{Digest, Hasher, Key, Record, Store};
use cartwheel_transfer::redact;
use serde::{Deserialize, Serialize};

use super::{Reason, Task};
use crate::bytecode;
use crate::error::{Error, ErrorKind, Result};
use crate::execute::Engine;
use crate::interpreter::Interpreter;
use crate::recognise::{Asked, InstallCommand, Installer, Process};
use crate::running::PLACE;
use crate::scratch::Scratch;
use crate::stage::StageState;

/// Options of `pip install` that `pip wheel` would have to be given, too.
const OF_BUILDS: [&str; 10] = [
    "--no-build-isolation",
    "--config-settings",
    "--config-setting",
    "-C",
    "--global-option",
    "--build-constraint",
    "--use-pep517",
    "--no-use-pep517",
    "--check-build-dependencies",
    "--src",
];

/// A wheel that was built from a source.
#[derive(Serialize, Deserialize)]
struct BuiltRecord {
    filename: String,
    digest: Digest,
}

impl Record for BuiltRecord {
    const KIND: &'static str = "built-1";
}

/// Where wheels are built.
struct Workbench<'w> {
    /// The command for which it is done.
    process: &'w Process,
    /// What it says of indexes.
    index: Vec<String>,
    /// What there is to build with.
    surroundings: Digest,
    /// The directory that pip writes to.
    answer: &'w Path,
}

impl Workbench<'_> {
    fn key(&self, source: &PipSource) -> Key<BuiltRecord> {
        Key::new().with("source", &source.requirement).with("surroundings", self.surroundings)
    }
}

impl<'a> Engine<'a> {
    /// What pip would install for a command; what of it is no wheel is built.
    pub(super) fn built(
        &self,
        task: Task<'_, 'a>,
        (command, options): (&InstallCommand, &RequirementOptions),
        interpreter: &Interpreter,
        why: &str,
    ) -> Result<Result<Resolution, Reason>> {
        if let Some(word) = command.process.argv.iter().find(|word| is_of_builds(word)) {
            return Ok(Err(format!("{why}, with `{word}`")));
        }
        if self.only_plan {
            return Ok(Err(format!("{why}: pip says what is installed, and builds it")));
        }
        let scratch = Scratch::new(self.workshop.store)?;
        let answer = scratch.folder("answer")?;
        let name = &task.at.op.text;
        self.steps.assisted(name, format!("pip is asked what it would install: {why}"));
        let report = format!("{PLACE}/answer/report.json");
        let ask = ["install", "--quiet", "--dry-run", "--report", &report];
        self.errand(task, &command.process, &ask, &answer)?;
        let path = answer.join("report.json");
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(Err(format!(
                "{why}, and this pip cannot say what it would install (it is older than 22.2)"
            )));
        };
        let report = PipReport::parse(&text)?;
        let index = index_options(options, &command.options.find_links);
        let surroundings = surroundings(task.state, interpreter)?;
        let workbench = Workbench { process: &command.process, index, surroundings, answer: &answer };
        let built = self.wheels(task, &workbench, &report.sources)?;
        Ok(Ok(report.resolution(built)))
    }

    /// The wheels of these sources: as kept, or built now.
    fn wheels(
        &self,
        task: Task<'_, 'a>,
        workbench: &Workbench<'_>,
        sources: &[PipSource],
    ) -> Result<Vec<LockedWheel>> {
        let store = self.workshop.store;
        let missing: Vec<&PipSource> =
            sources.iter().filter(|source| kept(store, &workbench.key(source)).is_none()).collect();
        if !missing.is_empty() {
            self.build(task, workbench, &missing)?;
        }
        let locked = |source: &PipSource| {
            let (path, size, record) =
                kept(store, &workbench.key(source)).ok_or_else(|| not_built(source))?;
            Ok(LockedWheel {
                name: source.name.clone(),
                version: source.version.clone(),
                filename: record.filename,
                location: WheelLocation::Path(path),
                size: Some(size),
                digest: record.digest,
                direct: source.direct_url.is_some(),
                direct_url: source.direct_url.clone(),
            })
        };
        sources.iter().map(locked).collect()
    }

    fn build(&self, task: Task<'_, 'a>, workbench: &Workbench<'_>, sources: &[&PipSource]) -> Result<()> {
        let named = |source: &&PipSource| format!("`{} {}`", source.name, source.version);
        let names: Vec<String> = sources.iter().map(named).collect();
        self.steps.assisted(&task.at.op.text, format!("pip makes the wheels of {}", names.join(", ")));
        let place = format!("{PLACE}/answer/wheels");
        let mut words = vec!["wheel", "--quiet", "--no-deps", "--wheel-dir", &place];
        words.extend(workbench.index.iter().map(String::as_str));
        words.extend(sources.iter().map(|source| source.requirement.as_str()));
        // Not the words of the command: it asked for more than this.
        let process = Process { argv: workbench.process.program().to_vec(), ..workbench.process.clone() };
        self.errand(task, &process, &words, workbench.answer)?;
        for source in sources {
            let record = import(self.workshop.store, &workbench.answer.join("wheels"), source)?;
            self.workshop.store.put(&workbench.key(source), &record)?;
        }
        Ok(())
    }

    /// Runs the command's own pip with other words, and a directory of ours to write to.
    fn errand(&self, task: Task<'_, 'a>, process: &Process, words: &[&str], answer: &Path) -> Result<()> {
        let Task { at, run, from, state, done } = task;
        let mut argv = process.program().to_vec();
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        argv.extend(process.rest().iter().cloned());
        let run = cartwheel_dockerfile::Run {
            argv,
            script: None,
            env: process.environment.clone().into_iter().collect(),
            working_dir: process.working_dir.clone(),
            ..run.clone()
        };
        let target = format!("{PLACE}/answer").into();
        let mount = Mount::Bind { source: answer.to_owned(), target, read_only: false };
        self.process(at, (&run, from), (state, done), Some(mount)).map(drop)
    }
}

/// Why pip has to be asked, as far as the command's words say so.
pub(super) fn must_build(command: &InstallCommand) -> Option<Reason> {
    let Asked::Requirements { wheels, sources, .. } = &command.asked else { return None };
    if let Some(source) = sources.first() {
        return Some(format!("`{}` has to be built", redact(source)));
    }
    if let Some((place, _)) = wheels.first() {
        return Some(format!("`{}` is a wheel of the image", place.path));
    }
    let name = command.options.no_binary.iter().find(|name| *name != ":none:")?;
    Some(format!("`--no-binary {name}` asks for packages to be built"))
}

/// Why pip has to be asked, if a resolution failed because something has to be built, or for want of uv; else the error.
pub(super) fn to_build(error: Error) -> Result<Reason> {
    match error.kind() {
        ErrorKind::Python(python) if python.needs_build() => Ok(error.to_string()),
        ErrorKind::NoUv => Ok(error.to_string()),
        _ => Err(error),
    }
}

/// Whether the tool rather builds the newest version than takes an older wheel.
pub(super) fn builds(command: &InstallCommand, options: &RequirementOptions) -> bool {
    let only_wheels = options.only_binary.iter().any(|name| name == ":all:");
    let rather_wheels = options.prefer_binary && command.installer == Installer::Pip;
    !(only_wheels || rather_wheels)
}

/// Whether a word is an option that matters to builds.
fn is_of_builds(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or(word);
    OF_BUILDS.contains(&name) || (word.starts_with("-C") && !word.starts_with("--"))
}

fn index_options(options: &RequirementOptions, find_links: &[String]) -> Vec<String> {
    let pair = |name: &'static str| move |value: &String| [name.to_owned(), value.clone()];
    let mut words = Vec::new();
    words.extend(options.index_url.iter().flat_map(pair("--index-url")));
    words.extend(options.extra_index_urls.iter().flat_map(pair("--extra-index-url")));
    words.extend(options.trusted_hosts.iter().flat_map(pair("--trusted-host")));
    words.extend(find_links.iter().flat_map(pair("--find-links")));
    words.extend(options.no_index.then(|| "--no-index".to_owned()));
    words.extend(options.pre.then(|| "--pre".to_owned()));
    words
}

/// The wheel under a key, if it is there.
fn kept(store: &Store, key: &Key<BuiltRecord>) -> Option<(PathBuf, u64, BuiltRecord)> {
    let record = store.get(key)?;
    let blob = store.blob(record.digest)?;
    Some((blob.path().to_owned(), blob.size(), record))
}

/// Takes the wheel of a source out of the directory that pip wrote to, which belongs to the command: no link is followed.
fn import(store: &Store, folder: &Path, source: &PipSource) -> Result<BuiltRecord> {
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let Ok(filename) = entry.file_name().into_string() else { continue };
        let Ok(wheel) = filename.parse::<WheelFilename>() else { continue };
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && wheel.name().as_str() == source.name {
            let path = entry.path();
            let mut file = fs::File::open(&path).map_err(Error::io("read", &path))?;
            let mut writer = store.writer()?;
            std::io::copy(&mut file, &mut writer).map_err(Error::io("copy", &path))?;
            let (digest, _) = writer.commit()?;
            return Ok(BuiltRecord { filename, digest });
        }
    }
    Err(not_built(source))
}

fn not_built(source: &PipSource) -> Error {
    ErrorKind::NotBuilt { name: source.name.clone(), version: source.version.clone() }.into()
}

/// What a build may have used: the Python, and the files below of programs, libraries and headers, each by the layer that
/// it comes from. Packages are not among them, for pip builds in an environment of its own.
fn surroundings(state: &StageState<'_>, interpreter: &Interpreter) -> Result<Digest> {
    let (below, layers) = (state.below()?, state.image.layers());
    let mut hasher = Hasher::default();
    hasher.update(bytecode::interpreter_key(interpreter, state)?.to_string().as_bytes());
    hasher.update(state.image.config().platform().to_string().as_bytes());
    let library = interpreter.scheme.purelib.trim_start_matches('/');
    for (path, layer) in system_files(below, layers, library) {
        hasher.update(format!("{path}\0{}\n", layer.diff_id).as_bytes());
    }
    Ok(hasher.finish())
}

/// The files that belong to the system, with their layers.
fn system_files<'b>(
    below: &'b Below,
    layers: &'b [Layer],
    library: &'b str,
) -> impl Iterator<Item = (&'b str, &'b Layer)> {
    const FOLDERS: [&str; 8] = ["bin", "etc", "lib", "lib32", "lib64", "opt", "sbin", "usr"];
    let is_package = move |path: &str| path.strip_prefix(library).is_some_and(|rest| rest.starts_with('/'));
    let files = FOLDERS.into_iter().flat_map(|folder| below.children(folder));
    let files = files.filter(move |(path, node)| !node.is_directory() && !is_package(path));
    files.filter_map(|(path, _)| Some((path, layers.get(below.layer(path)?)?)))
}
