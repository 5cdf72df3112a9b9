//! Members of pretended wheels: raw streams one after another in a file.

use std::io::Write;

use cartwheel_oci::layer::{Content, ContentDigest, Entry, Member, Method, Tree};
use cartwheel_store::{Blob, Digest};
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// A file of raw streams, and the members that describe them.
pub(crate) struct Streams {
    bytes: Vec<u8>,
    members: Vec<(String, u64, u64, Vec<u8>, Method)>,
    file: tempfile::NamedTempFile,
}

impl Streams {
    pub(crate) fn new() -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        Self { bytes: b"some prefix".to_vec(), members: Vec::new(), file }
    }

    pub(crate) fn deflated(self, path: &str, text: &[u8], level: u32) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(text).unwrap();
        let raw = encoder.finish().unwrap();
        self.raw(path, text, &raw, Method::Deflated)
    }

    pub(crate) fn stored(self, path: &str, text: &[u8]) -> Self {
        self.raw(path, text, text, Method::Stored)
    }

    pub(crate) fn raw(mut self, path: &str, text: &[u8], raw: &[u8], method: Method) -> Self {
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(raw);
        self.members.push((path.to_owned(), offset, raw.len() as u64, text.to_vec(), method));
        self
    }

    pub(crate) fn members(&mut self) -> Vec<(String, Member)> {
        self.file.write_all(&std::mem::take(&mut self.bytes)).unwrap();
        self.file.flush().unwrap();
        let wheel = Blob::open(self.file.path()).unwrap();
        let member = |(path, offset, compressed_size, text, method): &(String, u64, u64, Vec<u8>, Method)| {
            let expected = Some(ContentDigest::Sha256(Digest::of(text)));
            let (wheel, size, crc32) = (wheel.clone(), text.len() as u64, crc32fast::hash(text));
            let (offset, compressed_size, method) = (*offset, *compressed_size, *method);
            (path.clone(), Member { wheel, offset, compressed_size, size, crc32, method, expected })
        };
        self.members.iter().map(member).collect()
    }

    pub(crate) fn tree(&mut self) -> Tree {
        let mut tree = Tree::new();
        for (path, member) in self.members() {
            for (end, _) in path.match_indices('/') {
                // Files beside each other have the same parents.
                let _there_already = tree.insert(&path[..end], Entry::directory());
            }
            tree.insert(path, Entry::file(Content::Member(member), false)).unwrap();
        }
        tree
    }
}
