//! What a command asks for: requirement files are read from the stage or from what is mounted, lockfiles and folders of
//! wheels are copied to where uv can read them.

use std::io;
use std::path::Path;

use cartwheel_dockerfile::{CopyFrom, MountKind, Run};
use cartwheel_python::{Files, LockSelection, Requirements, ResolveSource};

use super::Reason;
use crate::error::{ErrorKind, Result};
use crate::execute::Engine;
use crate::recognise::{Asked, InstallCommand, Installer, RequirementFile, Selection};
use crate::scratch::Scratch;
use crate::stage::StageState;

/// The bind mounts of a command, as far as their files matter.
pub(super) struct Mounts<'m, 'a> {
    pub(super) run: &'m Run,
    pub(super) engine: &'m Engine<'a>,
}

impl Mounts<'_, '_> {
    /// A file that the command sees: of a mount, or of the stage.
    pub(super) fn read(&self, state: &StageState<'_>, path: &Path) -> io::Result<Vec<u8>> {
        let text = path.to_string_lossy();
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        for mount in self.run.mounts.iter().rev() {
            let Some(rest) = text.strip_prefix(mount.target.as_str()) else { continue };
            if !(rest.is_empty() || rest.starts_with('/')) {
                continue;
            }
            let MountKind::Bind { from, source } = &mount.kind else { return Err(missing()) };
            let CopyFrom::Context = from else {
                return Err(io::Error::other("it is mounted from another stage or image"));
            };
            let context = self.engine.workshop.contexts.get(None).map_err(io::Error::other)?;
            let place = format!("{}{rest}", source.trim_end_matches('/'));
            return context.read(&place).map_err(io::Error::other)?.ok_or_else(missing);
        }
        let found = state.read_bytes(&text).map_err(io::Error::other)?;
        found.ok_or_else(missing)
    }
}

/// What a command asks for, as resolving takes it. `scratch` must be there until that is done.
pub(super) fn asked(
    command: &InstallCommand,
    mounts: &Mounts<'_, '_>,
    state: &StageState<'_>,
    scratch: &Scratch,
) -> Result<Result<ResolveSource, Reason>> {
    let (words, wheels, files) = match &command.asked {
        Asked::Lock(selection) => return lock(selection, mounts, state, scratch).map(Ok),
        Asked::Requirements { words, wheels, files, .. } => (words, wheels, files),
    };
    if let (Some((place, _)), Installer::Uv) = (wheels.first(), command.installer) {
        return Ok(Err(format!("`{}` is a wheel of the image", place.path)));
    }
    let mut requirements = Requirements { options: command.options.clone(), ..Requirements::default() };
    for word in words {
        requirements.add(word.clone());
    }
    // Variables in requirement files are those that the command sees.
    let variable =
        |name: &str| mounts.run.env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let read = |path: &Path| mounts.read(state, path);
    let exists = |path: &Path| mounts.read(state, path).is_ok();
    let source = Files { read: &read, exists: &exists };
    for file in files {
        match file {
            RequirementFile::Requirements(place) => {
                requirements.add_file_from(source, Path::new(&place.path), false, &variable)?;
            }
            RequirementFile::Constraints(place) => {
                requirements.add_file_from(source, Path::new(&place.path), true, &variable)?;
            }
            RequirementFile::Project { place, .. } | RequirementFile::Pylock(place) => {
                return Ok(Err(format!("`{}` is no list of requirements", place.path)));
            }
        }
    }
    if let Err(reason) = copy_links(&mut requirements.options.find_links, mounts, state, scratch)? {
        return Ok(Err(reason));
    }
    Ok(Ok(ResolveSource::Requirements(requirements)))
}

/// Copies the wheels of the image's folders to where uv can read them, and the sources: uv has to know of them.
fn copy_links(
    links: &mut [String],
    mounts: &Mounts<'_, '_>,
    state: &StageState<'_>,
    scratch: &Scratch,
) -> Result<Result<(), Reason>> {
    for (number, link) in links.iter_mut().enumerate().filter(|(_, link)| !link.contains("://")) {
        let is_mounted = |mount: &cartwheel_dockerfile::Mount| Path::new(link).starts_with(&mount.target);
        if !link.starts_with('/') || mounts.run.mounts.iter().any(is_mounted) {
            return Ok(Err(format!("`{link}` is no folder of the image")));
        }
        let below = state.below()?;
        let Some(folder) = below.resolve(link) else { return Ok(Err(format!("`{link}` leads nowhere"))) };
        let copy = scratch.folder(&format!("links-{number}"))?;
        for (path, _) in below.children(&folder) {
            let name = path.get(folder.len()..).unwrap_or_default().trim_start_matches('/');
            let is_distribution = [".whl", ".tar.gz", ".zip"].iter().any(|ending| name.ends_with(ending));
            if !name.contains('/')
                && is_distribution
                && let Some(bytes) = state.read_bytes(path)?
            {
                let copied = copy.join(name);
                std::fs::write(&copied, bytes).map_err(crate::Error::io("write", &copied))?;
            }
        }
        *link = copy.display().to_string();
    }
    Ok(Ok(()))
}

/// A project's lockfile, copied to where uv can read it.
fn lock(
    selection: &Selection,
    mounts: &Mounts<'_, '_>,
    state: &StageState<'_>,
    scratch: &Scratch,
) -> Result<ResolveSource> {
    let project = scratch.folder("project")?;
    for name in ["uv.lock", "pyproject.toml"] {
        let path = format!("{}/{name}", selection.project.trim_end_matches('/'));
        let read = mounts.read(state, Path::new(&path));
        let bytes = read.map_err(|_| ErrorKind::SourceNotFound { path: path.clone() })?;
        let copied = project.join(name);
        std::fs::write(&copied, bytes).map_err(crate::Error::io("write", &copied))?;
    }
    let selection = LockSelection { options: selection.options.clone(), frozen: selection.frozen };
    Ok(ResolveSource::UvLock { project, selection })
}
