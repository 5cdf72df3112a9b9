//! A web server on loopback that has the files of a folder, for what Dockerfiles fetch: it knows nothing but `GET` and
//! `HEAD`, of escapes only the space, and answers one request a connection.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread;

use crate::Result;

/// Serves the files below `root`, which need not be there yet, for as long as this program runs; gives the address.
pub(super) fn serve(root: PathBuf) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let root = root.clone();
            thread::spawn(move || {
                // A client that went away is its own affair.
                let _answered = answer(&stream, &root);
            });
        }
    });
    Ok(address)
}

fn answer(mut stream: &TcpStream, root: &Path) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default().trim_start_matches('/').replace("%20", " ");
    let is_inside = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
    let content = is_inside.then(|| fs::read(root.join(path)).ok()).flatten();
    let status = if content.is_some() { "200 OK" } else { "404 Not Found" };
    let body = content.unwrap_or_default();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    if method == "HEAD" { Ok(()) } else { stream.write_all(&body) }
}
