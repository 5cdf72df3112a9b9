//! What the user set outside the command line: the environment, pip's configuration, netrc.
//!
//! uv reads its own settings. pip's are read here, because the step that is replaced is pip's: `PIP_*` variables first, then
//! the file that `PIP_CONFIG_FILE` names, the user's, and the machine's; in a file, `[install]` before `[global]`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cartwheel_build::Epoch;
use cartwheel_oci::Platform;
use cartwheel_python::IndexSettings;

use crate::error::Failure;

/// Resolved settings.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where the store is.
    pub(crate) home: PathBuf,
    /// The package indexes of pip's settings.
    pub(crate) index: IndexSettings,
    /// The content of the user's netrc.
    pub(crate) netrc: Option<String>,
    /// The user's `uv`.
    pub(crate) uv: Option<PathBuf>,
    /// The user's `git`.
    pub(crate) git: Option<PathBuf>,
    /// Some Python 3 of the user's.
    pub(crate) interpreter: Option<PathBuf>,
    /// The environment.
    pub(crate) variables: BTreeMap<String, String>,
    /// `SOURCE_DATE_EPOCH`.
    pub(crate) epoch: Epoch,
}

impl Settings {
    /// Reads the environment and the files that it leads to.
    pub(crate) fn read() -> Result<Self, Failure> {
        let variables: BTreeMap<String, String> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let variable = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
        let home = home(&variable)?;
        let pip = PipSettings::read(&variable);
        let netrc =
            variable("NETRC").map(PathBuf::from).or_else(|| Some(user_home(&variable)?.join(".netrc")));
        let epoch = variable("SOURCE_DATE_EPOCH").map_or(Ok(Epoch::Fixed), |text| epoch(&text))?;
        let index = pip.index();
        let netrc = netrc.and_then(|path| fs::read_to_string(path).ok());
        let path = variable("PATH").unwrap_or_default();
        let uv = find_program("uv", &path);
        // The one beside uv is likely to be a Python, where the first on the PATH may be a slow shim of one.
        let beside =
            uv.as_ref().and_then(|uv| Some(uv.parent()?.join("python3"))).filter(|path| path.is_file());
        let interpreter = beside.or_else(|| find_program("python3", &path));
        let git = find_program("git", &path);
        Ok(Self { home, index, netrc, uv, git, interpreter, variables, epoch })
    }
}

/// A platform as users write it: what they leave out is this machine's.
pub(crate) fn platform(text: &str) -> Result<Platform, String> {
    let host = dockerfile_platform(&host_platform());
    let found = cartwheel_dockerfile::Platform::parse(text, &host);
    let found = found.map_err(|why| format!("{why} (`os/architecture[/variant]`, as `linux/arm64`)"))?;
    match found.os_features.first() {
        Some(feature) => Err(format!("`{feature}` is a feature of a system, which no image here can have")),
        None => Ok(cartwheel_build::image_platform(&found.normalized())),
    }
}

/// The same platform in the words of Dockerfiles.
pub(crate) fn dockerfile_platform(platform: &Platform) -> cartwheel_dockerfile::Platform {
    cartwheel_dockerfile::Platform {
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        os_version: platform.os_version.clone().unwrap_or_default(),
        variant: platform.variant.clone().unwrap_or_default(),
        ..cartwheel_dockerfile::Platform::default()
    }
}

/// This machine's platform, which images are for unless the user says otherwise.
pub(crate) fn host_platform() -> Platform {
    let architecture = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Platform { architecture: architecture.to_owned(), os: "linux".to_owned(), ..Platform::default() }
}

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

fn user_home(variable: Variable<'_>) -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from)
}

fn home(variable: Variable<'_>) -> Result<PathBuf, Failure> {
    let cache = || variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = || cache().or_else(|| Some(user_home(variable)?.join(".cache")));
    let home = variable("CARTWHEEL_HOME").map(PathBuf::from).or_else(|| Some(cache()?.join("cartwheel")));
    home.ok_or_else(|| Failure::user("neither CARTWHEEL_HOME nor HOME says where the store is".to_owned()))
}

/// `SOURCE_DATE_EPOCH` with this value.
pub(crate) fn epoch(text: &str) -> Result<Epoch, Failure> {
    // Tar says eleven octal digits.
    let seconds = text.parse::<u64>().ok().filter(|&seconds| seconds < 1 << 33);
    let refuse =
        || Failure::user(format!("SOURCE_DATE_EPOCH is `{text}`, not a number of seconds since 1970"));
    seconds.map(Epoch::Source).ok_or_else(refuse)
}

/// The time that a build takes for the current one, RFC 3339.
pub(crate) fn now(epoch: Epoch) -> Result<String, Failure> {
    let seconds = match epoch {
        Epoch::Source(seconds) => seconds,
        Epoch::Fixed => SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs(),
    };
    let time = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX));
    time.map(|time| time.to_string())
        .map_err(|_| Failure::user(format!("{seconds} seconds since 1970 is no date")))
}

fn find_program(name: &str, path: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let executable = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(path).map(|folder| folder.join(name)).find(executable)
}

/// pip's settings: variables, then files, the most important first.
struct PipSettings {
    variables: BTreeMap<String, String>,
    files: Vec<BTreeMap<String, String>>,
}

impl PipSettings {
    /// The options that say where distributions come from.
    const OPTIONS: [&'static str; 7] =
        ["index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "pre"];

    fn read(variable: Variable<'_>) -> Self {
        let name = |option: &str| format!("PIP_{}", option.replace('-', "_").to_uppercase());
        let variables = Self::OPTIONS
            .iter()
            .filter_map(|option| Some(((*option).to_owned(), variable(&name(option))?)))
            .collect();
        let config = variable("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| Some(user_home(variable)?.join(".config")));
        let places = [
            variable("PIP_CONFIG_FILE").map(PathBuf::from),
            config.map(|folder| folder.join("pip/pip.conf")),
            user_home(variable).map(|home| home.join(".pip/pip.conf")),
            Some(PathBuf::from("/etc/xdg/pip/pip.conf")),
            Some(PathBuf::from("/etc/pip.conf")),
        ];
        let texts = places.into_iter().flatten().filter_map(|path| fs::read_to_string(path).ok());
        Self { variables, files: texts.map(|text| parse_config(&text)).collect() }
    }

    fn get(&self, option: &str) -> Option<&str> {
        let mut found = self
            .variables
            .get(option)
            .into_iter()
            .chain(self.files.iter().filter_map(|file| file.get(option)));
        found.next().map(String::as_str)
    }

    fn list(&self, option: &str) -> Vec<String> {
        self.get(option).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    fn flag(&self, option: &str) -> bool {
        self.get(option).is_some_and(|value| {
            matches!(value.to_lowercase().as_str(), "1" | "y" | "yes" | "t" | "true" | "on")
        })
    }

    fn index(&self) -> IndexSettings {
        // pip passes over folders that are not there; uv would fail.
        let is_there = |place: &String| place.contains("://") || Path::new(place).exists();
        IndexSettings {
            index_url: self.get("index-url").map(str::to_owned),
            extra_index_urls: self.list("extra-index-url"),
            find_links: self.list("find-links").into_iter().filter(is_there).collect(),
            no_index: self.flag("no-index"),
            trusted_hosts: self.list("trusted-host"),
            certificates: self.get("cert").map(PathBuf::from),
            pre: self.flag("pre"),
        }
    }
}

/// The options of a `pip.conf` (Python's configparser): `[install]` over `[global]`, continued lines joined by a space.
fn parse_config(text: &str) -> BTreeMap<String, String> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let (mut section, mut option) = (String::new(), None::<String>);
    for line in text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let options = sections.entry(section.clone()).or_default();
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_lowercase();
            option = None;
        } else if let Some(value) = option.as_ref().filter(|_| line.starts_with([' ', '\t'])) {
            let value = options.entry(value.clone()).or_default();
            value.push(' ');
            value.push_str(content);
        } else if let Some((name, value)) = content.split_once(['=', ':']) {
            let name = name.trim().to_lowercase().replace('_', "-");
            options.insert(name.clone(), value.trim().to_owned());
            option = Some(name);
        }
    }
    let mut merged = sections.remove("global").unwrap_or_default();
    merged.extend(sections.remove("install").unwrap_or_default());
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_conf_is_read_as_pip_reads_it() {
        let text = "[global]\nindex-url = https://example.org/a\nextra_index_url =\n    https://example.org/b\n    https://example.org/c\n# x\n[install]\nindex-url: https://example.org/i\n[list]\npre = 1\n";
        let settings = PipSettings { variables: BTreeMap::new(), files: vec![parse_config(text)] };
        let index = settings.index();
        assert_eq!(index.index_url.as_deref(), Some("https://example.org/i"));
        assert_eq!(index.extra_index_urls, ["https://example.org/b", "https://example.org/c"]);
        assert!(!index.pre);
    }

    #[test]
    fn variables_come_before_files() {
        let variable = |name: &str| (name == "PIP_INDEX_URL").then(|| "https://example.org/v".to_owned());
        let mut settings = PipSettings::read(&variable);
        settings.files = vec![parse_config("[global]\nindex-url = https://example.org/f\nno-index = yes\n")];
        assert_eq!(settings.index().index_url.as_deref(), Some("https://example.org/v"));
        assert!(settings.index().no_index);
    }
}
