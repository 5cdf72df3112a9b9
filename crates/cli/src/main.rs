//! The face of cartwheel: arguments in, messages and exit codes out.
#![forbid(unsafe_code)]

mod debug;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["debug", "batch", suite] => debug::batch(suite, std::io::stdin().lock(), std::io::stdout().lock()),
        _ => return ExitCode::from(2),
    };
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}
