//! Where a command's packages go, what is there already, and what is beyond installing.

use std::collections::BTreeMap;
use std::path::Path;

use cartwheel_dockerfile::Run;
use cartwheel_oci::Below;
use cartwheel_python::{InstalledDistribution, Resolution, Scheme, Tool};

use super::Reason;
use super::understood::home;
use crate::error::Result;
use crate::installed::{Installed, installed};
use crate::recognise::{Asked, Destination, InstallCommand, Installer, PythonChoice};
use crate::stage::StageState;

/// Why a command is beyond what is done without running it, although every word of it is understood.
pub(super) fn beyond(command: &InstallCommand) -> Option<Reason> {
    let is_target = matches!(command.destination, Destination::Target(_));
    let is_lock = matches!(command.asked, Asked::Lock(_));
    let asks_project = match &command.asked {
        Asked::Lock(selection) => !selection.without_project,
        Asked::Requirements { .. } => false,
    };
    let reasons = [
        (command.reinstall && !is_target, "what is there would be removed and installed again"),
        (command.exact && !is_lock, "it removes what is not asked for"),
        (asks_project, "it may install the project itself (`--no-install-project` leaves it out)"),
        (command.certificates.is_some(), "it trusts certificates of the image"),
        (!command.python_path.is_empty(), "`PYTHONPATH` names more places of distributions"),
        (command.owner.is_some(), "it installs as another user than root"),
    ];
    reasons.into_iter().find(|(is_so, _)| *is_so).map(|(_, reason)| reason.to_owned())
}

/// A distribution that an exact command removes; those that uv spares are none.
pub(super) fn removed<'i>(
    command: &InstallCommand,
    there: &'i BTreeMap<String, Installed>,
    resolution: &Resolution,
) -> Option<&'i str> {
    let stays = |name: &str| {
        matches!(name, "pip" | "setuptools" | "wheel")
            || resolution.packages.iter().any(|wheel| wheel.name == name)
            || resolution.satisfied.iter().any(|package| package.name == name)
    };
    there.keys().map(String::as_str).find(|name| command.exact && !stays(name))
}

/// What installs: pips of different ages write different scripts.
pub(super) fn tool(installer: Installer, own: &Scheme, below: &Below) -> Tool {
    match installer {
        Installer::Pip => {
            installed(below, &own.purelib).get("pip").map_or(Tool::default(), |pip| Tool::pip(&pip.version))
        }
        Installer::Uv => Tool::Uv,
    }
}

/// The scheme of a Python as a tool sees it, which writes into scripts by which name it was called, or, as uv, found it.
pub(super) fn seen_by(tool: Tool, own: Scheme, choice: &PythonChoice, below: &Below) -> Scheme {
    let bin = own.python.rsplit_once('/').map_or("", |(bin, _)| bin);
    let called = match choice {
        PythonChoice::Program(name) => name.rsplit('/').next().filter(|name| name.starts_with("python")),
        _ => None,
    };
    let names: &[&str] = if tool == Tool::Uv { &["python", "python3"] } else { &[] };
    let mut names = called.iter().chain(names).map(|name| format!("{bin}/{name}"));
    match names.find(|name| below.get(name.trim_start_matches('/')).is_some()) {
        Some(python) => Scheme { python, ..own },
        None => own,
    }
}

/// A file of the image in which the tool may find settings that nobody has read here.
pub(super) fn settings_file(
    command: &InstallCommand,
    own: &Scheme,
    run: &Run,
    state: &StageState<'_>,
) -> Result<Option<String>> {
    let variable =
        |name: &str| run.env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let home = home(run, state)?.unwrap_or_default();
    let user = variable("XDG_CONFIG_HOME").map_or(format!("{home}/.config"), str::to_owned);
    let below = state.below()?;
    let is_there = |path: &String| below.resolve(path).is_some_and(|place| below.get(&place).is_some());
    let mut files = match command.installer {
        Installer::Pip if variable("PIP_CONFIG_FILE") == Some("/dev/null") => Vec::new(),
        Installer::Pip => vec![
            "/etc/pip.conf".to_owned(),
            "/etc/xdg/pip/pip.conf".to_owned(),
            format!("{home}/.pip/pip.conf"),
            format!("{user}/pip/pip.conf"),
            format!("{}/pip.conf", own.data.trim_end_matches('/')),
        ],
        Installer::Uv => vec!["/etc/uv/uv.toml".to_owned(), format!("{user}/uv/uv.toml")],
    };
    if command.installer == Installer::Uv {
        let folders = Path::new(&run.working_dir).ancestors();
        files.extend(folders.map(|folder| folder.join("uv.toml").display().to_string()));
    }
    Ok(files.into_iter().find(is_there))
}

/// Where a command's packages go.
pub(super) fn scheme(own: &Scheme, destination: &Destination, tool: Tool) -> Scheme {
    match destination {
        Destination::Default => own.clone(),
        Destination::Prefix(prefix) => own.with_prefix(prefix, tool),
        Destination::User(base) => own.with_user(base),
        Destination::Target(folder) => own.with_target(folder, tool),
    }
}

/// The Python whose packages count as installed for a command: pip sees those of its Python, uv those of the destination.
pub(super) fn library<'s>(
    own: &'s Scheme,
    destined: &'s Scheme,
    destination: &Destination,
    tool: Tool,
) -> Option<&'s str> {
    match (destination, tool) {
        (Destination::Default, _) | (Destination::Prefix(_) | Destination::User(_), Tool::Pip(_)) => {
            Some(&own.purelib)
        }
        (Destination::Target(_), Tool::Pip(_)) => None,
        (_, Tool::Uv) => Some(destined.library()),
    }
}

/// The distributions that are installed in a library, with what they need.
pub(super) fn distributions(below: &Below, library: &str) -> Vec<InstalledDistribution> {
    let library = library.trim_start_matches('/');
    let metadata = below.children(library).filter(|(path, _)| path.ends_with(".dist-info/METADATA"));
    metadata.filter_map(|(_, node)| InstalledDistribution::parse(node.extract()?)).collect()
}
