//! Just enough HTTP to ask a service on loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::Result;

/// How long an answer may take: the first embedding waits for torch to be loaded.
const PATIENCE: Duration = Duration::from_mins(3);

/// The JSON that the service at `port` answers with 200; a body makes it a POST.
pub(crate) fn ask(port: u16, path: &str, body: Option<&Value>) -> Result<Value> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (method, body) = body.map_or(("GET", String::new()), |body| ("POST", body.to_string()));
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or_else(|| format!("`{path}`: no HTTP answer"))?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("`{path}` answered `{status}`: {body}").into());
    }
    Ok(serde_json::from_str(body)?)
}
