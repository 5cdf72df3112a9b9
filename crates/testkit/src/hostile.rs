//! Wheels that must be refused, each wrong in one thing only.
//!
//! The table is grouped as a reader meets the faults: the file, its headers, the names, the contents, RECORD, the
//! metadata, and what only an installation can see. Each [`Hostile`] says which entry the error has to name and which
//! words it has to use, so that a wheel that is refused for another reason than its own fails the test.

use crate::WheelBuilder;
use crate::wheel::record_line;
use crate::zip::{Archive, Descriptor, Entry, FLAG_UTF8, Written};

/// A wheel that must be refused.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// What is wrong with it, in a few words.
    pub name: &'static str,
    /// Its file name.
    pub filename: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The entry that the error has to name, if the fault is one entry's.
    pub entry: Option<&'static str>,
    /// Words that the error has to contain.
    pub about: &'static str,
}

/// All of them.
pub fn wheels() -> Vec<Hostile> {
    [files(), ends(), headers(), fields(), names(), contents(), records(), metadata(), installs()].concat()
}

const CODE: &str = "demo/__init__.py";
const TEXT: &str = "demo/text.txt";
const RECORD: &str = "demo-1.0.dist-info/RECORD";
const WHEEL: &str = "demo-1.0.dist-info/WHEEL";
const METADATA: &str = "demo-1.0.dist-info/METADATA";
const POINTS: &str = "demo-1.0.dist-info/entry_points.txt";

/// The sound wheel that each case spoils.
fn demo() -> WheelBuilder {
    WheelBuilder::new("demo", "1.0")
        .file(CODE, b"def main():\n    return 42\n")
        .file(TEXT, &b"words\n".repeat(500))
}

impl Hostile {
    fn new(name: &'static str, about: &'static str, wheel: &WheelBuilder) -> Self {
        Self { name, filename: wheel.filename(), bytes: wheel.build(), entry: None, about }
    }

    /// The demo wheel with its archive changed before it is written.
    fn changed(name: &'static str, about: &'static str, change: impl FnOnce(&mut Archive)) -> Self {
        let mut archive = demo().archive();
        change(&mut archive);
        Self { bytes: archive.write().bytes, ..Self::new(name, about, &demo()) }
    }

    /// The demo wheel with its bytes changed after they are written.
    fn patched(name: &'static str, about: &'static str, patch: impl FnOnce(Written) -> Vec<u8>) -> Self {
        Self { bytes: patch(demo().archive().write()), ..Self::new(name, about, &demo()) }
    }

    /// The demo wheel with one entry changed; the error has to name it.
    fn entry(name: &'static str, about: &'static str, change: impl FnOnce(&mut Entry)) -> Self {
        Self::changed(name, about, |archive| change(archive.entry(TEXT))).naming(TEXT)
    }

    /// The demo wheel with one more file, whose name is at fault.
    fn named(name: &'static str, about: &'static str, path: &'static str) -> Self {
        Self::new(name, about, &demo().file(path, b"evil = 1\n")).naming(path)
    }

    fn naming(self, entry: &'static str) -> Self {
        Self { entry: Some(entry), ..self }
    }
}

/// Files that are cut, or that are not only a zip.
fn files() -> Vec<Hostile> {
    let cut = |name, about, place: fn(&Written) -> usize| {
        Hostile::patched(name, about, |written| written.bytes[..place(&written)].to_vec())
    };
    let cut64 = |name, about, into: usize| {
        let archive = Archive { is_zip64: true, ..demo().archive() };
        let written = archive.write();
        let end = written.zip64_end.unwrap_or_default() + into;
        // The end record is kept: what is missing is in the middle.
        let bytes = [&written.bytes[..end], &written.bytes[written.end..]].concat();
        Hostile { bytes, ..Hostile::new(name, about, &demo()) }
    };
    let around = |name, about, prefix: &[u8], suffix: &[u8]| {
        Hostile::patched(name, about, |written| [prefix, &written.bytes, suffix].concat())
    };
    let nested = WheelBuilder::new("other", "2.0").file("other.py", b"evil = 1\n").build();
    vec![
        cut("empty file", "no end of central directory", |_| 0),
        cut("cut in a local header", "no end of central directory", |written| written.locals[1] + 10),
        cut("cut in an entry's data", "no end of central directory", |written| written.data[1] + 3),
        cut("cut before the central directory", "no end of central directory", |written| written.centrals[0]),
        cut("cut in the central directory", "no end of central directory", |written| {
            written.centrals[2] + 20
        }),
        cut("cut in the end record", "cut short", |written| written.end + 15),
        cut64("cut in the zip64 end record", "not where its end record says", 20),
        cut64("cut in the zip64 locator", "not where its end record says", 56 + 8),
        Hostile { bytes: b"not a zip\n".repeat(100), ..Hostile::new("no zip", "not a zip", &demo()) },
        around("bytes after the end", "after its end", b"", b"evil"),
        around("bytes before the start", "not where its end record says", b"#!/bin/sh\nevil\n", b""),
        around("a whole zip before the start", "not where its end record says", &nested, b""),
        around("two archives, one after the other", "not where its end record says", &demo().build(), b""),
        Hostile::changed("bytes before the start, offsets mended", "before its first entry", |archive| {
            archive.prefix = b"#!/bin/sh\nevil\n".to_vec();
        }),
        Hostile::changed("bytes between entries and directory", "belong to no entry", |archive| {
            archive.gap = b"evil".to_vec();
        }),
        Hostile::changed("bytes between two entries", "belong to no entry", |archive| {
            archive.entry(CODE).data.extend(b"evil");
        }),
        Hostile::changed("an entry that the directory hides", "belong to no entry", |archive| {
            let hidden =
                Archive { entries: vec![Entry::stored("evil.py", b"evil = 1\n")], ..Archive::default() };
            let written = hidden.write();
            archive.gap = written.bytes[..written.centrals[0]].to_vec();
        }),
    ]
}

/// End records that lie.
fn ends() -> Vec<Hostile> {
    let lie = |name, about, at: usize, value: u16| {
        Hostile::patched(name, about, |written| {
            let end = written.end;
            written.with_u16(end + at, value).bytes
        })
    };
    let lie64 = |name, about, at: usize, value: u64| {
        let written = Archive { is_zip64: true, ..demo().archive() }.write();
        let end = written.zip64_end.unwrap_or_default();
        Hostile { bytes: written.with_u64(end + at, value).bytes, ..Hostile::new(name, about, &demo()) }
    };
    let count = demo().archive().entries.len() as u16;
    let written = demo().archive().write();
    let size = (written.end - written.centrals[0]) as u16;
    vec![
        Hostile::changed("an end record in the comment", "two end of central directory", |archive| {
            archive.comment = Archive::default().write().bytes;
        }),
        Hostile::changed("a zip in the comment", "end of central directory", |archive| {
            archive.comment = WheelBuilder::new("other", "2.0").build();
        }),
        lie("one entry less counted", "entries that its end record counts", 10, count - 1).both(8, count - 1),
        lie("one entry more counted", "entries that its end record counts", 10, count + 1).both(8, count + 1),
        lie("a directory larger than it is", "central directory", 12, size + 4),
        lie("a directory smaller than it is", "central directory", 12, size - 4),
        lie("a directory somewhere else", "central directory", 16, 1),
        lie("one disk of several", "split", 4, 1),
        lie("a comment that is not there", "cut short", 20, 9),
        lie64(
            "zip64: one entry less counted",
            "entries that its end record counts",
            32,
            u64::from(count) - 1,
        )
        .both64(24, u64::from(count) - 1),
        lie64("zip64: a directory somewhere else", "central directory", 48, 1),
        lie64("zip64: the locator points elsewhere", "zip64", 56 + 8, 1),
    ]
}

impl Hostile {
    /// The same with one more 16-bit field of the end record replaced.
    fn both(self, at: usize, value: u16) -> Self {
        let end = self.bytes.len() - 22;
        let bytes = [&self.bytes[..end + at], &value.to_le_bytes(), &self.bytes[end + at + 2..]].concat();
        Self { bytes, ..self }
    }

    /// The same with one more 64-bit field of the zip64 end record replaced.
    fn both64(self, at: usize, value: u64) -> Self {
        let end = self.bytes.len() - 22 - 20 - 56;
        let bytes = [&self.bytes[..end + at], &value.to_le_bytes(), &self.bytes[end + at + 8..]].concat();
        Self { bytes, ..self }
    }
}

/// Local headers that are not what the central directory says.
fn headers() -> Vec<Hostile> {
    vec![
        Hostile::entry("another name in the local header", "another name in its local header", |entry| {
            entry.local.name = b"demo/evil.txt".to_vec();
        }),
        Hostile::entry("another size in the local header", "another size in its local header", |entry| {
            entry.local.size -= 1;
        }),
        Hostile::entry(
            "another compressed size in the local header",
            "another compressed size in its local header",
            |entry| {
                entry.local.compressed_size -= 1;
            },
        ),
        Hostile::entry("another CRC in the local header", "another CRC in its local header", |entry| {
            entry.local.crc ^= 1;
        }),
        Hostile::entry("another method in the local header", "another method in its local header", |entry| {
            entry.local.method = 0;
        }),
        Hostile::entry(
            "other flags in the local header",
            "another set of flags in its local header",
            |entry| entry.local.flags ^= FLAG_UTF8,
        ),
        Hostile::patched("no local header", "no local header", |written| {
            let local = written.locals[1];
            written.with_u32(local, 0).bytes
        })
        .naming(TEXT),
        Hostile::changed("a local header far away", "belong to no entry", |archive| {
            archive.entry(TEXT).offset = Some(0xfff_ffff);
        }),
        Hostile::changed("an entry within another", "overlaps", |archive| {
            let inner = Archive {
                entries: vec![Entry::stored("demo/inner.py", b"evil = 1\n")],
                ..Archive::default()
            };
            let written = inner.write();
            let outer = written.bytes[..written.centrals[0]].to_vec();
            archive.entries.insert(0, Entry::stored("demo/outer.bin", &outer));
            // Its own data is empty and its header the one that lies in the outer entry's data.
            let offset = 30 + "demo/outer.bin".len() as u64;
            let mut inner = inner.entries[0].clone();
            inner.offset = Some(offset);
            archive.entries.push(inner);
        }),
        Hostile::entry("a data descriptor with another CRC", "data descriptor", |entry| {
            *entry = entry.clone().with_descriptor(Descriptor::Signed);
            let wrong = (entry.central.crc ^ 1).to_le_bytes();
            let sizes = [entry.central.compressed_size as u32, entry.central.size as u32];
            entry.descriptor = None;
            entry.data.extend(b"PK\x07\x08");
            entry.data.extend(wrong);
            entry.data.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
        }),
        Hostile::entry("a data descriptor that is not there", "", |entry| {
            *entry = entry.clone().with_descriptor(Descriptor::Signed);
            entry.descriptor = None;
        }),
    ]
}

/// Fields that mean something else to other readers, or that nobody should use.
fn fields() -> Vec<Hostile> {
    let method = |name, number: u16| {
        Hostile::entry(name, "compressed with method", |entry| {
            *entry = entry.clone().with_headers(|header| header.method = number);
        })
    };
    let flag = |name, about, flag: u16| {
        Hostile::entry(name, about, |entry| {
            *entry = entry.clone().with_headers(|header| header.flags |= flag);
        })
    };
    let extra =
        |name, about, extra: &[u8]| Hostile::entry(name, about, |entry| entry.central.extra = extra.to_vec());
    vec![
        method("deflate64", 9),
        method("bzip2", 12),
        method("lzma", 14),
        method("zstd", 93),
        flag("encrypted", "encrypted", 1),
        flag("strongly encrypted", "encrypted", 1 | 1 << 6),
        flag("patched data", "flags", 1 << 5),
        flag("masked headers", "", 1 << 13),
        extra("extra field that is cut", "extra field", b"\xfe\xca\x08\x00ab"),
        extra("extra field twice", "twice", b"\x75\x70\x01\x00\x01\x75\x70\x01\x00\x01"),
        extra("another name in the Unicode path field", "Unicode path", &unicode_path(TEXT, "demo/evil.txt")),
        Hostile::entry("sizes left to a zip64 field that is not there", "claims 4294967295", |entry| {
            *entry = entry.clone().with_headers(|header| header.size = 0xffff_ffff);
        }),
    ]
}

/// An Info-ZIP Unicode path extra field (0x7075) that gives `other` for `name`.
fn unicode_path(name: &str, other: &str) -> Vec<u8> {
    let body = [&[1], &crc32fast::hash(name.as_bytes()).to_le_bytes()[..], other.as_bytes()].concat();
    [&b"\x75\x70"[..], &(body.len() as u16).to_le_bytes(), &body].concat()
}

/// Names that lead somewhere else, or that file systems read differently.
fn names() -> Vec<Hostile> {
    let bytes = |name, about, bytes: &'static [u8], flags: u16| {
        Hostile::changed(name, about, |archive| {
            let entry = Entry::stored("demo/name", b"evil = 1\n").with_headers(|header| {
                header.name = bytes.to_vec();
                header.flags = flags;
            });
            archive.entries.push(entry);
        })
    };
    let mode =
        |name, about, mode: u32| Hostile::entry(name, about, |entry| *entry = entry.clone().with_mode(mode));
    let long: &'static str = concat!(
        "demo/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
        "01234567890123456789012345678901234567890123456789012345678901234567890123456789",
    );
    vec![
        Hostile::named("traversal", "`..`", "../evil.py"),
        Hostile::named("traversal within", "`..`", "demo/../../evil.py"),
        Hostile::named("traversal at the end", "`..`", "demo/.."),
        Hostile::named("traversal in .data", "`..`", "demo-1.0.data/scripts/../../../evil"),
        Hostile::named("absolute path", "absolute", "/etc/evil.py"),
        Hostile::named("network path", "absolute", "//server/evil.py"),
        Hostile::named("backslash", "backslash", "demo\\evil.py").escaped("demo\\\\evil.py"),
        Hostile::named("traversal with backslashes", "backslash", "..\\evil.py").escaped("..\\\\evil.py"),
        Hostile::named("drive letter", "drive", "C:/evil.py"),
        Hostile::named("NUL in a name", "control character", "demo/evil.py\0.txt")
            .escaped("demo/evil.py\\0.txt"),
        Hostile::named("newline in a name", "control character", "demo/evil\n.py").escaped("demo/evil\\n.py"),
        Hostile::named("dot part", "`.` parts", "demo/./evil.py"),
        Hostile::named("empty part", "empty or", "demo//evil.py"),
        Hostile::named("a part too long", "no file system", long),
        bytes("empty name", "empty name", b"", 0),
        bytes("name that is not UTF-8", "name", b"demo/\xff\xfe.py", FLAG_UTF8),
        bytes("name in an unknown encoding", "neither ASCII nor", b"demo/\x82vil.py", 0),
        mode("symbolic link", "symbolic link", 0o120_777),
        mode("character device", "neither a file nor a folder", 0o020_644),
        mode("socket", "neither a file nor a folder", 0o140_644),
        Hostile::changed("the same name twice", "twice", |archive| {
            archive.entries.push(Entry::deflated(TEXT, b"evil = 1\n"));
        })
        .naming(TEXT),
        Hostile::named("a file below a file", "below", "demo/text.txt/evil.py"),
        Hostile::changed("a folder with content", "folder", |archive| {
            archive.entries.push(Entry::stored("demo/folder/", b"evil").with_mode(0o040_755));
        })
        .naming("demo/folder/"),
        Hostile::changed("a folder named as a file", "folder", |archive| {
            archive.entries.push(Entry::stored("demo/folder", b"").with_mode(0o040_755));
        })
        .naming("demo/folder"),
    ]
}

impl Hostile {
    /// The same, where a message shows the name with escapes.
    fn escaped(self, entry: &'static str) -> Self {
        self.naming(entry)
    }
}

/// Bytes that are not what the headers promise.
fn contents() -> Vec<Hostile> {
    // RECORD says nothing about the size, so that only the stream can tell.
    let unsized_record = demo().record().replace(",3000\n", ",\n");
    let claims = |name, about, change: fn(u64) -> u64| {
        let mut archive = demo().with_record(&unsized_record).archive();
        let entry = archive.entry(TEXT);
        *entry = entry.clone().with_headers(|header| header.size = change(header.size));
        Hostile { bytes: archive.write().bytes, ..Hostile::new(name, about, &demo()) }.naming(TEXT)
    };
    let data = |name, about, change: fn(&mut Vec<u8>)| {
        Hostile::entry(name, about, |entry| {
            change(&mut entry.data);
            let size = entry.data.len() as u64;
            *entry = entry.clone().with_headers(|header| header.compressed_size = size);
        })
    };
    vec![
        Hostile::entry("wrong CRC", "CRC-32", |entry| {
            *entry = entry.clone().with_headers(|header| header.crc ^= 0x8000_0000);
        }),
        Hostile::changed("wrong CRC of a stored file", "CRC-32", |archive| {
            let entry = archive.entry(TEXT);
            let stored = Entry::stored(TEXT, &b"words\n".repeat(500));
            *entry = stored.with_headers(|header| header.crc ^= 1);
        })
        .naming(TEXT),
        claims("claims one byte more", "bytes that it claims", |size| size + 1),
        claims("claims one byte less", "bytes that it claims", |size| size - 1),
        claims("claims to be empty", "", |_| 0),
        claims("claims more than DEFLATE can hold", "compressed bytes can hold", |_| 0xfff_ffff),
        Hostile::changed("stored with two sizes", "is stored as", |archive| {
            let stored = Entry::stored(TEXT, &b"words\n".repeat(500));
            *archive.entry(TEXT) = stored.with_headers(|header| header.size += 1);
        })
        .naming(TEXT),
        data("damaged stream", "does not decompress", |data| data[0] = 0b111),
        data("damaged in the middle", "", |data| {
            let middle = data.len() / 2;
            data[middle] ^= 0x55;
        }),
        data("stream that ends early", "does not decompress", |data| data.truncate(data.len() - 3)),
        data("no stream at all", "", Vec::clear),
        data("garbage behind the stream", "behind the end", |data| data.extend(b"evil")),
        data("a second stream behind the first", "behind the end", |data| {
            let second = crate::zip::deflate(b"evil = 1\n");
            data.extend(second);
        }),
        Hostile::new("bomb", "would unpack", &demo().file("demo/zeros", &vec![0; 96 << 20])),
    ]
}

/// RECORDs that do not describe the wheel.
fn records() -> Vec<Hostile> {
    let text = b"words\n".repeat(500);
    let right = record_line(TEXT, &text);
    let spoiled = |name, about, line: String| {
        let record = demo().record();
        assert!(record.contains(&right), "the demo wheel has changed");
        Hostile::new(name, about, &demo().with_record(&record.replace(&right, &line)))
    };
    let bare = |algorithm: &str, digest: &str| format!("{TEXT},{algorithm}={digest},3000\n");
    vec![
        spoiled("another digest in RECORD", "RECORD", record_line(TEXT, &b"evil!\n".repeat(500)))
            .naming(TEXT),
        spoiled("another size in RECORD", "RECORD", right.replace(",3000", ",3001")).naming(TEXT),
        spoiled("an unreadable digest in RECORD", "digest", bare("sha256", "evil")).naming(TEXT),
        spoiled("an unreadable size in RECORD", "size", right.replace(",3000", ",many")).naming(TEXT),
        spoiled("md5 in RECORD", "md5", bare("md5", "X03MO1qnZdYdgyfeuILPmQ")).naming(TEXT),
        spoiled("sha1 in RECORD", "sha1", bare("sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00")).naming(TEXT),
        spoiled("two digests in RECORD", "twice", format!("{right}{}", record_line(TEXT, b"evil"))),
        spoiled("RECORD leads out of the wheel", "out of", format!("{right}../../../evil.py,,\n"))
            .naming(RECORD),
        spoiled("RECORD is no table", "not readable", format!("{right}\"evil\n")).naming(RECORD),
        Hostile::changed("no RECORD", "RECORD", |archive| {
            archive.entries.retain(|entry| entry.name() != RECORD);
        }),
    ]
}

/// Metadata that contradicts the file name or itself.
fn metadata() -> Vec<Hostile> {
    let without = |name, path: &'static str| {
        Hostile::changed(name, path, |archive| archive.entries.retain(|entry| entry.name() != path))
    };
    let renamed = |name, about, filename: &str| Hostile {
        filename: filename.to_owned(),
        ..Hostile::new(name, about, &demo())
    };
    let wheel = |name, about, text: &[u8]| Hostile::new(name, about, &demo().file(WHEEL, text)).naming(WHEEL);
    let other = "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n";
    let newer = "Metadata-Version: 2.1\nName: demo\nVersion: 2.0\n";
    vec![
        Hostile::new(
            "two dist-info folders",
            "more than one",
            &demo().file("other-2.0.dist-info/METADATA", b""),
        ),
        renamed("dist-info of another package", "demo-1.0.dist-info", "other-1.0-py3-none-any.whl"),
        renamed("dist-info of another version", "1.0", "demo-2.0-py3-none-any.whl"),
        renamed("no file name of a wheel", "not the file name", "demo.zip"),
        renamed("file name without tags", "not the file name", "demo-1.0.whl"),
        without("no WHEEL", WHEEL),
        without("no METADATA", METADATA),
        wheel("no Wheel-Version", "Wheel-Version", b"Root-Is-Purelib: true\nTag: py3-none-any\n"),
        wheel(
            "WHEEL that is not UTF-8",
            "UTF-8",
            b"Wheel-Version: 1.0\nGenerator: \xff\nRoot-Is-Purelib: true\n",
        ),
        Hostile::new("Wheel-Version 2.0", "2.0", &demo().wheel_version("2.0")),
        Hostile::new("METADATA of another package", "other", &demo().file(METADATA, other.as_bytes()))
            .naming(METADATA),
        Hostile::new("METADATA of another version", "2.0", &demo().file(METADATA, newer.as_bytes()))
            .naming(METADATA),
        Hostile::new("wrong platform", "win_amd64", &demo().tag("cp313-cp313-win_amd64")),
        Hostile::new("wrong interpreter", "cp27", &demo().tag("cp27-cp27m-manylinux1_x86_64")),
    ]
}

/// What shows only when the wheel is installed.
fn installs() -> Vec<Hostile> {
    let script = |name, about, script: &str| {
        Hostile::new(name, about, &demo().entry_point("console_scripts", script, "demo:main")).naming(POINTS)
    };
    let points =
        |name, about, text: &[u8]| Hostile::new(name, about, &demo().file(POINTS, text)).naming(POINTS);
    let data = |name, about, path: &'static str| {
        let wheel = demo().file(path, b"evil = 1\n");
        Hostile::new(name, about, &wheel).naming(path)
    };
    vec![
        data("unknown .data key", "evil", "demo-1.0.data/evil/file"),
        data("a file below no .data key", ".data", "demo-1.0.data/file"),
        script("script that leaves bin", "../evil", "../evil"),
        script("script with an absolute path", "/etc/evil", "/etc/evil"),
        script("script named like its folder", "`..`", ".."),
        points("script without a callable", "module:callable", b"[console_scripts]\nevil = demo\n"),
        points("a line that is no entry point", "not readable", b"[console_scripts]\nevil\n"),
        Hostile::new("a file where a folder must be", "folder", &{
            demo().data("scripts", "evil", b"#!python\n").data("data", "bin/evil/file", b"1")
        }),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_is_wrong_in_its_own_way() {
        let sound = demo().build();
        let wheels = wheels();
        assert!(wheels.len() >= 100, "{} cases", wheels.len());
        let names: BTreeSet<&str> = wheels.iter().map(|wheel| wheel.name).collect();
        assert_eq!(names.len(), wheels.len(), "two cases of one name");
        let spoiled = |wheel: &&Hostile| wheel.bytes == sound && wheel.filename == demo().filename();
        assert_eq!(wheels.iter().find(spoiled).map(|wheel| wheel.name), None, "a case that spoils nothing");
        let contents: BTreeSet<_> = wheels.iter().map(|wheel| (&wheel.filename, &wheel.bytes)).collect();
        assert_eq!(contents.len(), wheels.len(), "two cases of one content");
    }
}
