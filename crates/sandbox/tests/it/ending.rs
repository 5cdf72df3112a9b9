//! However a sandbox ends, nothing of it stays.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cartwheel_sandbox::{Cancel, ErrorKind, run};

use crate::stage::Stage;

/// A word for the arguments of processes that no other process has; the tests run several times at once.
fn word(test: u32) -> String {
    format!("{:08}{test}", std::process::id())
}

/// A command that prints `ready`, and then waits in three processes that have `word` in their arguments.
fn waiting(word: &str) -> String {
    format!(
        "sleep 1000{word} & setsid sleep 1000{word} & trap '' TERM INT HUP; echo ready; while :; do sleep 1000{word}; done"
    )
}

/// The processes of this machine that have this word in their arguments.
fn processes_with(word: &str) -> Vec<u32> {
    let found = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&arguments).contains(word).then_some(pid)
    });
    found.collect()
}

/// The children of a process.
fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// A program of its own that runs the sandbox, and is ready.
fn ready_caller(stage: &Stage) -> Caller {
    let mut caller = caller(stage);
    let mut line = String::new();
    BufReader::new(caller.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    caller
}

/// One that may not be ready.
fn caller(stage: &Stage) -> Caller {
    let mut command = stage.caller();
    Caller(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
}

/// Ended with the test, should that fail.
struct Caller(Child);

impl Drop for Caller {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Ends that process only.
fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

/// Waits until that is so, but not for ever.
#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        Command::new("sleep").arg("0.01").status().unwrap();
    }
    panic!("it is still not so");
}

#[track_caller]
fn expect_none_with(word: &str) {
    wait_until(|| processes_with(word).is_empty());
}

#[test]
fn processes_end_with_the_first_one() {
    let word = &word(1);
    let stage = Stage::new(&format!("sleep 1000{word} & setsid sleep 1000{word} & echo started"));
    assert_eq!(stage.run().well(), "started\n");
    assert_eq!(processes_with(word), [0; 0]);
}

#[test]
fn a_cancelled_run_ends() {
    let word = &word(2);
    let stage = Stage::new(&waiting(word));
    let cancel = Cancel::new().unwrap();
    let error = run(&stage.sandbox, &cancel, &mut |_, _| cancel.cancel()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Cancelled), "{error:?}");
    assert_eq!(processes_with(word), [0; 0]);
    let error = run(&Stage::new("true").sandbox, &cancel, &mut |_, _| ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Cancelled), "told before it began: {error:?}");
}

#[test]
fn processes_end_with_the_caller() {
    let word = &word(3);
    let stage = Stage::new(&waiting(word));
    let mut caller = ready_caller(&stage);
    assert!(!processes_with(word).is_empty());
    kill(caller.0.id());
    caller.0.wait().unwrap();
    expect_none_with(word);
}

#[test]
fn processes_end_with_the_keeper() {
    let word = &word(4);
    let stage = Stage::new(&waiting(word));
    let mut caller = ready_caller(&stage);
    kill(children(caller.0.id())[0]);
    let ended = caller.0.wait().unwrap();
    assert_eq!(ended.code(), Some(99), "the caller is told");
    expect_none_with(word);
}

#[test]
fn nothing_is_left_of_killed_runs() {
    let mounts = || fs::read_to_string("/proc/self/mounts").unwrap();
    let before = mounts();
    let word = &word(5);
    for delay in 0..20 {
        let stage = Stage::new(&waiting(word));
        let mut caller = caller(&stage);
        Command::new("sleep").arg(format!("0.{:03}", delay * 2)).status().unwrap();
        let keepers = children(caller.0.id());
        let victims = [vec![caller.0.id()], keepers].concat();
        kill(victims[delay % victims.len()]);
        caller.0.wait().unwrap();
    }
    expect_none_with(word);
    assert_eq!(mounts(), before);
}

#[test]
fn processes_are_counted() {
    let stage = Stage::new(&waiting(&word(6)));
    let caller = ready_caller(&stage);
    let keeper = children(caller.0.id())[0];
    let first = children(keeper)[0];
    let groups = fs::read_to_string(format!("/proc/{first}/cgroup")).unwrap();
    let group =
        groups.lines().find_map(|line| line.rsplit(':').next().filter(|path| path.contains("cartwheel-")));
    if let Some(group) = group {
        let folder = Path::new("/sys/fs/cgroup/pids").join(group.trim_start_matches('/'));
        assert_eq!(fs::read_to_string(folder.join("pids.max")).unwrap(), "16384\n");
        assert!(folder.ends_with(format!("cartwheel-{keeper}")));
        drop(caller);
        wait_until(|| !folder.exists());
    } else {
        let limits = fs::read_to_string(format!("/proc/{first}/limits")).unwrap();
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max processes")).unwrap();
        assert!(limit.split_whitespace().next().unwrap().parse::<u32>().unwrap() <= 16_384);
    }
}
