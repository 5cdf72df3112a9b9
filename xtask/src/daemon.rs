//! Servers that run for as long as a chore does, and not a moment longer.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Result, command};

/// How long a server may take to answer, and then to end.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);

/// A running server; ended when this value is dropped, and by the kernel should this program be killed.
pub(crate) struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it with its output in `log`.
    pub(crate) fn start(name: &str, command: &Command, log: &Path) -> Result<Self> {
        let output = File::create(log)?;
        // The signal that the kernel sends when this program is gone survives `exec`, so `setpriv` costs nothing.
        let mut bound = Command::new("setpriv");
        bound.args(["--pdeathsig", "TERM"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                bound.env(name, value);
            }
        }
        let child = bound.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn();
        let child = child.map_err(|error| format!("could not start {name}: {error}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Waits until `answers`; an error with the log's end if it dies or stays silent.
    pub(crate) fn wait_until(&mut self, answers: impl Fn() -> bool) -> Result {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} ended: {status}\n{}", self.name, self.said()).into());
            }
            if answers() {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("{} does not answer\n{}", self.name, self.said()).into());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of what it wrote.
    fn said(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
        format!("  {}\n  (all of it: {})", end.join("\n  "), self.log.display())
    }

    fn ended_within(&mut self, patience: Duration) -> bool {
        let started = Instant::now();
        while started.elapsed() < patience {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(PAUSE);
        }
        false
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        command::succeeds(Command::new("kill").arg(self.pid().to_string()));
        if !self.ended_within(PATIENCE) {
            eprintln!("warning: {} had to be killed", self.name);
            let _gone_already = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}
