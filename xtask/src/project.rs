//! Where the checkout and the cache lie, and how a fixture comes to be there whole or not at all.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, command};

/// The folder of the cache whose recipes this program knows; another meaning of its content takes another number.
const CACHE: &str = "cartwheel-xtask/v1";

/// This checkout, and the cache that all checkouts share.
pub(crate) struct Project {
    root: PathBuf,
    cache: PathBuf,
}

impl Project {
    pub(crate) fn find() -> Result<Self> {
        // As cargo says now: clones with one target folder share this program, whichever of them compiled it.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let manifest = manifest.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = manifest.parent().ok_or("xtask lies in no workspace")?.to_owned();
        let caches = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
            (Some(caches), _) if !caches.is_empty() => PathBuf::from(caches),
            (_, Some(home)) => PathBuf::from(home).join(".cache"),
            _ => return Err("neither `XDG_CACHE_HOME` nor `HOME` is set".into()),
        };
        Ok(Self { root, cache: caches.join(CACHE) })
    }

    /// The checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> PathBuf {
        let default = || self.root.join("target");
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(default, |folder| self.root.join(folder))
    }

    /// What tests, demo and bench read.
    pub(crate) fn fixtures(&self) -> PathBuf {
        self.root.join("target/fixtures")
    }

    /// The cached folder `name` of this recipe, made by `make` (in a folder of another name) if it is not there.
    pub(crate) fn provide(
        &self,
        name: &str,
        recipe: &[&str],
        make: impl FnOnce(&Path) -> Result,
    ) -> Result<PathBuf> {
        let finished = self.cache.join(format!("{name}-{:016x}", digest(recipe)));
        if finished.is_dir() {
            return Ok(finished);
        }
        fs::create_dir_all(&self.cache)?;
        let lock = File::create(self.cache.join("lock"))?;
        lock.lock()?; // another checkout may be making the same
        if finished.is_dir() {
            return Ok(finished);
        }
        let unfinished = self.cache.join(format!("{name}.unfinished"));
        remove(&unfinished)?;
        fs::create_dir_all(&unfinished)?;
        let started = std::time::Instant::now();
        println!("{name}: being made; kept in {}", finished.display());
        make(&unfinished).map_err(|error| format!("{name}: {error}"))?;
        fs::rename(&unfinished, &finished)?;
        println!("{name}: made in {:.0?}", started.elapsed());
        Ok(finished)
    }

    /// Makes `target/fixtures/<name>` a link to `content`.
    pub(crate) fn publish(&self, name: &str, content: &Path) -> Result {
        let link = self.fixtures().join(name);
        if fs::read_link(&link).is_ok_and(|target| target == content) {
            return Ok(());
        }
        fs::create_dir_all(link.parent().unwrap_or(&self.root))?;
        let new = link.with_extension(format!("{}.new", std::process::id()));
        symlink(content, &new)?;
        fs::rename(&new, &link)
            .map_err(|error| format!("could not place `{}`: {error}", link.display()).into())
    }
}

/// Removes a folder; never crosses into another file system, should a killed run have left one mounted there.
pub(crate) fn remove(folder: &Path) -> Result {
    command::quiet(Command::new("rm").args(["-rf", "--one-file-system"]).arg(folder))
}

/// An error that names `what` unless this process may mount, chroot and install.
pub(crate) fn require_root(what: &str) -> Result {
    match fs::metadata("/proc/self")?.uid() {
        0 => Ok(()),
        _ => Err(format!("{what} needs root: it installs packages, mounts and changes root; run it as root")
            .into()),
    }
}

/// FNV-1a over the parts of a recipe, each ended: short, and the same in every build of this program.
fn digest(recipe: &[&str]) -> u64 {
    let bytes = recipe.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipes_parts_do_not_run_together() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }
}
