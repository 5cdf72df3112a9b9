//! A process that somebody sits before: a terminal, what is typed, signals.

use std::process::Command;
use std::thread;

use cartwheel_sandbox::{Control, Exit, Stdio, Stream, run_attended};

use crate::stage::Stage;

const HUP: i32 = 1;
const KILL: i32 = 9;

/// Runs a script to its end; `heard` is told of its output.
fn attend(stage: &Stage, control: &Control, mut heard: impl FnMut(&str)) -> (Exit, String) {
    let mut text = String::new();
    let exit = run_attended(&stage.sandbox, control, &mut |stream, bytes| {
        assert_eq!(stream, Stream::Stdout);
        let new = std::str::from_utf8(bytes).unwrap();
        heard(new);
        text.push_str(new);
    });
    (exit.unwrap(), text)
}

fn on_terminal(script: &str) -> Stage {
    let mut stage = Stage::new(script);
    stage.sandbox.stdio = Stdio::Terminal { reads: false, rows: 11, columns: 33 };
    stage
}

#[test]
fn a_terminal_is_one_of_the_sandboxs_own() {
    let stage = on_terminal(
        "for fd in 0 1 2; do readlink /proc/self/fd/$fd; [ -t $fd ] && echo yes; done; echo to it > /dev/tty; shopt -s checkwinsize; (:); echo $LINES $COLUMNS",
    );
    let mut stage = stage;
    stage.sandbox.args[0] = "/bin/bash".to_owned();
    let (exit, text) = attend(&stage, &Control::new().unwrap(), |_| ());
    assert_eq!(exit, Exit::Code(0), "{text}");
    let one = "/dev/pts/0\r\nyes\r\n";
    assert_eq!(text, format!("{one}{one}{one}to it\r\n11 33\r\n"));
}

#[test]
fn a_terminal_of_another_size_is_told_of() {
    let mut stage = on_terminal(
        "trap 'trap - WINCH; (:); echo $LINES $COLUMNS; exit 0' WINCH; shopt -s checkwinsize; echo ready; while :; do sleep 0.1; done",
    );
    stage.sandbox.args[0] = "/bin/bash".to_owned();
    let control = Control::new().unwrap();
    let (exit, text) = attend(&stage, &control, |text| {
        if text.contains("ready") {
            control.resize(44, 55);
        }
    });
    assert_eq!((exit, text.as_str()), (Exit::Code(0), "ready\r\n44 55\r\n"));
}

#[test]
fn signals_reach_a_process_that_has_handlers() {
    let stage = Stage::new("trap 'echo told; exit 5' HUP; echo ready; while :; do sleep 0.1; done");
    let control = Control::new().unwrap();
    let (exit, text) = attend(&stage, &control, |text| {
        if text.contains("ready") {
            control.signal(HUP);
        }
    });
    assert_eq!((exit, text.as_str()), (Exit::Code(5), "ready\ntold\n"));
}

#[test]
fn every_process_can_be_killed() {
    let stage = Stage::new("echo ready; while :; do sleep 0.1; done");
    let control = Control::new().unwrap();
    let (exit, text) = attend(&stage, &control, |text| {
        if text.contains("ready") {
            // It has no handler, and it is process 1.
            control.signal(HUP);
            let control = control.clone();
            thread::spawn(move || {
                Command::new("sleep").arg("0.2").status().unwrap();
                control.signal(KILL);
            });
        }
    });
    assert_eq!((exit, text.as_str()), (Exit::Signal(9), "ready\n"));
}
