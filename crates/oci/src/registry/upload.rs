//! One blob on its way to a registry: is it there, can it be mounted, else it is sent in one request.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cartwheel_transfer::{Break, Hitch};
use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::client::{Ask, Attempt, Cause, Place, RegistryEvent, Shared, refused};
use super::error::RegistryProblem;
use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::source::Source;

/// How much of a blob is read at once.
const CHUNK: u64 = 256 << 10;

/// How many pieces are read ahead of the network.
const AHEAD: usize = 4;

/// How long a registry may take to check a blob and to put it where it belongs.
const COMMIT: Duration = Duration::from_mins(5);

/// A blob that a registry shall have.
pub(super) struct Upload<'a> {
    pub(super) shared: &'a Shared,
    pub(super) place: &'a Place,
    pub(super) descriptor: &'a Descriptor,
    /// A repository of the same registry that is likely to have it.
    pub(super) from: Option<&'a str>,
}

/// What came of the request to begin an upload.
enum Begun {
    /// The registry has taken the blob from another repository.
    Mounted,
    /// Where to send it.
    At(Url),
}

impl Upload<'_> {
    /// Makes the registry have the blob; blocks its thread.
    pub(super) fn run(&self, source: &dyn Source) -> Result<()> {
        let ask = self.question();
        let known = self.shared.ask(self.place, &ask, &[StatusCode::OK, StatusCode::NOT_FOUND])?;
        let event = match known.status() {
            StatusCode::OK => RegistryEvent::Present,
            _ => self.send(source)?,
        };
        self.shared.event(&event(self.descriptor.digest));
        Ok(())
    }

    /// Asks whether the blob is there.
    fn question(&self) -> Ask {
        Ask::new(Method::HEAD, self.place.url(&format!("blobs/{}", self.descriptor.digest)))
    }

    /// Mounts or sends the blob; says which.
    fn send(&self, source: &dyn Source) -> Result<fn(cartwheel_store::Digest) -> RegistryEvent> {
        let mut url = self.place.url("blobs/uploads/");
        url.query_pairs_mut().append_pair("digest", &self.descriptor.digest.to_string());
        self.shared.patiently(self.place, (&Method::PUT, &url), |attempts| {
            // The attempt before may have arrived, and only its answer was lost.
            if attempts > 0 && self.shared.wait(self.is_there())? {
                return Ok(RegistryEvent::Uploaded as fn(_) -> _);
            }
            match self.shared.wait(self.begin())? {
                Begun::Mounted => Ok(RegistryEvent::Mounted as fn(_) -> _),
                Begun::At(url) => {
                    self.put(url, source, attempts == 0)?;
                    Ok(RegistryEvent::Uploaded as fn(_) -> _)
                }
            }
        })
    }

    async fn is_there(&self) -> Attempt<bool> {
        let accepted = [StatusCode::OK, StatusCode::NOT_FOUND];
        let answer = self.shared.exchange(self.place, &self.question(), &accepted).await?;
        Ok(answer.status() == StatusCode::OK)
    }

    /// Begins an upload, and says from where the blob could be mounted instead. A registry that does not like to mount
    /// answers as if it had not been asked (distribution spec, «Mounting a blob»), or refuses: then it is not asked again.
    async fn begin(&self) -> Attempt<Begun> {
        let plain = self.place.url("blobs/uploads/");
        let accepted = [StatusCode::CREATED, StatusCode::ACCEPTED];
        let mut answer = None;
        if let Some(from) = self.from {
            let mut url = plain.clone();
            let digest = self.descriptor.digest.to_string();
            url.query_pairs_mut().append_pair("mount", &digest).append_pair("from", from);
            let ask = Ask::new(Method::POST, url);
            answer = match self.shared.exchange(self.place, &ask, &accepted).await {
                Ok(answer) => Some(answer),
                Err(Break::Final(Cause::Bare(RegistryProblem::Status { .. }))) => None,
                Err(cause) => return Err(cause),
            };
        }
        let answer = match answer {
            Some(answer) => answer,
            None => {
                self.shared.exchange(self.place, &Ask::new(Method::POST, plain.clone()), &accepted).await?
            }
        };
        if answer.status() == StatusCode::CREATED {
            return Ok(Begun::Mounted);
        }
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let url = location.and_then(|location| plain.join(location).ok());
        let no_place = RegistryProblem::Unexpected { what: "no `Location` to upload to" };
        let mut url = url.filter(|url| matches!(url.scheme(), "http" | "https")).ok_or(no_place)?;
        // What the registry has put into the query is kept: it is how it knows the upload.
        url.query_pairs_mut().append_pair("digest", &self.descriptor.digest.to_string());
        Ok(Begun::At(url))
    }

    /// Sends the blob. An upload that the registry has forgotten, and a token that has expired on the way, are reasons to
    /// begin anew, once.
    fn put(&self, url: Url, source: &dyn Source, first: bool) -> Attempt<()> {
        let header = self.shared.wait(self.shared.authorization(self.place, &url))?;
        let response = self.stream(url, header.clone(), source)?;
        let status = response.status();
        if status == StatusCode::CREATED || status == StatusCode::NO_CONTENT {
            return Ok(());
        }
        let anew = match status {
            StatusCode::UNAUTHORIZED => {
                self.shared.wait(self.shared.learn(self.place, response.headers(), header.as_ref()))
            }
            StatusCode::NOT_FOUND => first,
            _ => false,
        };
        let cause = self.shared.wait(refused(response));
        match cause {
            Break::Final(problem) if !anew => Err(problem.into()),
            Break::Hitch(hitch) => Err(Break::Hitch(hitch)),
            Break::Final(_) => {
                let status = status.as_u16();
                Err(Break::Hitch(Hitch::Status { status, retry_after: None, body: Vec::new() }))
            }
        }
    }

    /// The answer to one request with the blob as its body: read on this thread, sent on the network's.
    fn stream(&self, url: Url, header: Option<HeaderValue>, source: &dyn Source) -> Attempt<Response> {
        let unread = |source| Break::from(RegistryProblem::Blob { source });
        let opened = source.open(self.descriptor);
        let mut reader = opened.map_err(|error| Break::Final(Cause::Whole(error)))?;
        let (sender, receiver) = mpsc::channel(AHEAD);
        let body = Body::wrap(Pipe { receiver, left: self.descriptor.size });
        let client = self.shared.client_for(self.place, &url)?;
        let mut request = client.put(url).header(CONTENT_TYPE, "application/octet-stream").body(body);
        if let Some(header) = header {
            request = request.header(AUTHORIZATION, header);
        }
        let answer = self.shared.runtime().spawn(request.send());
        let pumped = self.pump(&mut reader, &sender);
        match pumped {
            Ok(()) => {
                drop(sender);
                self.answer(answer)
            }
            Err(Break::Final(error)) => {
                answer.abort();
                Err(unread(error))
            }
            Err(Break::Hitch(hitch)) => {
                answer.abort();
                Err(Break::Hitch(hitch))
            }
        }
    }

    fn answer(&self, answer: JoinHandle<reqwest::Result<Response>>) -> Attempt<Response> {
        let abort = answer.abort_handle();
        let waited = self.shared.wait(async { tokio::time::timeout(COMMIT, answer).await });
        match waited {
            Ok(Ok(answered)) => Ok(answered?),
            // The task does not panic, and nobody else aborts it.
            Ok(Err(_)) => Err(RegistryProblem::Unexpected { what: "nothing" }.into()),
            Err(_) => {
                abort.abort();
                Err(Break::Hitch(Hitch::Stalled(COMMIT)))
            }
        }
    }

    /// Reads the blob into the pipe. A pipe that nobody reads any more is no failure: the answer is there already.
    fn pump(&self, reader: &mut dyn Read, sender: &mpsc::Sender<Bytes>) -> Result<(), Break<io::Error>> {
        let mut left = self.descriptor.size;
        while left > 0 {
            let mut chunk = Vec::with_capacity(CHUNK.min(left) as usize);
            (&mut *reader).take(CHUNK.min(left)).read_to_end(&mut chunk).map_err(Break::Final)?;
            if chunk.is_empty() {
                let text = format!("it ends {left} bytes too early");
                return Err(Break::Final(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            left -= chunk.len() as u64;
            let limit = self.place.patience.read;
            let sent = self
                .shared
                .wait(async { tokio::time::timeout(limit, sender.send(Bytes::from(chunk))).await });
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(Break::Hitch(Hitch::Stalled(limit))),
            }
        }
        Ok(())
    }
}

/// A body that comes piece by piece and has a known length. One that ends early breaks the connection.
struct Pipe {
    receiver: mpsc::Receiver<Bytes>,
    left: u64,
}

impl HttpBody for Pipe {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = std::task::ready!(self.receiver.poll_recv(context));
        Poll::Ready(piece.map(|piece| {
            self.left = self.left.saturating_sub(piece.len() as u64);
            Ok(Frame::data(piece))
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
