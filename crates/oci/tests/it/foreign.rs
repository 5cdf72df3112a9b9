//! Layers that somebody else wrote, some of them to do harm.

use std::io::{self, Read};

use cartwheel_oci::DiffId;
use cartwheel_oci::layer::{self, ReadKind};
use cartwheel_store::Digest;

/// A header of this kind for so much content.
fn header(kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_path("x").unwrap();
    header.set_cksum();
    header
}

/// An entry with its content and padding.
fn entry(kind: tar::EntryType, content: &[u8]) -> Vec<u8> {
    let mut bytes = [header(kind, content.len() as u64).as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn paths(bytes: &[u8]) -> io::Result<Vec<(String, ReadKind)>> {
    let mut paths = Vec::new();
    layer::read(bytes, |entry, _| {
        paths.push((entry.path.clone(), entry.kind.clone()));
        Ok(())
    })?;
    Ok(paths)
}

#[test]
fn zstd_of_many_frames_is_read_to_its_end() {
    let tar = [entry(tar::EntryType::Regular, b"abc"), vec![0; 1024]].concat();
    // Single segments of one raw block (RFC 8878, 3.1.1), with a skippable frame between.
    let frame = |text: &[u8]| {
        let size = (text.len() as u32).to_le_bytes();
        let block = (text.len() as u32 * 8 + 1).to_le_bytes();
        [&[0x28, 0xb5, 0x2f, 0xfd, 0xa0][..], &size, &block[..3], text].concat()
    };
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7];
    let (first, second) = tar.split_at(700);
    for frames in [
        [&frame(first)[..], &frame(second)].concat(),
        [&skippable[..], &frame(first), &skippable, &frame(second), &skippable].concat(),
    ] {
        let written = layer::read(&frames[..], |_, _| Ok(())).unwrap();
        assert_eq!((written.diff_id, written.tar_size), (DiffId::new(Digest::of(&tar)), tar.len() as u64));
        assert_eq!(paths(&frames).unwrap(), [("x".to_owned(), ReadKind::File)]);
    }
}

#[test]
fn headers_without_end_are_refused() {
    for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink, tar::EntryType::XHeader] {
        // Ten entries of honest size before it: the bound is one entry's, not the archive's.
        let honest = entry(tar::EntryType::Regular, &vec![7; 300_000]).repeat(10);
        let endless = header(kind, 1 << 40);
        let layer = honest.chain(endless.as_bytes().as_slice()).chain(io::repeat(b'a'));
        let mut seen = 0;
        let count = |_: &layer::ReadEntry, _: &mut dyn Read| {
            seen += 1;
            Ok(())
        };
        let error = layer::read(layer, count).unwrap_err();
        assert!(error.to_string().contains("headers are larger"), "{kind:?}: {error}");
        assert_eq!(seen, 10);
    }
}

#[test]
fn paths_and_targets_are_no_longer_than_linux_takes() {
    let layer = |name: usize, target: usize| {
        let text = |length: usize| [&vec![b'n'; length][..], b"\0"].concat();
        let name = entry(tar::EntryType::GNULongName, &text(name));
        let target = entry(tar::EntryType::GNULongLink, &text(target));
        paths(&[name, target, entry(tar::EntryType::Symlink, b""), vec![0; 1024]].concat())
    };
    assert_eq!(layer(4096, 4096).unwrap(), [("n".repeat(4096), ReadKind::Symlink("n".repeat(4096)))]);
    assert!(layer(4097, 4096).is_err());
    assert!(layer(4096, 4097).is_err());
}
