//! Zstandard frames of the simplest kind (RFC 8878, 3.1): what a decoder must read in any number and order.

/// The largest block (RFC 8878, 3.1.1.2.4).
const BLOCK: usize = 128 << 10;

/// A frame that holds `text` in raw blocks.
pub fn raw_frame(text: &[u8]) -> Vec<u8> {
    // Single segment, a content size of eight bytes, no checksum.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    frame.extend((text.len() as u64).to_le_bytes());
    let last = text.len().saturating_sub(1) / BLOCK;
    for index in 0..=last {
        let block = &text[index * BLOCK..text.len().min((index + 1) * BLOCK)];
        let header = (block.len() as u32) << 3 | u32::from(index == last);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

/// A frame that decoders leave out.
pub fn skippable_frame(content: &[u8]) -> Vec<u8> {
    [&[0x50, 0x2a, 0x4d, 0x18], &(content.len() as u32).to_le_bytes()[..], content].concat()
}
