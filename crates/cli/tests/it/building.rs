//! Packages that have to be built: by the image's own pip, once, and then installed like wheels.

use std::fs;
use std::process::Command;

use cartwheel_oci::Image;
use cartwheel_testkit::{WheelBuilder, peers};

use crate::project::{LIBRARY, Project, platform};

/// A source that builds itself, and says so in a file beside it.
const BACKEND: &str = r#"
import os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = "made-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, "made-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("made.py", "x = 1\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: made\nVersion: 1.0\nRequires-Dist: needed\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"made.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return "made-1.0-py3-none-any.whl"
"#;

const PROJECT: &str = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";

fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let info = "Metadata-Version: 2.1\nName: made\nVersion: 1.0\n";
    for (name, text) in [("backend.py", BACKEND), ("pyproject.toml", PROJECT), ("PKG-INFO", info)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("made-1.0/{name}"), text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// A project whose packages lie in its folder `dist`: a source, what it needs, and one more.
fn project() -> Project {
    let project = Project::new().on_python_slim();
    let dist = project.path("context/dist");
    fs::create_dir_all(&dist).unwrap();
    fs::write(dist.join("made-1.0.tar"), archive()).unwrap();
    assert!(Command::new("gzip").arg(dist.join("made-1.0.tar")).status().unwrap().success());
    for name in ["needed", "more"] {
        let wheel = WheelBuilder::new(name, "1.0").file(&format!("{name}.py"), b"");
        fs::write(dist.join(wheel.filename()), wheel.build()).unwrap();
    }
    project.write(
        "context/Dockerfile",
        "FROM base\nCOPY dist /dist\nCOPY requirements.txt /\nRUN pip install --no-index --find-links /dist -r /requirements.txt\n",
    );
    project
}

/// A `build` or `plan` with uv on the PATH, if asked for.
fn command(project: &Project, verb: &str, has_uv: bool) -> Command {
    let mut command = project.command();
    if has_uv {
        let uv = peers::uv();
        let uv = fs::canonicalize(&uv).unwrap_or(uv);
        command.env("PATH", uv.parent().unwrap()).env("UV_CACHE_DIR", project.path("uv-cache"));
    }
    command.args([verb, "context", "--platform", "linux/amd64"]);
    command.args(["--build-context", "base=oci-layout://base"]);
    command
}

/// Builds; gives what was told.
fn build(project: &Project, requirements: &str, has_uv: bool) -> String {
    project.write("context/requirements.txt", requirements);
    let _not_there_the_first_time = fs::remove_dir_all(project.path("out"));
    let mut build = command(project, "build", has_uv);
    let output = build.args(["-o", "type=oci,dest=out,tar=false"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{message}");
    project.validate("out");
    message
}

/// Whether the image has a module.
fn has(project: &Project, module: &str) -> bool {
    let layout = project.layout("out");
    let image = Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap();
    image.layers().iter().any(|layer| project.files(layer).contains_key(&format!("{LIBRARY}/{module}.py")))
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_source_is_built_once() {
    let project = project();
    let first = build(&project, "made\n", true);
    let asked = "pip is asked what it would install: package `made` has no wheel";
    assert!(
        first.contains(asked) && first.contains("pip makes the wheels of `made 1.0`, `needed 1.0`\n"),
        "{first}"
    );
    assert!(has(&project, "made") && has(&project, "needed") && !has(&project, "more"));
    let second = build(&project, "made\nmore\n", true);
    assert!(second.contains(asked) && second.contains("pip makes the wheels of `more 1.0`\n"), "{second}");
    assert!(has(&project, "made") && has(&project, "more"));
    // Nothing of it is run for a plan.
    project.write("context/requirements.txt", "made\nmore # again\n");
    let plan = command(&project, "plan", true).output().unwrap();
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert!(plan.contains("would have to be built: pip says what is installed, and builds it"), "{plan}");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn without_uv_pip_is_asked() {
    let project = project();
    let said = build(&project, "more\n", false);
    assert!(said.contains("pip is asked what it would install: `uv`, which"), "{said}");
    assert!(said.contains("splice more 1.0") && has(&project, "more"), "{said}");
}
