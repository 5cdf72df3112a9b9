//! The wheel sets: real wheels of several weights, for CPython 3.13 on x86-64 Linux, each pinned in `wheels/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::project::Project;
use crate::{Result, command, tools};

/// A pinned list of wheels.
pub(crate) struct WheelSet {
    name: &'static str,
    requirements: &'static str,
}

pub(crate) const LIGHT: WheelSet =
    WheelSet { name: "light", requirements: include_str!("../wheels/light.txt") };
pub(crate) const MEDIUM: WheelSet =
    WheelSet { name: "medium", requirements: include_str!("../wheels/medium.txt") };
/// What the example's Dockerfile upgrades before it installs anything.
pub(crate) const INSTALLERS: WheelSet =
    WheelSet { name: "installers", requirements: include_str!("../wheels/installers.txt") };
pub(crate) const FULL: WheelSet = WheelSet { name: "full", requirements: include_str!("../wheels/full.txt") };

/// The C library of the base image, and the oldest that a wheel can name.
const GLIBC: std::ops::RangeInclusive<u32> = 5..=41;

impl WheelSet {
    /// The set's wheels, as files in `target/fixtures/wheels/<name>`: that folder.
    pub(crate) fn provide(&self, project: &Project, tools: &Path) -> Result<PathBuf> {
        let recipe = [self.requirements, "wheels 1"];
        let make = |folder: &Path| self.download(folder, tools);
        let wheels = project.provide(&format!("wheels-{}", self.name), &recipe, make)?;
        project.publish(&format!("wheels/{}", self.name), &wheels)?;
        Ok(wheels)
    }

    fn download(&self, folder: &Path, tools: &Path) -> Result {
        let wheels: Vec<&str> = self.requirements.lines().filter(|line| !line.starts_with('#')).collect();
        println!("about to download from the package index: {}", wheels.join(" "));
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, self.requirements)?;
        let mut pip = tools::pip(tools);
        pip.args(["download", "--no-deps", "--only-binary=:all:", "--python-version=3.13"]);
        // pip takes platforms as they are given, each alone: a C library does not stand for the older ones.
        pip.args(GLIBC.rev().map(|minor| format!("--platform=manylinux_2_{minor}_x86_64")));
        pip.args(["2014", "2010", "1"].map(|year| format!("--platform=manylinux{year}_x86_64")));
        pip.arg("--requirement").arg(&requirements).arg("--dest").arg(folder);
        command::quiet(&mut pip)?;
        Ok(fs::remove_file(requirements)?)
    }
}
