//! A blob of a registry, read from its first byte to its last without a store.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use cartwheel_transfer::{Break, Hitch, Placement, Position, within};
use reqwest::{Client, Method, Response, Url};

use super::client::{Attempt, Cause, Place, RegistryClient};
use super::error::RegistryProblem;
use super::repository::BYTES;
use crate::descriptor::Descriptor;
use crate::error::Result;

/// Reads a blob, and goes on where a broken connection stopped. A server that knows no ranges sends again what was read
/// already: that is passed over.
pub(crate) struct BlobStream {
    client: RegistryClient,
    place: Place,
    url: Url,
    position: Position,
    response: Option<Response>,
    chunk: Bytes,
    /// How many bytes of the response were read already.
    passed: u64,
}

impl BlobStream {
    /// Asks for the blob; an answer that is none is an error here and not when reading.
    pub(crate) fn open(client: RegistryClient, place: Place, descriptor: &Descriptor) -> Result<Self> {
        let url = place.url(&format!("blobs/{}", descriptor.digest));
        let position = Position::new(0, Some(descriptor.size));
        let mut stream =
            Self { client, place, url, position, response: None, chunk: Bytes::new(), passed: 0 };
        stream.connect()?;
        Ok(stream)
    }

    fn connect(&mut self) -> Result<()> {
        let (shared, position) = (&self.client.0, &self.position);
        let make = async |client: &Client, url: &Url| Ok(position.ask(client.get(url.clone())));
        let attempt = async || {
            let response = self.client.0.exchange_with(&self.place, &self.url, make, BYTES).await?;
            let mut position = position.clone();
            let placement = position.place(&response).map_err(Break::Hitch)?;
            Ok((response, position, placement))
        };
        let what = (&Method::GET, &self.url);
        let (response, position, placement) =
            shared.patiently(&self.place, what, |_| shared.wait(attempt()))?;
        self.passed = if placement == Placement::FromStart { position.received } else { 0 };
        (self.response, self.position) = (Some(response), position);
        Ok(())
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> Attempt<Option<Bytes>> {
        let Some(response) = &mut self.response else { return Ok(None) };
        let bytes = within(self.client.0.options.patience.read, response.chunk()).await??;
        if bytes.is_none() {
            self.position.end().map_err(Break::Hitch)?;
        }
        Ok(bytes)
    }

    fn fill(&mut self) -> Result<bool> {
        let mut failures = 0;
        loop {
            let shared = Arc::clone(&self.client.0);
            let hitch = match shared.wait(self.next()) {
                Ok(None) => return Ok(false),
                Ok(Some(bytes)) => {
                    if self.take(bytes) {
                        return Ok(true);
                    }
                    continue;
                }
                Err(Break::Hitch(hitch)) => hitch,
                Err(Break::Final(Cause::Whole(error))) => return Err(error),
                Err(Break::Final(Cause::Bare(problem))) => {
                    return Err(self.place.error(&Method::GET, &self.url, problem));
                }
            };
            failures += 1;
            self.again(hitch, failures)?;
        }
    }

    /// Keeps what of these bytes was not read already; says whether that is anything.
    fn take(&mut self, mut bytes: Bytes) -> bool {
        let passed = self.passed.min(bytes.len() as u64);
        self.passed -= passed;
        let _passed_over = bytes.split_to(passed as usize);
        self.position.received += bytes.len() as u64;
        self.chunk = bytes;
        !self.chunk.is_empty()
    }

    /// Waits and asks for the rest.
    fn again(&mut self, hitch: Hitch, failures: u32) -> Result<()> {
        self.response = None;
        if failures > self.place.patience.retries {
            let problem = RegistryProblem::after(hitch, failures);
            return Err(self.place.error(&Method::GET, &self.url, problem));
        }
        self.client.0.sleep(self.place.patience.wait(&hitch, failures));
        self.connect()
    }
}

impl Read for BlobStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() && !self.position.is_complete() && !buffer.is_empty() {
            self.fill().map_err(io::Error::other)?;
        }
        let count = self.chunk.len().min(buffer.len());
        let bytes = self.chunk.split_to(count);
        if let Some(target) = buffer.get_mut(..count) {
            target.copy_from_slice(&bytes);
        }
        Ok(count)
    }
}
