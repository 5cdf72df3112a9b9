//! `fuzz`: a target of `fuzz/`, for so many seconds.
//!
//! Without `cargo fuzz` and without a nightly toolchain: libFuzzer comes with its crate, and what it needs of the
//! compiler (coverage counters, the address sanitizer) is in every release, locked away for the unwary only.

use std::fs;
use std::process::Command;

use crate::project::Project;
use crate::{Result, command, debian, test};

/// What `cargo fuzz` passes too: counters at every edge, a table of their places, and what comparisons compare.
const INSTRUMENTATION: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    -Ccodegen-units=1 -Zsanitizer=address";

/// Sanitized code must not be mixed with build scripts and macros, so the target is named.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the target and runs it; what breaks it is kept in `fuzz/artifacts`, what was learnt in `fuzz/corpus`.
pub(crate) fn run(project: &Project, target: &str, seconds: &str) -> Result {
    if !command::succeeds(Command::new("c++").arg("--version")) {
        debian::install(&["g++"], "libFuzzer, which is C++")?;
    }
    let fuzz = project.root().join("fuzz");
    let corpus = fuzz.join("corpus").join(target);
    let artifacts = fuzz.join("artifacts").join(target);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    command::shown(build(project, "seeds").args(["--", target]).arg(&corpus))?;
    let mut cargo = build(project, target);
    // In memory: an input is a file, written thousands of times a second.
    cargo.env("TMPDIR", "/dev/shm").arg("--").arg(&corpus);
    cargo.arg(format!("-artifact_prefix={}/", artifacts.display()));
    cargo.args([
        &format!("-max_total_time={seconds}"),
        "-max_len=16384",
        "-rss_limit_mb=2048",
        "-malloc_limit_mb=256",
        "-timeout=25",
        "-print_final_stats=1",
    ]);
    command::shown(&mut cargo)
}

/// `cargo run` for a program of `fuzz/`: what writes the seeds is built as the targets are, so that all is built once.
fn build(project: &Project, program: &str) -> Command {
    let fuzz = project.root().join("fuzz");
    let mut cargo = test::cargo(project);
    cargo.args(["run", "--release", "--target", TARGET, "--manifest-path"]).arg(fuzz.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(fuzz.join("target")).args(["--bin", program]);
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", INSTRUMENTATION);
    cargo
}
