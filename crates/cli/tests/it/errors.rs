//! Bad input: one clear message, the documented exit code, nothing written.

use cartwheel_testkit::{WheelBuilder, hostile};

use crate::project::{Project, listing};

#[test]
fn hostile_wheels_leave_store_and_output_untouched() {
    for wheel in hostile::wheels() {
        // What the lockfile reader refuses by its name never gets as far as being opened.
        let project = Project::new().wheel_file(&wheel.filename, &wheel.bytes);
        let (code, message) = project.failure(&["-t", "x", "--output", "type=oci,dest=out,tar=false"]);
        assert_eq!(code, 1, "{}: {message}", wheel.name);
        assert_eq!(
            message.lines().filter(|line| line.starts_with("error: ")).count(),
            1,
            "{}: {message}",
            wheel.name
        );
        assert!(!project.path("out").exists(), "{}", wheel.name);
        let kept = listing(&project.path("home/v1"));
        let published = |part: &str| kept.keys().any(|path| path.to_string_lossy().contains(part));
        assert!(
            !published("/records/image-1/") && !published("/records/pack-1/") && !published("/v1/tmp/"),
            "{}: {kept:?}",
            wheel.name
        );
    }
}

#[test]
fn a_file_that_would_remove_another_is_refused() {
    let wheel = WheelBuilder::new("demo", "1").file("demo/.wh.victim", b"");
    let (code, message) = Project::new().wheel(&wheel).failure(&[]);
    assert_eq!(code, 1);
    assert!(
        message.contains("could not make the layer of uvicorn, demo") && message.contains("demo/.wh.victim"),
        "{message}"
    );
}

#[test]
fn what_is_not_there_is_named() {
    let project = Project::new();
    let fails = |arguments: &[&str], code: i32, parts: &[&str]| {
        let output = project.command().arg("build").args(arguments).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        for part in parts {
            assert!(message.contains(part), "{arguments:?}: {message}");
        }
    };
    fails(&["nowhere"], 1, &["error: could not read the build context `nowhere`"]);
    fails(
        &["context", "--base", "oci-layout://nowhere"],
        1,
        &["could not read base image `oci-layout://nowhere`"],
    );
    fails(&["context", "--base", "oci-layout://wheels"], 1, &["has no file `oci-layout`"]);
    fails(&["context", "--base", "oci-layout://base:x"], 1, &["has no image `x`"]);
    fails(
        &["context", "--base", "oci-layout://base", "--platform", "linux/arm64"],
        1,
        &["no image for platform `linux/arm64`"],
    );
    fails(
        &["context", "--base", "oci-layout://base", "--user", "nobody"],
        1,
        &["the base image has no user `nobody`"],
    );
    fails(&["context", "--base", "oci-layout://base", "-r", "nowhere.txt"], 1, &["nowhere.txt"]);
    fails(&["context", "-t", "UPPER"], 2, &["is not an image reference"]);
    fails(&["context", "--output", "type=nowhere,dest=x"], 2, &["type `nowhere` is none of"]);
    fails(&["context", "--frobnicate"], 2, &["unexpected argument"]);
    fails(&[], 2, &["Usage: cartwheel build"]);
}

#[test]
fn a_damaged_base_is_noticed() {
    let project = Project::new();
    project.command();
    for (path, _) in listing(&project.path("base/blobs")) {
        let mut bytes = std::fs::read(&path).unwrap();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let (code, message) = project.failure(&[]);
    assert_eq!(code, 1, "{message}");
    assert!(
        message.contains("could not read base image `oci-layout://base`")
            && message.contains("expected `sha256:"),
        "{message}"
    );
}

#[test]
fn a_project_without_an_application_needs_a_command() {
    let project = Project::new();
    project.write("context/main.py", "print()\n");
    let (code, message) = project.failure(&[]);
    assert_eq!(code, 1);
    assert!(
        message.contains("no ASGI application was found in `context`")
            && message.contains("hint: name the command"),
        "{message}"
    );
    project.build(&["--cmd", "[\"python\", \"main.py\"]"]);
}

#[test]
fn a_dockerfile_is_not_passed_over_in_silence() {
    let project = Project::new();
    project.write("context/Dockerfile", "FROM scratch\n");
    let output = project.run(&["-q"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("warning: `context/Dockerfile` is not read"), "{message}");
}
