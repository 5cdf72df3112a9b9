//! `pylock.toml`: which wheels make up an environment ([PEP 751](https://peps.python.org/pep-0751/)).
//!
//! A lockfile may speak for many platforms. [`Lockfile::select`] asks it about one: it drops the packages whose marker
//! does not hold there and takes the best wheel of each other one. What cannot be installed without building it is
//! an error that names it; so is a wheel without a SHA-256, because nothing is fetched that cannot be verified.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cartwheel_store::Digest;
use pep440_rs::{Version, VersionSpecifiers};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::marker::Marker;
use crate::name::PackageName;
use crate::tag::{Libc, Tags, Target};
use crate::url::{file_name, file_path};
use crate::wheel::{WheelFilename, best_wheel};
use cartwheel_transfer::{redact, without_credentials};

/// A lockfile, checked in form but not yet asked about a target.
#[derive(Debug)]
pub struct Lockfile {
    packages: Vec<Package>,
    folder: PathBuf,
}

/// A wheel that a resolution chose: what to fetch and how to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedWheel {
    /// The package, normalised.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The file name of the wheel.
    pub filename: String,
    /// Where to get it.
    pub location: WheelLocation,
    /// Its size in bytes, if the index told.
    pub size: Option<u64>,
    /// Its SHA-256.
    pub digest: Digest,
    /// Whether it was asked for by its URL or path (and gets a `direct_url.json`), not found in an index.
    pub direct: bool,
    /// The text of that file, if it was built from what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_url: Option<String>,
}

/// Where a wheel is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WheelLocation {
    /// On a server; without credentials.
    Url(String),
    /// On this machine.
    Path(PathBuf),
}

/// Why a lockfile cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockfileError {
    /// It is no TOML, or not what PEP 751 describes.
    #[error("could not read the lockfile: {problem}")]
    Syntax {
        /// Why, without the line itself: that may hold a token.
        problem: String,
    },
    /// It is of a version that may mean anything.
    #[error("the lockfile has version `{version}`, and only `1.x` is known")]
    Version {
        /// The version.
        version: String,
    },
    /// What it says about one package cannot be used.
    #[error("package `{name}` in the lockfile {problem}")]
    Package {
        /// The package.
        name: String,
        /// What is wrong; completes the sentence.
        problem: String,
    },
    /// A package without a wheel for the target.
    #[error("package `{name}` {version} has no wheel for {target}{}", Seen(tags))]
    NoWheel {
        /// The package.
        name: String,
        /// Its version.
        version: String,
        /// The Python, processor and C library.
        target: String,
        /// The tags of the wheels that it has.
        tags: Vec<String>,
    },
    /// A package that would have to be built.
    #[error("package `{name}` has {what} and would have to be built")]
    NeedsBuild {
        /// The package, or the requirement if it has no name.
        name: String,
        /// What there is instead of a wheel.
        what: &'static str,
    },
}

/// Ends the message about a missing wheel with what was seen.
struct Seen<'a>(&'a [String]);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    lock_version: String,
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    requires_python: Option<String>,
    #[serde(default)]
    wheels: Vec<File>,
    archive: Option<File>,
    sdist: Option<File>,
    vcs: Option<toml::Table>,
    directory: Option<toml::Table>,
}

#[derive(Debug, Deserialize)]
struct File {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

impl Lockfile {
    /// Reads a lockfile; `folder` is where it lies, for the relative paths in it.
    pub fn parse(text: &str, folder: &Path) -> Result<Self> {
        let document: Document = toml::from_str(text)
            .map_err(|error| LockfileError::Syntax { problem: redact(error.message()) })?;
        if document.lock_version.split('.').next() != Some("1") {
            return Err(LockfileError::Version { version: document.lock_version }.into());
        }
        Ok(Self { packages: document.packages, folder: folder.to_owned() })
    }

    /// The name and version of each package, for whatever target.
    pub fn versions(&self) -> BTreeSet<(String, String)> {
        let version = |package: &Package| package.version.clone().unwrap_or_default();
        self.packages.iter().map(|package| (package.name.clone(), version(package))).collect()
    }

    /// The tags of all wheels, sorted.
    pub(crate) fn tags(&self) -> Vec<String> {
        let tags: BTreeSet<String> = self.packages.iter().flat_map(|package| self.tags_of(package)).collect();
        tags.into_iter().collect()
    }

    /// The best wheel of each package that `target` needs, in the order of the file.
    ///
    /// Where `is_allowed` refuses the digest of a wheel, the next best is taken, as pip does when it checks hashes.
    pub fn select(
        &self,
        target: &Target,
        is_allowed: &dyn Fn(&str, Digest) -> bool,
    ) -> Result<Vec<LockedWheel>> {
        let tags = Tags::compatible(target);
        let mut wheels: Vec<LockedWheel> = Vec::new();
        for package in &self.packages {
            if !package.is_wanted(target)? {
                continue;
            }
            let wheel = self.wheel(package, target, &tags, is_allowed)?;
            if wheels.iter().any(|other| other.name == wheel.name) {
                return Err(package.problem("appears twice for one target").into());
            }
            wheels.push(wheel);
        }
        Ok(wheels)
    }

    fn wheel(
        &self,
        package: &Package,
        target: &Target,
        tags: &Tags,
        is_allowed: &dyn Fn(&str, Digest) -> bool,
    ) -> Result<LockedWheel, LockfileError> {
        package.check_python(target)?;
        let direct = package.archive.is_some();
        let mut candidates = Vec::new();
        for file in package.wheels.iter().chain(&package.archive) {
            let location = self.location(package, file)?;
            let Some(filename) = filename(file, &location).filter(|name| is_wheel(name)) else {
                continue;
            };
            let filename: WheelFilename =
                filename.parse().map_err(|_| package.problem("has a wheel with an invalid name"))?;
            candidates.push((filename, location, file));
        }
        if candidates.is_empty() {
            return Err(package.needs_build());
        }
        let compatible: Vec<_> = candidates.iter().filter(|(name, _, _)| name.is_compatible(tags)).collect();
        if compatible.is_empty() {
            return Err(self.no_wheel(package, target));
        }
        let mut allowed = Vec::new();
        for (filename, location, file) in compatible {
            let digest = package.digest(file)?;
            if is_allowed(&package.name, digest) {
                allowed.push((filename, location, file, digest));
            }
        }
        let best = best_wheel(allowed.iter().map(|(name, ..)| *name), tags);
        let chosen = allowed.iter().find(|(name, ..)| Some(*name) == best);
        let (filename, location, file, digest) =
            chosen.ok_or_else(|| package.problem("has no wheel with one of the hashes that are required"))?;
        Ok(LockedWheel {
            name: package
                .name
                .parse::<PackageName>()
                .map_or_else(|_| package.name.clone(), |name| name.to_string()),
            version: package.version.clone().unwrap_or_else(|| filename.version().to_string()),
            filename: filename.to_string(),
            location: (*location).clone(),
            size: file.size,
            digest: *digest,
            direct,
            direct_url: None,
        })
    }

    fn location(&self, package: &Package, file: &File) -> Result<WheelLocation, LockfileError> {
        match (&file.path, &file.url) {
            (Some(path), _) => Ok(WheelLocation::Path(self.folder.join(path))),
            (None, Some(url)) => Ok(match file_path(url) {
                Some(path) => WheelLocation::Path(path),
                None => WheelLocation::Url(without_credentials(url)),
            }),
            (None, None) => Err(package.problem("has a file without a URL or path")),
        }
    }

    fn no_wheel(&self, package: &Package, target: &Target) -> LockfileError {
        LockfileError::NoWheel {
            name: package.name.clone(),
            version: package.version.clone().unwrap_or_default(),
            target: describe(target),
            tags: self.tags_of(package),
        }
    }

    fn tags_of(&self, package: &Package) -> Vec<String> {
        let names = package.wheels.iter().filter_map(|file| {
            let location = self.location(package, file).ok()?;
            filename(file, &location)?.parse::<WheelFilename>().ok()
        });
        let tags: BTreeSet<String> =
            names.flat_map(|name| name.tags().iter().map(ToString::to_string).collect::<Vec<_>>()).collect();
        tags.into_iter().collect()
    }
}

impl Package {
    fn is_wanted(&self, target: &Target) -> Result<bool, LockfileError> {
        let Some(marker) = &self.marker else { return Ok(true) };
        let marker = Marker::from_str(marker);
        marker.map(|marker| marker.holds(target)).map_err(|error| self.problem(&error.to_string()))
    }

    fn check_python(&self, target: &Target) -> Result<(), LockfileError> {
        let Some(requires) = &self.requires_python else { return Ok(()) };
        let specifiers = VersionSpecifiers::from_str(requires);
        let specifiers = specifiers.map_err(|_| self.problem("has an invalid `requires-python`"))?;
        let python = &target.python;
        let version = Version::new([u64::from(python.major), u64::from(python.minor)]);
        // `>=3.13.2` may hold for the target's patch release, which is not known.
        let last = Version::new([u64::from(python.major), u64::from(python.minor), 999]);
        if specifiers.contains(&version) || specifiers.contains(&last) {
            return Ok(());
        }
        Err(self.problem(&format!("requires Python `{requires}`, and the target has `{python}`")))
    }

    fn digest(&self, file: &File) -> Result<Digest, LockfileError> {
        let hex = file.hashes.get("sha256").ok_or_else(|| self.problem("has a wheel without a SHA-256"))?;
        Digest::from_hex(&hex.to_ascii_lowercase())
            .map_err(|_| self.problem("has a wheel with an invalid SHA-256"))
    }

    fn needs_build(&self) -> LockfileError {
        let what = match self {
            Self { vcs: Some(_), .. } => "only a version control URL",
            Self { directory: Some(_), .. } => "only a directory",
            Self { archive: Some(_), .. } | Self { sdist: Some(_), .. } => "only a source distribution",
            _ => "no wheel",
        };
        LockfileError::NeedsBuild { name: self.name.clone(), what }
    }

    fn problem(&self, problem: &str) -> LockfileError {
        LockfileError::Package { name: self.name.clone(), problem: redact(problem) }
    }
}

/// The target in words.
pub(crate) fn describe(target: &Target) -> String {
    let libc = match target.libc {
        Libc::Glibc { major, minor } => format!("glibc {major}.{minor}"),
        Libc::Musl { major, minor } => format!("musl {major}.{minor}"),
    };
    format!("Python {} on {} with {libc}", target.python, target.arch)
}

/// Case matters: pip takes `.WHL` for no wheel.
pub(crate) fn is_wheel(name: &str) -> bool {
    name.strip_suffix(".whl").is_some()
}

fn filename(file: &File, location: &WheelLocation) -> Option<String> {
    file.name.clone().or_else(|| match location {
        WheelLocation::Url(url) => file_name(url),
        WheelLocation::Path(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
    })
}

impl std::fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        /// Enough to see what is missing; numpy has hundreds.
        const SHOWN: usize = 12;
        let (shown, rest) = self.0.split_at(self.0.len().min(SHOWN));
        if !shown.is_empty() {
            write!(f, "; the wheels that it has are for `{}`", shown.join("`, `"))?;
        }
        if !rest.is_empty() {
            write!(f, " and {} more", rest.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::PythonVersion;
    use crate::tag::Arch;

    const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn target() -> Target {
        let libc = Libc::Glibc { major: 2, minor: 36 };
        Target { python: PythonVersion::new(3, 13), arch: Arch::X86_64, libc }
    }

    fn select(packages: &str) -> Result<Vec<LockedWheel>> {
        let text = format!("lock-version = \"1.0\"\ncreated-by = \"test\"\n{packages}");
        Lockfile::parse(&text, Path::new("/lock"))
            .and_then(|lockfile| lockfile.select(&target(), &|_, _| true))
    }

    fn wheel(name: &str) -> String {
        format!(
            "{{ url = \"https://u:p@example.org/{name}\", size = 3, hashes = {{ sha256 = \"{ZEROS}\" }} }}"
        )
    }

    fn package(name: &str, rest: &str) -> String {
        format!("[[packages]]\nname = \"{name}\"\nversion = \"1\"\n{rest}\n")
    }

    #[test]
    fn the_best_wheel_is_taken_without_credentials() {
        let [pure, native] =
            [wheel("a-1-py3-none-any.whl"), wheel("a-1-cp313-cp313-manylinux_2_28_x86_64.whl")];
        let wheels = select(&package("a", &format!("wheels = [{pure}, {native}]"))).unwrap();
        assert_eq!(wheels.len(), 1);
        let url = "https://example.org/a-1-cp313-cp313-manylinux_2_28_x86_64.whl";
        assert_eq!(wheels[0].location, WheelLocation::Url(url.to_owned()));
        assert_eq!((wheels[0].size, wheels[0].direct), (Some(3), false));
    }

    #[test]
    fn markers_choose_packages() {
        let wheels = format!("wheels = [{}]", wheel("a-1-py3-none-any.whl"));
        let text = package("a", &format!("marker = \"sys_platform == 'win32'\"\n{wheels}"))
            + &package("a", &format!("marker = \"sys_platform == 'linux'\"\n{wheels}"));
        assert_eq!(select(&text).unwrap().len(), 1);
        assert!(select(&(package("a", &wheels) + &package("a", &wheels))).is_err());
    }

    #[test]
    fn paths_are_relative_to_the_lockfile() {
        let file = |path| format!("archive = {{ path = \"{path}\", hashes = {{ sha256 = \"{ZEROS}\" }} }}");
        let wheels = select(&package("a", &file("x/a-1-py3-none-any.whl"))).unwrap();
        assert_eq!(wheels[0].location, WheelLocation::Path("/lock/x/a-1-py3-none-any.whl".into()));
        assert!(wheels[0].direct);
    }

    #[test]
    fn what_cannot_be_installed_is_named() {
        let error = |rest: &str| select(&package("a", rest)).unwrap_err().to_string();
        let native = wheel("a-1-cp39-cp39-win_amd64.whl");
        assert_eq!(
            error(&format!("wheels = [{native}]")),
            "package `a` 1 has no wheel for Python 3.13 on x86_64 with glibc 2.36; the wheels that it has are for \
             `cp39-cp39-win_amd64`"
        );
        let sdist = wheel("a-1.tar.gz");
        assert!(error(&format!("sdist = {sdist}")).contains("`a` has only a source distribution"));
        assert!(error(&format!("archive = {sdist}")).contains("only a source distribution"));
        assert!(error("vcs = { type = \"git\" }").contains("version control"));
        assert!(
            error("wheels = [{ url = \"http://x/a-1-py3-none-any.whl\" }]").contains("without a SHA-256")
        );
        let newer = format!("requires-python = \">=3.14\"\nwheels = [{}]", wheel("a-1-py3-none-any.whl"));
        assert!(error(&newer).contains(">=3.14"));
    }

    #[test]
    fn other_versions_of_the_format_are_refused() {
        assert!(Lockfile::parse("lock-version = \"2.0\"", Path::new("")).is_err());
        assert!(Lockfile::parse("lock-version = \"1.1\"", Path::new("")).is_ok());
        let error = Lockfile::parse("x = https://u:secret@example.org", Path::new("")).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"));
    }
}
