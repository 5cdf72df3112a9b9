//! Each mistake is told once, with its place.

use crate::Files;

fn message(files: &[(&str, &str)]) -> String {
    let files = Files::new(files);
    files.without_directory(&files.load().unwrap_err().to_string())
}

/// What is wrong with a file of this text.
fn wrong(text: &str) -> String {
    message(&[("compose.yaml", text)])
}

#[test]
fn mistakes_in_one_service() {
    let cases = [
        ("services: {web: {}}", "1:17: service `web` has neither `image` nor `build`"),
        ("services: {web: {image: a, prots: []}}", "1:28: `prots` is no key of `services.web`"),
        ("services: {web: {image: \"${A:?set A}\"}}", "1:25: variable `A` has to be set: set A"),
        (
            "services: {web: {image: \"${A\"}}",
            "1:25: `${A` is no reference to a variable; a `$` that is meant as one is written `$$`",
        ),
        (
            "services: {web: {build: {dockerfile: a, dockerfile_inline: b}}}",
            "1:25: service `web` has both `dockerfile` and `dockerfile_inline`",
        ),
        (
            "services: {web: {platform: linux/arm64, build: {platforms: [linux/amd64]}}}",
            "1:28: service `web` runs on `linux/arm64`, for which it is not built",
        ),
        (
            "services: {web: {build: {additional_contexts: [a]}}}",
            "1:48: `a` in `services.web.build.additional_contexts` is not of the form NAME=VALUE",
        ),
        ("services: {web: {image: a, ports: [x]}}", "1:36: port `x` is no port of a container"),
        (
            "services: {web: {image: a, command: \"x 'y\"}}",
            "1:37: a `'` in `services.web.command` has no end",
        ),
        (
            "services: {web: {image: a, extra_hosts: [db]}}",
            "1:42: `db` in `services.web.extra_hosts` is no host with an address",
        ),
        (
            "services: {web: {image: a, network_mode: host, networks: [x]}}\nnetworks: {x: }",
            "1:42: service `web` has both `network_mode` and `networks`",
        ),
        (
            "services: {web: {image: a, scale: 1, deploy: {replicas: 2}}}",
            "1:35: service `web` has another `scale` than `deploy.replicas`",
        ),
        (
            "services: {web: {image: a, mem_limit: 1g, deploy: {resources: {limits: {memory: 2g}}}}}",
            "1:39: service `web` has another `mem_limit` than `deploy.resources.limits.memory`",
        ),
        (
            "services: {web: {image: a, tmpfs: /x, volumes: [./a:/x]}}",
            "1:49: service `web` mounts two things at `/x`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(wrong(text), format!("compose.yaml:{expected}"), "{text}");
    }
}

#[test]
fn references_to_what_is_not_there() {
    let cases = [
        ("networks: [x]", "1:38: service `web` refers to `x`, which is not in `networks`"),
        ("volumes: [\"data:/x\"]", "1:38: service `web` refers to `data`, which is not in `volumes`"),
        ("secrets: [x]", "1:38: service `web` refers to `x`, which is not in `secrets`"),
        ("configs: [x]", "1:38: service `web` refers to `x`, which is not in `configs`"),
        ("depends_on: [x]", "1:41: service `web` depends on `x`, which is no service"),
        ("build: {secrets: [x]}", "1:46: service `web` refers to `x`, which is not in `secrets`"),
        (
            "build: {additional_contexts: {a: \"service:x\"}}",
            "1:61: service `web` builds from `x`, which is no service",
        ),
        (
            "build: {additional_contexts: {a: \"service:web2\"}}",
            "1:61: service `web` builds from `web2`, which is not built",
        ),
    ];
    for (member, expected) in cases {
        let text = format!("services: {{web: {{image: a, {member}}}, web2: {{image: b}}}}");
        assert_eq!(wrong(&text), format!("compose.yaml:{expected}"), "{text}");
    }
}

#[test]
fn circles() {
    let depends = "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, links: [a]}\n";
    assert_eq!(wrong(depends), "compose.yaml:2:6: services depend on each other: `a`, `b`, `a`");
    let extends = "services:\n  a: {extends: b}\n  b: {extends: {service: a}}\n";
    assert_eq!(wrong(extends), "compose.yaml:3:16: services extend each other: `a`, `b`, `a`");
    let include = [("compose.yaml", "include: [b.yaml]"), ("b.yaml", "include: [compose.yaml]")];
    assert!(
        message(&include).starts_with("b.yaml:1:11: files include each other: "),
        "{}",
        message(&include)
    );
}

#[test]
fn a_mistake_in_another_file_is_told_of_that_file() {
    let main = "services: {web: {extends: {file: base.yaml, service: app}}}\n";
    let missing = message(&[("compose.yaml", main), ("base.yaml", "services: {other: {}}\n")]);
    assert_eq!(missing, "compose.yaml:1:27: there is no service `app` to extend in `base.yaml`");
    let wrong = message(&[("compose.yaml", main), ("base.yaml", "services:\n  app: {image: [1]}\n")]);
    assert_eq!(wrong, "base.yaml:2:16: `services.web.image` must be a string, not a list");
    let over =
        message(&[("compose.yaml", "services: {web: {image: a}}"), ("compose.override.yml", "a: b: c")]);
    assert!(over.starts_with("compose.override.yml:1:5: "), "{over}");
}

#[test]
fn an_empty_file_is_no_project() {
    assert_eq!(wrong(""), "compose.yaml: there is nothing in it");
    assert_eq!(wrong("[]"), "compose.yaml:1:1: a Compose file must be a mapping");
}
