//! `cartwheel debug batch SUITE`: one JSON request per line in, one JSON answer per line out.
//!
//! Hidden, because it serves the comparison with other tools and nothing else:
//!
//! ```text
//! lex     {"word", "env", "escape"}      → {"result", "words"} | {"error", "words_error"}
//! parse   {"path"|"text"}                → {"nodes": [{"value", "args", "flags", "start", "end", "heredocs"}]}
//! plan    {"path"|"text", "build_args", "target"}
//!                                        → {"image": {"config", "history"},
//!                                           "execs": [{"args", "env", "cwd", "user", "name"}]}
//! lint    {"path"|"text"}                → {"lint": [{"rule", "line", "detail"}]}
//! zip     {"path"}                       → {"ok": true, "entries": [{"name", "size", "sha256"}]}
//! tar     {"layers", "dest"}             → {"ok": true}, and the files of the layers under `dest`
//! wheel   {"wheel", "prefix", "python"}  → {"ok": true}, and the installed files under `prefix`
//! ignore  {"ignore", "tree"}             → {"files": […]}: those of `tree` that the ignore file leaves
//! compose {"files"}                      → {"services": {name: {"image", "build": {"context", "dockerfile", …}}}}
//! reqs    {"path"}                       → {"rows": [{"name", "extras", "specifier", "marker", "url"}]}
//! any                                    → {"ok": false, "error"}
//! ```
//!
//! `wheel` installs as pip does in a virtual environment on this kind of machine, which includes that RECORD's digests
//! are not compared; a build compares them. `ignore` reads a tree as `git ls-tree` lists it (mode, size, path), and
//! walks it as a build walks its context. In the rows of `reqs`, a requirement that PEP 508 does not know, such as a
//! path, has no name; variables have no values. The Compose files of `compose` are those of a project `proj` in all of
//! its profiles, with neither an environment nor a `.env`.

mod compose;
mod dockerfile;

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cartwheel_dockerfile::{IgnoreFile, MatchState};
use cartwheel_python::{
    Arch, Archive, InstallOptions, InstalledFile, Libc, PythonVersion, RecordCheck, Requirement,
    Requirements, Scheme, Tags, Target, Wheel, install, read_installed,
};
use cartwheel_snapshot::Unpack;
use cartwheel_store::{Blob, Hasher};
use serde_json::{Value, json};

type Answer = Result<Value, Box<dyn Error>>;

/// Answers every request of `input`; an error only if reading or writing failed, or if there is no such suite.
pub(crate) fn batch(suite: &str, input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let answer = match suite {
        "zip" => zip,
        "tar" => tar,
        "wheel" => wheel,
        "ignore" => ignore,
        "reqs" => requirements,
        "compose" => compose::compose,
        "lex" => dockerfile::lex,
        "parse" => dockerfile::parse,
        "plan" => dockerfile::plan,
        "lint" => dockerfile::lint,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no suite `{suite}`"))),
    };
    for line in input.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let result = serde_json::from_str(&line).map_err(Into::into).and_then(|request| answer(&request));
        let value = result.unwrap_or_else(|error| json!({ "ok": false, "error": chain(&*error) }));
        writeln!(output, "{value}")?;
    }
    output.flush()
}

fn zip(request: &Value) -> Answer {
    let path = Path::new(field(request, "path")?);
    let archive = Archive::open(Blob::open(path)?, &file_name(path))?;
    let mut entries = Vec::new();
    for member in archive.members() {
        let mut hasher = Hasher::default();
        archive.each_chunk(member, |bytes| hasher.update(bytes))?;
        entries.push(json!({ "name": member.name, "size": member.size, "sha256": hasher.finish().hex() }));
    }
    Ok(json!({ "ok": true, "entries": entries }))
}

fn tar(request: &Value) -> Answer {
    let mut unpack = Unpack::into(Path::new(field(request, "dest")?))?;
    let layers = request.get("layers").and_then(Value::as_array).ok_or("the request has no `layers`")?;
    for layer in layers {
        let path = layer.as_str().ok_or("a layer has no path")?;
        unpack.layer(Blob::open(path)?.reader())?;
    }
    let shortfall = unpack.finish()?;
    if shortfall.devices > 0 {
        return Err(format!("only root can make {} of the entries", shortfall.devices).into());
    }
    Ok(json!({ "ok": true }))
}

fn wheel(request: &Value) -> Answer {
    let path = Path::new(field(request, "wheel")?);
    let python: PythonVersion = field(request, "python")?.parse()?;
    let prefix = field(request, "prefix")?;
    let wheel = Wheel::open(Blob::open(path)?, &file_name(path))?;
    check_target(&wheel, python)?;

    let scheme = Scheme::for_venv(prefix, python);
    let options =
        InstallOptions { requested: true, record: RecordCheck::Ignored, ..InstallOptions::default() };
    let files = install(&wheel, &scheme, &options)?;
    // Everything is unpacked and checked once before anything is written.
    for file in &files {
        read_installed(&wheel, file)?;
    }
    for file in &files {
        write(file, &read_installed(&wheel, file)?)?;
    }
    Ok(json!({ "ok": true }))
}

fn ignore(request: &Value) -> Answer {
    let ignore = IgnoreFile::parse(&fs::read_to_string(field(request, "ignore")?)?)?;
    let tree = fs::read_to_string(field(request, "tree")?)?;
    let rows = tree.lines().filter_map(|line| line.split_once('\t'));
    // Git lists a submodule, which is a folder and nothing else to a build.
    let files = rows.filter(|(mode, _)| *mode != "160000").filter_map(|(_, rest)| rest.split_once('\t'));
    let mut walk = ContextWalk { ignore: &ignore, folders: HashMap::new() };
    let kept: Vec<&str> = files.map(|(_, path)| path).filter(|path| walk.reaches(path)).collect();
    Ok(json!({ "files": kept }))
}

fn requirements(request: &Value) -> Answer {
    let requirements = Requirements::read(Path::new(field(request, "path")?), &|_| None)?;
    let row = |text: &str| match text.parse::<Requirement>() {
        Ok(requirement) => json!({
            "name": requirement.name(),
            "extras": requirement.extras(),
            "specifier": requirement.specifiers().join(","),
            "marker": requirement.marker().map(ToString::to_string),
            "url": requirement.url(),
        }),
        Err(_) => json!({ "requirement": text }),
    };
    let rows: Vec<Value> = requirements.lines.iter().map(|line| row(&line.text)).collect();
    Ok(json!({ "rows": rows }))
}

/// A walk over a listed tree, which remembers the folders that it went through.
struct ContextWalk<'a> {
    ignore: &'a IgnoreFile,
    /// `None` for a folder that is not entered.
    folders: HashMap<String, Option<MatchState>>,
}

impl ContextWalk<'_> {
    fn reaches(&mut self, path: &str) -> bool {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.folder(folder).is_some_and(|state| !self.ignore.excludes(path, &state))
    }

    fn folder(&mut self, path: &str) -> Option<MatchState> {
        if path.is_empty() {
            return Some(self.ignore.root());
        }
        if let Some(known) = self.folders.get(path) {
            return known.clone();
        }
        let parent = self.folder(path.rsplit_once('/').map_or("", |(parent, _)| parent));
        let state = parent.map(|parent| self.ignore.enter(path, &parent));
        let entered = state.filter(|state| self.ignore.may_descend(path, state));
        self.folders.insert(path.to_owned(), entered.clone());
        entered
    }
}

/// What the resolver asks before a wheel gets as far as being installed.
fn check_target(wheel: &Wheel, python: PythonVersion) -> Result<(), Box<dyn Error>> {
    let libc = Libc::Glibc { major: 2, minor: 36 };
    let tags = Tags::compatible(&Target { python, arch: Arch::X86_64, libc });
    if !wheel.filename().is_compatible(&tags) {
        return Err(format!("wheel `{}` is not for this platform", wheel.filename()).into());
    }
    let metadata = wheel.metadata();
    if !metadata.supports(python) {
        let asked = metadata.requires_python().unwrap_or_default();
        return Err(format!("wheel `{}` asks for Python `{asked}`", wheel.filename()).into());
    }
    for requirement in metadata.requires_dist() {
        requirement.parse::<Requirement>()?;
    }
    Ok(())
}

/// Writes one file. What is there is never followed or replaced.
fn write(file: &InstalledFile, bytes: &[u8]) -> io::Result<()> {
    let path = Path::new("/").join(&file.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mode = if file.executable { 0o755 } else { 0o644 };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?.write_all(bytes)
}

fn field<'a>(request: &'a Value, name: &str) -> Result<&'a str, String> {
    request.get(name).and_then(Value::as_str).ok_or_else(|| format!("the request has no `{name}`"))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// An error and its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
