//! A registry in this process, stricter than real ones and able to fail in every way that real ones do.
//!
//! It speaks the part of the [distribution spec](https://github.com/opencontainers/distribution-spec) that moving images takes,
//! with the token server that goes with it, on 127.0.0.1. Each [`Operation`] has a queue of [`Failure`]s: one request takes one
//! of them, and when the queue is empty all is well.
//!
//! Stricter: a manifest before what it refers to, a media type that images do not have, an upload that nobody asked for with
//! `HEAD`, a body without a length, a blob in pieces, a token that does not allow what is done with it, an `Authorization`
//! that nobody asked for: all are remembered as violations, and dropping the registry panics for them.

mod serve;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use cartwheel_store::Digest;

use crate::accept::serve_each;

/// A registry on 127.0.0.1, for as long as this value lives.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    state: Arc<State>,
    stopped: Arc<AtomicBool>,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `GET` or `POST` of the token server.
    Token,
    /// `GET` of a manifest or index.
    Manifest,
    /// `PUT` of one.
    PutManifest,
    /// `HEAD` of a blob.
    Ask,
    /// `GET` of a blob.
    Blob,
    /// `POST` that begins an upload or mounts.
    Begin,
    /// `PUT` of a blob.
    Upload,
    /// `GET` of the list of tags.
    Tags,
}

/// One way in which the next request for an operation goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A status, with the spec's code and message.
    Status(u16, &'static str),
    /// A status that asks to come back after so many seconds.
    RetryAfter(u16, u32),
    /// The connection is closed without an answer.
    Reset,
    /// The connection is cut after so many bytes of the body.
    Cut(usize),
    /// The connection stays open after so many bytes, and nothing more comes.
    Stall(usize),
    /// Bytes of the right number that are not the blob's.
    WrongBytes,
    /// The whole blob with status 200, whatever range was asked for.
    IgnoreRange,
    /// A redirect to this URL.
    Redirect(String),
    /// For [`Operation::Begin`]: an upload begins, although a mount was asked for.
    RefuseMount,
    /// For [`Operation::Upload`]: all is done, but the answer is lost.
    LoseAnswer,
}

/// Who is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody, and whoever says who they are has made a mistake.
    #[default]
    Everybody,
    /// Whoever has this user and password.
    Basic(String, String),
    /// Whoever has a token; the token server gives what it is asked for to whoever is allowed.
    Bearer(Account),
}

/// Whom the token server knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// User and password, if they are needed.
    pub password: Option<(String, String)>,
    /// The refresh token, if one is needed.
    pub identity: Option<String>,
    /// The scopes that it does not give.
    pub denied: Vec<String>,
}

/// A request, as far as tests care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) content: Mutex<Content>,
}

#[derive(Debug, Default)]
pub(crate) struct Content {
    address: String,
    access: Access,
    repositories: BTreeMap<String, Stored>,
    failures: BTreeMap<Operation, VecDeque<Failure>>,
    /// The scopes of each token that was given.
    tokens: BTreeMap<String, BTreeSet<String>>,
    /// Uploads that were begun, and their repositories.
    uploads: BTreeMap<String, String>,
    requests: Vec<Request>,
    violations: Vec<String>,
    count: usize,
}

/// What one repository has.
#[derive(Debug, Default)]
struct Stored {
    blobs: BTreeMap<Digest, Arc<Vec<u8>>>,
    /// With their media types.
    manifests: BTreeMap<Digest, (String, Arc<Vec<u8>>)>,
    tags: BTreeMap<String, Digest>,
    /// What `HEAD` was asked for.
    asked: BTreeSet<Digest>,
}

impl Registry {
    /// Starts an empty registry on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the port");
        let (state, stopped) = (Arc::new(State::default()), Arc::default());
        state.content().address = address.to_string();
        let shared = Arc::clone(&state);
        let accept = move || listener.accept().map(|(stream, _)| stream);
        serve_each(Arc::clone(&stopped), accept, move |stream| serve::serve(stream, &shared));
        Self { address, state, stopped }
    }

    /// The address as references name it: `127.0.0.1:1234`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// From now on lets only these in.
    pub fn allow(&self, access: Access) {
        self.state.content().access = access;
    }

    /// Lets one more request for an operation fail.
    pub fn fail(&self, operation: Operation, failure: Failure) {
        self.state.content().failures.entry(operation).or_default().push_back(failure);
    }

    /// Forgets every token that was given.
    pub fn expire_tokens(&self) {
        self.state.content().tokens.clear();
    }

    /// All requests so far, as `METHOD path`.
    pub fn requests(&self) -> Vec<Request> {
        self.state.content().requests.clone()
    }

    /// The requests whose method and path begin so; the path is cut to its interesting part: `blobs/…`, `manifests/…`.
    pub fn requests_of(&self, method: &str, part: &str) -> Vec<Request> {
        let of = |request: &Request| request.method == method && request.path.contains(part);
        self.requests().into_iter().filter(of).collect()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.state.content().requests.clear();
    }

    /// The bytes of a blob or manifest of a repository.
    pub fn stored(&self, repository: &str, digest: Digest) -> Option<Vec<u8>> {
        let content = self.state.content();
        let stored = content.repositories.get(repository)?;
        let blob = stored.blobs.get(&digest);
        Some(blob.or_else(|| stored.manifests.get(&digest).map(|(_, text)| text))?.to_vec())
    }

    /// Puts a blob into a repository without any request.
    pub fn store(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let mut content = self.state.content();
        let stored = content.repositories.entry(repository.to_owned()).or_default();
        stored.blobs.insert(digest, Arc::new(bytes.to_vec()));
        digest
    }

    /// The digest that a tag names.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<Digest> {
        self.state.content().repositories.get(repository)?.tags.get(tag).copied()
    }

    /// What a stricter registry than any real one found wrong so far; a test that makes mistakes on purpose takes it.
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.state.content().violations)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _woken = TcpStream::connect(self.address);
        let violations = self.take_violations();
        if !thread::panicking() {
            assert!(violations.is_empty(), "requests that a strict registry refuses: {violations:#?}");
        }
    }
}

impl State {
    pub(crate) fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
