//! What the process may do.

use cartwheel_sandbox::{Capabilities, Exit};

use crate::stage::{Stage, is_root_alone};

/// What `/proc/self/status` says in Docker's builder.
const CAPABILITIES: &str = "00000000a80425fb";
const NONE: &str = "0000000000000000";

fn status(stage: &Stage, field: &str) -> String {
    let said = stage.run();
    let line = said.stdout.lines().find(|line| line.starts_with(field)).map(str::to_owned);
    line.unwrap_or_else(|| panic!("{}{}", said.stdout, said.stderr))
        .split_whitespace()
        .nth(1)
        .unwrap()
        .to_owned()
}

#[test]
fn root_has_dockers_capabilities() {
    let script = "cat /proc/self/status";
    for (field, value) in [
        ("CapInh", NONE),
        ("CapPrm", CAPABILITIES),
        ("CapEff", CAPABILITIES),
        ("CapBnd", CAPABILITIES),
        ("CapAmb", NONE),
        ("NoNewPrivs", "0"),
        ("Seccomp:", "2"),
    ] {
        assert_eq!(status(&Stage::new(script), field), value, "{field}");
    }
}

#[test]
fn capabilities_are_given_and_taken() {
    let default = Capabilities::default();
    let more = default.with("NET_ADMIN").and_then(|more| more.without("CAP_CHOWN"));
    for (capabilities, field, value) in [
        (Ok(Capabilities::none()), "CapEff", NONE),
        (Capabilities::none().with("cap_chown"), "CapBnd", "0000000000000001"),
        (more, "CapEff", "00000000a80435fa"),
    ] {
        let mut stage = Stage::new("cat /proc/self/status");
        stage.sandbox.capabilities = capabilities.unwrap();
        assert_eq!(status(&stage, field), value, "{field}");
    }
    assert_eq!(default.with("X").unwrap_err().to_string(), "`X` is not a capability");
    let refused = default.with("SYS_ADMIN").unwrap_err().to_string();
    assert_eq!(refused, "capability `SYS_ADMIN` needs system calls that a sandbox does not allow");
}

#[test]
fn users_have_none_and_programs_may_give_them_some() {
    let stage = || {
        let mut stage = Stage::new("id; cat /proc/self/status");
        (stage.sandbox.uid, stage.sandbox.gid, stage.sandbox.groups) = (1000, 1001, vec![1001, 7]);
        stage
    };
    if is_root_alone() {
        assert_eq!(stage().run().exit.unwrap_err().to_string(), "could not become `group 1001`");
        return;
    }
    assert!(stage().run().stdout.starts_with("uid=1000 gid=1001 groups=1001,7\n"));
    for (field, value) in [("CapPrm", NONE), ("CapEff", NONE), ("CapBnd", CAPABILITIES), ("NoNewPrivs", "0")]
    {
        assert_eq!(status(&stage(), field), value, "{field}");
    }
    let mut stage = stage();
    stage.program("suid", &std::fs::read("/bin/cat").unwrap(), 0o4755);
    stage.sandbox.args = vec!["suid".to_owned(), "/proc/self/status".to_owned()];
    assert_eq!(status(&stage, "CapEff"), CAPABILITIES);
}

#[test]
fn an_insecure_one_may_do_what_its_caller_may() {
    let mut stage = Stage::new("cat /proc/self/status");
    stage.sandbox.insecure = true;
    let mine = std::fs::read_to_string("/proc/self/status").unwrap();
    let mine = mine.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim();
    assert_eq!(status(&stage, "CapEff"), mine);
    let mut stage = Stage::new("echo 1 > /proc/sys/net/ipv4/ip_forward; cat /proc/keys");
    (stage.sandbox.insecure, stage.sandbox.network) = (true, cartwheel_sandbox::Network::None);
    assert_eq!(stage.run().exit.unwrap(), Exit::Code(0));
}

#[test]
fn what_docker_hides_is_hidden() {
    let said = Stage::new("cat /proc/keys /proc/timer_list; ls /sys/firmware /proc/acpi").run();
    assert!(said.stdout.lines().all(|line| line.is_empty() || line.ends_with(':')), "{}", said.stdout);
    for path in ["/proc/sys/kernel/hostname", "/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper"] {
        let ran = Stage::new(&format!("echo x > {path}")).run();
        assert!(ran.stderr.contains("Read-only file system"), "{path}: {}", ran.stderr);
    }
}

#[test]
fn devices_are_dockers() {
    let said = Stage::new("cd /dev; stat -c '%n %F %t:%T %a' *; readlink fd ptmx; echo x > null; ls pts")
        .run()
        .well();
    let expected = "\
fd symbolic link 0:0 777
full character special file 1:7 666
mqueue directory 0:0 1777
null character special file 1:3 666
ptmx symbolic link 0:0 777
pts directory 0:0 755
random character special file 1:8 666
shm directory 0:0 1777
stderr symbolic link 0:0 777
stdin symbolic link 0:0 777
stdout symbolic link 0:0 777
tty character special file 5:0 666
urandom character special file 1:9 666
zero character special file 1:5 666
/proc/self/fd
pts/ptmx
ptmx
";
    assert_eq!(said, expected);
}

#[test]
fn system_calls_are_filtered() {
    let ran = Stage::new("unshare -m true; unshare -U true").run();
    assert_eq!(ran.exit.unwrap(), Exit::Code(1), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("Operation not permitted").count(), 2, "{}", ran.stderr);
}
