//! One repository of a registry, to write to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use cartwheel_store::Digest;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use reqwest::{Method, StatusCode};

use super::client::{Ask, Place, RegistryClient, scope};
use super::error::RegistryProblem;
use super::repository::Repository;
use super::upload::Upload;
use crate::descriptor::{Descriptor, media_type};
use crate::error::{Error, Result};
use crate::image::{Documents, IndexDocuments, Layer};
use crate::reference::Reference;
use crate::source::{Memory, Sink, Source};

/// What the registry says the manifest's digest is.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A repository as a sink: asks for each blob whether it is there, mounts what another repository has, sends the rest, the
/// largest first and several at once, and then what refers to them.
#[derive(Debug)]
pub struct RepositoryWriter {
    repository: Repository,
    mounts: BTreeMap<Digest, String>,
}

impl RepositoryWriter {
    /// Writes to the repository that `reference` names.
    pub fn new(client: &RegistryClient, reference: &Reference) -> Self {
        Self { repository: client.repository(reference), mounts: BTreeMap::new() }
    }

    /// Says where blobs come from: whoever is of the same registry can be asked to lend them instead of sending them.
    #[must_use]
    pub fn with_origins<'a>(mut self, origins: impl IntoIterator<Item = (Digest, &'a Reference)>) -> Self {
        for (digest, origin) in origins {
            let same = origin.registry() == self.repository.registry;
            if same && origin.repository() != self.repository.name {
                self.mounts.insert(digest, origin.repository().to_owned());
            }
        }
        self
    }

    /// The registry, with the rights to write here and to read where blobs may be mounted from.
    fn place(&self) -> Result<Place> {
        let mut place = self.repository.place("pull,push")?;
        let others: BTreeSet<&String> = self.mounts.values().collect();
        place.access.scopes.extend(others.into_iter().map(|other| scope(other, "pull")));
        Ok(place)
    }

    fn put_manifest(&self, place: &Place, name: &str, text: &[u8], descriptor: &Descriptor) -> Result<()> {
        let url = place.url(&format!("manifests/{name}"));
        let mut ask = Ask::new(Method::PUT, url).with(CONTENT_TYPE, &descriptor.media_type);
        ask.body = Bytes::copy_from_slice(text);
        let answer = self.repository.shared().ask(place, &ask, &[StatusCode::CREATED, StatusCode::OK])?;
        let found = answer.headers().get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()?.parse().ok());
        match found {
            Some(found) if found != descriptor.digest => {
                let problem = RegistryProblem::Digest { expected: descriptor.digest, found };
                Err(place.error(&ask.method, &ask.url, problem))
            }
            _ => Ok(()),
        }
    }

    fn put_config(&mut self, image: &Documents) -> Result<()> {
        let (digest, size) = (Digest::of(&image.config), image.config.len() as u64);
        self.put_blob(&Descriptor::new(media_type::CONFIG, digest, size), &Memory(&image.config))
    }

    /// Gives a document its names, or, without any, only its digest.
    fn put_names(&self, text: &[u8], descriptor: &Descriptor, names: &[Reference]) -> Result<()> {
        let place = self.place()?;
        let foreign = |name: &&Reference| {
            name.registry() != self.repository.registry || name.repository() != self.repository.name
        };
        if let Some(name) = names.iter().find(foreign) {
            let here = format!("{}/{}", self.repository.registry, self.repository.name);
            return Err(Error::invalid(format!("`{name}` is no name in the repository `{here}`")));
        }
        let tags: BTreeSet<&str> = names.iter().filter_map(Reference::tag).collect();
        if tags.is_empty() {
            return self.put_manifest(&place, &descriptor.digest.to_string(), text, descriptor);
        }
        tags.into_iter().try_for_each(|tag| self.put_manifest(&place, tag, text, descriptor))
    }
}

impl Sink for RepositoryWriter {
    fn put_blob(&mut self, descriptor: &Descriptor, source: &dyn Source) -> Result<()> {
        self.put_blobs(std::slice::from_ref(descriptor), source)
    }

    fn put_blobs(&mut self, descriptors: &[Descriptor], source: &dyn Source) -> Result<()> {
        let distinct: BTreeMap<Digest, &Descriptor> =
            descriptors.iter().map(|descriptor| (descriptor.digest, descriptor)).collect();
        let mut blobs: Vec<&Descriptor> = distinct.into_values().collect();
        if blobs.is_empty() {
            return Ok(());
        }
        blobs.sort_by_key(|descriptor| std::cmp::Reverse(descriptor.size));
        let (place, shared) = (self.place()?, self.repository.shared());
        let workers = shared.options.parallel.clamp(1, blobs.len());
        let (queue, failure) = (Mutex::new(VecDeque::from(blobs)), Mutex::new(None));
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let work = || {
            while let Some(descriptor) = next() {
                let from = self.mounts.get(&descriptor.digest).map(String::as_str);
                let upload = Upload { shared, place: &place, descriptor, from };
                if let Err(error) = upload.run(source) {
                    queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        };
        std::thread::scope(|scope| {
            // This thread is one of them.
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn publish(&mut self, image: &Documents, _: &[Layer], names: &[Reference]) -> Result<()> {
        self.put_config(image)?;
        self.put_names(&image.manifest, &image.descriptor, names)
    }

    fn publish_index(&mut self, index: &IndexDocuments, names: &[Reference]) -> Result<()> {
        for image in &index.images {
            self.publish(image, &[], &[])?;
        }
        self.put_names(&index.index, &index.descriptor, names)
    }
}
