//! What a running process is told by its caller.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use crate::{Error, Result};

/// How the process of a run is told something, from any thread; copies are the same one.
#[derive(Debug, Clone)]
pub struct Control {
    ours: Arc<UnixDatagram>,
    theirs: Arc<UnixDatagram>,
}

/// One thing that it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Signal(u8),
    Resize { rows: u16, columns: u16 },
}

impl Control {
    /// One for a run that has not begun. What is said before waits for it.
    pub fn new() -> Result<Self> {
        let (ours, theirs) = UnixDatagram::pair().map_err(Error::io("make", "a socket"))?;
        // Whoever has too much to say says it to nobody, but waits for nobody either.
        ours.set_nonblocking(true).map_err(Error::io("make", "a socket"))?;
        Ok(Self { ours: ours.into(), theirs: theirs.into() })
    }

    /// Sends the process a signal. It is process 1 to itself: what it has no handler for has no effect, unless it is SIGKILL.
    pub fn signal(&self, signal: i32) {
        // No signal has a larger number.
        self.say(&[u8::try_from(signal).unwrap_or_default()]);
    }

    /// Gives the process's terminal another size.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.say(&[rows.to_be_bytes(), columns.to_be_bytes()].concat());
    }

    fn say(&self, bytes: &[u8]) {
        let _nobody_listens_any_more = self.ours.send(bytes);
    }

    /// The next order, which must be there.
    pub(crate) fn next(&self) -> io::Result<Option<Order>> {
        let mut bytes = [0; 5];
        let length = self.theirs.recv(&mut bytes)?;
        Ok(match bytes.get(..length) {
            Some([signal]) => Some(Order::Signal(*signal)),
            Some([a, b, c, d]) => Some(Order::Resize {
                rows: u16::from_be_bytes([*a, *b]),
                columns: u16::from_be_bytes([*c, *d]),
            }),
            _ => None,
        })
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.theirs.as_fd()
    }
}
