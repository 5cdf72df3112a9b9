//! A terminal of the sandbox's own: a pair of devices, one for the process and one for the caller.
//!
//! It is made in the sandbox's `/dev/pts`, so that the process finds it under the name that the kernel gives it (`tty`, `ttyname`).

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::ioctl_tiocsctty;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::{Error, Result, wire};

/// Makes a terminal, has this process read from it and write to it as its controlling one, and sends the caller the other end.
pub(crate) fn take(rows: u16, columns: u16, socket: &UnixStream) -> Result<()> {
    let failed = Error::io("make", "a terminal");
    let (caller, own) = pair(rows, columns).map_err(failed)?;
    wire::send_terminal(socket, &caller).map_err(Error::io("tell of", "a terminal")).and_then(|()| {
        ioctl_tiocsctty(&own)
            .and_then(|()| dup2_stdin(&own))
            .and_then(|()| dup2_stdout(&own))
            .and_then(|()| dup2_stderr(&own))
            .map_err(Error::io("enter", "a terminal"))
    })
}

fn pair(rows: u16, columns: u16) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let caller = open("/dev/pts/ptmx", flags, Mode::empty())?;
    unlockpt(&caller)?;
    resize(&caller, rows, columns)?;
    let own = ioctl_tiocgptpeer(&caller, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    Ok((caller, own))
}

/// Gives a terminal another size; who reads from it is told by a signal.
pub(crate) fn resize(terminal: &OwnedFd, rows: u16, columns: u16) -> rustix::io::Result<()> {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
}
