//! All the other tests, once more, by a user who is not root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Somebody whom every machine has and nobody needs.
const USER: &str = "65534";

/// In mounts of its own: the directories before the last argument but one are put over `/etc`; then the rest is run as
/// that user.
const SCRIPT: &str = r#"
etc=$1 user=$2; shift 2
mount -t overlay overlay -o "lowerdir=$etc:/etc" /etc
exec setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
"#;

/// Runs this binary's other tests in a user namespace, with these lines in `/etc/subuid` and `/etc/subgid`.
fn run_tests(ranges: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc");
    let scratch = folder.path().join("scratch");
    fs::create_dir(&etc).unwrap();
    fs::create_dir(&scratch).unwrap();
    fs::write(etc.join("subuid"), ranges).unwrap();
    fs::write(etc.join("subgid"), ranges).unwrap();
    let keeper = install(env!("CARGO_BIN_EXE_keeper").as_ref(), &folder.path().join("keeper"));
    let tests = install(&std::env::current_exe().unwrap(), &folder.path().join("tests"));
    let user: u32 = USER.parse().unwrap();
    for path in [folder.path(), &scratch] {
        std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation=private", "sh", "-euc", SCRIPT, "sh"]).arg(etc).arg(USER);
    command.arg(keeper).arg("enter").arg(tests).args(["--skip", "without_root", "--skip", "forgotten"]);
    let output = command.env("TMPDIR", scratch).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn install(program: &Path, target: &Path) -> PathBuf {
    fs::copy(program, target).unwrap();
    target.to_owned()
}

#[test]
fn with_subordinate_users() {
    let said = run_tests(&format!("{USER}:200000:65536\n"));
    assert!(said.starts_with(&format!("{USER}:{USER} None\n")), "{said}");
}

#[test]
fn with_one_user() {
    let said = run_tests("");
    let reason = format!("`/etc/subuid` has no range for user {USER}");
    assert!(said.starts_with(&format!("{USER}:{USER} Some(\"{reason}\")\n")), "{said}");
}
