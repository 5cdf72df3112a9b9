//! The helpers accept a good image and complain about one that was damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cartwheel_testkit::oracle::{self, Docker, Podman};
use cartwheel_testkit::peers;

/// A copy of the base image whose only layer can be damaged.
struct Damaged {
    folder: tempfile::TempDir,
}

impl Damaged {
    fn new(damage: impl FnOnce(&mut Vec<u8>)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = peers::fixtures().join("python-slim");
        oracle::skopeo(&layout, &folder.path().join("layout")).unwrap();
        let damaged = Self { folder };
        let layer = damaged.layer();
        let mut bytes = fs::read(&layer).unwrap();
        damage(&mut bytes);
        fs::set_permissions(&layer, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&layer, bytes).unwrap();
        damaged
    }

    fn layout(&self) -> PathBuf {
        self.folder.path().join("layout")
    }

    /// The largest blob.
    fn layer(&self) -> PathBuf {
        let blobs =
            fs::read_dir(self.layout().join("blobs/sha256")).unwrap().map(|blob| blob.unwrap().path());
        blobs.max_by_key(|blob| fs::metadata(blob).unwrap().len()).unwrap()
    }
}

fn base() -> PathBuf {
    peers::fixtures().join("python-slim")
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn readers_accept_the_base_image() {
    let scratch = tempfile::tempdir().unwrap();
    assert_eq!(oracle::readers(&base(), scratch.path()), Ok(()));
    let listing = oracle::tar(&base()).unwrap().concat();
    assert!(listing.contains("usr/local/lib/python3.13/"), "{listing}");
    let tree = oracle::installed_tree(&scratch.path().join("bundle/rootfs/usr/local/bin"));
    assert!(tree.contains_key("python3"), "{tree:?}");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_second_member_is_only_zlib_s_complaint() {
    let second = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let image = Damaged::new(|layer| layer.extend(second));
    assert_eq!(oracle::gzip(&image.layout()), Ok(()));
    assert!(oracle::zlib(&image.layout()).unwrap_err().contains("behind the gzip member"));
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_flipped_bit_is_everybody_s_complaint() {
    let image = Damaged::new(|layer| {
        let middle = layer.len() / 2;
        layer[middle] ^= 0x10;
    });
    let scratch = tempfile::tempdir().unwrap();
    assert!(oracle::gzip(&image.layout()).is_err());
    assert!(oracle::zlib(&image.layout()).is_err());
    assert!(oracle::skopeo(&image.layout(), &scratch.path().join("copy")).is_err());
    assert!(oracle::umoci(&image.layout(), &scratch.path().join("bundle")).is_err());
    // Podman and Docker are not asked: they do not read a layer again that another test made them store.
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn podman_runs_the_base_image() {
    let podman = Podman::at(&peers::podman_storage());
    let image = podman.pull(&base()).unwrap();
    assert_eq!(podman.run(&image, &["python3", "-c", "print(6 * 7)"]).as_deref(), Ok("42\n"));
    assert!(podman.run(&image, &["false"]).is_err());
    podman.remove(&image).unwrap();
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn docker_loads_and_pulls_the_base_image() {
    let scratch = tempfile::tempdir().unwrap();
    let reference = oracle::push(&base(), &peers::registry(), "oracle/base:1").unwrap();
    let archive = docker_archive(&base(), scratch.path());
    for socket in [peers::docker_socket(), peers::docker_containerd_socket()] {
        let docker = Docker::at(&socket);
        let loaded = docker.load(&archive).unwrap();
        assert_eq!(docker.run(&loaded, &["python3", "-c", "print(6 * 7)"]).as_deref(), Ok("42\n"));
        docker.remove(&loaded).unwrap();
        docker.pull(&reference).unwrap();
        assert_eq!(docker.run(&reference, &["python3", "-c", "print(6 * 7)"]).as_deref(), Ok("42\n"));
        docker.remove(&reference).unwrap();
    }
}

/// The image as a docker archive, made by skopeo.
fn docker_archive(layout: &Path, scratch: &Path) -> PathBuf {
    let archive = scratch.join("archive.tar");
    let to = format!("docker-archive:{}:oracle:1", archive.display());
    let from = format!("oci:{}", layout.display());
    let copied = std::process::Command::new("skopeo")
        .args(["copy", "--quiet", "--insecure-policy", &from, &to])
        .status();
    assert!(copied.unwrap().success());
    archive
}
