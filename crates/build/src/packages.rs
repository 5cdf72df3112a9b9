//! From wheels to layers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cartwheel_oci::layer::{self, Content, ContentDigest, Encoding, Entry, LayerError, Tree};
use cartwheel_oci::{Descriptor, Layer, media_type};
use cartwheel_python::{
    DirectUrl, FileDigest, InstallOptions, InstalledContent, InstalledFile, LockedWheel, Method, Scheme,
    Tool, Wheel, WheelLocation, install,
};
use cartwheel_store::{Blob, Digest, Key, Record, Store};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::ground::Ground;
use crate::installed::Installed;
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
    files: Vec<InstalledFile>,
}

impl Prepared {
    /// Opens the wheel, checks all but its content, and says which files it becomes.
    pub fn open(locked: &LockedWheel, blob: Blob, scheme: &Scheme, tool: Tool) -> Result<Self> {
        let wheel = Wheel::open(blob, &locked.filename)?;
        // REQUESTED would make the layer depend on who asked for the package; see docs/wheels.md.
        let options = InstallOptions { direct_url: direct_url(locked), tool, ..InstallOptions::default() };
        let files = install(&wheel, scheme, &options)?;
        Ok(Self { name: locked.name.clone(), identity: identity(locked), wheel, files })
    }

    /// What packing has to know.
    fn parcel(&self, conflicts: bool) -> Parcel {
        Parcel { name: self.name.clone(), size: self.wheel.archive().blob().size(), conflicts }
    }
}

/// What of a wheel enters a key: its digest, and the URL that `direct_url.json` will hold.
pub(crate) fn identity(locked: &LockedWheel) -> String {
    match direct_url(locked) {
        Some(direct) => format!("{} {}", locked.digest, direct.url),
        None => locked.digest.to_string(),
    }
}

fn direct_url(locked: &LockedWheel) -> Option<DirectUrl> {
    let url = match &locked.location {
        WheelLocation::Url(url) => url.clone(),
        WheelLocation::Path(path) => format!("file://{}", path.display()),
    };
    locked.direct.then_some(DirectUrl { url, sha256: locked.digest })
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

/// Makes the layer of a group of wheels, or finds it; says whether it was found.
pub fn layer_of(
    store: &Store,
    group: &[&Prepared],
    ground: &Ground<'_>,
    epoch: Epoch,
) -> Result<(Layer, bool)> {
    let what = names(group);
    let files = placed_files(group, ground)?;
    let key = Key::<LayerRecord>::new()
        .with("format", layer::FORMAT)
        .with("generation", GENERATION)
        .with("mtime", epoch.mtime())
        .with("parents", ground.fingerprint(files.keys().map(String::as_str)))
        .with("scheme", Placement(group))
        .with("wheels", group.iter().map(|wheel| wheel.identity.as_str()).collect::<Vec<_>>().join("\n"));
    find_or_make(store, &key, &what, || Ok((tree(files, &what, ground, epoch)?, Encoding::Spliced)))
}

/// What the layer of a group of wheels will contain.
pub fn tree_of(group: &[&Prepared], ground: &Ground<'_>, epoch: Epoch) -> Result<Tree> {
    tree(placed_files(group, ground)?, &names(group), ground, epoch)
}

fn tree(files: PlacedFiles<'_>, what: &str, ground: &Ground<'_>, epoch: Epoch) -> Result<Tree> {
    let mut tree = Tree::new();
    for (place, (wheel, file)) in files {
        let entry = Entry::file(content(wheel, file), file.executable).with_mtime(epoch.mtime());
        let refused = |source| ErrorKind::Tree { what: what.to_owned(), source };
        tree.insert(place, entry).map_err(refused)?;
    }
    ground.add_parents(&mut tree);
    Ok(tree)
}

fn names(group: &[&Prepared]) -> String {
    group.iter().map(|wheel| wheel.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The version of how a wheel becomes a tree; a change of [`install`] or of this file changes it.
pub(crate) const GENERATION: u32 = 2;

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

impl std::fmt::Display for Placement<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut hasher = cartwheel_store::Hasher::default();
        for file in self.0.iter().flat_map(|wheel| &wheel.files) {
            hasher.update(file.path.as_bytes());
            hasher.update(&[0]);
            if let InstalledContent::Generated(bytes) = &file.content {
                hasher.update(bytes);
            }
        }
        hasher.finish().fmt(f)
    }
}

type PlacedFiles<'a> = BTreeMap<String, (&'a Prepared, &'a InstalledFile)>;

/// The files of a group by place. Of two at one place the later wins; they have the same content, or the group would not
/// be one.
fn placed_files<'a>(group: &[&'a Prepared], ground: &Ground<'_>) -> Result<PlacedFiles<'a>> {
    let mut files = BTreeMap::new();
    for wheel in group {
        for file in &wheel.files {
            files.insert(ground.place(&file.path)?, (*wheel, file));
        }
    }
    Ok(files)
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

/// The layer that removes distributions of the base which are replaced: whiteouts for their files, and for directories that
/// hold nothing else.
pub(crate) fn removal_layer(
    store: &Store,
    replaced: &[&Installed],
    below: &cartwheel_oci::Below,
    library: &str,
) -> Result<Layer> {
    let files: BTreeSet<&str> =
        replaced.iter().flat_map(|installed| &installed.files).map(String::as_str).collect();
    let there = files.iter().filter(|path| below.get(path).is_some());
    let removed: BTreeSet<&str> = there.map(|path| emptied(path, &files, below, library)).collect();
    let key = Key::<LayerRecord>::new()
        .with("format", layer::FORMAT)
        .with("whiteouts", removed.iter().copied().collect::<Vec<_>>().join("\n"));
    let (layer, _) = find_or_make(store, &key, "removed distributions", || {
        let mut tree = Tree::new();
        let what = "removed distributions".to_owned();
        for path in removed {
            tree.remove_below(path).map_err(|source| ErrorKind::Tree { what: what.clone(), source })?;
        }
        Ground::new(below, &[], layer::FIXED_TIME)?.add_parents(&mut tree);
        Ok((tree, Encoding::Spliced))
    })?;
    Ok(layer)
}

/// The outermost directory above `path`, inside the library, that holds only `files`; or `path` itself.
fn emptied<'p>(
    path: &'p str,
    files: &BTreeSet<&str>,
    below: &cartwheel_oci::Below,
    library: &str,
) -> &'p str {
    let inside = |folder: &str| folder.strip_prefix(library).is_some_and(|rest| rest.starts_with('/'));
    let only_ours = |folder: &str| {
        let mut leaves = below.children(folder).filter(|(_, node)| !node.is_directory());
        leaves.all(|(child, _)| files.contains(child))
    };
    let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
    folders.filter(|folder| inside(folder)).find(|folder| only_ours(folder)).unwrap_or(path)
}
