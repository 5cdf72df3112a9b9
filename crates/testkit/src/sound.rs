//! Wheels that are sound however odd they look: what pip installs from them is what everybody has to install.

use crate::WheelBuilder;
use crate::wheel::Member;
use crate::zip::{Archive, Descriptor, Entry};

/// A wheel that must be accepted.
#[derive(Debug, Clone)]
pub struct Sound {
    /// What is odd about it, in a few words.
    pub name: &'static str,
    /// Its file name.
    pub filename: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// One wheel for each oddity; they differ in their distribution names, so that all can be installed side by side.
pub fn wheels() -> Vec<Sound> {
    [schemes(), layouts(), packings(), records()].concat()
}

fn demo(name: &str) -> WheelBuilder {
    let package = name.replace('-', "_");
    WheelBuilder::new(name, "1.0").file(&format!("{package}/__init__.py"), b"def main():\n    return 42\n")
}

fn sound(name: &'static str, wheel: &WheelBuilder) -> Sound {
    Sound { name, filename: wheel.filename(), bytes: wheel.build() }
}

fn packed(name: &'static str, wheel: &WheelBuilder, change: impl FnOnce(&mut Archive)) -> Sound {
    let mut archive = wheel.archive();
    change(&mut archive);
    Sound { name, filename: wheel.filename(), bytes: archive.write().bytes }
}

/// What is installed where: `.data` keys, scripts, entry points.
fn schemes() -> Vec<Sound> {
    let keys = demo("data-keys")
        .data("purelib", "data_keys_pure.py", b"pure = 1\n")
        .data("platlib", "data_keys_plat.py", b"plat = 1\n")
        .data("scripts", "data-keys-script", b"#!python\nprint('script')\n")
        .data("headers", "sub/header.h", b"#define ANSWER 42\n")
        .data("data", "share/data-keys/file.txt", b"data\n")
        .data("data", "bin/data-keys-tool", b"#!/bin/sh\necho tool\n");
    let scripts = demo("script-kinds")
        .data("scripts", "kinds-python", b"#!python\nprint(1)\n")
        .data("scripts", "kinds-pythonw", b"#!pythonw\nprint(1)\n")
        .data("scripts", "kinds-arguments", b"#!python -sE\nprint(1)\n")
        .data("scripts", "kinds-carriage-return", b"#!python\r\nprint(1)\r\n")
        .data("scripts", "kinds-versioned", b"#!python3\nprint(1)\n")
        .data("scripts", "kinds-absolute", b"#!/usr/bin/env python\nprint(1)\n")
        .data("scripts", "kinds-shell", b"#!/bin/sh\necho 1\n")
        .data("scripts", "kinds-binary", b"\x7fELF\0\0\xff\xfe")
        .data("scripts", "kinds-no-newline", b"#!python")
        .data("scripts", "kinds-empty", b"");
    let points = demo("entry-points")
        .metadata("Provides-Extra: fancy")
        .entry_point("console_scripts", "points-plain", "entry_points:main")
        .entry_point("console_scripts", "points-extra", "entry_points:main [fancy]")
        .entry_point("console_scripts", "points-nested", "entry_points.cli:app.run")
        .entry_point("console_scripts", "points_under.score-dash", "entry_points:main")
        .entry_point("gui_scripts", "points-gui", "entry_points:main")
        .entry_point("some.plugin.group", "not a script", "entry_points:main");
    let plat =
        demo("root-platlib").platlib().tag("py3-none-linux_x86_64").file("root_platlib/lib.so", b"\x7fELF");
    let tags = demo("many-tags").tag("py2.py3-none-any");
    let folder =
        demo("script-folder").entry_point("console_scripts", "sub/folder-script", "script_folder:main");
    let code = demo("script-code").entry_point("console_scripts", "code-script", "script_code:main();pass");
    let stray = demo("stray-line").file(
        "stray_line-1.0.dist-info/entry_points.txt",
        b"stray = x:y\n[console_scripts]\nstray-ok = stray_line:main\n",
    );
    let purelib = demo("purelib-perhaps")
        .file("purelib_perhaps-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: perhaps\n");
    vec![
        sound("every .data key", &keys),
        sound("script kinds", &scripts),
        sound("entry points with extras", &points),
        sound("root is platlib", &plat),
        sound("compressed tag set", &tags),
        sound("a script in a folder", &folder),
        sound("a script whose callable is no name", &code),
        sound("an entry point before any section", &stray),
        sound("a Root-Is-Purelib that is neither", &purelib),
    ]
}

/// What the files are called and how they lie.
fn layouts() -> Vec<Sound> {
    let long = format!("long_names/{}.py", "a".repeat(120));
    let deep = format!("long_names/{}/{}/deep.py", "b".repeat(120), "c".repeat(140));
    let component = format!("long_names/{}.py", "d".repeat(252)); // 255 bytes, the most that Linux takes
    let long_names = demo("long-names").file(&long, b"").file(&deep, b"deep = 1\n").file(&component, b"");
    let namespace = WheelBuilder::new("name-space.one", "1.0")
        .file("name_space/one/__init__.py", b"one = 1\n")
        .file("name_space/two.py", b"two = 2\n");
    let accents = demo("non-ascii")
        .file("non_ascii/données.txt", "été\n".as_bytes())
        .file("non_ascii/数据/文件.txt", b"1")
        .file("non_ascii/decomposed-e\u{301}.txt", b"2");
    let strange = demo("strange-names")
        .file("strange_names/with space.txt", b"1")
        .file("strange_names/comma,quote\".txt", b"2")
        .file("strange_names/..dots..txt", b"3")
        .file("strange_names/...", b"4")
        .file("strange_names/-dash", b"5")
        .file("strange_names/#hash%20", b"6")
        .file("strange_names/.wh", b"7");
    let cases =
        demo("case-differs").file("case_differs/Readme.txt", b"1").file("case_differs/README.txt", b"2");
    let licenses = demo("licenses").file("licenses-1.0.dist-info/licenses/sub/LICENSE", b"free\n");
    vec![
        sound("long names", &long_names),
        sound("namespace package", &namespace),
        sound("non-ascii names", &accents),
        sound("strange names", &strange),
        sound("names that differ by case", &cases),
        sound("files below dist-info", &licenses),
    ]
}

/// How the archive is written.
fn packings() -> Vec<Sound> {
    let text = b"abc\n".repeat(1000);
    let stored = demo("stored-entries")
        .member(Member::new("stored_entries/text.txt", &text).stored())
        .member(Member::new("stored_entries/empty", b"").stored());
    let empty = demo("empty-files").file("empty_files/deflated", b"").file("empty_files/py.typed", b"");
    let signed = demo("descriptors")
        .member(Member::new("descriptors/signed.txt", &text).descriptor(Descriptor::Signed))
        .member(Member::new("descriptors/bare.txt", &text).descriptor(Descriptor::Bare))
        .member(Member::new("descriptors/empty.txt", b"").descriptor(Descriptor::Signed));
    let zip64 = demo("zip64-entries")
        .member(Member::new("zip64_entries/one.txt", &text).zip64())
        .member(Member::new("zip64_entries/two.txt", &text).zip64().descriptor(Descriptor::Signed));
    let modes = demo("modes")
        .member(Member::new("modes/tool", b"#!/bin/sh\n").mode(0o755))
        .member(Member::new("modes/group", b"1").mode(0o664))
        .member(Member::new("modes/owner-only", b"2").mode(0o600))
        .member(Member::new("modes/owner-executes", b"3").mode(0o700))
        .member(Member::new("modes/setuid", b"4").mode(0o4755))
        .member(Member::new("modes/none", b"5").mode(0))
        .file("modes/piped", b"6"); // what `zip` marks so came from a pipe
    let dos = demo("made-by-dos");
    let folders = demo("directory-entries").file("directory_entries/sub/file", b"1");
    vec![
        sound("stored entries", &stored),
        sound("empty files", &empty),
        sound("data descriptors", &signed),
        sound("zip64 entries", &zip64),
        packed("zip64 archive", &demo("zip64-archive"), |archive| archive.is_zip64 = true),
        packed("permission bits", &modes, |archive| {
            let piped = archive.entry("modes/piped");
            *piped = piped.clone().with_mode(0o010_644);
        }),
        packed("made on DOS", &dos, |archive| {
            for entry in &mut archive.entries {
                entry.version_made_by = 20;
                entry.external_attributes = 0x20;
            }
        }),
        packed("directory entries", &folders, |archive| {
            let folder = |name: &str| Entry::stored(name, b"").with_mode(0o040_755);
            archive.entries.insert(0, folder("directory_entries/"));
            archive.entries.push(folder("directory_entries/sub/"));
        }),
        packed("record first", &demo("record-first"), |archive| archive.entries.rotate_right(1)),
        packed("several deflate blocks", &demo("deflate-blocks"), |archive| {
            let entry = archive.entry("deflate_blocks/__init__.py");
            entry.data = two_stored_blocks(b"def main():\n    return 42\n");
            let size = entry.data.len() as u64;
            *entry = entry.clone().with_headers(|header| header.compressed_size = size);
        }),
        packed("extra fields", &demo("extra-fields"), |archive| {
            for entry in &mut archive.entries {
                // An unknown field of four bytes.
                entry.central.extra = b"\xfe\xca\x04\x00abcd".to_vec();
                entry.local.extra = b"\xfe\xca\x02\x00ab".to_vec();
            }
        }),
    ]
}

/// RECORDs that pip takes, because it never looks: they are mended in what is installed, not refused.
fn records() -> Vec<Sound> {
    let other = |name: &'static str, distribution: &str, change: fn(&str) -> String| {
        let wheel = demo(distribution).file(&format!("{distribution}.txt"), b"");
        sound(name, &wheel.clone().with_record(&change(&wheel.record())))
    };
    let without = |record: &str| record.lines().filter(|line| !line.contains(".txt,")).map(row).collect();
    let bare = |record: &str| {
        record
            .lines()
            .map(|line| match line.split_once(".txt,") {
                Some((stem, _)) => row(&format!("{stem}.txt,,")),
                None => row(line),
            })
            .collect()
    };
    let more =
        |record: &str| format!("gone.txt,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n{record}");
    vec![
        other("a file that RECORD does not list", "record-unlisted", without),
        other("a file that RECORD lists without a digest", "record-bare", bare),
        other("RECORD lists a file that is not there", "record-gone", more),
        other("RECORD with carriage returns", "record-returns", |record| record.replace('\n', "\r\n")),
        other("RECORD without its last line end", "record-unended", |record| record.trim_end().to_owned()),
    ]
}

fn row(line: &str) -> String {
    format!("{line}\n")
}

/// A raw DEFLATE stream of two stored blocks, the second of them empty.
fn two_stored_blocks(content: &[u8]) -> Vec<u8> {
    let length = content.len() as u16;
    let header = [vec![0], length.to_le_bytes().to_vec(), (!length).to_le_bytes().to_vec()].concat();
    [header.as_slice(), content, b"\x01\x00\x00\xff\xff"].concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let wheels = wheels();
        let names: BTreeSet<&str> = wheels.iter().map(|wheel| wheel.name).collect();
        let filenames: BTreeSet<&str> = wheels.iter().map(|wheel| wheel.filename.as_str()).collect();
        assert_eq!((names.len(), filenames.len()), (wheels.len(), wheels.len()));
    }
}
