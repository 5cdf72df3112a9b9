//! What a command sees beside its root file system.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use cartwheel_dockerfile::{FileAccess, InlineFile, Mount as Asked, MountKind, Run};
use cartwheel_oci::layer::Kind;
use cartwheel_oci::{Below, Node};
use cartwheel_sandbox::{Mount, Sandbox};
use cartwheel_store::{Digest, Store};

use super::caches::{Automatic, Cache, CacheAsked};
use super::put_default;
use crate::copy::{Choice, Picked, select};
use crate::error::{Error, ErrorKind, Result};
use crate::execute::{At, Engine};
use crate::graph::CopyFrom;
use crate::owner::ProcessUser;
use crate::scratch::Scratch;
use crate::sources::Origin;
use crate::stage::StageState;

/// The mounts of one command, and what must live as long as it runs.
#[derive(Debug, Default)]
pub(super) struct Mounted {
    mounts: Vec<Mount>,
    variables: Vec<(String, String)>,
    /// Variables that the command gets unless it sets them.
    defaults: Vec<(&'static str, String)>,
    caches: Vec<Cache>,
}

/// Names what is mounted, for the chain: of contexts the content, of stages and images what they are made of, of caches,
/// secrets and sockets only where they come to lie.
pub(crate) fn name_mounts<'a>(
    engine: &Engine<'a>,
    at: At<'_>,
    (run, from): (&Run, &[CopyFrom]),
    done: &[StageState<'a>],
) -> Result<String> {
    let mut names = Vec::new();
    for (mount, from) in run.mounts.iter().zip(from) {
        let origin = engine.origin(from, &at.stage.platform, done)?;
        names.push(match &mount.kind {
            MountKind::Bind { source, .. } => format!(
                "bind {} {} {source} {}",
                mount.target,
                origin.name(engine.workshop.store, source)?,
                mount.read_only
            ),
            MountKind::Cache { id, source, access, .. } => {
                let name = cache_name(&origin, engine.workshop.store, (id, source, *access))?;
                format!("cache {} {name}", mount.target)
            }
            MountKind::Tmpfs { .. } => format!("tmpfs {}", mount.target),
            MountKind::Secret { id, env, .. } => {
                format!("secret {} {id} {}", mount.target, env.as_deref().unwrap_or_default())
            }
            MountKind::Ssh { id, .. } => format!("ssh {} {id}", mount.target),
        });
    }
    Ok(names.join("\0"))
}

/// What a cache is found by: caches that begin with other files, or belong to others, are other caches.
fn cache_name(
    origin: &Origin<'_, '_>,
    store: &Store,
    (id, source, access): (&str, &str, FileAccess),
) -> Result<String> {
    let begins = match origin {
        Origin::Nothing => String::new(),
        origin => origin.name(store, source)?,
    };
    let FileAccess { mode, uid, gid } = access;
    let number = |value: Option<u32>| value.map_or("-".to_owned(), |value| format!("{value:o}"));
    Ok(format!("{id}\0{begins}\0{source}\0{} {} {}", number(mode), number(uid), number(gid)))
}

impl Mounted {
    pub(super) fn new<'a>(
        engine: &Engine<'a>,
        at: At<'_>,
        (run, from): (&Run, &[CopyFrom]),
        done: &[StageState<'a>],
        scratch: &Scratch,
    ) -> Result<Self> {
        let mut mounted = Self::default();
        for (number, (mount, from)) in run.mounts.iter().zip(from).enumerate() {
            let origin = engine.origin(from, &at.stage.platform, done)?;
            match &mount.kind {
                MountKind::Bind { source, .. } => {
                    let folder = scratch.folder(&format!("mount-{number}"))?;
                    let source = origin.write(engine.workshop.store, source, &folder)?;
                    mounted.bind(mount, source);
                }
                MountKind::Cache { .. } => {
                    mounted.cache(engine.workshop.store, mount, &origin, engine.is_anew(at.stage))?;
                }
                MountKind::Tmpfs { size } => mounted.mounts.push(Mount::Tmpfs {
                    target: mount.target.clone().into(),
                    size: *size,
                    mode: 0o1777,
                }),
                MountKind::Secret { .. } => mounted.secret(mount, engine)?,
                MountKind::Ssh { .. } => mounted.agent(number, mount, engine)?,
            }
        }
        if let Some(file) = &run.file {
            mounted.script(file, scratch)?;
        }
        Ok(mounted)
    }

    /// Adds the caches that nobody asked for.
    pub(super) fn add_automatic(
        &mut self,
        store: &Store,
        run: &Run,
        user: &ProcessUser,
        below: &Below,
    ) -> Result<()> {
        let has_apt = below.get("etc/apt/apt.conf.d").is_some_and(Node::is_directory);
        let automatic = Automatic::new(store, run, (user.uid, user.gid), has_apt)?;
        self.mounts.extend(automatic.mounts);
        self.defaults = automatic.variables;
        self.caches.extend(automatic.caches);
        Ok(())
    }

    pub(super) fn put_into(&self, sandbox: &mut Sandbox) {
        sandbox.mounts.extend(self.mounts.iter().cloned());
        sandbox.env.extend(self.variables.iter().cloned());
        for (name, value) in &self.defaults {
            put_default(&mut sandbox.env, name, value);
        }
    }

    fn bind(&mut self, mount: &Asked, source: PathBuf) {
        let target = mount.target.clone().into();
        self.mounts.push(Mount::Bind { source, target, read_only: mount.read_only });
    }

    fn cache(&mut self, store: &Store, mount: &Asked, origin: &Origin<'_, '_>, anew: bool) -> Result<()> {
        let MountKind::Cache { source, id, sharing, access, .. } = &mount.kind else { return Ok(()) };
        let name = cache_name(origin, store, (id, source, *access))?;
        // A command that has one cache in two places would wait for itself.
        if let Some(open) = self.caches.iter().find(|cache| cache.name == name) {
            self.bind(mount, open.path.clone());
            return Ok(());
        }
        let asked = CacheAsked { name: &name, sharing: *sharing, access: *access, anew };
        let cache = Cache::open(store, asked, |folder| origin.write(store, source, folder).map(drop))?;
        self.bind(mount, cache.path.clone());
        self.caches.push(cache);
        Ok(())
    }

    fn secret(&mut self, mount: &Asked, engine: &Engine<'_>) -> Result<()> {
        let MountKind::Secret { id, env, required, access } = &mount.kind else { return Ok(()) };
        let Some(content) = engine.options.run.secrets.get(id) else {
            if *required {
                return Err(ErrorKind::NoSecret { id: id.clone() }.into());
            }
            return Ok(());
        };
        if let Some(name) = env {
            self.variables.push((name.clone(), String::from_utf8_lossy(content).into_owned()));
        }
        if !mount.target.is_empty() {
            self.mounts.push(Mount::File {
                target: mount.target.clone().into(),
                content: content.clone(),
                mode: access.mode.unwrap_or(0o400),
                uid: access.uid.unwrap_or(0),
                gid: access.gid.unwrap_or(0),
            });
        }
        Ok(())
    }

    fn agent(&mut self, number: usize, mount: &Asked, engine: &Engine<'_>) -> Result<()> {
        let MountKind::Ssh { id, required, .. } = &mount.kind else { return Ok(()) };
        let Some(socket) = engine.options.run.agents.get(id) else {
            if *required {
                return Err(ErrorKind::NoAgent { id: id.clone() }.into());
            }
            return Ok(());
        };
        let default = format!("/run/buildkit/ssh_agent.{number}");
        let target = if mount.target.is_empty() { default } else { mount.target.clone() };
        self.variables.push(("SSH_AUTH_SOCK".to_owned(), target.clone()));
        self.mounts.push(Mount::Bind { source: socket.clone(), target: target.into(), read_only: false });
        Ok(())
    }

    /// A heredoc that is a program.
    fn script(&mut self, file: &InlineFile, scratch: &Scratch) -> Result<()> {
        let path = scratch.folder("script")?.join("script");
        fs::write(&path, &file.content).map_err(Error::io("write", &path))?;
        let mode = Permissions::from_mode(0o755);
        fs::set_permissions(&path, mode).map_err(Error::io("change", &path))?;
        let target = file.name.clone().into();
        self.mounts.push(Mount::Bind { source: path, target, read_only: true });
        Ok(())
    }
}

impl Origin<'_, '_> {
    /// Names what is at `path`.
    fn name(&self, store: &Store, path: &str) -> Result<String> {
        Ok(match self {
            Self::Context(context) => context.name(store, path)?.to_string(),
            Self::Stage(stage) => stage.chain.to_string(),
            Self::Image(stage) => stage.chain.to_string(),
            Self::Nothing => Digest::of(b"nothing").to_string(),
        })
    }

    /// Writes what is at `path` into an empty directory; gives where the very file or directory is.
    fn write(&self, store: &Store, path: &str, folder: &Path) -> Result<PathBuf> {
        let mut target = folder.to_owned();
        for picked in &self.picked(store, path)? {
            if !picked.is_directory {
                target = folder.join(&picked.name);
            }
            write(picked, folder)?;
        }
        Ok(target)
    }

    fn picked(&self, store: &Store, path: &str) -> Result<Vec<Picked>> {
        let mut all = select(&*self.files()?, path, &Choice::default())?;
        all.iter_mut().try_for_each(|picked| self.fill(store, picked))?;
        Ok(all)
    }
}

fn write(picked: &Picked, folder: &Path) -> Result<()> {
    let mut first_names: HashMap<u64, PathBuf> = HashMap::new();
    let mut directories = Vec::new();
    for file in &picked.files {
        let path = if file.path.is_empty() { folder.join(&picked.name) } else { folder.join(&file.path) };
        let entry = &file.node.entry;
        if let Some(first) = file.node.inode.and_then(|inode| first_names.get(&inode)) {
            fs::hard_link(first, &path).map_err(Error::io("link", &path))?;
            continue;
        }
        if let Some(inode) = file.node.inode {
            first_names.insert(inode, path.clone());
        }
        match &entry.kind {
            Kind::Directory => {
                fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
                directories.push((path.clone(), entry.mode));
            }
            Kind::Symlink { target } => symlink(target, &path).map_err(Error::io("create", &path))?,
            Kind::File(content) => {
                let failed = |source| ErrorKind::Layer { what: format!("`{}`", file.place), source };
                let mut reader = content.reader().map_err(failed)?;
                let mut out = File::create(&path).map_err(Error::io("create", &path))?;
                io::copy(&mut reader, &mut out).map_err(Error::io("write", &path))?;
                let mode = Permissions::from_mode(entry.mode);
                out.set_permissions(mode).map_err(Error::io("change", &path))?;
            }
            // Devices and pipes of an image are no files to mount.
            _ => continue,
        }
        lchown(&path, Some(entry.uid), Some(entry.gid)).map_err(Error::io("give away", &path))?;
    }
    for (path, mode) in directories.into_iter().rev() {
        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(Error::io("change", &path))?;
    }
    Ok(())
}
