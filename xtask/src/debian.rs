//! Debian's packages: on this machine by apt, and whole systems in a folder by mmdebstrap.

use std::path::Path;
use std::process::Command;
use std::sync::Once;

use crate::{Result, command, project};

/// Installs those of `packages` that are missing, after saying so and what for.
pub(crate) fn install(packages: &[&str], purpose: &str) -> Result {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("about to install from Debian's packages, for {purpose}: {}", missing.join(" "));
    project::require_root(purpose)?;
    update();
    let mut apt = apt_get("install");
    command::quiet(apt.args(["--yes", "--no-install-recommends"]).args(missing))
}

fn is_installed(package: &str) -> bool {
    let status = ["--show", "--showformat=${db:Status-Status}", package];
    command::output(Command::new("dpkg-query").args(status)).is_ok_and(|status| status == "installed")
}

/// Refreshes apt's lists, once. A list of another vendor that cannot be had is no obstacle; a missing package will be.
fn update() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Err(error) = command::quiet(&mut apt_get("update")) {
            eprintln!("warning: {error}");
        }
    });
}

fn apt_get(verb: &str) -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").args([verb, "--quiet", "-o", "DPkg::Lock::Timeout=300"]);
    apt
}

/// A Debian system to be made in a folder.
pub(crate) struct System<'a> {
    /// `trixie`, `sid`.
    pub(crate) suite: &'a str,
    /// What it has beside the essential packages.
    pub(crate) packages: &'a [&'a str],
    /// Whether apt in it knows the source packages.
    pub(crate) sources: bool,
    /// More options of mmdebstrap: hooks, dpkg's path filters.
    pub(crate) options: &'a [String],
}

impl System<'_> {
    /// Makes it in `folder`; `None` keeps nothing but what the hooks take out.
    pub(crate) fn make(&self, folder: Option<&Path>, temporary: &Path) -> Result {
        install(&["mmdebstrap"], "Debian systems in a folder")?;
        let mirror = mirror()?;
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap.env("TMPDIR", temporary).args(["--variant=minbase", "--mode=root"]);
        // A mirror that is a little behind is fine for fixtures; the signatures are checked all the same.
        mmdebstrap.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
        mmdebstrap.arg(format!("--include={}", self.packages.join(","))).args(self.options);
        match folder {
            Some(folder) => mmdebstrap.arg("--format=directory").arg(self.suite).arg(folder),
            None => mmdebstrap.args(["--format=null", self.suite, "-"]),
        };
        mmdebstrap.arg(format!("deb {mirror} {} main", self.suite));
        if self.sources {
            mmdebstrap.arg(format!("deb-src {mirror} {} main", self.suite));
        }
        command::quiet(&mut mmdebstrap)
    }
}

/// The mirror of Debian's main archive that this machine's apt is set up with.
fn mirror() -> Result<String> {
    let configured = || -> Result<Option<String>> {
        let format = ["indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"];
        let targets = command::output(Command::new("apt-get").args(format))?;
        Ok(targets.lines().find_map(|line| line.strip_prefix("Debian ")).map(str::to_owned))
    };
    if let Some(mirror) = configured()? {
        return Ok(mirror);
    }
    update(); // the label comes from the archive's Release file
    configured()?.ok_or_else(|| "this machine's apt sources name no Debian archive".into())
}
