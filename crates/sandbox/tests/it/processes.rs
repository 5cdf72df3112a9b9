//! Starting, ending, and what is told of it.

use std::io::Write;
use std::net::IpAddr;

use cartwheel_sandbox::{ErrorKind, Exit, Network, Stdio, Ulimit};

use crate::stage::Stage;

#[test]
fn exit_codes_and_signals_are_told() {
    assert_eq!(Stage::new("exit 3").run().exit.unwrap(), Exit::Code(3));
    assert_eq!(Stage::new("ulimit -t 1; while :; do :; done").run().exit.unwrap(), Exit::Signal(9));
}

#[test]
fn output_comes_from_both_streams_in_order() {
    let ran = Stage::new("cat; for i in 1 2 3; do echo out$i; echo err$i >&2; done; exit 1").run();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out1\nout2\nout3\n", "err1\nerr2\nerr3\n"));
}

#[test]
fn what_the_caller_reads_can_be_passed_on() {
    let mut stage = Stage::new("cat; echo err >&2; exit 7");
    stage.sandbox.stdio = Stdio::Attached;
    let (input, mut ours) = std::io::pipe().unwrap();
    ours.write_all(b"input\n").unwrap();
    drop(ours);
    let output = stage.caller().stdin(input).output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"input\n"[..], &b"err\n"[..]));
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn more_than_a_pipe_holds_can_be_read_and_written() {
    let mut stage = Stage::new("cat");
    stage.sandbox.stdio = Stdio::Attached;
    let file = stage.folder("input").join("file");
    std::fs::write(&file, vec![b'x'; 3 << 20]).unwrap();
    let output = stage.caller().stdin(std::fs::File::open(file).unwrap()).output().unwrap();
    assert_eq!(output.stdout.len(), 3 << 20);
}

#[test]
fn who_is_not_root_opens_its_outputs_by_name() {
    let mut stage = Stage::new("echo out > /proc/self/fd/1; echo err > /proc/self/fd/2");
    (stage.sandbox.uid, stage.sandbox.gid) = (1, 1);
    if !crate::stage::is_root_alone() {
        let ran = stage.run();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
    }
}

#[test]
fn the_program_is_found_as_docker_finds_it() {
    for (program, errno) in
        [("nothing", 2), ("/nothing", 2), ("/etc", 13), ("", 2), ("text", 13), ("bare", 8)]
    {
        let mut stage = Stage::new("");
        stage.program("text", b"", 0o644);
        stage.program("bare", b"echo no first line\n", 0o755);
        stage.sandbox.args = vec![program.to_owned()];
        let error = stage.run().exit.unwrap_err();
        assert_eq!(error.to_string(), format!("could not start `{program}`"));
        let ErrorKind::Program { source, .. } = error.kind() else { panic!("{error:?}") };
        assert_eq!(source.raw_os_error(), Some(errno), "{program}");
    }
    let mut stage = Stage::new("");
    stage.sandbox.args = vec!["true".to_owned()];
    stage.run().well();
}

#[test]
fn the_environment_is_what_was_asked_for() {
    let mut stage = Stage::new(
        "cat /proc/self/environ; hostname=$(cat /proc/sys/kernel/hostname); echo; echo $hostname; umask; pwd",
    );
    stage.sandbox.env.push(("NAME".to_owned(), "a value".to_owned()));
    stage.sandbox.hostname = "somewhere".to_owned();
    stage.sandbox.working_dir = "/new/place".into();
    let said = stage.run().well();
    let (environ, rest) = said.split_once('\n').unwrap();
    let mut environ: Vec<&str> =
        environ.split_terminator('\0').filter(|line| !line.starts_with('_')).collect();
    environ.sort_unstable();
    assert_eq!(environ, ["NAME=a value", "PATH=/nowhere:/bin", "PWD=/new/place"]);
    assert_eq!(rest, "somewhere\n0022\n/new/place\n");
    assert_eq!(stage.changed(), ["etc", "new", "new/place"], "the working directory stays, as in Docker");
}

#[test]
fn the_program_is_process_1_and_alone() {
    let said = Stage::new("echo $$; cd /proc; ls -d [0-9]*; readlink self/fd/3").run();
    assert!(said.stdout.starts_with("1\n1\n"), "{}", said.stdout);
    assert!(said.stdout.lines().count() <= 4, "{}", said.stdout);
    assert_eq!(said.exit.unwrap(), Exit::Code(1), "no file but the standard three is open");
}

#[test]
fn names_are_in_etc_hosts() {
    let mut stage = Stage::new("cat /etc/hosts; echo x > /etc/hosts");
    stage.sandbox.hostname = "build".to_owned();
    stage.sandbox.hosts =
        vec![("one".to_owned(), IpAddr::from([10, 1, 2, 3])), ("two".to_owned(), "::1".parse().unwrap())];
    let ran = stage.run();
    let lines =
        "127.0.0.1\tlocalhost build\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.2.3\tone\n::1\ttwo\n";
    assert_eq!(ran.stdout, lines);
    assert!(ran.stderr.contains("Read-only file system"), "{}", ran.stderr);
    assert_eq!(stage.changed(), ["etc"]);
}

#[test]
fn a_network_of_its_own_has_lo_and_nothing_else() {
    let script = "while read name rest; do case $name in *:) echo $name;; esac; done < /proc/net/dev; cat /proc/net/fib_trie";
    let mut stage = Stage::new(script);
    stage.sandbox.network = Network::None;
    let said = stage.run().well();
    assert!(said.starts_with("lo:\nMain:"), "{said}");
    assert!(said.contains("127.0.0.1"), "lo is up: {said}");
}

#[test]
fn limits_are_set() {
    let mut stage = Stage::new("ulimit -n; ulimit -Hn; ulimit -c; stat -f -c '%S %b' /dev/shm");
    let limit = |name, soft, hard| Ulimit::new(name, Some(soft), Some(hard)).unwrap();
    stage.sandbox.ulimits = vec![limit("nofile", 100, 200), limit("core", 0, 0)];
    stage.sandbox.shm_size = 1 << 20;
    assert_eq!(stage.run().well(), "100\n200\n0\n4096 256\n");
}
