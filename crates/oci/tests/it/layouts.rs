//! Layouts and archives: what was copied there is found again and valid, and damage is noticed.

use std::fs;
use std::io::Write;
use std::path::Path;

use cartwheel_oci::layer::{self, Encoding};
use cartwheel_oci::{
    ArchiveKind, ArchiveWriter, Descriptor, ErrorKind, History, Image, ImageLayout, Layer, LayoutWriter,
    Platform, Reference, Source, copy, media_type, validate,
};
use cartwheel_store::Store;

use crate::wheels::Streams;

pub(crate) fn platform() -> Platform {
    "linux/amd64".parse().unwrap()
}

fn layer(store: &Store, text: &str) -> Layer {
    let tree = Streams::new().deflated("app/main.py", text.as_bytes(), 6).tree();
    let mut writer = store.writer().unwrap();
    let written = layer::write(&tree, Encoding::Spliced, &mut writer).unwrap();
    let (digest, blob) = writer.commit().unwrap();
    Layer {
        descriptor: Descriptor::new(media_type::LAYER_GZIP, digest, blob.size()),
        diff_id: written.diff_id,
    }
}

pub(crate) fn image(store: &Store, text: &str) -> Image {
    let history = History { created_by: Some("COPY . /app".into()), ..History::default() };
    Image::scratch(&platform()).append(layer(store, text), history)
}

fn names(text: &str) -> Vec<Reference> {
    vec![text.parse().unwrap()]
}

fn read(layout: &ImageLayout, name: &str) -> Image {
    Image::read(layout, layout.find(Some(name)).unwrap(), &platform()).unwrap()
}

#[test]
fn a_layout_keeps_several_images() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("home")).unwrap();
    let path = folder.path().join("layout");
    for (text, name) in [("1", "a:one"), ("2", "a:two"), ("3", "a:one")] {
        let mut sink = LayoutWriter::create(&path).unwrap();
        copy(&image(&store, text), &names(name), &store, &mut sink).unwrap();
    }
    let layout = ImageLayout::open(&path).unwrap();
    assert_eq!(layout.images().len(), 2);
    assert_eq!(read(&layout, "one").layers(), image(&store, "3").layers());
    assert_eq!(read(&layout, "docker.io/library/a:two").layers(), image(&store, "2").layers());
    layout.images().iter().for_each(|entry| validate(&layout, entry).unwrap());
    assert!(matches!(layout.find(None).unwrap_err().kind(), ErrorKind::ChooseImage { .. }));
    assert!(matches!(layout.find(Some("x")).unwrap_err().kind(), ErrorKind::NoSuchImage { .. }));
}

#[test]
fn archives_of_both_kinds_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("home")).unwrap();
    let image = image(&store, "x");
    for kind in [ArchiveKind::Oci, ArchiveKind::Docker] {
        let path = folder.path().join("archive.tar");
        let mut sink = ArchiveWriter::new(fs::File::create(&path).unwrap(), kind);
        copy(&image, &names("a"), &store, &mut sink).unwrap();
        let layout = ImageLayout::open(&path).unwrap();
        assert_eq!(Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap(), image);
        validate(&layout, layout.find(None).unwrap()).unwrap();
    }
}

/// Replaces `from` by `to` in the only blob that contains it, under the same name.
fn damage(layout: &Path, from: &[u8], to: &[u8]) {
    for entry in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
            bytes.splice(at..at + from.len(), to.iter().copied());
            let mut file = fs::File::create(&path).unwrap();
            file.write_all(&bytes).unwrap();
        }
    }
}

#[test]
fn the_validator_notices_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("home")).unwrap();
    let cases: [(&[u8], &[u8]); 4] = [
        (b"COPY . /app", b"COPY . /APP"),                 // the config
        (b"\"schemaVersion\":2", b"\"schemaVersion\":3"), // the manifest
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"), // the layer
        (b"\x1f\x8b\x08\x00", b"\x1f\x8b\x08"), // the layer, shorter
    ];
    for (index, (from, to)) in cases.into_iter().enumerate() {
        let path = folder.path().join(index.to_string());
        copy(&image(&store, "x"), &[], &store, &mut LayoutWriter::create(&path).unwrap()).unwrap();
        damage(&path, from, to);
        let layout = ImageLayout::open(&path).unwrap();
        assert!(validate(&layout, layout.find(None).unwrap()).is_err(), "case {index}");
    }
}

#[test]
fn a_missing_blob_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("home")).unwrap();
    let path = folder.path().join("layout");
    let image = image(&store, "x");
    copy(&image, &[], &store, &mut LayoutWriter::create(&path).unwrap()).unwrap();
    let digest = image.layers()[0].descriptor.digest;
    fs::remove_file(path.join("blobs/sha256").join(digest.hex())).unwrap();
    let layout = ImageLayout::open(&path).unwrap();
    let error = validate(&layout, layout.find(None).unwrap()).unwrap_err();
    assert!(error.to_string().contains(&digest.to_string()), "{error}");
    assert!(layout.open(&image.layers()[0].descriptor).is_err());
}

#[test]
fn what_is_not_a_layout_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.tar"), b"not a tar").unwrap();
    for path in [folder.path().to_owned(), folder.path().join("x.tar")] {
        let error = ImageLayout::open(&path).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotLayout { .. }), "{error}");
    }
}
