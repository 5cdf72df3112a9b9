//! The programs that people use read, load and run the images.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use cartwheel_oci::layer::{Entry, Tree};
use cartwheel_testkit::oracle::{self, Docker, Podman};
use cartwheel_testkit::{Member, WheelBuilder, peers};

use crate::fixtures::{requirements, slim, succeed, wheels};
use crate::project::{LIBRARY, Project};

/// Builds the image in every form that can be written: a layout, an archive for Docker, an OCI archive.
struct Forms {
    layout: PathBuf,
    docker: PathBuf,
    oci: PathBuf,
}

impl Forms {
    fn write(project: &Project, name: &str, build: impl Fn() -> Command) -> Self {
        let form = |kind: &str, form: &str, more: &str| {
            let output = format!("type={kind},dest={form}{more}");
            succeed(build().args(["-t", name, "--output", &output]));
            project.validate(form);
            project.path(form)
        };
        let layout = form("oci", "out", ",tar=false");
        let (docker, oci) = (form("docker", "docker.tar", ""), form("oci", "oci.tar", ""));
        Self { layout, docker, oci }
    }

    /// What `command` prints in a container of the image, however the image came there.
    fn run_everywhere(&self, repository: &str, command: &[&str]) -> Vec<(&'static str, String)> {
        let mut printed = Vec::new();
        let podman = Podman::at(&peers::podman_storage());
        for (archive, how) in
            [(&self.docker, "podman load, docker archive"), (&self.oci, "podman load, OCI archive")]
        {
            let image = podman.load(archive).unwrap();
            printed.push((how, podman.run(&image, command).unwrap()));
            podman.remove(&image).unwrap();
        }
        let reference = oracle::push(&self.layout, &peers::registry(), repository).unwrap();
        let overlay2 = Docker::at(&peers::docker_socket());
        let containerd = Docker::at(&peers::docker_containerd_socket());
        // The base stays, so that only what is new is unpacked anew.
        let base = oracle::push(&slim(), &peers::registry(), "python-slim:1").unwrap();
        for docker in [&overlay2, &containerd] {
            docker.pull(&base).unwrap();
        }
        for (docker, archive, how) in [
            (&overlay2, &self.docker, "overlay2 load"),
            (&containerd, &self.docker, "containerd load, docker archive"),
            (&containerd, &self.oci, "containerd load, OCI archive"),
        ] {
            let image = docker.load(archive).unwrap();
            printed.push((how, docker.run(&image, command).unwrap()));
            docker.remove(&image).unwrap();
        }
        for (docker, how) in [(&overlay2, "overlay2 pull"), (&containerd, "containerd pull")] {
            docker.pull(&reference).unwrap();
            printed.push((how, docker.run(&reference, command).unwrap()));
            docker.remove(&reference).unwrap();
        }
        printed
    }

    /// Asks the tools that read without running.
    fn read(&self, project: &Project) {
        let scratch = project.path("scratch");
        fs::create_dir(&scratch).unwrap();
        oracle::readers(&self.layout, &scratch).unwrap();
        oracle::skopeo_archive(&self.docker, &project.path("copy")).unwrap();
    }

    /// Runs `command` everywhere.
    fn run(&self, repository: &str, command: &[&str], expected: &str) {
        for (how, printed) in self.run_everywhere(repository, command) {
            assert_eq!(printed, expected, "{how}");
        }
    }
}

/// More than 1 MiB, so that it has a layer of its own.
fn large() -> WheelBuilder {
    let noise: Vec<u8> =
        (0..700_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let stored = Member::new("large/stored.bin", &noise).stored();
    WheelBuilder::new("large", "1.0")
        .file("large/__init__.py", b"size = 700_000\n")
        .file("large/deflated.bin", &noise)
        .member(stored)
}

fn build(project: &Project) -> Command {
    let mut command = project.command();
    command.args(Project::arguments());
    command
}

fn script(name: &str, text: &str) -> Member {
    Member::new(&format!("demo-1.0.data/scripts/{name}"), text.as_bytes()).mode(0o755)
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn everybody_runs_an_image_of_hand_made_wheels() {
    let demo = WheelBuilder::new("demo", "1.0")
        .file("demo/__init__.py", b"def main():\n    print('hello from', __name__)\n")
        .file("demo/empty.txt", b"")
        .file(&format!("demo/{}.txt", "long".repeat(40)), b"")
        .file("demo/donn\u{e9}es.txt", "\u{e9}\u{e8}".as_bytes())
        .member(script("shell-tool", "#!/bin/sh\necho tool\n"))
        .member(script("python-tool", "#!python\nprint('python tool')\n"))
        .entry_point("console_scripts", "demo", "demo:main");
    let project = Project::new().wheel(&demo).wheel(&large()).on_python_slim();
    let forms = Forms::write(&project, "cartwheel-test/hand-made:1", || build(&project));
    let script = "demo && shell-tool && python-tool && pwd && ls && python3 - <<'END'
import demo, importlib.metadata, large, pathlib, zlib
here = pathlib.Path(demo.__file__).parent
print(sorted(len(path.name) for path in here.iterdir() if path.suffix == '.txt'))
print((here / 'donn\u{e9}es.txt').read_text())
there = pathlib.Path(large.__file__).parent
print((there / 'stored.bin').read_bytes() == (there / 'deflated.bin').read_bytes(), large.size)
print(importlib.metadata.version('demo'), len(importlib.metadata.files('demo')))
END";
    let expected = "hello from demo\ntool\npython tool\n/app\nmain.py\npylock.toml\n[9, 11, 164]\n\u{e9}\u{e8}\nTrue 700000\n1.0 13\n";
    forms.read(&project);
    forms.run("hand-made:1", &["sh", "-c", script], expected);
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn everybody_runs_an_image_of_real_wheels() {
    let project = Project::new().on_python_slim();
    let wheels = wheels("light");
    let requirements = requirements(&wheels);
    let forms = Forms::write(&project, "cartwheel-test/light:1", || project.resolving(&requirements));
    let numpy = requirements.lines().find_map(|line| line.strip_prefix("numpy==")).unwrap();
    let script = "import numpy, fastapi, uvicorn; print(numpy.__version__, numpy.arange(10).sum(), fastapi.FastAPI().title)";
    let expected = format!("{numpy} 45 FastAPI\n");
    forms.read(&project);
    forms.run("light:1", &["python", "-c", script], &expected);
}

/// DESIGN §4.1: a layer applied alone must neither replace a link of the base nor hide the mode of a directory.
#[test]
#[ignore = "needs peers: cargo xtask test"]
fn what_lies_below_keeps_its_modes_and_links_everywhere() {
    let shared = |mode: u32, group: u32| Entry { mode, ..Entry::directory().with_owner(0, group) };
    let mut tree = Tree::new();
    for (path, entry) in [
        ("app", shared(0o2775, 50)),
        ("opt/packages", shared(0o1777, 50)),
        (LIBRARY, Entry::symlink("/opt/packages")),
        ("usr/local/share", shared(0o750, 7)),
        ("usr/local/etc", Entry::symlink("../../etc")),
    ] {
        tree.insert(path, entry).unwrap();
    }
    let demo = WheelBuilder::new("demo", "1.0")
        .file("demo/__init__.py", b"")
        .data("data", "share/demo/x.txt", b"x")
        .data("data", "etc/demo.conf", b"y");
    let project = Project::new().wheel(&demo).on_python_slim_with(&tree);
    let forms = Forms::write(&project, "cartwheel-test/below:1", || build(&project));
    let root = oracle::umoci(&forms.layout, &project.path("bundle")).unwrap();
    assert_eq!(fs::read_link(root.join(LIBRARY)).unwrap().to_str(), Some("/opt/packages"));
    assert_eq!(fs::symlink_metadata(root.join("app")).unwrap().mode() & 0o7777, 0o2775);
    assert!(root.join("opt/packages/demo/__init__.py").exists());
    let script = format!(
        "cd / && python3 -c 'import demo, uvicorn' && \
         stat -c '%n %a %g %F' app app/main.py opt/packages opt/packages/demo {LIBRARY} usr/local usr/local/share \
         usr/local/share/demo usr/local/etc etc && readlink {LIBRARY} usr/local/etc && cat etc/demo.conf"
    );
    let expected = format!(
        "app 2775 50 directory\napp/main.py 644 0 regular file\nopt/packages 1777 50 directory\n\
         opt/packages/demo 755 0 directory\n{LIBRARY} 777 0 symbolic link\nusr/local 755 0 directory\n\
         usr/local/share 750 7 directory\nusr/local/share/demo 755 0 directory\nusr/local/etc 777 0 symbolic link\n\
         etc 755 0 directory\n/opt/packages\n../../etc\ny"
    );
    forms.run("below:1", &["sh", "-c", &script], &expected);
}
