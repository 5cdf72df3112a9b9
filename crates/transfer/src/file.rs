//! A file by its URL alone: nobody promises what it is, so it is asked for as a whole, and whether it is still the same.

use std::io::Write;

use cartwheel_store::{Blob, Digest, Store};
use reqwest::header::{
    ACCEPT_ENCODING, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Response, StatusCode, Url};
use tokio::runtime::Builder;

use crate::client::Clients;
use crate::error::{Error, ErrorKind};
use crate::patience::{Break, Hitch, Patience, within};
use crate::redirect::{Misdirected, follow};

/// What a server says of a file, to be asked whether it has another one now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

/// A file that was asked for by its URL.
#[derive(Debug)]
pub enum Fetched {
    /// It is still what it was when the server gave the [`Validators`].
    Unchanged,
    /// It is in the store now.
    File {
        /// Its digest.
        digest: Digest,
        /// Its bytes.
        blob: Blob,
        /// What the server says of it.
        validators: Validators,
    },
}

/// Why a file could not be had from its URL. Whoever asked for it knows the URL and makes it a message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It is no URL of HTTP.
    #[error("it is no HTTP URL")]
    Url,
    /// The network could not be set up.
    #[error(transparent)]
    Setup(#[from] Error),
    /// The server has no such file, or not for us.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// A redirect led out of HTTP, or too far.
    #[error("the redirects of the server lead nowhere")]
    Misdirected,
    /// The network or the server failed, and failed again.
    #[error("it could not be had in {attempts} attempts")]
    Unreachable {
        /// How often it was tried.
        attempts: u32,
        /// How it failed last.
        source: Hitch,
    },
    /// The store could not take the bytes.
    #[error(transparent)]
    Store(#[from] cartwheel_store::Error),
    /// The disk could not.
    #[error("could not write to the store")]
    Write(#[source] std::io::Error),
}

impl From<Misdirected> for FileError {
    fn from(_: Misdirected) -> Self {
        Self::Misdirected
    }
}

/// Brings the file at `url` into the store, unless it is what `known` says; blocks its thread.
pub fn fetch_file(
    store: &Store,
    clients: &Clients,
    patience: &Patience,
    url: &str,
    known: &Validators,
) -> Result<Fetched, FileError> {
    let url =
        Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or(FileError::Url)?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::from(ErrorKind::Runtime { source }))?;
    let asked = Asked { store, clients, patience, url, known };
    let (mut attempts, mut was_there) = (0, false);
    loop {
        attempts += 1;
        match runtime.block_on(asked.attempt()) {
            Ok(fetched) => return Ok(fetched),
            Err(Break::Final(error)) => return Err(error),
            Err(Break::Hitch(source)) if patience.is_over(&source, attempts, was_there) => {
                return Err(FileError::Unreachable { attempts, source });
            }
            Err(Break::Hitch(hitch)) => {
                was_there |= !hitch.is_nowhere();
                runtime.block_on(async { tokio::time::sleep(patience.wait(&hitch, attempts)).await });
            }
        }
    }
}

struct Asked<'a> {
    store: &'a Store,
    clients: &'a Clients,
    patience: &'a Patience,
    url: Url,
    known: &'a Validators,
}

impl Asked<'_> {
    async fn attempt(&self) -> Result<Fetched, Break<FileError>> {
        let answer = follow(&self.url, async |url: &Url| self.hop(url).await);
        let mut response = within(self.patience.read, answer).await??;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Fetched::Unchanged);
        }
        if !response.status().is_success() {
            let status = FileError::Status(response.status().as_u16());
            return Err(Hitch::of(&response).map_or(Break::Final(status), Break::Hitch));
        }
        let failed = |source| Break::Final(FileError::Write(source));
        let mut writer = self.store.writer().map_err(|error| Break::Final(error.into()))?;
        while let Some(bytes) = within(self.patience.read, response.chunk()).await?? {
            writer.write_all(&bytes).map_err(failed)?;
        }
        let (digest, blob) = writer.commit().map_err(|error| Break::Final(error.into()))?;
        Ok(Fetched::File { digest, blob, validators: Validators::of(response.headers()) })
    }

    async fn hop(&self, url: &Url) -> Result<Response, Break<FileError>> {
        let client = self.clients.client(url).map_err(|error| Break::Final(error.into()))?;
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(etag) = &self.known.etag {
            request = request.header(IF_NONE_MATCH, etag);
        } else if let Some(date) = &self.known.last_modified {
            request = request.header(IF_MODIFIED_SINCE, date);
        }
        Ok(request.send().await?)
    }
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::to_owned);
        Self { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
    }
}

/// The name that a URL gives a file: the last part of its path, decoded. `None` if that is empty.
pub fn file_name(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let last = url.path().trim_end_matches('/').rsplit('/').next()?;
    let name = decoded(last);
    let name = name.trim_end_matches('/').rsplit('/').next()?;
    Some(name.to_owned()).filter(|name| !matches!(name.as_str(), "" | "." | ".."))
}

/// `text` with every `%41` as the byte that it means.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits =
            after.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use crate::client::ClientOptions;

    use super::*;

    /// Answers one request after the other, each on a connection of its own; gives the requests.
    fn serve(answers: Vec<&'static str>) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a/file%20one.txt?x=1", listener.local_addr().unwrap());
        let serve = move || answers.into_iter().map(|answer| answer_one(&listener, answer)).collect();
        (url, thread::spawn(serve))
    }

    fn answer_one(listener: &TcpListener, answer: &str) -> String {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        write!(stream, "HTTP/1.1 {answer}").unwrap();
        request.join("\n").to_lowercase()
    }

    fn fetch(url: &str, known: &Validators) -> Result<Fetched, FileError> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let clients =
            Clients::new(ClientOptions { connect: Duration::from_secs(5), ..ClientOptions::default() });
        let patience = Patience { retries: 1, back_off: Duration::from_millis(1), ..Patience::default() };
        fetch_file(&store, &clients, &patience, url, known)
    }

    const FILE: &str = "200 OK\r\nETag: \"1\"\r\nLast-Modified: yesterday\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";

    #[test]
    fn a_file_comes_with_what_the_server_says_of_it() {
        let moved = "302 Found\r\nLocation: /other\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let busy = "503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let (url, server) = serve(vec![busy, moved, FILE]);
        let Fetched::File { digest, validators, .. } = fetch(&url, &Validators::default()).unwrap() else {
            panic!()
        };
        assert_eq!(digest, Digest::of(b"hi"));
        let expected =
            Validators { etag: Some("\"1\"".to_owned()), last_modified: Some("yesterday".to_owned()) };
        assert_eq!(validators, expected);
        let requests = server.join().unwrap();
        assert!(requests[0].starts_with("get /a/file%20one.txt?x=1 "), "{}", requests[0]);
        assert!(requests[2].starts_with("get /other "), "{}", requests[2]);
        assert!(!requests[2].contains("if-none-match"));
    }

    #[test]
    fn a_known_file_is_asked_for_by_what_the_server_said() {
        let same = "304 Not Modified\r\nConnection: close\r\n\r\n";
        let (url, server) = serve(vec![same, same]);
        let by_date = Validators { etag: None, last_modified: Some("yesterday".to_owned()) };
        let by_tag = Validators { etag: Some("\"1\"".to_owned()), ..by_date.clone() };
        for known in [&by_tag, &by_date] {
            assert!(matches!(fetch(&url, known), Ok(Fetched::Unchanged)));
        }
        let requests = server.join().unwrap();
        assert!(requests[0].contains("if-none-match: \"1\""), "{}", requests[0]);
        assert!(requests[1].contains("if-modified-since: yesterday"), "{}", requests[1]);
    }

    #[test]
    fn what_cannot_be_had_says_why() {
        let missing = "404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let short = "200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhi";
        let (url, server) = serve(vec![missing, short, short]);
        assert!(matches!(fetch(&url, &Validators::default()), Err(FileError::Status(404))));
        let cut = fetch(&url, &Validators::default());
        assert!(matches!(cut, Err(FileError::Unreachable { attempts: 2, .. })), "{cut:?}");
        server.join().unwrap();
        assert!(matches!(fetch("ftp://example.org/a", &Validators::default()), Err(FileError::Url)));
    }

    #[test]
    fn a_url_names_its_file() {
        let name = |url: &str| file_name(url).unwrap_or_default();
        assert_eq!(name("http://example.org/a/b.txt?c=/d#e"), "b.txt");
        assert_eq!(name("http://example.org/a/b%20c%2"), "b c%2");
        assert_eq!(name("http://example.org/a/b/"), "b");
        assert_eq!(name("http://example.org/a%2Fb"), "b");
        assert_eq!(name("http://example.org/"), "");
    }
}
