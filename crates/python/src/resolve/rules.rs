//! What distinguishes one installer's question from another's: what is there already, and what may be exchanged.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::str::FromStr;

use pep440_rs::Version;
use serde::{Deserialize, Serialize};

use crate::name::normalise;
use crate::pylock::LockedWheel;
use crate::wheel::Metadata;

/// The rules by which a request is answered. The default is those of pip where nothing is installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallRules {
    /// How several indexes are weighed.
    pub strategy: IndexStrategy,
    /// What is installed where the wheels will go, as pip and uv see it.
    pub installed: Vec<InstalledDistribution>,
    /// Which of it is exchanged for newer versions.
    pub upgrade: Upgrade,
    /// Whether it counts for nothing, as with `--force-reinstall`: pip then takes the newest versions, too.
    pub reinstall: bool,
    /// Whether the tool rather builds a newer version than takes an older one's wheel.
    pub builds: bool,
}

/// How several indexes are weighed (`--index-strategy` of uv).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IndexStrategy {
    /// The first index that has the package decides: uv's own way.
    First,
    /// The first index that has a fitting version.
    FirstMatch,
    /// All are equal: pip's way.
    #[default]
    BestMatch,
}

/// Which installed packages are exchanged for newer ones.
///
/// Whatever it is, a package that does not satisfy what is asked for is exchanged, for an older version if need be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// None that satisfies what is asked for.
    #[default]
    No,
    /// Those that are asked for by name: `pip install --upgrade`.
    Requested,
    /// All that take part: `pip install --upgrade --upgrade-strategy eager`, `uv pip install --upgrade`.
    All,
    /// These: `uv pip install --upgrade-package`. Normalised names.
    Packages(BTreeSet<String>),
}

/// A distribution that is installed, with what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledDistribution {
    name: String,
    version: String,
    requires: Vec<String>,
    extras: Vec<String>,
}

/// What becomes of a package that was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is there in this version, and stays.
    Satisfied,
    /// It is not there.
    Install,
    /// An older version is there, and goes.
    Upgrade,
    /// A newer version is there, and goes.
    Downgrade,
    /// This version is there, goes, and comes again.
    Reinstall,
}

impl IndexStrategy {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::First => "first-index",
            Self::FirstMatch => "unsafe-first-match",
            Self::BestMatch => "unsafe-best-match",
        }
    }
}

impl InstalledDistribution {
    /// Reads the METADATA of a `.dist-info`; `None` if it lacks a name or a valid version, for then pip ignores it.
    pub fn parse(metadata: &str) -> Option<Self> {
        let (name, version, requires, extras) = Metadata::installed(metadata)?;
        Version::from_str(&version).ok()?;
        Some(Self { name: normalise(&name), version, requires, extras })
    }

    /// Its normalised name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version as it was written.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its version against another, each however it is written.
    fn compare(&self, version: &str) -> Ordering {
        match (Version::from_str(&self.version), Version::from_str(version)) {
            (Ok(one), Ok(two)) => one.cmp(&two),
            _ => self.version.as_str().cmp(version),
        }
    }

    fn metadata(&self) -> String {
        let mut text = format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\n", self.name, self.version);
        for extra in &self.extras {
            let _infallible = writeln!(text, "Provides-Extra: {extra}");
        }
        for requirement in &self.requires {
            let _infallible = writeln!(text, "Requires-Dist: {requirement}");
        }
        text
    }

    /// A wheel that has its metadata and nothing else, for uv to choose where pip would choose what is installed.
    pub(super) fn stand_in(&self) -> (String, Vec<u8>) {
        let name = self.name.replace('-', "_");
        let folder = format!("{name}-{}.dist-info", self.version);
        let wheel = "Wheel-Version: 1.0\nGenerator: cartwheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        let files = [
            (format!("{folder}/METADATA"), self.metadata().into_bytes()),
            (format!("{folder}/WHEEL"), wheel.as_bytes().to_vec()),
            (format!("{folder}/RECORD"), Vec::new()),
        ];
        (format!("{name}-{}-py3-none-any.whl", self.version), stored_zip(&files))
    }
}

impl InstallRules {
    /// What becomes of a resolved package. Both tools keep a package whose version is the same, whatever it was made from.
    pub fn change(&self, name: &str, version: &str) -> Change {
        let name = normalise(name);
        let Some(installed) = self.installed.iter().find(|installed| installed.name == name) else {
            return Change::Install;
        };
        match (installed.compare(version), self.reinstall) {
            (Ordering::Equal, true) => Change::Reinstall,
            (Ordering::Equal, false) => Change::Satisfied,
            (Ordering::Less, _) => Change::Upgrade,
            (Ordering::Greater, _) => Change::Downgrade,
        }
    }

    /// Whether the newest version of a package is wanted, whichever is installed or was chosen before. `requested` are the
    /// normalised names that are asked for.
    pub(super) fn renews(&self, name: &str, requested: &BTreeSet<String>) -> bool {
        match &self.upgrade {
            _ if self.reinstall => true,
            Upgrade::No => false,
            Upgrade::Requested => requested.contains(name),
            Upgrade::All => true,
            Upgrade::Packages(names) => names.contains(name),
        }
    }

    /// The installed versions that are preferred, by name.
    pub(super) fn preferences(&self, requested: &BTreeSet<String>) -> BTreeMap<&str, &str> {
        let preferred = self.installed.iter().filter(|installed| !self.renews(&installed.name, requested));
        preferred.map(|installed| (installed.name.as_str(), installed.version.as_str())).collect()
    }

    /// What can be chosen besides what indexes have: what is installed.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &InstalledDistribution> {
        self.installed.iter().filter(|_| !self.reinstall)
    }

    /// What of them enters the key of the answer.
    pub(super) fn question(&self) -> String {
        let mut text =
            format!("{} {:?} {}\n", self.strategy.as_str(), UpgradeName(&self.upgrade), self.reinstall);
        let lines: BTreeSet<String> = self.candidates().map(InstalledDistribution::metadata).collect();
        text.extend(lines);
        text
    }
}

/// An upgrade in words that no renaming in the code can change.
struct UpgradeName<'a>(&'a Upgrade);

impl std::fmt::Debug for UpgradeName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Upgrade::No => f.write_str("no"),
            Upgrade::Requested => f.write_str("requested"),
            Upgrade::All => f.write_str("all"),
            Upgrade::Packages(names) => names.iter().try_for_each(|name| write!(f, "{name},")),
        }
    }
}

/// A package that is there already and stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SatisfiedPackage {
    /// Its normalised name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Parts what must be installed from what is there.
pub(super) fn part(
    rules: &InstallRules,
    packages: Vec<LockedWheel>,
) -> (Vec<LockedWheel>, Vec<SatisfiedPackage>) {
    let (satisfied, packages): (Vec<_>, Vec<_>) = packages
        .into_iter()
        .partition(|package| rules.change(&package.name, &package.version) == Change::Satisfied);
    let name = |package: LockedWheel| SatisfiedPackage { name: package.name, version: package.version };
    (packages, satisfied.into_iter().map(name).collect())
}

/// A zip of stored files: three parts, each as APPNOTE 4.3 has it.
fn stored_zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let offset = body.len() as u32;
        let mut fields = Vec::new();
        // Flags (UTF-8 names), method, time, date, CRC, both sizes, and the length of the name.
        fields.extend_from_slice(&[0, 8, 0, 0, 0, 0, 0x21, 0]);
        fields.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
        fields.extend_from_slice(&(content.len() as u32).to_le_bytes());
        fields.extend_from_slice(&(content.len() as u32).to_le_bytes());
        fields.extend_from_slice(&(name.len() as u16).to_le_bytes());
        body.extend_from_slice(b"PK\x03\x04\x14\0");
        body.extend_from_slice(&fields);
        body.extend_from_slice(&[0, 0]);
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(content);
        directory.extend_from_slice(b"PK\x01\x02\x14\0\x14\0");
        directory.extend_from_slice(&fields);
        directory.extend_from_slice(&[0; 12]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (start, length, count) = (body.len() as u32, directory.len() as u32, files.len() as u16);
    body.extend_from_slice(&directory);
    body.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    body.extend_from_slice(&count.to_le_bytes());
    body.extend_from_slice(&count.to_le_bytes());
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(&start.to_le_bytes());
    body.extend_from_slice(&[0, 0]);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(name: &str, version: &str) -> InstalledDistribution {
        InstalledDistribution::parse(&format!(
            "Name: {name}\nVersion: {version}\nRequires-Dist: x>1\n\nText\n"
        ))
        .unwrap()
    }

    fn rules(upgrade: Upgrade, reinstall: bool) -> InstallRules {
        let installed = vec![installed("A_b", "1.0"), installed("torch", "2.5.1+cu124")];
        InstallRules { installed, upgrade, reinstall, ..InstallRules::default() }
    }

    #[test]
    fn what_is_there_is_satisfied_replaced_or_reinstalled() {
        let table = [
            ("a-b", "1", false, Change::Satisfied),
            ("A.B", "1.0.0", false, Change::Satisfied),
            ("a-b", "2", false, Change::Upgrade),
            ("a-b", "1.0.post1", false, Change::Upgrade),
            ("a-b", "1.0rc1", false, Change::Downgrade),
            ("a-b", "0.9", true, Change::Downgrade),
            ("torch", "2.5.1", false, Change::Downgrade),
            ("torch", "2.5.1+cu124", false, Change::Satisfied),
            ("torch", "2.10", false, Change::Upgrade),
            ("c", "1", false, Change::Install),
            ("a-b", "1.0", true, Change::Reinstall),
            ("c", "1.0", true, Change::Install),
        ];
        for (name, version, reinstall, change) in table {
            assert_eq!(
                rules(Upgrade::No, reinstall).change(name, version),
                change,
                "{name} {version} {reinstall}"
            );
        }
    }

    #[test]
    fn upgrades_say_what_is_preferred() {
        let requested: BTreeSet<String> = ["a-b".to_owned()].into();
        let preferred = |upgrade, reinstall| {
            let rules = rules(upgrade, reinstall);
            rules.preferences(&requested).keys().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(preferred(Upgrade::No, false), ["a-b", "torch"]);
        assert_eq!(preferred(Upgrade::Requested, false), ["torch"]);
        assert!(preferred(Upgrade::All, false).is_empty() && preferred(Upgrade::No, true).is_empty());
        assert_eq!(preferred(Upgrade::Packages(["torch".to_owned()].into()), false), ["a-b"]);
        assert_eq!(rules(Upgrade::All, false).candidates().count(), 2);
        assert_eq!(rules(Upgrade::All, true).candidates().count(), 0);
    }

    #[test]
    fn stand_ins_are_wheels() {
        let (name, bytes) = installed("A_b", "1.0+x.1").stand_in();
        assert_eq!(name, "a_b-1.0+x.1-py3-none-any.whl");
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let metadata =
            std::io::read_to_string(archive.by_name("a_b-1.0+x.1.dist-info/METADATA").unwrap()).unwrap();
        assert_eq!(metadata, "Metadata-Version: 2.1\nName: a-b\nVersion: 1.0+x.1\nRequires-Dist: x>1\n");
        assert_eq!(archive.len(), 3);
    }

    #[test]
    fn what_pip_would_not_see_is_not_installed() {
        assert_eq!(InstalledDistribution::parse("Name: a\n\nVersion: 1\n"), None);
        assert_eq!(InstalledDistribution::parse("Name: a\nVersion: one\n"), None);
    }

    #[test]
    fn the_question_depends_on_each_rule() {
        let questions: BTreeSet<String> = [
            InstallRules::default(),
            rules(Upgrade::No, false),
            rules(Upgrade::Requested, false),
            rules(Upgrade::All, false),
            rules(Upgrade::Packages(["a".to_owned()].into()), false),
            rules(Upgrade::No, true),
            InstallRules { strategy: IndexStrategy::First, ..InstallRules::default() },
        ]
        .iter()
        .map(InstallRules::question)
        .collect();
        assert_eq!(questions.len(), 7);
    }
}
