//! The binary from outside: what a user sees, one module for each subject.
//!
//! What needs the real tools is ignored here and run by `cargo xtask test`.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod building;
mod bytecode;
mod check;
mod compose;
mod containers;
mod dockerfiles;
mod engines;
mod errors;
mod fixtures;
mod images;
mod interrupted;
mod layers;
mod outputs;
mod parity;
mod peers;
mod project;
mod registries;
mod repositories;
mod resolved;
mod running;

#[test]
fn no_test_file_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        assert!(module == "main" || listed.contains(&format!("mod {module};")), "`{name}` is not compiled");
    }
}
