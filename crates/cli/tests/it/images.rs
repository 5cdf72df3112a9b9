//! Images: config, digests, outputs, the local store.

use std::fs;

use cartwheel_oci::{Image, ImageLayout};
use cartwheel_testkit::WheelBuilder;
use serde_json::{Value, json};

use crate::project::{LIBRARY, Project, platform};

fn demo() -> WheelBuilder {
    WheelBuilder::new("demo", "1.0").file("demo/__init__.py", b"x = 1\n").entry_point(
        "console_scripts",
        "demo",
        "demo:main",
    )
}

#[test]
fn a_project_becomes_an_image() {
    let project = Project::new().wheel(&demo());
    let image = project.image(&["-t", "hello"]);
    let config: Value = serde_json::to_value(image.config()).unwrap();
    assert_eq!(
        config["config"],
        json!({
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "PYTHON_VERSION=3.13.5"],
            "Cmd": ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"],
            "WorkingDir": "/app",
            "ExposedPorts": {"8000/tcp": {}},
        })
    );
    let history: Vec<&str> =
        image.config().history.iter().filter_map(|line| line.created_by.as_deref()).collect();
    assert_eq!(
        history,
        [
            "base",
            "pip install uvicorn==1.0 demo==1.0 # cartwheel",
            "WORKDIR /app # cartwheel",
            "COPY . /app # cartwheel",
            "EXPOSE 8000/tcp # cartwheel",
            "CMD [\"uvicorn\",\"main:app\",\"--host\",\"0.0.0.0\",\"--port\",\"8000\"] # cartwheel",
        ]
    );
    let packages = project.files(&image.layers()[1]);
    assert_eq!(packages[&format!("{LIBRARY}/demo/__init__.py")].text, b"x = 1\n");
    assert_eq!(packages["usr/local/bin/demo"].mode, 0o755);
    assert!(packages["usr/local/bin/demo"].text.starts_with(b"#!/usr/local/bin/python3.13\n"));
    assert!(!packages.contains_key(LIBRARY) && !packages.contains_key("usr"), "{packages:?}");
    let sources = project.files(&image.layers()[2]);
    assert_eq!(sources.keys().collect::<Vec<_>>(), ["app", "app/main.py", "app/pylock.toml"]);
}

#[test]
fn building_again_makes_nothing_and_gives_the_same_digest() {
    let project = Project::new().wheel(&demo());
    let first = project.build(&["-t", "hello"]);
    let second = project.run(&["-t", "hello"]);
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(message.contains(" 0 layers made, 2 reused"), "{message}");
    assert_eq!(String::from_utf8(second.stdout).unwrap().trim(), first);
}

#[test]
fn every_output_holds_the_same_image() {
    let project = Project::new().wheel(&demo());
    let digest = project.build(&["-t", "hello:1", "-t", "example.org/hello"]);
    for output in ["type=oci,dest=oci.tar", "type=docker,dest=docker.tar", "type=oci,dest=layout,tar=false"] {
        assert_eq!(project.build(&["-t", "hello:1", "-t", "example.org/hello", "--output", output]), digest);
    }
    for place in ["oci.tar", "docker.tar", "layout"] {
        project.validate(place);
        let layout = project.layout(place);
        assert_eq!(layout.find(Some("1")).unwrap().digest.to_string(), digest);
        assert_eq!(layout.find(Some("example.org/hello:latest")).unwrap().digest.to_string(), digest);
    }
    // Standard output carries the archive and nothing else.
    let output = project.run(&["--output", "type=oci,dest=-"]);
    project.write("piped.tar", "");
    fs::write(project.path("piped.tar"), output.stdout).unwrap();
    project.validate("piped.tar");
    assert_eq!(project.layout("piped.tar").images().len(), 1);
}

#[test]
fn results_are_written_for_scripts() {
    let project = Project::new();
    let arguments = ["-t", "hello", "--iidfile", "iid", "--metadata-file", "metadata.json"];
    let (digest, id) = (project.build(&arguments), project.build(&["-q"]));
    let metadata: Value = serde_json::from_slice(&fs::read(project.path("metadata.json")).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.digest"], json!(digest));
    assert_eq!(metadata["image.name"], json!("docker.io/library/hello:latest"));
    let iid = fs::read_to_string(project.path("iid")).unwrap();
    assert_eq!(metadata["containerimage.config.digest"], json!(iid));
    assert_eq!(id, iid, "as `docker build -q`");
}

#[test]
fn images_are_kept_by_name_and_serve_as_bases() {
    let project = Project::new().wheel(&demo());
    let digest = project.build(&["-t", "hello:1"]);
    let listed = project.command().args(["images"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let line = listed.lines().find(|line| line.starts_with("hello ")).unwrap();
    assert!(line.contains(" 1 ") && line.contains(&digest["sha256:".len()..][..12]), "{listed}");
    let child = project.build(&["--base", "hello:1", "--output", "type=oci,dest=out,tar=false"]);
    let layout = project.layout("out");
    let image = Image::read(&layout, layout.find(Some(&child)).unwrap(), &platform()).unwrap();
    // The packages are in the base already, as pip would find them; only the sources are copied again.
    assert_eq!(image.layers().len(), 4);
}

#[test]
fn the_date_of_sources_is_the_date_of_everything() {
    let project = Project::new();
    let mut command = project.command();
    command
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .args(Project::arguments())
        .args(["--output", "type=oci,dest=out,tar=false"]);
    assert!(command.status().unwrap().success());
    project.validate("out");
    let layout: ImageLayout = project.layout("out");
    let image = Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap();
    assert_eq!(image.config().created.as_deref(), Some("2023-11-14T22:13:20Z"));
}

#[test]
fn users_commands_and_entrypoints_are_taken_over() {
    let project = Project::new();
    let image = project.image(&["--user", "app", "--entrypoint", "[\"python\"]", "--cmd", "[\"main.py\"]"]);
    let config = &image.config().config;
    assert_eq!(config.user.as_deref(), Some("app"));
    assert_eq!(config.entrypoint.as_deref(), Some(&["python".to_owned()][..]));
    assert_eq!(config.cmd.as_deref(), Some(&["main.py".to_owned()][..]));
    assert_eq!(config.exposed_ports, None);
}

#[test]
fn graph_and_plan_can_be_printed() {
    let project = Project::new().wheel(&demo());
    assert!(
        project
            .build(&["--emit", "graph"])
            .starts_with("0 base oci-layout://base\n 1 install context/pylock.toml\n")
    );
    let plan = project.build(&["--emit", "plan"]);
    assert!(
        plan.contains("spliced  install\n              uvicorn 1.0\n")
            && plan.contains("copied   copy the project to /app\n"),
        "{plan}"
    );
    project.build(&[]);
    let plan = project.build(&["--emit", "plan"]);
    assert!(
        plan.contains("cached   install\n") && plan.contains("cached   copy the project to /app\n"),
        "{plan}"
    );
}
