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
    let result = run(&Arguments::parse());
    match result.and_then(|code| io::stdout().flush().map(|()| code).map_err(Failure::from)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let registries = &arguments.registries;
    match &arguments.command {
        Command::Check(check) => return commands::check(check),
        Command::Build(build) if build.is_check() => return commands::check_build(build),
        Command::Build(build) => commands::build(build, registries),
        Command::Plan(build) => commands::plan(build, registries),
        Command::Compose(compose) => commands::compose(compose, registries),
        Command::Run(run) => return commands::run(run, registries),
        Command::Images(images) => commands::images(images),
        Command::Push(push) => commands::push(push, registries),
        Command::Pull(pull) => commands::pull(pull, registries),
        Command::Copy(copy) => commands::copy(copy, registries),
        Command::Load(load) => commands::load(load, registries),
        Command::Save(save) => commands::save(save, registries),
        Command::Tag(tag) => commands::tag(tag),
        Command::Rmi(rmi) => commands::rmi(rmi),
        Command::Inspect(inspect) => commands::inspect(inspect, registries),
        Command::Debug(DebugCommand::Batch { suite }) => {
            debug::batch(suite, io::stdin().lock(), io::stdout().lock()).map_err(Failure::from)
        }
        Command::Debug(DebugCommand::Validate { path }) => commands::validate(path),
    }?;
    Ok(ExitCode::SUCCESS)
}
