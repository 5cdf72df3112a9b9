//! A web server on loopback that has the files of a folder, for what Dockerfiles fetch and for a package index: it knows
//! nothing but `GET` and `HEAD`, of escapes only the space and the plus, and answers one request a connection.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread;

use crate::Result;

/// Serves the files below `root`, which need not be there yet, for as long as this program runs; gives the address.
pub(crate) fn serve(root: PathBuf) -> Result<String> {
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
    let path = target
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_start_matches('/')
        .replace("%20", " ")
        .replace("%2B", "+");
    let is_inside = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
    let file = is_inside.then(|| open(&root.join(path)).ok()).flatten();
    let status = if file.is_some() { "200 OK" } else { "404 Not Found" };
    let (length, kind) = file.as_ref().map_or((0, BINARY), |(_, length, kind)| (*length, kind));
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    match file {
        Some((mut file, ..)) if method != "HEAD" => io::copy(&mut file, &mut stream).map(drop),
        _ => Ok(()),
    }
}

const BINARY: &str = "application/octet-stream";

/// The file, or a folder's page, with its size in bytes and its type.
fn open(path: &Path) -> io::Result<(File, u64, &'static str)> {
    let (path, kind) =
        if path.is_dir() { (path.join("index.html"), "text/html") } else { (path.to_owned(), BINARY) };
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length, kind))
}
