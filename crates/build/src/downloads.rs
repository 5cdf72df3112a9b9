//! Files that `ADD` takes from a URL. Each is kept in the store with what the server said of it, and the server is asked the
//! next time whether it has another one; a file whose `--checksum` the store has is not asked for at all.

use cartwheel_oci::layer::Content;
use cartwheel_python::FetchOptions;
use cartwheel_store::{Blob, Digest, Key, Record, Store};
use cartwheel_transfer::{ClientOptions, Clients, Fetched, Validators, fetch_file, file_name, redact};
use serde::{Deserialize, Serialize};

use crate::copy::{Picked, single};
use crate::error::{ErrorKind, Result};

/// BuildKit's name for a file whose URL has none.
const UNNAMED: &str = "__unnamed__";

/// What a URL gave the last time.
#[derive(Serialize, Deserialize)]
struct DownloadRecord {
    digest: Digest,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Record for DownloadRecord {
    const KIND: &'static str = "download-1";
}

impl DownloadRecord {
    /// The URL may hold a password: only its digest is kept.
    fn key(url: &str) -> Key<Self> {
        Key::new().with("url", Digest::of(url.as_bytes()))
    }
}

/// The file at `url`, as BuildKit adds it: 0600 and root's. `checksum` is what it must be.
pub(crate) fn download(
    store: &Store,
    fetch: &FetchOptions,
    url: &str,
    checksum: Option<&str>,
) -> Result<Picked> {
    let expected = checksum.map(parse).transpose()?;
    let (digest, blob) = match expected.and_then(|digest| Some((digest, store.blob(digest)?))) {
        Some(found) => found,
        None => current(store, fetch, url)?,
    };
    if let Some(expected) = expected.filter(|&expected| expected != digest) {
        return Err(ErrorKind::Checksum { url: redact(url), expected, found: digest }.into());
    }
    let name = file_name(url).unwrap_or_else(|| UNNAMED.to_owned());
    let content = Content::File { path: blob.path().to_owned(), size: blob.size() };
    Ok(single(&name, content, Some(digest), 0o600))
}

fn parse(text: &str) -> Result<Digest> {
    Ok(text.parse().map_err(|source| ErrorKind::ChecksumForm { checksum: text.to_owned(), source })?)
}

/// What the server has now; in the store.
fn current(store: &Store, fetch: &FetchOptions, url: &str) -> Result<(Digest, Blob)> {
    let key = DownloadRecord::key(url);
    let record = store.get(&key);
    let known = record.and_then(|record| store.blob(record.digest).map(|blob| (record, blob)));
    let validators = known.as_ref().map(|(record, _)| record.validators()).unwrap_or_default();
    let clients = Clients::new(ClientOptions {
        certificates: fetch.certificates.clone(),
        trusted_hosts: fetch.trusted_hosts.clone(),
        connect: fetch.patience.connect,
    });
    let failed = |source| ErrorKind::Download { url: redact(url), source };
    match (fetch_file(store, &clients, &fetch.patience, url, &validators).map_err(failed)?, known) {
        (Fetched::File { digest, blob, validators: Validators { etag, last_modified } }, _) => {
            store.put(&key, &DownloadRecord { digest, etag, last_modified })?;
            Ok((digest, blob))
        }
        (Fetched::Unchanged, Some((record, blob))) => Ok((record.digest, blob)),
        // A server that says so although it was not asked.
        (Fetched::Unchanged, None) => Err(failed(cartwheel_transfer::FileError::Status(304)).into()),
    }
}

impl DownloadRecord {
    fn validators(&self) -> Validators {
        Validators { etag: self.etag.clone(), last_modified: self.last_modified.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that has two files one after the other, and says when it is asked again for the one that it has. It answers
    /// so many requests.
    fn serve(requests: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/data.txt", listener.local_addr().unwrap());
        thread::spawn(move || {
            for number in 0..requests {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap())
                    .lines()
                    .map(|line| line.unwrap().to_lowercase());
                let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let name = if number < 2 { "one" } else { "two" };
                let answer = if lines.contains(&format!("if-none-match: \"{name}\"")) {
                    "304 Not Modified\r\n\r\n".to_owned()
                } else {
                    format!("200 OK\r\nETag: \"{name}\"\r\nContent-Length: 3\r\n\r\n{name}")
                };
                write!(stream, "HTTP/1.1 {answer}").unwrap();
            }
        });
        url
    }

    fn got(store: &Store, url: &str, checksum: Option<&str>) -> String {
        let options = FetchOptions::default();
        match download(store, &options, url, checksum) {
            Ok(Picked { name, files, .. }) => {
                let entry = &files[0].node.entry;
                let bytes = entry.kind.content().unwrap().read().unwrap();
                assert_eq!(files[0].node.digest, Some(Digest::of(&bytes)));
                format!("{name} {:o} {}", entry.mode, String::from_utf8(bytes).unwrap())
            }
            Err(error) => error.to_string().replace(url, "URL"),
        }
    }

    #[test]
    fn a_file_is_kept_until_the_server_has_another() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let url = serve(3);
        for expected in ["one", "one", "two"] {
            assert_eq!(got(&store, &url, None), format!("data.txt 600 {expected}"));
        }
    }

    #[test]
    fn a_checksum_is_asked_of_the_store_first_and_of_what_came() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let url = serve(2);
        let one = Digest::of(b"one");
        let wrong = Digest::of(b"other");
        let refused = format!("`URL` has digest `{one}`, and `--checksum` says `{wrong}`");
        assert_eq!(got(&store, &url, Some(&wrong.to_string())), refused);
        // The server answers one more request; this needs none, nor does any after it.
        for _ in 0..3 {
            assert_eq!(got(&store, &url, Some(&one.to_string())), "data.txt 600 one");
        }
        assert_eq!(got(&store, &url, Some("md5:12")), "`md5:12` is no checksum that files are checked by");
    }
}
