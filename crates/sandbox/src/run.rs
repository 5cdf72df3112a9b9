//! The caller's side: start a keeper, pass on what comes from it, and tell how it went.

use std::fs::File;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio as Output};
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use crate::error::{Error, ErrorKind, Result};
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

/// Runs a process in a sandbox and waits for it; afterwards nothing is left of it but what is in `upper`.
///
/// Its output comes in the order in which it was written, as far as two streams have one. If the program that calls
/// this dies meanwhile, in whatever way, so does everything in the sandbox.
pub fn run(sandbox: &Sandbox, cancel: &Cancel, output: &mut dyn FnMut(Stream, &[u8])) -> Result<Exit> {
    let line = wire::line(sandbox).map_err(Error::io("describe", &sandbox.upper))?;
    let stdin = stdin(sandbox).map_err(Error::io("open", "the standard input"))?;
    let (ours, theirs) = UnixStream::pair().map_err(Error::io("make", "a socket"))?;
    let mut child = start(sandbox, theirs).map_err(Error::io("start", &sandbox.keeper))?;
    let outputs = [
        (Feed::Output(Stream::Stdout), child.stdout.take().map(OwnedFd::from)),
        (Feed::Output(Stream::Stderr), child.stderr.take().map(OwnedFd::from)),
    ];
    // If it has been killed, that is what will be heard.
    let _sent = wire::send(&ours, &line, stdin.as_fd());
    drop(stdin);
    let heard = follow(ours, outputs, cancel, output);
    let waited = child.wait();
    let heard = heard.map_err(Error::io("follow", &sandbox.keeper))?;
    waited.map_err(Error::io("wait for", &sandbox.keeper))?;
    heard.result(sandbox)
}

fn start(sandbox: &Sandbox, socket: UnixStream) -> io::Result<Child> {
    let output = || match sandbox.stdio {
        Stdio::Captured => Output::piped(),
        Stdio::Inherited => Output::inherit(),
    };
    let mut command = Command::new(&sandbox.keeper);
    command.arg0(keeper::NAME).env_clear().current_dir("/");
    command.stdin(OwnedFd::from(socket)).stdout(output()).stderr(output()).spawn()
}

/// What the process reads: a pipe that nobody writes to, as in Docker, or what this process reads.
fn stdin(sandbox: &Sandbox) -> io::Result<OwnedFd> {
    match sandbox.stdio {
        Stdio::Captured => Ok(io::pipe()?.0.into()),
        Stdio::Inherited => io::stdin().as_fd().try_clone_to_owned(),
    }
}

/// What comes out of a file.
enum Feed {
    Output(Stream),
    Messages,
}

/// What was heard when all was over.
struct Heard {
    messages: Vec<u8>,
    is_cancelled: bool,
}

/// Passes on what is written until nobody is left to write.
fn follow(
    socket: UnixStream,
    outputs: [(Feed, Option<OwnedFd>); 2],
    cancel: &Cancel,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> io::Result<Heard> {
    let mut heard = Heard { messages: Vec::new(), is_cancelled: false };
    let keeper = socket.try_clone()?;
    let files = outputs.into_iter().chain([(Feed::Messages, Some(socket.into()))]);
    let mut feeds: Vec<(Feed, File)> = files.filter_map(|(feed, file)| Some((feed, file?.into()))).collect();
    let mut buffer = vec![0; 64 << 10];
    while !feeds.is_empty() {
        let (ready, is_told) = wait(&feeds, cancel, heard.is_cancelled)?;
        if is_told {
            // The keeper takes it for our end, and answers.
            heard.is_cancelled = true;
            let _gone_already = keeper.shutdown(Shutdown::Write);
        }
        for index in ready.into_iter().rev() {
            let Some((feed, file)) = feeds.get_mut(index) else { continue };
            // A keeper that was killed resets the socket.
            let length = file.read(&mut buffer).unwrap_or(0);
            let bytes = buffer.get(..length).unwrap_or_default();
            match feed {
                _ if bytes.is_empty() => drop(feeds.remove(index)),
                Feed::Output(stream) => output(*stream, bytes),
                Feed::Messages => heard.messages.extend_from_slice(bytes),
            }
        }
    }
    Ok(heard)
}

/// Waits for something to read; which feeds have it, and whether the run is to be cancelled.
fn wait(feeds: &[(Feed, File)], cancel: &Cancel, is_cancelled: bool) -> io::Result<(Vec<usize>, bool)> {
    let files = feeds.iter().map(|(_, file)| PollFd::new(file, PollFlags::IN));
    let told = (!is_cancelled).then(|| PollFd::new(&*cancel.event, PollFlags::IN));
    let mut polled: Vec<PollFd<'_>> = files.chain(told).collect();
    rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
    let ready = polled.iter().enumerate().filter(|(_, file)| !file.revents().is_empty());
    let mut ready: Vec<usize> = ready.map(|(index, _)| index).collect();
    let is_told = ready.pop_if(|index| *index == feeds.len()).is_some();
    Ok((ready, is_told))
}

impl Heard {
    /// How it went; then the mount points that were made are removed.
    fn result(self, sandbox: &Sandbox) -> Result<Exit> {
        if self.is_cancelled {
            return Err(ErrorKind::Cancelled.into());
        }
        let mut mount_points = Vec::new();
        for line in self.messages.split(|byte| *byte == b'\n') {
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
}
