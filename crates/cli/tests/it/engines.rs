//! `cartwheel load`, and `docker-daemon:` wherever an image can be.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cartwheel_testkit::engine::{Engine, EngineKind};
use cartwheel_testkit::oracle::{Docker, Podman};
use cartwheel_testkit::{WheelBuilder, peers};

use crate::fixtures::succeed;
use crate::project::Project;

fn built() -> Project {
    let demo = WheelBuilder::new("demo", "1.0").file("demo/__init__.py", b"x = 1\n");
    let project = Project::new().wheel(&demo);
    project.build(&["-t", "hello:1"]);
    project
}

fn load(project: &Project, address: &str, arguments: &[&str]) -> (String, String) {
    let mut command = project.command();
    let output = succeed(command.env("DOCKER_HOST", address).arg("load").args(arguments));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn images_are_loaded_and_come_back() {
    let (project, folder) = (built(), tempfile::tempdir().unwrap());
    let engine = Engine::start(EngineKind::Containerd, folder.path());
    let address = engine.address();
    let (names, told) = load(&project, &address, &["hello:1"]);
    assert_eq!(names, "hello:1\n");
    assert!(told.starts_with(&address) && told.contains(" 0 B of layers are there already"), "{told}");
    let (_, told) = load(&project, &address, &["-q", "hello:1"]);
    assert_eq!(told, "");
    let loads = engine.loads();
    assert!(loads[1] < loads[0], "{loads:?}");
    succeed(project.command().env("DOCKER_HOST", &address).args([
        "copy",
        "-q",
        "cartwheel:hello:1",
        "docker-daemon:b:2",
    ]));
    assert_eq!(engine.names(), ["docker.io/library/b:2", "docker.io/library/hello:1"]);
    succeed(project.command().args(["save", "-o", "saved.tar", "hello:1"]));
    engine.give(&fs::read(project.path("saved.tar")).unwrap());
    let copy = ["copy", "-q", "docker-daemon:hello:1", "oci:back"];
    succeed(project.command().env("DOCKER_HOST", &address).args(copy));
    project.validate("back");
}

#[test]
fn an_archive_is_loaded_into_the_store() {
    let project = built();
    succeed(project.command().args(["tag", "hello:1", "example.org/other:2"]));
    succeed(project.command().args(["save", "-o", "saved.tar", "hello:1", "example.org/other:2"]));
    let mut elsewhere = project.command();
    let output =
        succeed(elsewhere.env("CARTWHEEL_HOME", project.path("elsewhere")).args(["load", "-i", "saved.tar"]));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hello:1\nexample.org/other:2\n");
    let mut images = project.command();
    let listed = succeed(images.env("CARTWHEEL_HOME", project.path("elsewhere")).args(["images", "-q"]));
    assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), 2);
}

#[test]
fn without_an_engine_the_environment_is_to_blame() {
    let project = built();
    let output =
        project.command().env("DOCKER_HOST", "unix:///no/such.sock").args(["load", "hello:1"]).output();
    let output = output.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("`unix:///no/such.sock`") && told.contains("\nhint: "), "{told}");
    let output = project.command().env("DOCKER_HOST", "ssh://example.org").args(["load", "hello:1"]).output();
    assert_eq!(output.unwrap().status.code(), Some(1));
}

/// What containers of the image are to run.
const MAIN: [&str; 2] = ["python3", "main.py"];

/// Podman's own server, until it is dropped.
struct Service {
    socket: PathBuf,
    process: Child,
}

impl Service {
    #[expect(clippy::disallowed_methods, reason = "it has no other way to say that it listens")]
    fn start(folder: &Path) -> Self {
        let socket = folder.join("podman.sock");
        let mut serve = Command::new("podman");
        serve.env("CONTAINERS_STORAGE_CONF", peers::podman_storage());
        serve.args(["system", "service", "--time=0"]).arg(format!("unix://{}", socket.display()));
        let process = serve.stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "podman does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { socket, process }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _nobody_waits_for_it = self.process.wait();
    }
}

/// Issue 3: after a source change, the second load sends less than 1 MB, and what runs is the new source.
#[test]
#[ignore = "needs peers: cargo xtask test"]
fn engines_run_what_was_loaded_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let podman = Podman::at(&peers::podman_storage());
    let [overlay2, containerd] = [peers::docker_socket(), peers::docker_containerd_socket()]
        .map(|socket| (Docker::at(&socket), socket));
    let run = |number: usize, name: &str| match number {
        0 => overlay2.0.run(name, &MAIN),
        1 => containerd.0.run(name, &MAIN),
        _ => podman.run(name, &MAIN),
    };
    let sockets = [&overlay2.1, &containerd.1, &service.socket];
    let project = Project::new().on_python_slim();
    for text in ["one", "two"] {
        project.write("context/main.py", &format!("print('{text}')\n"));
        project.build(&["-t", "cartwheel-test/loaded:1", "--cmd", "[\"true\"]"]);
        for (number, socket) in sockets.into_iter().enumerate() {
            let address = format!("unix://{}", socket.display());
            let (_, told) = load(&project, &address, &["cartwheel-test/loaded:1"]);
            let sent = told.strip_prefix(&format!("{address}: ")).unwrap().to_owned();
            let is_little = sent.split_once(" sent").unwrap().0.ends_with("kB");
            assert!(text == "one" || is_little, "{told}");
            assert_eq!(run(number, "cartwheel-test/loaded:1").unwrap(), format!("{text}\n"), "{address}");
            let mut copy = project.command();
            copy.env("DOCKER_HOST", &address).args(["copy", "-q", "docker-daemon:cartwheel-test/loaded:1"]);
            succeed(copy.arg(format!("oci:back-{number}-{text}")));
            project.validate(&format!("back-{number}-{text}"));
        }
    }
    podman.remove("cartwheel-test/loaded:1").unwrap();
    overlay2.0.remove("cartwheel-test/loaded:1").unwrap();
    containerd.0.remove("cartwheel-test/loaded:1").unwrap();
}
