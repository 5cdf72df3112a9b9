//! Layers made by hand, and directories as text.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use cartwheel_oci::layer::{self, Encoding, Tree};
use cartwheel_oci::{Descriptor, Layer, media_type};
use cartwheel_snapshot::{Error, Marks, Shortfall, Unpack};
use cartwheel_store::{Blob, Store};

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0
}

/// The marks that this process can make.
pub(crate) fn marks() -> Marks {
    if is_root() { Marks::Trusted } else { Marks::User }
}

/// A tar whose headers say anything.
#[derive(Clone)]
pub(crate) struct Tar {
    bytes: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
}

impl Tar {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), mode: 0o755, owner: (0, 0) }
    }

    /// The mode of the entries that follow.
    pub(crate) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// The owner of the entries that follow.
    pub(crate) fn owner(self, uid: u32, gid: u32) -> Self {
        Self { owner: (uid, gid), ..self }
    }

    /// An entry of any kind (`0` for a file).
    pub(crate) fn entry(mut self, kind: u8, path: &[u8], target: &str, content: &[u8]) -> Self {
        let mut header = [0; 512];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        put(0, path);
        let (uid, gid) = self.owner;
        put(100, format!("{:07o}\0{uid:07o}\0{gid:07o}\0", self.mode).as_bytes());
        put(124, format!("{:011o}\x0007346545000\0", content.len()).as_bytes());
        put(157, target.as_bytes());
        put(257, b"ustar\x0000");
        put(329, b"0000001\x000000003\0");
        header[148..156].fill(b' ');
        header[156] = kind;
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        self.entry(b'0', path.as_bytes(), "", text.as_bytes())
    }

    pub(crate) fn hardlink(self, path: &str, target: &str) -> Self {
        self.entry(b'1', path.as_bytes(), target, b"")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(b'2', path.as_bytes(), target, b"")
    }

    pub(crate) fn folder(self, path: &str) -> Self {
        self.entry(b'5', path.as_bytes(), "", b"")
    }

    /// An extended attribute of the entry that comes next.
    pub(crate) fn attribute(self, name: &str, value: &str) -> Self {
        self.extended(&[(&format!("SCHILY.xattr.{name}"), value)])
    }

    /// What the header of the entry that comes next cannot say.
    pub(crate) fn extended(self, records: &[(&str, &str)]) -> Self {
        let records = records.iter().map(|(key, value)| {
            let record = |length: usize| format!("{length} {key}={value}\n");
            record((1..9999).find(|length| record(*length).len() == *length).unwrap())
        });
        self.entry(b'x', b"x", "", records.collect::<String>().as_bytes())
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

/// Layers in one directory, and what is there then.
pub(crate) fn unpack(layers: &[Vec<u8>]) -> Result<(BTreeMap<String, String>, Shortfall), Error> {
    let folder = tempfile::tempdir().unwrap();
    let shortfall = unpack_into(folder.path(), layers)?;
    Ok((listing(folder.path()), shortfall))
}

pub(crate) fn unpack_into(folder: &Path, layers: &[Vec<u8>]) -> Result<Shortfall, Error> {
    let mut unpack = Unpack::into(folder)?;
    for layer in layers {
        unpack.layer(&layer[..])?;
    }
    unpack.finish()
}

/// The paths below `folder`, with what is there: `dir`, `-> target`, a file's text, other kinds by name.
pub(crate) fn listing(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    list(folder, "", &mut found);
    found
}

fn list(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        let text = match () {
            () if kind.is_dir() => "dir".to_owned(),
            () if kind.is_symlink() => format!("-> {}", fs::read_link(&path).unwrap().display()),
            () if kind.is_fifo() => "fifo".to_owned(),
            () if kind.is_char_device() => "device".to_owned(),
            () => fs::read_to_string(&path).unwrap(),
        };
        if kind.is_dir() {
            list(&path, &format!("{name}/"), found);
        }
        found.insert(name, text);
    }
}

/// A listing as it is written in tests: `path=what`, with spaces between.
pub(crate) fn line(listing: &BTreeMap<String, String>) -> String {
    let entries: Vec<String> = listing.iter().map(|(path, what)| format!("{path}={what}")).collect();
    entries.join(" ")
}

/// A store with layers in it.
pub(crate) struct Layers {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Layers {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Self { folder, store }
    }

    /// The layer of a tar that is not compressed.
    pub(crate) fn of_tar(&self, tar: &[u8]) -> Layer {
        let read = layer::read(tar, |_, _| Ok(())).unwrap();
        self.put(tar, read.diff_id)
    }

    /// The layer that is written from a tree.
    pub(crate) fn of_tree(&self, tree: &Tree) -> Layer {
        let mut bytes = Vec::new();
        let written = layer::write(tree, Encoding::Compressed, &mut bytes).unwrap();
        self.put(&bytes, written.diff_id)
    }

    fn put(&self, bytes: &[u8], diff_id: cartwheel_oci::DiffId) -> Layer {
        let (digest, blob) = self.store.put_blob(bytes).unwrap();
        Layer { descriptor: Descriptor::new(media_type::LAYER_GZIP, digest, blob.size()), diff_id }
    }

    pub(crate) fn blob(&self, layer: &Layer) -> Result<Blob, Error> {
        Ok(self.store.expect_blob(layer.descriptor.digest)?)
    }
}
