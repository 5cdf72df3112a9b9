//! `extends`, `include`, override files, anchors: one thing said once.

use cartwheel_compose::Project;

use crate::{Files, project};

fn args(project: &Project, service: &str) -> Vec<String> {
    let build = project.services[service].build.as_ref().unwrap();
    build.args.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn in_directory(files: &Files, project: &Project, service: &str) -> String {
    files.without_directory(&project.services[service].build.as_ref().unwrap().context)
}

#[test]
fn a_service_extends_one_of_the_same_file() {
    let text = "
services:
  web: {extends: base, build: {args: {B: web}}, image: web}
  base: {extends: {service: root}, build: {args: [A=base, B=base]}}
  root: {build: {context: app, args: {A: root, R: root}}, image: root}
";
    let files = Files::new(&[("compose.yaml", text)]);
    let project = files.load().unwrap();
    assert_eq!(args(&project, "web"), ["A=base", "B=web", "R=root"]);
    assert_eq!(in_directory(&files, &project, "web"), "app");
    assert_eq!(project.services["web"].image.as_deref(), Some("web"));
}

#[test]
fn a_service_extends_one_of_another_file_whose_paths_stay_its_own() {
    let files = Files::new(&[
        (
            "compose.yaml",
            "services: {web: {extends: {file: shared/base.yaml, service: app}, build: {target: x}}}",
        ),
        (
            "shared/base.yaml",
            "services: {app: {extends: {file: ../root.yaml, service: root}, build: {context: src}}}",
        ),
        ("root.yaml", "services: {root: {build: {args: {V: \"${V:-1}\"}}}}"),
    ]);
    let project = files.load().unwrap();
    assert_eq!(in_directory(&files, &project, "web"), "shared/src");
    assert_eq!(args(&project, "web"), ["V=1"]);
}

#[test]
fn included_files_have_directories_and_variables_of_their_own() {
    let files = Files::new(&[
        (
            "compose.yaml",
            "
include:
  - sub/compose.yaml
  - path: [other/a.yaml, other/b.yaml]
    project_directory: elsewhere
    env_file: vars.env
services:
  lib: {build: {args: {FROM: top}}}
",
        ),
        ("sub/compose.yaml", "services: {lib: {build: {context: ., args: {V: $V, TOP: $TOP, FROM: sub}}}}"),
        ("sub/.env", "V=sub\nTOP=sub\n"),
        ("other/a.yaml", "services: {tool: {build: {context: src, args: {V: $V}}}}"),
        ("other/b.yaml", "services: {tool: {build: {target: b}}}"),
        ("vars.env", "V=vars\n"),
        (".env", "TOP=top\n"),
    ]);
    let project = files.load().unwrap();
    assert_eq!(args(&project, "lib"), ["FROM=top", "TOP=top", "V=sub"]);
    assert_eq!(in_directory(&files, &project, "lib"), "sub");
    assert_eq!(args(&project, "tool"), ["V=vars"]);
    assert_eq!(in_directory(&files, &project, "tool"), "elsewhere/src");
    assert_eq!(project.services["tool"].build.as_ref().unwrap().target.as_deref(), Some("b"));
}

#[test]
fn a_later_file_takes_back_what_an_earlier_one_says() {
    let files = Files::new(&[
        ("compose.yaml", "services: {web: {image: a, build: {target: t, args: {A: 1, B: 1}, tags: [x]}}}"),
        (
            "compose.override.yml",
            "services: {web: {image: !reset null, build: {target: !reset , args: !override {C: 1}, tags: [y]}}}",
        ),
    ]);
    let project = files.load().unwrap();
    let web = &project.services["web"];
    let build = web.build.as_ref().unwrap();
    assert_eq!((web.image.as_deref(), build.target.as_deref()), (None, None));
    assert_eq!(args(&project, "web"), ["C=1"]);
    assert_eq!(build.tags, ["x", "y"]);
}

#[test]
fn anchors_and_merge_keys_are_followed() {
    let text = "
x-build: &build
  context: .
  args: &args {A: 1}
services:
  web:
    build:
      <<: *build
      args: {<<: *args, B: 2}
  plain: {build: *build}
";
    let project = project(text).unwrap();
    assert_eq!(args(&project, "web"), ["A=1", "B=2"]);
    assert_eq!(args(&project, "plain"), ["A=1"]);
}
