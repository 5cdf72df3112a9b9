//! `pip install`.

use cartwheel_python::{BinaryChoice, IndexStrategy, RequirementOptions, Upgrade};

use super::environment::pip_items;
use super::install::{Asked, Destination, InstallCommand, Installer, Place, PythonChoice, RequirementFile};
use super::options::{Item, Known, Reader, Style, Takes, refused};
use super::shell::Word;
use super::surroundings::{Requested, Surroundings, index_url};
use super::{NotRecognised, Result};

/// What an option of pip means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It changes nothing in the image.
    Nothing,
    /// It is known, and why it cannot be honoured.
    Refused(&'static str),
    Isolated,
    Python,
    Requirement,
    Constraint,
    IndexUrl,
    ExtraIndexUrl,
    NoIndex,
    FindLinks,
    TrustedHost,
    Certificates,
    Pre,
    PreferBinary,
    OnlyBinary,
    NoBinary,
    RequireHashes,
    NoRequireHashes,
    NoDependencies,
    Upgrade,
    UpgradeStrategy,
    ForceReinstall,
    IgnoreInstalled,
    Target,
    Prefix,
    User,
    NoUser,
    Compile,
    NoCompile,
    BreakSystemPackages,
}

const OTHER_TARGET: Meaning = Meaning::Refused("asks for wheels of another Python than the image's");
const CHOICE: Meaning = Meaning::Refused("chooses versions in a way that uv cannot");
const WRITES: Meaning = Meaning::Refused("writes a file besides the packages");
const PROBES: Meaning = Meaning::Refused("does something else than installing");

const fn flag(names: &'static [&'static str], meaning: Meaning) -> Known<Meaning> {
    Known { names, takes: Takes::Nothing, meaning }
}

const fn negation(names: &'static [&'static str], meaning: Meaning, opposite: Meaning) -> Known<Meaning> {
    Known { names, takes: Takes::Negation(opposite), meaning }
}

const fn one(names: &'static [&'static str], meaning: Meaning) -> Known<Meaning> {
    Known { names, takes: Takes::One, meaning }
}

const fn many(names: &'static [&'static str], meaning: Meaning) -> Known<Meaning> {
    Known { names, takes: Takes::Many, meaning }
}

/// The options that all commands of pip share, which may stand before the command, and a command's own.
macro_rules! options {
    ($($own:expr),* $(,)?) => {
        &[
            flag(&["-h", "--help"], PROBES),
            flag(&["-V", "--version"], PROBES),
            flag(&["--debug"], Meaning::Nothing),
            flag(&["--isolated"], Meaning::Isolated),
            flag(&["--require-virtualenv", "--require-venv"], Meaning::Refused("fails outside of an environment")),
            one(&["--python"], Meaning::Python),
            flag(&["-v", "--verbose"], Meaning::Nothing),
            flag(&["-q", "--quiet"], Meaning::Nothing),
            one(&["--log", "--log-file", "--local-log"], WRITES),
            flag(&["--no-input"], Meaning::Nothing),
            one(&["--keyring-provider"], Meaning::Refused("asks another program for passwords")),
            one(&["--proxy"], Meaning::Refused("names a proxy")),
            flag(&["--no-proxy-env"], Meaning::Refused("changes which proxy is used")),
            one(&["--retries"], Meaning::Nothing),
            one(&["--timeout", "--default-timeout", "--connect-timeout"], Meaning::Nothing),
            many(&["--exists-action"], Meaning::Nothing),
            many(&["--trusted-host"], Meaning::TrustedHost),
            one(&["--cert"], Meaning::Certificates),
            one(&["--client-cert"], Meaning::Refused("names a certificate of the client")),
            one(&["--cache-dir"], Meaning::Nothing),
            flag(&["--no-cache-dir"], Meaning::Nothing),
            flag(&["--disable-pip-version-check"], Meaning::Nothing),
            flag(&["--no-color"], Meaning::Nothing),
            flag(&["--no-python-version-warning"], Meaning::Nothing),
            many(&["--use-feature"], Meaning::Refused("turns on a feature that may change anything")),
            many(&["--use-deprecated"], Meaning::Refused("turns on a feature that may change anything")),
            one(&["--resume-retries"], Meaning::Nothing),
            $($own),*
        ]
    };
}

/// What may stand between `pip` and its command.
static GENERAL: &[Known<Meaning>] = options![];

/// Every option of `pip install`, as pip 26 lists them, and those of older versions that are still in use. A name that is
/// cut short must be unique among all of them.
static OPTIONS: &[Known<Meaning>] = options![
    many(&["-r", "--requirement"], Meaning::Requirement),
    many(&["-c", "--constraint"], Meaning::Constraint),
    many(&["--build-constraint"], Meaning::Nothing),
    many(&["--requirements-from-script"], Meaning::Refused("reads requirements from a script")),
    flag(&["--no-deps", "--no-dependencies"], Meaning::NoDependencies),
    flag(&["--only-deps", "--only-dependencies"], Meaning::Refused("installs only what packages need")),
    many(&["-e", "--editable"], Meaning::Refused("installs a project in development mode")),
    flag(&["--dry-run"], PROBES),
    one(&["-t", "--target"], Meaning::Target),
    many(&["--platform"], OTHER_TARGET),
    one(&["--python-version"], OTHER_TARGET),
    one(&["--implementation"], OTHER_TARGET),
    many(&["--abi"], OTHER_TARGET),
    flag(&["--user"], Meaning::User),
    negation(&["--no-user"], Meaning::NoUser, Meaning::User),
    one(&["--root"], Meaning::Refused("installs under another root")),
    one(&["--prefix"], Meaning::Prefix),
    one(&["--src", "--source", "--source-dir", "--source-directory"], Meaning::Nothing),
    flag(&["-U", "--upgrade"], Meaning::Upgrade),
    one(&["--upgrade-strategy"], Meaning::UpgradeStrategy),
    flag(&["--force-reinstall"], Meaning::ForceReinstall),
    flag(&["-I", "--ignore-installed"], Meaning::IgnoreInstalled),
    flag(&["--ignore-requires-python"], CHOICE),
    negation(&["--no-build-isolation"], Meaning::Nothing, Meaning::Nothing),
    flag(&["--use-pep517"], Meaning::Nothing),
    negation(&["--no-use-pep517"], Meaning::Nothing, Meaning::Nothing),
    flag(&["--check-build-dependencies"], Meaning::Nothing),
    flag(&["--break-system-packages"], Meaning::BreakSystemPackages),
    many(&["-C", "--config-settings", "--config-setting"], Meaning::Nothing),
    many(&["--global-option"], Meaning::Nothing),
    flag(&["--compile"], Meaning::Compile),
    negation(&["--no-compile"], Meaning::NoCompile, Meaning::Compile),
    negation(&["--no-warn-script-location"], Meaning::Nothing, Meaning::Nothing),
    negation(&["--no-warn-conflicts"], Meaning::Nothing, Meaning::Nothing),
    flag(&["--require-hashes"], Meaning::RequireHashes),
    flag(&["--no-require-hashes"], Meaning::NoRequireHashes),
    one(&["--progress-bar"], Meaning::Nothing),
    one(&["--root-user-action"], Meaning::Nothing),
    one(&["--report"], WRITES),
    many(&["--group"], Meaning::Refused("installs a dependency group")),
    flag(&["--no-clean"], WRITES),
    flag(&["--pre"], Meaning::Pre),
    many(&["--all-releases"], CHOICE),
    many(&["--only-final"], CHOICE),
    one(&["--no-binary"], Meaning::NoBinary),
    one(&["--only-binary"], Meaning::OnlyBinary),
    flag(&["--prefer-binary"], Meaning::PreferBinary),
    one(&["-i", "--index-url", "--pypi-url"], Meaning::IndexUrl),
    many(&["--extra-index-url"], Meaning::ExtraIndexUrl),
    flag(&["--no-index"], Meaning::NoIndex),
    many(&["--refresh-package"], Meaning::Nothing),
    many(&["-f", "--find-links"], Meaning::FindLinks),
    one(&["--uploaded-prior-to"], CHOICE),
];

/// Subcommands that change only caches.
const CACHE: [&[&str]; 2] = [&["cache", "purge"], &["cache", "remove", "*"]];

/// Reads what follows `pip`.
pub(super) fn read(
    python: PythonChoice,
    words: &[Word],
    at: &Surroundings<'_>,
) -> Result<Option<InstallCommand>> {
    let mut reader = Reader::new(GENERAL, Style::Optparse, words);
    let mut given = reader.leading()?;
    let [command, rest @ ..] = reader.rest() else {
        return Err(NotRecognised::new("pip", "is given nothing to do"));
    };
    let all: Vec<&str> = reader.rest().iter().map(|word| word.text.as_str()).collect();
    if CACHE.contains(&all.as_slice()) && given.is_empty() {
        return Ok(None);
    }
    if command.text != "install" {
        return Err(refused(command, "is a command of pip that is not understood"));
    }
    given.extend(Reader::new(OPTIONS, Style::Optparse, rest).all()?);
    let isolated = given.iter().any(|item| matches!(item, Item::Option { meaning: Meaning::Isolated, .. }));
    let settings = if isolated { Vec::new() } else { pip_items(at.environment(), OPTIONS)? };
    let mut install = Install::new(python);
    for item in settings.into_iter().chain(given) {
        install.item(item, at)?;
    }
    install.finish(at).map(Some)
}

/// What has been read so far.
#[expect(clippy::struct_excessive_bools, reason = "each is an option that pip has")]
struct Install {
    python: PythonChoice,
    words: Vec<String>,
    wheels: Vec<(Place, String)>,
    sources: Vec<String>,
    files: Vec<RequirementFile>,
    options: RequirementOptions,
    certificates: Option<Place>,
    dependencies: bool,
    upgrade: bool,
    eager: bool,
    reinstall: bool,
    ignore_installed: Option<Word>,
    target: Option<String>,
    prefix: Option<String>,
    user: Option<Word>,
    bytecode: bool,
    break_system_packages: bool,
}

impl Install {
    fn new(python: PythonChoice) -> Self {
        Self {
            python,
            words: Vec::new(),
            wheels: Vec::new(),
            sources: Vec::new(),
            files: Vec::new(),
            options: RequirementOptions::default(),
            certificates: None,
            dependencies: true,
            upgrade: false,
            eager: false,
            reinstall: false,
            ignore_installed: None,
            target: None,
            prefix: None,
            user: None,
            bytecode: true,
            break_system_packages: false,
        }
    }

    fn item(&mut self, item: Item<Meaning>, at: &Surroundings<'_>) -> Result<()> {
        match item {
            Item::Word(word) => self.requirement(&word, at),
            Item::Option { meaning: Meaning::Refused(reason), word, .. } => Err(refused(&word, reason)),
            Item::Option { meaning, value, word } => self.option(meaning, value, word, at),
        }
    }

    fn option(&mut self, meaning: Meaning, value: String, word: Word, at: &Surroundings<'_>) -> Result<()> {
        let options = &mut self.options;
        match meaning {
            Meaning::Nothing | Meaning::Isolated | Meaning::Refused(_) => {}
            Meaning::Python => {
                let is_path = value.contains('/');
                self.python = PythonChoice::Program(if is_path { at.resolve(&value) } else { value });
            }
            Meaning::Requirement => self.files.push(RequirementFile::Requirements(at.file(&value, &word)?)),
            Meaning::Constraint => self.files.push(RequirementFile::Constraints(at.file(&value, &word)?)),
            Meaning::IndexUrl => options.index_url = Some(index_url(value, &word)?),
            Meaning::ExtraIndexUrl => options.extra_index_urls.push(index_url(value, &word)?),
            Meaning::NoIndex => options.no_index = true,
            Meaning::FindLinks => options.find_links.push(at.links(&value, &word)?),
            Meaning::TrustedHost => options.trusted_hosts.push(value),
            Meaning::Certificates => self.certificates = Some(at.file(&value, &word)?),
            Meaning::Pre => options.pre = true,
            Meaning::PreferBinary => options.prefer_binary = true,
            Meaning::OnlyBinary => options.choose_binaries(BinaryChoice::Only, &value),
            Meaning::NoBinary => options.choose_binaries(BinaryChoice::No, &value),
            Meaning::RequireHashes => options.require_hashes = true,
            Meaning::NoRequireHashes => options.require_hashes = false,
            Meaning::NoDependencies => self.dependencies = false,
            Meaning::Upgrade => self.upgrade = true,
            Meaning::UpgradeStrategy => self.eager = strategy(&value, &word)?,
            Meaning::ForceReinstall => self.reinstall = true,
            Meaning::IgnoreInstalled => self.ignore_installed = Some(word),
            Meaning::Target => self.target = Some(at.folder(&value, &word)?),
            Meaning::Prefix => self.prefix = Some(at.folder(&value, &word)?),
            Meaning::User => self.user = Some(word),
            Meaning::NoUser => self.user = None,
            Meaning::Compile => self.bytecode = true,
            Meaning::NoCompile => self.bytecode = false,
            Meaning::BreakSystemPackages => self.break_system_packages = true,
        }
        Ok(())
    }

    fn requirement(&mut self, word: &Word, at: &Surroundings<'_>) -> Result<()> {
        match at.requirement(word)? {
            Requested::Wheel(place, rest) => self.wheels.push((place, rest)),
            Requested::Word(text) => self.words.push(text),
            Requested::Source(text) => self.sources.push(text),
        }
        Ok(())
    }

    fn finish(self, at: &Surroundings<'_>) -> Result<InstallCommand> {
        let asks = |file: &RequirementFile| !matches!(file, RequirementFile::Constraints(_));
        let words = self.words.len() + self.wheels.len() + self.sources.len();
        if words == 0 && !self.files.iter().any(asks) {
            return Err(NotRecognised::new("pip install", "is given nothing to install"));
        }
        let destination = self.destination(at)?;
        let (owner, python_path) = (at.owner(&destination)?, at.python_path());
        if self.bytecode {
            at.refuse(&["PYTHONOPTIMIZE", "PYTHONPYCACHEPREFIX"], "changes where bytecode goes")?;
        }
        let upgrade = match (self.upgrade, self.eager) {
            (false, _) => Upgrade::No,
            (true, false) => Upgrade::Requested,
            (true, true) => Upgrade::All,
        };
        // With `--target`, pip looks at nothing that is installed.
        let reinstall = self.reinstall || matches!(destination, Destination::Target(_));
        Ok(InstallCommand {
            installer: Installer::Pip,
            python: self.python,
            asked: Asked::Requirements {
                words: self.words,
                wheels: self.wheels,
                sources: self.sources,
                files: self.files,
            },
            destination,
            upgrade,
            reinstall,
            dependencies: self.dependencies,
            bytecode: self.bytecode,
            break_system_packages: self.break_system_packages,
            exact: false,
            options: self.options,
            strategy: IndexStrategy::BestMatch,
            certificates: self.certificates,
            python_path,
            owner,
            text: at.text(),
            process: at.process(),
        })
    }

    /// pip refuses to combine them, but for `--target`, which ignores what is installed anyway.
    fn destination(&self, at: &Surroundings<'_>) -> Result<Destination> {
        let given = [self.target.is_some(), self.prefix.is_some(), self.user.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            return Err(NotRecognised::new("", "pip cannot combine `--target`, `--prefix` and `--user`"));
        }
        if let (Some(word), None) = (&self.ignore_installed, &self.target) {
            return Err(refused(word, "installs over what is there without removing it"));
        }
        if let Some(word) = &self.user {
            return Ok(Destination::User(at.user_base(word)?));
        }
        let target = self.target.clone().map(Destination::Target);
        Ok(target.or_else(|| self.prefix.clone().map(Destination::Prefix)).unwrap_or(Destination::Default))
    }
}

/// Whether `--upgrade-strategy` says that dependencies are upgraded, too.
fn strategy(value: &str, word: &Word) -> Result<bool> {
    match value {
        "eager" => Ok(true),
        "only-if-needed" => Ok(false),
        _ => Err(refused(word, "is no strategy that pip has")),
    }
}
