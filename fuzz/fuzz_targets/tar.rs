//! Any bytes as a layer of somebody else's: reading it, and stacking what was read, ends in a value or an error, and
//! the same tar is the same however it is compressed.
#![no_main]

use std::io::{Read, Write};

use cartwheel_fuzz::{raw_frame, skippable_frame};
use cartwheel_oci::layer::{self, ReadEntry, ReadKind, Written};
use cartwheel_oci::{Below, DiffId, LayerFacts};
use cartwheel_store::Digest;
use libfuzzer_sys::fuzz_target;

/// No path of a layer is longer, before what is not UTF-8 is replaced.
const LONGEST_PATH: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let [how, bytes @ ..] = bytes else { return };
    let seen = read(bytes);
    if seen.is_some() {
        stacked(bytes);
    }
    if is_compressed(bytes) {
        return;
    }
    if let Some((written, _)) = &seen {
        let expected = Written { diff_id: DiffId::new(Digest::of(bytes)), tar_size: bytes.len() as u64 };
        assert_eq!(*written, expected);
    }
    let half = bytes.len() / 2;
    let compressed = match how % 3 {
        0 => gzip(bytes),
        1 => [gzip(&bytes[..half]), gzip(&bytes[half..])].concat(),
        _ => [raw_frame(&bytes[..half]), skippable_frame(b"x"), raw_frame(&bytes[half..])].concat(),
    };
    let twin = read(&compressed);
    assert!(seen == twin, "compressed by way {}, it is read differently", how % 3);
});

/// What a layer is and what is in it: each entry's path and kind, and the digest of its content's beginning.
type Seen = (Written, Vec<(String, ReadKind, u32, u64, Digest)>);

fn read(bytes: &[u8]) -> Option<Seen> {
    let mut entries = Vec::new();
    let visit = |entry: &ReadEntry, content: &mut dyn Read| {
        assert!(entry.path.len() <= LONGEST_PATH * "\u{fffd}".len(), "a path of {} bytes", entry.path.len());
        assert!(!entry.path.starts_with('/') && !entry.path.ends_with('/'));
        let mut text = Vec::new();
        // A sparse file may have exabytes.
        content.take(64 << 10).read_to_end(&mut text)?;
        assert!(text.len() as u64 <= entry.size);
        entries.push((entry.path.clone(), entry.kind.clone(), entry.mode, entry.size, Digest::of(&text)));
        Ok(())
    };
    let written = layer::read(bytes, visit).ok()?;
    Some((written, entries))
}

fn stacked(bytes: &[u8]) {
    let (_, facts) = LayerFacts::read(bytes, |path| {
        path.ends_with('b').then_some(|text: &[u8]| Some(String::from_utf8_lossy(text).into_owned()))
    })
    .expect("what was read once is read again");
    let below = Below::stack([facts.clone(), facts.clone()]);
    for (path, _) in below.iter() {
        let resolved = below.resolve(path);
        assert!(resolved.is_none_or(|path| path.split('/').all(|part| part != "." && part != "..")));
    }
}

fn is_compressed(bytes: &[u8]) -> bool {
    matches!(bytes, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}
