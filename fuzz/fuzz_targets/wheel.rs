//! Any bytes as a wheel: what is installed from it is read in two ways, file by file with checks, and by the layer
//! engine in one pass. Both refuse the same file, or both give the same bytes, and those are what the zip promises.
#![no_main]

use std::sync::LazyLock;

use cartwheel_fuzz::{blob, gunzip, inflate};
use cartwheel_oci::DiffId;
use cartwheel_oci::layer::{self, Content, ContentDigest, Encoding, Entry, LayerError, Tree, TreeError};
use cartwheel_python::{
    Archive, FileDigest, InstallOptions, InstalledContent, InstalledFile, Method, Scheme, Wheel, install,
    read_installed,
};
use cartwheel_store::{Blob, Digest};
use libfuzzer_sys::fuzz_target;

static SCHEME: LazyLock<Scheme> =
    LazyLock::new(|| Scheme::for_prefix("/usr/local", "3.13".parse().expect("a version")));

fuzz_target!(|bytes: &[u8]| {
    let Ok(archive) = Archive::open(blob(bytes), "input.whl") else { return };
    for member in archive.members() {
        let Ok(text) = archive.read(member) else { continue };
        assert_eq!((text.len() as u64, crc32fast::hash(&text)), (member.size, member.crc32));
        let raw = &bytes[member.offset as usize..][..member.compressed_size as usize];
        match member.method {
            Method::Stored => assert!(raw == text),
            Method::Deflated => assert!(inflate(raw) == Some((text, raw.len()))),
        }
    }
    // The file name must agree with what is inside, so it comes from there.
    let dist_info = archive.members().iter().find_map(|member| member.name.split_once(".dist-info/"));
    let Some((name, _)) = dist_info else { return };
    let Ok(wheel) = Wheel::open(blob(bytes), &format!("{name}-py3-none-any.whl")) else { return };
    if let Ok(files) = install(&wheel, &SCHEME, &InstallOptions::default()) {
        agree(&wheel, &files);
    }
});

fn agree(wheel: &Wheel, files: &[InstalledFile]) {
    let mut tree = Tree::new();
    let mut expected = Vec::new();
    for file in files {
        let entry = Entry::file(content(wheel.archive().blob(), file), file.executable);
        match tree.insert(&*file.path, entry) {
            Ok(()) => expected.push((file.path.clone(), read_installed(wheel, file).ok())),
            // The one thing that a wheel may hold and an image may not.
            Err(TreeError::Whiteout { .. }) => {}
            Err(error) => panic!("what is installed is no tree: {error}"),
        }
    }
    expected.sort();
    let mut bytes = Vec::new();
    match layer::write(&tree, Encoding::Spliced, &mut bytes) {
        Ok(written) => {
            let found = entries(&bytes);
            assert_eq!(found.len(), expected.len());
            for (found, (path, text)) in found.iter().zip(&expected) {
                assert_eq!(found.0, *path);
                assert!(text.as_ref() == Some(&found.1), "`{path}` is packed, but not as it is read");
            }
            assert_eq!(written.diff_id, DiffId::new(Digest::of(&gunzip(&bytes))));
        }
        Err(LayerError::Content { path, problem }) => {
            let refused = expected.iter().find(|(_, text)| text.is_none());
            let refused = refused.map(|(path, _)| path);
            assert!(
                refused == Some(&path),
                "`{path}`: {problem}; but the first that cannot be read is {refused:?}"
            );
        }
        Err(error) => panic!("{error}"),
    }
}

fn entries(layer: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut entries = Vec::new();
    layer::read(layer, |entry, content| {
        let mut text = Vec::new();
        content.read_to_end(&mut text)?;
        entries.push((entry.path.clone(), text));
        Ok(())
    })
    .expect("what is written is read");
    entries
}

fn content(wheel: &Blob, file: &InstalledFile) -> Content {
    match &file.content {
        InstalledContent::Generated(bytes) => Content::Bytes(bytes.clone()),
        InstalledContent::Member { offset, compressed_size, size, crc32, method, expected } => {
            Content::Member(layer::Member {
                wheel: wheel.clone(),
                offset: *offset,
                compressed_size: *compressed_size,
                size: *size,
                crc32: *crc32,
                method: match method {
                    Method::Stored => layer::Method::Stored,
                    Method::Deflated => layer::Method::Deflated,
                },
                expected: expected.map(|digest| match digest {
                    FileDigest::Sha256(bytes) => ContentDigest::Sha256(Digest::from_bytes(bytes)),
                    FileDigest::Sha384(bytes) => ContentDigest::Sha384(Box::new(bytes)),
                    FileDigest::Sha512(bytes) => ContentDigest::Sha512(Box::new(bytes)),
                }),
            })
        }
    }
}
