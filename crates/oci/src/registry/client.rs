//! What all requests to all registries share: connections, tokens, retries.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cartwheel_store::Digest;
use cartwheel_transfer::{
    Break, ClientOptions, Clients, Failure, Hitch, Misdirected, Patience, follow, is_loopback, within,
};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::runtime::{Builder, Handle, Runtime};

use super::challenge::Challenge;
use super::error::{LARGEST_BODY, RegistryError, RegistryProblem, shown};
use super::logins::Logins;
use super::repository::Repository;
use super::token::{Access, Authority};
use crate::error::{Error, ErrorKind, Result};
use crate::reference::Reference;

/// The host behind Docker's own registry.
const DOCKER_HOST: &str = "registry-1.docker.io";

/// How long it may take to find out whether a registry speaks TLS.
const PROBE: Duration = Duration::from_secs(5);

/// How registries are reached, and who we are to them.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// The user's accounts.
    pub logins: Logins,
    /// A file of PEM certificates that are trusted beside those of the system.
    pub certificates: Option<PathBuf>,
    /// Registries, as `host` or `host:port`, that may have a certificate of their own making or speak plain HTTP.
    /// Loopback always may, as in Docker.
    pub insecure: Vec<String>,
    /// Where to look first, by registry: `host[:port][/prefix]`, in order.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// How many blobs move at once.
    pub parallel: usize,
    /// How long to wait, and how often to try again.
    pub patience: Patience,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            logins: Logins::default(),
            certificates: None,
            insecure: Vec::new(),
            mirrors: BTreeMap::new(),
            parallel: 8,
            patience: Patience::default(),
        }
    }
}

/// Something that happened between a registry and us.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistryEvent {
    /// A request failed and is made again.
    Retrying {
        /// Which, without credentials.
        request: String,
        /// Why, in a sentence.
        reason: String,
        /// After which wait.
        wait: Duration,
    },
    /// A mirror failed, and the next one or the registry itself is asked.
    MirrorFailed {
        /// Why, in a sentence.
        reason: String,
    },
    /// The registry has this blob.
    Present(Digest),
    /// The registry took this blob from another of its repositories.
    Mounted(Digest),
    /// This blob was sent.
    Uploaded(Digest),
    /// This blob was brought here.
    Downloaded(Digest),
}

/// Asks registries. Cheap to clone; what is cloned shares connections and tokens.
#[derive(Clone)]
pub struct RegistryClient(pub(super) Arc<Shared>);

impl RegistryClient {
    /// A client with these options. Nothing is asked yet.
    pub fn new(
        options: RegistryOptions,
        listener: impl Fn(&RegistryEvent) + Send + Sync + 'static,
    ) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime =
            runtime.map_err(|source| Error::from(ErrorKind::Network { source: Box::new(source) }))?;
        let clients = Clients::new(ClientOptions {
            certificates: options.certificates.clone(),
            trusted_hosts: options.insecure.clone(),
            connect: options.patience.connect,
        });
        let (hosts, listener) = (Mutex::default(), Box::new(listener));
        Ok(Self(Arc::new(Shared { options, runtime, clients, hosts, listener })))
    }

    /// The repository that a reference names.
    pub fn repository(&self, reference: &Reference) -> Repository {
        Repository::new(self.clone(), reference.registry(), reference.repository())
    }
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegistryClient").field(&self.0.options).finish()
    }
}

/// What the clones of a client share.
pub(crate) struct Shared {
    pub(crate) options: RegistryOptions,
    runtime: Runtime,
    clients: Clients,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
    listener: Box<dyn Fn(&RegistryEvent) + Send + Sync>,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Host {
    /// `https://example.org/v2/`.
    pub(crate) base: Url,
    authority: tokio::sync::Mutex<Authority>,
}

/// A server, and what a repository is called there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) host: Arc<Host>,
    pub(crate) access: Access,
    pub(crate) patience: Patience,
}

/// What one attempt gives.
pub(crate) type Attempt<T> = Result<T, Break<Cause>>;

/// Why an attempt ended for good.
#[derive(Debug)]
pub(crate) enum Cause {
    /// Of the request that is being made.
    Bare(RegistryProblem),
    /// Of something else that was needed for it.
    Whole(Error),
}

impl From<Misdirected> for Cause {
    fn from(misdirected: Misdirected) -> Self {
        Self::Bare(misdirected.into())
    }
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        Self::Bare(failure.into())
    }
}

impl From<Cause> for Break<Cause> {
    fn from(cause: Cause) -> Self {
        Self::Final(cause)
    }
}

impl From<RegistryProblem> for Break<Cause> {
    fn from(problem: RegistryProblem) -> Self {
        Self::Final(Cause::Bare(problem))
    }
}

/// A request that can be made again.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), body: Bytes::new() }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Shared {
    pub(crate) fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    pub(crate) fn event(&self, event: &RegistryEvent) {
        (self.listener)(event);
    }

    pub(crate) fn client(&self, url: &Url) -> Attempt<Client> {
        let setup = |source| Break::Final(Cause::Bare(RegistryProblem::Setup { source }));
        self.clients.client(url).map_err(setup)
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Attempt<Response> {
        Ok(within(self.options.patience.read, request.send()).await??)
    }

    /// The servers to read a repository from: mirrors, then the registry itself.
    pub(crate) async fn places(&self, registry: &str, repository: &str, rights: &str) -> Attempt<Vec<Place>> {
        let mut places = Vec::new();
        for mirror in self.options.mirrors.get(registry).into_iter().flatten() {
            let (name, prefix) = mirror.split_once('/').unwrap_or((mirror, ""));
            let repository =
                [prefix.trim_matches('/'), repository].into_iter().filter(|part| !part.is_empty());
            let repository = repository.collect::<Vec<_>>().join("/");
            let mut place = self.place(name, &repository, rights).await?;
            // The registry itself is the other attempt.
            place.patience.retries = place.patience.retries.min(1);
            places.push(place);
        }
        places.push(self.place(registry, repository, rights).await?);
        Ok(places)
    }

    /// The server itself.
    pub(crate) async fn place(&self, registry: &str, repository: &str, rights: &str) -> Attempt<Place> {
        let access = Access {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            scopes: vec![scope(repository, rights)],
        };
        Ok(Place { host: self.host(registry).await?, access, patience: self.options.patience })
    }

    async fn host(&self, registry: &str) -> Attempt<Arc<Host>> {
        let known = || self.hosts.lock().unwrap_or_else(PoisonError::into_inner).get(registry).cloned();
        if let Some(host) = known() {
            return Ok(host);
        }
        let base = self.base(registry).await?;
        let host = Arc::new(Host { base, authority: tokio::sync::Mutex::default() });
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(hosts.entry(registry.to_owned()).or_insert(host)))
    }

    /// TLS, unless the registry is one that need not have it and does not.
    async fn base(&self, registry: &str) -> Attempt<Url> {
        let name = if registry == "docker.io" { DOCKER_HOST } else { registry };
        let parse = |scheme: &str| {
            let bad = RegistryProblem::Unexpected { what: "nothing: its name is no host" };
            Url::parse(&format!("{scheme}://{name}/v2/")).map_err(|_| Break::from(bad))
        };
        let secure = parse("https")?;
        if !self.clients.is_trusted(&secure) && !is_loopback(&secure) {
            return Ok(secure);
        }
        let client = self.insecure_client(&secure)?;
        let answered = tokio::time::timeout(PROBE, client.get(secure.clone()).send()).await;
        if matches!(answered, Ok(Ok(_))) { Ok(secure) } else { parse("http") }
    }

    /// For a registry that need not prove who it is. The client of plain HTTP proves nothing, and is right for both.
    fn insecure_client(&self, url: &Url) -> Attempt<Client> {
        let mut plain = url.clone();
        let _both_are_special_schemes = plain.set_scheme("http");
        self.client(&plain)
    }

    /// Waits for what the network brings; blocks its thread.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Waits before another attempt; blocks its thread.
    pub(crate) fn sleep(&self, wait: Duration) {
        // The timer must be made inside of the runtime.
        self.wait(async { tokio::time::sleep(wait).await });
    }

    /// Tries until there is an answer, or none to be had; what fails is named by method and URL.
    pub(crate) fn patiently<T>(
        &self,
        place: &Place,
        (method, url): (&Method, &Url),
        mut attempt: impl FnMut(u32) -> Attempt<T>,
    ) -> Result<T> {
        let (mut attempts, mut was_there) = (0, false);
        loop {
            let cause = match attempt(attempts) {
                Ok(answer) => return Ok(answer),
                Err(cause) => cause,
            };
            attempts += 1;
            let enough = match &cause {
                Break::Hitch(hitch) => {
                    was_there |= !hitch.is_nowhere();
                    place.patience.is_over(hitch, attempts, was_there)
                }
                Break::Final(_) => attempts > place.patience.retries,
            };
            let (reason, wait) = match cause {
                Break::Hitch(hitch) if enough => {
                    return Err(place.error(method, url, RegistryProblem::after(hitch, attempts)));
                }
                Break::Hitch(hitch) => (hitch.reason(), place.patience.wait(&hitch, attempts)),
                Break::Final(Cause::Whole(error)) if error.is_retryable() && !enough => {
                    (error.to_string(), place.patience.wait(&Hitch::Stalled(Duration::ZERO), attempts))
                }
                Break::Final(Cause::Whole(error)) => return Err(error),
                Break::Final(Cause::Bare(problem)) => return Err(place.error(method, url, problem)),
            };
            let request = format!("{method} `{}`", shown(url));
            self.event(&RegistryEvent::Retrying { request, reason, wait });
            self.sleep(wait);
        }
    }

    /// The answer to a request, if its status is one of `accepted`.
    pub(crate) fn ask(&self, place: &Place, ask: &Ask, accepted: &[StatusCode]) -> Result<Response> {
        self.patiently(place, (&ask.method, &ask.url), |_| self.wait(self.exchange(place, ask, accepted)))
    }

    /// One attempt: with a second request when the registry wants to know who we are.
    pub(crate) async fn exchange(
        &self,
        place: &Place,
        ask: &Ask,
        accepted: &[StatusCode],
    ) -> Attempt<Response> {
        let request = async |client: &Client, url: &Url| {
            let mut request = client.request(ask.method.clone(), url.clone());
            for (name, value) in &ask.headers {
                request = request.header(name, value);
            }
            Ok(if ask.body.is_empty() { request } else { request.body(ask.body.clone()) })
        };
        self.exchange_with(place, &ask.url, request, accepted).await
    }

    /// As [`Shared::exchange`], with a request that `make` makes.
    pub(crate) async fn exchange_with(
        &self,
        place: &Place,
        url: &Url,
        make: impl AsyncFn(&Client, &Url) -> Attempt<RequestBuilder>,
        accepted: &[StatusCode],
    ) -> Attempt<Response> {
        let used = RefCell::new(None);
        let hop = async |url: &Url| {
            let client = self.client_for(place, url)?;
            let mut request = make(&client, url).await?;
            if let Some(header) = self.authorization(place, url).await? {
                request = request.header(AUTHORIZATION, header.clone());
                used.replace(Some(header));
            }
            self.send(request).await
        };
        let mut response = follow(url, &hop).await?;
        let said = used.take();
        if response.status() == StatusCode::UNAUTHORIZED
            && self.learn(place, response.headers(), said.as_ref()).await
        {
            response = follow(url, &hop).await?;
        }
        if accepted.contains(&response.status()) {
            Ok(response)
        } else {
            Err(refused(response).await.map(Cause::Bare))
        }
    }

    /// The client for a request to a registry, or to where it sends us.
    pub(crate) fn client_for(&self, place: &Place, url: &Url) -> Attempt<Client> {
        let insecure = place.host.owns(url) && is_loopback(url);
        if insecure { self.insecure_client(url) } else { self.client(url) }
    }

    /// What the registry may see, and no other server.
    pub(crate) async fn authorization(&self, place: &Place, url: &Url) -> Attempt<Option<HeaderValue>> {
        if !place.host.owns(url) {
            return Ok(None);
        }
        let mut authority = place.host.authority.lock().await;
        authority.header(self, &place.host.base, &place.access).await
    }

    /// Learns from a refusal; says whether it makes sense to ask again.
    pub(crate) async fn learn(&self, place: &Place, headers: &HeaderMap, used: Option<&HeaderValue>) -> bool {
        place.host.authority.lock().await.learn(Challenge::read(headers), &place.access, used)
    }
}

impl Host {
    /// Whether a URL is of this server: only then does it get to know who we are.
    fn owns(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }
}

impl Place {
    /// The URL of something in the repository: `…/v2/<repository>/<path>`.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.host.base.clone();
        url.set_path(&format!("/v2/{}/{path}", self.access.repository));
        url
    }

    pub(crate) fn error(&self, method: &Method, url: &Url, problem: RegistryProblem) -> Error {
        let named = self.host.authority.blocking_lock().is_named(&self.access);
        let (method, url, registry) = (method.clone(), shown(url), self.access.registry.clone());
        RegistryError { method, url, registry, named, problem }.into()
    }
}

/// A right to a repository, as token servers name it.
pub(crate) fn scope(repository: &str, rights: &str) -> String {
    format!("repository:{repository}:{rights}")
}

/// What a status that was not hoped for means, with what the body says.
pub(crate) async fn refused(response: Response) -> Break<RegistryProblem> {
    let status = response.status().as_u16();
    let hitch = Hitch::of(&response);
    let text = read_body(response).await;
    match hitch {
        Some(Hitch::Status { status, retry_after, .. }) => {
            Break::Hitch(Hitch::Status { status, retry_after, body: text })
        }
        _ => Break::Final(RegistryProblem::status(status, &text, 1)),
    }
}

/// The beginning of a body that is only words.
pub(crate) async fn read_body(mut response: Response) -> Vec<u8> {
    let mut text = Vec::new();
    let patience = Duration::from_secs(10);
    while let Ok(Ok(Some(bytes))) = tokio::time::timeout(patience, response.chunk()).await {
        text.extend_from_slice(&bytes);
        if text.len() > LARGEST_BODY {
            break;
        }
    }
    text
}
