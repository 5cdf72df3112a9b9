//! Reading an image out of an OCI layout, flattened, as the strictest of runtimes would.
//!
//! By other hands than the product's: the `tar` crate, and maps. Each layer is unpacked alone, as overlay runtimes do
//! it: a folder that a layer needs and does not contain is 0755 and root's, and what a layer puts below a symlink of a
//! lower layer replaces the symlink. Only then is the layer laid over what is there.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::bufread::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::Result;

const REQUESTED: &[u8] = b".dist-info/REQUESTED,";

/// What lies where: paths from the root, which is the empty path.
pub(super) type Tree = BTreeMap<PathBuf, Node>;

/// One path's content and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) owner: (u64, u64),
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
    /// Paths with the same number are links to one file.
    pub(super) inode: usize,
}

impl Node {
    /// Whether it is the same but for its inode.
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        self == &Self { inode: self.inode, ..other.clone() }
    }

    fn implied(inode: usize) -> Self {
        Self { kind: Kind::Directory, mode: 0o755, owner: (0, 0), xattrs: BTreeMap::new(), inode }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File {
        size: u64,
        digest: String,
    },
    Symlink(PathBuf),
    /// `char` or `block`, and its numbers.
    Device(&'static str, u32, u32),
    Fifo,
}

/// An image: its config, whole, and its flattened tree.
pub(super) struct Image {
    pub(super) config: Value,
    pub(super) tree: Tree,
}

/// Reads images, and each layer once: most of them stand on the same bases.
#[derive(Default)]
pub(super) struct Reader(Mutex<HashMap<String, Arc<Layer>>>);

impl Reader {
    /// Reads the only image of the layout.
    pub(super) fn read(&self, layout: &Path) -> Result<Image> {
        let mut manifest = json(&layout.join("index.json"))?;
        while let Some(descriptors) = manifest["manifests"].as_array() {
            let [descriptor] = descriptors.as_slice() else {
                return Err(format!("`{}` has {} images", layout.display(), descriptors.len()).into());
            };
            manifest = json(&blob(layout, descriptor))?;
        }
        let config = json(&blob(layout, &manifest["config"]))?;
        let mut tree = Tree::from([(PathBuf::new(), Node::implied(0))]);
        let mut inodes = 1;
        for descriptor in manifest["layers"].as_array().into_iter().flatten() {
            let layer = self.layer(layout, descriptor)?;
            layer.lay_over(&mut tree, inodes);
            inodes += layer.inodes;
        }
        Ok(Image { config, tree })
    }

    fn layer(&self, layout: &Path, descriptor: &Value) -> Result<Arc<Layer>> {
        let layers = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        if let Some(layer) = layers().get(digest) {
            return Ok(Arc::clone(layer));
        }
        let path = blob(layout, descriptor);
        let layer = Layer::read(&path).map_err(|error| format!("`{}`: {error}", path.display()))?;
        let layer = Arc::new(layer);
        layers().insert(digest.to_owned(), Arc::clone(&layer));
        Ok(layer)
    }
}

impl Image {
    /// The settings to compare, by their names; those that say nothing are as if they were not there.
    pub(super) fn settings(&self) -> BTreeMap<String, Value> {
        let of_config = self.config["config"].as_object().into_iter().flatten();
        let of_config = of_config.map(|(name, value)| (format!("config.{name}"), value.clone()));
        let platform = ["architecture", "os", "variant", "author"];
        let platform = platform.map(|name| (name.to_owned(), self.config[name].clone()));
        of_config.chain(platform).filter(|(_, value)| !says_nothing(value)).collect()
    }

    /// The commands of its history, with a mark at those that made no layer.
    pub(super) fn history(&self) -> Vec<String> {
        let entries = self.config["history"].as_array().into_iter().flatten();
        let line = |entry: &Value| {
            let mark = if entry["empty_layer"] == true { " (no layer)" } else { "" };
            format!("{}{mark}", entry["created_by"].as_str().unwrap_or_default())
        };
        entries.map(line).collect()
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        _ => false,
    }
}

fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    layout.join("blobs").join(descriptor["digest"].as_str().unwrap_or_default().replace(':', "/"))
}

fn json(path: &Path) -> Result<Value> {
    let text = fs::read(path).map_err(|error| format!("could not read `{}`: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// A layer unpacked alone.
#[derive(Default)]
pub(super) struct Layer {
    tree: Tree,
    /// How many inodes its nodes have; the first is 1.
    inodes: usize,
    /// Whiteouts.
    removed: Vec<PathBuf>,
    /// Folders of which nothing below shows.
    opaque: Vec<PathBuf>,
}

impl Layer {
    fn read(path: &Path) -> Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read> = if is_gzip { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
        let mut layer = Self::default();
        for entry in tar::Archive::new(reader).entries()? {
            layer.add(&mut entry?)?;
        }
        Ok(layer)
    }

    fn add(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result {
        let path = rooted(&entry.path()?)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == ".wh..wh..opq" {
            self.opaque.push(path.with_file_name(""));
        } else if let Some(removed) = name.strip_prefix(".wh.") {
            self.removed.push(path.with_file_name(removed));
        } else {
            self.add_parents(&path)?;
            let node = self.node(entry, &path)?;
            self.tree.insert(path, node);
        }
        Ok(())
    }

    fn add_parents(&mut self, path: &Path) -> Result {
        let parents: Vec<&Path> =
            path.ancestors().skip(1).filter(|parent| *parent != Path::new("")).collect();
        for parent in parents.iter().rev() {
            self.inodes += 1;
            let node = self.tree.entry(parent.to_path_buf()).or_insert_with(|| Node::implied(self.inodes));
            if node.kind != Kind::Directory {
                return Err(format!("`{}` is below `{}`, no folder", path.display(), parent.display()).into());
            }
        }
        Ok(())
    }

    fn node(&mut self, entry: &mut tar::Entry<'_, impl Read>, path: &Path) -> Result<Node> {
        let target = entry.link_name()?.map(Cow::into_owned).unwrap_or_default();
        let kind = match entry.header().entry_type() {
            EntryType::Link => {
                let linked = self.tree.get(&rooted(&target)?);
                let missing = || format!("nothing at the link's target `{}`", target.display());
                return Ok(linked.ok_or_else(missing)?.clone());
            }
            EntryType::Directory => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => content(entry, path)?,
            EntryType::Symlink => Kind::Symlink(target),
            EntryType::Char => device("char", entry.header())?,
            EntryType::Block => device("block", entry.header())?,
            EntryType::Fifo => Kind::Fifo,
            other => return Err(format!("an entry of type {other:?}").into()),
        };
        self.inodes += 1;
        // A symlink's mode means nothing, and tools write what they like.
        let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { entry.header().mode()? & 0o7777 };
        let owner = (entry.header().uid()?, entry.header().gid()?);
        Ok(Node { kind, mode, owner, xattrs: xattrs(entry)?, inode: self.inodes })
    }

    /// Lays it over what is in `tree`, which has `inodes` inodes.
    fn lay_over(&self, tree: &mut Tree, inodes: usize) {
        for path in &self.removed {
            tree.retain(|other, _| !other.starts_with(path));
        }
        for path in &self.opaque {
            tree.retain(|other, _| other == path || !other.starts_with(path));
        }
        for (path, node) in &self.tree {
            let are_folders = |other: &Node| other.kind == Kind::Directory && node.kind == Kind::Directory;
            if tree.get(path).is_some_and(|other| !are_folders(other)) {
                tree.retain(|other, _| !other.starts_with(path));
            }
            tree.insert(path.clone(), Node { inode: inodes + node.inode, ..node.clone() });
        }
    }
}

fn device(kind: &'static str, header: &Header) -> Result<Kind> {
    let number = |number: Option<u32>| number.ok_or("a device without numbers");
    Ok(Kind::Device(kind, number(header.device_major()?)?, number(header.device_minor()?)?))
}

/// A file's content; of RECORD all but the line of REQUESTED (row `requested` of the table), of a compiled module all but
/// the time of its source (row `times`).
fn content(entry: &mut impl Read, path: &Path) -> Result<Kind> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    if path.ends_with("RECORD") {
        let is_kept = |line: &&[u8]| !line.windows(REQUESTED.len()).any(|window| window == REQUESTED);
        bytes = bytes.split_inclusive(|byte| *byte == b'\n').filter(is_kept).collect::<Vec<_>>().concat();
    }
    if path.extension().is_some_and(|extension| extension == "pyc")
        && let Some(time) = bytes.get_mut(8..12)
    {
        time.fill(0);
    }
    let mut digest = String::new();
    for byte in Sha256::digest(&bytes) {
        write!(digest, "{byte:02x}")?;
    }
    Ok(Kind::File { size: bytes.len() as u64, digest })
}

fn xattrs(entry: &mut tar::Entry<'_, impl Read>) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        if let Some(name) = record.key()?.strip_prefix("SCHILY.xattr.") {
            found.insert(name.to_owned(), record.value_bytes().to_vec());
        }
    }
    Ok(found)
}

/// The path from the root, without `.`, a leading `/` or a trailing one; `..` is refused.
fn rooted(path: &Path) -> Result<PathBuf> {
    let mut rooted = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => rooted.push(name),
            Component::CurDir | Component::RootDir => {}
            _ => return Err(format!("`{}` leads out of the image", path.display()).into()),
        }
    }
    Ok(rooted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::Builder;

    /// A layer of these: `dir/`, `file=content`, `link->target`, `hard=>target`.
    fn layer(entries: &[&str]) -> Layer {
        let mut builder = Builder::new(Vec::new());
        for entry in entries {
            let mut header = Header::new_ustar();
            header.set_mode(0o700);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            if let Some((path, target)) = entry.split_once("->") {
                header.set_entry_type(EntryType::Symlink);
                builder.append_link(&mut header, path, target).unwrap();
            } else if let Some((path, target)) = entry.split_once("=>") {
                header.set_entry_type(EntryType::Link);
                builder.append_link(&mut header, path, target).unwrap();
            } else if let Some((path, content)) = entry.split_once('=') {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content.as_bytes()).unwrap();
            } else {
                header.set_entry_type(EntryType::Directory);
                builder.append_data(&mut header, entry, &b""[..]).unwrap();
            }
        }
        let bytes = builder.into_inner().unwrap();
        let mut layer = Layer::default();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            layer.add(&mut entry.unwrap()).unwrap();
        }
        layer
    }

    fn flatten(layers: &[&[&str]]) -> Tree {
        let (mut tree, mut inodes) = (Tree::new(), 0);
        for entries in layers {
            let layer = layer(entries);
            layer.lay_over(&mut tree, inodes);
            inodes += layer.inodes;
        }
        tree
    }

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.keys().map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn whiteouts_remove_what_lies_below_and_only_that() {
        let below: &[&str] = &["a/x=1", "a/y=1", "ab=1", "b/x=1"];
        let above: &[&str] = &[".wh.a", "b/", "b/new=2", "b/.wh..wh..opq"];
        assert_eq!(paths(&flatten(&[below, above])), ["ab", "b", "b/new"]);
    }

    #[test]
    fn a_layer_is_unpacked_alone() {
        let tree = flatten(&[&["lib->usr/lib", "tmp/", "usr/lib/a=1"], &["lib/x=2", "tmp/y=2"]]);
        assert_eq!(paths(&tree), ["lib", "lib/x", "tmp", "tmp/y", "usr", "usr/lib", "usr/lib/a"]);
        assert_eq!(tree[Path::new("lib")].kind, Kind::Directory);
        assert_eq!(tree[Path::new("tmp")].mode, 0o755, "the layer has no `tmp` of its own");
    }

    #[test]
    fn files_replace_folders_and_folders_merge() {
        let tree = flatten(&[&["a/x=1", "b/x=1"], &["a=2", "b/", "b/y=2"]]);
        assert_eq!(paths(&tree), ["a", "b", "b/x", "b/y"]);
        assert_eq!(tree[Path::new("b")].mode, 0o700);
    }

    #[test]
    fn links_share_an_inode() {
        let tree = flatten(&[&["a=1", "b=>a", "c=1"]]);
        let inode = |path: &str| tree[Path::new(path)].inode;
        assert_eq!(inode("a"), inode("b"));
        assert_ne!(inode("a"), inode("c"));
    }

    #[test]
    fn paths_start_at_the_root() {
        assert_eq!(rooted(Path::new("./a//b/")).unwrap(), Path::new("a/b"));
        assert_eq!(rooted(Path::new("/a")).unwrap(), Path::new("a"));
        assert!(rooted(Path::new("a/../b")).is_err());
    }
}
