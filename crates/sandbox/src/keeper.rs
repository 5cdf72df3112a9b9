//! The keeper: the process between the caller and the sandbox.
//!
//! It is a second copy of the caller's program, because only a process of one thread can do what it does: leave the
//! caller's namespaces, and make the sandbox's first process. Then it waits, for that process to end or for the caller to
//! go away, and leaves nothing behind either way.

use std::convert::Infallible;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, getpid, pidfd_open, pidfd_send_signal, setsid, waitpid,
};
use rustix::thread::UnshareFlags;

use crate::cgroup::Cgroup;
use crate::sandbox::{Exit, Network, Sandbox};
use crate::wire::{self, Message};
use crate::{Error, Result, first, loopback, system};

/// The name under which a keeper is started, which is how it knows what it is.
pub(crate) const NAME: &str = "cartwheel-sandbox";

/// Does the work of a sandbox's own process if this is one, and then does not return.
///
/// A program that runs sandboxes calls this before anything else in its `main`, while it has one thread: sandboxes are
/// kept by copies of the program itself, and this is where such a copy learns that it is one.
#[expect(clippy::disallowed_methods, reason = "nothing of this process is to run the caller's `main`")]
pub fn entry() {
    if std::env::args_os().next().is_some_and(|name| name == NAME) {
        // Without the caller there is nobody to tell of an error.
        let told = keep().is_ok();
        std::process::exit(i32::from(!told));
    }
}

fn keep() -> std::io::Result<()> {
    let socket = UnixStream::from(rustix::stdio::stdin().try_clone_to_owned()?);
    let (sandbox, stdin) = wire::receive(&socket)?;
    rustix::stdio::dup2_stdin(&stdin)?;
    drop(stdin);
    match run(&sandbox, &socket) {
        Ok(exit) => Message::Ended(exit),
        Err(error) => Message::Failed(error.into()),
    }
    .send(&socket)
}

fn run(sandbox: &Sandbox, socket: &UnixStream) -> Result<Exit> {
    // Signals of the caller's terminal are the caller's.
    let _leads_already = setsid();
    let cgroup = Cgroup::make(getpid());
    let this = pidfd_open(getpid(), PidfdFlags::empty()).map_err(Error::io("follow", "the keeper"))?;
    leave(sandbox)?;
    let forked = system::fork().map_err(Error::io("make", "a process"))?;
    let Some(process) = forked else {
        become_first(|| first::start(sandbox, socket, this.as_fd(), cgroup.as_ref()), socket)
    };
    wait(process, socket).map_err(Error::io("wait for", "the process"))
}

/// Leaves the caller's namespaces: what is mounted, named and numbered from here on is the sandbox's.
fn leave(sandbox: &Sandbox) -> Result<()> {
    let mut namespaces =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    namespaces.set(UnshareFlags::NEWNET, sandbox.network == Network::None);
    system::unshare(namespaces).map_err(Error::io("enter", "new namespaces"))?;
    if sandbox.network == Network::None {
        loopback::up().map_err(Error::io("bring up", "lo"))?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a forked process must not return to its parent's callers")]
fn become_first(start: impl FnOnce() -> Result<Infallible>, socket: &UnixStream) -> ! {
    let Err(error) = start();
    let told = Message::Failed(error.into()).send(socket).is_ok();
    std::process::exit(i32::from(told));
}

/// Waits for the process, sends it what signals the caller asks for, and ends it when the caller is gone.
///
/// The first process of a PID namespace takes all others with it, and the kernel lets it go only when they are gone.
fn wait(process: Pid, socket: &UnixStream) -> std::io::Result<Exit> {
    let handle = pidfd_open(process, PidfdFlags::empty())?;
    while is_running(&handle, socket)? {
        if let Some(byte) = told(socket) {
            let signal = Signal::from_named_raw(i32::from(byte));
            signal.map_or(Ok(()), |signal| pidfd_send_signal(&handle, signal))?;
        } else {
            pidfd_send_signal(&handle, Signal::KILL)?;
            break;
        }
    }
    let ended = rustix::io::retry_on_intr(|| waitpid(Some(process), WaitOptions::empty()))?;
    Ok(ended.map_or(Exit::Code(0), |(_, status)| exit(status)))
}

/// Waits until the process has ended, or the caller has something to say.
fn is_running(handle: &OwnedFd, socket: &UnixStream) -> std::io::Result<bool> {
    let mut either = [PollFd::new(handle, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut either, None))?;
    Ok(either[0].revents().is_empty())
}

/// What the caller says; nothing if it is gone.
fn told(mut socket: &UnixStream) -> Option<u8> {
    let mut byte = [0];
    socket.read_exact(&mut byte).ok().map(|()| byte[0])
}

fn exit(status: WaitStatus) -> Exit {
    match status.terminating_signal() {
        Some(signal) => Exit::Signal(signal),
        None => Exit::Code(status.exit_status().unwrap_or_default()),
    }
}
