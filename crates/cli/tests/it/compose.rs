//! `cartwheel compose`: the services of Compose files.

use cartwheel_oci::{Image, Reference, RegistryClient, RegistryOptions, validate};
use cartwheel_testkit::registry::Registry;
use serde_json::Value;

use crate::project::{Project, platform};

/// Two services on one base, the second one made of the first one's image.
const STACK: &str = "
name: stack
x-build: &build
  context: ./context
  additional_contexts: {base: oci-layout://base}
services:
  worker:
    build:
      <<: *build
      dockerfile_inline: |
        FROM lib
        COPY main.py /worker.py
      additional_contexts: {lib: \"service:web\"}
    depends_on: [web]
  web:
    image: ${REGISTRY:-example.org}/web:1
    build:
      <<: *build
      args: [\"MODE=${MODE}\"]
      labels: {of: team}
      target: ${TARGET:-}
      tags: [\"${REGISTRY:-example.org}/web:extra\"]
  tool:
    build: *build
    profiles: [debug]
  cache: {image: redis}
";

const DOCKERFILE: &str = "FROM base AS small\nARG MODE=none\nENV MODE=$MODE\nCOPY requirements.txt /app/\nFROM small\nCOPY main.py /app/\n";

/// The stack, in the project's directory.
struct Stack {
    project: Project,
}

impl Stack {
    fn new(file: &str) -> Self {
        let project = Project::new();
        project.write("compose.yaml", &file.replace("oci-layout://base", &base(&project)));
        project.write("context/Dockerfile", DOCKERFILE);
        project.write("context/requirements.txt", "# nothing yet\n");
        Self { project }
    }

    /// Runs `cartwheel compose` with these arguments: exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.project.command();
        let platform = ("DOCKER_DEFAULT_PLATFORM", "linux/amd64");
        let output = command.env(platform.0, platform.1).arg("compose").args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Builds; gives standard error.
    fn build(&self, arguments: &[&str]) -> String {
        let (code, _, message) = self.run(arguments);
        assert_eq!(code, 0, "{message}");
        message
    }

    fn failure(&self, arguments: &[&str]) -> String {
        let (code, _, message) = self.run(arguments);
        assert_eq!(code, 1, "{message}");
        message.replace(&format!("{}/", self.project.path("").display()).replace("//", "/"), "")
    }

    /// The image of this name in the store, which goes through the validator.
    fn image(&self, name: &str) -> Image {
        let _ = std::fs::remove_dir_all(self.project.path("out"));
        let copy = ["copy", &format!("cartwheel:{name}"), "oci:out"];
        assert!(self.project.command().args(copy).status().unwrap().success());
        self.project.validate("out");
        let layout = self.project.layout("out");
        Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        let output = self.project.command().arg("images").output().unwrap();
        String::from_utf8(output.stdout).unwrap().contains(name)
    }
}

/// The base, by an absolute path.
fn base(project: &Project) -> String {
    format!("oci-layout://{}", project.path("base").display())
}

#[test]
fn services_are_built_in_order_and_share_their_layers() {
    let stack = Stack::new(STACK);
    let message = stack.build(&["build"]);
    let (web, worker) = (stack.image("example.org/web:1"), stack.image("stack-worker"));
    assert_eq!(worker.layers()[..web.layers().len()], *web.layers(), "worker is FROM web");
    assert_eq!(worker.layers().len(), web.layers().len() + 1);
    assert!(message.find("example.org/web:1").unwrap() < message.find("stack-worker").unwrap(), "{message}");
    assert_eq!(stack.image("example.org/web:extra").layers(), web.layers());
    assert!(!stack.has("stack-tool"), "no profile asks for it");
    let labels = web.config().config.labels.clone().unwrap();
    let label =
        |name: &str| labels.iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value.clone());
    assert_eq!(label("of").as_deref(), Some("team"));
    assert_eq!(label("com.docker.compose.project").as_deref(), Some("stack"));
    assert_eq!(label("com.docker.compose.service").as_deref(), Some("web"));
    // What a profile or its name brings into use has its layers already.
    let message = stack.build(&["--profile", "debug", "build", "tool"]);
    assert!(message.contains("0 layers made"), "{message}");
    assert!(stack.has("stack-tool"));
    // No registry is asked for an image that was built just before.
    stack.build(&["build", "--pull", "worker"]);
}

#[test]
fn variables_come_from_the_environment_file_and_the_command_line() {
    let stack = Stack::new(STACK);
    let mode = |stack: &Stack, name: &str| stack.image(name).config().config.env("MODE").map(str::to_owned);
    let message = stack.build(&["build", "web"]);
    assert!(message.contains("warning: ") && message.contains("variable `MODE` is not set"), "{message}");
    assert_eq!(mode(&stack, "example.org/web:1").as_deref(), Some(""));
    stack.project.write(".env", "MODE=file\nREGISTRY=other.example.org\nTARGET=small\n");
    let message = stack.build(&["build", "web"]);
    assert!(!message.contains("warning"), "{message}");
    assert_eq!(mode(&stack, "other.example.org/web:1").as_deref(), Some("file"));
    assert_eq!(stack.image("other.example.org/web:1").layers().len(), 2, "the target is the first stage");
    stack.project.write("other.env", "MODE=unused\n");
    stack.build(&["--env-file", "other.env", "build", "--build-arg", "MODE=given", "-q", "web"]);
    assert_eq!(mode(&stack, "example.org/web:1").as_deref(), Some("given"));
}

#[test]
fn an_override_file_changes_what_is_built() {
    let stack = Stack::new(STACK);
    stack
        .project
        .write("compose.override.yaml", "services: {web: {image: !reset null, build: {target: small}}}\n");
    stack.build(&["-p", "mine", "build", "web"]);
    assert_eq!(stack.image("mine-web").layers().len(), 2);
    stack.build(&["-f", "compose.yaml", "build", "web"]);
    assert_eq!(stack.image("example.org/web:1").layers().len(), 3);
}

#[test]
fn images_with_a_name_are_pushed() {
    let (stack, registry) = (Stack::new(STACK), Registry::start());
    stack.project.write(".env", &format!("MODE=x\nREGISTRY={}/team\n", registry.address()));
    stack.build(&["build", "--push"]);
    let name: Reference = format!("{}/team/web:1", registry.address()).parse().unwrap();
    let repository = RegistryClient::new(RegistryOptions::default(), |_| ()).unwrap().repository(&name);
    validate(&repository, &repository.resolve(&name).unwrap()).unwrap();
}

#[test]
fn a_project_without_a_dockerfile_is_built_as_one() {
    let stack = Stack::new("services: {web: {build: ./context, image: hello}}\n");
    for file in ["Dockerfile", "requirements.txt"] {
        std::fs::remove_file(stack.project.path("context").join(file)).unwrap();
    }
    let copy = ["copy", "oci:base", "cartwheel:python:3.13-slim"];
    assert!(stack.project.command().args(copy).status().unwrap().success());
    stack.build(&["build"]);
    let command = stack.image("hello").config().config.cmd.clone().unwrap();
    assert_eq!(command[..2], ["uvicorn", "main:app"]);
}

#[test]
fn mistakes_are_told_with_their_place_before_anything_is_built() {
    let cases = [
        (
            "cache_from: [x]",
            "compose.yaml:5:7: `cache_from` asks for what cannot be done: caches are in the local store only",
        ),
        ("isolation: hyperv", "compose.yaml:5:7: `isolation` asks for what cannot be done"),
        ("entitlements: [all]", "compose.yaml:5:7: `entitlements` asks for what cannot be done"),
        (
            "network: bridge",
            "compose.yaml:5:7: `network` asks for what cannot be done: it is `default`, `host` or `none`",
        ),
        ("sbom: true", "compose.yaml:5:7: `sbom` asks for what cannot be done: images have no attestations"),
        ("platforms: [dos]", "compose.yaml:5:7: `platforms` asks for what cannot be done"),
        ("tags: [A B]", "compose.yaml:5:7: `tags` asks for what cannot be done"),
        (
            "secrets: [s]",
            "compose.yaml:5:7: `secrets` asks for what cannot be done: secret `s` is the variable `TOKEN`, which is not in the environment",
        ),
        ("dockerfil: x", "compose.yaml:5:7: `dockerfil` is no key of `services.web.build`"),
        ("target: nothing", "compose.yaml:3:5: could not build service `web`"),
    ];
    for (line, expected) in cases {
        let file = format!(
            "services:\n  web:\n    build:\n      context: context\n      {line}\nsecrets: {{s: {{environment: TOKEN}}}}\n"
        );
        let stack = Stack::new(&file);
        let message = stack.failure(&["build"]);
        assert!(message.starts_with(&format!("error: {expected}")), "{message}");
    }
    let stack = Stack::new("services: {web: {image: a}}");
    assert!(stack.failure(&["build", "nothing"]).starts_with("error: there is no service `nothing`"));
    assert!(stack.build(&["build"]).contains("there is nothing to build"));
}

#[test]
fn a_bake_file_is_refused() {
    let stack = Stack::new(STACK);
    for name in ["docker-bake.hcl", "docker-bake.json", "my.hcl"] {
        let message = stack.failure(&["-f", name, "build"]);
        assert!(message.contains("is a bake file") && message.contains("hint: "), "{message}");
    }
}

#[test]
fn no_file_is_an_error_with_a_hint() {
    let stack = Stack::new(STACK);
    std::fs::remove_file(stack.project.path("compose.yaml")).unwrap();
    let message = stack.failure(&["build"]);
    assert!(message.contains("there is no Compose file") && message.contains("hint: "), "{message}");
}

#[test]
fn builds_are_printed_as_a_bake_file() {
    let stack = Stack::new(STACK);
    let (code, text, message) = stack.run(&["build", "--print", "--build-arg", "MODE=${x}", "worker"]);
    assert_eq!(code, 0, "{message}");
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["group"]["default"]["targets"], serde_json::json!(["web", "worker"]));
    assert_eq!(file["target"]["worker"]["contexts"]["lib"], "target:web");
    assert_eq!(file["target"]["web"]["args"]["MODE"], "$${x}");
    assert_eq!(
        file["target"]["web"]["tags"],
        serde_json::json!(["example.org/web:extra", "example.org/web:1"])
    );
    assert!(!stack.has("stack-worker"));
}

#[test]
fn services_and_images_are_listed() {
    let stack = Stack::new(STACK);
    assert_eq!(stack.run(&["config", "--services"]).1, "cache\nweb\nworker\n");
    assert_eq!(
        stack.run(&["--profile", "*", "config", "--images"]).1,
        "redis\nstack-tool\nexample.org/web:1\nstack-worker\n"
    );
}
