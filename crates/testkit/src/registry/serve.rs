//! The requests: read from a connection, answered from the content, sent as the next failure wants it.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use cartwheel_store::Digest;
use serde_json::{Value, json};

use super::{Access, Account, Content, Failure, Operation, Request, State};

/// The documents that images are made of.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// What may be in a manifest.
const BLOBS: [&str; 9] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.in-toto+json",
];

/// A request with what only the answer needs.
struct Full {
    request: Request,
    /// The path without its query.
    path: String,
    query: Vec<(String, String)>,
    content_type: String,
    accept: String,
    body: Vec<u8>,
    /// How it breaks the rules of HTTP as we mean it.
    problem: Option<&'static str>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Arc<Vec<u8>>,
    range: Range<usize>,
    end: End,
}

/// What happens after the head and so many bytes of the body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    KeepAlive,
    Close(usize),
    Stall(usize),
}

/// Answers requests of one connection until it closes.
pub(super) fn serve(stream: &TcpStream, state: &State) -> io::Result<()> {
    // Head and body are two writes: the second must not wait until the first is acknowledged.
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        // A client that tries TLS first finds out at once that there is none.
        if reader.fill_buf()?.first().is_none_or(|&byte| byte == 0x16) {
            return stream.shutdown(Shutdown::Both);
        }
        let Some(full) = read(&mut reader)? else { return Ok(()) };
        let Some(answer) = respond(&full, &mut state.content()) else {
            return stream.shutdown(Shutdown::Both);
        };
        send(stream, &full.request.method, &answer)?;
        match answer.end {
            End::KeepAlive => {}
            End::Close(_) => return stream.shutdown(Shutdown::Both),
            End::Stall(_) => {
                // Until the client gives up.
                let _until_closed = reader.read(&mut [0]);
                return Ok(());
            }
        }
    }
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Full>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (bare, query) = path.split_once('?').unwrap_or((&path, ""));
    let (bare, query) = (bare.to_owned(), pairs(query));
    let request = Request { method, path, range: None, authorization: None };
    let (content_type, accept, body) = (String::new(), String::new(), Vec::new());
    let mut full = Full { request, path: bare, query, content_type, accept, body, problem: None };
    let (mut length, mut chunked) = (None, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "range" => full.request.range = Some(value),
            "authorization" => full.request.authorization = Some(value),
            "content-type" => full.content_type = value,
            "accept" => full.accept = value,
            "content-length" => length = value.parse::<usize>().ok(),
            "transfer-encoding" => chunked = true,
            _ => {}
        }
    }
    if chunked {
        full.problem = Some("a body without a length");
    }
    full.body.resize(length.unwrap_or(0), 0);
    reader.read_exact(&mut full.body)?;
    Ok(Some(full))
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (decode(name), decode(value))
    };
    query.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = after.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The answer; none if the connection is closed without one.
fn respond(full: &Full, content: &mut Content) -> Option<Answer> {
    content.requests.push(full.request.clone());
    if let Some(problem) = full.problem {
        violation(full, content, problem);
    }
    if full.path == "/token" {
        let failure = take(content, Operation::Token);
        return failed_or(failure, |_| token(full, content));
    }
    if full.path == "/v2/" {
        return Some(challenged(full, content, "").unwrap_or_else(|| Answer::text(200, "{}")));
    }
    let Some((repository, kind, name)) = split(&full.path) else {
        violation(full, content, "a path that no registry knows");
        return Some(Answer::error(404, "UNSUPPORTED"));
    };
    let Some(operation) = operation(&full.request.method, kind, name) else {
        violation(full, content, "a method that a registry does not know here");
        return Some(Answer::error(405, "UNSUPPORTED"));
    };
    let rights = match operation {
        Operation::Begin | Operation::Upload | Operation::PutManifest => "push",
        _ => "pull",
    };
    if let Some(answer) = challenged(full, content, &format!("repository:{repository}:{rights}")) {
        return Some(answer);
    }
    let failure = take(content, operation);
    failed_or(failure, |failure| match operation {
        Operation::Manifest => manifest(full, content, repository, name),
        Operation::PutManifest => put_manifest(full, content, repository, name),
        Operation::Ask => ask(content, repository, name),
        Operation::Blob => blob(full, content, repository, name, failure),
        Operation::Begin => begin(full, content, repository, failure),
        Operation::Upload => upload(full, content, repository, name),
        Operation::Tags => tags(full, content, repository),
        Operation::Token => Answer::error(404, "UNSUPPORTED"),
    })
}

/// Lets the failure change the answer, or take its place.
fn failed_or(failure: Option<Failure>, answer: impl FnOnce(Option<&Failure>) -> Answer) -> Option<Answer> {
    Some(match failure {
        Some(Failure::Reset) => return None,
        Some(Failure::Status(status, code)) => Answer::error(status, code),
        Some(Failure::RetryAfter(status, seconds)) => {
            Answer::error(status, "TOOMANYREQUESTS").with("Retry-After", seconds.to_string())
        }
        Some(Failure::Redirect(url)) => Answer::text(307, "").with("Location", url),
        Some(Failure::LoseAnswer) => {
            answer(None);
            return None;
        }
        Some(failure) => {
            let mut answer = answer(Some(&failure));
            match failure {
                Failure::Cut(count) => answer.end = End::Close(count),
                Failure::Stall(count) => answer.end = End::Stall(count),
                Failure::WrongBytes => answer.body = Arc::new(vec![b' '; answer.body.len()]),
                _ => {}
            }
            answer
        }
        None => answer(None),
    })
}

fn take(content: &mut Content, operation: Operation) -> Option<Failure> {
    content.failures.get_mut(&operation)?.pop_front()
}

fn violation(full: &Full, content: &mut Content, text: &str) {
    content.violations.push(format!("{} {}: {text}", full.request.method, full.request.path));
}

/// `/v2/<repository>/<kind>/<name>`.
fn split(path: &str) -> Option<(&str, &'static str, &str)> {
    let path = path.strip_prefix("/v2/")?;
    let kinds = [
        ("/blobs/uploads/", "uploads"),
        ("/blobs/", "blobs"),
        ("/manifests/", "manifests"),
        ("/tags/", "tags"),
    ];
    kinds.into_iter().find_map(|(part, kind)| {
        let (repository, name) = path.split_once(part)?;
        Some((repository, kind, name))
    })
}

fn operation(method: &str, kind: &str, name: &str) -> Option<Operation> {
    Some(match (method, kind) {
        ("GET", "manifests") => Operation::Manifest,
        ("PUT", "manifests") => Operation::PutManifest,
        ("HEAD", "blobs") => Operation::Ask,
        ("GET", "blobs") => Operation::Blob,
        ("POST", "uploads") if name.is_empty() => Operation::Begin,
        ("PUT", "uploads") if !name.is_empty() => Operation::Upload,
        ("GET", "tags") if name == "list" => Operation::Tags,
        _ => return None,
    })
}

/// Refuses whoever may not do this. Without a scope, anybody who is known may.
fn challenged(full: &Full, content: &mut Content, scope: &str) -> Option<Answer> {
    let given = full.request.authorization.as_deref();
    match content.access.clone() {
        Access::Everybody => {
            if given.is_some() {
                violation(full, content, "credentials that nobody asked for");
            }
            None
        }
        Access::Basic(user, password) => {
            if given == Some(&basic(&user, &password)) {
                return None;
            }
            let answer = Answer::error(401, "UNAUTHORIZED");
            Some(answer.with("WWW-Authenticate", "Basic realm=\"registry\"".to_owned()))
        }
        Access::Bearer(_) => {
            let token = given.and_then(|given| given.strip_prefix("Bearer ")).map(str::to_owned);
            let scopes = token.as_ref().and_then(|token| content.tokens.get(token)).cloned();
            if let Some(scopes) = &scopes {
                if scope.is_empty() || scopes.contains(scope) {
                    return None;
                }
                violation(full, content, &format!("a token for {scopes:?}, where `{scope}` is needed"));
                return Some(Answer::error(403, "DENIED"));
            }
            let challenge = format!(
                "Bearer realm=\"http://{}/token\",service=\"registry\",scope=\"{scope}\"",
                content.address
            );
            Some(Answer::error(401, "UNAUTHORIZED").with("WWW-Authenticate", challenge))
        }
    }
}

fn basic(user: &str, password: &str) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}

/// The token server: a token for what was asked, as far as it is allowed.
fn token(full: &Full, content: &mut Content) -> Answer {
    let Access::Bearer(account) = content.access.clone() else {
        violation(full, content, "a token that nobody asked for");
        return Answer::error(404, "UNSUPPORTED");
    };
    let posted = pairs(&String::from_utf8_lossy(&full.body));
    let parameters = if full.request.method == "POST" { &posted } else { &full.query };
    let all = |name: &str| -> Vec<String> {
        parameters.iter().filter(|pair| pair.0 == name).map(|pair| pair.1.clone()).collect()
    };
    if all("service") != ["registry"] {
        violation(full, content, "a token for another service");
    }
    if !is_known(full, &account, &posted) {
        return Answer::error(401, "UNAUTHORIZED");
    }
    let asked: Vec<String> =
        all("scope").iter().flat_map(|scopes| scopes.split(' ')).map(str::to_owned).collect();
    let granted = asked.iter().flat_map(|scope| {
        let (place, rights) = scope.rsplit_once(':').unwrap_or_default();
        rights.split(',').map(|right| format!("{place}:{right}")).collect::<Vec<_>>()
    });
    let granted = granted.filter(|scope| !account.denied.contains(scope)).collect();
    content.count += 1;
    let token = format!("token-{}", content.count);
    content.tokens.insert(token.clone(), granted);
    Answer::json(200, &json!({"token": token, "expires_in": 300}))
}

fn is_known(full: &Full, account: &Account, posted: &[(String, String)]) -> bool {
    let has = |name: &str, value: &str| posted.iter().any(|pair| pair.0 == name && pair.1 == value);
    match (&account.password, &account.identity) {
        (Some((user, password)), _) => full.request.authorization.as_ref() == Some(&basic(user, password)),
        (None, Some(identity)) => has("grant_type", "refresh_token") && has("refresh_token", identity),
        (None, None) => full.request.authorization.is_none(),
    }
}

fn manifest(full: &Full, content: &mut Content, repository: &str, name: &str) -> Answer {
    if MANIFESTS.iter().any(|media_type| !full.accept.contains(media_type)) {
        violation(full, content, "a kind of image that is not accepted");
    }
    let Some(stored) = content.repositories.get(repository) else {
        return Answer::error(404, "NAME_UNKNOWN");
    };
    let digest = stored.tags.get(name).copied().or_else(|| name.parse().ok());
    match digest.and_then(|digest| Some((digest, stored.manifests.get(&digest)?))) {
        Some((digest, (media_type, text))) => Answer::bytes(200, Arc::clone(text))
            .with("Content-Type", media_type.clone())
            .with("Docker-Content-Digest", digest.to_string()),
        None => Answer::error(404, "MANIFEST_UNKNOWN"),
    }
}

fn put_manifest(full: &Full, content: &mut Content, repository: &str, name: &str) -> Answer {
    let digest = Digest::of(&full.body);
    let problem = match serde_json::from_slice::<Value>(&full.body) {
        Ok(manifest) => manifest_problem(&manifest, full, content, repository),
        Err(_) => Some("a manifest that is not JSON".to_owned()),
    };
    let by_digest = name.parse::<Digest>().ok();
    let problem = problem.or_else(|| {
        by_digest.filter(|given| *given != digest).map(|_| "a manifest under another digest".to_owned())
    });
    if let Some(problem) = problem {
        violation(full, content, &problem);
        return Answer::error(400, "MANIFEST_INVALID");
    }
    let stored = content.repositories.entry(repository.to_owned()).or_default();
    stored.manifests.insert(digest, (full.content_type.clone(), Arc::new(full.body.clone())));
    if by_digest.is_none() {
        stored.tags.insert(name.to_owned(), digest);
    }
    Answer::text(201, "").with("Docker-Content-Digest", digest.to_string())
}

/// What is wrong with a manifest or index in this repository.
fn manifest_problem(manifest: &Value, full: &Full, content: &Content, repository: &str) -> Option<String> {
    let media_type = full.content_type.as_str();
    if !MANIFESTS.contains(&media_type) {
        return Some(format!("a manifest of media type `{media_type}`"));
    }
    if manifest["mediaType"].as_str().is_some_and(|own| own != media_type) {
        return Some("a manifest that says it is something else".to_owned());
    }
    let stored = content.repositories.get(repository)?;
    let of = |name: &str| manifest[name].as_array().cloned().unwrap_or_default();
    let config = Some(manifest["config"].clone()).filter(|config| !config.is_null());
    let blobs = of("layers").into_iter().chain(config).map(|descriptor| (descriptor, true));
    let images = of("manifests").into_iter().map(|descriptor| (descriptor, false));
    for (descriptor, is_blob) in blobs.chain(images) {
        let digest = descriptor["digest"].as_str().and_then(|digest| digest.parse::<Digest>().ok());
        let Some(digest) = digest else { return Some("a descriptor without a digest".to_owned()) };
        let size = if is_blob {
            stored.blobs.get(&digest).map(|bytes| bytes.len())
        } else {
            stored.manifests.get(&digest).map(|(_, text)| text.len())
        };
        if size != descriptor["size"].as_u64().map(|size| size as usize) {
            return Some(format!("a manifest before `{digest}`, or with another size of it"));
        }
        let kinds: &[&str] = if is_blob { &BLOBS } else { &MANIFESTS };
        let kind = descriptor["mediaType"].as_str().unwrap_or_default();
        if !kinds.contains(&kind) {
            return Some(format!("a descriptor of media type `{kind}`"));
        }
    }
    None
}

fn ask(content: &mut Content, repository: &str, name: &str) -> Answer {
    let Ok(digest) = name.parse::<Digest>() else { return Answer::error(400, "DIGEST_INVALID") };
    let stored = content.repositories.entry(repository.to_owned()).or_default();
    stored.asked.insert(digest);
    match stored.blobs.get(&digest) {
        Some(bytes) => Answer::bytes(200, Arc::clone(bytes)),
        None => Answer::error(404, "BLOB_UNKNOWN"),
    }
}

fn blob(
    full: &Full,
    content: &mut Content,
    repository: &str,
    name: &str,
    failure: Option<&Failure>,
) -> Answer {
    let digest = name.parse::<Digest>().ok();
    let stored = content.repositories.get(repository);
    let Some(bytes) = digest.and_then(|digest| stored?.blobs.get(&digest)).cloned() else {
        return Answer::error(404, "BLOB_UNKNOWN");
    };
    let size = bytes.len();
    let mut answer = Answer::bytes(200, bytes);
    let asked = full.request.range.as_deref().filter(|_| failure != Some(&Failure::IgnoreRange));
    let Some(asked) = asked else { return answer };
    let start = asked.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
    match start {
        Some(start) if start < size => {
            answer.range = start..size;
            answer.status = 206;
            answer.with("Content-Range", format!("bytes {start}-{}/{size}", size - 1))
        }
        Some(_) => Answer::error(416, "RANGE_INVALID"),
        None => {
            violation(full, content, "a range that cannot be read");
            Answer::error(416, "RANGE_INVALID")
        }
    }
}

fn begin(full: &Full, content: &mut Content, repository: &str, failure: Option<&Failure>) -> Answer {
    let of = |name: &str| full.query.iter().find(|pair| pair.0 == name).map(|pair| pair.1.clone());
    if let Some(digest) = of("mount") {
        let Some(from) = of("from") else {
            violation(full, content, "a mount without `from`");
            return Answer::error(400, "UNSUPPORTED");
        };
        if may_mount(full, content, &from) && failure != Some(&Failure::RefuseMount) {
            let digest = digest.parse::<Digest>().ok();
            let lent = digest.and_then(|digest| {
                Some((digest, content.repositories.get(&from)?.blobs.get(&digest)?.clone()))
            });
            if let Some((digest, bytes)) = lent {
                let stored = content.repositories.entry(repository.to_owned()).or_default();
                stored.blobs.insert(digest, bytes);
                return Answer::text(201, "").with("Location", format!("/v2/{repository}/blobs/{digest}"));
            }
        }
    }
    content.count += 1;
    let upload = format!("upload-{}", content.count);
    content.uploads.insert(upload.clone(), repository.to_owned());
    // Absolute and with a query, as the reference registry answers.
    let address = &content.address;
    let location = format!("http://{address}/v2/{repository}/blobs/uploads/{upload}?_state=a%3Db%26c");
    Answer::text(202, "").with("Location", location)
}

/// Whether the token covers the repository to mount from. A client that knows that it wants to mount asks for that right.
fn may_mount(full: &Full, content: &mut Content, from: &str) -> bool {
    let Access::Bearer(account) = content.access.clone() else { return true };
    let given = full.request.authorization.as_deref().unwrap_or_default();
    let scopes = content.tokens.get(given.trim_start_matches("Bearer ")).cloned().unwrap_or_default();
    let scope = format!("repository:{from}:pull");
    if !scopes.contains(&scope) && !account.denied.contains(&scope) {
        violation(full, content, "a mount with a token that does not cover where it comes from");
    }
    scopes.contains(&scope)
}

fn upload(full: &Full, content: &mut Content, repository: &str, name: &str) -> Answer {
    let of = |name: &str| full.query.iter().find(|pair| pair.0 == name).map(|pair| pair.1.clone());
    if content.uploads.remove(name).as_deref() != Some(repository) {
        return Answer::error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    if of("_state").as_deref() != Some("a=b&c") {
        violation(full, content, "an upload without the query of its `Location`");
    }
    if full.content_type != "application/octet-stream" {
        violation(full, content, "a blob that is not `application/octet-stream`");
    }
    let digest = Digest::of(&full.body);
    if of("digest").and_then(|given| given.parse().ok()) != Some(digest) {
        return Answer::error(400, "DIGEST_INVALID");
    }
    let stored = content.repositories.entry(repository.to_owned()).or_default();
    let (asked, twice) = (stored.asked.contains(&digest), stored.blobs.contains_key(&digest));
    stored.blobs.insert(digest, Arc::new(full.body.clone()));
    if !asked {
        violation(full, content, "an upload without asking first whether the blob is there");
    }
    if twice {
        violation(full, content, "an upload of a blob that is there");
    }
    Answer::text(201, "").with("Docker-Content-Digest", digest.to_string())
}

fn tags(full: &Full, content: &Content, repository: &str) -> Answer {
    let Some(stored) = content.repositories.get(repository) else {
        return Answer::error(404, "NAME_UNKNOWN");
    };
    let of = |name: &str| full.query.iter().find(|pair| pair.0 == name).map(|pair| pair.1.clone());
    let last = of("last").unwrap_or_default();
    // Two at a time, whatever was asked for: a registry may.
    let rest: Vec<&String> = stored.tags.keys().filter(|tag| **tag > last).collect();
    let page: Vec<&String> = rest.iter().copied().take(2).collect();
    let answer = Answer::json(200, &json!({"name": repository, "tags": page}));
    match page.last() {
        Some(last) if rest.len() > page.len() => {
            answer.with("Link", format!("</v2/{repository}/tags/list?n=2&last={last}>; rel=\"next\""))
        }
        _ => answer,
    }
}

impl Answer {
    fn bytes(status: u16, body: Arc<Vec<u8>>) -> Self {
        let range = 0..body.len();
        Self { status, headers: Vec::new(), body, range, end: End::KeepAlive }
    }

    fn text(status: u16, text: &str) -> Self {
        Self::bytes(status, Arc::new(text.as_bytes().to_vec()))
    }

    fn json(status: u16, value: &Value) -> Self {
        Self::text(status, &value.to_string()).with("Content-Type", "application/json".to_owned())
    }

    /// An error as the spec has it.
    fn error(status: u16, code: &str) -> Self {
        let message = code.to_lowercase().replace('_', " ");
        Self::json(status, &json!({"errors": [{"code": code, "message": message, "detail": {}}]}))
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

fn send(mut stream: &TcpStream, method: &str, answer: &Answer) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} x\r\nContent-Length: {}\r\n", answer.status, answer.range.len());
    for (name, value) in &answer.headers {
        let _infallible = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if method != "HEAD" {
        let bytes = answer.body.get(answer.range.clone()).unwrap_or_default();
        let count = match answer.end {
            End::KeepAlive => bytes.len(),
            End::Close(count) | End::Stall(count) => count.min(bytes.len()),
        };
        stream.write_all(bytes.get(..count).unwrap_or_default())?;
    }
    stream.flush()
}
