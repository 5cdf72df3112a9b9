//! What `cargo xtask test` provides, as a [`Project`] needs it: the base image that runs, `uv`, folders of wheels.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cartwheel_oci::layer::{self, Encoding, Tree};
use cartwheel_oci::{
    Descriptor, History, Image, ImageLayout, Layer, LayoutWriter, copy, import_blob, media_type,
};
use cartwheel_store::Store;
use cartwheel_testkit::peers;

use crate::project::{Project, platform};

/// The arguments of a build into the layout `out` that needs no application.
pub(crate) const OUT: [&str; 4] = ["--cmd", "[\"true\"]", "--output", "type=oci,dest=out,tar=false"];

impl Project {
    /// The same project on the base image whose Python runs.
    pub(crate) fn on_python_slim(self) -> Self {
        symlink(slim(), self.path("base")).unwrap();
        self
    }

    /// The same project on that image with one more layer.
    pub(crate) fn on_python_slim_with(self, tree: &Tree) -> Self {
        let layout = ImageLayout::open(&slim()).unwrap();
        let image = Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap();
        let store = Store::open(&self.path("base-home")).unwrap();
        image.layers().iter().for_each(|layer| import_blob(&store, &layout, &layer.descriptor).unwrap());
        let mut writer = store.writer().unwrap();
        let written = layer::write(tree, Encoding::Compressed, &mut writer).unwrap();
        let (digest, blob) = writer.commit().unwrap();
        let descriptor = Descriptor::new(media_type::LAYER_GZIP, digest, blob.size());
        let history = History { created_by: Some("RUN prepare".to_owned()), ..History::default() };
        let image = image.append(Layer { descriptor, diff_id: written.diff_id }, history);
        copy(&image, &[], &store, &mut LayoutWriter::create(&self.path("base")).unwrap()).unwrap();
        self
    }

    /// A build of the requirements in this text by the real `uv`, whose cache is the project's own.
    pub(crate) fn resolving(&self, requirements: &str) -> Command {
        self.resolving_on(requirements, "oci-layout://base", "linux/amd64")
    }

    /// The same on another base.
    pub(crate) fn resolving_on(&self, requirements: &str, base: &str, platform: &str) -> Command {
        self.write("requirements.txt", requirements);
        let uv = peers::uv();
        // An interpreter is looked for on the PATH, and uv lies beside one in its environment.
        let uv = fs::canonicalize(&uv).unwrap_or(uv);
        let mut command = self.command();
        command.env("PATH", uv.parent().unwrap()).env("UV_CACHE_DIR", self.path("uv-cache"));
        command.args(["build", "context", "--base", base, "--platform", platform]);
        command.args(["-r", "requirements.txt"]);
        command
    }
}

/// The layout of the base image.
pub(crate) fn slim() -> PathBuf {
    peers::fixtures().join("python-slim")
}

/// A folder of wheels, and what a requirements file says to install all of them from there and nothing else.
pub(crate) fn requirements(wheels: &Path) -> String {
    let mut lines = vec!["--no-index".to_owned(), format!("--find-links {}", wheels.display())];
    lines.extend(pins(wheels));
    lines.join("\n") + "\n"
}

/// Each wheel of a folder as `name==version`, the name normalised: pip installs headers below the name as it is asked for.
pub(crate) fn pins(wheels: &Path) -> Vec<String> {
    let pin = |filename: &str| {
        let mut parts = filename.strip_suffix(".whl")?.split('-');
        Some(format!("{}=={}", parts.next()?.replace('_', "-").to_lowercase(), parts.next()?))
    };
    let names = fs::read_dir(wheels).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pins: Vec<String> = names.filter_map(|name| pin(&name)).collect();
    pins.sort();
    pins
}

/// A set of wheels of the package index.
pub(crate) fn wheels(set: &str) -> PathBuf {
    fs::canonicalize(peers::fixtures().join("wheels").join(set)).unwrap()
}

/// What a command that must succeed printed.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {message}", command.get_program().display());
    output
}
