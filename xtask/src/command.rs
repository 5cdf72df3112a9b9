//! Running other programs: shown, silent, or for what they print.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use crate::Result;

/// Runs it with this terminal; fails if it fails.
pub(crate) fn shown(command: &mut Command) -> Result {
    println!("$ {}", words(command));
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", words(command)).into()) }
}

/// Runs it without a word; if it fails, the error carries the end of what it said.
pub(crate) fn quiet(command: &mut Command) -> Result {
    output(command).map(drop)
}

/// Runs it for its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if status.success() {
        return Ok(stdout);
    }
    let said = format!("{stdout}{}", String::from_utf8_lossy(&stderr));
    let lines: Vec<&str> = said.lines().collect();
    let end = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n  ");
    Err(format!("`{}` failed: {status}\n  {end}", words(command)).into())
}

/// Whether it can be started and succeeds.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("could not start `{}`: {error}", command.get_program().display())
}

fn words(command: &Command) -> String {
    let all = std::iter::once(command.get_program()).chain(command.get_args());
    all.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
