//! The build contexts of a Dockerfile: its own, and those that `--build-context` names.

use std::collections::BTreeMap;
use std::io;
use std::sync::OnceLock;

use cartwheel_oci::layer::{Content, Kind};
use cartwheel_store::{Blob, Digest, Store};

use crate::context::{BuildContext, ContextTree};
use crate::copy::{Choice, Load, PickedFile, Piece, select};
use crate::error::{Error, ErrorKind, Result};
use crate::files::FileSet;

/// The contexts of a build.
#[derive(Debug, Default)]
pub struct Contexts {
    project: Option<BuildContext>,
    main: Option<Context>,
    named: BTreeMap<String, Context>,
}

/// One context of a Dockerfile.
#[derive(Debug)]
pub(crate) struct Context {
    tree: ContextTree,
    files: OnceLock<FileSet>,
}

impl Contexts {
    /// The context of a bare project.
    pub fn of_project(project: BuildContext) -> Self {
        Self { project: Some(project), ..Self::default() }
    }

    /// The context of a Dockerfile.
    pub fn of_dockerfile(main: Option<ContextTree>) -> Self {
        Self { main: main.map(Context::new), ..Self::default() }
    }

    /// Adds a context that has a name.
    pub fn add(&mut self, name: String, tree: ContextTree) {
        self.named.insert(name, Context::new(tree));
    }

    /// The context of a bare project.
    pub fn project(&self) -> Result<&BuildContext> {
        self.project.as_ref().ok_or_else(|| ErrorKind::NoContext { name: String::new() }.into())
    }

    /// The main context, or one by name.
    pub(crate) fn get(&self, name: Option<&str>) -> Result<&Context> {
        let found = match name {
            None => self.main.as_ref(),
            Some(name) => self.named.get(name),
        };
        found.ok_or_else(|| ErrorKind::NoContext { name: name.unwrap_or_default().to_owned() }.into())
    }
}

impl Context {
    pub(crate) fn new(tree: ContextTree) -> Self {
        Self { tree, files: OnceLock::new() }
    }

    pub(crate) fn files(&self) -> &FileSet {
        self.files.get_or_init(|| FileSet::of(self.tree.iter().map(|(path, node)| (path, node, 0))))
    }

    /// The file at `path`, links followed; `None` if there is none.
    pub(crate) fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let place = self.files().resolve(path)?;
        let Some(content) = self.tree.content(&place) else { return Ok(None) };
        let failed = |source| ErrorKind::Layer { what: format!("`{path}`"), source };
        Ok(Some(content.read().map_err(failed)?))
    }

    /// Names the file or directory at `path`, and what is in it.
    pub(crate) fn name(&self, store: &Store, path: &str) -> Result<Digest> {
        let mut pieces = Vec::new();
        for mut picked in select(self.files(), path, &Choice::default())? {
            self.fill(store, &mut picked.files)?;
            pieces.push(Piece::Files(picked));
        }
        Ok(Load::name(&pieces))
    }

    /// Puts contents and digests into what was picked.
    pub(crate) fn fill(&self, store: &Store, files: &mut [PickedFile]) -> Result<()> {
        let is_file = |file: &&mut PickedFile| matches!(file.node.entry.kind, Kind::File(_));
        let mut regular: Vec<&mut PickedFile> = files.iter_mut().filter(is_file).collect();
        let places: Vec<&str> = regular.iter().map(|file| file.place.as_str()).collect();
        let digests = self.tree.digests(store, &places)?;
        for (file, digest) in regular.iter_mut().zip(digests) {
            file.node.digest = digest;
            if let Some(content) = self.tree.content(&file.place) {
                file.node.entry.kind = Kind::File(content);
            }
        }
        Ok(())
    }
}

/// The files of an archive, without the directories that it has no entry for; `None` if it is none.
pub(crate) fn unpacked(store: &Store, archive: &Content) -> Result<Option<FileSet>> {
    let blob = match archive {
        Content::File { path, .. } => Blob::open(path)?,
        content => {
            let failed = |source| ErrorKind::Layer { what: "an archive".to_owned(), source };
            let mut writer = store.writer()?;
            let copied = io::copy(&mut content.reader().map_err(failed)?, &mut writer);
            copied.map_err(Error::io("copy an archive to", store.root()))?;
            writer.commit()?.1
        }
    };
    let Some(tree) = ContextTree::of_archive(store, &blob)? else { return Ok(None) };
    let mentioned = tree.iter().filter(|(path, _)| tree.is_mentioned(path));
    let mut files = FileSet::of(mentioned.map(|(path, node)| (path, node, 0)));
    files.set_contents(|path| tree.content(path));
    Ok(Some(files))
}

#[cfg(test)]
mod tests {
    use cartwheel_oci::layer::{self, Encoding, Entry, Tree};

    use super::*;

    #[test]
    fn an_archive_may_be_a_piece_of_something_larger() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut tree = Tree::new();
        tree.insert("d/a", Entry::file(Content::Bytes(b"text".to_vec()), false)).unwrap();
        let mut archive = Vec::new();
        layer::write(&tree, Encoding::Compressed, &mut archive).unwrap();
        let (_, blob) = store.put_blob(&[b"before", &archive[..], b"behind"].concat()).unwrap();
        let piece = Content::Range { blob, offset: 6, size: archive.len() as u64 };
        let files = unpacked(&store, &piece).unwrap().unwrap();
        // What the archive has no entry for is not there.
        assert_eq!(files.below("").map(|(path, _)| path).collect::<Vec<_>>(), ["d/a"]);
        let node = files.get("d/a").unwrap();
        assert_eq!(node.entry.kind.content().unwrap().read().unwrap(), b"text");
        assert_eq!(node.digest, Some(Digest::of(b"text")));
    }
}
