//! OCI image layouts (image spec, «Image Layout»): a directory, or the same in a tar. Archives of `docker save` are read as one.

mod docker;
mod members;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cartwheel_store::Digest;

use crate::descriptor::{CONTAINERD_NAME, Descriptor, REF_NAME};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Documents, IndexDocuments, Layer, json};
use crate::manifest::{ImageIndex, LARGEST_DOCUMENT};
use crate::reference::Reference;
use crate::source::{Sink, Source};
use docker::Elsewhere;
use members::Members;

/// What the file `oci-layout` says.
pub(crate) const LAYOUT_VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Where the blob of `digest` lies in a layout.
pub(crate) fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The entries that an image gets in `index.json`: one for each name, as BuildKit writes them.
pub(crate) fn index_entries(descriptor: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    if names.is_empty() {
        return vec![descriptor.clone()];
    }
    let named = |name: &Reference| {
        let mut entry = descriptor.clone();
        entry.annotations.insert(CONTAINERD_NAME.to_owned(), name.to_string());
        if let Some(tag) = name.tag() {
            entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        }
        entry
    };
    names.iter().map(named).collect()
}

/// An existing layout: a directory or a tar.
#[derive(Debug)]
pub struct ImageLayout {
    path: PathBuf,
    index: ImageIndex,
    /// For a tar: where each file's content is.
    members: Option<Members>,
    /// Blobs that do not lie where a layout has them.
    elsewhere: BTreeMap<Digest, Elsewhere>,
}

impl ImageLayout {
    /// Opens a layout, as directory or tar, or an archive of `docker save`, and reads its index.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        if !file.metadata().map_err(Error::io("open", path))?.is_dir() {
            return Self::open_archive(file, path);
        }
        Self::read_index(path, None)
    }

    /// The same with a tar that is open already; `path` is kept for messages.
    pub fn open_archive(file: File, path: &Path) -> Result<Self> {
        Self::read_index(path, Some(Members::list(file, path)?))
    }

    fn read_index(path: &Path, members: Option<Members>) -> Result<Self> {
        let (index, elsewhere) = (ImageIndex::new(Vec::new()), BTreeMap::new());
        let mut layout = Self { path: path.to_owned(), index, members, elsewhere };
        let not_layout = |reason| ErrorKind::NotLayout { path: path.to_owned(), reason };
        let Some(version) = layout.member("oci-layout")? else {
            let manifest = layout.member("manifest.json")?;
            let (manifest, members) =
                manifest.zip(layout.members.as_ref()).ok_or(not_layout("it has no file `oci-layout`"))?;
            let translated = docker::translate(&manifest, members, path)?;
            layout.elsewhere = translated.blobs;
            layout.index.manifests = translated.images;
            return Ok(layout);
        };
        if !version.starts_with(b"{") {
            return Err(not_layout("its file `oci-layout` is not JSON").into());
        }
        let text = layout.member("index.json")?.ok_or(not_layout("it has no file `index.json`"))?;
        layout.index = ImageIndex::parse(&text)?;
        Ok(layout)
    }

    /// The image of this name (a tag, a full name or a digest), or the only one.
    pub fn find(&self, name: Option<&str>) -> Result<&Descriptor> {
        let entries = || self.index.manifests.iter();
        let found: Vec<&Descriptor> = match name {
            Some(name) => entries().filter(|entry| is_named(entry, name)).collect(),
            None => entries().collect(),
        };
        match (&found[..], name) {
            ([], name) => {
                let name = name.unwrap_or("any").to_owned();
                Err(ErrorKind::NoSuchImage { path: self.path.clone(), name, found: self.names() }.into())
            }
            ([one, rest @ ..], _) if rest.iter().all(|other| other.digest == one.digest) => Ok(one),
            _ => Err(ErrorKind::ChooseImage { path: self.path.clone(), found: self.names() }.into()),
        }
    }

    /// All images that the index lists.
    pub fn images(&self) -> &[Descriptor] {
        &self.index.manifests
    }

    /// The full name of an image that the index lists, if it has one.
    pub fn name(&self, image: &Descriptor) -> Option<Reference> {
        let named = |key: &str| image.annotations.get(key);
        named(CONTAINERD_NAME).or_else(|| named(REF_NAME).filter(|name| name.contains('/')))?.parse().ok()
    }

    fn names(&self) -> Vec<String> {
        let name = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
        self.index
            .manifests
            .iter()
            .map(|entry| name(entry).unwrap_or_else(|| entry.digest.to_string()))
            .collect()
    }

    /// A small file of the layout; `None` if it is not there.
    fn member(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(reader) = self.open_member(name)? else { return Ok(None) };
        let mut text = Vec::new();
        reader.take(LARGEST_DOCUMENT).read_to_end(&mut text).map_err(Error::io("read", &self.path))?;
        Ok(Some(text))
    }

    fn open_member(&self, name: &str) -> Result<Option<Box<dyn Read + Send + '_>>> {
        let Some(members) = &self.members else {
            let path = self.path.join(name);
            return match File::open(&path) {
                Ok(file) => Ok(Some(Box::new(file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Error::io("open", &path)(error)),
            };
        };
        Ok(members.open(name).map(|reader| Box::new(reader) as Box<dyn Read + Send>))
    }
}

impl Source for ImageLayout {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let missing = ErrorKind::MissingBlob { digest: descriptor.digest, path: self.path.clone() };
        let name = match self.elsewhere.get(&descriptor.digest) {
            Some(Elsewhere::Made(text)) => return Ok(Box::new(&text[..])),
            Some(Elsewhere::Member(name)) => name.clone(),
            None => blob_name(descriptor.digest),
        };
        self.open_member(&name)?.ok_or_else(|| missing.into())
    }

    fn place(&self) -> PathBuf {
        self.path.clone()
    }
}

fn is_named(entry: &Descriptor, name: &str) -> bool {
    let annotated = |key: &str| entry.annotations.get(key).is_some_and(|found| found == name);
    annotated(REF_NAME) || annotated(CONTAINERD_NAME) || entry.digest.to_string() == name
}

/// Writes images into a layout directory, beside those that are there.
///
/// Blobs come first, each under a temporary name until it is whole, and `index.json` last: a reader that comes too early,
/// or after a crash, sees the layout as it was.
#[derive(Debug)]
pub struct LayoutWriter {
    path: PathBuf,
}

impl LayoutWriter {
    /// Makes the directory if it is not there. Anything else in its place is an error.
    pub fn create(path: &Path) -> Result<Self> {
        let blobs = path.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(Error::io("create", &blobs))?;
        Ok(Self { path: path.to_owned() })
    }

    fn put(&self, digest: Digest, size: u64, reader: &mut dyn Read) -> Result<()> {
        let path = self.path.join(blob_name(digest));
        if fs::metadata(&path).is_ok_and(|found| found.len() == size) {
            return Ok(());
        }
        write_and_rename(&path, |file| io::copy(reader, file).map(|_| ()))
    }

    fn put_documents(&self, image: &Documents) -> Result<()> {
        self.put(Digest::of(&image.config), image.config.len() as u64, &mut &image.config[..])?;
        self.put(image.descriptor.digest, image.descriptor.size, &mut &image.manifest[..])
    }

    /// Lists an image or index in `index.json`.
    fn list(&self, descriptor: &Descriptor, names: &[Reference]) -> Result<()> {
        let new = index_entries(descriptor, names);
        let mut index = match ImageLayout::open(&self.path) {
            Ok(layout) => layout.index,
            Err(error) if matches!(error.kind(), ErrorKind::NotLayout { .. }) => ImageIndex::new(Vec::new()),
            Err(error) => return Err(error),
        };
        index.manifests.retain(|old| !new.iter().any(|new| replaces(new, old)));
        index.manifests.extend(new);
        write_and_rename(&self.path.join("oci-layout"), |file| {
            io::copy(&mut &LAYOUT_VERSION[..], file).map(|_| ())
        })?;
        write_and_rename(&self.path.join("index.json"), |file| {
            io::copy(&mut &json(&index)[..], file).map(|_| ())
        })
    }
}

impl Sink for LayoutWriter {
    fn put_blob(&mut self, descriptor: &Descriptor, source: &dyn Source) -> Result<()> {
        self.put(descriptor.digest, descriptor.size, &mut source.open(descriptor)?)
    }

    fn publish(&mut self, image: &Documents, _: &[Layer], names: &[Reference]) -> Result<()> {
        self.put_documents(image)?;
        self.list(&image.descriptor, names)
    }

    fn publish_index(&mut self, index: &IndexDocuments, names: &[Reference]) -> Result<()> {
        index.images.iter().try_for_each(|image| self.put_documents(image))?;
        self.put(index.descriptor.digest, index.descriptor.size, &mut &index.index[..])?;
        self.list(&index.descriptor, names)
    }
}

/// An entry of the same name, or the same image without a name.
fn replaces(new: &Descriptor, old: &Descriptor) -> bool {
    let name = |entry: &Descriptor| entry.annotations.get(CONTAINERD_NAME).cloned();
    name(new) == name(old) && (name(new).is_some() || new.digest == old.digest)
}

/// Writes a file beside `path` and renames it: nobody sees half of it.
pub fn write_and_rename(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.partial-");
    sweep(parent, &prefix);
    let temporary = parent.join(format!("{prefix}{}", std::process::id()));
    let finish = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.lock()?;
        write(&mut file)?;
        fs::rename(&temporary, path)
    };
    finish().map_err(|source| {
        let _already_failing = fs::remove_file(&temporary);
        Error::io("write", path)(source)
    })
}

/// Removes what a killed process left beside an output: files of our name whose lock is free.
fn sweep(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(prefix);
        if ours && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _next_time = fs::remove_file(entry.path());
        }
    }
}
