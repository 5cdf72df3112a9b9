//! How long to wait, and how often to try again.

use std::error::Error as _;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use crate::redact::redact;

/// How long to wait, and how often to try again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes of an open one.
    pub read: Duration,
    /// How many failures in a row, none of which brought a mebibyte, are retried.
    pub retries: u32,
    /// The wait before the first retry; it doubles with each.
    pub back_off: Duration,
    /// The longest wait, whatever a server asks for.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(30),
            retries: 5,
            back_off: Duration::from_millis(400),
            longest_wait: Duration::from_mins(1),
        }
    }
}

impl Patience {
    /// Whether to give up after so many failures in a row, the last of which was `hitch`. A server that is not to be found is
    /// looked for once more, unless it was there before.
    pub fn is_over(&self, hitch: &Hitch, failures: u32, was_there: bool) -> bool {
        let retries = if hitch.is_nowhere() && !was_there { self.retries.min(1) } else { self.retries };
        failures > retries
    }

    /// How long to wait after so many failures in a row: as long as the server asks, or twice as long as before; never
    /// in step with others that failed at the same moment.
    pub fn wait(&self, hitch: &Hitch, failures: u32) -> Duration {
        let doubled = self.back_off.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let wait = match hitch {
            Hitch::Status { retry_after: Some(asked), .. } => (*asked).max(doubled),
            _ => doubled.mul_f64(0.5 + random()),
        };
        wait.min(self.longest_wait)
    }
}

/// One attempt that failed, in a way that another may not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Hitch {
    /// No server has this name, or nobody here knows it.
    #[error("the name of the server could not be resolved")]
    Unresolved(#[source] reqwest::Error),
    /// Nobody listens at this address.
    #[error("there is no server: the connection was refused")]
    Refused(#[source] reqwest::Error),
    /// No connection, or one that broke.
    #[error("could not talk to the server")]
    Network(#[source] reqwest::Error),
    /// An open connection on which nothing comes.
    #[error("nothing came for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// A server that is busy or broken.
    #[error("the server answered with status {status}")]
    Status {
        /// 408, 429 or 5xx.
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What else it said.
        body: Vec<u8>,
    },
    /// A body that ended early.
    #[error("the connection ended after {received} of {size} bytes")]
    Short {
        /// How many bytes came.
        received: u64,
        /// How many were promised.
        size: u64,
    },
    /// A range that does not begin where it was asked to.
    #[error("the server answered with a range that was not asked for")]
    Range,
}

/// Why an attempt ended without success.
#[derive(Debug)]
pub enum Break<E> {
    /// Another attempt may do better.
    Hitch(Hitch),
    /// No attempt can do better.
    Final(E),
}

impl<E> Break<E> {
    /// The same with another error.
    pub fn map<F>(self, f: impl FnOnce(E) -> F) -> Break<F> {
        match self {
            Self::Hitch(hitch) => Break::Hitch(hitch),
            Self::Final(error) => Break::Final(f(error)),
        }
    }
}

impl<E> From<reqwest::Error> for Break<E> {
    fn from(error: reqwest::Error) -> Self {
        Self::Hitch(Hitch::failed(error.without_url()))
    }
}

impl Hitch {
    /// Why a request got no answer. The resolver's failure has no type: it is known by its words.
    fn failed(error: reqwest::Error) -> Self {
        let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
        let refused = |cause: &(dyn std::error::Error + 'static)| {
            let cause = cause.downcast_ref::<io::Error>();
            cause.is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
        };
        match causes.find(|cause| refused(*cause) || cause.to_string() == "dns error") {
            Some(cause) if refused(cause) => Self::Refused(error),
            Some(_) => Self::Unresolved(error),
            None => Self::Network(error),
        }
    }

    /// Whether no server was found.
    pub fn is_nowhere(&self) -> bool {
        matches!(self, Self::Unresolved(_) | Self::Refused(_))
    }

    /// The hitch that a status is, if it is one that may go away.
    pub fn of(response: &Response) -> Option<Self> {
        let status = response.status();
        let passes = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            || status.is_server_error();
        let retry_after = || retry_after(response.headers());
        passes.then(|| Self::Status { status: status.as_u16(), retry_after: retry_after(), body: Vec::new() })
    }

    /// The whole chain in one line without credentials, for a progress event.
    pub fn reason(&self) -> String {
        let mut reason = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            reason.push_str(": ");
            reason.push_str(&error.to_string());
            source = error.source();
        }
        redact(&reason)
    }
}

/// Waits for `future`, but not longer than `limit`.
pub async fn within<T, E>(limit: Duration, future: impl Future<Output = T>) -> Result<T, Break<E>> {
    tokio::time::timeout(limit, future).await.map_err(|_| Break::Hitch(Hitch::Stalled(limit)))
}

/// A date is allowed, too; the servers that ask for patience send seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
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
    fn waits_double_and_stay_in_their_bounds() {
        let patience = Patience { back_off: Duration::from_millis(100), ..Patience::default() };
        let stalled = Hitch::Stalled(Duration::ZERO);
        for _ in 0..100 {
            let (first, third) =
                (patience.wait(&stalled, 1).as_millis(), patience.wait(&stalled, 3).as_millis());
            assert!((50..=150).contains(&first) && (200..=600).contains(&third), "{first} {third}");
        }
        assert_eq!(patience.wait(&stalled, 40), patience.longest_wait);
    }

    #[tokio::test]
    async fn who_is_not_to_be_found_is_looked_for_once_more() {
        let _ring_is_what_is_there = rustls::crypto::ring::default_provider().install_default();
        let ask = async |url: &str| match Break::<()>::from(reqwest::get(url).await.unwrap_err()) {
            Break::Hitch(hitch) => hitch,
            Break::Final(()) => panic!("final"),
        };
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = ask(&format!("http://{closed}/")).await;
        // No resolver is asked for a name of this length.
        let unresolved = ask(&format!("http://{}/", "x".repeat(300))).await;
        assert!(
            matches!(refused, Hitch::Refused(_)) && matches!(unresolved, Hitch::Unresolved(_)),
            "{unresolved:?}"
        );
        let patience = Patience::default();
        for nowhere in [&refused, &unresolved] {
            assert!(!patience.is_over(nowhere, 1, false) && patience.is_over(nowhere, 2, false));
            assert!(!patience.is_over(nowhere, 2, true));
        }
        assert!(!patience.is_over(&Hitch::Range, 5, false) && patience.is_over(&Hitch::Range, 6, false));
    }

    #[test]
    fn servers_are_given_the_time_they_ask_for() {
        let busy = |seconds| Hitch::Status {
            status: 429,
            retry_after: Some(Duration::from_secs(seconds)),
            body: Vec::new(),
        };
        let patience = Patience::default();
        assert_eq!(patience.wait(&busy(7), 1), Duration::from_secs(7));
        assert_eq!(patience.wait(&busy(7000), 1), patience.longest_wait);
    }
}
