//! A package index in this process, stricter than real ones and able to fail in every way that real ones do.
//!
//! It serves the simple API ([PEP 503](https://peps.python.org/pep-0503/) as HTML,
//! [PEP 691](https://peps.python.org/pep-0691/) as JSON, with hashes, sizes and
//! [metadata files](https://peps.python.org/pep-0658/)) and the files themselves, with ranges, on 127.0.0.1. Each file
//! has a queue of [`Failure`]s: one request takes one of them, and when the queue is empty all is well.
//!
//! Stricter: a name that is not normalised, a range that cannot be read, an `If-Range` without a `Range`, and
//! credentials that nobody asked for are remembered as violations, and dropping the index panics for them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use base64::Engine as _;
use cartwheel_store::Digest;

use crate::accept::serve_each;

/// A package index on 127.0.0.1, for as long as this value lives.
#[derive(Debug)]
pub struct PackageIndex {
    address: SocketAddr,
    state: Arc<State>,
    stopped: Arc<AtomicBool>,
}

/// One way in which the next request for a file goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The connection is cut after so many bytes of the body.
    Cut(usize),
    /// The connection stays open after so many bytes, and nothing more comes.
    Stall(usize),
    /// A status without the file.
    Status(u16),
    /// A status that asks to come back after so many seconds.
    RetryAfter(u16, u32),
    /// Bytes of the right number that are not the file's.
    WrongBytes,
    /// The file and so many bytes more, without a length.
    TooLong(usize),
    /// The file without a length, cut short without a sign of it.
    ShortWithoutLength(usize),
    /// The whole file with status 200, whatever was asked for.
    IgnoreRange,
    /// A 206 whose `Content-Range` starts one byte further than was asked for.
    WrongRange,
    /// A redirect to this URL.
    Redirect(String),
}

/// A request, as far as tests care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The path with its query.
    pub path: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `If-Range` header.
    pub if_range: Option<String>,
    /// The user and password of the `Authorization` header, as `user:password`.
    pub login: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    /// By file name.
    files: BTreeMap<String, File>,
    login: Option<String>,
    requests: Vec<Request>,
    violations: Vec<String>,
}

#[derive(Debug, Default)]
struct File {
    bytes: Arc<Vec<u8>>,
    metadata: Option<String>,
    failures: VecDeque<Failure>,
    yanked: bool,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Arc<Vec<u8>>,
    /// Which part of the body is sent.
    range: std::ops::Range<usize>,
    /// Whether the length is told.
    length: bool,
    end: End,
}

/// What happens after the last byte that is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    KeepAlive,
    Close,
    Stall,
}

impl PackageIndex {
    /// Starts an empty index on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the port");
        let (state, stopped) = (Arc::new(State::default()), Arc::default());
        let shared = Arc::clone(&state);
        let accept = move || listener.accept().map(|(stream, _)| stream);
        serve_each(Arc::clone(&stopped), accept, move |stream| serve(stream, &shared));
        Self { address, state, stopped }
    }

    /// Serves `bytes` as the distribution `filename`; `metadata` is the METADATA that resolvers read.
    pub fn add(&self, filename: &str, bytes: impl Into<Vec<u8>>, metadata: Option<&str>) {
        let bytes = Arc::new(bytes.into());
        let file = File { bytes, metadata: metadata.map(str::to_owned), ..File::default() };
        self.state.content().files.insert(filename.to_owned(), file);
    }

    /// Marks a distribution as yanked.
    pub fn yank(&self, filename: &str) {
        if let Some(file) = self.state.content().files.get_mut(filename) {
            file.yanked = true;
        }
    }

    /// Lets one more request for `filename` fail.
    pub fn fail(&self, filename: &str, failure: Failure) {
        let mut content = self.state.content();
        content.files.get_mut(filename).expect("a file of this index").failures.push_back(failure);
    }

    /// From now on refuses requests without this user and password.
    pub fn require_login(&self, user: &str, password: &str) {
        self.state.content().login = Some(format!("{user}:{password}"));
    }

    /// The URL of the simple API.
    pub fn url(&self) -> String {
        format!("http://{}/simple/", self.address)
    }

    /// The URL of the simple API with the user and password that it requires.
    pub fn url_with_login(&self) -> String {
        let login = self.state.content().login.clone().expect("a login");
        format!("http://{login}@{}/simple/", self.address)
    }

    /// The URL of a file.
    pub fn file_url(&self, filename: &str) -> String {
        format!("http://{}/files/{}", self.address, filename.replace('+', "%2B"))
    }

    /// All requests for `filename` so far.
    pub fn requests(&self, filename: &str) -> Vec<Request> {
        let path = format!("/files/{filename}");
        let content = self.state.content();
        content.requests.iter().filter(|request| request.path.replace("%2B", "+") == path).cloned().collect()
    }

    /// The number of all requests so far.
    pub fn request_count(&self) -> usize {
        self.state.content().requests.len()
    }
}

impl Drop for PackageIndex {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _woken = TcpStream::connect(self.address);
        let violations = std::mem::take(&mut self.state.content().violations);
        if !thread::panicking() {
            assert!(violations.is_empty(), "requests that a strict index refuses: {violations:#?}");
        }
    }
}

impl State {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers requests of one connection until it closes.
fn serve(stream: &TcpStream, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some((method, request)) = read_request(&mut reader)? {
        let answer = answer(&method, &request, &mut state.content());
        let end = send(stream, &method, &answer)?;
        if end == End::Stall {
            // Until the client gives up.
            let _until_closed = reader.read(&mut [0]);
        }
        if end != End::KeepAlive {
            return stream.shutdown(Shutdown::Both);
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<(String, Request)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { path, range: None, if_range: None, login: None };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value),
            "if-range" => request.if_range = Some(value),
            "authorization" => request.login = Some(login(&value)),
            "accept" if value.contains("application/vnd.pypi.simple.v1+json") => {
                request.path.push_str("#json");
            }
            _ => {}
        }
    }
    Ok(Some((method, request)))
}

fn login(header: &str) -> String {
    let decoded = header
        .strip_prefix("Basic ")
        .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    String::from_utf8(decoded.unwrap_or_default()).unwrap_or_default()
}

fn answer(method: &str, request: &Request, content: &mut Content) -> Answer {
    let (path, json) = match request.path.split_once('#') {
        Some((path, _)) => (path.to_owned(), true),
        None => (request.path.clone(), false),
    };
    content.requests.push(Request { path: path.clone(), ..request.clone() });
    let mut violation = |text: &str| content.violations.push(format!("{method} {path}: {text}"));
    match (&content.login, &request.login) {
        (Some(wanted), given) if given.as_ref() != Some(wanted) => {
            return Answer::text(401, "text/plain", "who are you?".to_owned())
                .with("WWW-Authenticate", "Basic realm=\"index\"".to_owned());
        }
        (None, Some(_)) => violation("credentials that nobody asked for"),
        _ => {}
    }
    if !matches!(method, "GET" | "HEAD") {
        violation("a method that an index does not know");
        return Answer::text(405, "text/plain", String::new());
    }
    if request.if_range.is_some() && request.range.is_none() {
        violation("If-Range without Range");
    }
    if let Some(name) = path.strip_prefix("/simple/").and_then(|rest| rest.strip_suffix('/')) {
        if name != normalised(name) {
            violation("a package name that is not normalised");
        }
        return project(name, json, &content.files);
    }
    let filename = path.strip_prefix("/files/").unwrap_or_default().replace("%2B", "+");
    if let Some(file) = filename.strip_suffix(".metadata").and_then(|name| content.files.get(name)) {
        return match &file.metadata {
            Some(metadata) => Answer::text(200, "text/plain", metadata.clone()),
            None => Answer::text(404, "text/plain", String::new()),
        };
    }
    let Some(file) = content.files.get_mut(&filename) else {
        return Answer::text(404, "text/plain", format!("no {path} here"));
    };
    let failure = if method == "GET" { file.failures.pop_front() } else { None };
    let (answer, problem) = file_answer(file, request, failure);
    content.violations.extend(problem.map(|problem| format!("{method} {path}: {problem}")));
    answer
}

fn file_answer(file: &File, request: &Request, failure: Option<Failure>) -> (Answer, Option<&'static str>) {
    let size = file.bytes.len();
    let etag = format!("\"{}\"", Digest::of(&file.bytes).hex());
    let mut answer = Answer::bytes(Arc::clone(&file.bytes));
    answer.headers.extend([("ETag", etag.clone()), ("Accept-Ranges", "bytes".to_owned())]);
    let asked = request.range.as_deref().filter(|_| failure != Some(Failure::IgnoreRange));
    let same = request.if_range.as_ref().is_none_or(|wanted| *wanted == etag);
    let mut problem = None;
    match asked.map(|range| parse_range(range, size)) {
        Some(Some(range)) if same => {
            let shift = usize::from(failure == Some(Failure::WrongRange));
            let content_range = format!("bytes {}-{}/{size}", range.start + shift, range.end - 1);
            answer.headers.push(("Content-Range", content_range));
            (answer.status, answer.range) = (206, range);
        }
        Some(Some(_)) | None => {}
        Some(None) if asked.is_some_and(|range| range.starts_with("bytes=")) => {
            answer = Answer::text(416, "text/plain", String::new())
                .with("Content-Range", format!("bytes */{size}"));
        }
        Some(None) => problem = Some("a range that cannot be read"),
    }
    answer.fail(failure);
    (answer, problem)
}

impl Answer {
    fn bytes(body: Arc<Vec<u8>>) -> Self {
        let range = 0..body.len();
        Self { status: 200, headers: Vec::new(), body, range, length: true, end: End::KeepAlive }
    }

    fn text(status: u16, kind: &str, text: String) -> Self {
        let mut answer = Self::bytes(Arc::new(text.into_bytes()));
        answer.status = status;
        answer.with("Content-Type", kind.to_owned())
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    fn replace(&mut self, body: Vec<u8>) {
        self.body = Arc::new(body);
    }

    fn fail(&mut self, failure: Option<Failure>) {
        match failure {
            None | Some(Failure::IgnoreRange | Failure::WrongRange) => {}
            Some(Failure::Cut(count)) => self.stop(count, End::Close),
            Some(Failure::Stall(count)) => self.stop(count, End::Stall),
            Some(Failure::ShortWithoutLength(count)) => {
                self.length = false;
                self.range.end = self.range.end.min(self.range.start + count);
                self.end = End::Close;
            }
            Some(Failure::Status(status)) => *self = Self::text(status, "text/plain", String::new()),
            Some(Failure::RetryAfter(status, seconds)) => {
                *self =
                    Self::text(status, "text/plain", String::new()).with("Retry-After", seconds.to_string());
            }
            Some(Failure::WrongBytes) => self.replace(vec![0; self.body.len()]),
            Some(Failure::TooLong(count)) => {
                let mut body = self.body.to_vec();
                body.resize(body.len() + count, 0);
                self.replace(body);
                self.range.end += count;
                (self.length, self.end) = (false, End::Close);
            }
            Some(Failure::Redirect(url)) => {
                *self = Self::text(302, "text/plain", String::new()).with("Location", url);
            }
        }
    }

    /// Says the whole length, but sends only `count` bytes.
    fn stop(&mut self, count: usize, end: End) {
        let length = self.range.len();
        self.headers.push(("Content-Length", length.to_string()));
        self.length = false;
        self.range.end = self.range.end.min(self.range.start + count);
        self.end = end;
    }
}

fn send(mut stream: &TcpStream, method: &str, answer: &Answer) -> io::Result<End> {
    let mut head = format!("HTTP/1.1 {} x\r\n", answer.status);
    for (name, value) in &answer.headers {
        let _infallible = write!(head, "{name}: {value}\r\n");
    }
    if answer.length {
        let _infallible = write!(head, "Content-Length: {}\r\n", answer.range.len());
    }
    if answer.end == End::Close && !answer.headers.iter().any(|(name, _)| *name == "Content-Length") {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if method == "GET" {
        stream.write_all(answer.body.get(answer.range.clone()).unwrap_or_default())?;
    }
    stream.flush()?;
    Ok(answer.end)
}

/// `bytes=5-`, `bytes=5-9`, `bytes=-5`; `None` if it is past the end or no range.
fn parse_range(text: &str, size: usize) -> Option<std::ops::Range<usize>> {
    let (start, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (start, end) {
        ("", count) => size.saturating_sub(count.parse().ok()?)..size,
        (start, "") => start.parse().ok()?..size,
        (start, end) => start.parse().ok()?..size.min(end.parse::<usize>().ok()? + 1),
    };
    (range.start < range.end).then_some(range)
}

/// The page of one project: its files with hashes and sizes.
fn project(name: &str, json: bool, files: &BTreeMap<String, File>) -> Answer {
    let files: Vec<_> = files.iter().filter(|(filename, _)| project_of(filename) == name).collect();
    if files.is_empty() {
        return Answer::text(404, "text/plain", String::new());
    }
    if json {
        let kind = "application/vnd.pypi.simple.v1+json";
        return Answer::text(200, kind, project_json(name, &files));
    }
    let mut page = String::from("<!DOCTYPE html><html><body>\n");
    for (filename, file) in files {
        let metadata = file.metadata.as_ref().map_or(String::new(), |metadata| {
            format!(" data-core-metadata=\"sha256={}\"", Digest::of(metadata.as_bytes()).hex())
        });
        let yanked = if file.yanked { " data-yanked=\"\"" } else { "" };
        let digest = Digest::of(&file.bytes).hex();
        let _infallible = writeln!(
            page,
            "<a href=\"../../files/{}#sha256={digest}\"{metadata}{yanked}>{filename}</a>",
            filename.replace('+', "%2B")
        );
    }
    page.push_str("</body></html>");
    Answer::text(200, "text/html", page)
}

fn project_json(name: &str, files: &[(&String, &File)]) -> String {
    let file = |(filename, file): &(&String, &File)| {
        let metadata = file.metadata.as_ref().map_or("false".to_owned(), |metadata| {
            format!("{{\"sha256\": \"{}\"}}", Digest::of(metadata.as_bytes()).hex())
        });
        format!(
            "{{\"filename\": \"{filename}\", \"url\": \"../../files/{}\", \"hashes\": {{\"sha256\": \"{}\"}}, \
             \"size\": {}, \"core-metadata\": {metadata}, \"yanked\": {}}}",
            filename.replace('+', "%2B"),
            Digest::of(&file.bytes).hex(),
            file.bytes.len(),
            file.yanked,
        )
    };
    let files: Vec<String> = files.iter().map(file).collect();
    format!(
        "{{\"meta\": {{\"api-version\": \"1.1\"}}, \"name\": \"{name}\", \"files\": [{}]}}",
        files.join(", ")
    )
}

/// The project that a wheel or an sdist belongs to.
fn project_of(filename: &str) -> String {
    let name = match filename.strip_suffix(".tar.gz") {
        Some(stem) => stem.rsplit_once('-').map_or(stem, |(name, _)| name),
        None => filename.split('-').next().unwrap_or_default(),
    };
    normalised(name)
}

fn normalised(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}
