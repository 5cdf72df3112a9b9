//! The command in the foreground: its output, signals, and the user's terminal.

use std::io::{self, IsTerminal, Write};
use std::thread;

use cartwheel_sandbox::{Control, Exit, Result, Sandbox, Stdio, Stream, run_attended};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

/// The signals that are the command's. Ctrl-Z stops cartwheel alone, which the user's shell knows how to wake.
const PASSED_ON: [i32; 8] = [SIGHUP, SIGINT, SIGQUIT, SIGALRM, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// Runs it to its end.
pub(super) fn run(sandbox: &Sandbox, stop_signal: i32) -> Result<Exit> {
    let control = Control::new()?;
    let has_terminal = matches!(sandbox.stdio, Stdio::Terminal { .. });
    let passing = pass_on(&control, stop_signal, has_terminal);
    let reads_keys = matches!(sandbox.stdio, Stdio::Terminal { reads: true, .. });
    let raw = reads_keys.then(Raw::enter).flatten();
    let exit = run_attended(sandbox, &control, &mut |stream, bytes| {
        let written = match stream {
            Stream::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            Stream::Stderr => io::stderr().write_all(bytes),
        };
        if written.is_err() {
            // Nobody reads any more: a command that goes on would never be heard of again.
            control.signal(SIGKILL);
        }
    });
    drop(raw);
    // Without it, signals end cartwheel, and the command with it.
    if let Ok(passing) = passing {
        passing.close();
    }
    exit
}

/// Passes signals on from a thread of its own. A second one that asks for the end brings it.
fn pass_on(
    control: &Control,
    stop_signal: i32,
    has_terminal: bool,
) -> io::Result<signal_hook::iterator::Handle> {
    let mut signals = Signals::new(PASSED_ON)?;
    let (handle, control) = (signals.handle(), control.clone());
    thread::spawn(move || {
        let mut is_asked = false;
        for signal in signals.forever() {
            let asks = matches!(signal, SIGINT | SIGTERM);
            match signal {
                SIGWINCH if has_terminal => {
                    let (rows, columns) = window();
                    control.resize(rows, columns);
                }
                SIGWINCH => {}
                _ if asks && is_asked => control.signal(SIGKILL),
                SIGTERM => control.signal(stop_signal),
                _ => control.signal(signal),
            }
            is_asked |= asks;
        }
    });
    Ok(handle)
}

/// Whether somebody types what cartwheel reads.
pub(super) fn reads_from_terminal() -> bool {
    io::stdin().is_terminal()
}

/// The lines and columns of the user's window.
pub(super) fn window() -> (u16, u16) {
    let size = tcgetwinsize(stdout()).or_else(|_| tcgetwinsize(stdin()));
    size.map_or((24, 80), |size| (size.ws_row, size.ws_col))
}

/// The user's terminal while every key goes to the command's own terminal, which knows what it means.
struct Raw {
    before: Termios,
}

impl Raw {
    fn enter() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _gone = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}
