//! Nothing that a file says makes reading it fail other than with an error.

use crate::Files;

/// A file with something of everything that is read in more than one way.
const FILE: &str = "x-a: &a {build: {context: ., args: [\"A=${B:-c}\"]}}
services:
  web:
    <<: *a
    image: \"x:${T-1}\"
    ports: [80, '1-2:3-4/udp']
    volumes: [a:/b, {type: bind, source: ./c, target: /d}]
    depends_on: {db: {condition: service_started}}
    environment: !override {A: 1e3}
  db: {extends: {service: web}, depends_on: !reset [], ulimits: {nofile: 1}}
volumes: {a: }
";

#[test]
fn a_damaged_file_is_an_error_or_a_project() {
    let files = Files::new(&[("compose.yaml", FILE)]);
    files.load().unwrap();
    let path = files.path("compose.yaml");
    for index in 0..FILE.len() {
        for with in ["", "\t", ":", "${", "[", "'", "*a", "\n", "é", "!reset "] {
            let damaged = format!("{}{with}{}", &FILE[..index], &FILE[index + 1..]);
            std::fs::write(&path, damaged).unwrap();
            drop(files.load());
        }
    }
}
