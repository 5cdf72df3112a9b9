//! One wheel of the network: which requests are made for it, and what their answers mean.

use cartwheel_store::Blob;
use cartwheel_transfer::{
    Break, DownloadEvent, Failure, Hitch, Misdirected, Position, Wanted, download, follow, redact,
};
use reqwest::{Response, StatusCode, Url};

use super::{FetchError, FetchEvent, Fetcher};
use crate::pylock::LockedWheel;

impl Fetcher<'_> {
    /// Downloads one wheel; blocks its thread.
    pub(super) fn download(&self, index: usize, wheel: &LockedWheel, url: &str) -> Result<Blob, FetchError> {
        let shown = redact(url);
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = parsed.ok_or_else(|| FetchError::Url { url: shown.clone() })?;
        let wanted = Wanted {
            digest: wheel.digest,
            size: wheel.size,
            store: self.store,
            runtime: self.runtime.handle(),
            patience: self.options.patience,
            stop: &self.stop,
        };
        let request = async |position: &Position| {
            let response = follow(&url, async |url| self.hop(url, position).await).await?;
            accept(response)
        };
        let on_event = |event| (self.on_event)(wheel_event(index, event));
        download(&wanted, &request, on_event).map_err(|cause: Cause| cause.into_error(shown))
    }

    /// One request: each hop gets the credentials of its own origin or none.
    async fn hop(&self, url: &Url, position: &Position) -> Result<Response, Break<Cause>> {
        let mut address = url.clone();
        // They go into a header, so that no error of the client can show them.
        let _cannot_fail_for_http = (address.set_username(""), address.set_password(None));
        let client = self.clients.client(url).map_err(|error| Break::Final(Cause::Setup(error)))?;
        let mut request = position.ask(client.get(address));
        if let Some(login) = self.options.credentials.login(url) {
            request = request.basic_auth(&login.user, Some(&login.password));
        }
        Ok(request.send().await?)
    }
}

fn wheel_event(index: usize, event: DownloadEvent) -> FetchEvent {
    match event {
        DownloadEvent::Started(resumed) => FetchEvent::Started { index, resumed },
        DownloadEvent::Progress(received) => FetchEvent::Progress { index, received },
        DownloadEvent::Retrying { reason, wait } => FetchEvent::Retrying { index, reason, wait },
    }
}

/// Why a wheel could not be had, without its URL.
enum Cause {
    Failure(Failure),
    Misdirected(Misdirected),
    Setup(cartwheel_transfer::Error),
    Status(StatusCode),
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Misdirected> for Cause {
    fn from(misdirected: Misdirected) -> Self {
        Self::Misdirected(misdirected)
    }
}

impl Cause {
    fn into_error(self, url: String) -> FetchError {
        match self {
            Self::Failure(failure) => FetchError::failed(failure, url),
            Self::Misdirected(Misdirected::Scheme(url)) => FetchError::Url { url: redact(url.as_str()) },
            Self::Misdirected(Misdirected::TooOften) => FetchError::Redirects { url },
            Self::Setup(source) => FetchError::Setup(source),
            Self::Status(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
                FetchError::Unauthorized { url, status: status.as_u16() }
            }
            Self::Status(status) => FetchError::Status { url, status: status.as_u16() },
        }
    }
}

/// Lets an answer with bytes of the file pass.
fn accept(response: Response) -> Result<Response, Break<Cause>> {
    let status = response.status();
    let has_bytes = [StatusCode::OK, StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE];
    if has_bytes.contains(&status) {
        return Ok(response);
    }
    Err(Hitch::of(&response).map_or(Break::Final(Cause::Status(status)), Break::Hitch))
}
