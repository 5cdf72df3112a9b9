//! What the process reads, passed on from what this program reads.
//!
//! The process never has the file itself: if that is the user's terminal, nothing in a sandbox shall change its settings.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read, write};

/// Bytes on their way.
pub(crate) struct Input {
    source: OwnedFd,
    sink: OwnedFd,
    pending: Vec<u8>,
}

impl Input {
    /// From `source` to `sink`, which is never waited for.
    pub(crate) fn new(source: OwnedFd, sink: OwnedFd) -> io::Result<Self> {
        set_nonblocking(&sink)?;
        Ok(Self { source, sink, pending: Vec::new() })
    }

    /// What has to happen before it can go on.
    pub(crate) fn waits_for(&self) -> PollFd<'_> {
        if self.pending.is_empty() {
            PollFd::new(&self.source, PollFlags::IN)
        } else {
            PollFd::new(&self.sink, PollFlags::OUT)
        }
    }

    /// Goes on; `false` if there is nothing more to read, or nobody to read it.
    pub(crate) fn advance(&mut self) -> bool {
        let done = if self.pending.is_empty() { self.fill() } else { self.drain() };
        match done {
            Ok(length) => length > 0,
            Err(error) => matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }

    fn fill(&mut self) -> rustix::io::Result<usize> {
        let mut buffer = vec![0; 64 << 10];
        let length = read(&self.source, &mut buffer)?;
        buffer.truncate(length);
        self.pending = buffer;
        Ok(length)
    }

    fn drain(&mut self) -> rustix::io::Result<usize> {
        let length = write(&self.sink, &self.pending)?;
        self.pending.drain(..length);
        Ok(length)
    }
}

/// Has reading and writing of this file fail where it would wait.
pub(crate) fn set_nonblocking(file: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_setfl(file, fcntl_getfl(file)? | OFlags::NONBLOCK)?)
}
