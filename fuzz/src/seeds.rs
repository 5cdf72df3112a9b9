//! Inputs that reach deep: chance alone finds no zip, no tar and few DEFLATE streams.

use std::io::Write;

use cartwheel_oci::layer::{self, Content, Encoding, Entry, Tree};
use cartwheel_testkit::{WheelBuilder, hostile, sound};
use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::{raw_frame, skippable_frame};

/// What is small enough to be mutated usefully.
const LARGEST: usize = 16 << 10;

/// What the target begins with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = match target {
        "wheel" => wheels(),
        "tar" => tars(),
        "splice" => splices(),
        _ => Vec::new(),
    };
    seeds.retain(|seed| seed.len() <= LARGEST);
    seeds
}

fn wheels() -> Vec<Vec<u8>> {
    let sound = sound::wheels().into_iter().map(|wheel| wheel.bytes);
    let hostile = hostile::wheels().into_iter().map(|wheel| wheel.bytes);
    sound.chain(hostile).chain(streams().chunks(8).map(wheel_of)).collect()
}

/// A wheel with each of these streams as it is.
fn wheel_of(streams: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let name = |index: usize| format!("streams/{index}");
    let mut wheel = WheelBuilder::new("streams", "1.0");
    for (index, (text, _)) in streams.iter().enumerate() {
        wheel = wheel.file(&name(index), text);
    }
    let mut archive = wheel.archive();
    for (index, (_, raw)) in streams.iter().enumerate() {
        let entry = archive.entry(&name(index));
        entry.data.clone_from(raw);
        *entry = entry.clone().with_headers(|header| header.compressed_size = raw.len() as u64);
    }
    archive.write().bytes
}

/// Texts with raw DEFLATE streams of them: each kind of block, many blocks, and ends at every bit of a byte.
fn streams() -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(900)
    .collect();
    let words: Vec<u8> = noise.iter().flat_map(|byte| format!("word{} ", byte % 37).into_bytes()).collect();
    let mut texts = vec![Vec::new(), noise.clone(), words, vec![0; 3000]];
    texts.extend((1..12).map(|length| noise[..length].to_vec()));
    let mut streams = Vec::new();
    for text in texts {
        for level in [0, 1, 6, 9] {
            streams.push((text.clone(), deflate(&text, level, usize::MAX)));
        }
        // Flushed in between: blocks of all kinds, with empty stored ones behind each.
        streams.push((text.clone(), deflate(&text, 6, 1 + text.len() / 3)));
    }
    streams
}

fn deflate(text: &[u8], level: u32, piece: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    for piece in text.chunks(piece) {
        encoder.write_all(piece).expect("memory takes all");
        if piece.len() < text.len() {
            encoder.flush().expect("memory takes all");
        }
    }
    encoder.finish().expect("memory takes all")
}

/// Streams behind the four bytes that say how they are used; see the target.
fn splices() -> Vec<Vec<u8>> {
    let uses = [[0, 0, 0, 0], [0x10, 0, 0, 0], [0x38, 0, 3, 0], [0x70, 0, 9, 1], [1, 1, 0, 0], [4, 0, 0, 0]];
    streams()
        .iter()
        .enumerate()
        .flat_map(|(index, (_, raw))| [uses[0], uses[1 + index % 5]].map(|head| [&head[..], raw].concat()))
        .collect()
}

/// Tars by ourselves and by others, plain and compressed, behind the byte that says how they are shown; see the target.
fn tars() -> Vec<Vec<u8>> {
    let ours = our_layer();
    let plain = crate::gunzip(&ours);
    let foreign = foreign_tars();
    let frames = [skippable_frame(b"x"), raw_frame(&plain), raw_frame(b""), skippable_frame(b"")].concat();
    let mut tars = vec![ours, raw_frame(&plain), frames, plain];
    tars.extend(foreign);
    tars.iter().enumerate().map(|(index, tar)| [&[index as u8 % 3], &tar[..]].concat()).collect()
}

fn our_layer() -> Vec<u8> {
    let mut tree = Tree::new();
    let mut add = |path: &str, entry| tree.insert(path, entry).expect("a plain path");
    add("usr", Entry::directory());
    add("usr/lib", Entry { mode: 0o1777, ..Entry::directory() });
    add("lib", Entry::symlink("usr/lib"));
    add("loop", Entry::symlink("./loop"));
    add(&format!("usr/{}", "n".repeat(120)), Entry::file(Content::Bytes(vec![7; 700]), true));
    add("usr/é", Entry::symlink("é".repeat(60)));
    tree.remove_below("etc/gone").expect("a plain path");
    let mut layer = Vec::new();
    layer::write(&tree, Encoding::Spliced, &mut layer).expect("memory takes all");
    layer
}

/// What Docker, GNU tar and others write and we do not.
fn foreign_tars() -> Vec<Vec<u8>> {
    use tar::EntryType;
    let one = |kind: EntryType, path: &str, link: Option<&str>, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        number(&mut header);
        header.set_size(content.len() as u64);
        let mut builder = tar::Builder::new(Vec::new());
        match link {
            Some(link) => builder.append_link(&mut header, path, link),
            None => builder.append_data(&mut header, path, content),
        }
        .expect("memory takes all");
        builder.into_inner().expect("memory takes all")
    };
    let mut pax = tar::Builder::new(Vec::new());
    let records: [(&str, &[u8]); 3] = [("path", b"a/b"), ("size", b"3"), ("mtime", b"1.5")];
    pax.append_pax_extensions(records).expect("memory takes all");
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(3);
    number(&mut header);
    pax.append_data(&mut header, "other", &b"abc"[..]).expect("memory takes all");
    let long = "long/".repeat(40);
    vec![
        one(EntryType::Regular, "./a/b", None, b"abc"),
        one(EntryType::Regular, &long, None, b"abc"),
        one(EntryType::Symlink, "l", Some(&long), b""),
        one(EntryType::Link, "h", Some("a/b"), b""),
        one(EntryType::Directory, "./", None, b""),
        one(EntryType::Fifo, "dev/pipe", None, b""),
        one(EntryType::XGlobalHeader, "pax_global_header", None, b"18 comment=abcdef\n"),
        one(EntryType::Regular, "c/.wh..wh..opq", None, b""),
        one(EntryType::Regular, "c/.wh.d", None, b""),
        pax.into_inner().expect("memory takes all"),
        sparse(),
    ]
}

/// Fills the fields that readers want a number in.
fn number(header: &mut tar::Header) {
    header.set_uid(1000);
    header.set_gid(0);
    header.set_mtime(0);
}

/// A GNU sparse file: one hole, one block of data.
fn sparse() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("sparse").expect("a short name");
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_mode(0o644);
    number(&mut header);
    header.set_size(512);
    if let Some(gnu) = header.as_gnu_mut() {
        gnu.realsize[..12].copy_from_slice(b"00000002000\0");
        gnu.sparse[0].offset.copy_from_slice(b"00000001000\0");
        gnu.sparse[0].numbytes.copy_from_slice(b"00000001000\0");
    }
    header.set_cksum();
    [header.as_bytes(), &[7; 512], &[0; 1024][..]].concat()
}
