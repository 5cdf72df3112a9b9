//! The program that the tests start sandboxes with.
//!
//! - `keeper run FILE` runs the sandbox in that file; it ends with 99 if something goes wrong.
//! - `keeper enter PROGRAM…` runs a program in a user namespace of its own.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use cartwheel_sandbox::{Cancel, Exit, Stream, enter_user_namespace, entry, run};

fn main() -> ExitCode {
    entry();
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        Some("run") => run_one(&args.next().unwrap_or_default()),
        Some("enter") => enter(&args.collect::<Vec<String>>()),
        _ => Err("run or enter?".into()),
    };
    done.unwrap_or_else(|error| {
        let _nobody_listens = writeln!(io::stderr(), "{error}");
        ExitCode::from(99)
    })
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn run_one(file: &str) -> Result<ExitCode> {
    let sandbox = serde_json::from_slice(&std::fs::read(file)?)?;
    let exit = run(&sandbox, &Cancel::new()?, &mut |stream, bytes| {
        let _nobody_listens = match stream {
            Stream::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            Stream::Stderr => io::stderr().write_all(bytes),
        };
    })?;
    Ok(match exit {
        Exit::Code(code) => ExitCode::from(u8::try_from(code)?),
        Exit::Signal(signal) => ExitCode::from(128 + u8::try_from(signal)?),
    })
}

fn enter(args: &[String]) -> Result<ExitCode> {
    let entered = enter_user_namespace()?.ok_or("this is root")?;
    writeln!(io::stdout(), "{}:{} {:?}", entered.uid, entered.gid, entered.only_root)?;
    let (program, args) = args.split_first().ok_or("which program?")?;
    Err(Command::new(program).args(args).exec().into())
}
