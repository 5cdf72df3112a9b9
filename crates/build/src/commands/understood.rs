//! Whether a command is understood: what recognition assumed is looked up in the stage.

use std::collections::BTreeMap;

use cartwheel_dockerfile::{MountKind, Network, Run};
use cartwheel_oci::Below;

use super::Reason;
use crate::error::Result;
use crate::recognise::{Assumption, Recognised, RunCommand, RunMount, Script, recognise};
use crate::stage::StageState;

/// What a command does, if it is understood and what it assumes is true.
pub(super) fn recognised(run: &Run, state: &StageState<'_>) -> Result<Result<Recognised, Reason>> {
    if run.file.is_some() {
        return Ok(Err("it is a script with a `#!` line".to_owned()));
    }
    if run.network == Network::None || run.insecure || !run.devices.is_empty() {
        return Ok(Err("it asks for a network, security or devices of its own".to_owned()));
    }
    let environment: BTreeMap<String, String> = run.env.iter().cloned().collect();
    let home = home(run, state)?;
    let mounts: Vec<RunMount> = run.mounts.iter().map(mount).collect();
    let script = match &run.script {
        Some(text) => Script::Shell { shell: &run.shell, text },
        None => Script::Exec(&run.argv),
    };
    let command = RunCommand {
        script,
        environment: &environment,
        working_dir: if run.working_dir.is_empty() { "/" } else { &run.working_dir },
        user: &run.user,
        home: home.as_deref(),
        mounts: &mounts,
    };
    let recognised = match recognise(&command) {
        Ok(recognised) => recognised,
        Err(not) => return Ok(Err(not.to_string())),
    };
    for assumption in &recognised.assumptions {
        if !holds(assumption, state.below()?) {
            return Ok(Err(match assumption {
                Assumption::Directory(path) => format!("`{path}` is no directory of the image"),
                Assumption::Absent(path) => format!("it removes `{path}`, which is there"),
                Assumption::Unmatched { pattern, .. } => format!("`{pattern}` is a pattern that files match"),
            }));
        }
    }
    Ok(Ok(recognised))
}

pub(super) fn home(run: &Run, state: &StageState<'_>) -> Result<Option<String>> {
    if let Some((_, home)) = run.env.iter().rev().find(|(name, _)| name == "HOME") {
        return Ok(Some(home.clone()));
    }
    let user = run.user.split(':').next().unwrap_or_default();
    let passwd = state.read("etc/passwd")?.unwrap_or_default();
    let is_user = |line: &&str| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next(), fields.nth(1));
        if user.is_empty() { number == Some("0") } else { name == Some(user) || number == Some(user) }
    };
    let home = passwd.lines().find(is_user).and_then(|line| line.split(':').nth(5)).map(str::to_owned);
    Ok(home.or_else(|| user.is_empty().then(|| "/root".to_owned())))
}

fn mount(mount: &cartwheel_dockerfile::Mount) -> RunMount {
    let target = mount.target.clone();
    match &mount.kind {
        MountKind::Bind { .. } => RunMount::Bind { target },
        MountKind::Cache { .. } => RunMount::Cache { target },
        MountKind::Tmpfs { .. } => RunMount::Unsupported("tmpfs".to_owned()),
        MountKind::Secret { .. } => RunMount::Unsupported("secret".to_owned()),
        MountKind::Ssh { .. } => RunMount::Unsupported("ssh".to_owned()),
    }
}

fn holds(assumption: &Assumption, below: &Below) -> bool {
    let at = |path: &str| below.resolve(path).and_then(|place| Some((below.get(&place)?, place)));
    match assumption {
        Assumption::Directory(path) => {
            path.trim_matches('/').is_empty() || at(path).is_some_and(|(node, _)| node.is_directory())
        }
        Assumption::Absent(path) => at(path).is_none(),
        Assumption::Unmatched { folder, pattern } => {
            let Some(folder) = below.resolve(folder) else { return false };
            let Some(glob) = cartwheel_dockerfile::Glob::parse(pattern) else { return true };
            let name =
                |path: &str| path.get(folder.len()..).unwrap_or_default().trim_start_matches('/').to_owned();
            !below.children(&folder).any(|(path, _)| glob.matches(&name(path)))
        }
    }
}
