//! One download into the store, from its first byte or from where it stopped.

use std::time::Duration;

use cartwheel_store::{Blob, Digest, Partial, Store};
use reqwest::Response;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::error::Failure;
use crate::patience::{Break, Hitch, Patience};
use crate::position::{Placement, Position};

/// How many bytes show that a line moves, and win the retries back.
const PROGRESS: u64 = 1 << 20;

/// A file that is promised, and what a download of it depends on besides the requests.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Its digest.
    pub digest: Digest,
    /// Its size, if that is promised too.
    pub size: Option<u64>,
    /// Where it shall be.
    pub store: &'a Store,
    /// What drives the sockets.
    pub runtime: &'a Handle,
    /// How long to wait, and how often to try again.
    pub patience: Patience,
    /// Turns true when the file is not wanted any more.
    pub stop: &'a watch::Sender<bool>,
}

/// Something that happens to a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadEvent {
    /// It begins, with so many bytes here already.
    Started(u64),
    /// It is here so far: a number that goes back when the download starts anew.
    Progress(u64),
    /// It failed and is tried again.
    Retrying {
        /// Why, in a sentence without credentials.
        reason: String,
        /// After which wait.
        wait: Duration,
    },
}

/// Brings a file into the store; blocks its thread.
///
/// `request` asks for the bytes that the [`Position`] misses, and answers for every status but 200, 206 and 416.
/// Bytes that do not have the promised digest are thrown away and asked for once more from zero.
pub fn download<E: From<Failure>>(
    wanted: &Wanted<'_>,
    request: &impl AsyncFn(&Position) -> Result<Response, Break<E>>,
    on_event: impl Fn(DownloadEvent),
) -> Result<Blob, E> {
    let mut second_chance = true;
    loop {
        let partial = wanted.store.partial(wanted.digest).map_err(Failure::from)?;
        // Whoever held the lock on the partial file may have been fetching this very file.
        if let Some(blob) = wanted.present() {
            return Ok(blob);
        }
        let mut download = Download::new(wanted, partial, &on_event)?;
        let wrong = match wanted.runtime.block_on(download.complete(request)) {
            Ok(()) => match download.partial.commit_as(wanted.digest).map_err(Failure::from) {
                Ok(blob) => return Ok(blob),
                Err(failure @ Failure::Digest { .. }) => failure,
                Err(failure) => return Err(failure.into()),
            },
            Err(Stop::Larger(size)) => {
                download.restart()?;
                Failure::Size(size)
            }
            Err(Stop::Failed(error)) => return Err(error),
        };
        if !second_chance {
            return Err(wrong.into());
        }
        second_chance = false;
        on_event(DownloadEvent::Retrying { reason: describe(&wrong), wait: Duration::ZERO });
    }
}

fn describe(wrong: &Failure) -> String {
    match wrong {
        Failure::Digest { expected, found } => format!("expected `{expected}`, found `{found}`"),
        _ => "more bytes came than were promised".to_owned(),
    }
}

impl Wanted<'_> {
    fn present(&self) -> Option<Blob> {
        self.store.blob(self.digest).filter(|blob| self.size.is_none_or(|size| size == blob.size()))
    }

    /// Waits for `future`, but not longer than `limit`, and not after the file is not wanted any more.
    async fn within<T, E: From<Failure>>(
        &self,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, Break<E>> {
        let mut stop = self.stop.subscribe();
        tokio::select! {
            waited = tokio::time::timeout(limit, future) => {
                waited.map_err(|_| Break::Hitch(Hitch::Stalled(limit)))
            }
            _ = stop.wait_for(|stop| *stop) => Err(Break::Final(Failure::Stopped.into())),
        }
    }
}

/// A file on its way.
struct Download<'a> {
    wanted: &'a Wanted<'a>,
    on_event: &'a dyn Fn(DownloadEvent),
    partial: Partial,
    position: Position,
}

/// Why a download stopped before its end.
enum Stop<E> {
    /// More came than this.
    Larger(u64),
    Failed(E),
}

impl<E: From<Failure>> From<Failure> for Stop<E> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Size(size) => Self::Larger(size),
            failure => Self::Failed(failure.into()),
        }
    }
}

impl<'a> Download<'a> {
    fn new(
        wanted: &'a Wanted<'a>,
        partial: Partial,
        on_event: &'a dyn Fn(DownloadEvent),
    ) -> Result<Self, Failure> {
        let received = partial.size().map_err(Failure::from)?;
        let mut download = Self { wanted, on_event, partial, position: Position::new(received, wanted.size) };
        if wanted.size.is_some_and(|size| received > size) {
            download.restart()?;
        }
        on_event(DownloadEvent::Started(download.position.received));
        Ok(download)
    }

    /// Tries until the last byte is here.
    async fn complete<E: From<Failure>>(
        &mut self,
        request: &impl AsyncFn(&Position) -> Result<Response, Break<E>>,
    ) -> Result<(), Stop<E>> {
        let (mut failures, mut attempts, mut was_there) = (0, 0, false);
        while !self.position.is_complete() {
            let before = self.position.received;
            attempts += 1;
            let hitch = match self.attempt(request).await {
                Ok(()) => return Ok(()),
                Err(Break::Final(stop)) => return Err(stop),
                Err(Break::Hitch(hitch)) => hitch,
            };
            failures = if self.position.received >= before + PROGRESS { 1 } else { failures + 1 };
            was_there |= !hitch.is_nowhere();
            if self.wanted.patience.is_over(&hitch, failures, was_there) {
                return Err(Failure::Unreachable { attempts, hitch }.into());
            }
            self.pause::<E>(&hitch, failures).await?;
        }
        Ok(())
    }

    async fn pause<E: From<Failure>>(&self, hitch: &Hitch, failures: u32) -> Result<(), Stop<E>> {
        let wait = self.wanted.patience.wait(hitch, failures);
        (self.on_event)(DownloadEvent::Retrying { reason: hitch.reason(), wait });
        match self.wanted.within(wait, std::future::pending::<()>()).await {
            Err(Break::Final(error)) => Err(Stop::Failed(error)),
            _ => Ok(()),
        }
    }

    /// One request and as much of its body as comes.
    async fn attempt<E: From<Failure>>(
        &mut self,
        request: &impl AsyncFn(&Position) -> Result<Response, Break<E>>,
    ) -> Result<(), Break<Stop<E>>> {
        let read = self.wanted.patience.read;
        let asked = self.wanted.within(read, request(&self.position)).await;
        let mut response =
            asked.map_err(|cause| cause.map(Stop::Failed))?.map_err(|cause| cause.map(Stop::Failed))?;
        if let Placement::FromStart = self.position.place(&response).map_err(Break::Hitch)? {
            self.restart().map_err(|failure| Break::Final(failure.into()))?;
        }
        while let Some(bytes) =
            self.wanted.within(read, response.chunk()).await.map_err(|cause| cause.map(Stop::Failed))??
        {
            self.append(&bytes).map_err(|failure| Break::Final(failure.into()))?;
        }
        self.position.end().map_err(Break::Hitch)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let received = self.position.received + bytes.len() as u64;
        if let Some(size) = self.position.size.filter(|size| received > *size) {
            return Err(Failure::Size(size));
        }
        self.partial.append(bytes)?;
        self.position.received = received;
        (self.on_event)(DownloadEvent::Progress(received));
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Failure> {
        self.position.received = 0;
        Ok(self.partial.restart()?)
    }
}
