//! The sandbox's first process, until it becomes the user's program.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, Uid, fchown};
use rustix::process::{Signal, chdir, set_parent_process_death_signal, setsid, umask};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::thread::UnshareFlags;

use crate::cgroup::{self, Cgroup};
use crate::sandbox::{Sandbox, Stdio};
use crate::wire::Message;
use crate::{Error, ErrorKind, Result, privileges, root, system, terminal};

/// Makes the sandbox around this process and starts the program in it.
///
/// The order is that of what each step needs: sources while the host can be seen, `/proc` before mount points, which
/// are named by it, rights for as long as there is something to set up.
pub(crate) fn start(
    sandbox: &Sandbox,
    socket: &UnixStream,
    keeper: BorrowedFd<'_>,
    cgroup: Option<&Cgroup>,
) -> Result<Infallible> {
    die_with(keeper)?;
    setsid().map_err(Error::io("begin", "a session"))?;
    umask(Mode::from_raw_mode(0o022));
    if !cgroup.is_some_and(Cgroup::join) {
        cgroup::limit_processes()?;
    }
    // Only now, so that the group that was joined is the root of what the process sees.
    system::unshare(UnshareFlags::NEWCGROUP).map_err(Error::io("enter", "a new namespace"))?;
    rustix::system::sethostname(sandbox.hostname.as_bytes()).map_err(Error::io("set", "the host name"))?;
    for path in root::enter(sandbox)? {
        Message::MountPoint(path).send(socket).map_err(Error::io("tell of", "mount points"))?;
    }
    if let Stdio::Terminal { rows, columns, .. } = sandbox.stdio {
        terminal::take(rows, columns, socket)?;
    }
    give_stdio(sandbox);
    chdir(&sandbox.working_dir).map_err(Error::io("enter", &sandbox.working_dir))?;
    sandbox.ulimits.iter().try_for_each(crate::Ulimit::set)?;
    privileges::drop(sandbox)?;
    // Forgotten by the kernel when the user changed.
    die_with(keeper)?;
    system::close_on_exec().map_err(Error::io("close", "files"))?;
    system::default_signals();
    execute(sandbox)
}

/// Lets the user open what it reads and writes by name (`/dev/stdout`), as Docker does.
fn give_stdio(sandbox: &Sandbox) {
    let user = Some(Uid::from_raw_unchecked(sandbox.uid));
    for file in [stdin(), stdout(), stderr()] {
        let _a_user_that_is_none_here = fchown(file, user, None);
    }
}

/// Has the kernel end this process with the keeper, which may be gone already.
fn die_with(keeper: BorrowedFd<'_>) -> Result<()> {
    let failed = Error::io("follow", "the keeper");
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    let mut ended = [PollFd::from_borrowed_fd(keeper, PollFlags::IN)];
    match poll(&mut ended, Some(&Timespec::default())) {
        Ok(0) => Ok(()),
        _ => Err(ErrorKind::Killed.into()),
    }
}

/// Becomes the program: as the shell finds it, but for empty parts of `PATH`.
fn execute(sandbox: &Sandbox) -> Result<Infallible> {
    let program = sandbox.args.first().cloned().unwrap_or_default();
    let not_started = |source| ErrorKind::Program { program: program.clone(), source }.into();
    let args = sandbox.args.iter().map(|arg| CString::new(arg.as_str()));
    let args: Vec<CString> = args.collect::<Result<_, _>>().map_err(|error| not_started(error.into()))?;
    let env = sandbox.env.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
    let env: Vec<CString> = env.collect::<Result<_, _>>().map_err(|error| not_started(error.into()))?;
    let mut reason = io::Error::from_raw_os_error(libc::ENOENT);
    for candidate in candidates(&program, sandbox) {
        let Ok(path) = CString::new(candidate) else { continue };
        let error = system::execute(&path, &args, &env);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            // Another one may be meant; if not, this is what there is to say.
            Some(libc::EACCES) => reason = error,
            _ => return Err(not_started(error)),
        }
    }
    Err(not_started(reason))
}

fn candidates(program: &str, sandbox: &Sandbox) -> Vec<String> {
    if program.contains('/') || program.is_empty() {
        return vec![program.to_owned()];
    }
    let path = sandbox.env.iter().rfind(|(name, _)| name == "PATH").map_or("", |(_, path)| path);
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    folders.map(|folder| format!("{folder}/{program}")).collect()
}
