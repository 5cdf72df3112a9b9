//! What the processes of a sandbox say to each other.
//!
//! One socket joins the caller to the keeper, which shares it with the sandbox's first process until that becomes the
//! user's program. Down it go one open file, the standard input, and the [`Sandbox`], as a line of JSON, then the numbers of signals, a byte
//! each; up it come [`Message`]s, a line each, and with an empty line the process's terminal. Neither side says goodbye: an end of the socket is the end of the other side, however it came
//! about, and that is what makes the sandbox end with the program that asked for it.

use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::sandbox::{Exit, Sandbox};

/// What the caller is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// This path of the root file system was made, only to mount something on it.
    MountPoint(PathBuf),
    /// The process could not be started.
    Failed(Failure),
    /// The process ended.
    Ended(Exit),
}

impl Message {
    pub(crate) fn send(&self, mut socket: &UnixStream) -> io::Result<()> {
        socket.write_all(&line(self)?)
    }
}

/// An error on its way to another process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    Io { action: String, path: PathBuf, errno: i32 },
    Program { program: String, errno: i32 },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let errno = |source: io::Error| source.raw_os_error().unwrap_or(libc::EINVAL);
        match error.into_kind() {
            ErrorKind::Io { action, path, source } => {
                Self::Io { action: action.into_owned(), path, errno: errno(source) }
            }
            ErrorKind::Program { program, source } => Self::Program { program, errno: errno(source) },
            // No other is met on this side of the socket.
            kind => Self::Io { action: "run".to_owned(), path: kind.to_string().into(), errno: libc::EINVAL },
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let source = io::Error::from_raw_os_error;
        match failure {
            Failure::Io { action, path, errno } => {
                ErrorKind::Io { action: action.into(), path, source: source(errno) }
            }
            Failure::Program { program, errno } => ErrorKind::Program { program, source: source(errno) },
        }
        .into()
    }
}

/// A value as a line.
pub(crate) fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// Sends the keeper what it is to keep, and what the process is to read.
pub(crate) fn send(mut socket: &UnixStream, line: &[u8], stdin: BorrowedFd<'_>) -> io::Result<()> {
    send_with(socket, b" ", stdin)?;
    socket.write_all(line)
}

fn send_with(socket: &UnixStream, bytes: &[u8], file: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    let files = [file];
    attached.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(socket, &[IoSlice::new(bytes)], &mut attached, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Sends the caller the other end of the process's terminal, with an empty line.
pub(crate) fn send_terminal(socket: &UnixStream, terminal: &OwnedFd) -> io::Result<()> {
    send_with(socket, b"\n", terminal.as_fd())
}

/// Receives messages, and with them perhaps a terminal.
pub(crate) fn hear(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> (rustix::io::Result<usize>, Option<OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut attached = RecvAncillaryBuffer::new(&mut space);
    let heard = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut attached, RecvFlags::CMSG_CLOEXEC);
    (heard.map(|heard| heard.bytes), file(&mut attached))
}

/// Receives it.
pub(crate) fn receive(socket: &UnixStream) -> io::Result<(Sandbox, OwnedFd)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut attached = RecvAncillaryBuffer::new(&mut space);
    let mut first = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut first)], &mut attached, RecvFlags::CMSG_CLOEXEC)?;
    let stdin = file(&mut attached).ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut line = Vec::new();
    BufReader::new(socket).read_until(b'\n', &mut line)?;
    Ok((serde_json::from_slice(&line)?, stdin))
}

/// The file that came with what was received.
fn file(attached: &mut RecvAncillaryBuffer<'_>) -> Option<OwnedFd> {
    attached.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    })
}
