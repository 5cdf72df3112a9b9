//! `oracle`: Dockerfiles of ours, built by Docker's BuildKit and by cartwheel, and the two images compared.
//!
//! A case is a folder below `tests/dockerfiles`; what it may say is at [`case::Settings`]. Each is built twice with the
//! same words on the command line, from the same files, on the same bases: by a real Docker, started once for all cases,
//! and by the `cartwheel` that a user would run. Both images come out as OCI layouts; their settings are compared field
//! by field and their flattened trees entry by entry ([`image`] reads, [`compare`] compares). Whoever fails where the
//! other builds differs as well.
//!
//! What a case takes over HTTP comes from a server on loopback ([`crate::files`]) that has the files of all cases; packages
//! come from an index there, whose wheels `oracle/wheelhouse.py` writes.
//!
//! Nothing of Docker's answers is kept: they are asked for every time. Times of modification are not compared; every other
//! difference that is meant is a row of `docs/differences.md`, which the case names together with the very path or field
//! that differs. A row that a case names and that does not show any more is a finding too.
mod builder;
mod case;
mod compare;
mod image;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::docker::ImageStore;
use crate::peers::Peers;
use crate::project::{self, Project};
use crate::{Result, base_image, command, debian, files, index, tools};

use builder::{BuildKit, Cartwheel, Outcome};
use case::Case;
use compare::Difference;
use image::{Image, Node, Reader};

const CASES: &str = "tests/dockerfiles";
/// Images that cases build on, themselves built by Docker from folders of this name.
const BASES: &str = "tests/dockerfiles/bases";
const DIFFERENCES: &str = "docs/differences.md";
/// What the cases' set-ups call.
const PACKAGES: &[&str] = &["attr", "bzip2", "gzip", "python3", "tar", "xz-utils", "zstd"];

/// Writes the wheels that cases install.
const WHEELHOUSE: &str = include_str!("oracle/wheelhouse.py");

/// What the user asked for.
#[derive(Default)]
struct Options<'a> {
    /// Prints what Docker makes of the cases, and asks nobody else.
    docker_only: bool,
    /// Shows where histories differ. They are for readers: they make no case fail.
    history: bool,
    overlay2: bool,
    /// Folders, or Dockerfiles in them; none means all.
    cases: Vec<&'a str>,
}

impl<'a> Options<'a> {
    fn parse(words: &[&'a str]) -> Result<Self> {
        let mut options = Self::default();
        for word in words {
            match *word {
                "--docker-only" => options.docker_only = true,
                "--history" => options.history = true,
                "--store=overlay2" => options.overlay2 = true,
                "--store=containerd" => options.overlay2 = false,
                flag if flag.starts_with('-') => {
                    return Err(format!("`{flag}` is not an option of `oracle`").into());
                }
                path => options.cases.push(path),
            }
        }
        Ok(options)
    }
}

/// Builds and compares; an error if any case differs.
pub(crate) fn run(project: &Project, words: &[&str]) -> Result {
    let options = Options::parse(words)?;
    let prepared = prepare(project, &options.cases)?;
    let (cases, scratch) = &prepared;
    let store = if options.overlay2 { ImageStore::Overlay2 } else { ImageStore::Containerd };
    let docker = BuildKit::start(project, store, &scratch.0)?;
    if options.docker_only {
        let reader = Reader::default();
        let bases = make_bases(project, &docker, &reader, &scratch.0)?;
        return ask_all(cases, |case| describe(case, &docker, (&reader, &bases), &scratch.0));
    }
    let built = || project.target().join("release/cartwheel");
    let program = std::env::var_os("CARTWHEEL").map_or_else(built, PathBuf::from);
    compare_all(project, &prepared, docker, &program, options.history)
}

/// The same with the Docker that tests have beside them, and the `program` that they built.
pub(crate) fn run_beside(project: &Project, peers: &Peers, program: &Path) -> Result {
    let prepared = prepare(project, &[])?;
    let docker = BuildKit::of(peers, &prepared.1.0);
    compare_all(project, &prepared, docker, program, false)
}

/// The cases at `paths`, or all, with what they take from a server, and a folder for the run.
fn prepare(project: &Project, paths: &[&str]) -> Result<(Vec<Case>, Scratch)> {
    let mut cases = load(project, paths)?;
    base_image::provide(project)?;
    tools::provide(project)?;
    debian::install(PACKAGES, "the contexts of the oracle's cases")?;
    let scratch = Scratch::new(project)?;
    let address = files::serve(scratch.0.join(case::CASES))?;
    let wheels = scratch.0.join("wheelhouse");
    command::quiet(Command::new("python3").args(["-c", WHEELHOUSE]).arg(&wheels))?;
    let index = index::serve(&index::distributions(&wheels)?, &scratch.0.join("index"))?;
    for case in &mut cases {
        case.serve_at(&address, &index);
    }
    Ok((cases, scratch))
}

fn compare_all(
    project: &Project,
    (cases, scratch): &(Vec<Case>, Scratch),
    docker: BuildKit,
    program: &Path,
    history: bool,
) -> Result {
    let reader = Reader::default();
    let bases = make_bases(project, &docker, &reader, &scratch.0)?;
    let cartwheel = Cartwheel::new(project, program, &bases, &scratch.0)?;
    let oracle = Oracle { history, docker, cartwheel, reader, scratch: &scratch.0 };
    ask_all(cases, |case| oracle.ask(case))
}

/// The cases at `paths`, or all.
fn load(project: &Project, paths: &[&str]) -> Result<Vec<Case>> {
    let rows = rows(&fs::read_to_string(project.root().join(DIFFERENCES))?);
    let mut folders: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    if folders.is_empty() {
        let entries = fs::read_dir(project.root().join(CASES))?.collect::<Result<Vec<_>, _>>()?;
        folders =
            entries.into_iter().map(|entry| entry.path()).filter(|path| !path.ends_with("bases")).collect();
        folders.sort();
    }
    folders.iter().map(|folder| Case::load(folder, &rows)).collect()
}

/// The names in the first column of the table of differences.
fn rows(document: &str) -> BTreeSet<String> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|line| line.split('`').next()).map(str::to_owned).collect()
}

/// A base: its name in `FROM`, its layout, and what it contains.
struct Base {
    name: String,
    layout: PathBuf,
    image: Image,
}

fn make_bases(project: &Project, docker: &BuildKit, reader: &Reader, scratch: &Path) -> Result<Vec<Base>> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(project.root().join(BASES))? {
        folders.push(entry?.path());
    }
    folders.sort();
    let base = |folder: &PathBuf| {
        let case = Case::load(folder, &BTreeSet::new())?;
        let staged = case.stage(scratch)?;
        let outcome = docker.build(&case, &staged, &case.name)?;
        let layout = outcome.built().map_err(|said| format!("base {}: {said}", case.name))?;
        Ok(Base { image: reader.read(layout)?, layout: layout.to_owned(), name: case.name.clone() })
    };
    folders.iter().map(base).collect()
}

/// Docker's answer alone: what the image's settings are, and what is in its tree that is in no base.
fn describe(
    case: &Case,
    docker: &BuildKit,
    (reader, bases): (&Reader, &[Base]),
    scratch: &Path,
) -> Result<Answer> {
    let outcome = docker.build(case, &case.stage(scratch)?, &format!("oracle/{}", case.name))?;
    if let Some(finding) = case.unexpected(&outcome) {
        return Err(finding.into());
    }
    let lines = match outcome.built() {
        Err(said) => vec![format!("fails: {said}")],
        Ok(layout) => describe_image(&reader.read(layout)?, bases),
    };
    let text = format!("── {}{}\n  {}", case.name, seconds(outcome.took), lines.join("\n  "));
    Ok(Answer { text, failed: false })
}

fn describe_image(image: &Image, bases: &[Base]) -> Vec<String> {
    let settings = image.settings();
    let mut lines: Vec<String> = settings.iter().map(|(field, value)| format!("{field}: {value}")).collect();
    let groups = compare::links(&image.tree);
    let is_in = |base: &Base, path, node: &Node| {
        base.image.tree.get(path).is_some_and(|other| other.looks_like(node))
    };
    for (path, node) in &image.tree {
        if !bases.iter().any(|base| is_in(base, path, node)) {
            lines.push(format!("/{}  {}", path.display(), compare::describe(node, groups.get(path))));
        }
    }
    lines
}

/// A run over cases.
struct Oracle<'a> {
    history: bool,
    docker: BuildKit,
    cartwheel: Cartwheel,
    reader: Reader,
    scratch: &'a Path,
}

impl Oracle<'_> {
    /// Builds the case with both, and says what is not the same.
    fn ask(&self, case: &Case) -> Result<Answer> {
        let staged = case.stage(self.scratch)?;
        let docker = self.docker.build(case, &staged, &format!("oracle/{}", case.name))?;
        if let Some(finding) = case.unexpected(&docker) {
            return Err(format!("{}: {finding}", case.name).into());
        }
        let cartwheel = self.cartwheel.build(case, &staged)?;
        let (differences, notes) = self.compare(&docker, &cartwheel)?;
        let mut findings = case.judge(&differences);
        if case.settings.spliced {
            findings.extend(cartwheel.ran().map(|line| format!("ran a command: {line}")));
        }
        let word = if findings.is_empty() { "same   " } else { "DIFFERS" };
        let mut text =
            format!("{word} {:<44}{} {}", case.name, seconds(docker.took), seconds(cartwheel.took));
        for line in findings.iter().chain(&notes) {
            text.extend(["\n        ", line]);
        }
        // Every image has its bases in it: all of them would fill a disk.
        for layout in [docker.built().ok(), cartwheel.built().ok()].into_iter().flatten() {
            project::remove(layout)?;
        }
        project::remove(&staged)?;
        Ok(Answer { text, failed: !findings.is_empty() })
    }

    fn compare(&self, docker: &Outcome, cartwheel: &Outcome) -> Result<(Vec<Difference>, Vec<String>)> {
        match (docker.built(), cartwheel.built()) {
            (Ok(docker), Ok(cartwheel)) => {
                let (docker, cartwheel) = (self.reader.read(docker)?, self.reader.read(cartwheel)?);
                let notes = if self.history { compare::histories(&docker, &cartwheel) } else { Vec::new() };
                Ok((compare::images(&docker, &cartwheel), notes))
            }
            (docker, cartwheel) => Ok((compare::outcomes(docker.err(), cartwheel.err()), Vec::new())),
        }
    }
}

/// What there is to print of a case.
struct Answer {
    text: String,
    failed: bool,
}

/// Asks for every case, as many at once as there are processors, and prints each answer as it comes.
fn ask_all(cases: &[Case], ask: impl Fn(&Case) -> Result<Answer> + Sync) -> Result {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(BTreeSet::new());
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let unanswered = |error| Answer { text: format!("UNSOUND {}: {error}", case.name), failed: true };
            let answer = ask(case).unwrap_or_else(unanswered);
            println!("{}", answer.text);
            if answer.failed {
                failed.lock().unwrap_or_else(PoisonError::into_inner).insert(case.name.as_str());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(work);
        }
    });
    let failed: Vec<&str> = failed.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect();
    println!("{} of {} cases are as they should be", cases.len() - failed.len(), cases.len());
    if failed.is_empty() { Ok(()) } else { Err(format!("not so: {}", failed.join(" ")).into()) }
}

fn seconds(time: Duration) -> String {
    format!("{:>6.2} s", time.as_secs_f64())
}

/// Where the run's contexts, layouts and cartwheel's store lie; gone when this value is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(project: &Project) -> Result<Self> {
        let folder = project.root().join("target/oracle").join(std::process::id().to_string());
        fs::create_dir_all(&folder)?;
        std::os::unix::fs::symlink(project.fixtures(), folder.join("fixtures"))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = project::remove(&self.0) {
            eprintln!("warning: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_column_names_the_rows() {
        let table = "# Title\n\n| name | what |\n|---|---|\n| `fifo` | `x` |\n| `owner` | y |\n";
        assert_eq!(rows(table), BTreeSet::from(["fifo".to_owned(), "owner".to_owned()]));
    }

    #[test]
    fn every_case_says_only_what_a_case_may_say() {
        let project = Project::find().unwrap();
        let cases = load(&project, &[]).unwrap();
        assert!(cases.len() > 80, "only {} cases", cases.len());
    }
}
