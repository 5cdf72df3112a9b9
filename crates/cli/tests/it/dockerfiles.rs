//! Dockerfiles, built as a user builds them. What Docker makes of the same files is `cargo xtask oracle`'s question.

use cartwheel_oci::{Image, validate};
use cartwheel_oci::{Reference, RegistryClient, RegistryOptions};
use cartwheel_testkit::registry::Registry;

use crate::project::{Project, platform};

/// A Dockerfile in `context`, on the base that looks like `python:3.13-slim`.
struct Dockerfile {
    project: Project,
}

impl Dockerfile {
    fn new(text: &str) -> Self {
        let project = Project::new();
        project.write("context/Dockerfile", text);
        project.write("context/requirements.txt", "# nothing yet\n");
        Self { project }
    }

    /// Runs `cartwheel COMMAND context` with these arguments: exit code, standard output, standard error.
    fn run(&self, command: &str, arguments: &[&str]) -> (i32, String, String) {
        let mut build = self.project.command();
        build.args([command, "context", "--build-context", "base=oci-layout://base"]);
        let output = build.args(["--platform", "linux/amd64"]).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn image(&self, arguments: &[&str]) -> Image {
        let _ = std::fs::remove_dir_all(self.project.path("out"));
        let out = ["--output", "type=oci,dest=out,tar=false"];
        let (code, _, message) = self.run("build", &[&out[..], arguments].concat());
        assert_eq!(code, 0, "{message}");
        self.project.validate("out");
        let layout = self.project.layout("out");
        Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap()
    }

    fn failure(&self, arguments: &[&str]) -> String {
        let (code, _, message) = self.run("build", arguments);
        assert_eq!(code, 1, "{message}");
        message
    }
}

#[test]
fn a_dockerfile_becomes_layers_and_settings() {
    let file = Dockerfile::new(
        "ARG BASE=base\nFROM $BASE AS one\nWORKDIR /app\nCOPY --chown=app --chmod=640 main.py ./\nCOPY <<settings /etc/app.conf\na=1\nsettings\nENV A=1 B=$A\nUSER app\nEXPOSE 80\nLABEL x=y\nHEALTHCHECK CMD true\nENTRYPOINT [\"python3\"]\nCMD [\"main.py\"]\n",
    );
    let image = file.image(&["--label", "z=1"]);
    let (runtime, layers) = (&image.config().config, image.layers());
    assert_eq!((runtime.user.as_deref(), runtime.working_dir.as_deref()), (Some("app"), Some("/app")));
    assert_eq!(runtime.env("B"), Some(""), "what one ENV sets, it does not see");
    assert_eq!(runtime.labels.as_ref().unwrap().len(), 2);
    assert!(runtime.other.contains_key("Healthcheck"));
    assert_eq!(layers.len(), 4);
    let main = &file.project.files(&layers[2])["app/main.py"];
    assert_eq!((main.mode, main.owner), (0o640, (10, 10)));
    assert_eq!(file.project.files(&layers[3])["etc/app.conf"].text, b"a=1\n");
    let history: Vec<&str> =
        image.config().history.iter().filter_map(|line| line.created_by.as_deref()).collect();
    assert!(history.contains(&"COPY --chown=app --chmod=640 main.py ./ # buildkit"), "{history:?}");
}

#[test]
fn a_second_build_finds_everything_and_a_change_moves_one_layer() {
    let file = Dockerfile::new("FROM base\nWORKDIR /app\nCOPY requirements.txt .\nCOPY . .\n");
    let first = file.image(&[]);
    let (_, _, message) = file.run("build", &[]);
    assert!(message.contains("0 layers made, 3 reused"), "{message}");
    file.project.write("context/main.py", "changed\n");
    let second = file.image(&[]);
    let differ = |index: usize| first.layers()[index] != second.layers()[index];
    assert_eq!((0..4).filter(|&index| differ(index)).collect::<Vec<_>>(), [3]);
}

#[test]
fn stages_copy_from_one_another_and_only_needed_ones_are_built() {
    let file = Dockerfile::new(
        "FROM base AS made\nCOPY main.py /out/a.py\nFROM base AS broken\nCOPY missing /\nFROM scratch\nCOPY --from=made /out /\n",
    );
    let image = file.image(&[]);
    assert_eq!(image.layers().len(), 1);
    assert!(file.project.files(&image.layers()[0]).contains_key("a.py"));
    let message = file.failure(&["--target", "broken"]);
    assert!(
        message.contains("Dockerfile:4: [broken 2/2] COPY missing /")
            && message.contains("`missing` was not found"),
        "{message}"
    );
}

#[test]
fn an_install_of_what_is_there_needs_no_layer_and_other_commands_are_run() {
    let file = Dockerfile::new("FROM base\nRUN true && rm -rf /root/.cache/pip\n");
    assert_eq!(file.image(&[]).layers().len(), 1);
    file.project.write("context/Dockerfile", "FROM base\n\nRUN apt-get update\n");
    let message = file.failure(&["--output", "type=oci,dest=none,tar=false"]);
    // The base has no shell.
    assert!(message.contains("Dockerfile:3: ") && message.contains("/bin/sh"), "{message}");
    assert!(message.contains("is run: `apt-get`"), "{message}");
    assert!(!file.project.path("none").exists(), "nothing is written until all is made");
    let (code, plan, _) = file.run("plan", &[]);
    assert_eq!(code, 0);
    assert!(
        plan.contains("   3 sandbox  [2/2] RUN apt-get update\n") && plan.contains("`apt-get`"),
        "{plan}"
    );
}

#[test]
fn the_time_of_everything_is_a_build_argument_too() {
    let file =
        Dockerfile::new("FROM base\nARG SOURCE_DATE_EPOCH\nLABEL at=$SOURCE_DATE_EPOCH\nCOPY main.py /\n");
    let arguments = ["--build-arg", "SOURCE_DATE_EPOCH=1000000000"];
    let image = file.image(&arguments);
    assert_eq!(image.config().created.as_deref(), Some("2001-09-09T01:46:40Z"));
    assert_eq!(image.config().config.labels.as_ref().unwrap()["at"], "1000000000");
    assert_eq!(file.project.mtime(&image.layers()[1], "main.py"), 1_000_000_000);
    // The environment says it as well, and less loudly.
    for (arguments, seconds) in [(&[][..], 5), (&arguments[..], 1_000_000_000)] {
        let mut build = file.project.command();
        build.env("SOURCE_DATE_EPOCH", "5").args(["build", "context", "--platform", "linux/amd64"]);
        build.args(["--build-context", "base=oci-layout://base", "--output", "type=oci,dest=out,tar=false"]);
        let output = build.args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let layout = file.project.layout("out");
        let built = layout.images().last().unwrap();
        let image = Image::read(&layout, built, &platform()).unwrap();
        assert_eq!(file.project.mtime(&image.layers()[1], "main.py"), seconds);
        assert_eq!(image.config().config.labels.as_ref().unwrap()["at"], seconds.to_string());
    }
    let message = file.failure(&["--build-arg", "SOURCE_DATE_EPOCH=yesterday"]);
    assert!(message.contains("`SOURCE_DATE_EPOCH` cannot be `yesterday`"), "{message}");
    // A directory has no time of its own.
    file.image(&["--build-arg", "SOURCE_DATE_EPOCH=context"]);
    file.project.write("context/Dockerfile", "FROM scratch AS one\nADD http://example.org/a /\nFROM base\n");
    let message = file.failure(&["--build-arg", "SOURCE_DATE_EPOCH=one"]);
    assert!(message.contains("give a number of seconds"), "{message}");
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let file = Dockerfile::new("FROM base\nCOPPY a b\n");
    let message = file.failure(&[]);
    assert!(
        message.contains("Dockerfile:2:1") && message.contains("^^^^^") && message.contains("COPY"),
        "{message}"
    );
    file.project.write("context/Dockerfile", "FROM base\nCOPY --from=later / /\nFROM base AS later\n");
    let message = file.failure(&["--target", "0"]);
    assert!(message.contains("Dockerfile:1:1") && message.contains("there is no stage `0`"), "{message}");
    assert!(message.contains("hint: there are `later`"), "{message}");
    let (code, _, message) = file.run("build", &["--base", "base", "-f", "context/Dockerfile"]);
    assert_eq!(code, 1);
    assert!(message.contains("`--base` says how to build a project without a Dockerfile"), "{message}");
}

#[test]
fn a_requirements_file_that_the_stage_lacks_is_named_with_its_line() {
    let pip = "COPY --chmod=755 <<pip /usr/local/bin/pip\n#!/usr/local/bin/python3\npip\n";
    let text = format!("FROM base\n{pip}WORKDIR /app\nRUN pip install -r none.txt\n");
    let message = Dockerfile::new(&text).failure(&[]);
    let expected = "Dockerfile:6: [4/4] RUN pip install -r none.txt\n  caused by: requirements file `/app/none.txt` is not there\n";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn an_image_is_pushed_and_its_base_comes_from_the_registry() {
    let file = Dockerfile::new("FROM base\nCOPY main.py /\n");
    let registry = Registry::start();
    let name = format!("{}/team/app:1", registry.address());
    let (code, digest, message) = file.run("build", &["-t", &name, "--push"]);
    assert_eq!(code, 0, "{message}");
    let reference: Reference = name.parse().unwrap();
    let repository = RegistryClient::new(RegistryOptions::default(), |_| ()).unwrap().repository(&reference);
    let pushed = repository.resolve(&reference).unwrap();
    validate(&repository, &pushed).unwrap();
    assert_eq!(digest.trim(), pushed.digest.to_string());
    // A store that has nothing begins with it.
    file.project.write("context/Dockerfile", &format!("FROM {name}\nCOPY requirements.txt /\n"));
    let mut build = file.project.command();
    build.env("CARTWHEEL_HOME", file.project.path("elsewhere"));
    build.args(["build", "context", "--platform", "linux/amd64", "--push", "-t", &format!("{name}-child")]);
    let output = build.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let child: Reference = format!("{name}-child").parse().unwrap();
    validate(&repository, &repository.resolve(&child).unwrap()).unwrap();
}
