//! The files of images, for whoever wants no image: `--output type=local` and `type=tar`.
//!
//! As BuildKit's exporters give them: modes, times and links are the image's. A tar has the image's owners; in a directory
//! everything belongs to whoever runs the build, and what was in it stays unless a file of the image has its path. Of
//! several platforms, each has a directory of its own, `linux_amd64`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use cartwheel_oci::layer::{Content, Entry, Kind, Tree};
use cartwheel_oci::{Image, RegistryClient};
use cartwheel_store::Store;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat, utimensat,
};

use crate::error::{Error, ErrorKind, Result};
use crate::files::{FileNode, FileSet, join};
use crate::stage::StageState;

/// The files of an image, or of several, with their contents.
pub fn files_of(images: &[&Image], store: &Store, registries: &RegistryClient) -> Result<Tree> {
    let mut tree = Tree::new();
    for image in images {
        let mut prefix = String::new();
        if images.len() > 1 {
            prefix = image.config().platform().to_string().replace('/', "_");
            insert(&mut tree, &prefix, Entry::directory().with_mtime(0))?;
        }
        let state = StageState::new(store, (*image).clone(), Some(registries));
        add(&mut tree, &state.files()?, &prefix, |path| state.content(path))?;
    }
    Ok(tree)
}

/// Adds files below `prefix`, with their contents.
fn add(
    tree: &mut Tree,
    files: &FileSet,
    prefix: &str,
    content: impl Fn(&str) -> Result<Content>,
) -> Result<()> {
    let mut first_names: BTreeMap<u64, String> = BTreeMap::new();
    // The root is the directory that they are put in.
    for (path, FileNode { entry, inode, .. }) in files.below("").filter(|(path, _)| !path.is_empty()) {
        let (mut entry, place) = (entry.clone(), join(prefix, path));
        if let Kind::File(_) = &entry.kind {
            entry.kind = match inode.and_then(|inode| first_names.get(&inode)) {
                Some(first) => Kind::Hardlink { target: first.clone() },
                None => Kind::File(content(path)?),
            };
        }
        if let (Kind::File(_), Some(inode)) = (&entry.kind, inode) {
            first_names.insert(*inode, place.clone());
        }
        insert(tree, &place, entry)?;
    }
    Ok(())
}

fn insert(tree: &mut Tree, path: &str, entry: Entry) -> Result<()> {
    let failed = |source| ErrorKind::Tree { what: "the image's files".to_owned(), source };
    Ok(tree.insert(path, entry).map_err(failed)?)
}

/// Writes files to a directory, over what is there.
pub fn export_files(files: &Tree, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    // Every parent comes first and is a directory then: nothing is written through a link.
    for (path, entry) in files.iter() {
        make(folder, path, entry)?;
    }
    // From the inside to the outside: writing into a directory changes its time, and its mode may forbid it.
    for (path, entry) in files.iter().collect::<Vec<_>>().into_iter().rev() {
        if matches!(entry.kind, Kind::Directory) {
            let place = folder.join(path);
            finish(entry, &place).map_err(Error::io("write", &place))?;
        }
    }
    Ok(())
}

fn make(folder: &Path, path: &str, entry: &Entry) -> Result<()> {
    let place = &folder.join(path);
    let failed = || Error::io("write", place);
    match (fs::symlink_metadata(place), &entry.kind) {
        (Ok(found), Kind::Directory) if found.is_dir() => return Ok(()),
        (Ok(found), _) if found.is_dir() => fs::remove_dir_all(place).map_err(failed())?,
        (Ok(_), _) => fs::remove_file(place).map_err(failed())?,
        (Err(_), _) => {}
    }
    match &entry.kind {
        Kind::Directory => return fs::create_dir(place).map_err(failed()),
        Kind::Hardlink { target } => return fs::hard_link(folder.join(target), place).map_err(failed()),
        Kind::Symlink { target } => symlink(target, place).map_err(failed())?,
        Kind::File(content) => {
            let mut file = File::create_new(place).map_err(failed())?;
            let unread = |source| ErrorKind::Layer { what: format!("`/{path}`"), source };
            content.write(path, &mut file).map_err(unread)?;
        }
        Kind::Fifo => make_special(place, FileType::Fifo, 0).map_err(failed())?,
        Kind::CharDevice { major, minor } => {
            make_special(place, FileType::CharacterDevice, makedev(*major, *minor)).map_err(failed())?;
        }
        Kind::BlockDevice { major, minor } => {
            make_special(place, FileType::BlockDevice, makedev(*major, *minor)).map_err(failed())?;
        }
    }
    finish(entry, place).map_err(failed())
}

fn make_special(place: &Path, kind: FileType, device: u64) -> io::Result<()> {
    Ok(mknodat(CWD, place, kind, Mode::RUSR, device)?)
}

/// Gives a file its attributes, mode and time.
fn finish(entry: &Entry, place: &Path) -> io::Result<()> {
    for (name, value) in &entry.xattrs {
        // As BuildKit does: not everybody may set them, and not every disk keeps them.
        let _as_far_as_it_goes = lsetxattr(place, name.as_str(), value, XattrFlags::empty());
    }
    if !matches!(entry.kind, Kind::Symlink { .. }) {
        fs::set_permissions(place, fs::Permissions::from_mode(entry.mode))?;
    }
    let time = Timespec { tv_sec: entry.mtime.cast_signed(), tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, place, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
