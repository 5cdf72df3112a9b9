//! Brings wheels into the store: in parallel, resumable, verified.
//!
//! [`fetch`] returns when every wheel of a resolution is a blob, and hands over each one the moment it is there, so
//! that its layer can be made while the others are still on their way. A wheel that the store has costs one `stat`.
//!
//! # What goes wrong, and what is done about it
//!
//! * A connection that breaks, stalls or ends early goes on from the byte where it stopped, in this process or the
//!   next one: the bytes lie in the store's `partial` folder under the digest that the lockfile promises.
//! * A server that answers a `Range` with the whole file is taken at its word, and the bytes so far are thrown away; one
//!   that answers with another range than the one asked for is asked for the whole file.
//! * Connect errors, 408, 429 and 5xx are retried with exponential back-off and jitter; `Retry-After` is honoured up to
//!   a bound. Each mebibyte that arrives wins back the retries: a slow line that moves is no failure. Other 4xx are
//!   final.
//! * Bytes that do not have the promised digest are thrown away and asked for once more from zero. Then it is an error.
//!
//! # Threads
//!
//! Each download has a thread of its own that waits for bytes, writes them and, at the end, hashes the file; tokio
//! drives the sockets on two more. So no disk write or hash holds up a socket, a slow disk slows its own download
//! down and nothing else, and what is in memory is what the sockets have buffered.
//!
//! HTTP/1.1 on purpose: eight downloads over eight connections get past the window of a single one, which is what
//! HTTP/2 would put them on.

mod credentials;
mod download;
mod error;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cartwheel_store::{Blob, Digest, Store};
use cartwheel_transfer::{ClientOptions, Clients, Patience};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::error::Result;
use crate::pylock::{LockedWheel, WheelLocation};

pub use credentials::Credentials;
pub use error::FetchError;

/// How to fetch.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// How many downloads run at once.
    pub parallel: usize,
    /// A file of PEM certificates that are trusted beside those of the system.
    pub certificates: Option<PathBuf>,
    /// Hosts whose certificates are not checked, as `host` or `host:port`.
    pub trusted_hosts: Vec<String>,
    /// Who we are, to which server.
    pub credentials: Credentials,
    /// How long to wait, and how often to try again.
    pub patience: Patience,
}

/// Something that happened to the wheel at `index` of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchEvent {
    /// The store had it.
    Present {
        /// Which wheel.
        index: usize,
    },
    /// Its download begins, with so many bytes here already.
    Started {
        /// Which wheel.
        index: usize,
        /// How many bytes an earlier run left.
        resumed: u64,
    },
    /// It is here so far: a number that goes back when a download starts anew.
    Progress {
        /// Which wheel.
        index: usize,
        /// How many bytes are here.
        received: u64,
    },
    /// It failed and is tried again.
    Retrying {
        /// Which wheel.
        index: usize,
        /// Why, in a sentence without credentials.
        reason: String,
        /// After which wait.
        wait: Duration,
    },
    /// It is in the store.
    Finished {
        /// Which wheel.
        index: usize,
    },
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            parallel: 8,
            certificates: None,
            trusted_hosts: Vec::new(),
            credentials: Credentials::default(),
            patience: Patience::default(),
        }
    }
}

/// Brings `wheels` into the store, and returns when all are there or one cannot be had.
///
/// `on_done` gets the index of each wheel and its blob as soon as it is there, from several threads at once, in no
/// particular order; while it runs, the thread that calls it downloads nothing. After an error the other downloads
/// stop where they are.
pub fn fetch(
    store: &Store,
    wheels: &[LockedWheel],
    options: &FetchOptions,
    on_event: impl Fn(FetchEvent) + Send + Sync,
    on_done: impl Fn(usize, Blob) + Send + Sync,
) -> Result<()> {
    let arrive = |index: usize, blob: Blob, event: FetchEvent| {
        on_event(event);
        on_done(index, blob);
    };
    let mut missing = Vec::new();
    for (index, wheel) in wheels.iter().enumerate() {
        match present(store, wheel) {
            Some(blob) => arrive(index, blob, FetchEvent::Present { index }),
            None => missing.push(index),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let queue = Mutex::new(largest_first(wheels, &missing));
    let fetcher = Fetcher::new(store, options, &on_event)?;
    std::thread::scope(|scope| {
        for _ in 0..options.parallel.clamp(1, missing.len()) {
            scope.spawn(|| fetcher.work(&queue, wheels, &arrive));
        }
    });
    fetcher.outcome()
}

/// The blob of this wheel, if the store has it whole.
fn present(store: &Store, wheel: &LockedWheel) -> Option<Blob> {
    store.blob(wheel.digest).filter(|blob| wheel.size.is_none_or(|size| size == blob.size()))
}

/// Wheels with equal digests are one download. The largest comes first: what is started last should end soon.
fn largest_first(wheels: &[LockedWheel], missing: &[usize]) -> VecDeque<Vec<usize>> {
    let mut groups: BTreeMap<Digest, Vec<usize>> = BTreeMap::new();
    for &index in missing {
        if let Some(wheel) = wheels.get(index) {
            groups.entry(wheel.digest).or_default().push(index);
        }
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    let size = |group: &Vec<usize>| {
        let wheel = group.first().and_then(|&index| wheels.get(index));
        wheel.map_or(u64::MAX, |wheel| wheel.size.unwrap_or(u64::MAX))
    };
    groups.sort_by_key(|group| (std::cmp::Reverse(size(group)), group.first().copied()));
    groups.into()
}

/// What the downloads share.
struct Fetcher<'a> {
    store: &'a Store,
    options: &'a FetchOptions,
    on_event: &'a (dyn Fn(FetchEvent) + Send + Sync),
    runtime: Runtime,
    clients: Clients,
    /// Turns true when a download failed for good.
    stop: watch::Sender<bool>,
    failure: Mutex<Option<FetchError>>,
}

impl<'a> Fetcher<'a> {
    fn new(
        store: &'a Store,
        options: &'a FetchOptions,
        on_event: &'a (dyn Fn(FetchEvent) + Send + Sync),
    ) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let setup = |source| FetchError::Setup(cartwheel_transfer::ErrorKind::Runtime { source }.into());
        let runtime = runtime.map_err(setup)?;
        let clients = Clients::new(ClientOptions {
            certificates: options.certificates.clone(),
            trusted_hosts: options.trusted_hosts.clone(),
            connect: options.patience.connect,
        });
        let (stop, _) = watch::channel(false);
        Ok(Self { store, options, on_event, runtime, clients, stop, failure: Mutex::new(None) })
    }

    /// Takes groups of wheels off the queue until it is empty or a download has failed.
    fn work(
        &self,
        queue: &Mutex<VecDeque<Vec<usize>>>,
        wheels: &[LockedWheel],
        arrive: &(impl Fn(usize, Blob, FetchEvent) + Sync),
    ) {
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while !*self.stop.borrow()
            && let Some(group) = next()
        {
            let Some((index, wheel)) = group.first().and_then(|&index| Some((index, wheels.get(index)?)))
            else {
                continue;
            };
            match self.wheel(index, wheel) {
                Ok(blob) => {
                    for index in group {
                        arrive(index, blob.clone(), FetchEvent::Finished { index });
                    }
                }
                Err(error) => self.fail(error),
            }
        }
    }

    fn wheel(&self, index: usize, wheel: &LockedWheel) -> Result<Blob, FetchError> {
        match &wheel.location {
            WheelLocation::Path(path) => copy(self.store, path, wheel.digest),
            WheelLocation::Url(url) => self.download(index, wheel, url),
        }
    }

    /// Remembers the first error and stops the others; theirs, if any, is only that they were stopped.
    fn fail(&self, error: FetchError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        self.stop.send_replace(true);
    }

    fn outcome(self) -> Result<()> {
        match self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

/// Copies a wheel that lies on disk, checking its digest on the way.
fn copy(store: &Store, path: &Path, digest: Digest) -> Result<Blob, FetchError> {
    let failed = |source| FetchError::Local { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut writer = store.writer().map_err(FetchError::store)?;
    io::copy(&mut file, &mut writer).map_err(failed)?;
    let wrong = |expected, found| FetchError::Digest { place: path.display().to_string(), expected, found };
    writer.commit_as(digest).map_err(|error| FetchError::committing(error, wrong))
}
