//! The face of cartwheel: arguments in, messages and exit codes out.
//!
//! Only this crate reads the environment, knows the user's home and writes to the terminal. What was asked for goes to
//! standard output, everything else to standard error. [`error`] is the one place where failures become exit codes.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the face: it prints")]
#![expect(clippy::disallowed_methods, reason = "this is the face: it reads the environment")]

mod args;
mod commands;
mod debug;
mod engines;
mod error;
mod location;
mod outputs;
mod registries;
mod settings;
mod terminal;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command, DebugCommand};
use error::Failure;

fn main() -> ExitCode {
    cartwheel_sandbox::entry();
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Build(build) => commands::build(&build, &arguments.registries),
        Command::Plan(build) => commands::plan(&build, &arguments.registries),
        Command::Compose(compose) => commands::compose(&compose, &arguments.registries),
        Command::Images(images) => commands::images(&images),
        Command::Push(push) => commands::push(&push, &arguments.registries),
        Command::Pull(pull) => commands::pull(&pull, &arguments.registries),
        Command::Copy(copy) => commands::copy(&copy, &arguments.registries),
        Command::Load(load) => commands::load(&load, &arguments.registries),
        Command::Save(save) => commands::save(&save, &arguments.registries),
        Command::Tag(tag) => commands::tag(&tag),
        Command::Rmi(rmi) => commands::rmi(&rmi),
        Command::Inspect(inspect) => commands::inspect(&inspect, &arguments.registries),
        Command::Debug(DebugCommand::Batch { suite }) => {
            debug::batch(&suite, io::stdin().lock(), io::stdout().lock()).map_err(Failure::from)
        }
        Command::Debug(DebugCommand::Validate { path }) => commands::validate(&path),
    };
    match result.and_then(|()| io::stdout().flush().map_err(Failure::from)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
