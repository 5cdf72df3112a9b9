//! The requests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use super::images::Outcome;
use super::{Content, EngineKind, State};

struct Request {
    method: String,
    path: String,
    content_type: String,
    chunked: bool,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Answers requests of one connection until it closes.
pub(super) fn serve(mut stream: &UnixStream, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read(&mut reader)? {
        let answer = respond(&request, state.kind, &mut state.content());
        let podman = if state.kind == EngineKind::Podman { "Libpod-Api-Version: 4.3.1\r\n" } else { "" };
        let (status, length) = (answer.status, answer.body.len());
        write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n{podman}\r\n")?;
        stream.write_all(&answer.body)?;
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { method, path, content_type: String::new(), chunked: false, body: Vec::new() };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-type" => value.trim().clone_into(&mut request.content_type),
            "transfer-encoding" => request.chunked = true,
            _ => {}
        }
    }
    while request.chunked {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        if reader.by_ref().take(size).read_to_end(&mut request.body)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        reader.read_line(&mut String::new())?;
        if size == 0 {
            break;
        }
    }
    Ok(Some(request))
}

fn respond(request: &Request, kind: EngineKind, content: &mut Content) -> Answer {
    content.requests.push(format!("{} {}", request.method, request.path));
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    match (request.method.as_str(), path) {
        ("GET", "/info") => Answer::json(200, &info(kind)),
        ("GET", "/images/json") => Answer::json(200, &content.images.list(kind, query)),
        ("POST", "/images/load") => load(request, kind, content),
        ("GET", path) => match path.strip_prefix("/images/").and_then(|rest| rest.rsplit_once('/')) {
            Some((name, "json")) => match content.images.inspect(name) {
                Some(found) => Answer::json(200, &found),
                None => Answer::message(404, &format!("No such image: {name}")),
            },
            Some((_, "get")) if !content.given.is_empty() => {
                Answer { status: 200, body: content.given.clone() }
            }
            Some((name, "get")) => Answer::message(404, &format!("No such image: {name}")),
            _ => unknown(request, content),
        },
        _ => unknown(request, content),
    }
}

fn unknown(request: &Request, content: &mut Content) -> Answer {
    content.violations.push(format!("{} {}: nothing that an engine knows", request.method, request.path));
    Answer::message(404, "page not found")
}

fn info(kind: EngineKind) -> Value {
    let status = match kind {
        EngineKind::Containerd => json!([["driver-type", "io.containerd.snapshotter.v1"]]),
        EngineKind::GraphDriver | EngineKind::Podman => json!([["Backing Filesystem", "extfs"]]),
    };
    json!({"ID": "769829d1", "Driver": "overlay", "DriverStatus": status})
}

fn load(request: &Request, kind: EngineKind, content: &mut Content) -> Answer {
    content.loads.push(request.body.len());
    if !request.chunked || request.content_type != "application/x-tar" {
        content.violations.push("a load that is no tar in pieces".to_owned());
    }
    if let Some(words) = content.refusal.take() {
        return Answer::lines(&[json!({"errorDetail": {"message": words}, "error": words})]);
    }
    let (outcome, violations) = content.images.load(kind, &request.body);
    content.violations.extend(violations);
    match outcome {
        Outcome::Loaded(name) => Answer::lines(&[json!({"stream": format!("Loaded image: {name}\n")})]),
        Outcome::Lacking(what) => match kind {
            EngineKind::GraphDriver => {
                let words = format!("open /var/lib/docker/tmp/{what}: no such file or directory");
                Answer::lines(&[json!({"errorDetail": {"message": words}, "error": words})])
            }
            EngineKind::Containerd => Answer::lines(&[
                json!({"stream": "Loaded image: x\n"}),
                json!({"stream": format!("Error unpacking image x: content digest {what}: not found\n")}),
            ]),
            EngineKind::Podman => Answer::message(500, &format!("failed to load image: {what} is missing")),
        },
    }
}

impl Answer {
    fn json(status: u16, value: &Value) -> Self {
        Self { status, body: value.to_string().into_bytes() }
    }

    fn message(status: u16, message: &str) -> Self {
        Self::json(status, &json!({ "message": message }))
    }

    fn lines(lines: &[Value]) -> Self {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        Self { status: 200, body: lines.join("\r\n").into_bytes() }
    }
}
