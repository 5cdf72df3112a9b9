//! OCI image layouts (image spec, «Image Layout»): a directory, or the same in a tar.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cartwheel_store::Digest;

use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Documents, Layer, json};
use crate::manifest::{ImageIndex, LARGEST_DOCUMENT};
use crate::reference::Reference;
use crate::source::{Sink, Source};

/// What the file `oci-layout` says.
pub(crate) const LAYOUT_VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The annotation by which a layout names its images.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation by which BuildKit and containerd name them, in full.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

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
    /// For a tar: where each member's content is.
    members: Option<Members>,
}

impl ImageLayout {
    /// Opens a layout and reads its index.
    pub fn open(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(Error::io("open", path))?;
        let members = if metadata.is_dir() { None } else { Some(list_members(path)?) };
        let index = ImageIndex::new(Vec::new());
        let mut layout = Self { path: path.to_owned(), index, members };
        let not_layout = |reason| ErrorKind::NotLayout { path: path.to_owned(), reason };
        let version = layout.member("oci-layout")?.ok_or(not_layout("it has no file `oci-layout`"))?;
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
        let Some((file, members)) = &self.members else {
            let path = self.path.join(name);
            return match File::open(&path) {
                Ok(file) => Ok(Some(Box::new(file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Error::io("open", &path)(error)),
            };
        };
        let reader = members.get(name).map(|&(offset, size)| Section { file, offset, end: offset + size });
        Ok(reader.map(|reader| Box::new(reader) as Box<dyn Read + Send>))
    }
}

impl Source for ImageLayout {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let missing = ErrorKind::MissingBlob { digest: descriptor.digest, path: self.path.clone() };
        self.open_member(&blob_name(descriptor.digest))?.ok_or_else(|| missing.into())
    }

    fn place(&self) -> PathBuf {
        self.path.clone()
    }
}

fn is_named(entry: &Descriptor, name: &str) -> bool {
    let annotated = |key: &str| entry.annotations.get(key).is_some_and(|found| found == name);
    annotated(REF_NAME) || annotated(CONTAINERD_NAME) || entry.digest.to_string() == name
}

/// A tar, and the offset and size of each file in it.
type Members = (File, BTreeMap<String, (u64, u64)>);

/// Lists the files of a tar and where their content is. Later members replace earlier ones, as when unpacking.
fn list_members(path: &Path) -> Result<Members> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let not_archive =
        |_| Error::from(ErrorKind::NotLayout { path: path.to_owned(), reason: "it is not a tar archive" });
    let mut members = BTreeMap::new();
    let mut archive = tar::Archive::new(&file);
    for entry in archive.entries_with_seek().map_err(not_archive)? {
        let entry = entry.map_err(not_archive)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        if entry.header().entry_type().is_file() {
            members.insert(name, (entry.raw_file_position(), entry.size()));
        }
    }
    Ok((file, members))
}

/// A part of a file.
struct Section<'a> {
    file: &'a File,
    offset: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (self.end - self.offset).min(buffer.len() as u64) as usize;
        let count = self.file.read_at(&mut buffer[..length], self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
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
}

impl Sink for LayoutWriter {
    fn put_blob(&mut self, descriptor: &Descriptor, source: &dyn Source) -> Result<()> {
        self.put(descriptor.digest, descriptor.size, &mut source.open(descriptor)?)
    }

    fn publish(&mut self, image: &Documents, _: &[Layer], names: &[Reference]) -> Result<()> {
        self.put(Digest::of(&image.config), image.config.len() as u64, &mut &image.config[..])?;
        self.put(image.descriptor.digest, image.descriptor.size, &mut &image.manifest[..])?;
        let new = index_entries(&image.descriptor, names);
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
