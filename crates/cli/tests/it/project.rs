//! A project, a base image and a store in a temporary directory, and the binary run on them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cartwheel_oci::layer::{self, Content, Encoding, Entry, ReadKind, Tree};
use cartwheel_oci::{
    Descriptor, History, Image, ImageLayout, Layer, LayoutWriter, Platform, Source, copy, media_type,
    validate,
};
use cartwheel_store::{Digest, Store};
use cartwheel_testkit::WheelBuilder;
use tempfile::TempDir;

/// Where the base's Python looks for packages.
pub(crate) const LIBRARY: &str = "usr/local/lib/python3.13/site-packages";

/// Everything that a build needs, without network or `uv`: the packages come from a `pylock.toml`.
pub(crate) struct Project {
    folder: TempDir,
    lock: String,
    base: Tree,
}

/// A file of a layer or image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: &'static str,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) text: Vec<u8>,
}

pub(crate) fn platform() -> Platform {
    "linux/amd64".parse().unwrap()
}

fn file(text: &str) -> Entry {
    Entry::file(Content::Bytes(text.as_bytes().to_vec()), true)
}

impl Project {
    /// A FastAPI project without packages, on a base that looks like `python:3.13-slim`.
    pub(crate) fn new() -> Self {
        let mut base = Tree::new();
        for folder in
            ["usr", "usr/local", "usr/local/bin", "usr/local/lib", "usr/local/lib/python3.13", LIBRARY, "etc"]
        {
            base.insert(folder, Entry::directory()).unwrap();
        }
        base.insert("usr/local/bin/python3", Entry::symlink("python3.13")).unwrap();
        base.insert("usr/local/bin/python3.13", file("elf")).unwrap();
        base.insert("usr/lib/libc.so.6", file("GNU C Library stable release version 2.41.\n")).unwrap();
        base.insert("etc/passwd", file("root:x:0:0::/root:/bin/sh\napp:x:10:10::/:/bin/sh\n")).unwrap();
        let lock = "lock-version = \"1.0\"\ncreated-by = \"test\"\n".to_owned();
        let project = Self { folder: tempfile::tempdir().unwrap(), lock, base };
        project.write("context/main.py", "from fastapi import FastAPI\napp = FastAPI()\n");
        project.wheel(&WheelBuilder::new("uvicorn", "1.0").file("uvicorn/__init__.py", b""))
    }

    /// The same project with one more entry in the base.
    pub(crate) fn with_base(mut self, path: &str, entry: Entry) -> Self {
        self.base.insert(path, entry).unwrap();
        self
    }

    /// The same project with a file in the base.
    pub(crate) fn with_base_file(self, path: &str, text: &str) -> Self {
        self.with_base(path, file(text))
    }

    /// The same project with one more package.
    pub(crate) fn wheel(self, wheel: &WheelBuilder) -> Self {
        self.wheel_file(&wheel.filename(), &wheel.build())
    }

    /// The same project with one more package, whatever its bytes are.
    pub(crate) fn wheel_file(mut self, filename: &str, bytes: &[u8]) -> Self {
        let path = self.path("wheels").join(filename);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let mut parts = filename.split('-');
        let name = parts.next().unwrap().to_lowercase().replace(['_', '.'], "-");
        let version = parts.next().unwrap_or("0");
        write!(
            self.lock,
            "[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\nwheels = [{{ name = \"{filename}\", path = \"{}\", size = {}, hashes = {{ sha256 = \"{}\" }} }}]\n",
            path.display(),
            bytes.len(),
            Digest::of(bytes).hex(),
        )
        .unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes the lockfile and the base, and prepares the command without arguments.
    pub(crate) fn command(&self) -> Command {
        // Not while a build that was started before may be reading it.
        if !fs::read_to_string(self.path("context/pylock.toml")).is_ok_and(|text| text == self.lock) {
            self.write("context/pylock.toml", &self.lock);
        }
        if !self.path("base").exists() {
            self.write_base();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_cartwheel"));
        command.env_clear().env("CARTWHEEL_HOME", self.path("home")).current_dir(self.folder.path());
        command
    }

    /// The arguments of every build: context, base and platform.
    pub(crate) fn arguments() -> [&'static str; 6] {
        ["build", "context", "--base", "oci-layout://base", "--platform", "linux/amd64"]
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(Self::arguments()).args(arguments).output().unwrap()
    }

    /// Builds, and gives standard output. The image, if it is written to the layout `out`, goes through the validator.
    pub(crate) fn build(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {message}");
        self.validate("out");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Builds into the layout `out` and opens the image there.
    pub(crate) fn image(&self, arguments: &[&str]) -> Image {
        self.build(&[&["--output", "type=oci,dest=out,tar=false"], arguments].concat());
        let layout = self.layout("out");
        Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap()
    }

    pub(crate) fn layout(&self, name: &str) -> ImageLayout {
        ImageLayout::open(&self.path(name)).unwrap()
    }

    /// Runs the validator over a layout, if it is there.
    pub(crate) fn validate(&self, name: &str) {
        if self.path(name).join("index.json").exists() {
            let layout = self.layout(name);
            layout.images().iter().for_each(|entry| validate(&layout, entry).unwrap());
        }
    }

    /// What the build failed with: its exit code and message.
    pub(crate) fn failure(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{message}");
        (output.status.code().unwrap(), message.replace(&self.folder.path().display().to_string(), "$TMP"))
    }

    /// The files of one layer.
    pub(crate) fn files(&self, layer: &Layer) -> BTreeMap<String, Found> {
        let layout = self.layout("out");
        let mut found = BTreeMap::new();
        layer::read(layout.open(&layer.descriptor).unwrap(), |entry, content| {
            let mut text = Vec::new();
            content.read_to_end(&mut text)?;
            let kind = match &entry.kind {
                ReadKind::Directory => "directory",
                ReadKind::Symlink(target) => {
                    text = target.clone().into_bytes();
                    "link"
                }
                _ => "file",
            };
            let (mode, owner) = (entry.mode, (entry.uid, entry.gid));
            found.insert(entry.path.clone(), Found { kind, mode, owner, text });
            Ok(())
        })
        .unwrap();
        found
    }

    /// When a file of a layer was changed.
    pub(crate) fn mtime(&self, layer: &Layer, path: &str) -> u64 {
        let (layout, mut found) = (self.layout("out"), None);
        layer::read(layout.open(&layer.descriptor).unwrap(), |entry, _| {
            found = found.or((entry.path == path).then_some(entry.mtime));
            Ok(())
        })
        .unwrap();
        found.unwrap()
    }

    fn write_base(&self) {
        let store = Store::open(&self.path("base-home")).unwrap();
        let mut writer = store.writer().unwrap();
        let written = layer::write(&self.base, Encoding::Compressed, &mut writer).unwrap();
        let (digest, blob) = writer.commit().unwrap();
        let descriptor = Descriptor::new(media_type::LAYER_GZIP, digest, blob.size());
        let history = History { created_by: Some("base".to_owned()), ..History::default() };
        let image =
            Image::scratch(&platform()).append(Layer { descriptor, diff_id: written.diff_id }, history);
        let image = image.with_config(|config| {
            config.config.env = Some(vec![
                "PATH=/usr/local/bin:/usr/bin:/bin".to_owned(),
                "PYTHON_VERSION=3.13.5".to_owned(),
            ]);
            config.config.cmd = Some(vec!["python3".to_owned()]);
        });
        copy(&image, &[], &store, &mut LayoutWriter::create(&self.path("base")).unwrap()).unwrap();
    }
}

/// All files below `folder`, with their sizes: what must not change when a build fails.
pub(crate) fn listing(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path(), metadata.len());
            }
        }
    }
    found
}
