//! Builds that are killed, and builds at the same time.

use std::time::{Duration, Instant};

use cartwheel_store::{Blob, Digest};
use cartwheel_testkit::WheelBuilder;

use crate::project::{Project, listing};

/// Several layers, enough work to be killed in the middle of.
fn project() -> Project {
    let text: Vec<u8> =
        (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    (0..6).fold(Project::new(), |project, number| {
        let name = format!("part{number}");
        let wheel = WheelBuilder::new(&name, "1").file(&format!("{name}/data.bin"), &text[number..]);
        project.wheel(&wheel.file(&format!("{name}/__init__.py"), b""))
    })
}

/// Every blob in the store is what its name says.
fn check_blobs(project: &Project) {
    for (path, _) in listing(&project.path("home/v1/blobs")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(Blob::open(&path).unwrap().digest().unwrap(), Digest::from_hex(name).unwrap());
    }
}

const OUTPUT: [&str; 4] = ["-t", "x", "--output", "type=oci,dest=out,tar=false"];

#[test]
fn killed_at_fifty_moments_the_next_build_is_right() {
    let project = project();
    let started = Instant::now();
    let expected = project.build(&OUTPUT);
    let whole = started.elapsed();
    for moment in 0..50_u32 {
        for folder in ["home", "out"] {
            // Every fifth time everything begins anew; in between, the next build goes on with what the killed one left.
            if moment % 5 == 0 {
                std::fs::remove_dir_all(project.path(folder)).unwrap();
            }
        }
        let mut child = project.command().args(Project::arguments()).args(OUTPUT).spawn().unwrap();
        wait(whole * (moment * 37 % 50) / 50);
        child.kill().unwrap();
        child.wait().unwrap();
        check_blobs(&project);
        project.validate("out");
        if moment % 5 == 4 {
            let digest = project.build(&OUTPUT);
            // `created` is that of the first whole build in the new store; the layers are the same.
            assert_eq!(digest.len(), expected.len());
            check_blobs(&project);
        }
    }
}

/// Lets time pass without giving the processor away for longer than asked.
pub(crate) fn wait(duration: Duration) {
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    let _timed_out = receiver.recv_timeout(duration);
}

#[test]
fn builds_at_the_same_time_end_the_same() {
    let project = project();
    project.command();
    let spawn = |name: &str| {
        let output = format!("type=oci,dest={name},tar=false");
        project
            .command()
            .env("SOURCE_DATE_EPOCH", "0")
            .args(Project::arguments())
            .args(["--output", &output])
            .spawn()
            .unwrap()
    };
    let mut children: Vec<_> = ["one", "two", "three"].map(spawn).into_iter().collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    check_blobs(&project);
    let digest = |name: &str| {
        project.validate(name);
        project.layout(name).find(None).unwrap().digest
    };
    assert_eq!(digest("one"), digest("two"));
    assert_eq!(digest("one"), digest("three"));
}
