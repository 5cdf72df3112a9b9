//! `uv sync`: what a project's lockfile says.

use cartwheel_python::Upgrade;

use super::install::{Asked, Destination, InstallCommand, Installer, PythonChoice, Selection};
use super::options::refused;
use super::surroundings::Surroundings;
use super::uv::Options;
use super::{NotRecognised, Result};

/// What an option of `uv sync` chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The directory of the project.
    Project,
    /// The environment.
    Environment,
    /// The environment of `VIRTUAL_ENV`.
    Active,
    /// Take the lockfile unseen.
    Frozen,
    /// Fail if the lockfile does not fit.
    Locked,
    /// What `uv export` takes under this name.
    Option(&'static str),
    /// The same, and it leaves the project itself out.
    Only(&'static str),
}

/// What has been chosen so far.
#[derive(Debug, Default)]
pub(super) struct Choices {
    project: Option<String>,
    environment: Option<String>,
    active: bool,
    selection: Selection,
}

impl Choices {
    pub(super) fn add(&mut self, choice: Choice, value: String, at: &Surroundings<'_>) {
        let selection = &mut self.selection;
        match choice {
            Choice::Project => self.project = Some(at.resolve(&value)),
            Choice::Environment => self.environment = Some(value),
            Choice::Active => self.active = true,
            Choice::Frozen => selection.frozen = true,
            Choice::Locked => selection.locked = true,
            Choice::Option(name) => push(selection, name, value),
            Choice::Only(name) => {
                selection.without_project = true;
                push(selection, name, value);
            }
        }
    }
}

fn push(selection: &mut Selection, name: &str, value: String) {
    selection.options.push(name.to_owned());
    selection.options.extend(Some(value).filter(|value| !value.is_empty()));
}

/// Puts together what `uv sync` installs.
///
/// The environment is `.venv` in the project, or what `UV_PROJECT_ENVIRONMENT` says. It must be there already: if it is
/// not, uv makes it, and only running it can do that.
pub(super) fn finish(mut read: Options, at: &Surroundings<'_>) -> Result<InstallCommand> {
    let choices = std::mem::take(&mut read.sync);
    let mut selection = choices.selection;
    if selection.frozen && selection.locked {
        return Err(NotRecognised::new("", "uv cannot combine `--frozen` and `--locked`"));
    }
    if let Some((value, word)) = read.python.take() {
        // The environment is made anew if its Python is another.
        return Err(refused(&word, format!("asks for the Python `{value}`")));
    }
    // A project elsewhere moves everything that is relative, and its directory may be in a mount.
    selection.project = match &choices.project {
        Some(folder) => folder.clone(),
        None => at.working_dir().to_owned(),
    };
    let active = at.environment().get("VIRTUAL_ENV").filter(|folder| choices.active && !folder.is_empty());
    let folder = match (active, &choices.environment) {
        (Some(folder), _) | (None, Some(folder)) => folder.clone(),
        (None, None) => ".venv".to_owned(),
    };
    let folder =
        at.resolve(&if folder.starts_with('/') { folder } else { format!("{}/{folder}", selection.project) });
    let strategy = read.strategy();
    let destination = Destination::Default;
    let owner = at.owner(&destination)?;
    Ok(InstallCommand {
        installer: Installer::Uv,
        python: PythonChoice::Environment(folder),
        asked: Asked::Lock(selection),
        destination,
        upgrade: Upgrade::No,
        reinstall: read.reinstall,
        dependencies: true,
        bytecode: read.bytecode,
        break_system_packages: read.break_system_packages,
        exact: !read.inexact,
        options: read.index,
        strategy,
        certificates: read.certificates,
        python_path: Vec::new(),
        owner,
        text: at.text(),
        process: at.process(),
    })
}
