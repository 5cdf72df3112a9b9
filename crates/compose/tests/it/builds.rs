//! What `build` says.

use cartwheel_compose::{Secret, SecretSource};

use crate::{Files, project};

#[test]
fn short_and_long_forms_say_the_same() {
    let short = project("services: {web: {build: ./app}}").unwrap();
    let long = project("services: {web: {build: {context: app}}}").unwrap();
    let build = |project: &cartwheel_compose::Project| {
        let build = project.services["web"].build.as_ref().unwrap();
        (build.context.rsplit('/').next().unwrap().to_owned(), build.dockerfile.clone())
    };
    assert_eq!(build(&short), ("app".to_owned(), None));
    assert_eq!(build(&long), build(&short));
}

#[test]
fn arguments_are_lists_or_mappings_and_take_values_from_the_environment() {
    let files = Files::new(&[(
        "compose.yaml",
        "
services:
  list: {build: {args: [A=1, \"B=x=y\", KNOWN, UNKNOWN, EMPTY=]}}
  map: {build: {args: {A: 1, F: 1.50, T: true, KNOWN: , UNKNOWN: }}}
",
    )]);
    let mut options = files.options();
    options.variables.insert("KNOWN".to_owned(), "here".to_owned());
    let project = cartwheel_compose::Project::load(&options).unwrap();
    let args = |name: &str| {
        let args = &project.services[name].build.as_ref().unwrap().args;
        args.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(args("list"), ["A=1", "B=x=y", "EMPTY=", "KNOWN=here"]);
    assert_eq!(args("map"), ["A=1", "F=1.5", "KNOWN=here", "T=true"]);
}

#[test]
fn contexts_that_are_no_directories_stay_as_they_are() {
    let text = "
services:
  base: {build: .}
  git: {build: \"https://example.org/project.git#main\"}
  web:
    build:
      additional_contexts:
        - one=service:base
        - two=docker-image://alpine
        - three=../shared
        - four=oci-layout:///layouts/x
";
    let files = Files::new(&[("here/compose.yaml", text)]);
    let mut options = files.options();
    options.current_directory = files.path("here");
    let project = cartwheel_compose::Project::load(&options).unwrap();
    let build = |name: &str| project.services[name].build.as_ref().unwrap();
    assert_eq!(build("git").context, "https://example.org/project.git#main");
    let contexts = &build("web").additional_contexts;
    assert_eq!(contexts["one"], "service:base");
    assert_eq!(contexts["two"], "docker-image://alpine");
    assert_eq!(contexts["three"], files.path("shared").to_str().unwrap());
    assert_eq!(contexts["four"], "oci-layout:///layouts/x");
}

#[test]
fn every_key_is_read() {
    let text = "
services:
  web:
    platform: linux/amd64
    build:
      dockerfile_inline: |
        FROM scratch
      target: final
      labels: [a=1, b]
      tags: [one, two]
      platforms: [linux/amd64, linux/arm64]
      no_cache: \"true\"
      no_cache_filter: stage
      pull: true
      cache_from: [x]
      cache_to: [y]
      network: none
      extra_hosts: {db: 10.0.0.1, v6: [\"[::1]\", \"::2\"]}
      shm_size: 64m
      ulimits: {nproc: 5, nofile: {soft: 1, hard: 2}}
      entitlements: [network.host]
      privileged: true
      isolation: default
      provenance: mode=max
      sbom: true
      ssh: [default, key=~/id]
      secrets: [token, {source: key, target: renamed}, cluster]
secrets:
  token: {environment: TOKEN}
  key: {file: ./key.txt}
  cluster: {external: true}
";
    let files = Files::new(&[("compose.yaml", text)]);
    let mut options = files.options();
    options.variables.insert("HOME".to_owned(), "/home/me".to_owned());
    let project = cartwheel_compose::Project::load(&options).unwrap();
    let build = project.services["web"].build.as_ref().unwrap();
    assert_eq!(build.dockerfile, None);
    assert_eq!(build.dockerfile_inline.as_deref(), Some("FROM scratch\n"));
    assert_eq!(build.target.as_deref(), Some("final"));
    assert_eq!(
        build.labels.clone().into_iter().collect::<Vec<_>>(),
        [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]
    );
    assert_eq!(build.tags, ["one", "two"]);
    assert_eq!(build.platforms, ["linux/amd64", "linux/arm64"]);
    assert!(build.no_cache && build.pull && build.privileged);
    assert_eq!(build.no_cache_filter, ["stage"]);
    assert_eq!((build.cache_from.len(), build.cache_to.len()), (1, 1));
    assert_eq!(build.network.as_deref(), Some("none"));
    let host = |name: &str, address: &str| (name.to_owned(), address.to_owned());
    assert_eq!(build.extra_hosts, [host("db", "10.0.0.1"), host("v6", "::1"), host("v6", "::2")]);
    assert_eq!(build.shm_size, Some(64 << 20));
    assert_eq!(build.ulimits, ["nofile=1:2", "nproc=5"]);
    assert_eq!(build.entitlements, ["network.host"]);
    assert_eq!(build.isolation.as_deref(), Some("default"));
    assert_eq!((build.provenance.as_deref(), build.sbom.as_deref()), (Some("mode=max"), Some("true")));
    assert_eq!(build.ssh, [("default".to_owned(), None), ("key".to_owned(), Some("/home/me/id".to_owned()))]);
    let secret = |id: &str, source| Secret { id: id.to_owned(), source };
    let file = files.path("key.txt").to_str().unwrap().to_owned();
    assert_eq!(
        build.secrets,
        [
            secret("token", SecretSource::Variable("TOKEN".to_owned())),
            secret("renamed", SecretSource::File(file)),
            secret("cluster", SecretSource::External),
        ]
    );
    let place = files.without_directory(&build.place_of("cache_to").to_string());
    assert_eq!(place, "compose.yaml:16:7");
    assert_eq!(project.services["web"].platform.as_deref(), Some("linux/amd64"));
}
