//! Which services are built.

use cartwheel_compose::{ErrorKind, Project};

use crate::Files;

const STACK: &str = "
services:
  web: {build: {additional_contexts: {base: service:python}}, depends_on: [db, cache]}
  python: {build: .}
  db: {build: .}
  cache: {image: redis}
  tool: {build: ., profiles: [debug]}
";

fn names(project: &Project, asked: &[&str], with_dependencies: bool) -> Vec<String> {
    let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
    let order = project.build_order(&asked, with_dependencies).unwrap();
    order.iter().map(|service| service.name.clone()).collect()
}

#[test]
fn a_service_is_built_after_those_that_its_build_needs() {
    let project = crate::project(STACK).unwrap();
    assert_eq!(names(&project, &[], false), ["db", "python", "web"]);
    assert_eq!(names(&project, &["web"], false), ["python", "web"]);
    assert_eq!(names(&project, &["web"], true), ["python", "web", "db"]);
    assert!(names(&project, &["cache"], false).is_empty());
}

#[test]
fn a_service_of_a_profile_is_built_with_it_or_by_name() {
    let files = Files::new(&[("compose.yaml", STACK)]);
    let project = files.load().unwrap();
    assert_eq!(names(&project, &["tool"], false), ["tool"]);
    let mut options = files.options();
    for profile in ["debug", "*"] {
        options.profiles = vec![profile.to_owned()];
        assert_eq!(names(&Project::load(&options).unwrap(), &[], false), ["db", "python", "tool", "web"]);
    }
    options.profiles.clear();
    options.variables.insert("COMPOSE_PROFILES".to_owned(), "x, debug".to_owned());
    assert_eq!(names(&Project::load(&options).unwrap(), &["tool"], false), ["tool"]);
}

#[test]
fn what_cannot_be_built_is_an_error() {
    let project = crate::project(STACK).unwrap();
    let error = project.build_order(&["nothing".to_owned()], false).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoService(name) if name == "nothing"), "{error}");
    let text = "
services:
  a: {build: {additional_contexts: {x: service:b}}}
  b: {build: {additional_contexts: {x: service:a}}}
";
    let error = crate::project(text).unwrap().build_order(&[], false).unwrap_err().to_string();
    assert!(error.ends_with("services are built from each other: `a`, `b`, `a`"), "{error}");
}
