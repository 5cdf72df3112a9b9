//! What everybody does today: install, tar, compress.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Result;

/// `pip install` of the wheels, and `tar | gzip -6` of what it left.
pub(crate) fn pip_tar_gzip(python: &Path, wheels: &[PathBuf]) -> Result<Duration> {
    let beside = std::env::current_exe()?;
    let folder = tempfile::tempdir_in(beside.parent().ok_or("the executable is in a folder")?)?;
    let started = Instant::now();
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
        "--no-index",
        "--ignore-requires-python",
    ]);
    pip.args(["--python-version", "3.13", "--only-binary", ":all:", "--implementation", "cp"]);
    pip.args([
        "--platform",
        "manylinux_2_28_x86_64",
        "--platform",
        "manylinux_2_27_x86_64",
        "--platform",
        "manylinux_2_24_x86_64",
    ]);
    pip.args(["--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_34_x86_64", "--target"]);
    run(pip.arg(folder.path().join("installed")).args(wheels))?;
    run(Command::new("sh")
        .current_dir(folder.path())
        .args(["-c", "tar -cf - installed | gzip -6 > layer.tar.gz"]))?;
    Ok(started.elapsed())
}

fn run(command: &mut Command) -> Result {
    let output = command.output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
    }
}
