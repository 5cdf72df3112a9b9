//! `cartwheel run`: an image in the foreground, as `docker run` has it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::interrupted::wait;
use crate::project::{Project, listing};
use crate::running::as_other;

/// An image whose config says something of everything, in the store as `app`.
struct Built {
    project: Project,
}

const DOCKERFILE: &str = "FROM base\n\
    RUN useradd -u 1234 -m app\n\
    ENV NAME=image OTHER=kept\n\
    WORKDIR /work/here\n\
    VOLUME /data\n\
    USER app\n\
    STOPSIGNAL SIGUSR1\n\
    ENTRYPOINT [\"sh\", \"-c\"]\n\
    CMD [\"echo default\"]\n";

impl Built {
    fn new() -> Self {
        Self::of(DOCKERFILE)
    }

    fn of(dockerfile: &str) -> Self {
        let project = Project::new().on_python_slim();
        project.write("context/Dockerfile", dockerfile);
        let mut build = project.command();
        build.args(["build", "context", "--build-context", "base=oci-layout://base", "-t", "app"]);
        let output = build.args(["--platform", "linux/amd64"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { project }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command();
        command.arg("run").args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// What a command printed that went well.
    #[track_caller]
    fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {message}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exit code and message.
    fn fails(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// A command that has printed its first line.
    fn started(&self, script: &str) -> Child {
        let mut command = self.command(&["app", script]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        child
    }

    /// Nothing is left of what ran.
    #[track_caller]
    fn is_clean(&self) {
        let home = self.project.path("home").display().to_string();
        assert!(!fs::read_to_string("/proc/mounts").unwrap().contains(&home));
        let left: Vec<_> = listing(&self.project.path("home/v1/scratch")).into_keys().collect();
        assert!(left.len() == 1 && left[0].ends_with("lock"), "{left:?}");
    }
}

fn send(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn the_images_config_says_what_runs_and_how() {
    let app = Built::new();
    assert_eq!(app.prints(&["app"]), "default\n");
    for (options, user) in [(&[][..], "/home/app app"), (&["-u", "root"], "/root root")] {
        let printed = app.prints(&[options, &["app", "echo $NAME $OTHER $HOME $(id -un) $(pwd)"]].concat());
        assert_eq!(printed, format!("image kept {user} /work/here\n"));
    }
    app.is_clean();
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn the_command_line_counts_more_than_the_image() {
    let app = Built::new();
    app.project.write("variables", "# comment\nNAME=file\nFROM_FILE=a b\n\nUNKNOWN\n");
    let script = "echo $NAME ${OTHER-none} $FROM_FILE $(id -u):$(id -g) $(pwd)";
    let options = ["--env-file", "variables", "-e", "NAME=given", "-e", "OTHER", "-u", "7:8", "-w", "/tmp"];
    assert_eq!(app.prints(&[&options[..], &["app", script]].concat()), "given none a b 7:8 /tmp\n");
    assert_eq!(app.prints(&["--entrypoint", "echo", "app", "-n", "--rm"]), "--rm");
    let (code, message) = app.fails(&["--entrypoint", "", "app"]);
    assert_eq!(code, Some(125));
    assert!(message.contains("does not say what to run"), "{message}");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn images_are_found_wherever_they_are() {
    let app = Built::new();
    let layout = ["oci:base", "python", "-c", "print(1)"];
    assert_eq!(app.prints(&layout), "1\n");
    let inspected = app.project.command().args(["inspect", "app"]).output().unwrap();
    let inspected = String::from_utf8(inspected.stdout).unwrap();
    for field in ["\"Digest\": \"", "\"Id\": \""] {
        let digest = inspected.split(field).nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(app.prints(&[digest]), "default\n", "{field}");
    }
    let (code, message) = app.fails(&["--pull", "never", "nowhere"]);
    assert!(code == Some(125) && message.contains("is not in the local store"), "{message}");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn exit_codes_are_those_of_docker() {
    let app = Built::new();
    assert_eq!(app.run(&["app", "exit 7"]).status.code(), Some(7));
    assert_eq!(app.run(&["app", "ulimit -t 1; while :; do :; done"]).status.code(), Some(137));
    let (code, message) = app.fails(&["--entrypoint", "nothing", "app"]);
    assert_eq!((code, message.contains("could not start `nothing`")), (Some(127), true), "{message}");
    assert_eq!(app.fails(&["--entrypoint", "/etc", "app"]).0, Some(126));
    assert_eq!(app.fails(&["-u", "nobody-here", "app"]).0, Some(125));
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn input_is_passed_on_only_when_asked_and_outputs_are_apart() {
    let app = Built::new();
    let output = |options: &[&str]| {
        let mut command =
            app.command(&[options, &["app", "cat; echo err >&2; [ -t 1 ] || echo none"]].concat());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _nobody_reads = child.stdin.take().unwrap().write_all(b"input\n");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stderr, b"err\n");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(output(&["-i"]), "input\nnone\n");
    assert_eq!(output(&[]), "none\n");
    let (code, message) = app.fails(&["-it", "app"]);
    assert!(code == Some(125) && message.contains("no terminal"), "{message}");
}

/// `script` gives cartwheel a terminal, and `stty` says how it is left.
#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_terminal_is_the_commands_own_and_the_users_is_left_as_it_was() {
    let app = Built::new();
    let run = "stty rows 21 cols 43; stty -a > before; $CARTWHEEL run -it app 'tty; stty size; read line; echo got $line; kill -INT $$'; echo code $?; stty -a > after";
    let mut command = Command::new("script");
    command.args(["-qec", run, "/dev/null"]).current_dir(app.project.path(""));
    command.env("CARTWHEEL", env!("CARGO_BIN_EXE_cartwheel")).env("CARTWHEEL_HOME", app.project.path("home"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"typed\n").unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    for part in ["/dev/pts/0\r\n", "21 43\r\n", "got typed\r\n"] {
        assert!(output.contains(part), "{output:?}");
    }
    let [before, after] = ["before", "after"].map(|name| fs::read_to_string(app.project.path(name)).unwrap());
    assert_eq!(before, after);
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn signals_are_passed_on_and_a_second_one_kills() {
    let app = Built::new();
    for (signal, told) in [("-INT", "INT"), ("-TERM", "USR1"), ("-HUP", "HUP")] {
        let script = format!("trap 'exit 3' {told}; echo ready; while :; do sleep 0.05; done");
        let mut child = app.started(&script);
        send(signal, &child);
        assert_eq!(child.wait().unwrap().code(), Some(3), "{signal}");
    }
    let mut child = app.started("trap '' INT USR1; echo ready; while :; do sleep 0.05; done");
    send("-INT", &child);
    wait(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the first one is only told");
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    app.is_clean();
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn killed_it_leaves_no_process_and_the_next_one_cleans_up() {
    let app = Built::new();
    let mut child = app.started("echo x > /tmp/file; echo ready; sleep 4712");
    child.kill().unwrap();
    child.wait().unwrap();
    let sleeping = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines.filter(|line| line.as_slice() == b"sleep\x004712\x00").count()
    };
    assert!((0..200).any(|_| {
        wait(Duration::from_millis(25));
        sleeping() == 0
    }));
    assert_eq!(app.prints(&["app", "ls /tmp"]), "");
    app.is_clean();
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn directories_of_the_machine_are_shown_and_the_rest_is_thrown_away() {
    let app = Built::new();
    app.project.write("shown/file", "text\n");
    let path = app.project.path("shown");
    let script = "cat /in/file /ro/file; ! touch /ro/x 2>/dev/null; echo new > /in/new; echo new > /made/new; echo new > /thrown; df /mem | grep -c tmpfs";
    let (bind, made) = (format!("{}:/in", path.display()), "./made:/made");
    let ro = format!("type=bind,src={},dst=/ro,readonly", path.display());
    let options = ["-u", "0", "-v", &bind, "-v", made, "--mount", &ro, "--tmpfs", "/mem:size=1m"];
    assert_eq!(app.prints(&[&options[..], &["app", script]].concat()), "text\ntext\n1\n");
    assert_eq!(fs::read_to_string(path.join("new")).unwrap(), "new\n");
    assert_eq!(fs::read_to_string(app.project.path("made/new")).unwrap(), "new\n");
    assert_eq!(app.run(&["-u", "0", "app", "test -e /thrown"]).status.code(), Some(1));
    let (code, message) = app.fails(&["-v", "named:/x", "app"]);
    assert!(code == Some(125) && message.contains("no volumes with names"), "{message}");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn what_may_be_written_used_and_reached_can_be_limited() {
    let app = Built::new();
    let script = "touch /data/x && ! touch /home/app/x 2>/dev/null && echo protected";
    assert_eq!(app.prints(&["--read-only", "-u", "0", "app", script]), "protected\n");
    let script = "ls /sys/class/net; cat /etc/hostname; ulimit -n; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2; grep -c 192.0.2.1 /etc/hosts; grep CapEff /proc/self/status | cut -f2";
    let options = ["--network", "none", "--hostname", "here", "--ulimit", "nofile=99", "--shm-size", "1m"];
    let more = ["--add-host", "name:192.0.2.1", "--cap-drop", "ALL", "--cap-add", "CHOWN", "-u", "0"];
    let printed = app.prints(&[&options[..], &more, &["app", script]].concat());
    assert_eq!(printed, "lo\nhere\n99\n1024\n1\n0000000000000001\n");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn what_cannot_be_honoured_is_refused_with_a_reason() {
    let app = Built::new();
    for (options, reason) in [
        (&["-p", "8080:80"][..], "opens its own port"),
        (&["-d"], "no daemon"),
        (&["--init"], "process 1"),
        (&["--network", "bridge"], "no networks between containers"),
        (&["--cap-add", "SYS_ADMIN"], "system calls that a sandbox does not allow"),
        (&["-w", "here"], "absolute path"),
    ] {
        let (code, message) = app.fails(&[options, &["app"]].concat());
        assert!(code == Some(125) && message.contains(reason), "{options:?}: {message}");
    }
    assert_eq!(app.prints(&["-p", "8000:8000", "--rm", "--name", "x", "app"]), "default\n");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn who_is_not_root_runs_images_too() {
    let app = Built::of("FROM base\nENV A=1\n");
    let mut command = app.command(&["app", "sh", "-c", "id -u; echo $A; touch /x && ls /x"]);
    as_other(&app.project, &mut command);
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!((&*output.stdout, output.status.code()), (&b"0\n1\n/x\n"[..], Some(0)), "{message}");
    app.is_clean();
    assert!(!Path::new("/x").exists());
}
