//! Where `cargo xtask test` put what a test cannot bring itself.
//!
//! A test that needs one of these is `#[ignore = "needs peers: cargo xtask test"]`: a plain `cargo test` passes on any
//! machine, and the chore runs the ignored ones too, with everything in place. A test that is run without its peers
//! fails and says so; it never passes by doing nothing.

use std::path::PathBuf;

/// The folder of fixtures: `python-slim`, `wheels/light`, `wheels/medium`.
pub fn fixtures() -> PathBuf {
    path("CARTWHEEL_TEST_FIXTURES")
}

/// The `cartwheel` binary.
pub fn binary() -> PathBuf {
    path("CARTWHEEL_TEST_BIN")
}

/// The `uv` binary.
pub fn uv() -> PathBuf {
    path("CARTWHEEL_TEST_UV")
}

/// The `docker` client that fits the daemons.
pub fn docker() -> PathBuf {
    path("CARTWHEEL_TEST_DOCKER")
}

/// The settings of podman's storage; podman, skopeo and buildah read them by themselves.
pub fn podman_storage() -> PathBuf {
    path("CONTAINERS_STORAGE_CONF")
}

/// The socket of a Docker daemon with the overlay2 image store.
pub fn docker_socket() -> PathBuf {
    path("CARTWHEEL_TEST_DOCKER_SOCKET")
}

/// The socket of a Docker daemon with the containerd image store.
pub fn docker_containerd_socket() -> PathBuf {
    path("CARTWHEEL_TEST_DOCKER_CONTAINERD_SOCKET")
}

/// Address and port of an empty registry that speaks plain HTTP.
pub fn registry() -> String {
    variable("CARTWHEEL_TEST_REGISTRY")
}

fn path(name: &str) -> PathBuf {
    let path = PathBuf::from(variable(name));
    assert!(path.exists(), "{name} names `{}`, which is not there: run `cargo xtask test`", path.display());
    path
}

#[expect(
    clippy::disallowed_methods,
    reason = "the chore has no other way to tell a test where its peers are"
)]
fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: this test is run by `cargo xtask test`"))
}
