//! Tests of the public interface, one module for each subject.
//!
//! Run by root they run once more as nobody: what is to be seen of owners and devices is another then.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod escapes;
mod extracted;
mod files;
mod trees;
mod unpacked;
mod uppers;

#[test]
fn no_test_file_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        assert!(module == "main" || listed.contains(&format!("mod {module};")), "`{name}` is not compiled");
    }
}

/// All tests again, as somebody who may do nothing: in a copy of this program that they can reach.
#[test]
fn as_nobody() {
    use std::os::unix::fs::PermissionsExt;

    if !files::is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    let program = folder.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let ids = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut command = std::process::Command::new("setpriv");
    command.args(ids).arg(&program).args(["--skip", "no_test_file_is_forgotten"]).current_dir("/tmp");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("test result: ok"), "{text}");
}
