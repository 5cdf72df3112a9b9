//! The project's chores, as a program: `cargo xtask <verb>`.
//!
//! Building and testing cartwheel takes more than a compiler: a base image, `uv`, wheels to convert, and the real
//! tools whose behaviour we claim to match (pip, Docker, podman, skopeo, umoci, a registry). This program brings
//! them: it says what it is about to install, installs it with the ordinary package clients (apt, pip), and finds
//! everything in place the next time. It knows no host name: mirrors and indexes are those of the machine's settings.
//!
//! # Where things lie
//!
//! ```text
//! $XDG_CACHE_HOME/cartwheel-xtask/v1/     shared by all clones; any recipe change makes a new folder
//! ├── <fixture>-<digest of its recipe>/   finished, never written again
//! └── <fixture>.unfinished/               in the making; thrown away by the next run
//! target/fixtures/<fixture>               links into the cache: what tests, demo and bench name
//! target/peers/<process>/                 images and logs of the servers of a running `test`
//! ```
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for its developers: it speaks to them"
)]
#![expect(clippy::disallowed_methods, reason = "the bans are for the libraries; this is a program")]

mod base_image;
mod bench;
mod check;
mod command;
mod container;
mod daemon;
mod debian;
mod demo;
mod docker;
mod files;
mod fixtures;
mod fuzz;
mod http;
mod index;
mod layout;
mod oracle;
mod peers;
mod project;
mod rules;
mod test;
mod tools;
mod wheels;

use std::process::ExitCode;

use project::Project;

/// A chore's outcome. Nobody acts on a failure but the reader, so it is words.
type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

const USAGE: &str = "usage: cargo xtask <verb>

  fixtures [--full]            the base image, uv and the wheel sets, in target/fixtures
  demo [--full]                builds the example, runs its image, asks it over HTTP (needs root; full: 3 GB)
  test [CARGO TEST OPTIONS]    every test, with Docker, podman, skopeo, umoci and a registry beside it, and, without
                               options, the oracle (needs root)
  check                        before every commit: formatting, lints, rules, tests without peers
  check-deps                   the project's own rules alone
  bench [--full] [OPTIONS]     the bench suite over the wheel sets
  bench builds [--full] [--rounds N]
                               the example's Dockerfile, built and pushed by Docker and by cartwheel (needs root; full:
                               3 GB of wheels, 50 GB of disk while it runs)
  fuzz TARGET [--seconds N]    a fuzz target, for 60 seconds unless told otherwise
  oracle [OPTIONS] [FILE…]     Dockerfiles built by Docker and by cartwheel, and compared (needs root); all without FILE
  peers COMMAND…               any command with those beside it, told of them by CARTWHEEL_TEST_… (needs root)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[&str]) -> Result {
    let project = Project::find()?;
    match words {
        ["fixtures"] => fixtures::run(&project, false),
        ["fixtures", "--full"] => fixtures::run(&project, true),
        ["demo"] => demo::run(&project, false),
        ["demo", "--full"] => demo::run(&project, true),
        ["check"] => check::run(&project),
        ["check-deps"] => check::rules(&project),
        ["bench", "builds", options @ ..] => bench::builds(&project, options),
        ["bench", "--full", options @ ..] => bench::run(&project, true, options),
        ["bench", options @ ..] => bench::run(&project, false, options),
        ["fuzz", target] => fuzz::run(&project, target, "60"),
        ["fuzz", target, "--seconds", seconds] => fuzz::run(&project, target, seconds),
        ["oracle", options @ ..] => oracle::run(&project, options),
        ["peers", program, arguments @ ..] => test::run_beside_peers(&project, program, arguments),
        ["test", options @ ..] => test::run(&project, options),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("`{}` is not a chore\n\n{USAGE}", words.join(" ")).into()),
    }
}
