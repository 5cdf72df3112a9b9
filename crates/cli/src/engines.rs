//! The container engine as the user has set it up: what Docker's command would ask.

use std::path::PathBuf;

use cartwheel_oci::{Engine, EngineAddress, EngineSettings};

use crate::error::Failure;
use crate::settings::Settings;

/// Docker or Podman, asked whether it is there.
pub(crate) fn engine(settings: &Settings) -> Result<Engine, Failure> {
    let variable = |name: &str| settings.variables.get(name).filter(|value| !value.is_empty()).cloned();
    let folder = |name: &str| variable(name).map(PathBuf::from);
    let settings = EngineSettings {
        host: variable("DOCKER_HOST"),
        context: variable("DOCKER_CONTEXT"),
        folder: folder("DOCKER_CONFIG").or_else(|| Some(folder("HOME")?.join(".docker"))),
        tls: variable("DOCKER_TLS_VERIFY").is_some(),
        certificates: folder("DOCKER_CERT_PATH"),
        runtime: folder("XDG_RUNTIME_DIR"),
    };
    Ok(Engine::connect(EngineAddress::find(&settings)?)?)
}
