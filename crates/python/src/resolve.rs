//! Which wheels satisfy what was asked for: the question goes to `uv`.
//!
//! [`resolve`] runs the user's own `uv` for a [`Target`] that need not be this machine, and brings its answer, a
//! `pylock.toml`, into the order in which pip would install it. Nothing is built: a package without a fitting wheel is
//! an error that names it and the wheels that it has.
//!
//! # pip's answer, not uv's own
//!
//! The step that is replaced is pip's, so the question is put as pip means it:
//!
//! * Requirements files are read by [`Requirements`], as pip reads them, and uv gets one flat list; uv's own reader
//!   resolves relative paths against the file where pip resolves them against the working directory, and does not know
//!   all options.
//! * All indexes are equal (`--index-strategy unsafe-best-match`); uv by itself stops at the first one that has the
//!   package. `--pre` becomes `--prerelease allow`.
//! * uv reads neither `PIP_*` nor `pip.conf`, so the [`IndexSettings`] carry what they say. uv's own settings (`uv.toml`,
//!   `UV_*`) stay in force, for the environment is inherited.
//! * What is installed is one more candidate for pip, whether an index has it or not, and the preferred one unless it is
//!   to be upgraded. uv is given it as a wheel that has nothing but its metadata, and as a preference ([`InstallRules`]).
//! * If one requirement has a hash, all must be pinned and have one, a dependency that is not listed is an error, and
//!   only wheels with these hashes are chosen. uv does not check that when it compiles, so it is checked here.
//!
//! One gap remains: pip takes a pre-release that only a *dependency's* specifier names; uv asks that it be named by a
//! requirement of the user, and otherwise fails with a message that says so.
//!
//! # What was resolved stays
//!
//! A resolution that is given as `previous` is uv's preference: one more requirement adds its wheel and leaves the
//! others at their versions. Such a question is first put offline, which takes a tenth of a second; the answer counts
//! only if each version in it was in the previous resolution or is pinned by a requirement. A version that nobody has
//! chosen yet always comes from the index.
//!
//! # Order
//!
//! pip installs dependencies first, and the later of two wheels that write one path wins. The lockfile does not say
//! what depends on what, so uv is asked once more, offline, with each version pinned and with annotations, and
//! `order.rs` does with them what pip does. What an extra needs counts as needed by the package itself, which is
//! the one thing where pip's order can differ.

mod error;
mod order;
mod rules;
mod settings;
mod uv;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cartwheel_store::{Digest, Key, Record};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::fetch::Credentials;
use crate::name::normalise;
use crate::pylock::{LockedWheel, Lockfile, LockfileError, WheelLocation, describe, is_wheel};
use crate::requirement::Requirement;
use crate::requirements::{RequirementLine, Requirements, RequirementsError};
use crate::tag::Target;
use cartwheel_transfer::{redact, without_credentials};
pub(crate) use order::{Dependents, installation_order};
use uv::Uv;

pub use error::ResolveError;
pub use rules::{Change, IndexStrategy, InstallRules, InstalledDistribution, SatisfiedPackage, Upgrade};
pub use settings::IndexSettings;

/// What to resolve, for what, and from where.
#[derive(Debug, Clone)]
pub struct ResolveRequest {
    /// The `uv` program.
    pub uv: PathBuf,
    /// A Python that uv may ask about itself; any version will do. Without it, uv searches for one.
    pub interpreter: Option<PathBuf>,
    /// The working directory: relative paths in requirements start here, and uv looks for its settings from here.
    pub folder: PathBuf,
    /// What is asked for.
    pub source: ResolveSource,
    /// Where it will run.
    pub target: Target,
    /// Which indexes to ask. The options of requirements files are added to it.
    pub index: IndexSettings,
    /// Whether to leave out what is not asked for by name.
    pub no_dependencies: bool,
    /// Whose rules hold, and what is there already.
    pub rules: InstallRules,
    /// The text of an earlier lockfile, whose versions are preferred.
    pub previous: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub enum ResolveSource {
    /// Requirements of files or of a command line.
    Requirements(Requirements),
    /// The dependencies of a `pyproject.toml`.
    Project {
        /// The file.
        path: PathBuf,
        /// Which of its optional dependencies are wanted, too.
        extras: Vec<String>,
        /// Which of its dependency groups.
        groups: Vec<String>,
    },
    /// A `uv.lock`, as it is.
    UvLock {
        /// The folder of the project.
        project: PathBuf,
        /// What of it is wanted.
        selection: LockSelection,
    },
    /// A `pylock.toml`, as it is.
    Pylock {
        /// The file.
        path: PathBuf,
    },
}

/// What of a `uv.lock` is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockSelection {
    /// Options of `uv export` that select packages: `--no-dev`, `--extra x`, `--no-emit-project`, ….
    pub options: Vec<String>,
    /// Whether the lockfile is believed unseen. Otherwise one that does not fit the project is an error.
    pub frozen: bool,
}

impl Default for LockSelection {
    /// Without development dependencies and the project itself.
    fn default() -> Self {
        Self { options: ["--no-dev", "--no-emit-project"].map(str::to_owned).to_vec(), frozen: true }
    }
}

/// The wheels that satisfy a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The wheels, in the order in which pip would install them.
    pub packages: Vec<LockedWheel>,
    /// What satisfies the request and is there already.
    pub satisfied: Vec<SatisfiedPackage>,
    /// The same as `pylock.toml`, without credentials: the preferences for the next resolution.
    pub pylock: String,
}

impl Record for Resolution {
    const KIND: &'static str = "resolution-2";
}

impl ResolveRequest {
    /// The key of the answer.
    ///
    /// | input | what it is |
    /// |---|---|
    /// | `requirements` | each requirement and constraint with its hashes, in order; comments and file names are not in it |
    /// | `project` | the bytes of the `pyproject.toml`, `uv.lock` or `pylock.toml`, and which extras and groups |
    /// | `index` | index URLs, folders of wheels, and whether pre-releases are allowed |
    /// | `target` | Python, processor and C library |
    /// | `dependencies` | whether they are wanted |
    /// | `rules` | how indexes are weighed; what is installed, with what it needs, and what of it may be exchanged |
    ///
    /// Credentials are in none of them: a new password is no new question. Nor is `previous`, for it is an answer.
    pub fn key(&self) -> Result<Key<Resolution>> {
        let (requirements, project) = match &self.source {
            ResolveSource::Requirements(requirements) => (Self::question(requirements), String::new()),
            ResolveSource::Project { path, extras, groups } => {
                (String::new(), format!("{} {} {}", content(path)?, extras.join(","), groups.join(",")))
            }
            ResolveSource::UvLock { project, selection } => {
                let options = (selection.options.join(" "), selection.frozen);
                (String::new(), format!("{} {} {}", content(&project.join("uv.lock"))?, options.0, options.1))
            }
            ResolveSource::Pylock { path } => (String::new(), content(path)?),
        };
        Ok(Key::new()
            .with("requirements", requirements)
            .with("project", project)
            .with("index", self.settings().question())
            .with("target", describe(&self.target))
            .with("dependencies", !self.no_dependencies)
            .with("rules", self.rules.question()))
    }

    fn question(requirements: &Requirements) -> String {
        let mut text = String::new();
        for line in &requirements.lines {
            let kind = if line.constraint { "-c" } else { "-r" };
            let _infallible =
                write!(text, "{kind} {} {}", without_credentials(&line.text), line.hashes.join(" "));
            text.push('\n');
        }
        let options = &requirements.options;
        text.push_str(if requirements.requires_hashes() { "hashes" } else { "" });
        text.extend(options.no_binary.iter().map(|name| format!(" -{name}")));
        text
    }

    /// The credentials that its URLs carry, for [`fetch`](crate::fetch()).
    pub fn credentials(&self) -> Credentials {
        let mut credentials = Credentials::default();
        let settings = self.settings();
        for url in settings.urls() {
            credentials.add_url(url);
        }
        if let ResolveSource::Requirements(requirements) = &self.source {
            for line in &requirements.lines {
                line.text.split([' ', '\t']).for_each(|word| credentials.add_url(word));
            }
        }
        credentials
    }

    /// Everything that is said about indexes: by the settings, then by the files.
    pub fn settings(&self) -> IndexSettings {
        match &self.source {
            ResolveSource::Requirements(requirements) => self.index.clone().with(&requirements.options),
            _ => self.index.clone(),
        }
    }
}

fn content(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(ResolveError::io("read", path))?;
    Ok(Digest::of(&bytes).to_string())
}

/// Resolves `request`.
pub fn resolve(request: &ResolveRequest) -> Result<Resolution> {
    match &request.source {
        ResolveSource::Requirements(requirements) => resolve_requirements(request, requirements),
        ResolveSource::Project { .. } => {
            let uv = Uv::new(request)?;
            compile(&uv, request, &Pins::default())
        }
        ResolveSource::UvLock { project, selection } => {
            let text = Uv::new(request)?.export(project, selection)?;
            adopt(request, &text, project)
        }
        ResolveSource::Pylock { path } => {
            let text = std::fs::read_to_string(path).map_err(ResolveError::io("read", path))?;
            adopt(request, &text, path.parent().unwrap_or(Path::new("")))
        }
    }
}

/// Takes a lockfile as it is. It says nothing of dependencies, so the order is that of packages without any.
fn adopt(request: &ResolveRequest, text: &str, folder: &Path) -> Result<Resolution> {
    let packages = Lockfile::parse(text, folder)?.select(&request.target, &|_, _| true)?;
    let packages = installation_order(packages, &BTreeMap::new());
    let (packages, satisfied) = rules::part(&request.rules, packages);
    Ok(Resolution { packages, satisfied, pylock: without_credentials(text) })
}

fn resolve_requirements(request: &ResolveRequest, requirements: &Requirements) -> Result<Resolution> {
    let pins = Pins::of(requirements, request)?;
    let uv = Uv::new(request)?;
    let mut wanted = [String::new(), String::new()];
    for line in &requirements.lines {
        let text = lowered(line, &request.folder)?;
        if let Some(list) = wanted.get_mut(usize::from(line.constraint)) {
            list.push_str(&text);
            list.push('\n');
        }
    }
    uv.write(uv::REQUIREMENTS, &wanted[0])?;
    uv.write(uv::CONSTRAINTS, &wanted[1])?;
    let resolution = compile(&uv, request, &pins)?;
    pins.check(&resolution.packages)?;
    if request.rules.builds {
        check_newest(&uv, request, requirements, &pins, &resolution)?;
    }
    Ok(resolution)
}

/// Fails if a package has a newer version than the chosen one that is no wheel: the tool would build it, and uv was told to
/// look at wheels only. What was chosen before, or is pinned, is left alone.
fn check_newest(
    uv: &Uv<'_>,
    request: &ResolveRequest,
    requirements: &Requirements,
    pins: &Pins,
    resolution: &Resolution,
) -> Result<()> {
    let known = request.previous.as_deref().and_then(|text| Lockfile::parse(text, uv.folder()).ok());
    let known = known.map(|lockfile| lockfile.versions()).unwrap_or_default();
    let is_open = |wheel: &&LockedWheel| {
        let chosen = (wheel.name.clone(), wheel.version.clone());
        !wheel.direct && !pins.pinned.contains(&wheel.name) && !known.contains(&chosen)
    };
    let chosen = resolution.packages.iter().filter(is_open).map(|wheel| (&wheel.name, &wheel.version));
    let is_renewed = |package: &&SatisfiedPackage| request.rules.renews(&package.name, &pins.requested);
    let kept = resolution.satisfied.iter().filter(is_renewed).map(|kept| (&kept.name, &kept.version));
    let open: Vec<(&String, &String)> = chosen.chain(kept).collect();
    if open.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        open.iter().map(|(name, _)| format!("{name}{}", bounds(requirements, name))).collect();
    uv.write(uv::NEWEST, lines.join("\n"))?;
    let [any, wheels] = uv.newest()?;
    let newer = open.iter().find_map(|(name, chosen)| {
        let version = any.get(*name)?;
        (wheels.get(*name) != Some(version) && version != *chosen).then_some((name, version))
    });
    match newer {
        Some((name, version)) => {
            let name = format!("{name} {version}");
            Err(LockfileError::NeedsBuild { name, what: "no wheel, but is newer than those that have one," }
                .into())
        }
        None => Ok(()),
    }
}

/// What the requirements say of a package's versions.
fn bounds(requirements: &Requirements, name: &str) -> String {
    let lines =
        requirements.lines.iter().filter_map(|line| specifier(&line.text).parse::<Requirement>().ok());
    let its = lines.filter(|requirement| normalise(requirement.name()) == name);
    let bounds: Vec<String> = its.flat_map(|requirement| requirement.specifiers().to_vec()).collect();
    bounds.join(",")
}

/// Asks uv, offline first if there is an earlier answer to prefer.
fn compile(uv: &Uv<'_>, request: &ResolveRequest, pins: &Pins) -> Result<Resolution> {
    let stand_ins = uv.write_stand_ins()?;
    let preferred = request.rules.preferences(&pins.requested);
    let is_renewed = |name: &str| request.rules.renews(name, &pins.requested);
    let preferences = preferences(request.previous.as_deref(), &preferred, &is_renewed);
    let text = ask(uv, request, pins, preferences.as_deref())?;
    let lockfile = Lockfile::parse(&text, uv.folder())?;
    let allowed = |name: &str, digest| stand_ins.contains(&digest) || pins.allow(name, digest);
    let packages = lockfile.select(&request.target, &allowed)?;
    let alone = request.no_dependencies || packages.len() < 2;
    let dependents = if alone { BTreeMap::new() } else { uv.dependents(&packages)? };
    let packages = installation_order(packages, &dependents);
    let pylock = with_absolute_paths(&without_credentials(&text), &packages, uv.folder());
    let (packages, satisfied) = rules::part(&request.rules, packages);
    Ok(Resolution { packages, satisfied, pylock })
}

fn ask(uv: &Uv<'_>, request: &ResolveRequest, pins: &Pins, preferences: Option<&str>) -> Result<String> {
    let Some(preferences) = preferences else { return uv.compile(false) };
    if request.previous.is_some() {
        let known = Lockfile::parse(preferences, uv.folder()).map(|lockfile| lockfile.versions());
        let known = known.unwrap_or_default();
        uv.prefer(preferences)?;
        let offline = uv.compile(true).ok();
        if let Some(text) = offline.filter(|text| pins.are_known(text, &known, uv.folder())) {
            tracing::debug!("resolved offline: every version was chosen before");
            return Ok(text);
        }
    }
    uv.prefer(preferences)?;
    uv.compile(false)
}

/// A lockfile of the versions that are preferred: those of an earlier one without what is renewed, and before them those that
/// are installed.
fn preferences(
    previous: Option<&str>,
    installed: &BTreeMap<&str, &str>,
    is_renewed: &dyn Fn(&str) -> bool,
) -> Option<String> {
    if installed.is_empty() && previous.is_none() {
        return None;
    }
    let mut document: toml::Table = previous.and_then(|text| text.parse().ok()).unwrap_or_default();
    let mut packages = match document.remove("packages") {
        Some(toml::Value::Array(packages)) => packages,
        _ => Vec::new(),
    };
    let is_open = |package: &toml::Value| {
        let name = normalise(package.get("name").and_then(toml::Value::as_str).unwrap_or_default());
        installed.contains_key(name.as_str()) || is_renewed(&name)
    };
    packages.retain(|package| !is_open(package));
    for (name, version) in installed {
        let fields = [("name", *name), ("version", *version)];
        let table = fields.map(|(key, value)| (key.to_owned(), toml::Value::String(value.to_owned())));
        packages.push(toml::Value::Table(table.into_iter().collect()));
    }
    for (key, value) in [("lock-version", "1.0"), ("created-by", "cartwheel")] {
        document.entry(key).or_insert_with(|| value.into());
    }
    document.insert("packages".to_owned(), toml::Value::Array(packages));
    Some(document.to_string())
}

/// uv writes paths relative to the lockfile, which lies in a folder that is about to go away.
fn with_absolute_paths(text: &str, packages: &[LockedWheel], folder: &Path) -> String {
    let mut text = text.to_owned();
    for package in packages {
        let WheelLocation::Path(path) = &package.location else { continue };
        if let Ok(relative) = path.strip_prefix(folder)
            && let Ok(absolute) = path.canonicalize()
        {
            let quoted = |path: &Path| format!("\"{}\"", path.display());
            text = text.replace(&quoted(relative), &quoted(&absolute));
        }
    }
    text
}

/// What the requirements say about versions and hashes.
#[derive(Debug, Default)]
struct Pins {
    /// Whether hashes are checked.
    hashed: bool,
    /// The SHA-256 that the files of a package may have.
    digests: BTreeMap<String, BTreeSet<Digest>>,
    /// The packages that a requirement gives one version.
    pinned: BTreeSet<String>,
    /// The packages that must be built.
    no_binary: BTreeSet<String>,
    /// The packages that a requirement names.
    requested: BTreeSet<String>,
}

impl Pins {
    fn of(requirements: &Requirements, request: &ResolveRequest) -> Result<Self> {
        let no_binary = requirements.options.no_binary.clone();
        let mut pins = Self { hashed: requirements.requires_hashes(), no_binary, ..Self::default() };
        if pins.no_binary.contains(":all:") {
            let what = "`--no-binary :all:`";
            return Err(LockfileError::NeedsBuild { name: "every package".to_owned(), what }.into());
        }
        for line in &requirements.lines {
            pins.add(line)?;
        }
        if pins.hashed {
            let wanted = requirements.lines.iter().filter(|line| !line.constraint);
            wanted.into_iter().try_for_each(|line| pins.require(line, &request.target))?;
        }
        Ok(pins)
    }

    fn add(&mut self, line: &RequirementLine) -> Result<(), ResolveError> {
        let Ok(requirement) = specifier(&line.text).parse::<Requirement>() else {
            // A URL or a path: its wheel's name says which package it is.
            if let Some(name) = line.text.rsplit('/').next().and_then(|file| file.split('-').next()) {
                self.add_hashes(normalise(name), line)?;
                self.pinned.insert(normalise(name));
                self.request(normalise(name), line);
            }
            return Ok(());
        };
        let name = normalise(requirement.name());
        if requirement.is_pinned() || requirement.url().is_some() {
            self.pinned.insert(name.clone());
        }
        self.request(name.clone(), line);
        self.add_hashes(name, line)
    }

    fn request(&mut self, name: String, line: &RequirementLine) {
        if !line.constraint {
            self.requested.insert(name);
        }
    }

    fn add_hashes(&mut self, name: String, line: &RequirementLine) -> Result<(), ResolveError> {
        let digests = self.digests.entry(name).or_default();
        let hexes = line.hashes.iter().filter_map(|hash| hash.strip_prefix("sha256:"));
        for hex in hexes {
            let digest = Digest::from_hex(&hex.to_ascii_lowercase());
            digests.insert(digest.map_err(|_| ResolveError::hash(line, "`--hash` is no SHA-256"))?);
        }
        if digests.is_empty() && !line.hashes.is_empty() {
            return Err(ResolveError::hash(line, "only SHA-256 hashes can be checked"));
        }
        Ok(())
    }

    /// pip's rule: each requirement gives one version, and a hash for it.
    fn require(&self, line: &RequirementLine, target: &Target) -> Result<(), ResolveError> {
        let requirement = specifier(&line.text).parse::<Requirement>().ok();
        let marker = requirement.as_ref().and_then(Requirement::marker);
        if marker.is_some_and(|marker| !marker.holds(target)) {
            return Ok(());
        }
        let Some(requirement) = requirement else {
            return if line.hashes.is_empty() {
                Err(ResolveError::hash(line, "hashes are checked, and this requirement has none"))
            } else {
                Ok(())
            };
        };
        let name = normalise(requirement.name());
        if !self.pinned.contains(&name) {
            return Err(ResolveError::hash(
                line,
                "hashes are checked, and this requirement is not pinned with `==`",
            ));
        }
        if self.digests.get(&name).is_none_or(BTreeSet::is_empty) {
            return Err(ResolveError::hash(line, "hashes are checked, and this requirement has none"));
        }
        Ok(())
    }

    fn allow(&self, name: &str, digest: Digest) -> bool {
        let listed = self.digests.get(&normalise(name));
        !self.hashed || listed.is_none_or(|digests| digests.is_empty() || digests.contains(&digest))
    }

    /// What can only be checked when the wheels are known.
    fn check(&self, packages: &[LockedWheel]) -> Result<()> {
        for package in packages {
            let name = &package.name;
            if self.no_binary.contains(name) {
                let what = "`--no-binary`";
                return Err(LockfileError::NeedsBuild { name: name.clone(), what }.into());
            }
            if self.hashed && self.digests.get(name).is_none_or(BTreeSet::is_empty) {
                let version = package.version.clone();
                return Err(ResolveError::Unlisted { name: name.clone(), version }.into());
            }
        }
        Ok(())
    }

    /// Whether nothing in this lockfile had to be chosen anew.
    fn are_known(&self, text: &str, known: &BTreeSet<(String, String)>, folder: &Path) -> bool {
        Lockfile::parse(text, folder).is_ok_and(|lockfile| {
            let mut versions = lockfile.versions().into_iter();
            versions.all(|version| known.contains(&version) || self.pinned.contains(&version.0))
        })
    }
}

/// The requirement without a `;` that nothing follows, which pip lets pass.
fn specifier(text: &str) -> &str {
    text.trim_end().trim_end_matches(';').trim_end()
}

/// The requirement as uv understands it: paths are absolute, and what would have to be built is refused.
fn lowered(line: &RequirementLine, folder: &Path) -> Result<String> {
    let text = specifier(&line.text);
    let needs_build = |what| LockfileError::NeedsBuild { name: redact(text), what };
    if line.editable {
        return Err(needs_build("development mode (`-e`)").into());
    }
    let Err(problem) = text.parse::<Requirement>() else { return Ok(text.to_owned()) };
    let (place, marker) = text.split_once("; ").or_else(|| text.split_once(" ;")).unwrap_or((text, ""));
    let place = place.trim();
    let marker = if marker.is_empty() { String::new() } else { format!(" ; {marker}") };
    if place.contains("://") && !place.contains([' ', '\t']) {
        return Ok(format!("{place}{marker}"));
    }
    let (path, extras) = match place.split_once('[') {
        Some((path, extras)) => (path.trim(), format!("[{extras}")),
        None => (place, String::new()),
    };
    let absolute = folder.join(path);
    if is_wheel(path) {
        return Ok(format!("{}{extras}{marker}", absolute.display()));
    }
    if path.contains('/') || path.starts_with('.') || absolute.exists() {
        return Err(needs_build("a path that is no wheel").into());
    }
    let mut location = line.location.clone();
    if let Some(location) = &mut location {
        location.column += text.get(..problem.position()).unwrap_or_default().chars().count();
    }
    Err(RequirementsError::Requirement { location, source: problem }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::PythonVersion;
    use crate::tag::{Arch, Libc};

    const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn request(lines: &[(&str, &[&str])]) -> ResolveRequest {
        let mut requirements = Requirements::default();
        for (text, hashes) in lines {
            requirements.add(*text);
            let line = requirements.lines.last_mut().unwrap();
            line.hashes = hashes.iter().map(ToString::to_string).collect();
        }
        ResolveRequest {
            uv: "uv".into(),
            interpreter: None,
            folder: "/project".into(),
            source: ResolveSource::Requirements(requirements),
            target: Target {
                python: PythonVersion::new(3, 13),
                arch: Arch::X86_64,
                libc: Libc::Glibc { major: 2, minor: 36 },
            },
            index: IndexSettings::default(),
            no_dependencies: false,
            rules: InstallRules::default(),
            previous: None,
        }
    }

    fn pins(lines: &[(&str, &[&str])]) -> Result<Pins> {
        let request = request(lines);
        let ResolveSource::Requirements(requirements) = &request.source else { unreachable!() };
        Pins::of(requirements, &request)
    }

    #[test]
    fn one_hash_asks_for_all_of_them() {
        assert!(pins(&[("a==1", &[ZEROS]), ("b==1", &[ZEROS])]).is_ok());
        assert!(pins(&[("a==1", &[ZEROS]), ("b==1; sys_platform == 'win32'", &[])]).is_ok());
        let error = |lines| pins(lines).unwrap_err().to_string();
        assert!(
            error(&[("a==1", &[ZEROS]), ("b==1", &[])])
                .contains("`b==1`: hashes are checked, and this requirement has none")
        );
        assert!(error(&[("a>=1", &[ZEROS])]).contains("not pinned"));
        assert!(error(&[("a==1", &["sha512:00"])]).contains("only SHA-256"));
        assert!(error(&[("a==1", &["sha256:00"])]).contains("no SHA-256"));
    }

    #[test]
    fn hashes_choose_wheels() {
        let pins = pins(&[("A_b==1", &[ZEROS])]).unwrap();
        assert!(pins.allow("a-b", Digest::from_bytes([0; 32])));
        assert!(!pins.allow("a-b", Digest::of(b"")));
    }

    #[test]
    fn requirements_are_lowered_as_pip_means_them() {
        let mut requirements = Requirements::default();
        for text in [
            "a;",
            "x/b-1-py3-none-any.whl[c] ; os_name == 'posix'",
            "http://x/c.whl",
            "d d",
            "./d",
            "e.tar.gz/",
        ] {
            requirements.add(text);
        }
        let lowered: Vec<_> = requirements
            .lines
            .iter()
            .map(|line| lowered(line, Path::new("/project")).map_err(|e| e.to_string()))
            .collect();
        assert_eq!(lowered[0].as_deref(), Ok("a"));
        assert_eq!(lowered[1].as_deref(), Ok("/project/x/b-1-py3-none-any.whl[c] ; os_name == 'posix'"));
        assert_eq!(lowered[2].as_deref(), Ok("http://x/c.whl"));
        assert_eq!(lowered[3], Err("cannot read the requirement".to_owned()));
        assert!(lowered[4].as_ref().is_err_and(|error| error.contains("`./d` has a path that is no wheel")));
        assert!(lowered[5].is_err());
    }

    #[test]
    fn the_key_names_the_question_and_no_secret() {
        let mut one = request(&[("a @ https://u:secret@example.org/a.whl", &[])]);
        one.index.index_url = Some("https://me:secret@example.org/simple".to_owned());
        let key = one.key().unwrap();
        assert!(!format!("{:?}", key.inputs()).contains("secret"));
        let mut two = one.clone();
        two.index.index_url = Some("https://me:other@example.org/simple".to_owned());
        assert_eq!(key.digest(), two.key().unwrap().digest());
        two.index.pre = true;
        assert_ne!(key.digest(), two.key().unwrap().digest());
        assert_ne!(
            request(&[("a", &[])]).key().unwrap().digest(),
            request(&[("b", &[])]).key().unwrap().digest()
        );
    }
}
