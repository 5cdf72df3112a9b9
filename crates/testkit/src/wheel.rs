//! Wheels as a test wants them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cartwheel_store::Digest;

use crate::zip::{Archive, Descriptor, Entry};

/// Describes a wheel; correct in METADATA, WHEEL and RECORD until a test says otherwise.
///
/// ```
/// use cartwheel_testkit::WheelBuilder;
///
/// let wheel = WheelBuilder::new("demo", "1.0")
///     .file("demo/__init__.py", b"answer = 42\n")
///     .data("scripts", "tool", b"#!python\nprint('hello')\n")
///     .entry_point("console_scripts", "demo", "demo:main");
/// assert_eq!(wheel.filename(), "demo-1.0-py3-none-any.whl");
/// assert_eq!(wheel.build(), wheel.build());
/// ```
#[derive(Debug, Clone)]
pub struct WheelBuilder {
    name: String,
    version: String,
    tag: String,
    members: Vec<Member>,
    entry_points: BTreeMap<String, Vec<String>>,
    metadata: String,
    wheel_version: String,
    root_is_purelib: bool,
    record: Option<String>,
}

/// One file of a wheel, and how it is packed.
#[derive(Debug, Clone)]
pub struct Member {
    path: String,
    content: Vec<u8>,
    mode: u32,
    is_stored: bool,
    is_zip64: bool,
    descriptor: Option<Descriptor>,
}

impl Member {
    /// A deflated file of mode 0644.
    pub fn new(path: &str, content: &[u8]) -> Self {
        Self {
            path: path.to_owned(),
            content: content.to_vec(),
            mode: 0o100_644,
            is_stored: false,
            is_zip64: false,
            descriptor: None,
        }
    }

    /// The same with other permission bits.
    #[must_use]
    pub fn mode(mut self, permissions: u32) -> Self {
        self.mode = 0o100_000 | permissions;
        self
    }

    /// The same, not compressed.
    #[must_use]
    pub fn stored(mut self) -> Self {
        self.is_stored = true;
        self
    }

    /// The same with zip64 sizes.
    #[must_use]
    pub fn zip64(mut self) -> Self {
        self.is_zip64 = true;
        self
    }

    /// The same with its sizes after the data.
    #[must_use]
    pub fn descriptor(mut self, descriptor: Descriptor) -> Self {
        self.descriptor = Some(descriptor);
        self
    }

    fn entry(&self) -> Entry {
        let pack = if self.is_stored { Entry::stored } else { Entry::deflated };
        let entry = pack(&self.path, &self.content);
        let entry = entry.with_mode(self.mode);
        let entry = if self.is_zip64 { entry.with_zip64() } else { entry };
        match self.descriptor {
            Some(descriptor) => entry.with_descriptor(descriptor),
            None => entry,
        }
    }

    fn record_line(&self) -> String {
        record_line(&self.path, &self.content)
    }
}

impl WheelBuilder {
    /// A pure wheel for any platform, without files of its own yet.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            tag: "py3-none-any".to_owned(),
            members: Vec::new(),
            entry_points: BTreeMap::new(),
            metadata: String::new(),
            wheel_version: "1.0".to_owned(),
            root_is_purelib: true,
            record: None,
        }
    }

    /// The same for other interpreters or platforms (`cp313-cp313-manylinux_2_28_x86_64`).
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tag);
        self
    }

    /// The same with one more file.
    #[must_use]
    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.member(Member::new(path, content))
    }

    /// The same with one more file that is packed in a way of its own.
    #[must_use]
    pub fn member(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// The same with a file below `.data/<key>/`.
    #[must_use]
    pub fn data(self, key: &str, path: &str, content: &[u8]) -> Self {
        let path = format!("{}/{key}/{path}", self.data_directory());
        self.file(&path, content)
    }

    /// The same with an entry point (`demo:main`, `demo.cli:main [extra]`).
    #[must_use]
    pub fn entry_point(mut self, group: &str, name: &str, object: &str) -> Self {
        self.entry_points.entry(group.to_owned()).or_default().push(format!("{name} = {object}"));
        self
    }

    /// The same with a line more in METADATA (`Requires-Dist: numpy`).
    #[must_use]
    pub fn metadata(mut self, line: &str) -> Self {
        self.metadata.push_str(line);
        self.metadata.push('\n');
        self
    }

    /// The same with another `Wheel-Version`.
    #[must_use]
    pub fn wheel_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.wheel_version);
        self
    }

    /// The same with its root meant for `platlib`.
    #[must_use]
    pub fn platlib(mut self) -> Self {
        self.root_is_purelib = false;
        self
    }

    /// The same with this text for RECORD; start from [`WheelBuilder::record`].
    #[must_use]
    pub fn with_record(mut self, record: &str) -> Self {
        self.record = Some(record.to_owned());
        self
    }

    /// The wheel's file name.
    pub fn filename(&self) -> String {
        format!("{}-{}-{}.whl", escaped(&self.name), self.version, self.tag)
    }

    /// The wheel's `.dist-info` directory.
    pub fn dist_info(&self) -> String {
        format!("{}-{}.dist-info", escaped(&self.name), self.version)
    }

    /// The wheel's `.data` directory.
    pub fn data_directory(&self) -> String {
        format!("{}-{}.data", escaped(&self.name), self.version)
    }

    /// The text of RECORD: one line for each file, in the order of the archive, RECORD itself last.
    pub fn record(&self) -> String {
        let lines: String = self.all_members().iter().map(Member::record_line).collect();
        self.record.clone().unwrap_or_else(|| format!("{lines}{}/RECORD,,\n", self.dist_info()))
    }

    /// The archive, described; RECORD is its last entry.
    pub fn archive(&self) -> Archive {
        let record = Member::new(&format!("{}/RECORD", self.dist_info()), self.record().as_bytes());
        let members = self.all_members().into_iter().chain([record]);
        Archive { entries: members.map(|member| member.entry()).collect(), ..Archive::default() }
    }

    /// The wheel's bytes.
    pub fn build(&self) -> Vec<u8> {
        self.archive().write().bytes
    }

    /// All files but RECORD. A file that the test gave stands in the place of the one that would be made.
    fn all_members(&self) -> Vec<Member> {
        let mut members = self.members.clone();
        for (name, text) in self.made_files() {
            let path = format!("{}/{name}", self.dist_info());
            if !members.iter().any(|member| member.path == path) {
                members.push(Member::new(&path, text.as_bytes()));
            }
        }
        members
    }

    fn made_files(&self) -> Vec<(&'static str, String)> {
        let Self { name, version, tag, metadata, wheel_version, root_is_purelib, .. } = self;
        let tags = expanded(tag).join("\nTag: ");
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}");
        let wheel = format!(
            "Wheel-Version: {wheel_version}\nGenerator: cartwheel-testkit\nRoot-Is-Purelib: {root_is_purelib}\nTag: {tags}\n"
        );
        let mut files = vec![("METADATA", metadata), ("WHEEL", wheel)];
        if !self.entry_points.is_empty() {
            files.push(("entry_points.txt", self.entry_points_text()));
        }
        files
    }

    fn entry_points_text(&self) -> String {
        let section = |(group, lines): (&String, &Vec<String>)| format!("[{group}]\n{}\n", lines.join("\n"));
        self.entry_points.iter().map(section).collect::<Vec<_>>().join("\n")
    }
}

/// A line of RECORD with the SHA-256 of `content`.
pub fn record_line(path: &str, content: &[u8]) -> String {
    let needs_quotes = path.contains([',', '"', '\n']);
    let quoted = if needs_quotes { format!("\"{}\"", path.replace('"', "\"\"")) } else { path.to_owned() };
    format!("{quoted},sha256={},{}\n", URL_SAFE_NO_PAD.encode(Digest::of(content).as_bytes()), content.len())
}

/// The name as wheel file names have it: runs of `-_.` become one `_`.
fn escaped(name: &str) -> String {
    let parts: Vec<&str> = name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
    parts.join("_")
}

/// A compressed tag set (`py2.py3-none-any`) as the single tags that WHEEL lists.
fn expanded(tag: &str) -> Vec<String> {
    let sets: Vec<Vec<&str>> = tag.split('-').map(|set| set.split('.').collect()).collect();
    let join = |tags: Vec<String>, set: &Vec<&str>| -> Vec<String> {
        tags.iter().flat_map(|tag| set.iter().map(move |part| format!("{tag}-{part}"))).collect()
    };
    let joined = sets.iter().fold(vec![String::new()], join);
    joined.iter().map(|tag| tag.trim_start_matches('-').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags() {
        let wheel = WheelBuilder::new("My-Pkg.core", "1.0").tag("py2.py3-none-any");
        assert_eq!(wheel.filename(), "My_Pkg_core-1.0-py2.py3-none-any.whl");
        assert_eq!(expanded("py2.py3-none-any"), ["py2-none-any", "py3-none-any"]);
    }

    #[test]
    fn record_lists_every_file_once() {
        let wheel = WheelBuilder::new("demo", "1.0").file("demo.py", b"").file("a,b", b"x");
        let record = wheel.record();
        let paths: Vec<&str> = record.lines().map(|line| line.split(",sha256").next().unwrap()).collect();
        let info = "demo-1.0.dist-info";
        let expected = [
            "demo.py",
            "\"a,b\"",
            &format!("{info}/METADATA"),
            &format!("{info}/WHEEL"),
            &format!("{info}/RECORD,,"),
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_given_file_replaces_the_made_one() {
        let wheel = WheelBuilder::new("demo", "1.0").file("demo-1.0.dist-info/WHEEL", b"Wheel-Version: 9\n");
        assert_eq!(wheel.record().matches("WHEEL").count(), 1);
    }
}
