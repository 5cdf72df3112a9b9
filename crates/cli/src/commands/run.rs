//! `cartwheel run`.

mod foreground;
mod image;
mod mounts;
mod ports;
mod process;

use std::process::ExitCode;

use cartwheel_build::Container;
use cartwheel_oci::ImageConfig;
use cartwheel_sandbox::{Capabilities, Exit, Network, Sandbox, Stdio};
use cartwheel_store::Store;

use crate::args::{ContainerArguments, RegistryArguments};
use crate::commands::build::run::{self as options, Rights};
use crate::error::Failure;
use crate::registries;
use crate::settings::Settings;

/// What cartwheel exits with when it fails before there is a command that could, as `docker run` does.
const FAILED: u8 = 125;
/// And when there is a command that cannot be started, or none.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Runs a command in an image, and exits as it does.
pub(crate) fn run(
    arguments: &ContainerArguments,
    registries: &RegistryArguments,
) -> Result<ExitCode, Failure> {
    // Before there is a second thread.
    let rights = Rights::take();
    let prepared = prepare(arguments, registries, &rights).map_err(|failure| failure.with_code(FAILED))?;
    match foreground::run(&prepared.sandbox, prepared.stop_signal) {
        Ok(Exit::Code(code)) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))),
        Ok(Exit::Signal(signal)) => Ok(ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))),
        Err(error) => {
            let code = code(&error);
            Err(Failure::from(cartwheel_build::Error::from(error)).with_code(code))
        }
    }
}

fn code(error: &cartwheel_sandbox::Error) -> u8 {
    match error.kind() {
        cartwheel_sandbox::ErrorKind::Program { source, .. } => match source.kind() {
            std::io::ErrorKind::NotFound => NOT_FOUND,
            _ => NOT_EXECUTABLE,
        },
        _ => FAILED,
    }
}

/// All that is needed to begin.
struct Prepared {
    sandbox: Sandbox,
    stop_signal: i32,
    /// What it lies on, until all is over.
    _container: Container,
}

fn prepare(
    arguments: &ContainerArguments,
    registries: &RegistryArguments,
    rights: &Rights,
) -> Result<Prepared, Failure> {
    if let Some((option, reason)) = arguments.refused() {
        return Err(Failure::user(format!("{option}: {reason}")));
    }
    let own = own(arguments)?;
    let only_root = rights.only_root()?;
    let settings = Settings::read()?;
    let store = Store::open(&settings.home)?;
    let client = registries::client(&settings, registries, arguments.quiet)?;
    let image = image::find(arguments, &store, &client, &settings)?;
    let config = image.config().clone();
    runs_here(&config)?;
    let (user, stop_signal) = (user(arguments, &config), process::stop_signal(arguments, &config)?);
    let args = process::args(arguments, &config)?;
    let container = Container::of_image(&store, image, &client, &user)?;
    for warning in only_root.into_iter().chain(container.lacking()) {
        eprintln!("warning: {warning}");
    }
    let defaults = container.sandbox();
    let sandbox = Sandbox {
        lower: defaults.lower,
        upper: defaults.upper,
        work: defaults.work,
        uid: defaults.uid,
        gid: defaults.gid,
        groups: defaults.groups,
        args,
        env: process::env(arguments, &config, &settings, (&own.hostname, container.home()))?,
        working_dir: process::working_dir(arguments, &config)?,
        mounts: mounts::mounts(arguments, &config, &own.hostname)?,
        ..own
    };
    Ok(Prepared { sandbox, stop_signal, _container: container })
}

/// What the options say by themselves, whatever the image is.
fn own(arguments: &ContainerArguments) -> Result<Sandbox, Failure> {
    let network = network(&arguments.network)?;
    ports::check(&arguments.ports, network)?;
    let hosts = arguments.hosts.iter().map(|text| options::host(text));
    let ulimits = arguments.ulimits.iter().map(|text| options::limit(text));
    let default = Sandbox::default();
    let shm_size = arguments.shm_size.as_deref().map(|text| options::size("--shm-size", text)).transpose()?;
    Ok(Sandbox {
        network,
        hosts: hosts.collect::<Result<_, _>>()?,
        ulimits: ulimits.collect::<Result<_, _>>()?,
        shm_size: shm_size.unwrap_or(default.shm_size),
        hostname: arguments.hostname.clone().unwrap_or_else(hostname),
        capabilities: capabilities(arguments)?,
        read_only_root: arguments.read_only,
        stdio: stdio(arguments)?,
        ..default
    })
}

/// What the command reads and writes.
fn stdio(arguments: &ContainerArguments) -> Result<Stdio, Failure> {
    let ContainerArguments { interactive, tty, .. } = *arguments;
    if interactive && tty && !foreground::reads_from_terminal() {
        let message = "-t: what cartwheel reads is no terminal".to_owned();
        return Err(Failure::user(message).with_hint("without -t, -i passes on what is piped in"));
    }
    let (rows, columns) = foreground::window();
    Ok(match (tty, interactive) {
        (true, reads) => Stdio::Terminal { reads, rows, columns },
        (false, true) => Stdio::Attached,
        (false, false) => Stdio::Captured,
    })
}

fn network(name: &str) -> Result<Network, Failure> {
    match name {
        "host" => Ok(Network::Host),
        "none" => Ok(Network::None),
        other => Err(Failure::user(format!(
            "--network {other}: it is host or none; there are no networks between containers here"
        ))),
    }
}

/// This machine's, as that of a container of Docker's that has its network.
fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Docker's capabilities, those that are taken away, and those that are given, which counts more.
fn capabilities(arguments: &ContainerArguments) -> Result<Capabilities, Failure> {
    let refused = |option: &str, name: &str| {
        let option = format!("{option} {name}");
        move |error: cartwheel_sandbox::Error| Failure::user(format!("{option}: {error}"))
    };
    let mut capabilities = Capabilities::default();
    for name in &arguments.cap_drop {
        capabilities = match name.to_uppercase().as_str() {
            "ALL" => Capabilities::none(),
            _ => capabilities.without(name).map_err(refused("--cap-drop", name))?,
        };
    }
    for name in &arguments.cap_add {
        capabilities = capabilities.with(name).map_err(refused("--cap-add", name))?;
    }
    Ok(capabilities)
}

fn user(arguments: &ContainerArguments, config: &ImageConfig) -> String {
    let user = arguments.user.as_ref().or(config.config.user.as_ref());
    user.cloned().unwrap_or_default()
}

/// Whether this machine runs the image's programs.
fn runs_here(config: &ImageConfig) -> Result<(), Failure> {
    let architecture = &config.architecture;
    if options::architectures().contains(architecture) {
        return Ok(());
    }
    let message = format!("the image is for `{architecture}`, and this machine runs no programs for that");
    Err(Failure::user(message)
        .with_hint("choose another one with --platform, or have an emulator registered (`qemu-user-static`)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_foreign_machines_are_refused() {
        let config =
            |platform: &str| cartwheel_oci::Image::scratch(&platform.parse().unwrap()).config().clone();
        assert!(
            runs_here(&config(&format!("linux/{}", crate::settings::host_platform().architecture))).is_ok()
        );
        let message = runs_here(&config("linux/s390x")).unwrap_err().to_string();
        assert!(message.contains("the image is for `s390x`"), "{message}");
    }
}
