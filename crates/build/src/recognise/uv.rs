//! `uv pip install`, and what it shares with `uv sync`.

use std::collections::BTreeSet;

use cartwheel_python::{BinaryChoice, IndexStrategy, RequirementOptions, Upgrade};

use super::environment::{Kind, Variable, uv_items};
use super::install::{Asked, Destination, InstallCommand, Installer, Place, PythonChoice, RequirementFile};
use super::options::{Item, Known, Reader, Style, Takes, refused};
use super::shell::Word;
use super::surroundings::{Requested, Surroundings, index_url};
use super::sync;
use super::{NotRecognised, Result};

/// What an option of uv means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It changes nothing in the image.
    Nothing,
    /// It is known, and why it cannot be honoured.
    Refused(&'static str),
    Python,
    System,
    BreakSystemPackages,
    Requirements,
    Constraints,
    Extra,
    AllExtras,
    IndexUrl,
    ExtraIndexUrl,
    FindLinks,
    NoIndex,
    TrustedHost,
    Strategy,
    Prerelease,
    Resolution,
    OnlyBinary,
    NoBinary,
    RequireHashes,
    NoDependencies,
    Upgrade,
    UpgradePackage,
    Reinstall,
    Exact,
    Inexact,
    Compile,
    Target,
    Prefix,
    Certificates,
    /// What only `uv sync` has; `uv pip install` ignores the variables.
    Sync(sync::Choice),
}

const CHOICE: Meaning = Meaning::Refused("chooses versions in a way that is not understood");
const PROBES: Meaning = Meaning::Refused("does something else than installing");
const SETTINGS: Meaning = Meaning::Refused("changes which settings uv reads");
const SECRETS: Meaning = Meaning::Refused("asks another program for passwords");
const OTHER_TARGET: Meaning = Meaning::Refused("asks for wheels of another Python than the image's");

const fn flag(names: &'static [&'static str], meaning: Meaning) -> Known<Meaning> {
    Known { names, takes: Takes::Nothing, meaning }
}

const fn one(names: &'static [&'static str], meaning: Meaning) -> Known<Meaning> {
    Known { names, takes: Takes::One, meaning }
}

/// The options that `uv pip install` and `uv sync` share with all of uv, in the same words.
macro_rules! options {
    ($($own:expr),* $(,)?) => {
        &[
            flag(&["-q", "--quiet"], Meaning::Nothing),
            flag(&["-v", "--verbose"], Meaning::Nothing),
            one(&["--color"], Meaning::Nothing),
            flag(&["--no-progress"], Meaning::Nothing),
            flag(&["-n", "--no-cache", "--no-cache-dir"], Meaning::Nothing),
            one(&["--cache-dir"], Meaning::Nothing),
            flag(&["--system-certs", "--native-tls"], Meaning::Nothing),
            flag(&["--no-python-downloads"], Meaning::Nothing),
            flag(&["--offline"], Meaning::Refused("forbids downloads")),
            one(&["--allow-insecure-host", "--trusted-host"], Meaning::TrustedHost),
            one(&["--directory"], Meaning::Refused("changes the working directory")),
            one(&["--config-file"], SETTINGS),
            flag(&["--no-config"], SETTINGS),
            flag(&["-h", "--help"], PROBES),
            flag(&["-V", "--version"], PROBES),
            flag(&["--managed-python"], Meaning::Refused("chooses a Python of uv's own")),
            flag(&["--no-managed-python"], Meaning::Nothing),
            $($own),*
        ]
    };
}

/// What may stand between `uv` and its command.
static GLOBAL: &[Known<Meaning>] = options![one(&["--project"], Meaning::Sync(sync::Choice::Project))];

/// Every option of `uv pip install`, as uv 0.13 lists them.
static PIP_INSTALL: &[Known<Meaning>] = options![
    one(&["-r", "--requirements", "--requirement"], Meaning::Requirements),
    one(&["-e", "--editable"], Meaning::Refused("installs a project in development mode")),
    flag(&["--no-editable"], Meaning::Nothing),
    one(&["-c", "--constraints", "--constraint"], Meaning::Constraints),
    one(&["--overrides", "--override"], CHOICE),
    one(&["--excludes"], CHOICE),
    one(&["-b", "--build-constraints", "--build-constraint"], Meaning::Nothing),
    one(&["--extra"], Meaning::Extra),
    flag(&["--all-extras"], Meaning::AllExtras),
    one(&["--cert"], Meaning::Certificates),
    one(&["--group"], Meaning::Refused("installs a dependency group")),
    flag(&["--no-deps"], Meaning::NoDependencies),
    flag(&["--require-hashes"], Meaning::RequireHashes),
    flag(&["--no-verify-hashes"], Meaning::Refused("turns off the checking of hashes")),
    flag(&["--require-build-hashes"], Meaning::Nothing),
    flag(&["--system"], Meaning::System),
    flag(&["--break-system-packages"], Meaning::BreakSystemPackages),
    flag(&["--no-break-system-packages"], Meaning::Nothing),
    one(&["-t", "--target"], Meaning::Target),
    one(&["--prefix"], Meaning::Prefix),
    flag(&["--no-build"], Meaning::Nothing),
    one(&["--no-binary"], Meaning::NoBinary),
    one(&["--only-binary"], Meaning::OnlyBinary),
    one(&["--python-version"], OTHER_TARGET),
    one(&["--python-platform"], OTHER_TARGET),
    flag(&["--exact"], Meaning::Exact),
    flag(&["--inexact"], Meaning::Inexact),
    flag(&["--strict"], Meaning::Nothing),
    flag(&["--dry-run"], PROBES),
    flag(&["--check"], PROBES),
    one(&["--output-format"], Meaning::Nothing),
    one(&["--torch-backend"], Meaning::Refused("chooses an index by the machine's graphics card")),
    flag(&["--user"], Meaning::Refused("is an option that uv does not support")),
    one(&["--index"], Meaning::ExtraIndexUrl),
    one(&["-i", "--index-url", "--default-index"], Meaning::IndexUrl),
    one(&["--extra-index-url"], Meaning::ExtraIndexUrl),
    one(&["-f", "--find-links"], Meaning::FindLinks),
    flag(&["--no-index"], Meaning::NoIndex),
    one(&["--index-strategy"], Meaning::Strategy),
    one(&["--keyring-provider"], SECRETS),
    flag(&["-U", "--upgrade"], Meaning::Upgrade),
    one(&["-P", "--upgrade-package"], Meaning::UpgradePackage),
    one(&["--upgrade-group"], CHOICE),
    one(&["--resolution"], Meaning::Resolution),
    one(&["--prerelease"], Meaning::Prerelease),
    flag(&["--pre"], Meaning::Prerelease),
    one(&["--prerelease-package"], CHOICE),
    one(&["--fork-strategy"], Meaning::Nothing),
    one(&["--exclude-newer"], CHOICE),
    one(&["--exclude-newer-package"], CHOICE),
    flag(&["--no-sources"], SETTINGS),
    one(&["--no-sources-package"], SETTINGS),
    flag(&["--reinstall", "--force-reinstall"], Meaning::Reinstall),
    one(&["--reinstall-package"], Meaning::Refused("reinstalls one package")),
    one(&["--link-mode"], Meaning::Nothing),
    flag(&["--compile-bytecode", "--compile"], Meaning::Compile),
    flag(&["--no-compile-bytecode", "--no-compile"], Meaning::Nothing),
    one(&["-C", "--config-setting", "--config-settings"], Meaning::Nothing),
    one(&["--config-settings-package"], Meaning::Nothing),
    flag(&["--no-build-isolation"], Meaning::Nothing),
    one(&["--no-build-isolation-package"], Meaning::Nothing),
    flag(&["--refresh"], Meaning::Nothing),
    one(&["--refresh-package"], Meaning::Nothing),
    one(&["-p", "--python"], Meaning::Python),
];

/// Every option of `uv sync`, as uv 0.13 lists them.
static SYNC: &[Known<Meaning>] = options![
    one(&["--project"], Meaning::Sync(sync::Choice::Project)),
    one(&["--extra"], Meaning::Sync(sync::Choice::Option("--extra"))),
    flag(&["--all-extras"], Meaning::Sync(sync::Choice::Option("--all-extras"))),
    one(&["--no-extra"], Meaning::Sync(sync::Choice::Option("--no-extra"))),
    flag(&["--no-dev"], Meaning::Sync(sync::Choice::Option("--no-dev"))),
    flag(&["--dev"], Meaning::Nothing),
    flag(&["--only-dev"], Meaning::Sync(sync::Choice::Only("--only-dev"))),
    one(&["--group"], Meaning::Sync(sync::Choice::Option("--group"))),
    one(&["--no-group"], Meaning::Sync(sync::Choice::Option("--no-group"))),
    flag(&["--no-default-groups"], Meaning::Sync(sync::Choice::Option("--no-default-groups"))),
    one(&["--only-group"], Meaning::Sync(sync::Choice::Only("--only-group"))),
    flag(&["--all-groups"], Meaning::Sync(sync::Choice::Option("--all-groups"))),
    flag(&["--no-editable"], Meaning::Nothing),
    one(&["--no-editable-package"], Meaning::Nothing),
    flag(&["--exact"], Meaning::Nothing),
    flag(&["--inexact"], Meaning::Inexact),
    flag(&["--active"], Meaning::Sync(sync::Choice::Active)),
    flag(&["--no-active"], Meaning::Nothing),
    flag(&["--no-install-project"], Meaning::Sync(sync::Choice::Only("--no-emit-project"))),
    flag(&["--no-install-workspace"], Meaning::Sync(sync::Choice::Only("--no-emit-workspace"))),
    flag(&["--no-install-local"], Meaning::Sync(sync::Choice::Only("--no-emit-local"))),
    one(&["--no-install-package"], Meaning::Sync(sync::Choice::Option("--no-emit-package"))),
    flag(&["--locked"], Meaning::Sync(sync::Choice::Locked)),
    flag(&["--frozen"], Meaning::Sync(sync::Choice::Frozen)),
    flag(&["--dry-run"], PROBES),
    flag(&["--check"], PROBES),
    one(&["--output-format"], Meaning::Nothing),
    flag(&["--all-packages"], Meaning::Sync(sync::Choice::Option("--all-packages"))),
    one(&["--package"], Meaning::Sync(sync::Choice::Option("--package"))),
    one(&["--script"], Meaning::Refused("installs what a script asks for")),
    one(&["--python-platform"], OTHER_TARGET),
    one(&["--index"], Meaning::ExtraIndexUrl),
    one(&["-i", "--index-url", "--default-index"], Meaning::IndexUrl),
    one(&["--extra-index-url"], Meaning::ExtraIndexUrl),
    one(&["-f", "--find-links"], Meaning::FindLinks),
    flag(&["--no-index"], Meaning::NoIndex),
    one(&["--index-strategy"], Meaning::Strategy),
    one(&["--keyring-provider"], SECRETS),
    flag(&["-U", "--upgrade"], CHOICE),
    one(&["-P", "--upgrade-package"], CHOICE),
    one(&["--upgrade-group"], CHOICE),
    one(&["--resolution"], CHOICE),
    one(&["--prerelease"], CHOICE),
    one(&["--prerelease-package"], CHOICE),
    one(&["--fork-strategy"], CHOICE),
    one(&["--exclude-newer"], CHOICE),
    one(&["--exclude-newer-package"], CHOICE),
    flag(&["--no-sources"], SETTINGS),
    one(&["--no-sources-package"], SETTINGS),
    flag(&["--reinstall"], Meaning::Reinstall),
    one(&["--reinstall-package"], Meaning::Refused("reinstalls one package")),
    one(&["--link-mode"], Meaning::Nothing),
    flag(&["--compile-bytecode", "--compile"], Meaning::Compile),
    flag(&["--no-compile-bytecode", "--no-compile"], Meaning::Nothing),
    one(&["-C", "--config-setting", "--config-settings"], Meaning::Nothing),
    one(&["--config-settings-package"], Meaning::Nothing),
    flag(&["--no-build-isolation"], Meaning::Nothing),
    one(&["--no-build-isolation-package"], Meaning::Nothing),
    flag(&["--no-build"], Meaning::Nothing),
    one(&["--no-build-package"], Meaning::Nothing),
    flag(&["--no-binary"], Meaning::Refused("asks for packages to be built")),
    one(&["--no-binary-package"], Meaning::Refused("asks for packages to be built")),
    flag(&["--require-build-hashes"], Meaning::Nothing),
    flag(&["--no-require-build-hashes"], Meaning::Nothing),
    flag(&["--refresh"], Meaning::Nothing),
    one(&["--refresh-package"], Meaning::Nothing),
    one(&["-p", "--python"], Meaning::Python),
];

const fn variable(name: &'static str, kind: Kind, meaning: Meaning) -> Variable<Meaning> {
    Variable { name, kind, meaning }
}

/// The variables of uv that are understood. Those of its own installer and of `uv tool` change nothing here.
static VARIABLES: &[Variable<Meaning>] = &[
    variable("INDEX_URL", Kind::One, Meaning::IndexUrl),
    variable("DEFAULT_INDEX", Kind::One, Meaning::IndexUrl),
    variable("INDEX", Kind::Spaces, Meaning::ExtraIndexUrl),
    variable("EXTRA_INDEX_URL", Kind::Spaces, Meaning::ExtraIndexUrl),
    variable("FIND_LINKS", Kind::Commas, Meaning::FindLinks),
    variable("INDEX_STRATEGY", Kind::One, Meaning::Strategy),
    variable("INSECURE_HOST", Kind::Spaces, Meaning::TrustedHost),
    variable("PRERELEASE", Kind::One, Meaning::Prerelease),
    variable("RESOLUTION", Kind::One, Meaning::Resolution),
    variable("REQUIRE_HASHES", Kind::Flag, Meaning::RequireHashes),
    variable("CONSTRAINT", Kind::Spaces, Meaning::Constraints),
    variable("COMPILE_BYTECODE", Kind::Flag, Meaning::Compile),
    variable("SYSTEM_PYTHON", Kind::Flag, Meaning::System),
    variable("BREAK_SYSTEM_PACKAGES", Kind::Flag, Meaning::BreakSystemPackages),
    variable("PYTHON", Kind::One, Meaning::Python),
    variable("PROJECT_ENVIRONMENT", Kind::One, Meaning::Sync(sync::Choice::Environment)),
    variable("PROJECT", Kind::One, Meaning::Sync(sync::Choice::Project)),
    variable("FROZEN", Kind::Flag, Meaning::Sync(sync::Choice::Frozen)),
    variable("LOCKED", Kind::Flag, Meaning::Sync(sync::Choice::Locked)),
    variable("NO_DEV", Kind::Flag, Meaning::Sync(sync::Choice::Option("--no-dev"))),
    variable("NO_DEFAULT_GROUPS", Kind::Flag, Meaning::Sync(sync::Choice::Option("--no-default-groups"))),
    variable("NO_INSTALL_PROJECT", Kind::Flag, Meaning::Sync(sync::Choice::Only("--no-emit-project"))),
    variable("NO_INSTALL_LOCAL", Kind::Flag, Meaning::Sync(sync::Choice::Only("--no-emit-local"))),
    variable("NO_EDITABLE", Kind::Flag, Meaning::Nothing),
    variable("LINK_MODE", Kind::One, Meaning::Nothing),
    variable("CACHE_DIR", Kind::One, Meaning::Nothing),
    variable("NO_CACHE", Kind::Flag, Meaning::Nothing),
    variable("NO_PROGRESS", Kind::Flag, Meaning::Nothing),
    variable("HTTP_TIMEOUT", Kind::One, Meaning::Nothing),
    variable("REQUEST_TIMEOUT", Kind::One, Meaning::Nothing),
    variable("HTTP_CONNECT_TIMEOUT", Kind::One, Meaning::Nothing),
    variable("HTTP_RETRIES", Kind::One, Meaning::Nothing),
    variable("CONCURRENT_DOWNLOADS", Kind::One, Meaning::Nothing),
    variable("CONCURRENT_BUILDS", Kind::One, Meaning::Nothing),
    variable("CONCURRENT_INSTALLS", Kind::One, Meaning::Nothing),
    variable("PYTHON_DOWNLOADS", Kind::One, Meaning::Nothing),
    variable("PYTHON_PREFERENCE", Kind::One, Meaning::Nothing),
    variable("PYTHON_INSTALL_DIR", Kind::One, Meaning::Nothing),
    variable("NO_PYTHON_DOWNLOADS", Kind::Flag, Meaning::Nothing),
    variable("NATIVE_TLS", Kind::Flag, Meaning::Nothing),
    variable("SYSTEM_CERTS", Kind::Flag, Meaning::Nothing),
    variable("BUILD_CONSTRAINT", Kind::Spaces, Meaning::Nothing),
    variable("NO_BUILD", Kind::Flag, Meaning::Nothing),
    variable("NO_BUILD_ISOLATION", Kind::Flag, Meaning::Nothing),
    variable("NO_MODIFY_PATH", Kind::Flag, Meaning::Nothing),
    variable("INSTALL_DIR", Kind::One, Meaning::Nothing),
    variable("UNMANAGED_INSTALL", Kind::One, Meaning::Nothing),
    variable("TOOL_DIR", Kind::One, Meaning::Nothing),
    variable("TOOL_BIN_DIR", Kind::One, Meaning::Nothing),
    variable("VERSION", Kind::One, Meaning::Nothing),
];

/// Reads what follows `uv`.
pub(super) fn read(words: &[Word], at: &Surroundings<'_>) -> Result<Option<InstallCommand>> {
    let mut reader = Reader::new(GLOBAL, Style::Clap, words);
    let global = reader.leading()?;
    let settings = || uv_items(at.environment(), VARIABLES);
    match reader.rest() {
        [pip, install, rest @ ..] if pip.text == "pip" && install.text == "install" => {
            let given = Reader::new(PIP_INSTALL, Style::Clap, rest).all()?;
            let mut read = Options::default();
            for item in settings()?.into_iter().chain(global).chain(given) {
                read.item(item, at, false)?;
            }
            read.finish(at).map(Some)
        }
        [sync, rest @ ..] if sync.text == "sync" => {
            let given = Reader::new(SYNC, Style::Clap, rest).all()?;
            let mut read = Options::default();
            for item in settings()?.into_iter().chain(global).chain(given) {
                read.item(item, at, true)?;
            }
            sync::finish(read, at).map(Some)
        }
        [cache, what] if cache.text == "cache" && matches!(&*what.text, "clean" | "prune") => Ok(None),
        [venv, ..] if venv.text == "venv" => Err(refused(venv, super::command::MAKES_ENVIRONMENT)),
        [pip, command, ..] if pip.text == "pip" => {
            Err(refused(command, "is a command of `uv pip` that is not understood"))
        }
        [command, ..] => Err(refused(command, "is a command of uv that is not understood")),
        [] => Err(NotRecognised::new("uv", "is given nothing to do")),
    }
}

/// What has been read so far.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that uv has")]
pub(super) struct Options {
    pub(super) python: Option<(String, Word)>,
    pub(super) system: bool,
    pub(super) break_system_packages: bool,
    words: Vec<String>,
    wheels: Vec<(Place, String)>,
    files: Vec<RequirementFile>,
    extras: Vec<String>,
    all_extras: bool,
    pub(super) index: RequirementOptions,
    strategy: Option<IndexStrategy>,
    pub(super) certificates: Option<Place>,
    no_dependencies: bool,
    upgrade: bool,
    upgraded: BTreeSet<String>,
    pub(super) reinstall: bool,
    exact: bool,
    pub(super) inexact: bool,
    pub(super) bytecode: bool,
    target: Option<String>,
    prefix: Option<String>,
    pub(super) sync: sync::Choices,
}

impl Options {
    fn item(&mut self, item: Item<Meaning>, at: &Surroundings<'_>, sync: bool) -> Result<()> {
        match item {
            Item::Word(word) if sync => Err(refused(&word, "is no option of `uv sync`")),
            Item::Word(word) => match at.requirement(&word)? {
                Requested::Wheel(place, rest) => {
                    self.wheels.push((place, rest));
                    Ok(())
                }
                Requested::Word(text) => {
                    self.words.push(text);
                    Ok(())
                }
                Requested::Source(_) => Err(refused(&word, "is no wheel, and would have to be built")),
            },
            Item::Option { meaning: Meaning::Refused(reason), word, .. } => Err(refused(&word, reason)),
            Item::Option { meaning: Meaning::Sync(choice), value, .. } => {
                self.sync.add(choice, value, at);
                Ok(())
            }
            Item::Option { meaning, value, word } => self.option(meaning, value, word, at),
        }
    }

    fn option(&mut self, meaning: Meaning, value: String, word: Word, at: &Surroundings<'_>) -> Result<()> {
        let options = &mut self.index;
        match meaning {
            Meaning::Nothing | Meaning::Refused(_) | Meaning::Sync(_) => {}
            Meaning::Python => self.python = Some((value, word)),
            Meaning::System => self.system = true,
            Meaning::BreakSystemPackages => self.break_system_packages = true,
            Meaning::Requirements => self.files.push(requirement_file(&value, &word, at)?),
            Meaning::Constraints => self.files.push(RequirementFile::Constraints(at.file(&value, &word)?)),
            Meaning::Extra => self.extras.push(value),
            Meaning::AllExtras => self.all_extras = true,
            Meaning::IndexUrl => options.index_url = Some(index_url(value, &word)?),
            Meaning::ExtraIndexUrl => options.extra_index_urls.push(index_url(value, &word)?),
            Meaning::FindLinks => options.find_links.push(at.links(&value, &word)?),
            Meaning::NoIndex => options.no_index = true,
            Meaning::TrustedHost => options.trusted_hosts.push(value),
            Meaning::Strategy => self.strategy = Some(strategy(&value, &word)?),
            Meaning::Prerelease => options.pre = prerelease(&value, &word)?,
            Meaning::Resolution if value == "highest" => {}
            Meaning::Resolution => return Err(refused(&word, "does not take the newest versions")),
            Meaning::OnlyBinary => options.choose_binaries(BinaryChoice::Only, &value),
            Meaning::NoBinary => options.choose_binaries(BinaryChoice::No, &value),
            Meaning::RequireHashes => options.require_hashes = true,
            Meaning::NoDependencies => self.no_dependencies = true,
            Meaning::Upgrade => self.upgrade = true,
            Meaning::UpgradePackage => drop(self.upgraded.insert(package(&value, &word)?)),
            Meaning::Reinstall => self.reinstall = true,
            Meaning::Exact => self.exact = true,
            Meaning::Inexact => self.inexact = true,
            Meaning::Compile => self.bytecode = true,
            Meaning::Target => self.target = Some(at.folder(&value, &word)?),
            Meaning::Prefix => self.prefix = Some(at.folder(&value, &word)?),
            Meaning::Certificates => self.certificates = Some(at.file(&value, &word)?),
        }
        Ok(())
    }

    fn finish(mut self, at: &Surroundings<'_>) -> Result<InstallCommand> {
        let asks = |file: &RequirementFile| !matches!(file, RequirementFile::Constraints(_));
        if self.words.is_empty() && self.wheels.is_empty() && !self.files.iter().any(asks) {
            return Err(NotRecognised::new("uv pip install", "is given nothing to install"));
        }
        if self.index.no_binary.iter().any(|name| name != ":none:") {
            return Err(NotRecognised::new("--no-binary", "asks for packages to be built"));
        }
        self.name_extras()?;
        let destination = match (self.target.take(), self.prefix.take()) {
            (Some(_), Some(_)) => {
                return Err(NotRecognised::new("", "uv cannot combine `--target` and `--prefix`"));
            }
            (Some(target), None) => Destination::Target(target),
            (None, Some(prefix)) => Destination::Prefix(prefix),
            (None, None) => Destination::Default,
        };
        let python = self.python(&destination, at)?;
        let owner = at.owner(&destination)?;
        let strategy = self.strategy();
        let upgrade = match (self.upgrade, self.upgraded.is_empty()) {
            (true, _) => Upgrade::All,
            (false, true) => Upgrade::No,
            (false, false) => Upgrade::Packages(self.upgraded),
        };
        Ok(InstallCommand {
            installer: Installer::Uv,
            python,
            asked: Asked::Requirements {
                words: self.words,
                wheels: self.wheels,
                sources: Vec::new(),
                files: self.files,
            },
            destination,
            upgrade,
            reinstall: self.reinstall,
            dependencies: !self.no_dependencies,
            bytecode: self.bytecode,
            break_system_packages: self.break_system_packages,
            exact: self.exact && !self.inexact,
            options: self.index,
            strategy,
            certificates: self.certificates,
            python_path: Vec::new(),
            owner,
            text: at.text(),
            process: at.process(),
        })
    }

    /// uv's own way is to stop at the first index that has a package.
    pub(super) fn strategy(&self) -> IndexStrategy {
        self.strategy.unwrap_or(IndexStrategy::First)
    }

    /// Extras are those of the project files.
    fn name_extras(&mut self) -> Result<()> {
        let wanted = (!self.all_extras).then(|| self.extras.clone());
        let mut named = false;
        for file in &mut self.files {
            if let RequirementFile::Project { extras, .. } = file {
                extras.clone_from(&wanted);
                named = true;
            }
        }
        if !named && (self.all_extras || !self.extras.is_empty()) {
            return Err(NotRecognised::new("--extra", "needs a `pyproject.toml`"));
        }
        Ok(())
    }

    fn python(&self, destination: &Destination, at: &Surroundings<'_>) -> Result<PythonChoice> {
        if let Some((value, word)) = &self.python {
            return chosen(value, word, at);
        }
        if self.system {
            return Ok(PythonChoice::System);
        }
        if let Some(folder) = at.environment().get("VIRTUAL_ENV").filter(|folder| !folder.is_empty()) {
            return Ok(PythonChoice::Environment(at.resolve(folder)));
        }
        at.refuse(&["CONDA_PREFIX"], "chooses an environment of conda")?;
        let or_system = *destination != Destination::Default;
        Ok(PythonChoice::Nearest { folder: at.working_dir().to_owned(), or_system })
    }
}

/// A Python that is asked for by its path. What uv does with a version depends on everything that is on the machine.
pub(super) fn chosen(value: &str, word: &Word, at: &Surroundings<'_>) -> Result<PythonChoice> {
    if value.contains('/') {
        Ok(PythonChoice::Program(at.resolve(value)))
    } else {
        Err(refused(word, "asks for a Python that is not named by its path"))
    }
}

fn requirement_file(value: &str, word: &Word, at: &Surroundings<'_>) -> Result<RequirementFile> {
    let place = at.file(value, word)?;
    let name = place.path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if name == "pyproject.toml" {
        Ok(RequirementFile::Project { place, extras: Some(Vec::new()) })
    } else if name == "pylock.toml" || (name.starts_with("pylock.") && extension == "toml") {
        Ok(RequirementFile::Pylock(place))
    } else if matches!(extension, "toml" | "py" | "cfg") {
        Err(refused(word, "names a file that is no list of requirements"))
    } else {
        Ok(RequirementFile::Requirements(place))
    }
}

fn strategy(value: &str, word: &Word) -> Result<IndexStrategy> {
    match value {
        "first-index" => Ok(IndexStrategy::First),
        "unsafe-first-match" => Ok(IndexStrategy::FirstMatch),
        "unsafe-best-match" => Ok(IndexStrategy::BestMatch),
        _ => Err(refused(word, "is no strategy that uv has")),
    }
}

/// `--pre` has no value, and means `allow`.
fn prerelease(value: &str, word: &Word) -> Result<bool> {
    match value {
        "" | "allow" => Ok(true),
        "if-necessary-or-explicit" => Ok(false),
        _ => Err(refused(word, "treats pre-releases in a way that is not understood")),
    }
}

/// The name in `--upgrade-package NAME`; with a version it would also be a constraint.
fn package(value: &str, word: &Word) -> Result<String> {
    match value.parse::<cartwheel_python::PackageName>() {
        Ok(name) => Ok(name.to_string()),
        Err(_) => Err(refused(word, "is no name of a package alone")),
    }
}
