//! From wheels to layers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cartwheel_oci::layer::{self, Content, ContentDigest, Encoding, Entry, LayerError, Tree};
use cartwheel_oci::{Descriptor, Layer, media_type};
use cartwheel_python::{
    DirectUrl, FileDigest, InstallOptions, InstalledContent, InstalledFile, LockedWheel, Method, Scheme,
    Tool, Wheel, WheelLocation, compiled_path, install, modules, traced_path,
};
use cartwheel_store::{Blob, Digest, Key, Record, Store};
use serde::{Deserialize, Serialize};

use crate::bytecode::{Bytecode, Compiler};
use crate::error::{Error, ErrorKind, Result};
use crate::ground::Ground;
use crate::pack::Parcel;
use crate::stage::remember;

/// A layer that was made once and need not be made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    /// The layer.
    pub(crate) layer: Layer,
}

impl Record for LayerRecord {
    const KIND: &'static str = "layer-1";
}

/// A wheel that was opened and described under a scheme; nothing of it is unpacked.
#[derive(Debug)]
pub struct Prepared {
    name: String,
    identity: String,
    wheel: Wheel,
    scheme: Scheme,
    options: InstallOptions,
    files: Vec<InstalledFile>,
}

/// A module that can be compiled.
pub(crate) struct Module<'a> {
    /// Absolute in the image, without the leading slash.
    pub(crate) path: &'a str,
    /// Under which path it is compiled.
    pub(crate) traced: String,
    pub(crate) content: Content,
    pub(crate) size: u64,
}

impl Prepared {
    /// Opens the wheel, checks all but its content, and says which files it becomes.
    pub fn open(locked: &LockedWheel, blob: Blob, scheme: &Scheme, tool: Tool) -> Result<Self> {
        let wheel = Wheel::open(blob, &locked.filename)?;
        // REQUESTED would make the layer depend on who asked for the package; see docs/wheels.md.
        let options = InstallOptions { direct_url: direct_url(locked), tool, ..InstallOptions::default() };
        let files = install(&wheel, scheme, &options)?;
        let (name, identity, scheme) = (locked.name.clone(), identity(locked), scheme.clone());
        Ok(Self { name, identity, wheel, scheme, options, files })
    }

    fn modules(&self) -> impl Iterator<Item = &InstalledFile> {
        modules(&self.files, &self.scheme, self.options.tool)
    }

    /// What its modules compile to, and its files, among which RECORD says so.
    fn compile(&self, compiler: &Compiler<'_, '_>) -> Result<(Bytecode, Vec<InstalledFile>)> {
        let modules: Vec<Module<'_>> = self
            .modules()
            .map(|file| Module {
                path: &file.path,
                traced: traced_path(&file.path, &self.scheme),
                content: content(self, file),
                size: file.content.size(),
            })
            .collect();
        let places = Placement(&[self]).digest();
        let bytecode = compiler.wheel((&self.identity, places), self.options.tool, &modules)?;
        let options = InstallOptions {
            cache_tag: Some(compiler.cache_tag().to_owned()),
            uncompiled: bytecode.failed.iter().cloned().collect(),
            ..self.options.clone()
        };
        Ok((bytecode, install(&self.wheel, &self.scheme, &options)?))
    }

    /// What packing has to know.
    fn parcel(&self, conflicts: bool) -> Parcel {
        Parcel { name: self.name.clone(), size: self.wheel.archive().blob().size(), conflicts }
    }
}

/// What of a wheel enters a key: its digest, and the URL that `direct_url.json` will hold.
pub(crate) fn identity(locked: &LockedWheel) -> String {
    match direct_url(locked) {
        Some(DirectUrl::Wheel { url, .. } | DirectUrl::Source(url)) => format!("{} {url}", locked.digest),
        None => locked.digest.to_string(),
    }
}

fn direct_url(locked: &LockedWheel) -> Option<DirectUrl> {
    if let Some(text) = &locked.direct_url {
        return Some(DirectUrl::Source(text.clone()));
    }
    let url = match &locked.location {
        WheelLocation::Url(url) => url.clone(),
        WheelLocation::Path(path) => format!("file://{}", path.display()),
    };
    locked.direct.then_some(DirectUrl::Wheel { url, sha256: locked.digest })
}

/// What packing has to know about wheels in the order of installation, and what the user has to know.
pub(crate) fn parcels(wheels: &[Prepared]) -> (Vec<Parcel>, Vec<String>) {
    let mut owners: HashMap<&str, usize> = HashMap::new();
    let mut conflicts = BTreeSet::new();
    let mut told = BTreeMap::new();
    for (index, wheel) in wheels.iter().enumerate() {
        for file in &wheel.files {
            let Some(earlier) = owners.insert(&file.path, index).filter(|&earlier| earlier != index) else {
                continue;
            };
            if !same_content(&wheels[earlier], &file.path, file) {
                conflicts.extend([earlier, index]);
                told.entry((earlier, index)).or_insert(&file.path);
            }
        }
    }
    let parcel = |(index, wheel): (usize, &Prepared)| wheel.parcel(conflicts.contains(&index));
    let warning = |((earlier, later), path): (&(usize, usize), &&String)| {
        let (earlier, later) = (&wheels[*earlier].name, &wheels[*later].name);
        format!(
            "`{earlier}` and `{later}` both install `{path}` with different content: that of `{later}` is used, as pip would"
        )
    };
    (wheels.iter().enumerate().map(parcel).collect(), told.iter().map(warning).collect())
}

fn same_content(wheel: &Prepared, path: &str, file: &InstalledFile) -> bool {
    let Ok(index) = wheel.files.binary_search_by(|other| other.path.as_str().cmp(path)) else { return false };
    let other = &wheel.files[index];
    let same = match (&other.content, &file.content) {
        (InstalledContent::Generated(one), InstalledContent::Generated(two)) => one == two,
        (
            InstalledContent::Member { size, crc32, expected, .. },
            InstalledContent::Member { size: size2, crc32: crc2, expected: expected2, .. },
        ) => (size, crc32, expected) == (size2, crc2, expected2),
        _ => false,
    };
    same && other.executable == file.executable
}

/// Makes the layer of a group of wheels without bytecode, or finds it; says whether it was found.
pub fn layer_of(
    store: &Store,
    group: &[&Prepared],
    ground: &Ground<'_>,
    epoch: Epoch,
) -> Result<(Layer, bool)> {
    layer_with(store, group, (ground, epoch), None)
}

/// The same, with what the modules compile to. That is worked out only if the layer is not there.
pub(crate) fn layer_with(
    store: &Store,
    group: &[&Prepared],
    (ground, epoch): (&Ground<'_>, Epoch),
    compiler: Option<&Compiler<'_, '_>>,
) -> Result<(Layer, bool)> {
    let what = names(group);
    let key = Key::<LayerRecord>::new()
        .with("bytecode", compiler.map_or("none".to_owned(), Compiler::identity))
        .with("format", layer::FORMAT)
        .with("generation", GENERATION)
        .with("mtime", epoch.mtime())
        .with("parents", ground.fingerprint(places(group, ground, compiler)?.iter().map(String::as_str)))
        .with("scheme", Placement(group).digest())
        .with("wheels", group.iter().map(|wheel| wheel.identity.as_str()).collect::<Vec<_>>().join("\n"));
    find_or_make(store, &key, &what, || Ok((tree(group, ground, epoch, compiler)?, Encoding::Spliced)))
}

/// What the layer of a group of wheels without bytecode will contain.
pub fn tree_of(group: &[&Prepared], ground: &Ground<'_>, epoch: Epoch) -> Result<Tree> {
    tree(group, ground, epoch, None)
}

/// Of two files at one place the later wins; they have the same content, or the group would not be one.
fn tree(
    group: &[&Prepared],
    ground: &Ground<'_>,
    epoch: Epoch,
    compiler: Option<&Compiler<'_, '_>>,
) -> Result<Tree> {
    let mut entries = BTreeMap::new();
    for wheel in group {
        let file = |file: &InstalledFile| (file.path.clone(), content(wheel, file), file.executable);
        let Some(compiler) = compiler else {
            add(&mut entries, wheel.files.iter().map(file), ground)?;
            continue;
        };
        let (bytecode, files) = wheel.compile(compiler)?;
        add(&mut entries, files.iter().map(file), ground)?;
        add(&mut entries, bytecode.files.into_iter().map(|(path, content)| (path, content, false)), ground)?;
    }
    tree_from(entries, &names(group), ground, epoch)
}

/// A tree of files by their places, with the directories that must come along.
pub(crate) fn tree_from(
    entries: BTreeMap<String, Entry>,
    what: &str,
    ground: &Ground<'_>,
    epoch: Epoch,
) -> Result<Tree> {
    let mut tree = Tree::new();
    for (place, entry) in entries {
        let refused = |source| ErrorKind::Tree { what: what.to_owned(), source };
        tree.insert(place, entry.with_mtime(epoch.mtime())).map_err(refused)?;
    }
    ground.add_parents(&mut tree);
    Ok(tree)
}

/// Adds files, given by path, content and whether they can be executed, at their places.
pub(crate) fn add(
    entries: &mut BTreeMap<String, Entry>,
    files: impl Iterator<Item = (String, Content, bool)>,
    ground: &Ground<'_>,
) -> Result<()> {
    for (path, content, executable) in files {
        entries.insert(ground.place(&path)?, Entry::file(content, executable));
    }
    Ok(())
}

fn names(group: &[&Prepared]) -> String {
    group.iter().map(|wheel| wheel.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The version of how a wheel becomes a tree; a change of [`install`] or of this file changes it.
pub(crate) const GENERATION: u32 = 3;

/// When files of ours were last changed, and images made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epoch {
    /// The fixed instant for files, the first build of this content for images.
    Fixed,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970, for both.
    Source(u64),
}

impl Epoch {
    /// The modification time of files of ours.
    pub fn mtime(self) -> u64 {
        match self {
            Self::Fixed => layer::FIXED_TIME,
            Self::Source(seconds) => seconds,
        }
    }
}

/// Where each file of the wheels goes, in a form for the key: the library and script directories are in every path.
struct Placement<'a>(&'a [&'a Prepared]);

impl Placement<'_> {
    fn digest(&self) -> Digest {
        let mut hasher = cartwheel_store::Hasher::default();
        for file in self.0.iter().flat_map(|wheel| &wheel.files) {
            hasher.update(file.path.as_bytes());
            hasher.update(&[0]);
            if let InstalledContent::Generated(bytes) = &file.content {
                hasher.update(bytes);
            }
        }
        hasher.finish()
    }
}

/// Where the files of a group go, and what their modules compile to.
fn places(
    group: &[&Prepared],
    ground: &Ground<'_>,
    compiler: Option<&Compiler<'_, '_>>,
) -> Result<BTreeSet<String>> {
    let mut places = BTreeSet::new();
    for wheel in group {
        for file in &wheel.files {
            places.insert(ground.place(&file.path)?);
        }
        for module in compiler.into_iter().flat_map(|_| wheel.modules()) {
            places.insert(ground.place(&compiled_path(&module.path, ""))?);
        }
    }
    Ok(places)
}

fn content(wheel: &Prepared, file: &InstalledFile) -> Content {
    match &file.content {
        InstalledContent::Generated(bytes) => Content::Bytes(bytes.clone()),
        InstalledContent::Member { offset, compressed_size, size, crc32, method, expected } => {
            let method = match method {
                Method::Stored => layer::Method::Stored,
                Method::Deflated => layer::Method::Deflated,
            };
            Content::Member(layer::Member {
                wheel: wheel.wheel.archive().blob().clone(),
                offset: *offset,
                compressed_size: *compressed_size,
                size: *size,
                crc32: *crc32,
                method,
                expected: expected.map(content_digest),
            })
        }
    }
}

fn content_digest(digest: FileDigest) -> ContentDigest {
    match digest {
        FileDigest::Sha256(bytes) => ContentDigest::Sha256(Digest::from_bytes(bytes)),
        FileDigest::Sha384(bytes) => ContentDigest::Sha384(Box::new(bytes)),
        FileDigest::Sha512(bytes) => ContentDigest::Sha512(Box::new(bytes)),
    }
}

/// The layer under `key`, if its blob is there.
pub(crate) fn find(store: &Store, key: &Key<LayerRecord>) -> Option<Layer> {
    let layer = store.get(key)?.layer;
    store.has_blob(layer.descriptor.digest, layer.descriptor.size).then_some(layer)
}

/// The layer under `key` if its blob is there; otherwise it is made from the tree that `describe` gives. Says whether it
/// was found.
pub(crate) fn find_or_make(
    store: &Store,
    key: &Key<LayerRecord>,
    what: &str,
    describe: impl FnOnce() -> Result<(Tree, Encoding)>,
) -> Result<(Layer, bool)> {
    if let Some(layer) = find(store, key) {
        return Ok((layer, true));
    }
    let (tree, encoding) = describe()?;
    let layer = make(store, what, &tree, encoding)?;
    store.put(key, &LayerRecord { layer: layer.clone() })?;
    Ok((layer, false))
}

/// Writes the layer that a tree describes into the store. `what` names it in errors.
pub(crate) fn make(store: &Store, what: &str, tree: &Tree, encoding: Encoding) -> Result<Layer> {
    let mut writer = store.writer()?;
    let written = layer::write(tree, encoding, &mut writer).map_err(|source| match source {
        // A full disk is the store's trouble, not the layer's.
        LayerError::Write(source) => Error::io("write a layer to", store.root())(source),
        source => ErrorKind::Layer { what: what.to_owned(), source }.into(),
    })?;
    let (digest, blob) = writer.commit()?;
    let descriptor = Descriptor::new(media_type::LAYER_GZIP, digest, blob.size());
    let layer = Layer { descriptor, diff_id: written.diff_id };
    remember(store, &layer, tree)?;
    Ok(layer)
}
