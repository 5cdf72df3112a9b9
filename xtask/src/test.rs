//! `test`: every test, with the real tools beside it; `peers`: any command with them.

use std::path::PathBuf;
use std::process::Command;

use crate::peers::Peers;
use crate::project::Project;
use crate::{Result, command, fixtures, oracle};

/// Provides fixtures and peers, runs every test of the workspace, and then the oracle. The program is built on the way, in the tests' own
/// profile: building it alone would choose other features of its dependencies, and compile most of them twice.
///
/// `options` go to `cargo test` in place of `--workspace`: `cargo xtask test -p cartwheel-oci`. Tests that need a
/// peer are `#[ignore]`d, so that a bare `cargo test` passes anywhere; here none is left out.
pub(crate) fn run(project: &Project, options: &[&str]) -> Result {
    fixtures::run(project, false)?;
    let peers = Peers::start(project)?;
    let mut test = cargo(project);
    let what = if options.is_empty() { &["--workspace"] } else { options };
    test.args(["test", "--no-fail-fast"]).args(what).args(["--", "--include-ignored"]);
    command::shown(tell(&mut test, project, &peers))?;
    // The program under test was built on the way.
    if options.is_empty() { oracle::run_beside(project, &peers, &program(project)) } else { Ok(()) }
}

fn program(project: &Project) -> PathBuf {
    project.target().join("debug/cartwheel")
}

/// Runs `program` as a test would be run: to try something out against the peers.
pub(crate) fn run_beside_peers(project: &Project, program: &str, arguments: &[&str]) -> Result {
    fixtures::run(project, false)?;
    let peers = Peers::start(project)?;
    command::shown(tell(Command::new(program).args(arguments), project, &peers))
}

/// The cargo that runs this program.
pub(crate) fn cargo(project: &Project) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(project.root());
    cargo
}

/// Tells a command where everything is; tests know nothing else of this program.
fn tell<'a>(command: &'a mut Command, project: &Project, peers: &Peers) -> &'a mut Command {
    command.envs(peers.environment());
    command.env("CARTWHEEL_TEST_FIXTURES", project.fixtures());
    command.env("CARTWHEEL_TEST_UV", project.fixtures().join("tools/bin/uv"));
    command.env("CARTWHEEL_TEST_BIN", program(project))
}
