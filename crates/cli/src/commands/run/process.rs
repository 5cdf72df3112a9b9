//! What is run, and its environment: the image's config, and what the command line says over it.

use std::fs;
use std::path::PathBuf;

use cartwheel_oci::ImageConfig;
use rustix::process::Signal;
use serde_json::Value;

use crate::args::ContainerArguments;
use crate::error::Failure;
use crate::settings::Settings;

/// What Docker gives images that say nothing of it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program and its arguments: entrypoint and command. Another entrypoint takes the image's command with it.
pub(super) fn args(arguments: &ContainerArguments, config: &ImageConfig) -> Result<Vec<String>, Failure> {
    let config = &config.config;
    let (entrypoint, default) = match &arguments.entrypoint {
        None => (config.entrypoint.clone().unwrap_or_default(), config.cmd.clone().unwrap_or_default()),
        Some(program) if program.is_empty() => (Vec::new(), Vec::new()),
        Some(program) => (vec![program.clone()], Vec::new()),
    };
    let given = arguments.words.get(1..).unwrap_or_default();
    let args = [entrypoint, if given.is_empty() { default } else { given.to_vec() }].concat();
    if args.is_empty() {
        let message = "the image does not say what to run, and neither does the command line".to_owned();
        return Err(Failure::user(message).with_hint("write the command after the image"));
    }
    Ok(args)
}

/// Where the process starts.
pub(super) fn working_dir(arguments: &ContainerArguments, config: &ImageConfig) -> Result<PathBuf, Failure> {
    match (&arguments.workdir, config.config.working_dir.as_deref()) {
        (Some(folder), _) if folder.starts_with('/') => Ok(folder.into()),
        (Some(folder), _) => Err(Failure::user(format!("--workdir {folder}: write an absolute path"))),
        (None, None | Some("")) => Ok("/".into()),
        (None, Some(folder)) => Ok(folder.into()),
    }
}

/// The environment: Docker's own variables, those of the image, of files, and of the command line, the last ones counting most.
pub(super) fn env(
    arguments: &ContainerArguments,
    config: &ImageConfig,
    settings: &Settings,
    (hostname, home): (&str, &str),
) -> Result<Vec<(String, String)>, Failure> {
    let mut env = Variables::default();
    env.put("PATH", PATH);
    env.put("HOSTNAME", hostname);
    if arguments.tty {
        env.put("TERM", "xterm");
    }
    for line in config.config.env.iter().flatten() {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        env.put(name, value);
    }
    for path in &arguments.env_files {
        let text = fs::read_to_string(path).map_err(Failure::io("read", path))?;
        let lines =
            text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            // What this environment does not have is left as it is: unlike on the command line.
            let known = line.contains('=') || settings.variables.contains_key(line);
            known
                .then(|| env.read(line, settings))
                .transpose()
                .map_err(|failure| failure.within(format!("could not read `{}`", path.display())))?;
        }
    }
    arguments.env.iter().try_for_each(|text| env.read(text, settings))?;
    if !env.0.iter().any(|(name, _)| name == "HOME") {
        env.put("HOME", home);
    }
    Ok(env.0)
}

#[derive(Default)]
struct Variables(Vec<(String, String)>);

impl Variables {
    fn put(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// `NAME=VALUE`, or `NAME` for what this environment has: if that is nothing, the image's value goes.
    fn read(&mut self, text: &str, settings: &Settings) -> Result<(), Failure> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, settings.variables.get(text).map(String::as_str)),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Failure::user(format!("`{text}` names no environment variable: write NAME=VALUE")));
        }
        match value {
            Some(value) => self.put(name, value),
            None => self.0.retain(|(other, _)| other != name),
        }
        Ok(())
    }
}

/// What the process gets for a SIGTERM.
pub(super) fn stop_signal(arguments: &ContainerArguments, config: &ImageConfig) -> Result<i32, Failure> {
    let own = config.config.other.get("StopSignal").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = arguments.stop_signal.as_deref().or(own).unwrap_or("SIGTERM");
    signal(name).ok_or_else(|| Failure::user(format!("stop signal `{name}` is none that can be sent")))
}

/// A signal by number or name, with `SIG` or without.
fn signal(text: &str) -> Option<i32> {
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = || NAMES.iter().find(|(known, _)| *known == name).map(|(_, signal)| signal.as_raw());
    let number = name.parse().ok().or_else(known)?;
    Signal::from_named_raw(number).map(Signal::as_raw)
}

/// Those that end a process, or that servers have a meaning for.
const NAMES: &[(&str, Signal)] = &[
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ABRT", Signal::ABORT),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("ALRM", Signal::ALARM),
    ("TERM", Signal::TERM),
    ("WINCH", Signal::WINCH),
    ("PWR", Signal::POWER),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["SIGINT", "int", "2"] {
            assert_eq!(signal(text), Some(2));
        }
        for text in ["", "SIGNOTHING", "0", "300"] {
            assert_eq!(signal(text), None);
        }
    }
}
