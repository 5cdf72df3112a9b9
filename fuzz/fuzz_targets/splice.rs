//! Any bytes as a raw DEFLATE stream: it is spliced exactly if the reference decodes it to its last byte and what it
//! holds is what was announced; and then the layer holds its text.
//!
//! Four bytes before the stream say how it is used: what is announced falsely, whether it is there twice, and how far
//! from the end of a piece of input, or of output, it begins.
#![no_main]

use cartwheel_fuzz::{blob, gunzip, inflate};
use cartwheel_oci::layer::{
    self, Content, ContentProblem, Encoding, Entry, LayerError, Member, Method, Tree,
};
use libfuzzer_sys::fuzz_target;

/// The engine reads streams in pieces of this size.
const INPUT: usize = 64 << 10;

fuzz_target!(|bytes: &[u8]| {
    let [flags, difference, near, far, stream @ ..] = bytes else { return };
    let has = |bit: u8| flags & bit != 0;
    let raw = [lead(has(0x20), has(0x40), u16::from_le_bytes([*near, *far])), stream.to_vec()].concat();
    let decoded = inflate(&raw);
    let text = decoded.as_ref().map_or(&b""[..], |(text, _)| text);
    let difference = if has(1) { i64::from(*difference as i8) } else { 0 };
    let member = Member {
        wheel: blob(&raw),
        offset: 0,
        compressed_size: raw.len() as u64,
        size: (text.len() as u64).saturating_add_signed(difference),
        crc32: crc32fast::hash(text) ^ u32::from(has(4)),
        method: Method::Deflated,
        expected: None,
    };
    let expected = match &decoded {
        None => None,
        Some((_, taken)) if *taken < raw.len() => Some(ContentProblem::TrailingData),
        Some((text, _)) if member.size != text.len() as u64 => Some(ContentProblem::Size),
        Some(_) if has(4) => Some(ContentProblem::Crc32),
        Some(_) => return accepted(member, text, has(0x10), has(0x08)),
    };
    let (tree, _) = tree_of(member, text, has(0x10));
    let written = layer::write(&tree, Encoding::Spliced, &mut Vec::new());
    let Err(LayerError::Content { problem, .. }) = written else {
        panic!("{written:?} instead of {expected:?}")
    };
    // Two faults at once may be told in either order.
    if let Some(expected) = expected.filter(|_| difference == 0 || !has(4)) {
        assert!(
            problem == expected || problem == ContentProblem::Size,
            "{problem:?} instead of {expected:?}"
        );
    }
});

/// Stored blocks before the stream, so that it begins some bytes before the end of a piece.
fn lead(piece: bool, two: bool, before_end: u16) -> Vec<u8> {
    let mut blocks = Vec::new();
    let mut block = |length: u16| {
        let ([low, high], [not_low, not_high]) = (length.to_le_bytes(), (!length).to_le_bytes());
        blocks.extend([0, low, high, not_low, not_high]);
        blocks.resize(blocks.len() + usize::from(length), b'.');
    };
    if piece && two {
        block((INPUT - 5 - 1) as u16);
    }
    if piece {
        block((INPUT - 5 - usize::from(before_end % 1024)) as u16);
    }
    blocks
}

/// The member alone, or twice with glue between: what the tar has to hold.
fn tree_of(member: Member, text: &[u8], twice: bool) -> (Tree, Vec<(&'static str, Vec<u8>)>) {
    let mut tree = Tree::new();
    let mut contents = vec![("a", text.to_vec())];
    if twice {
        let glue = text[..text.len().min(2000)].to_vec();
        tree.insert("b", Entry::file(Content::Bytes(glue.clone()), false)).expect("a free path");
        tree.insert("c", Entry::file(Content::Member(member.clone()), false)).expect("a free path");
        contents.extend([("b", glue), ("c", text.to_vec())]);
    }
    tree.insert("a", Entry::file(Content::Member(member), false)).expect("a free path");
    (tree, contents)
}

fn accepted(member: Member, text: &[u8], twice: bool, twin: bool) {
    let (tree, contents) = tree_of(member, text, twice);
    let mut spliced = Vec::new();
    let written = layer::write(&tree, Encoding::Spliced, &mut spliced).expect("a sound stream is spliced");
    // Not always: the slow twin is ten times as slow here, and its own code is little.
    if twin {
        let twin =
            layer::write(&tree, Encoding::Compressed, &mut std::io::sink()).expect("and compressed anew");
        assert_eq!(written, twin);
    }
    let tar = gunzip(&spliced);
    let mut rest = &tar[..];
    for (name, content) in &contents {
        assert!(rest.starts_with(format!("{name}\0").as_bytes()));
        assert!(rest[512..].starts_with(content), "`{name}` is another");
        rest = &rest[512 + content.len().next_multiple_of(512)..];
    }
    assert_eq!(rest, [0; 1024]);
}
