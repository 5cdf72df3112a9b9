//! The base image: what `python:3.13-slim` is to a build, made from Debian's packages.
//!
//! Two layers, as a build sees them in the official image: a slim Debian with the libraries that Python needs, and
//! `/usr/local` with a CPython compiled for that prefix. A virtual environment at `/usr/local` would be quicker to
//! make, but differs where it matters to an installer: it has a `pyvenv.cfg` and another folder for headers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian::System;
use crate::layout::{self, Image};
use crate::project::Project;
use crate::{Result, command, project};

const SUITE: &str = "trixie";

/// What the official slim image installs, and the libraries that CPython's extension modules link to.
const LIBRARIES: &[&str] = &[
    "ca-certificates",
    "netbase",
    "tzdata",
    "libbz2-1.0",
    "libffi8",
    "liblzma5",
    "libncursesw6",
    "libreadline8t64",
    "libsqlite3-0",
    "libssl3t64",
    "libuuid1",
    "zlib1g",
];

const BUILD: &[&str] = &[
    "gcc",
    "libc6-dev",
    "make",
    "pkgconf",
    "dpkg-dev",
    "ca-certificates",
    "libbz2-dev",
    "libffi-dev",
    "liblzma-dev",
    "libncurses-dev",
    "libreadline-dev",
    "libsqlite3-dev",
    "libssl-dev",
    "uuid-dev",
    "zlib1g-dev",
];

/// What a slim image leaves out of the packages it installs.
const SLIM: &[&str] = &[
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
];

const COMPILE: &str = include_str!("../recipes/compile-python.sh");

/// The image as an OCI layout (`python-slim`) and unpacked (`python-slim-rootfs`), to change root into.
///
/// The unpacked one is shared by all checkouts: mount an overlay over it before anything is written there.
pub(crate) fn provide(project: &Project) -> Result {
    let recipe = [&[SUITE, COMPILE, layout::RECIPE], LIBRARIES, BUILD, SLIM].concat();
    let image = project.provide("python-slim", &recipe, make)?;
    project.publish("python-slim", &image.join("layout"))?;
    project.publish("python-slim-rootfs", &image.join("rootfs"))
}

fn make(folder: &Path) -> Result {
    project::require_root("making the base image")?;
    println!(
        "about to install from Debian {SUITE}'s packages, into a folder: {}\n\
         and into one that is thrown away when CPython is compiled (some minutes): {}",
        LIBRARIES.join(" "),
        BUILD.join(" ")
    );
    let rootfs = folder.join("rootfs");
    let options: Vec<String> = SLIM.iter().map(|filter| format!("--dpkgopt={filter}")).collect();
    let debian = System { suite: SUITE, packages: LIBRARIES, sources: false, options: &options };
    debian.make(Some(&rootfs), folder)?;
    let debian = layout::tar(&rootfs, ".", &folder.join("debian.tar"))?;

    let version = compile_python(folder, &rootfs.join("usr/local"))?;
    let python = layout::tar(&rootfs, "usr/local", &folder.join("python.tar"))?;
    let image = Image { python_version: &version, layers: &[debian.clone(), python.clone()] };
    image.write(&folder.join("layout"))?;
    fs::remove_file(debian)?;
    fs::remove_file(python)?;
    Ok(())
}

/// Compiles into a build system that is thrown away, copies its `/usr/local` out, and returns the version.
fn compile_python(folder: &Path, local: &Path) -> Result<String> {
    let script = folder.join("compile-python.sh");
    fs::write(&script, COMPILE)?;
    command::quiet(Command::new("chmod").arg("+x").arg(&script))?;
    let hook = |what: String| format!("--customize-hook={what}");
    let out = hook(format!("sync-out /usr/local {}", local.display()));
    let options = [hook(script.display().to_string()), out];
    System { suite: SUITE, packages: BUILD, sources: true, options: &options }.make(None, folder)?;
    let version: PathBuf = local.join("python-version");
    let text = fs::read_to_string(&version)?;
    fs::remove_file(version)?;
    fs::remove_file(script)?;
    Ok(text.trim().to_owned())
}
