//! One repository of a registry, to read from.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cartwheel_store::{Digest, Store};
use cartwheel_transfer::{Break, Wanted, download, within};
use reqwest::header::{ACCEPT, CONTENT_TYPE, LINK};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::watch;

use super::client::{Ask, Attempt, Cause, Place, RegistryClient, RegistryEvent, Shared};
use super::error::{RegistryProblem, shown};
use super::stream::BlobStream;
use crate::descriptor::{Descriptor, media_type};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::LARGEST_DOCUMENT;
use crate::reference::Reference;
use crate::source::Source;

/// The statuses that bring bytes of a blob, or say that there are no more.
pub(crate) const BYTES: &[StatusCode] =
    &[StatusCode::OK, StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE];

/// How many tags are asked for at once, and how many pages at most.
const TAGS: (usize, usize) = (1000, 1000);

/// A repository as a source: documents are read once, blobs are streamed or brought into a store.
///
/// What is read comes from a mirror if there is one that has it. Bytes are checked by whoever reads them, documents here.
#[derive(Debug)]
pub struct Repository {
    pub(super) client: RegistryClient,
    pub(super) registry: String,
    pub(super) name: String,
    /// Manifests and indexes that were read already.
    documents: Mutex<BTreeMap<Digest, Vec<u8>>>,
}

#[derive(Deserialize)]
struct MediaType {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Repository {
    pub(super) fn new(client: RegistryClient, registry: &str, name: &str) -> Self {
        let documents = Mutex::default();
        Self { client, registry: registry.to_owned(), name: name.to_owned(), documents }
    }

    /// Refers to the manifest or index that a reference of this repository names, by its digest or else by its tag.
    pub fn resolve(&self, reference: &Reference) -> Result<Descriptor> {
        let place = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let (text, media_type) = self.read_manifest(&place, reference.digest())?;
        let digest = Digest::of(&text);
        let descriptor = Descriptor::new(&media_type, digest, text.len() as u64);
        if !descriptor.is_index() && !descriptor.is_manifest() {
            return Err(Error::invalid(format!(
                "`{reference}` is of media type `{media_type}`, which is neither manifest nor index"
            )));
        }
        self.keep(digest, &text);
        Ok(descriptor)
    }

    /// All tags, in the registry's order.
    pub fn tags(&self) -> Result<Vec<String>> {
        let place = self.place("pull")?;
        let mut url = place.url("tags/list");
        url.set_query(Some(&format!("n={}", TAGS.0)));
        let mut tags = Vec::new();
        for _ in 0..TAGS.1 {
            let ask = Ask::new(Method::GET, url.clone());
            let page = |_| self.shared().wait(self.tag_page(&place, &ask));
            let (page, next) = self.shared().patiently(&place, (&ask.method, &ask.url), page)?;
            tags.extend(page);
            match next {
                Some(next) => url = next,
                None => break,
            }
        }
        Ok(tags)
    }

    async fn tag_page(&self, place: &Place, ask: &Ask) -> Attempt<(Vec<String>, Option<Url>)> {
        let response = self.shared().exchange(place, ask, &[StatusCode::OK]).await?;
        let next = next_page(&ask.url, &response).filter(|next| next.origin() == ask.url.origin());
        let text = within(self.shared().options.patience.read, read(response, LARGEST_DOCUMENT)).await??;
        let what = RegistryProblem::Unexpected { what: "something that is not a list of tags" };
        let page: Tags = serde_json::from_slice(&text).map_err(|_| what)?;
        Ok((page.tags.unwrap_or_default(), next))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.client.0
    }

    /// The registry itself, with these rights.
    pub(super) fn place(&self, rights: &str) -> Result<Place> {
        let place = self.shared().wait(self.shared().place(&self.registry, &self.name, rights));
        place.map_err(unplaced)
    }

    /// Asks the mirrors and then the registry, until one answers.
    fn read_from<T>(&self, read: impl Fn(Place) -> Result<T>) -> Result<T> {
        let shared = self.shared();
        let mut places = shared.wait(shared.places(&self.registry, &self.name, "pull")).map_err(unplaced)?;
        let last = places.pop();
        for place in places {
            match read(place) {
                Ok(answer) => return Ok(answer),
                Err(error) => shared.event(&RegistryEvent::MirrorFailed { reason: error.to_string() }),
            }
        }
        read(last.ok_or_else(|| Error::invalid("a registry without a place"))?)
    }

    /// A manifest or index and its media type; checked, if its digest is known.
    fn read_manifest(&self, name: &str, digest: Option<Digest>) -> Result<(Vec<u8>, String)> {
        let shared = self.shared();
        self.read_from(|place| {
            let url = place.url(&format!("manifests/{name}"));
            let ask = Ask::new(Method::GET, url).with(ACCEPT, ACCEPTED.join(", "));
            let attempt = async || {
                let response = shared.exchange(&place, &ask, &[StatusCode::OK]).await?;
                document(response, digest, shared).await
            };
            shared.patiently(&place, (&ask.method, &ask.url), |_| shared.wait(attempt()))
        })
    }

    /// Opens a blob, apart from this value.
    pub(super) fn stream(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        self.read_from(|place| BlobStream::open(self.client.clone(), place, descriptor))
    }

    fn open_document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if let Some(text) = self.known(descriptor.digest) {
            return Ok(text);
        }
        let (text, _) = self.read_manifest(&descriptor.digest.to_string(), Some(descriptor.digest))?;
        self.keep(descriptor.digest, &text);
        Ok(text)
    }

    /// A config is a blob, but as small as a manifest, and asked for by everybody who looks at the image.
    fn open_config(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if let Some(text) = self.known(descriptor.digest) {
            return Ok(text);
        }
        let mut text = Vec::new();
        let mut stream = self.stream(descriptor)?.take(descriptor.size + 1);
        stream.read_to_end(&mut text).map_err(Error::io("read", &Source::place(self)))?;
        if Digest::of(&text) == descriptor.digest {
            self.keep(descriptor.digest, &text);
        }
        Ok(text)
    }

    fn known(&self, digest: Digest) -> Option<Vec<u8>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned()
    }

    fn keep(&self, digest: Digest, text: &[u8]) {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, text.to_vec());
    }

    /// Downloads a blob from one place.
    fn download(&self, store: &Store, descriptor: &Descriptor, place: &Place) -> Result<()> {
        let shared = self.shared();
        let url = place.url(&format!("blobs/{}", descriptor.digest));
        let (stop, _) = watch::channel(false);
        let wanted = Wanted {
            digest: descriptor.digest,
            size: Some(descriptor.size),
            store,
            runtime: shared.runtime(),
            patience: place.patience,
            stop: &stop,
        };
        let request = async |position: &cartwheel_transfer::Position| {
            let make = async |client: &reqwest::Client, url: &Url| Ok(position.ask(client.get(url.clone())));
            shared.exchange_with(place, &url, make, BYTES).await
        };
        let on_event = |event| {
            if let cartwheel_transfer::DownloadEvent::Retrying { reason, wait } = event {
                let request = format!("GET `{}`", shown(&url));
                shared.event(&RegistryEvent::Retrying { request, reason, wait });
            }
        };
        match download(&wanted, &request, on_event) {
            Ok(_) => Ok(()),
            Err(Cause::Whole(error)) => Err(error),
            Err(Cause::Bare(problem)) => Err(place.error(&Method::GET, &url, problem)),
        }
    }
}

/// The documents that we read, OCI's first.
const ACCEPTED: [&str; 4] =
    [media_type::INDEX, media_type::MANIFEST, media_type::DOCKER_INDEX, media_type::DOCKER_MANIFEST];

/// The configs of images, OCI's and Docker's.
const CONFIGS: [&str; 2] = [media_type::CONFIG, "application/vnd.docker.container.image.v1+json"];

impl Source for Repository {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        if descriptor.is_index() || descriptor.is_manifest() {
            return Ok(Box::new(std::io::Cursor::new(self.open_document(descriptor)?)));
        }
        if CONFIGS.contains(&descriptor.media_type.as_str()) && descriptor.size <= LARGEST_DOCUMENT {
            return Ok(Box::new(std::io::Cursor::new(self.open_config(descriptor)?)));
        }
        Ok(Box::new(self.stream(descriptor)?))
    }

    fn place(&self) -> PathBuf {
        PathBuf::from(format!("docker://{}/{}", self.registry, self.name))
    }

    /// Goes on where an earlier import stopped.
    fn import(&self, store: &Store, descriptor: &Descriptor) -> Result<()> {
        if store.has_blob(descriptor.digest, descriptor.size) {
            return Ok(());
        }
        self.read_from(|place| self.download(store, descriptor, &place))?;
        self.shared().event(&RegistryEvent::Downloaded(descriptor.digest));
        Ok(())
    }
}

/// An error before there is a URL.
fn unplaced(cause: Break<Cause>) -> Error {
    match cause {
        Break::Final(Cause::Whole(error)) => error,
        Break::Final(Cause::Bare(problem)) => ErrorKind::Network { source: Box::new(problem) }.into(),
        Break::Hitch(hitch) => ErrorKind::Network { source: Box::new(hitch) }.into(),
    }
}

/// The body of a manifest and what it is: by its own word, or else by the header.
async fn document(response: Response, digest: Option<Digest>, shared: &Shared) -> Attempt<(Vec<u8>, String)> {
    let header = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let header = header.and_then(|text| text.split(';').next()).unwrap_or_default().trim().to_owned();
    let text = within(shared.options.patience.read, read(response, LARGEST_DOCUMENT)).await??;
    if let Some(expected) = digest {
        let found = Digest::of(&text);
        if found != expected {
            return Err(RegistryProblem::Digest { expected, found }.into());
        }
    }
    let own = serde_json::from_slice::<MediaType>(&text).ok();
    let not_json = RegistryProblem::Unexpected { what: "something that is not a manifest" };
    Ok((text, own.ok_or(not_json)?.media_type.unwrap_or(header)))
}

/// A body of bounded size.
async fn read(mut response: Response, largest: u64) -> Attempt<Vec<u8>> {
    let mut text = Vec::new();
    while let Some(bytes) = response.chunk().await? {
        text.extend_from_slice(&bytes);
        if text.len() as u64 > largest {
            return Err(RegistryProblem::Size { size: largest }.into());
        }
    }
    Ok(text)
}

/// Where the list goes on (RFC 8288): `<…>; rel="next"`.
fn next_page(url: &Url, response: &Response) -> Option<Url> {
    let link = response.headers().get(LINK)?.to_str().ok()?;
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    parameters.contains("next").then(|| url.join(target).ok())?
}
