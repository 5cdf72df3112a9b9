//! What a recognised command installs, as a value.

use std::collections::BTreeMap;

use cartwheel_python::{IndexStrategy, RequirementOptions, Upgrade};

/// One `pip install`, `uv pip install` or `uv sync`.
///
/// Paths are those of the image, absolute. What is not here changes nothing in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that the tools have")]
pub(crate) struct InstallCommand {
    /// Whose rules hold, and who is named as INSTALLER.
    pub(crate) installer: Installer,
    /// For which Python.
    pub(crate) python: PythonChoice,
    /// What is asked for.
    pub(crate) asked: Asked,
    /// Where it goes.
    pub(crate) destination: Destination,
    /// Which packages that are already there are exchanged for newer ones.
    pub(crate) upgrade: Upgrade,
    /// Whether what is already there counts for nothing and is installed again.
    pub(crate) reinstall: bool,
    /// Whether what packages need is installed, too.
    pub(crate) dependencies: bool,
    /// Whether `.pyc` files are written.
    pub(crate) bytecode: bool,
    /// Whether a Python that its distribution manages may be changed (`--break-system-packages`).
    pub(crate) break_system_packages: bool,
    /// Whether what is there and not asked for is removed: `uv sync`, and `--exact`. uv spares pip, setuptools and wheel,
    /// except in an environment of its own making.
    pub(crate) exact: bool,
    /// Indexes, pre-releases, hashes and choices of binaries, of options and environment. Requirements files add to it.
    /// Relative folders in `find_links` have been made absolute.
    pub(crate) options: RequirementOptions,
    /// How several indexes are weighed.
    pub(crate) strategy: IndexStrategy,
    /// A file of certificates to trust instead of those of the system.
    pub(crate) certificates: Option<Place>,
    /// Folders that are on `PYTHONPATH`: pip takes distributions in them for installed.
    pub(crate) python_path: Vec<String>,
    /// To whom the files belong, as `USER` says it; `None` is root.
    pub(crate) owner: Option<String>,
    /// The command as it was written.
    pub(crate) text: String,
    /// The command as it would be run.
    pub(crate) process: Process,
}

/// A process that a shell starts: nothing is left to expand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Process {
    /// The program and its words.
    pub(crate) argv: Vec<String>,
    /// All variables that it sees.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it is started, absolute.
    pub(crate) working_dir: String,
}

impl Process {
    /// The words before the tool's own command: `python -m pip`.
    pub(crate) fn program(&self) -> &[String] {
        self.argv.get(..self.command()).unwrap_or(&self.argv)
    }

    /// The words behind it.
    pub(crate) fn rest(&self) -> &[String] {
        self.argv.get(self.command() + 1..).unwrap_or_default()
    }

    fn command(&self) -> usize {
        self.argv.iter().position(|word| word == "install").unwrap_or(self.argv.len())
    }
}

/// Which tool installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Installer {
    /// pip.
    Pip,
    /// uv.
    Uv,
}

/// For which Python a command installs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PythonChoice {
    /// The one that the first line of this `pip` names: a name to be found on `PATH`, or an absolute path.
    Script(String),
    /// This one: a name to be found on `PATH`, or an absolute path to it or to its virtual environment.
    Program(String),
    /// The virtual environment in this directory.
    Environment(String),
    /// The first on `PATH` that is in no virtual environment.
    System,
    /// The one of the `.venv` in this directory or the nearest above; if there is none, the first on `PATH` where
    /// `or_system` allows it, else the command fails.
    Nearest {
        /// Where the search begins.
        folder: String,
        /// Whether a Python outside of environments will do.
        or_system: bool,
    },
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Words and files.
    Requirements {
        /// Requirement specifiers and URLs, as they were written.
        words: Vec<String>,
        /// Wheels that were named by their path; what follows the path (extras, markers) is the second.
        wheels: Vec<(Place, String)>,
        /// What has to be built, as it was written: archives and what is under version control.
        sources: Vec<String>,
        /// Files.
        files: Vec<RequirementFile>,
    },
    /// What a project's lockfile says.
    Lock(Selection),
}

/// A file of requirements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequirementFile {
    /// `-r`.
    Requirements(Place),
    /// `-c`.
    Constraints(Place),
    /// `-r pyproject.toml`, which uv reads: the project's dependencies and the wanted ones of its extras.
    Project {
        /// The file.
        place: Place,
        /// The extras; `None` is all of them.
        extras: Option<Vec<String>>,
    },
    /// `-r pylock.toml`, which uv reads.
    Pylock(Place),
}

/// What of a project's lockfile is installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The directory of the project, where `uv.lock` and `pyproject.toml` are.
    pub(crate) project: String,
    /// Whether it is an error if the lockfile does not fit the project. Where it is neither that nor `frozen`, uv would
    /// write another lockfile; if it had to, the command must run.
    pub(crate) locked: bool,
    /// Whether the lockfile is believed unseen.
    pub(crate) frozen: bool,
    /// What to select, as `uv export` understands it too: `--extra x`, `--no-dev`, ….
    pub(crate) options: Vec<String>,
    /// Whether the project itself is left out. Where it is not, and the lockfile says that it is a package, the command
    /// must run.
    pub(crate) without_project: bool,
}

/// Where an installation goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Where the Python looks by itself.
    Default,
    /// `--prefix`: a tree like the one of the Python, under this directory.
    Prefix(String),
    /// `--target`: this directory, flat.
    Target(String),
    /// `--user`: under this directory (`~/.local`).
    User(String),
}

/// A path in the image, and what is there while the command runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The path, absolute, without `.` and `..`.
    pub(crate) path: String,
    /// The mount that it lies in, by its number in the instruction.
    pub(crate) mount: Option<usize>,
}
