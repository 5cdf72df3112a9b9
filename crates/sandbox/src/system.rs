//! The system calls that no safe function makes.
//!
//! Each is one call with its arguments checked by types; what is done with them is decided elsewhere.
#![expect(unsafe_code, reason = "system calls without a safe binding; see each SAFETY comment")]

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Moves this process out of the namespaces that it shares with others.
pub(crate) fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    let namespaces = flags.difference(UnshareFlags::FILES | UnshareFlags::FS);
    // SAFETY: what is unsafe is to take the open files away from a thread that counts on them; that flag is not in.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }
}

/// Makes a second process like this one; `None` in the new one.
///
/// Only for a process of one thread, which is what [`entry`](crate::entry) is called in.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: with one thread no lock can be held in the new process by a thread that is not there.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// An instruction of a system call filter (`struct sock_filter`).
pub(crate) type Instruction = libc::sock_filter;

/// Has the kernel ask this filter before each system call of this process and of those that it makes.
///
/// Without «no new privileges», which `prctl` and the safe bindings insist on: `su` and `sudo` must work.
pub(crate) fn filter_system_calls(filter: &mut [Instruction]) -> io::Result<()> {
    let len = u16::try_from(filter.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel reads `len` instructions behind the pointer, which is how many there are, and keeps a copy.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What becomes read-only.
#[derive(Clone, Copy)]
pub(crate) enum Extent {
    Mount,
    MountAndBelow,
}

/// Makes mounts read-only.
pub(crate) fn set_read_only(mount: BorrowedFd<'_>, extent: Extent) -> io::Result<()> {
    const READ_ONLY: u64 = 1;
    let attributes = [READ_ONLY, 0, 0, 0]; // struct mount_attr: set, clear, propagation, user namespace
    let flags = libc::AT_EMPTY_PATH
        | match extent {
            Extent::Mount => 0,
            Extent::MountAndBelow => libc::AT_RECURSIVE,
        };
    let size = size_of_val(&attributes);
    // SAFETY: the kernel reads a string that ends and `size` bytes of attributes, and writes nothing.
    let done = unsafe {
        let attributes = attributes.as_ptr();
        libc::syscall(libc::SYS_mount_setattr, mount.as_raw_fd(), c"".as_ptr(), flags, attributes, size)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has every open file but the standard three closed by the next program.
///
/// Ours close by themselves, but who started us may have left us some (make's job server does).
pub(crate) fn close_on_exec() -> io::Result<()> {
    // SAFETY: nothing is closed here and now.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Undoes what Rust's runtime did to this process: programs expect that a closed pipe ends them.
pub(crate) fn default_signals() {
    // SAFETY: no handler of ours is there to be lost.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Becomes another program; returns only if that fails.
///
/// Not `std`'s way, because the C library hands what has no known format to a shell, and containers do not.
pub(crate) fn execute(program: &CString, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
    };
    // SAFETY: the strings end in NUL, the lists in null, and all of them live until the call is over.
    unsafe { libc::execve(program.as_ptr(), pointers(args).as_ptr(), pointers(env).as_ptr()) };
    io::Error::last_os_error()
}
