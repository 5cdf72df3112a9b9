//! Running `uv`, and understanding what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use cartwheel_store::Digest;
use tempfile::TempDir;

use super::order::Dependents;
use super::{IndexSettings, LockSelection, ResolveError, ResolveRequest, ResolveSource, rules};
use crate::error::Result;
use crate::name::normalise;
use crate::pylock::{LockedWheel, Lockfile, LockfileError, describe};
use crate::tag::{Arch, Libc, Target};
use cartwheel_transfer::redact;

pub(super) const REQUIREMENTS: &str = "requirements.txt";
pub(super) const CONSTRAINTS: &str = "constraints.txt";
pub(super) const NEWEST: &str = "newest.txt";
const PYLOCK: &str = "pylock.toml";
const CHOSEN: &str = "chosen.txt";
const INSTALLED: &str = "installed";

/// What uv says of a package that no index has, or no index shows us.
const NOT_FOUND: &str = "was not found in the package registry";

/// The `manylinux_2_N` that uv 0.13 takes for `--python-platform`.
const GLIBC_MINORS: [u16; 12] = [17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40];

/// `uv` with a folder for its files. uv's errors are [`ResolveError`]s; nothing that it says is printed.
pub(super) struct Uv<'a> {
    request: &'a ResolveRequest,
    settings: IndexSettings,
    platform: String,
    folder: TempDir,
}

impl<'a> Uv<'a> {
    pub(super) fn new(request: &'a ResolveRequest) -> Result<Self> {
        let target = || ResolveError::Target { target: describe(&request.target) };
        let platform = platform(&request.target).ok_or_else(target)?;
        let folder = tempfile::Builder::new().prefix("cartwheel-resolve-").tempdir();
        let folder = folder.map_err(ResolveError::io("create", Path::new("a temporary folder")))?;
        Ok(Self { request, settings: request.settings(), platform, folder })
    }

    /// Where the lockfile is written, for the relative paths in it.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<(), ResolveError> {
        let path = self.folder().join(name);
        std::fs::write(&path, text).map_err(ResolveError::io("write", &path))
    }

    /// Makes `pylock` the preference of the next [`Self::compile`].
    pub(super) fn prefer(&self, pylock: &str) -> Result<(), ResolveError> {
        self.write(PYLOCK, pylock)
    }

    /// Resolves, and gives the text of the lockfile.
    pub(super) fn compile(&self, offline: bool) -> Result<String> {
        let output = self.folder().join(PYLOCK);
        let mut command = self.pip_compile();
        command.args(["--only-binary", ":all:", "--python-platform", &self.platform]);
        command.args(["--format", "pylock.toml", "--output-file"]).arg(&output);
        command.args(offline.then_some("--offline"));
        command.args(self.request.no_dependencies.then_some("--no-deps"));
        command.args(self.source());
        let answer = self.run(command)?;
        if !answer.status.success() {
            return Err(self.failure(&answer));
        }
        // With nothing asked for, uv writes nothing.
        match std::fs::read_to_string(&output) {
            Ok(text) => Ok(text),
            Err(_) => Err(ResolveError::NoAnswer.into()),
        }
    }

    /// Who depends on whom, for versions that are all chosen.
    pub(super) fn dependents(&self, packages: &[LockedWheel]) -> Result<Dependents> {
        // A version that was asked for by URL is the URL's; to pin it as well would contradict it.
        let chosen = packages.iter().filter(|package| !package.direct);
        let chosen: Vec<String> =
            chosen.map(|package| format!("{}=={}", package.name, package.version)).collect();
        self.write(CHOSEN, chosen.join("\n"))?;
        let annotated = |offline: bool| {
            let mut command = self.pip_compile();
            command.args(["--only-binary", ":all:", "--python-platform", &self.platform]);
            command.args(["--format", "requirements.txt", "--annotation-style", "line"]);
            command.arg("--constraints").arg(self.folder().join(CHOSEN));
            command.args(offline.then_some("--offline")).args(self.source());
            self.run(command)
        };
        let mut answer = annotated(true)?;
        if !answer.status.success() {
            tracing::debug!("uv's cache does not know the dependencies: asking the index");
            answer = annotated(false)?;
        }
        if !answer.status.success() {
            return Err(self.failure(&answer));
        }
        Ok(parse_annotations(&String::from_utf8_lossy(&answer.stdout)))
    }

    /// The newest versions of the packages in [`NEWEST`], each for itself: of any kind, and of those that have a wheel. Nothing is
    /// asked of an index that was asked before, and nothing is built: without dependencies, uv reads no metadata.
    pub(super) fn newest(&self) -> Result<[BTreeMap<String, String>; 2]> {
        let ask = |wheels: bool| {
            let with = |offline: bool| {
                let mut command = self.pip_compile();
                command.args(["--no-deps", "--no-annotate", "--python-platform", &self.platform]);
                command.args(wheels.then_some(["--only-binary", ":all:"]).into_iter().flatten());
                command.args(offline.then_some("--offline")).arg(self.folder().join(NEWEST));
                self.run(command)
            };
            let answer = with(true)?;
            let answer = if answer.status.success() { answer } else { with(false)? };
            if !answer.status.success() {
                return Err(self.failure(&answer));
            }
            Ok(parse_pins(&String::from_utf8_lossy(&answer.stdout)))
        };
        let (any, wheels) = std::thread::scope(|threads| {
            let wheels = threads.spawn(|| ask(true));
            let any = ask(false);
            (any, wheels.join().expect("invariant: nothing in it panics"))
        });
        // A package without any wheel has failed before.
        Ok([any?, wheels?])
    }

    /// Writes a wheel for each installed distribution that can be chosen, and gives their digests.
    pub(super) fn write_stand_ins(&self) -> Result<BTreeSet<Digest>> {
        let wheels: Vec<_> =
            self.request.rules.candidates().map(rules::InstalledDistribution::stand_in).collect();
        let folder = self.folder().join(INSTALLED);
        if !wheels.is_empty() {
            std::fs::create_dir_all(&folder).map_err(ResolveError::io("create", &folder))?;
        }
        for (name, bytes) in &wheels {
            self.write(&format!("{INSTALLED}/{name}"), bytes)?;
        }
        Ok(wheels.iter().map(|(_, bytes)| Digest::of(bytes)).collect())
    }

    /// What is selected of the project in `project`, from its `uv.lock`.
    pub(super) fn export(&self, project: &Path, selection: &LockSelection) -> Result<String> {
        let mut command = self.command();
        command.args(["export", if selection.frozen { "--frozen" } else { "--locked" }, "--no-header"]);
        command.args(&selection.options);
        command.args(["--format", "pylock.toml", "--project"]).arg(project);
        let answer = self.run(command)?;
        if !answer.status.success() {
            return Err(self.failure(&answer));
        }
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }

    /// What is asked for, as arguments.
    fn source(&self) -> Vec<OsString> {
        match &self.request.source {
            ResolveSource::Requirements(_) => vec![
                self.folder().join(REQUIREMENTS).into(),
                "--constraints".into(),
                self.folder().join(CONSTRAINTS).into(),
            ],
            ResolveSource::Project { path, extras, groups } => {
                let mut arguments = vec![path.clone().into_os_string()];
                for extra in extras {
                    arguments.extend(["--extra".into(), extra.into()]);
                }
                for group in groups {
                    let mut value = path.clone().into_os_string();
                    value.push(":");
                    value.push(group);
                    arguments.extend(["--group".into(), value]);
                }
                arguments
            }
            ResolveSource::UvLock { .. } | ResolveSource::Pylock { .. } => Vec::new(),
        }
    }

    fn pip_compile(&self) -> Command {
        self.pip_compile_by(self.request.rules.strategy.as_str())
    }

    fn pip_compile_by(&self, strategy: &str) -> Command {
        let mut command = self.command();
        command.args(["pip", "compile", "--no-header", "--index-strategy", strategy]);
        command.args(["--python-version", &self.request.target.python.to_string()]);
        if let Some(interpreter) = &self.request.interpreter {
            command.arg("--python").arg(interpreter);
        }
        command.args(self.settings.pre.then_some(["--prerelease", "allow"]).into_iter().flatten());
        command.args(self.settings.no_index.then_some("--no-index"));
        for host in &self.settings.trusted_hosts {
            command.args(["--allow-insecure-host", host]);
        }
        command
    }

    /// URLs go through the environment: arguments can be read by everybody on the machine.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.request.uv);
        command.args(["--quiet", "--no-progress", "--color", "never"]);
        command.current_dir(&self.request.folder).stdin(Stdio::null());
        command.env("UV_PYTHON_DOWNLOADS", "never");
        let settings = &self.settings;
        if let Some(url) = &settings.index_url {
            command.env_remove("UV_DEFAULT_INDEX").env("UV_INDEX_URL", url);
        }
        if !settings.extra_index_urls.is_empty() {
            command.env_remove("UV_INDEX").env("UV_EXTRA_INDEX_URL", settings.extra_index_urls.join(" "));
        }
        let mut find_links = settings.find_links.clone();
        let stand_ins = self.folder().join(INSTALLED);
        if stand_ins.is_dir() {
            find_links.push(stand_ins.display().to_string());
        }
        if !find_links.is_empty() {
            command.env("UV_FIND_LINKS", find_links.join(","));
        }
        if let Some(certificates) = &settings.certificates {
            command.env("SSL_CERT_FILE", certificates);
        }
        command
    }

    fn run(&self, mut command: Command) -> Result<Output, ResolveError> {
        let uv = || self.request.uv.clone();
        command.output().map_err(|source| ResolveError::Run { uv: uv(), source })
    }

    fn failure(&self, answer: &Output) -> crate::Error {
        let said = String::from_utf8_lossy(&answer.stderr);
        let message = self.without_secrets(&essence(&said));
        if let Some((name, version)) = without_wheel(&message)
            && let Some(error) = self.explain_missing_wheel(&name, &version)
        {
            return error.into();
        }
        if message.contains(NOT_FOUND)
            && let Some(error) = self.explain_not_found()
        {
            return error.into();
        }
        classify(message).into()
    }

    /// Whether an index refused us: uv takes that for «not found», and says so only with a strategy that stops at the
    /// first index.
    fn explain_not_found(&self) -> Option<ResolveError> {
        let mut command = self.pip_compile_by("first-index");
        command.args(self.source());
        let answer = self.run(command).ok()?;
        let message = self.without_secrets(&essence(&String::from_utf8_lossy(&answer.stderr)));
        let error = classify(message);
        matches!(error, ResolveError::Unauthorized { .. }).then_some(error)
    }

    /// Which wheels there are for other platforms: asks for this one version and all platforms at once.
    fn explain_missing_wheel(&self, name: &str, version: &str) -> Option<LockfileError> {
        let question = self.folder().join("missing.txt");
        std::fs::write(&question, format!("{name}=={version}\n")).ok()?;
        let mut command = self.pip_compile();
        command.args(["--universal", "--no-deps", "--only-binary", ":all:", "--format", "pylock.toml"]);
        let answer = self.run({
            command.arg(&question);
            command
        });
        let answer = answer.ok()?;
        if !answer.status.success() {
            return Some(LockfileError::NeedsBuild {
                name: name.to_owned(),
                what: "no wheel for this version of Python",
            });
        }
        let lockfile = Lockfile::parse(&String::from_utf8_lossy(&answer.stdout), self.folder()).ok()?;
        Some(LockfileError::NoWheel {
            name: name.to_owned(),
            version: version.to_owned(),
            target: describe(&self.request.target),
            tags: lockfile.tags(),
        })
    }

    /// Redacts URLs, and the passwords of the settings wherever else they may stand.
    fn without_secrets(&self, message: &str) -> String {
        let mut message = redact(message);
        for url in self.settings.urls() {
            let user =
                url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).map(|(user, _)| user);
            let password = user.and_then(|user| user.split_once(':')).map(|(_, password)| password);
            if let Some(password) = password.filter(|password| password.len() > 3) {
                message = message.replace(password, "****");
            }
        }
        message
    }
}

/// What uv calls the newest platform whose wheels run on `target`.
fn platform(target: &Target) -> Option<String> {
    let arch = match target.arch {
        Arch::X86_64 => "x86_64",
        Arch::Aarch64 => "aarch64",
    };
    match target.libc {
        Libc::Musl { .. } => Some(format!("{arch}-unknown-linux-musl")),
        Libc::Glibc { major: 2, minor } => {
            let minor = GLIBC_MINORS.into_iter().rfind(|known| *known <= minor)?;
            Some(format!("{arch}-manylinux_2_{minor}"))
        }
        Libc::Glibc { .. } => None,
    }
}

/// `a==1  # via b, -r requirements.txt` → `b` depends on `a`.
/// `name==version` in each line.
fn parse_pins(text: &str) -> BTreeMap<String, String> {
    let pins = text.lines().filter_map(|line| line.split_once("=="));
    let pin = |(name, version): (&str, &str)| {
        let version = version.split([' ', ';']).next().unwrap_or(version);
        (normalise(name.trim()), version.to_owned())
    };
    pins.map(pin).collect()
}

fn parse_annotations(text: &str) -> Dependents {
    let mut dependents = Dependents::new();
    for line in text.lines() {
        let Some((requirement, via)) = line.rsplit_once("# via ") else { continue };
        let is_name = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        let name = requirement.split(|character| !is_name(character)).next().unwrap_or_default();
        let names =
            via.split(", ").map(str::trim).filter(|by| !by.starts_with('-') && by.chars().all(is_name));
        dependents.entry(normalise(name)).or_default().extend(names.map(normalise));
    }
    dependents
}

/// What uv says, on one line. Its advice is kept where it tells a fact (who refused us, which tags there are) and left
/// out where it speaks of uv's options, which nobody here has given.
fn essence(said: &str) -> String {
    let (mut parts, mut hints): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for line in said.lines() {
        let text = line.trim_start_matches([' ', '×', '╰', '─', '▶', '│', '├']).trim();
        if let Some(hint) = text.strip_prefix("hint: ") {
            hints.extend((!hint.contains("`--") || hint.contains("pre-release")).then_some(hint));
            continue;
        }
        if text.is_empty() || text.starts_with("warning:") {
            continue;
        }
        let starts = ["error: ", "cause: ", "Caused by: "].iter().find_map(|start| text.strip_prefix(start));
        match (starts, parts.last_mut()) {
            (Some(text), _) => parts.push(text.trim_end_matches(':').to_owned()),
            (None, Some(last)) if line.starts_with([' ', '│']) && !line.contains("▶") => {
                last.push(' ');
                last.push_str(text);
            }
            (None, _) => parts.push(text.trim_end_matches(':').to_owned()),
        }
    }
    let message = parts.join(": ");
    let message = message.strip_prefix("No solution found when resolving dependencies: ").unwrap_or(&message);
    let sentences = std::iter::once(message).chain(hints);
    sentences.map(|sentence| sentence.trim_end_matches('.')).collect::<Vec<_>>().join("; ")
}

/// `… a==1 has no usable wheels …` → `a` and `1`.
fn without_wheel(message: &str) -> Option<(String, String)> {
    let at =
        message.find(" has no usable wheels").or_else(|| message.find(" has no wheels with a matching"))?;
    let (name, version) = message.get(..at)?.rsplit(' ').next()?.split_once("==")?;
    Some((name.to_owned(), version.to_owned()))
}

/// Whose fault it is, by what uv says. The words are those of uv 0.13; others end up in the last branch, whole.
fn classify(message: String) -> ResolveError {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["401 Unauthorized", "403 Forbidden", "status code 401", "status code 403"]) {
        ResolveError::Unauthorized { message }
    } else if says(&["No interpreter found", "No Python at", "No virtual environment or system Python"]) {
        ResolveError::NoInterpreter { message }
    } else if says(&[
        "error sending request",
        "Failed to fetch",
        "retries",
        "dns error",
        "timed out",
        "network",
    ]) {
        ResolveError::Network { message }
    } else if says(&["Because ", "unsatisfiable", "not found in the"]) {
        ResolveError::Unsatisfiable { message }
    } else {
        ResolveError::Uv { message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::PythonVersion;

    #[test]
    fn platforms_are_clamped_to_those_that_uv_knows() {
        let platform =
            |libc| platform(&Target { python: PythonVersion::new(3, 13), arch: Arch::Aarch64, libc });
        let glibc = |minor| platform(Libc::Glibc { major: 2, minor });
        assert_eq!(glibc(36).as_deref(), Some("aarch64-manylinux_2_36"));
        assert_eq!(glibc(30).as_deref(), Some("aarch64-manylinux_2_28"));
        assert_eq!(glibc(99).as_deref(), Some("aarch64-manylinux_2_40"));
        assert_eq!(glibc(12), None);
        assert_eq!(
            platform(Libc::Musl { major: 1, minor: 2 }).as_deref(),
            Some("aarch64-unknown-linux-musl")
        );
    }

    #[test]
    fn annotations_name_dependents() {
        let text = "a==1    # via b, C_d, -r requirements.txt\n\
                    b @ http://127.0.0.1/b#x  # via -r r.txt\ne==1  # via p (pyproject.toml)\n";
        let dependents = parse_annotations(text);
        assert_eq!(dependents["a"].iter().collect::<Vec<_>>(), ["b", "c-d"]);
        assert!(dependents["b"].is_empty() && dependents["e"].is_empty());
    }

    #[test]
    fn uv_is_understood() {
        let said = "warning: x\nerror: No solution found when resolving dependencies\n  cause: Because a==1 has no usable \
                    wheels and you require a==1, we can conclude\n         nothing.\n\nhint: Use `--no-build`\n";
        let message = essence(said);
        assert_eq!(
            message,
            "Because a==1 has no usable wheels and you require a==1, we can conclude nothing"
        );
        assert_eq!(without_wheel(&message), Some(("a".to_owned(), "1".to_owned())));
        assert!(matches!(classify(message), ResolveError::Unsatisfiable { .. }));
        let said = "  × No solution found when resolving dependencies:\n  ╰─▶ Because a was not found in the package\n      registry, no.\n";
        assert_eq!(essence(said), "Because a was not found in the package registry, no");
        let said = "error: Request failed after 3 retries\n  cause: Failed to fetch: `http://x/`\n  cause: Connection refused";
        assert_eq!(
            essence(said),
            "Request failed after 3 retries: Failed to fetch: `http://x/`: Connection refused"
        );
        assert!(matches!(classify(essence(said)), ResolveError::Network { .. }));
    }
}
