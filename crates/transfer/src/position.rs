//! Which bytes of a file are here, and whether an answer continues them.

use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE};
use reqwest::{RequestBuilder, Response, StatusCode};

use crate::patience::Hitch;

/// How much of a file is here.
#[derive(Debug, Clone, Default)]
pub struct Position {
    /// How many bytes are here.
    pub received: u64,
    /// How many there will be, if that is known.
    pub size: Option<u64>,
    /// What the server calls the file, to be sure that a second part belongs to the first.
    etag: Option<String>,
    /// Whether the server gave a wrong range and is not asked for one again.
    whole: bool,
}

/// Where the bytes of a response belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Behind those that are here.
    Append,
    /// At the start: those that are here are in it again.
    FromStart,
}

impl Position {
    /// A position after `received` bytes of `size`.
    pub fn new(received: u64, size: Option<u64>) -> Self {
        Self { received, size, etag: None, whole: false }
    }

    /// Whether the last byte is known to be here.
    pub fn is_complete(&self) -> bool {
        self.size.is_some_and(|size| self.received >= size)
    }

    /// The request, for the bytes that are missing.
    pub fn ask(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.header(ACCEPT_ENCODING, "identity");
        if self.received == 0 || self.whole {
            return request;
        }
        let request = request.header(RANGE, format!("bytes={}-", self.received));
        match &self.etag {
            Some(etag) => request.header(IF_RANGE, etag),
            None => request,
        }
    }

    /// What the range of an answer means for the bytes that are here; its status is 200, 206 or 416.
    pub fn place(&mut self, response: &Response) -> Result<Placement, Hitch> {
        let placement = match response.status() {
            StatusCode::OK => Placement::FromStart,
            StatusCode::PARTIAL_CONTENT if self.continues(response.headers()) => Placement::Append,
            // The bytes here are past the end of what the server has: they are not of this file. A server that does
            // this when it was not asked for a range will do it again, and uses up its retries.
            _ => {
                self.whole = true;
                return Err(Hitch::Range);
            }
        };
        self.etag = strong_etag(response.headers());
        Ok(placement)
    }

    /// The hitch that it is when an answer ends here.
    pub fn end(&self) -> Result<(), Hitch> {
        match self.size {
            Some(size) if self.received < size => Err(Hitch::Short { received: self.received, size }),
            _ => Ok(()),
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
}
