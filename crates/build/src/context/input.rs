//! A context that comes on standard input: `-` in the place of the directory.

use std::io::{self, Read};

use cartwheel_store::Store;

use super::tree::ContextTree;
use crate::error::{Error, ErrorKind, Result};

/// What came on standard input.
#[derive(Debug)]
pub enum StandardInput {
    /// A tar, compressed or not. Owners are those of the tar, and no ignore file is read: Docker does neither.
    Archive(ContextTree),
    /// Anything else is a Dockerfile, whose context is empty.
    Dockerfile(String),
}

impl StandardInput {
    /// Reads it to its end.
    pub fn read(store: &Store, mut input: impl Read) -> Result<Self> {
        let mut writer = store.writer()?;
        io::copy(&mut input, &mut writer).map_err(Error::io("read", "standard input".as_ref()))?;
        let (_, blob) = writer.commit()?;
        if let Some(tree) = ContextTree::of_archive(store, &blob)? {
            return Ok(Self::Archive(tree));
        }
        let text = String::from_utf8(blob.read()?);
        Ok(Self::Dockerfile(text.map_err(|_| ErrorKind::NoDockerfileInInput)?))
    }
}

#[cfg(test)]
mod tests {
    use cartwheel_oci::layer::{self, Content, Encoding, Entry, Tree};

    use super::*;

    fn read(bytes: &[u8]) -> Result<StandardInput> {
        let home = tempfile::tempdir().unwrap();
        StandardInput::read(&Store::open(home.path()).unwrap(), bytes)
    }

    #[test]
    fn a_tar_is_a_context() {
        let mut tree = Tree::new();
        let entry = Entry::file(Content::Bytes(b"FROM x".to_vec()), false).with_owner(7, 8);
        tree.insert("Dockerfile", entry).unwrap();
        tree.insert(".dockerignore", Entry::file(Content::Bytes(b"*".to_vec()), false)).unwrap();
        let mut bytes = Vec::new();
        layer::write(&tree, Encoding::Compressed, &mut bytes).unwrap();
        let StandardInput::Archive(tree) = read(&bytes).unwrap() else { panic!("not an archive") };
        assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), [".dockerignore", "Dockerfile"]);
        assert_eq!(tree.get("Dockerfile").unwrap().permissions.uid, 7);
        assert_eq!(tree.content("Dockerfile").unwrap().read().unwrap(), b"FROM x");
    }

    #[test]
    fn all_else_is_a_dockerfile() {
        assert!(matches!(read(b"FROM x\n").unwrap(), StandardInput::Dockerfile(text) if text == "FROM x\n"));
        let error = read(b"\xff\xfe").unwrap_err();
        assert_eq!(error.to_string(), "standard input is neither a Dockerfile nor an archive");
    }
}
