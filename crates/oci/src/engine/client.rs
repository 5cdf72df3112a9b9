//! Requests to an engine.

use std::error::Error as StdError;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cartwheel_transfer::client_builder;
use http_body::{Body as HttpBody, Frame};
use reqwest::header::{CONTENT_TYPE, HeaderName};
use reqwest::{Body, Certificate, Client, Identity, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use super::address::{EngineAddress, EngineTls};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::ImageLayout;
use crate::manifest::LARGEST_DOCUMENT;
use crate::reference::Reference;

/// How long a connection may take to come about, and a question to be answered.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of an archive is sent at once.
const CHUNK: usize = 256 << 10;

/// How many pieces are written ahead of the engine.
const AHEAD: usize = 4;

/// Only Podman has it.
const LIBPOD_VERSION: HeaderName = HeaderName::from_static("libpod-api-version");

/// How `DriverStatus` tells that images are kept by containerd.
const CONTAINERD: [&str; 2] = ["driver-type", "io.containerd.snapshotter.v1"];

/// A container engine that answers.
pub struct Engine {
    address: EngineAddress,
    base: String,
    client: Client,
    runtime: Runtime,
    pub(super) kind: Kind,
}

/// How an engine keeps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Docker, unpacked.
    GraphDriver,
    /// Docker, as containerd keeps them.
    Containerd,
    /// Podman.
    Podman,
}

/// What `/info` says, as far as it concerns us.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Info {
    driver_status: Option<Vec<Vec<String>>>,
}

/// What engines send with a status that is no success.
#[derive(Deserialize)]
struct Message {
    message: String,
}

impl Engine {
    /// Asks the engine at this address what it is.
    pub fn connect(address: EngineAddress) -> Result<Self> {
        let failed = unreachable(&address);
        let (client, base) = client(&address).map_err(&failed)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| failed(error.into()))?;
        let mut engine = Self { address, base, client, runtime, kind: Kind::GraphDriver };
        engine.kind = engine.ask_kind()?;
        Ok(engine)
    }

    /// Where it is.
    pub fn address(&self) -> &EngineAddress {
        &self.address
    }

    /// Brings an image here: `scratch`, an empty file, becomes the archive that the engine makes of it.
    pub fn image(&self, name: &Reference, mut scratch: File) -> Result<ImageLayout> {
        self.save(name, &mut scratch)?;
        ImageLayout::open_archive(scratch, Path::new(&self.address.to_string()))
    }

    /// Writes an image to `out`, as an archive that [`ImageLayout`] reads.
    pub fn save(&self, name: &Reference, out: &mut dyn Write) -> Result<()> {
        let request = self.client.get(self.url(&format!("images/{}/get", name.familiar())));
        let mut response = self.wait(async { within(request.send()).await })?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            let body = self.wait(body(&mut response))?;
            return Err(self.refused("give the image", status, &body));
        }
        while let Some(bytes) = self.wait(async { response.chunk().await.map_err(boxed) })? {
            out.write_all(&bytes).map_err(Error::io("write", "the image of the engine".as_ref()))?;
        }
        Ok(())
    }

    fn ask_kind(&self) -> Result<Kind> {
        let request = self.client.get(self.url("info"));
        let (response, body) = self.wait(answer(request))?;
        if response.headers().contains_key(LIBPOD_VERSION) {
            return Ok(Kind::Podman);
        }
        let info: Info = self.parsed("say what it is", response.status(), &body)?;
        let is_containerd = info.driver_status.unwrap_or_default().iter().any(|pair| *pair == CONTAINERD);
        Ok(if is_containerd { Kind::Containerd } else { Kind::GraphDriver })
    }

    /// Asks a question whose answer is JSON.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str, action: &'static str) -> Result<T> {
        let (response, body) = self.wait(answer(self.client.get(self.url(path))))?;
        self.parsed(action, response.status(), &body)
    }

    /// Sends an archive while `write` writes it; gives the engine's words, and how many bytes were sent.
    pub(super) fn post_archive(&self, write: impl FnOnce(&mut Feed) -> Result<()>) -> Result<(Vec<u8>, u64)> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let request = self.client.post(self.url("images/load?quiet=1"));
        let request = request.header(CONTENT_TYPE, "application/x-tar").body(Body::wrap(Pipe(receiver)));
        let answer = self.runtime.spawn(async move {
            let mut response = request.send().await.map_err(boxed)?;
            let body = body(&mut response).await?;
            Ok::<_, Boxed>((response.status(), body))
        });
        let mut feed = Feed { sender, pending: Vec::with_capacity(CHUNK), sent: 0 };
        let written =
            write(&mut feed).and_then(|()| feed.flush().map_err(Error::io("write", "the archive".as_ref())));
        let (sent, gone) = (feed.sent, feed.sender.is_closed());
        // An engine that stopped reading has something to say, which comes before our own trouble with that.
        if let (Err(error), false) = (written, gone) {
            feed.give_up();
            return Err(error);
        }
        drop(feed);
        let (status, body) = self.wait(async { answer.await? })?;
        if status == StatusCode::OK {
            Ok((body, sent))
        } else {
            Err(self.refused("load the image", status, &body))
        }
    }

    /// The engine's no, in its own words.
    pub(super) fn no(&self, action: &'static str, message: &str) -> Error {
        let message =
            message.trim().chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect();
        ErrorKind::EngineRefused { address: self.address.to_string(), action, message }.into()
    }

    fn refused(&self, action: &'static str, status: StatusCode, body: &[u8]) -> Error {
        match serde_json::from_slice::<Message>(body) {
            Ok(message) => self.no(action, &message.message),
            Err(_) => self.no(action, &format!("status {status}")),
        }
    }

    fn parsed<T: DeserializeOwned>(
        &self,
        action: &'static str,
        status: StatusCode,
        body: &[u8],
    ) -> Result<T> {
        if status != StatusCode::OK {
            return Err(self.refused(action, status, body));
        }
        serde_json::from_slice(body).map_err(|error| unreachable(&self.address)(error.into()))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    fn wait<T>(&self, future: impl Future<Output = Result<T, Boxed>>) -> Result<T> {
        self.runtime.block_on(future).map_err(unreachable(&self.address))
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("address", &self.address)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

type Boxed = Box<dyn StdError + Send + Sync>;

/// The URL is ours, not the user's.
fn boxed(error: reqwest::Error) -> Boxed {
    error.without_url().into()
}

fn unreachable(address: &EngineAddress) -> impl Fn(Boxed) -> Error + use<> {
    let address = address.to_string();
    move |source| ErrorKind::Engine { address: address.clone(), source }.into()
}

async fn within(future: impl Future<Output = reqwest::Result<Response>>) -> Result<Response, Boxed> {
    tokio::time::timeout(PATIENCE, future).await?.map_err(boxed)
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(Response, Vec<u8>), Boxed> {
    let mut response = within(request.send()).await?;
    let body = body(&mut response).await?;
    Ok((response, body))
}

/// The whole of a body that has no reason to be large.
async fn body(response: &mut Response) -> Result<Vec<u8>, Boxed> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(boxed)? {
        body.extend_from_slice(&bytes);
        if body.len() as u64 > 8 * LARGEST_DOCUMENT {
            return Err("an answer of more than 32 MiB".into());
        }
    }
    Ok(body)
}

/// A client that reaches this address, and what its URLs begin with. A socket's have a host only because URLs must.
fn client(address: &EngineAddress) -> Result<(Client, String), Boxed> {
    let builder = client_builder().no_proxy().connect_timeout(PATIENCE);
    match address {
        // Nobody is trusted by certificate here, so none are read.
        EngineAddress::Unix(path) => {
            let client = builder.tls_danger_accept_invalid_certs(true).unix_socket(path.clone()).build()?;
            Ok((client, "http://localhost".to_owned()))
        }
        EngineAddress::Tcp { authority, tls: None } => {
            Ok((builder.tls_danger_accept_invalid_certs(true).build()?, format!("http://{authority}")))
        }
        EngineAddress::Tcp { authority, tls: Some(tls) } => {
            Ok((trusting(builder, tls)?.build()?, format!("https://{authority}")))
        }
    }
}

/// TLS as Docker's command speaks it: `ca.pem` instead of the system's certificates, ourselves by `cert.pem` and `key.pem`.
fn trusting(mut builder: reqwest::ClientBuilder, tls: &EngineTls) -> Result<reqwest::ClientBuilder, Boxed> {
    builder = builder.tls_danger_accept_invalid_certs(!tls.verify);
    let Some(folder) = &tls.folder else { return Ok(builder) };
    if let Some(authority) = pem(&folder.join("ca.pem"))? {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(&authority)?);
    }
    match (pem(&folder.join("cert.pem"))?, pem(&folder.join("key.pem"))?) {
        (Some(certificate), Some(key)) => {
            Ok(builder.identity(Identity::from_pem(&[certificate, b"\n".to_vec(), key].concat())?))
        }
        _ => Ok(builder),
    }
}

fn pem(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Where an archive is written so that the engine reads it.
pub(super) struct Feed {
    sender: mpsc::Sender<io::Result<Bytes>>,
    pending: Vec<u8>,
    sent: u64,
}

impl Feed {
    /// Breaks the connection: what was written so far must not look like a whole archive, as it would if the body just
    /// ended.
    fn give_up(self) {
        // Whoever does not read any more has broken it already.
        let _broken = self.sender.blocking_send(Err(io::ErrorKind::BrokenPipe.into()));
    }
}

impl Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.pending, Vec::with_capacity(CHUNK));
        self.sent += piece.len() as u64;
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A body that comes piece by piece until nobody writes any more.
struct Pipe(mpsc::Receiver<io::Result<Bytes>>);

impl HttpBody for Pipe {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
