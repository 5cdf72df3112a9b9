//! Registries as the user has set them up: Docker's and Podman's logins, certificates, flags.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cartwheel_oci::{Logins, RegistryClient, RegistryEvent, RegistryOptions};

use crate::args::RegistryArguments;
use crate::error::Failure;
use crate::settings::Settings;

/// A client for registries. What happens is told on standard error, unless `quiet`; failures that are tried again always are.
pub(crate) fn client(
    settings: &Settings,
    arguments: &RegistryArguments,
    quiet: bool,
) -> Result<RegistryClient, Failure> {
    let mut options = RegistryOptions {
        logins: logins(settings)?,
        certificates: settings.index.certificates.clone(),
        insecure: arguments.insecure.clone(),
        ..RegistryOptions::default()
    };
    for (registry, mirror) in &arguments.mirrors {
        options.mirrors.entry(registry.clone()).or_default().push(mirror.clone());
    }
    let line = Mutex::new(());
    let listener = move |event: &RegistryEvent| {
        let _whole_lines = line.lock().unwrap_or_else(PoisonError::into_inner);
        tell(event, quiet);
    };
    Ok(RegistryClient::new(options, listener)?)
}

fn tell(event: &RegistryEvent, quiet: bool) {
    let blob = |digest: &cartwheel_store::Digest, what: &str| {
        if !quiet {
            eprintln!("{}: {what}", &digest.hex()[..12]);
        }
    };
    match event {
        RegistryEvent::Retrying { request, reason, wait } => {
            eprintln!("warning: {request} is tried again in {:.1}s: {reason}", wait.as_secs_f64());
        }
        RegistryEvent::MirrorFailed { reason } => eprintln!("warning: a mirror is passed over: {reason}"),
        RegistryEvent::Present(digest) => blob(digest, "exists already"),
        RegistryEvent::Mounted(digest) => blob(digest, "mounted"),
        RegistryEvent::Uploaded(digest) => blob(digest, "pushed"),
        RegistryEvent::Downloaded(digest) => blob(digest, "pulled"),
        _ => {}
    }
}

/// The files in which `docker login` and `podman login` keep what they know, the most important first.
fn logins(settings: &Settings) -> Result<Logins, Failure> {
    let variable = |name: &str| settings.variables.get(name).filter(|value| !value.is_empty());
    let below = |name: &str, rest: &str| variable(name).map(|folder| PathBuf::from(folder).join(rest));
    let files = [
        variable("REGISTRY_AUTH_FILE").map(PathBuf::from),
        below("DOCKER_CONFIG", "config.json").or_else(|| below("HOME", ".docker/config.json")),
        below("XDG_RUNTIME_DIR", "containers/auth.json"),
        below("XDG_CONFIG_HOME", "containers/auth.json")
            .or_else(|| below("HOME", ".config/containers/auth.json")),
    ];
    let mut logins = Logins::default();
    files.iter().flatten().try_for_each(|path| logins.add_file(path))?;
    let path = variable("PATH").map(String::as_str).unwrap_or_default();
    logins.look_in(std::env::split_paths(path).collect());
    Ok(logins)
}
