//! What is mounted over the root file system.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use cartwheel_sandbox::Mount;

use crate::stage::{Stage, folder, is_root_alone};

fn bind(source: PathBuf, target: &str, read_only: bool) -> Mount {
    Mount::Bind { source, target: target.into(), read_only }
}

fn tmpfs(target: &str) -> Mount {
    Mount::Tmpfs { target: target.into(), size: None, mode: 0o1777 }
}

fn secret(target: &str) -> Mount {
    let (uid, gid) = if is_root_alone() { (0, 0) } else { (3, 4) };
    Mount::File { target: target.into(), content: b"secret\n".to_vec(), mode: 0o400, uid, gid }
}

#[test]
fn mounts_are_seen_and_leave_nothing() {
    let mut stage = Stage::new(
        "cat /in/file /one; touch /in/file; touch /out/new; stat -c '%a %u:%g' /tmp/a/b /run/s; cat /run/s",
    );
    let source = stage.folder("source");
    fs::write(source.join("file"), "file\n").unwrap();
    stage.sandbox.mounts = vec![
        bind(source.clone(), "/in", true),
        bind(source.clone(), "/out", false),
        bind(source.join("file"), "/one", true),
        tmpfs("/tmp/a/b"),
        secret("/run/s"),
    ];
    let ran = stage.run();
    let owner = if is_root_alone() { "0:0" } else { "3:4" };
    assert_eq!(ran.stdout, format!("file\nfile\n1777 0:0\n400 {owner}\nsecret\n"));
    assert!(ran.stderr.contains("cannot touch '/in/file': Read-only file system"), "{}", ran.stderr);
    assert!(source.join("new").exists());
    assert_eq!(stage.changed(), ["etc"]);
}

#[test]
fn only_unused_mount_points_are_removed() {
    let mut stage = Stage::new("touch /a/kept; chmod 700 /b; touch /mounted/file");
    let lower = stage.lower("lower");
    fs::create_dir_all(lower.join("there/mounted")).unwrap();
    symlink("there/mounted", lower.join("mounted")).unwrap();
    symlink("/not/there", lower.join("dangling")).unwrap();
    stage.sandbox.mounts = ["/a/x/y", "/b/x", "/mounted", "/there/x", "/dangling"].map(tmpfs).to_vec();
    stage.run().well();
    // `there` was copied when `x` was made in it; Docker's layers have it as well.
    assert_eq!(stage.changed(), ["a", "a/kept", "etc", "there"]);
}

#[test]
fn a_mount_in_a_mount_is_made_there() {
    let mut stage = Stage::new("touch /cache/sub/x; ls /cache/sub");
    let cache = stage.folder("cache");
    stage.sandbox.mounts = vec![bind(cache.clone(), "/cache", false), tmpfs("/cache/sub")];
    assert_eq!(stage.run().well(), "x\n");
    assert_eq!(fs::read_dir(cache.join("sub")).unwrap().count(), 0);
    assert_eq!(stage.changed(), ["etc"]);
}

#[test]
fn no_target_leads_out_of_the_root() {
    let outside = folder();
    for (link, target) in [
        ("../../../../../../../..".into(), format!("/link{}/escaped", outside.path().display())),
        (outside.path().to_owned(), "/link/escaped".to_owned()),
        ("/proc/1/cwd".into(), "/link/../../../../../escaped".to_owned()),
    ] {
        let mut stage = Stage::new("ls -d /link");
        let lower = stage.lower("lower");
        symlink(&link, lower.join("link")).unwrap();
        stage.sandbox.mounts = vec![tmpfs(&target), secret(&format!("{target}-file"))];
        let ran = stage.run();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{target}: {:?}", ran.exit);
    }
}

#[test]
fn links_of_proc_are_no_places() {
    for target in ["/proc/self/cwd/x", "/proc/1/root", "/proc/self/fd/0"] {
        let mut stage = Stage::new("true");
        stage.sandbox.mounts = vec![tmpfs(target)];
        let error = stage.run().exit.unwrap_err();
        assert_eq!(error.to_string(), format!("could not mount on `{target}`"));
    }
    let mut stage = Stage::new("true");
    stage.sandbox.working_dir = "/proc/self/fd/3".into();
    assert!(stage.run().exit.is_err(), "CVE-2024-21626");
}
