//! HTTP clients, made when the first request needs them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, ClientBuilder, Url};

use crate::error::{ErrorKind, Result};

/// What clients are made from.
#[derive(Debug, Clone, Default)]
pub struct ClientOptions {
    /// A file of PEM certificates that are trusted beside those of the system.
    pub certificates: Option<PathBuf>,
    /// Hosts whose certificates are not checked, as `host` or `host:port`.
    pub trusted_hosts: Vec<String>,
    /// How long to wait for a connection.
    pub connect: Duration,
}

/// HTTP clients that speak TLS by rustls over ring and ask the system whom to trust.
///
/// HTTP/1.1 on purpose: eight transfers over eight connections get past the window of a single one, which is what
/// HTTP/2 would put them on. Loopback is never behind a proxy, as in Go's programs. A client without TLS costs a
/// millisecond less: nobody reads the system's certificates for it.
#[derive(Debug)]
pub struct Clients {
    options: ClientOptions,
    made: Mutex<BTreeMap<Kind, Client>>,
}

/// What clients differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    verifies: bool,
    direct: bool,
}

impl Clients {
    /// Clients with these options. Nothing is read yet.
    pub fn new(options: ClientOptions) -> Self {
        Self { options, made: Mutex::default() }
    }

    /// The client for requests to this URL.
    pub fn client(&self, url: &Url) -> Result<Client> {
        let kind =
            Kind { verifies: url.scheme() == "https" && !self.is_trusted(url), direct: is_loopback(url) };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(&kind) {
            return Ok(client.clone());
        }
        let client = self.make(kind)?;
        made.insert(kind, client.clone());
        Ok(client)
    }

    /// Whether the URL's host is one whose certificate is not checked.
    pub fn is_trusted(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default();
        self.options.trusted_hosts.iter().any(|trusted| match trusted.split_once(':') {
            Some((name, number)) => name == host && number.parse().ok() == port,
            None => trusted == host,
        })
    }

    fn make(&self, kind: Kind) -> Result<Client> {
        let mut builder = client_builder()
            .connect_timeout(self.options.connect)
            .tls_danger_accept_invalid_certs(!kind.verifies);
        if kind.direct {
            builder = builder.no_proxy();
        }
        if let Some(path) = self.options.certificates.as_ref().filter(|_| kind.verifies) {
            builder = builder.tls_certs_merge(certificates(path)?);
        }
        builder.build().map_err(|source| ErrorKind::Client { source }.into())
    }
}

/// What every client of ours begins with: TLS by rustls over ring, HTTP/1.1, no redirect without being asked.
pub fn client_builder() -> ClientBuilder {
    // An error says that the process has a provider already, which is as good.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("cartwheel/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
}

/// Whether a URL leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>> {
    let failed = |source| ErrorKind::Certificates { path: path.to_owned(), source };
    let pem = std::fs::read(path).map_err(|error| failed(Box::new(error)))?;
    Ok(reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(Box::new(error)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn loopback_is_this_machine() {
        for here in ["http://127.0.0.1:5000/", "http://127.8.0.1/", "https://localhost/", "http://[::1]:80/"]
        {
            assert!(is_loopback(&url(here)), "{here}");
        }
        for other in ["http://example.org/", "http://192.168.0.1/", "http://localhost.example.org/"] {
            assert!(!is_loopback(&url(other)), "{other}");
        }
    }

    #[test]
    fn hosts_are_trusted_with_or_without_a_port() {
        let trusted_hosts = vec!["a.example.org".to_owned(), "b.example.org:8443".to_owned()];
        let clients = Clients::new(ClientOptions { trusted_hosts, ..ClientOptions::default() });
        assert!(clients.is_trusted(&url("https://a.example.org:1/")));
        assert!(clients.is_trusted(&url("https://b.example.org:8443/")));
        assert!(!clients.is_trusted(&url("https://b.example.org/")));
        assert!(!clients.is_trusted(&url("https://c.a.example.org/")));
    }

    #[test]
    fn certificates_that_cannot_be_read_are_named() {
        let path = PathBuf::from("/no/such/file.pem");
        let options = ClientOptions { certificates: Some(path), ..ClientOptions::default() };
        let error = Clients::new(options).client(&url("https://example.org/")).unwrap_err();
        assert_eq!(error.to_string(), "could not read certificates `/no/such/file.pem`");
    }
}
