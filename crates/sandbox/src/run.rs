//! The caller's side: start a keeper, pass on what comes from it, and tell how it went.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio as Output};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use crate::control::Control;
use crate::error::{Error, ErrorKind, Result};
use crate::follow::{Followed, Heard, Told};
use crate::sandbox::{Exit, Sandbox, Stdio, Stream};
use crate::wire::{self, Message};
use crate::{keeper, points};

/// How a run is told to stop, from any thread; copies are the same one.
#[derive(Debug, Clone)]
pub struct Cancel {
    event: Arc<OwnedFd>,
}

impl Cancel {
    /// One that has not been told yet.
    pub fn new() -> Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC).map_err(Error::io("make", "an event"))?;
        Ok(Self { event: Arc::new(event) })
    }

    /// Stops the runs that have it, now and from now on.
    pub fn cancel(&self) {
        let _only_fails_when_told_before = rustix::io::write(&*self.event, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Cancel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Runs a process in a sandbox and waits for it; afterwards nothing is left of it but what is in `upper`.
///
/// Its output comes in the order in which it was written, as far as two streams have one. If the program that calls
/// this dies meanwhile, in whatever way, so does everything in the sandbox.
pub fn run(sandbox: &Sandbox, cancel: &Cancel, output: &mut dyn FnMut(Stream, &[u8])) -> Result<Exit> {
    run_told(sandbox, Told::Cancel(cancel), None, output)
}

/// The same for a process that reads `input`: a file, or the end of a pipe that somebody writes to meanwhile.
pub fn run_fed(
    sandbox: &Sandbox,
    input: OwnedFd,
    cancel: &Cancel,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit> {
    run_told(sandbox, Told::Cancel(cancel), Some(input), output)
}

/// The same for a process that somebody sits before: it is told of signals and of the size of the window.
pub fn run_attended(
    sandbox: &Sandbox,
    control: &Control,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit> {
    run_told(sandbox, Told::Control(control), None, output)
}

fn run_told(
    sandbox: &Sandbox,
    told: Told<'_>,
    fed: Option<OwnedFd>,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit> {
    let line = wire::line(sandbox).map_err(Error::io("describe", &sandbox.upper))?;
    let (stdin, ours) = io::pipe().map_err(Error::io("make", "a pipe"))?;
    let stdin = fed.unwrap_or(stdin.into());
    let (source, sink) = input(sandbox, ours.into()).map_err(Error::io("open", "the standard input"))?;
    let (socket, theirs) = UnixStream::pair().map_err(Error::io("make", "a socket"))?;
    let mut child = start(sandbox, theirs).map_err(Error::io("start", &sandbox.keeper))?;
    let outputs = [
        (Stream::Stdout, child.stdout.take().map(OwnedFd::from)),
        (Stream::Stderr, child.stderr.take().map(OwnedFd::from)),
    ];
    // If it has been killed, that is what will be heard.
    let _sent = wire::send(&socket, &line, stdin.as_fd());
    drop(stdin);
    let followed =
        Followed::new(socket, outputs, told).and_then(|followed| followed.with_input(source, sink));
    let heard = followed.and_then(|followed| followed.finish(output));
    let waited = child.wait();
    let heard = heard.map_err(Error::io("follow", &sandbox.keeper))?;
    waited.map_err(Error::io("wait for", &sandbox.keeper))?;
    result(&heard, sandbox)
}

fn start(sandbox: &Sandbox, socket: UnixStream) -> io::Result<Child> {
    let mut command = Command::new(&sandbox.keeper);
    command.arg0(keeper::NAME).env_clear().current_dir("/");
    command.stdin(OwnedFd::from(socket)).stdout(Output::piped()).stderr(Output::piped()).spawn()
}

/// What is passed on to the process, and by which end of a pipe. Who reads nothing has a pipe that nobody writes to, as in Docker.
fn input(sandbox: &Sandbox, pipe: OwnedFd) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    let own = || io::stdin().as_fd().try_clone_to_owned().map(Some);
    match sandbox.stdio {
        Stdio::Attached => Ok((own()?, Some(pipe))),
        Stdio::Terminal { reads: true, .. } => Ok((own()?, None)),
        Stdio::Captured | Stdio::Terminal { reads: false, .. } => Ok((None, None)),
    }
}

/// How it went; then the mount points that were made are removed.
fn result(heard: &Heard, sandbox: &Sandbox) -> Result<Exit> {
    if heard.is_cancelled {
        return Err(ErrorKind::Cancelled.into());
    }
    let mut mount_points = Vec::new();
    for line in heard.messages.split(|byte| *byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Message::MountPoint(path)) => mount_points.push(path),
            Ok(Message::Ended(exit)) => {
                return points::remove(&mount_points, &sandbox.upper).map(|()| exit);
            }
            Ok(Message::Failed(failure)) => return Err(failure.into()),
            Err(_) => {}
        }
    }
    Err(ErrorKind::Killed.into())
}
