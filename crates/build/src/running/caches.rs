//! Directories that outlive builds: those that `RUN --mount=type=cache` asks for, and those that are mounted unasked.
//!
//! The unasked ones are for programs that download. They lie where no image has anything, and variables or a configuration
//! file lead the programs there: so a command that removes its own caches (`rm -rf ~/.cache`, `/var/lib/apt/lists/*`)
//! leaves the image as Docker would, and the cache stays.
//!
//! apt is special. Its lists are led away only if the command removes them itself: later commands may count on them, in
//! Docker they are in a layer. What it downloads is kept under a second name, for `apt-get clean` and the images' own
//! hooks remove the first.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use cartwheel_dockerfile::{FileAccess, MountKind, Run, Sharing};
use cartwheel_sandbox::Mount;
use cartwheel_store::{Digest, Store};

use crate::error::{Error, Result};

/// Where automatic caches are mounted.
pub(crate) const PLACE: &str = "/run/cartwheel";

/// A directory that outlives builds, while a command uses it.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Says to others that it is in use.
    _lock: File,
}

/// Which cache, and how it is used.
#[derive(Clone, Copy)]
pub(super) struct CacheAsked<'a> {
    /// By what it is found again.
    pub(super) name: &'a str,
    /// What to do when another command uses it.
    pub(super) sharing: Sharing,
    /// Mode and owner of the directory when it is new.
    pub(super) access: FileAccess,
    /// Whether it begins anew, whatever is in it: `--no-cache` empties the caches of the steps that it repeats, as
    /// BuildKit does.
    pub(super) anew: bool,
}

impl Cache {
    /// The cache that was asked for; if there is none, it is made, and `fill` puts into it what it begins with.
    pub(super) fn open(
        store: &Store,
        asked: CacheAsked<'_>,
        fill: impl Fn(&Path) -> Result<()>,
    ) -> Result<Self> {
        let root = store.root().join("mounts");
        fs::create_dir_all(&root).map_err(Error::io("create", &root))?;
        let name = Digest::of(asked.name.as_bytes()).hex();
        let mut number = 0;
        loop {
            let path = root.join(format!("{name}.{number}"));
            let lock_path = path.with_extension(format!("{number}.lock"));
            let lock = File::create(&lock_path).map_err(Error::io("create", &lock_path))?;
            let failed = || Error::io("lock", &lock_path);
            if asked.sharing == Sharing::Private && lock.try_lock().is_err() {
                number += 1;
                continue;
            }
            if asked.anew || !path.is_dir() {
                lock.lock().map_err(failed())?;
                make(&path, asked, &fill)?;
            }
            match asked.sharing {
                Sharing::Shared => lock.lock_shared().map_err(failed())?,
                Sharing::Locked => lock.lock().map_err(failed())?,
                Sharing::Private => {}
            }
            // Whoever clears caches may have come between two locks.
            if path.is_dir() {
                return Ok(Self { name: asked.name.to_owned(), path, _lock: lock });
            }
        }
    }
}

/// Makes the directory, unless it is there. It is there only when it is whole.
fn make(path: &Path, asked: CacheAsked<'_>, fill: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let CacheAsked { access, anew, .. } = asked;
    if path.is_dir() && !anew {
        return Ok(());
    }
    let (new, old) = (path.with_extension("new"), path.with_extension("old"));
    if path.is_dir() {
        fs::rename(path, &old).map_err(Error::io("empty", path))?;
    }
    for left in [&new, &old].into_iter().filter(|left| left.exists()) {
        fs::remove_dir_all(left).map_err(Error::io("remove", left))?;
    }
    fs::create_dir(&new).map_err(Error::io("create", &new))?;
    fill(&new)?;
    chown(&new, access.uid.or(Some(0)), access.gid.or(Some(0))).map_err(Error::io("give away", &new))?;
    let mode = Permissions::from_mode(access.mode.unwrap_or(0o755));
    fs::set_permissions(&new, mode).map_err(Error::io("change", &new))?;
    fs::rename(&new, path).map_err(Error::io("publish", path))
}

/// What a command gets unasked: mounts, variables that it does not set itself, and the caches that stay locked meanwhile.
#[derive(Debug, Default)]
pub(super) struct Automatic {
    pub(super) mounts: Vec<Mount>,
    pub(super) variables: Vec<(&'static str, String)>,
    pub(super) caches: Vec<Cache>,
}

/// The programs whose caches a variable moves.
const MOVED: [(&str, &str); 3] =
    [("pip", "PIP_CACHE_DIR"), ("uv", "UV_CACHE_DIR"), ("npm", "npm_config_cache")];

impl Automatic {
    /// What `run` gets, as the user and group of these numbers. `has_apt` says whether the image has apt's configuration.
    pub(super) fn new(store: &Store, run: &Run, owner: (u32, u32), has_apt: bool) -> Result<Self> {
        let mut automatic = Self::default();
        let text = run.argv.join(" ") + run.file.as_ref().map_or("", |file| &file.content);
        for (program, variable) in MOVED {
            let is_set = run.env.iter().any(|(name, _)| name == variable);
            // Who empties a cache means the one in the image.
            let empties = ["purge", "clean", "remove", "prune"].iter().any(|word| text.contains(word));
            if is_set || (empties && text.contains("cache")) {
                continue;
            }
            let access = FileAccess { mode: None, uid: Some(owner.0), gid: Some(owner.1) };
            let name = format!("automatic {program} {}", owner.0);
            let asked = CacheAsked { name: &name, sharing: Sharing::Shared, access, anew: false };
            let cache = Cache::open(store, asked, |_| Ok(()))?;
            automatic.add(program, cache);
            automatic.variables.push((variable, format!("{PLACE}/{program}")));
        }
        // Another file system than the packages': uv would warn that it cannot make hard links.
        automatic.variables.push(("UV_LINK_MODE", "copy".to_owned()));
        if has_apt && owner.0 == 0 && text.contains("apt") && !mounts_apt(run) {
            automatic.add_apt(store, text.contains("/var/lib/apt/lists"))?;
        }
        Ok(automatic)
    }

    fn add(&mut self, program: &str, cache: Cache) {
        let target = Path::new(PLACE).join(program);
        self.mounts.push(Mount::Bind { source: cache.path.clone(), target, read_only: false });
        self.caches.push(cache);
    }

    fn add_apt(&mut self, store: &Store, removes_lists: bool) -> Result<()> {
        let access = FileAccess::default();
        let asked = CacheAsked { name: "automatic apt", sharing: Sharing::Locked, access, anew: false };
        let cache = Cache::open(store, asked, |_| Ok(()))?;
        for name in ["lists/partial", "archives/partial", "kept"] {
            let path = cache.path.join(name);
            fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        }
        for kept in fs::read_dir(cache.path.join("kept")).into_iter().flatten().flatten() {
            // It is there already, or apt downloads it again.
            let _ = fs::hard_link(kept.path(), cache.path.join("archives").join(kept.file_name()));
        }
        self.add("apt", cache);
        let content = apt_settings(removes_lists).into_bytes();
        let target = "/etc/apt/apt.conf.d/zz-cartwheel".into();
        self.mounts.push(Mount::File { target, content, mode: 0o644, uid: 0, gid: 0 });
        Ok(())
    }
}

/// Whether the command has caches for apt of its own.
fn mounts_apt(run: &Run) -> bool {
    let is_apts = |target: &str| target.starts_with("/var/cache/apt") || target.starts_with("/var/lib/apt");
    run.mounts.iter().any(|mount| matches!(mount.kind, MountKind::Cache { .. }) && is_apts(&mount.target))
}

fn apt_settings(removes_lists: bool) -> String {
    let lists = format!("Dir::State::lists \"{PLACE}/apt/lists/\";\n");
    let keep = format!("ln -f {PLACE}/apt/archives/*.deb {PLACE}/apt/kept/ 2>/dev/null || true");
    format!(
        "{}Dir::Cache::archives \"{PLACE}/apt/archives/\";\n\
         APT::Keep-Downloaded-Packages \"true\";\n\
         Binary::apt::APT::Keep-Downloaded-Packages \"true\";\n\
         DPkg::Pre-Invoke {{ \"{keep}\"; }};\n",
        if removes_lists { &lists } else { "" }
    )
}
