//! Where the engine is, as Docker's command finds it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use cartwheel_store::Digest;
use serde::Deserialize;

use crate::error::{ErrorKind, Result};

/// Where Docker listens unless it was told otherwise.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Docker's name for «no context».
const NO_CONTEXT: &str = "default";

/// What the user has said about engines.
#[derive(Debug, Clone, Default)]
pub struct EngineSettings {
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub context: Option<String>,
    /// The folder of Docker's settings: `DOCKER_CONFIG`, or `~/.docker`.
    pub folder: Option<PathBuf>,
    /// `DOCKER_TLS_VERIFY`.
    pub tls: bool,
    /// `DOCKER_CERT_PATH`.
    pub certificates: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, where engines without root listen.
    pub runtime: Option<PathBuf>,
}

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A host and port, in plain text or over TLS.
    Tcp {
        /// `host:port`.
        authority: String,
        /// How TLS is spoken, if it is.
        tls: Option<EngineTls>,
    },
}

/// How TLS is spoken with an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineTls {
    /// The folder of `ca.pem`, `cert.pem` and `key.pem`; each may be absent.
    pub(super) folder: Option<PathBuf>,
    /// Whether the engine's certificate is checked.
    pub(super) verify: bool,
}

impl EngineAddress {
    /// The engine that Docker's command would ask: `DOCKER_HOST`, else the context that `DOCKER_CONTEXT` or
    /// `docker context use` chose, else Docker's socket; and where there is none, Podman's.
    pub fn find(settings: &EngineSettings) -> Result<Self> {
        if let Some(host) = settings.host.as_deref().filter(|host| !host.is_empty()) {
            let folder = settings.certificates.clone().or_else(|| settings.folder.clone());
            return Self::parse(host, settings.tls.then_some(EngineTls { folder, verify: true }));
        }
        let chosen = settings.context.clone().filter(|name| !name.is_empty());
        let folder = settings.folder.as_deref();
        match chosen.or_else(|| current_context(folder?)).filter(|name| name != NO_CONTEXT) {
            Some(name) => context(folder, &name),
            None => Ok(Self::Unix(default_socket(settings.runtime.as_deref()))),
        }
    }

    /// Reads an address as `DOCKER_HOST` has it.
    fn parse(text: &str, tls: Option<EngineTls>) -> Result<Self> {
        let refuse = |reason| ErrorKind::EngineAddress { address: text.to_owned(), reason };
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("unix", _)) => Err(refuse("the path of a socket begins with `/`").into()),
            Some((scheme @ ("tcp" | "http" | "https"), rest)) => {
                let authority = rest.trim_end_matches('/');
                if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
                    return Err(refuse("write `tcp://HOST:PORT`").into());
                }
                let always = || (scheme == "https").then_some(EngineTls { folder: None, verify: true });
                let tls = tls.or_else(always);
                let port = if tls.is_some() { 2376 } else { 2375 };
                let has_port =
                    authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
                let authority = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
                Ok(Self::Tcp { authority, tls })
            }
            Some(("ssh", _)) => {
                Err(refuse("SSH is not spoken here; `ssh -L` can bring the engine's socket to this machine")
                    .into())
            }
            _ => Err(refuse("it begins neither with `unix://` nor with `tcp://`").into()),
        }
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { authority, .. } => write!(f, "tcp://{authority}"),
        }
    }
}

/// The first socket that is there; Docker's own if none is.
fn default_socket(runtime: Option<&Path>) -> PathBuf {
    let own = |rest: &str| runtime.map(|folder| folder.join(rest));
    let places = [
        Some(PathBuf::from(DEFAULT_SOCKET)),
        own("docker.sock"),
        own("podman/podman.sock"),
        Some(PathBuf::from("/run/podman/podman.sock")),
    ];
    places.into_iter().flatten().find(|path| path.exists()).unwrap_or_else(|| DEFAULT_SOCKET.into())
}

/// The context that `docker context use` chose.
fn current_context(folder: &Path) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Settings {
        current_context: Option<String>,
    }
    let text = fs::read(folder.join("config.json")).ok()?;
    let settings: Settings = serde_json::from_slice(&text).ok()?;
    settings.current_context.filter(|name| !name.is_empty())
}

/// What a context says of its engine: `contexts/meta/<digest of the name>/meta.json`.
fn context(folder: Option<&Path>, name: &str) -> Result<EngineAddress> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Meta {
        endpoints: Endpoints,
    }
    #[derive(Deserialize)]
    struct Endpoints {
        docker: Endpoint,
    }
    #[derive(Deserialize)]
    struct Endpoint {
        #[serde(rename = "Host")]
        host: String,
        #[serde(rename = "SkipTLSVerify", default)]
        skip_tls_verify: bool,
    }
    let unknown = |reason| ErrorKind::EngineAddress { address: name.to_owned(), reason };
    let contexts = folder.map(|folder| folder.join("contexts"));
    let contexts = contexts.ok_or(unknown("there is no folder of Docker's settings with this context"))?;
    let id = Digest::of(name.as_bytes()).hex();
    let text = fs::read(contexts.join("meta").join(&id).join("meta.json"))
        .map_err(|_| unknown("`docker context ls` has no such context"))?;
    let meta: Meta = serde_json::from_slice(&text)
        .map_err(|_| unknown("the context of this name says nothing of an engine"))?;
    let Endpoint { host, skip_tls_verify } = meta.endpoints.docker;
    let tls = contexts.join("tls").join(&id).join("docker");
    let tls = tls.is_dir().then_some(EngineTls { folder: Some(tls), verify: !skip_tls_verify });
    EngineAddress::parse(&host, tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<EngineAddress> {
        EngineAddress::find(&EngineSettings { host: Some(text.to_owned()), ..EngineSettings::default() })
    }

    #[test]
    fn addresses_are_those_of_docker_host() {
        assert_eq!(host("unix:///a/b.sock").unwrap(), EngineAddress::Unix("/a/b.sock".into()));
        let plain = |authority: &str| EngineAddress::Tcp { authority: authority.to_owned(), tls: None };
        assert_eq!(host("tcp://127.0.0.1:1/").unwrap(), plain("127.0.0.1:1"));
        assert_eq!(host("tcp://example.org").unwrap(), plain("example.org:2375"));
        let settings =
            EngineSettings { host: Some("tcp://[::1]".into()), tls: true, ..EngineSettings::default() };
        assert_eq!(EngineAddress::find(&settings).unwrap().to_string(), "tcp://[::1]:2376");
        for text in ["ssh://example.org", "unix://a", "tcp://", "tcp://a/b", "npipe:////./pipe/x", "/a"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn contexts_are_looked_up_and_a_host_comes_before_them() {
        let folder = tempfile::tempdir().unwrap();
        let id = Digest::of(b"far").hex();
        let meta = folder.path().join("contexts/meta").join(&id);
        fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://example.org:1","SkipTLSVerify":true}}}"#;
        fs::write(meta.join("meta.json"), text).unwrap();
        fs::write(folder.path().join("config.json"), r#"{"auths":{},"currentContext":"far"}"#).unwrap();
        let mut settings =
            EngineSettings { folder: Some(folder.path().to_owned()), ..EngineSettings::default() };
        let far = EngineAddress::find(&settings).unwrap();
        assert_eq!(far, EngineAddress::Tcp { authority: "example.org:1".into(), tls: None });
        let tls = folder.path().join("contexts/tls").join(&id).join("docker");
        fs::create_dir_all(&tls).unwrap();
        let with_tls = EngineAddress::find(&settings).unwrap();
        let expected = Some(EngineTls { folder: Some(tls), verify: false });
        assert!(matches!(with_tls, EngineAddress::Tcp { tls, .. } if tls == expected));
        settings.context = Some("near".to_owned());
        assert!(EngineAddress::find(&settings).is_err());
        settings.context = Some(NO_CONTEXT.to_owned());
        assert!(matches!(EngineAddress::find(&settings).unwrap(), EngineAddress::Unix(_)));
        settings.host = Some("unix:///x".to_owned());
        assert_eq!(EngineAddress::find(&settings).unwrap(), EngineAddress::Unix("/x".into()));
    }
}
