//! Which files and variables make a project.

use cartwheel_compose::{ErrorKind, Project};

use crate::Files;

fn image(project: &Project) -> &str {
    project.services["web"].image.as_deref().unwrap()
}

#[test]
fn a_file_and_its_override_are_found_in_the_directory_or_above() {
    let files = Files::new(&[
        ("compose.yaml", "services: {web: {image: a, build: .}}"),
        ("compose.override.yaml", "services: {web: {image: b}}"),
        ("docker-compose.yml", "services: {other: {image: x}}"),
        ("deep/down/README", ""),
    ]);
    let mut options = files.options();
    options.current_directory = files.path("deep/down");
    let project = Project::load(&options).unwrap();
    assert_eq!(image(&project), "b");
    let context = &project.services["web"].build.as_ref().unwrap().context;
    assert_eq!(context.trim_end_matches('/'), files.path("").to_str().unwrap().trim_end_matches('/'));
}

#[test]
fn files_that_are_named_have_no_override() {
    let files = Files::new(&[
        ("compose.yaml", "services: {web: {image: a}}"),
        ("compose.override.yaml", "services: {web: {image: b}}"),
        ("more.yaml", "services: {web: {image: c}}"),
    ]);
    let mut options = files.options();
    options.files = vec!["compose.yaml".into()];
    assert_eq!(image(&Project::load(&options).unwrap()), "a");
    options.files.push("more.yaml".into());
    assert_eq!(image(&Project::load(&options).unwrap()), "c");
    options.files.clear();
    options.variables.insert("COMPOSE_FILE".to_owned(), "more.yaml:compose.yaml".to_owned());
    assert_eq!(image(&Project::load(&options).unwrap()), "a");
}

#[test]
fn no_file_is_an_error() {
    let error = Files::new(&[]).load().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoFile { .. }), "{error}");
    let files = Files::new(&[]);
    let mut options = files.options();
    options.files = vec!["missing.yaml".into()];
    assert!(matches!(Project::load(&options).unwrap_err().kind(), ErrorKind::Io { .. }));
}

#[test]
fn variables_are_those_of_the_environment_and_then_of_env_files() {
    let files = Files::new(&[
        ("compose.yaml", "services: {web: {image: \"${A}-${B:-none}-$COMPOSE_PROJECT_NAME\"}}\nname: p"),
        (".env", "A=file\nB=file\n"),
        ("other.env", "A=other\n"),
    ]);
    let mut options = files.options();
    assert_eq!(image(&Project::load(&options).unwrap()), "file-file-p");
    options.variables.insert("A".to_owned(), "environment".to_owned());
    assert_eq!(image(&Project::load(&options).unwrap()), "environment-file-p");
    options.variables.clear();
    options.env_files = vec!["other.env".into()];
    assert_eq!(image(&Project::load(&options).unwrap()), "other-none-p");
    options.env_files.clear();
    options.variables.insert("COMPOSE_DISABLE_ENV_FILE".to_owned(), "true".to_owned());
    let project = Project::load(&options).unwrap();
    assert_eq!(image(&project), "-none-p");
    let unset: Vec<&str> = project.unset_variables.iter().map(|unset| unset.name.as_str()).collect();
    assert_eq!(unset, ["A"]);
}

#[test]
fn the_project_directory_is_what_paths_are_relative_to() {
    let files = Files::new(&[
        ("stack/compose.yaml", "services: {web: {image: \"${A}\", build: x}}"),
        (".env", "A=top\n"),
    ]);
    let mut options = files.options();
    options.files = vec!["stack/compose.yaml".into()];
    options.project_directory = Some(".".into());
    let project = Project::load(&options).unwrap();
    assert_eq!(image(&project), "top");
    assert_eq!(project.services["web"].build.as_ref().unwrap().context, files.path("x").to_str().unwrap());
}

#[test]
fn a_file_can_have_several_documents() {
    let files = Files::new(&[(
        "compose.yaml",
        "services: {web: {image: a, tty: true}}\n---\nservices: {web: {image: b}}\n",
    )]);
    assert_eq!(image(&files.load().unwrap()), "b");
}

#[test]
fn env_files_of_services_are_looked_at_only_when_that_is_wanted() {
    let files = Files::new(&[(
        "compose.yaml",
        "services: {web: {image: a, env_file: [{path: no.env, required: false}, web.env]}}",
    )]);
    let mut options = files.options();
    Project::load(&options).unwrap();
    options.checks_env_files = true;
    assert!(matches!(Project::load(&options).unwrap_err().kind(), ErrorKind::Io { .. }));
    std::fs::write(files.path("web.env"), "A=1\n").unwrap();
    Project::load(&options).unwrap();
}
