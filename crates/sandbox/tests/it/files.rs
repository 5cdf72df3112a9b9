//! The root file system, and what is left of what was done to it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use cartwheel_sandbox::{Exit, Mount};

use crate::stage::Stage;

#[test]
fn what_is_written_is_in_upper_and_nowhere_else() {
    let mut stage = Stage::new("echo new > /file; echo other > /old; mkdir -m 700 /folder");
    let lower = stage.lower("a");
    fs::write(lower.join("old"), "old\n").unwrap();
    stage.run().well();
    assert_eq!(stage.changed(), ["etc", "file", "folder", "old"]);
    assert_eq!(fs::read_to_string(lower.join("old")).unwrap(), "old\n");
    assert_eq!(fs::read_to_string(stage.sandbox.upper.join("old")).unwrap(), "other\n");
    assert_eq!(fs::metadata(stage.sandbox.upper.join("folder")).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn deleted_files_are_whiteouts_and_replaced_directories_opaque() {
    let mut stage = Stage::new("rm /old; rm -r /folder; mkdir /folder; mv /moved /elsewhere");
    let lower = stage.lower("a");
    for folder in ["folder", "moved"] {
        fs::create_dir(lower.join(folder)).unwrap();
        fs::write(lower.join(folder).join("file"), "").unwrap();
    }
    fs::write(lower.join("old"), "").unwrap();
    stage.run().well();
    for whiteout in ["old", "moved"] {
        let found = fs::symlink_metadata(stage.sandbox.upper.join(whiteout)).unwrap();
        assert!(found.file_type().is_char_device() && found.rdev() == 0, "{whiteout}");
    }
    // A directory that is renamed is copied: what is in `upper` needs nothing else to be understood.
    assert!(stage.sandbox.upper.join("elsewhere/file").exists());
    let mut seen = Stage::new("ls /folder");
    seen.sandbox.lower = [stage.sandbox.lower.clone(), vec![stage.sandbox.upper.clone()]].concat();
    assert_eq!(seen.run().well(), "", "opaque");
}

#[test]
fn many_directories_make_one_file_system() {
    let mut stage = Stage::new("cat /top; ls /all");
    for number in 0..130 {
        let lower =
            stage.lower(&format!("a directory, with: a name that is not short, and its number is {number}"));
        fs::write(lower.join("top"), format!("{number}\n")).unwrap();
        fs::create_dir(lower.join("all")).unwrap();
        fs::write(lower.join("all").join(number.to_string()), "").unwrap();
    }
    let said = stage.run().well();
    assert!(said.starts_with("129\n"), "the last is on top: {said}");
    assert_eq!(said.lines().count(), 131);
}

#[test]
fn a_root_that_is_read_only_cannot_be_written() {
    let mut stage = Stage::new("touch /dev/shm/x; touch /x");
    stage.sandbox.read_only_root = true;
    let ran = stage.run();
    assert!(ran.stderr.contains("Read-only file system"), "{}", ran.stderr);
    assert_eq!(ran.exit.unwrap(), Exit::Code(1));
    assert_eq!(stage.changed(), ["etc"]);
}

#[test]
fn a_part_of_a_read_only_root_can_be_written() {
    let mut stage = Stage::new("cat /data/old; touch /data/new; touch /other/new");
    let lower = stage.lower("lower");
    fs::create_dir_all(lower.join("data")).unwrap();
    fs::create_dir_all(lower.join("other")).unwrap();
    fs::write(lower.join("data/old"), "old\n").unwrap();
    stage.sandbox.read_only_root = true;
    stage.sandbox.mounts = vec![Mount::Writable { target: "/data".into() }];
    let ran = stage.run();
    assert_eq!(ran.stdout, "old\n");
    assert!(ran.stderr.contains("'/other/new': Read-only file system"), "{}", ran.stderr);
    assert_eq!(stage.changed(), ["data", "data/new", "etc"]);
}

#[test]
fn a_link_in_the_place_of_proc_is_refused() {
    let mut stage = Stage::new("true");
    let lower = stage.lower("a");
    std::os::unix::fs::symlink("/etc", lower.join("proc")).unwrap();
    assert_eq!(stage.run().exit.unwrap_err().to_string(), "could not mount on `/proc`");
}
