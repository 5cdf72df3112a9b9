//! The real tools, asked what they think of an image.
//!
//! An image is right when the programs that people use read it. Each function here runs one of them on an OCI layout
//! (a directory with one image in it) or a docker archive, and returns what it complained about: a tool that succeeds
//! but warns has complained.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cartwheel_store::Digest;
use serde_json::Value;

use crate::peers;

/// What a tool said against an image; the tool's own words.
pub type Complaint = String;

/// Every layer, by `gzip -t`.
pub fn gzip(layout: &Path) -> Result<(), Complaint> {
    gzip_layers(layout)?
        .iter()
        .try_for_each(|layer| quiet(Command::new("gzip").args(["-t"]).stdin(open(layer)?)))
}

/// Every layer, by zlib: one gzip member that ends where the file ends.
///
/// Several decoders in use stop silently after the first member, so a second one is lost content.
pub fn zlib(layout: &Path) -> Result<(), Complaint> {
    const SCRIPT: &str = "
import sys, zlib
member = zlib.decompressobj(31)
with open(sys.argv[1], 'rb') as file:
    while chunk := file.read(1 << 20):
        assert not member.eof, 'bytes behind the gzip member'
        member.decompress(chunk)
assert member.eof, 'the gzip member does not end'
assert not member.unused_data, 'bytes behind the gzip member'
";
    gzip_layers(layout)?
        .iter()
        .try_for_each(|layer| quiet(Command::new("python3").args(["-c", SCRIPT]).arg(layer)))
}

/// Every layer, listed by `tar tvf`; returns the listings in the order of the layers.
pub fn tar(layout: &Path) -> Result<Vec<String>, Complaint> {
    layers(layout)?.iter().map(|layer| ask(Command::new("tar").arg("tvf").arg(&layer.path))).collect()
}

/// The image, copied by skopeo to `copy`, a layout whose tag is `copy`.
pub fn skopeo(layout: &Path, copy: &Path) -> Result<(), Complaint> {
    let (from, to) = (format!("oci:{}", layout.display()), format!("oci:{}:copy", copy.display()));
    ask(Command::new("skopeo").args(["copy", "--quiet", "--insecure-policy", &from, &to])).map(drop)
}

/// The docker archive at `archive`, copied by skopeo to `copy` as [`skopeo`] does.
pub fn skopeo_archive(archive: &Path, copy: &Path) -> Result<(), Complaint> {
    let (from, to) =
        (format!("docker-archive:{}", archive.display()), format!("oci:{}:copy", copy.display()));
    ask(Command::new("skopeo").args(["copy", "--quiet", "--insecure-policy", &from, &to])).map(drop)
}

/// The image, unpacked by umoci into `bundle`; returns its root file system.
pub fn umoci(layout: &Path, bundle: &Path) -> Result<PathBuf, Complaint> {
    // umoci takes images by tag only, and the layout may have none.
    let copy = bundle.with_extension("layout");
    skopeo(layout, &copy)?;
    let image = format!("{}:copy", copy.display());
    ask(Command::new("umoci").args(["unpack", "--rootless", "--image", &image]).arg(bundle))?;
    Ok(bundle.join("rootfs"))
}

/// All that can be asked without running the image.
pub fn readers(layout: &Path, scratch: &Path) -> Result<(), Complaint> {
    gzip(layout)?;
    zlib(layout)?;
    tar(layout)?;
    umoci(layout, &scratch.join("bundle")).map(drop)
}

/// The image, pushed by skopeo to a registry that speaks plain HTTP; returns the reference to pull.
pub fn push(layout: &Path, registry: &str, repository: &str) -> Result<String, Complaint> {
    let reference = format!("{registry}/{repository}");
    let (from, to) = (format!("oci:{}", layout.display()), format!("docker://{reference}"));
    let options = ["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false"];
    ask(Command::new("skopeo").args(options).args([&from, &to]))?;
    Ok(reference)
}

/// The image of a registry that speaks plain HTTP, copied by skopeo to the layout `copy`: every digest and size is checked.
pub fn skopeo_pull(reference: &str, copy: &Path) -> Result<(), Complaint> {
    let (from, to) = (format!("docker://{reference}"), format!("oci:{}:copy", copy.display()));
    let options = ["copy", "--quiet", "--insecure-policy", "--src-tls-verify=false"];
    ask(Command::new("skopeo").args(options).args([&from, &to])).map(drop)
}

/// Podman, with the settings and the storage that the chore made for this run.
///
/// Its storage is overlay, as on people's machines: overlay is what shows whether a layer hides something below it.
#[derive(Debug)]
pub struct Podman {
    storage: PathBuf,
}

impl Podman {
    /// Podman with the storage settings in this file.
    pub fn at(storage: &Path) -> Self {
        Self { storage: storage.to_owned() }
    }

    /// Pulls the image from a layout; returns its ID.
    pub fn pull(&self, layout: &Path) -> Result<String, Complaint> {
        let output = ask(self.command().args(["pull", "--quiet"]).arg(format!("oci:{}", layout.display())))?;
        Ok(output.trim().to_owned())
    }

    /// Loads the image from a docker archive; returns its name.
    pub fn load(&self, archive: &Path) -> Result<String, Complaint> {
        loaded(&ask(self.command().args(["load", "--quiet", "--input"]).arg(archive))?)
    }

    /// Runs a command in a container of the image without a network; returns what it printed.
    pub fn run(&self, image: &str, command: &[&str]) -> Result<String, Complaint> {
        ask(self.command().args(["run", "--rm", "--network=none", image]).args(command))
    }

    /// Forgets an image.
    pub fn remove(&self, image: &str) -> Result<(), Complaint> {
        ask(self.command().args(["image", "rm", "--force", image])).map(drop)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command.env("CONTAINERS_STORAGE_CONF", &self.storage);
        command
    }
}

/// A Docker daemon behind a socket.
#[derive(Debug)]
pub struct Docker {
    socket: PathBuf,
}

impl Docker {
    /// The daemon that listens at `socket`.
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Loads an archive (docker or OCI); returns the image's name, or its ID if it has none.
    pub fn load(&self, archive: &Path) -> Result<String, Complaint> {
        loaded(&ask(self.command().args(["load", "--input"]).arg(archive))?)
    }

    /// Pulls an image from a registry.
    pub fn pull(&self, reference: &str) -> Result<(), Complaint> {
        ask(self.command().args(["pull", "--quiet", reference])).map(drop)
    }

    /// Runs a command in a container of the image without a network; returns what it printed.
    pub fn run(&self, image: &str, command: &[&str]) -> Result<String, Complaint> {
        ask(self.command().args(["run", "--rm", "--network=none", image]).args(command))
    }

    /// Forgets an image, so that the next load or pull is one.
    pub fn remove(&self, image: &str) -> Result<(), Complaint> {
        ask(self.command().args(["image", "rm", "--force", image])).map(drop)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(peers::docker());
        command.arg("--host").arg(format!("unix://{}", self.socket.display()));
        command
    }
}

/// The name in `Loaded image: name` or `Loaded image ID: sha256:…`.
fn loaded(output: &str) -> Result<String, Complaint> {
    let name = output.lines().filter_map(|line| line.split_once(": ")).next_back();
    name.map(|(_, name)| name.trim().to_owned()).ok_or_else(|| format!("loaded nothing: {output}"))
}

/// A layer of a layout.
struct LayerFile {
    media_type: String,
    path: PathBuf,
}

fn gzip_layers(layout: &Path) -> Result<Vec<PathBuf>, Complaint> {
    let gzip = |layer: LayerFile| layer.media_type.ends_with("gzip").then_some(layer.path);
    Ok(layers(layout)?.into_iter().filter_map(gzip).collect())
}

fn layers(layout: &Path) -> Result<Vec<LayerFile>, Complaint> {
    let index = json(&layout.join("index.json"))?;
    let mut found = Vec::new();
    push_layers(layout, &index, &mut found)?;
    if found.is_empty() { Err(format!("no layers in `{}`", layout.display())) } else { Ok(found) }
}

fn push_layers(layout: &Path, document: &Value, found: &mut Vec<LayerFile>) -> Result<(), Complaint> {
    for manifest in document["manifests"].as_array().into_iter().flatten() {
        push_layers(layout, &json(&blob(layout, manifest))?, found)?;
    }
    for layer in document["layers"].as_array().into_iter().flatten() {
        let media_type = layer["mediaType"].as_str().unwrap_or_default().to_owned();
        found.push(LayerFile { media_type, path: blob(layout, layer) });
    }
    Ok(())
}

fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    layout.join("blobs").join(descriptor["digest"].as_str().unwrap_or_default().replace(':', "/"))
}

fn json(path: &Path) -> Result<Value, Complaint> {
    let bytes = fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("`{}`: {error}", path.display()))
}

fn open(path: &Path) -> Result<fs::File, Complaint> {
    fs::File::open(path).map_err(|error| format!("`{}`: {error}", path.display()))
}

/// Runs a tool that shall say nothing at all.
fn quiet(command: &mut Command) -> Result<(), Complaint> {
    let output = run(command)?;
    if output.stderr.is_empty() { Ok(()) } else { Err(complaint(command, &output)) }
}

/// Runs a tool; returns what it printed.
fn ask(command: &mut Command) -> Result<String, Complaint> {
    let output = run(command.stdin(Stdio::null()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(command: &mut Command) -> Result<std::process::Output, Complaint> {
    let output = command.env("LC_ALL", "C.UTF-8").stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| format!("`{}`: {error}", command.get_program().display()))?;
    if output.status.success() { Ok(output) } else { Err(complaint(command, &output)) }
}

fn complaint(command: &Command, output: &std::process::Output) -> Complaint {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    let (program, error) = (command.get_program().display(), String::from_utf8_lossy(&output.stderr));
    format!("`{program} {}` ended with {}: {}", words.join(" "), output.status, error.trim())
}

/// What is compared of a file that an installer left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledTreeFile {
    /// Type and permission bits.
    pub mode: u32,
    /// Its size.
    pub size: u64,
    /// The digest of its content, or of its target if it is a symbolic link.
    pub digest: Digest,
}

/// All files below `root` by path, folders left out; panics where it cannot read.
pub fn installed_tree(root: &Path) -> BTreeMap<String, InstalledTreeFile> {
    let mut files = BTreeMap::new();
    collect(root, root, &mut files);
    files
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, InstalledTreeFile>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("`{}`: {error}", folder.display())) {
        let path = entry.expect("a readable folder").path();
        let metadata =
            fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
        if metadata.is_dir() {
            collect(root, &path, files);
            continue;
        }
        let content = if metadata.is_symlink() {
            fs::read_link(&path).map(|target| target.as_os_str().as_bytes().to_vec())
        } else {
            fs::read(&path)
        };
        let digest = Digest::of(&content.unwrap_or_else(|error| panic!("`{}`: {error}", path.display())));
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        files.insert(name, InstalledTreeFile { mode: metadata.mode(), size: metadata.len(), digest });
    }
}
