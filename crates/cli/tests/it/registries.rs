//! Images from and to anywhere: push, pull, copy, save, tag, rmi, inspect.

use std::fs;
use std::process::{Command, Output};

use cartwheel_oci::{Reference, RegistryClient, RegistryOptions, validate};
use cartwheel_testkit::registry::{Access, Account, Failure, Operation, Registry};
use cartwheel_testkit::{WheelBuilder, oracle, peers};
use serde_json::Value;

use crate::fixtures::succeed;
use crate::project::Project;

impl Project {
    /// Runs a command that must succeed; gives standard output.
    fn cartwheel(&self, arguments: &[&str]) -> String {
        let output = succeed(self.command().args(arguments));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The same with a store that has nothing.
    fn elsewhere(&self) -> Command {
        let mut command = self.command();
        command.env("CARTWHEEL_HOME", self.path("elsewhere"));
        command
    }
}

fn built() -> (Project, String) {
    let demo = WheelBuilder::new("demo", "1.0").file("demo/__init__.py", b"x = 1\n");
    let project = Project::new().wheel(&demo);
    let digest = project.build(&["-t", "hello:1"]);
    (project, digest)
}

/// The image in the registry goes through the validator.
fn check(reference: &str) {
    let name: Reference = reference.parse().unwrap();
    let repository = RegistryClient::new(RegistryOptions::default(), |_| ()).unwrap().repository(&name);
    validate(&repository, &repository.resolve(&name).unwrap()).unwrap();
}

fn message(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_image_goes_to_a_registry_and_back() {
    let ((project, digest), registry) = (built(), Registry::start());
    let there = format!("{}/team/hello:2", registry.address());
    assert_eq!(project.cartwheel(&["push", "hello:1", &there]), digest);
    check(&there);
    let pull = ["pull", &there, "--platform", "linux/amd64"];
    let output = succeed(project.elsewhere().args(pull));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), there);
    assert!(message(&output).contains(&format!("digest: {digest}")), "{}", message(&output));
    let listed = succeed(project.elsewhere().args(["images", "-q"]));
    assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), digest);
    // What was pulled is all here: it goes on without the registry.
    let address = registry.address();
    drop(registry);
    succeed(project.elsewhere().args(["copy", "-q", &there, "oci:out"]));
    project.validate("out");
    assert_eq!(project.layout("out").images()[0].digest.to_string(), digest);
    let output = project.elsewhere().args(["pull", &format!("{address}/other")]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", message(&output));
}

#[test]
fn pushing_again_sends_nothing_and_beside_it_mounts() {
    let ((project, digest), registry) = (built(), Registry::start());
    let name = |name: &str| format!("{}/{name}", registry.address());
    project.cartwheel(&["push", "hello:1", &name("a")]);
    let again = succeed(project.command().args(["push", "hello:1", &name("a:2")]));
    assert!(message(&again).contains(": exists already") && !message(&again).contains(": pushed"));
    let beside = succeed(project.command().args(["push", "hello:1", &name("b")]));
    assert_eq!(message(&beside).matches(": mounted").count(), 3, "{}", message(&beside));
    assert_eq!(registry.tag("b", "latest").unwrap().to_string(), digest);
    check(&name("b"));
    // From one repository to another nothing goes through here.
    registry.forget_requests();
    succeed(project.elsewhere().args(["copy", "-q", &format!("docker://{}", name("a")), &name("c")]));
    assert_eq!(registry.requests_of("PUT", "/blobs/").len(), 1, "the config alone");
    assert_eq!(registry.requests_of("GET", "/blobs/").len(), 1, "the config alone");
    check(&name("c"));
}

#[test]
fn images_are_copied_from_anywhere_to_anywhere() {
    let ((project, digest), registry) = (built(), Registry::start());
    let there = format!("docker://{}/hello:1", registry.address());
    let places = ["cartwheel:hello:1", "oci:a:x", "oci-archive:b.tar", &there, "docker-archive:c.tar:d/e:2"];
    for pair in places.windows(2) {
        assert_eq!(project.cartwheel(&["copy", "-q", pair[0], pair[1]]), digest, "{pair:?}");
    }
    for place in ["a", "b.tar", "c.tar"] {
        project.validate(place);
    }
    check(there.trim_start_matches("docker://"));
    assert_eq!(project.cartwheel(&["copy", "-q", "docker-archive:c.tar:d/e:2", "cartwheel:f:3"]), digest);
    let listed = project.cartwheel(&["images"]);
    assert!(listed.lines().any(|line| line.starts_with("f ") && line.contains(" 3 ")), "{listed}");
    assert!(project.layout("a").find(Some("x")).is_ok());
}

#[test]
fn several_images_are_saved_in_one_archive() {
    let (project, digest) = built();
    project.cartwheel(&["tag", "hello:1", "example.org/team/other:2"]);
    let names = ["hello:1", "example.org/team/other:2"];
    project.cartwheel(&[&["save", "-o", "docker.tar"], &names[..]].concat());
    project.cartwheel(&[&["save", "--format", "oci", "-o", "oci.tar"], &names[..]].concat());
    for archive in ["docker.tar", "oci.tar"] {
        project.validate(archive);
        let layout = project.layout(archive);
        assert_eq!(layout.find(Some("example.org/team/other:2")).unwrap().digest.to_string(), digest);
        assert_eq!(layout.find(Some("1")).unwrap().digest.to_string(), digest);
    }
    let mut archive = tar::Archive::new(fs::File::open(project.path("docker.tar")).unwrap());
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names.iter().filter(|name| *name == "manifest.json").count(), 1);
    let mut distinct = names.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
}

#[test]
fn names_come_and_go() {
    let (project, digest) = built();
    project.cartwheel(&["tag", "hello:1", "other"]);
    let images = || project.cartwheel(&["images", "-q"]).lines().count();
    assert_eq!(images(), 2);
    assert_eq!(project.cartwheel(&["rmi", "hello:1"]), "untagged: hello:1");
    assert_eq!(images(), 1);
    let shown: Value = serde_json::from_str(&project.cartwheel(&["inspect", "other"])).unwrap();
    assert_eq!(shown[0]["Digest"], digest);
    for arguments in
        [vec!["rmi", "other", "hello:1"], vec!["tag", "hello:1", "x"], vec!["push", "hello:1", "x"]]
    {
        let output = project.command().args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(message(&output).starts_with("error: image `hello:1` is not in the local store\n\nhint: "));
    }
    assert_eq!(images(), 1, "all or none");
    assert_eq!(project.cartwheel(&["rmi", "-f", "hello:1"]), "");
}

#[test]
fn an_image_is_shown_as_docker_shows_it() {
    let ((project, digest), registry) = (built(), Registry::start());
    let shown: Value = serde_json::from_str(&project.cartwheel(&["inspect", "hello:1"])).unwrap();
    let image = &shown[0];
    assert_eq!(image["Config"]["WorkingDir"], "/app");
    assert_eq!((image["Os"].as_str(), image["Architecture"].as_str()), (Some("linux"), Some("amd64")));
    assert_eq!(image["RootFS"]["Layers"].as_array().unwrap().len(), 3);
    let there = format!("docker://{}/hello:1", registry.address());
    project.cartwheel(&["copy", "-q", "hello:1", &there]);
    let raw = succeed(project.elsewhere().args(["inspect", "--raw", &there])).stdout;
    assert_eq!(cartwheel_store::Digest::of(&raw).to_string(), digest);
    let remote: Value =
        serde_json::from_slice(&succeed(project.elsewhere().args(["inspect", &there])).stdout).unwrap();
    assert_eq!(remote[0]["Id"], image["Id"]);
}

#[test]
fn docker_logins_are_used_and_never_shown() {
    let ((project, digest), registry) = (built(), Registry::start());
    let account = Account { password: Some(("user".into(), "secret".into())), ..Account::default() };
    registry.allow(Access::Bearer(account));
    let there = format!("{}/hello:1", registry.address());
    let output = project.command().args(["push", "hello:1", &there]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let address = registry.address();
    let text = message(&output).replace(&address, "R");
    assert!(
        text.contains("error: GET `http://R/token` was answered with status 401: UNAUTHORIZED: unauthorized"),
        "{text}"
    );
    assert!(text.contains("hint: log in: `docker login R`"), "{text}");
    let config = format!(r#"{{"auths": {{"{address}": {{"auth": "dXNlcjpzZWNyZXQ="}}}}}}"#);
    project.write("docker/config.json", &config);
    project.write("home/.config/containers/auth.json", &config);
    for (variable, value) in [("DOCKER_CONFIG", "docker"), ("HOME", "home")] {
        let mut push = project.command();
        push.env(variable, project.path(value));
        let output = succeed(push.args(["push", "hello:1", &there]));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), digest);
        assert!(!message(&output).contains("secret") && !message(&output).contains("dXNl"));
    }
}

#[test]
fn trouble_is_told_and_gone_through() {
    let ((project, digest), registry) = (built(), Registry::start());
    registry.fail(Operation::Upload, Failure::Status(503, "UNAVAILABLE"));
    registry.fail(Operation::Begin, Failure::Reset);
    let there = format!("{}/hello:1", registry.address());
    let output = succeed(project.command().args(["push", "hello:1", &there]));
    assert_eq!(message(&output).matches("is tried again in").count(), 2, "{}", message(&output));
    assert_eq!(registry.tag("hello", "1").unwrap().to_string(), digest);
    registry.fail(Operation::Manifest, Failure::Status(403, "DENIED"));
    let output = project.elsewhere().args(["pull", &there]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(message(&output).contains("status 403: DENIED: denied\n\nhint: "), "{}", message(&output));
}

/// What `build` says of a base whose registry fails like this at `operation`, `count` times: one message with its place.
fn base_failure(operation: Operation, failure: &Failure, count: usize) -> (Option<i32>, String) {
    let ((project, _), registry) = (built(), Registry::start());
    let there = format!("{}/hello:1", registry.address());
    project.cartwheel(&["push", "hello:1", &there]);
    project.write("context/Dockerfile", &format!("# a base\nFROM {there}\nCOPY --chown=app main.py /\n"));
    (0..count).for_each(|_| registry.fail(operation, failure.clone()));
    let output =
        project.elsewhere().args(["build", "context", "--platform", "linux/amd64"]).output().unwrap();
    let text = message(&output).replace(&registry.address(), "R");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), usize::from(!output.status.success()), "{text}");
    (output.status.code(), text)
}

#[test]
fn a_base_that_cannot_be_had_is_one_clear_message() {
    let status = |status, code| Failure::Status(status, code);
    for (operation, failure, count, parts) in [
        (
            Operation::Manifest,
            status(401, "UNAUTHORIZED"),
            2,
            ["status 401: UNAUTHORIZED", "hint: log in: `docker login R`"],
        ),
        (Operation::Manifest, status(403, "DENIED"), 1, ["status 403: DENIED", "`docker login R`"]),
        (
            Operation::Manifest,
            status(404, "MANIFEST_UNKNOWN"),
            1,
            ["status 404: MANIFEST_UNKNOWN", "hint: check name and tag"],
        ),
    ] {
        let (code, text) = base_failure(operation, &failure, count);
        assert_eq!(code, Some(3), "{text}");
        assert!(text.contains("Dockerfile:2: FROM R/hello:1\n"), "{text}");
        assert!(text.contains("  caused by: could not read base image `R/hello:1`\n"), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let (code, text) = base_failure(Operation::Blob, &Failure::WrongBytes, 20);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("could not read base image `R/hello:1`\n  caused by: expected `sha256:"), "{text}");
    // A document is read on from where it broke off, which is nothing to talk about.
    for (failure, told) in [(Failure::Cut(10), 0), (Failure::RetryAfter(429, 0), 1)] {
        let (code, text) = base_failure(Operation::Blob, &failure, 1);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(text.matches("is tried again in").count(), told, "{text}");
    }
}

/// These end after the client's patience does, so they wait beside the other tests.
#[test]
fn a_registry_that_stays_broken_is_given_up() {
    std::thread::scope(|threads| {
        for (failure, parts) in [
            (Failure::Status(500, "UNKNOWN"), ["status 500 6 times", "hint: `R` is broken or overloaded"]),
            (Failure::RetryAfter(429, 0), ["status 429 6 times", "hint: the registry limits"]),
            (Failure::Reset, ["failed 6 times", "caused by: could not talk to the server"]),
        ] {
            threads.spawn(move || {
                let (code, text) = base_failure(Operation::Manifest, &failure, 6);
                assert_eq!(code, Some(3), "{text}");
                for part in parts {
                    assert!(text.contains(part), "{part}: {text}");
                }
            });
        }
    });
}

#[test]
fn a_registry_that_is_not_there_is_not_waited_for() {
    let project = Project::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    project.write("context/Dockerfile", &format!("FROM {closed}/team/app:1\n"));
    let begun = std::time::Instant::now();
    let output = project.command().args(["build", "context"]).output().unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    let text = message(&output).replace(&closed.to_string(), "R");
    assert_eq!(output.status.code(), Some(3), "{text}");
    for part in [
        "error: context/Dockerfile:1: FROM R/team/app:1\n",
        "caused by: there is no server: the connection was refused",
        "hint: is `R` the registry that is meant",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.matches("is tried again in").count(), 1, "{text}");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_real_registry_takes_it_and_skopeo_reads_it() {
    let (project, digest) = built();
    let there = format!("{}/cartwheel-test/registries:1", peers::registry());
    assert_eq!(project.cartwheel(&["push", "hello:1", &there]), digest);
    check(&there);
    oracle::skopeo_pull(&there, &project.path("skopeo")).unwrap();
    let copied = project.layout("skopeo");
    assert_eq!(copied.find(Some("copy")).unwrap().digest.to_string(), digest);
    project.validate("skopeo");
    // Beside it, layers are mounted; what skopeo pushes is pulled.
    let beside =
        succeed(project.command().args(["push", "hello:1", &format!("{there}-beside").replace(":1-", "-")]));
    assert_eq!(message(&beside).matches(": mounted").count(), 3, "{}", message(&beside));
    let theirs =
        oracle::push(&project.path("skopeo"), &peers::registry(), "cartwheel-test/theirs:1").unwrap();
    succeed(project.elsewhere().args(["pull", "-q", &theirs, "--platform", "linux/amd64"]));
    succeed(project.elsewhere().args(["copy", "-q", &format!("cartwheel:{theirs}"), "oci:out"]));
    project.validate("out");
    assert_eq!(project.layout("out").images()[0].digest.to_string(), digest);
}
