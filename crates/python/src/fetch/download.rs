//! One download, from its first byte or from where it stopped.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use cartwheel_store::{Blob, Partial};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode, Url};

use super::error::Hitch;
use super::{FetchError, FetchEvent, Fetcher};
use crate::pylock::LockedWheel;
use crate::redact::redact;

/// How many bytes show that a line moves, and win the retries back.
const PROGRESS: u64 = 1 << 20;

/// How often a request may be redirected.
const REDIRECTS: usize = 10;

/// One wheel on its way.
struct Download<'a> {
    fetcher: &'a Fetcher<'a>,
    index: usize,
    url: Url,
    /// Without credentials, for messages.
    shown: String,
    size: Option<u64>,
    partial: Partial,
    /// How many bytes are in `partial`.
    received: u64,
    /// What the server calls the file, to be sure that a second part belongs to the first.
    etag: Option<String>,
    /// Whether the server gave a wrong range and is not asked for one again.
    whole: bool,
}

/// Why an attempt ended without the last byte.
enum Break {
    /// Another attempt may do better.
    Hitch(Hitch),
    /// What is here cannot be the beginning of what was promised.
    Wrong(FetchError),
    /// No attempt can do better.
    Final(FetchError),
}

/// Where the bytes of a response belong.
enum Placement {
    Append,
    FromStart,
}

impl Fetcher<'_> {
    /// Downloads one wheel; blocks its thread.
    pub(super) fn download(&self, index: usize, wheel: &LockedWheel, url: &str) -> Result<Blob, FetchError> {
        let shown = redact(url);
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let parsed = parsed.ok_or_else(|| FetchError::Url { url: shown.clone() })?;
        let mut second_chance = true;
        loop {
            let partial = self.store.partial(wheel.digest).map_err(FetchError::store)?;
            // Whoever held the lock on the partial file may have been fetching this very wheel.
            if let Some(blob) = super::present(self.store, wheel) {
                return Ok(blob);
            }
            let mut download = Download::new(self, index, parsed.clone(), wheel.size, partial)?;
            let wrong = match self.runtime.block_on(download.complete()) {
                Ok(()) => {
                    let wrong =
                        |expected, found| FetchError::Digest { place: shown.clone(), expected, found };
                    match download.partial.commit_as(wheel.digest) {
                        Ok(blob) => return Ok(blob),
                        Err(error) => FetchError::committing(error, wrong),
                    }
                }
                Err(error @ FetchError::Size { .. }) => {
                    download.restart()?;
                    error
                }
                Err(error) => return Err(error),
            };
            if !second_chance || matches!(wrong, FetchError::Store { .. }) {
                return Err(wrong);
            }
            second_chance = false;
            let reason = wrong.to_string();
            (self.on_event)(FetchEvent::Retrying { index, reason, wait: Duration::ZERO });
        }
    }

    fn client(&self, url: &Url) -> &Client {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default();
        let is_trusted = self.options.trusted_hosts.iter().any(|trusted| match trusted.split_once(':') {
            Some((name, number)) => name == host && number.parse().ok() == port,
            None => trusted == host,
        });
        if is_trusted { &self.trusting } else { &self.strict }
    }

    /// Waits for `future`, but not longer than `limit`, and not after another download failed.
    async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Result<T, Break> {
        let mut stop = self.stop.subscribe();
        tokio::select! {
            waited = tokio::time::timeout(limit, future) => {
                waited.map_err(|_| Break::Hitch(Hitch::Stalled(limit)))
            }
            _ = stop.wait_for(|stop| *stop) => Err(Break::Final(FetchError::Stopped)),
        }
    }
}

impl<'a> Download<'a> {
    fn new(
        fetcher: &'a Fetcher<'a>,
        index: usize,
        url: Url,
        size: Option<u64>,
        partial: Partial,
    ) -> Result<Self, FetchError> {
        let received = partial.size().map_err(FetchError::store)?;
        let shown = redact(url.as_str());
        let mut download =
            Self { fetcher, index, url, shown, size, partial, received, etag: None, whole: false };
        if size.is_some_and(|size| received > size) {
            download.restart()?;
        }
        (fetcher.on_event)(FetchEvent::Started { index, resumed: download.received });
        Ok(download)
    }

    /// Tries until the last byte is here.
    async fn complete(&mut self) -> Result<(), FetchError> {
        let patience = self.fetcher.options.patience;
        let (mut failures, mut attempts) = (0, 0);
        while self.size.is_none_or(|size| self.received < size) {
            let before = self.received;
            attempts += 1;
            let hitch = match self.attempt().await {
                Ok(()) => return Ok(()),
                Err(Break::Wrong(error) | Break::Final(error)) => return Err(error),
                Err(Break::Hitch(hitch)) => hitch,
            };
            failures = if self.received >= before + PROGRESS { 1 } else { failures + 1 };
            if failures > patience.retries {
                let source = Box::new(hitch);
                return Err(FetchError::Unreachable { url: self.shown.clone(), attempts, source });
            }
            self.pause(&hitch, failures).await?;
        }
        Ok(())
    }

    /// Waits before the next attempt: as long as the server asks, or twice as long as before; never in step with
    /// other downloads that failed at the same moment.
    async fn pause(&self, hitch: &Hitch, failures: u32) -> Result<(), FetchError> {
        let patience = self.fetcher.options.patience;
        let doubled = patience.back_off.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let wait = match hitch {
            Hitch::Status { retry_after: Some(asked), .. } => (*asked).max(doubled),
            _ => doubled.mul_f64(0.5 + random()),
        };
        let wait = wait.min(patience.longest_wait);
        let reason = hitch.reason();
        (self.fetcher.on_event)(FetchEvent::Retrying { index: self.index, reason, wait });
        match self.fetcher.within(wait, std::future::pending::<()>()).await {
            Err(Break::Final(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// One request and as much of its body as comes.
    async fn attempt(&mut self) -> Result<(), Break> {
        let mut response = self.request().await?;
        if let Placement::FromStart = self.placement(&response)? {
            self.restart().map_err(Break::Final)?;
        }
        self.etag = strong_etag(response.headers());
        let read = self.fetcher.options.patience.read;
        while let Some(bytes) = self.fetcher.within(read, response.chunk()).await?.map_err(network)? {
            self.append(&bytes)?;
        }
        match self.size {
            Some(size) if self.received < size => {
                Err(Break::Hitch(Hitch::Short { received: self.received, size }))
            }
            _ => Ok(()),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Break> {
        let received = self.received + bytes.len() as u64;
        if let Some(size) = self.size.filter(|size| received > *size) {
            return Err(Break::Wrong(FetchError::Size { url: self.shown.clone(), size }));
        }
        self.partial.append(bytes).map_err(|error| Break::Final(FetchError::store(error)))?;
        self.received = received;
        (self.fetcher.on_event)(FetchEvent::Progress { index: self.index, received });
        Ok(())
    }

    fn restart(&mut self) -> Result<(), FetchError> {
        self.received = 0;
        self.partial.restart().map_err(FetchError::store)
    }

    /// Follows redirects by hand: each hop gets the credentials of its own origin or none.
    async fn request(&self) -> Result<Response, Break> {
        let mut url = self.url.clone();
        for _ in 0..REDIRECTS {
            let response = self.hop(&url).await?;
            match redirection(&url, &response) {
                Some(next) if matches!(next.scheme(), "http" | "https") => url = next,
                Some(next) => {
                    return Err(Break::Final(FetchError::Url { url: redact(next.as_str()) }));
                }
                None => return Ok(response),
            }
        }
        Err(Break::Final(FetchError::Redirects { url: self.shown.clone() }))
    }

    async fn hop(&self, url: &Url) -> Result<Response, Break> {
        let mut address = url.clone();
        // They go into a header, so that no error of the client can show them.
        let _cannot_fail_for_http = (address.set_username(""), address.set_password(None));
        let mut request = self.fetcher.client(url).get(address).header(ACCEPT_ENCODING, "identity");
        if let Some(login) = self.fetcher.options.credentials.login(url) {
            request = request.basic_auth(&login.user, Some(&login.password));
        }
        if self.received > 0 && !self.whole {
            request = request.header(RANGE, format!("bytes={}-", self.received));
            if let Some(etag) = &self.etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        let read = self.fetcher.options.patience.read;
        self.fetcher.within(read, request.send()).await?.map_err(network)
    }

    /// What the status and the range of an answer mean for the bytes that are here.
    fn placement(&mut self, response: &Response) -> Result<Placement, Break> {
        let status = response.status();
        let url = || self.shown.clone();
        match status {
            StatusCode::OK => Ok(Placement::FromStart),
            StatusCode::PARTIAL_CONTENT if self.continues(response.headers()) => Ok(Placement::Append),
            // The bytes here are past the end of what the server has: they are not of this file.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if !self.whole => {
                self.whole = true;
                Err(Break::Hitch(Hitch::Range))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Break::Final(FetchError::Unauthorized { url: url(), status: status.as_u16() }))
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(busy(response)),
            _ if status.is_server_error() => Err(busy(response)),
            _ => Err(Break::Final(FetchError::Status { url: url(), status: status.as_u16() })),
        }
    }

    /// Whether the answer is the rest of the file, from the byte that was asked for.
    fn continues(&self, headers: &HeaderMap) -> bool {
        let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let Some((start, total)) = range.and_then(parse_content_range) else { return false };
        let fits = match (total, self.size) {
            (Some(total), Some(size)) => total == size,
            _ => true,
        };
        start == self.received && fits
    }
}

fn network(error: reqwest::Error) -> Break {
    Break::Hitch(Hitch::Network(error.without_url()))
}

fn busy(response: &Response) -> Break {
    // A date is allowed, too; the servers that ask for patience send seconds.
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
    Break::Hitch(Hitch::Status { status: response.status().as_u16(), retry_after })
}

fn redirection(from: &Url, response: &Response) -> Option<Url> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let redirected = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    redirected.then(|| from.join(location).ok())?
}

/// Only a strong validator may be used to join two parts.
fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    etag.starts_with('"').then(|| etag.to_owned())
}

/// `bytes 5-9/10` → 5 and 10; a `*` for the total is an unknown one.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (start.trim().parse().ok()?, end.trim().parse::<u64>().ok()?);
    let total: Option<u64> = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    (start <= end && total.is_none_or(|total| end < total)).then_some((start, total))
}

/// A number from 0 to 1, good enough to keep clients out of step.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(0_u8);
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["bytes 9-5/10", "bytes 5-10/10", "bytes */10", "items 0-1/2", "bytes 5-9", ""] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn jitter_stays_in_its_bounds() {
        assert!((0..100).map(|_| random()).all(|number| (0.0..=1.0).contains(&number)));
    }
}
