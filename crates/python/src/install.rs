//! Installing a wheel, described: which files it puts where, without putting them there.
//!
//! This follows the wheel specification («Installing a wheel»), whose step numbers are in the comments, and does in
//! every visible respect what pip 26 does; the differences that are intended are listed in `docs/wheels.md`. The
//! result is a list of files for the layer engine: most are members of the wheel, named by where their compressed
//! bytes lie; a few are generated and small.
//!
//! INSTALLER says `pip`, although it was not: `pip uninstall` and image scanners act on it, and an image must not
//! behave differently because it was built faster. Bytecode (step 2.e) is made by the target's own interpreter, in
//! another place; here it is only listed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cartwheel_store::Digest;

use crate::bytecode::{compiled_path, is_module};
use crate::error::Result;
use crate::scheme::{PipScripts, Scheme, Tool};
use crate::wheel::{
    Defect, FileDigest, Member, Method, RecordRow, Refusal, Script, Wheel, file_above, write_row,
};

/// A file that an installed wheel consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledFile {
    /// Absolute in the image, without the leading slash.
    pub path: String,
    /// Mode 0755; all others have 0644.
    pub executable: bool,
    /// Its bytes.
    pub content: InstalledContent,
}

/// The bytes of an [`InstalledFile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstalledContent {
    /// Made here, from what was verified.
    Generated(Vec<u8>),
    /// An entry of the wheel, to be verified by whoever reads it: CRC, size, end of the data, and `expected`.
    Member {
        /// Where its data begins in the wheel.
        offset: u64,
        /// How many bytes its data has in the wheel.
        compressed_size: u64,
        /// How many bytes it has unpacked.
        size: u64,
        /// The CRC-32 of the unpacked bytes.
        crc32: u32,
        /// How the data is stored.
        method: Method,
        /// What RECORD promises.
        expected: Option<FileDigest>,
    },
}

impl InstalledContent {
    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        match self {
            Self::Generated(bytes) => bytes.len() as u64,
            Self::Member { size, .. } => *size,
        }
    }
}

/// What can be chosen about an installation.
#[derive(Debug, Clone, Default)]
pub struct InstallOptions {
    /// Which tool is stood in for.
    pub tool: Tool,
    /// Whether the user asked for this package, rather than another package: REQUESTED.
    pub requested: bool,
    /// Where it came from, if it was asked for by URL: direct_url.json.
    pub direct_url: Option<DirectUrl>,
    /// Whether RECORD's digests and sizes are believed.
    pub record: RecordCheck,
    /// The interpreter's cache tag, if modules were compiled: what pip compiled it lists in RECORD.
    pub cache_tag: Option<String>,
    /// Which of the installed modules could not be compiled, by their paths in the image.
    pub uncompiled: BTreeSet<String>,
}

/// Whether files must be what RECORD says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RecordCheck {
    /// A file that RECORD lists with a digest or a size must have it, as the specification demands.
    #[default]
    Enforced,
    /// As pip does, which never compares.
    Ignored,
}

/// The URL that a distribution was asked for by (PEP 610).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectUrl {
    /// That of the wheel.
    Wheel {
        /// Without credentials.
        url: String,
        /// The digest of the wheel.
        sha256: Digest,
    },
    /// That of something from which the wheel was built, as the text of direct_url.json.
    Source(String),
}

impl DirectUrl {
    /// The text of direct_url.json, as the tool writes it: pip with the digest that it found.
    fn to_json(&self, tool: Tool) -> String {
        let (url, sha256) = match self {
            Self::Wheel { url, sha256 } => (json_string(url), sha256),
            Self::Source(text) => return text.clone(),
        };
        let hex = sha256.hex();
        if tool == Tool::Uv {
            return format!(r#"{{"url":{url},"archive_info":{{}}}}"#);
        }
        format!(
            r#"{{"archive_info": {{"hash": "sha256={hex}", "hashes": {{"sha256": "{hex}"}}}}, "url": {url}}}"#
        )
    }
}

/// A JSON string in ASCII, as Python's `json.dumps` writes it.
pub(crate) fn json_string(text: &str) -> String {
    let escape = |letter: char| match letter {
        '"' | '\\' => format!("\\{letter}"),
        ' '..='~' => letter.to_string(),
        _ => {
            let units = letter.encode_utf16(&mut [0; 2]).to_vec();
            units.iter().fold(String::new(), |text, unit| format!("{text}\\u{unit:04x}"))
        }
    };
    let text: String = text.chars().map(escape).collect();
    format!("\"{text}\"")
}

/// The files of an installed wheel, sorted by path.
pub fn install(wheel: &Wheel, scheme: &Scheme, options: &InstallOptions) -> Result<Vec<InstalledFile>> {
    let label = wheel.filename().as_str();
    Installation::new(wheel, scheme, options).run().map_err(|refusal| refusal.of(label))
}

/// The bytes of one of the files that [`install`] gave for `wheel`, unpacked and verified: the slow twin of what the
/// layer engine does in its one pass.
pub fn read_installed(wheel: &Wheel, file: &InstalledFile) -> Result<Vec<u8>> {
    let (offset, expected) = match &file.content {
        InstalledContent::Generated(bytes) => return Ok(bytes.clone()),
        InstalledContent::Member { offset, expected, .. } => (*offset, expected),
    };
    // Members without content may share their offset with nothing else: every member has its own local header.
    let label = wheel.filename().as_str();
    let member = wheel.archive().members().iter().find(|member| member.offset == offset);
    let member =
        member.ok_or_else(|| Refusal::from(Defect::MissingFile { path: file.path.clone() }).of(label))?;
    let bytes = wheel.archive().read(member)?;
    if expected.is_some_and(|digest| !digest.matches(&bytes)) {
        return Err(Defect::RecordDigest.at(&member.name).of(label));
    }
    Ok(bytes)
}

/// An installation being described.
struct Installation<'a> {
    wheel: &'a Wheel,
    scheme: &'a Scheme,
    options: &'a InstallOptions,
    /// Where the root of the wheel goes, and what RECORD is relative to.
    library: &'a str,
    rows: HashMap<&'a str, &'a RecordRow>,
    files: BTreeMap<String, InstalledFile>,
    /// Paths in RECORD with digest and size.
    record: BTreeMap<String, (String, String)>,
    /// The members that are installed, somewhere.
    installed: HashSet<&'a str>,
}

impl<'a> Installation<'a> {
    fn new(wheel: &'a Wheel, scheme: &'a Scheme, options: &'a InstallOptions) -> Self {
        // 1.c: the root goes to purelib or platlib.
        let library = if wheel.root_is_purelib() { &scheme.purelib } else { &scheme.platlib };
        let rows = wheel.record().iter().map(|row| (row.path.as_str(), row)).collect();
        let (files, record, installed) = (BTreeMap::new(), BTreeMap::new(), HashSet::new());
        Self { wheel, scheme, options, library, rows, files, record, installed }
    }

    fn run(mut self) -> Result<Vec<InstalledFile>, Refusal> {
        // 1.a and 1.b, the wheel's metadata and version, were checked when it was opened.
        self.check_rows()?;
        let members = || self.wheel.archive().members().iter().filter(|member| !member.is_folder());
        let (data, root): (Vec<_>, Vec<_>) = members().partition(|member| in_data_folder(&member.name));
        // 1.d: unpack. Files of `.data` come later and win, scripts last of all.
        for member in root {
            self.add_member(member, &format!("{}/{}", self.library, member.name), None)?;
        }
        let (scripts, others): (Vec<_>, Vec<_>) =
            data.into_iter().partition(|member| is_script(&member.name));
        // 2.a and 2.b: spread `.data` over the scheme.
        for member in others {
            let path = self.spread_path(&member.name).map_err(|defect| defect.at(&member.name))?;
            self.add_member(member, &path, None)?;
        }
        for member in scripts {
            let path = self.spread_path(&member.name).map_err(|defect| defect.at(&member.name))?;
            if !self.is_wrapper(&path) {
                // 2.c: scripts that begin with `#!python` learn where it is.
                let rewritten = self.rewritten_script(member)?;
                self.add_member(member, &path, rewritten)?;
            }
        }
        self.add_entry_points();
        self.add_notes();
        self.check_places()?;
        self.list_bytecode();
        // 2.d: RECORD, with what is installed now.
        self.add_record();
        self.flatten()
    }

    /// Where a file lies in the end.
    fn flat_path(&self, path: &str) -> String {
        let place = |path: &str| path.trim_start_matches('/').to_owned();
        let library = format!("{}/", place(self.library));
        match (&self.scheme.flattened, path.strip_prefix(&library)) {
            (Some(target), Some(rest)) => place(&format!("{}/{rest}", place(target))),
            _ => path.to_owned(),
        }
    }

    /// What pip does last with `--target`: it moves what lies in `lib/python` to the directory itself.
    fn flatten(mut self) -> Result<Vec<InstalledFile>, Refusal> {
        let unmoved = std::mem::take(&mut self.files);
        let mut files = BTreeMap::new();
        for file in unmoved.into_values() {
            let path = self.flat_path(&file.path);
            // What of two files pip keeps depends on the order in which the disk lists them.
            if files.insert(path.clone(), InstalledFile { path: path.clone(), ..file }).is_some() {
                return Err(Defect::PlaceConflict { path: path.clone() }.at(&path));
            }
        }
        Ok(files.into_values().collect())
    }

    fn check_rows(&self) -> Result<(), Refusal> {
        if self.options.record == RecordCheck::Ignored {
            return Ok(());
        }
        match self.wheel.record().iter().find(|row| row.leads_out()) {
            Some(row) => {
                let record = format!("{}/RECORD", self.wheel.dist_info());
                Err(Defect::RecordPath { path: row.path.clone() }.at(&record))
            }
            None => Ok(()),
        }
    }

    /// What RECORD promises for a member; its size is compared at once.
    fn expected(&self, member: &Member) -> Result<Option<FileDigest>, Defect> {
        let row = self.rows.get(member.name.as_str());
        let Some(row) = row.filter(|_| self.options.record == RecordCheck::Enforced) else { return Ok(None) };
        let (digest, size) = row.expected()?;
        match size {
            Some(expected) if expected != member.size => {
                Err(Defect::RecordSize { expected, found: member.size })
            }
            _ => Ok(digest),
        }
    }

    fn add_member(
        &mut self,
        member: &'a Member,
        place: &str,
        rewritten: Option<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let expected = self.expected(member).map_err(|defect| defect.at(&member.name))?;
        let path = record_path(place, self.library);
        let old = self.rows.get(member.name.as_str());
        // uv lets scripts that it rewrites be executed; pip, those that the wheel says.
        let is_uvs = rewritten.is_some() && self.options.tool == Tool::Uv;
        let row = match (&rewritten, old) {
            (Some(bytes), Some(_)) => (FileDigest::of(bytes).to_string(), bytes.len().to_string()),
            (None, Some(row)) => (row.digest.clone(), row.size.clone()),
            // As pip: what RECORD does not list, it lists without a digest.
            (_, None) => (String::new(), String::new()),
        };
        self.record.insert(path, row);
        self.installed.insert(&member.name);
        let content = match rewritten {
            Some(bytes) => InstalledContent::Generated(bytes),
            None => InstalledContent::Member {
                offset: member.offset,
                compressed_size: member.compressed_size,
                size: member.size,
                crc32: member.crc32,
                method: member.method,
                expected,
            },
        };
        self.add_file(place, member.is_executable() || is_uvs, content);
        Ok(())
    }

    fn add_file(&mut self, place: &str, executable: bool, content: InstalledContent) {
        let path = place.trim_start_matches('/').to_owned();
        self.files.insert(path.clone(), InstalledFile { path, executable, content });
    }

    /// Where a file of a `.data` folder goes.
    fn spread_path(&self, name: &str) -> Result<String, Defect> {
        let mut parts = name.splitn(3, '/');
        let (_, Some(key), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Defect::DataPath);
        };
        let folder = match key {
            "purelib" => &self.scheme.purelib,
            "platlib" => &self.scheme.platlib,
            "scripts" => &self.scheme.scripts,
            "data" => &self.scheme.data,
            "headers" => {
                return Ok(format!("{}/{}/{rest}", self.scheme.headers, self.wheel.filename().name()));
            }
            key => return Err(Defect::SchemeKey { key: key.to_owned() }),
        };
        Ok(format!("{}/{rest}", folder.trim_end_matches('/')))
    }

    /// Whether a script is one that setuptools made for an entry point: pip makes its own instead.
    fn is_wrapper(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let lowercase = name.to_lowercase();
        let suffixes = [".exe", "-script.py", ".pya"];
        let suffix = suffixes.iter().find(|suffix| lowercase.ends_with(**suffix));
        let stem = suffix.and_then(|suffix| name.get(..name.len() - suffix.len())).unwrap_or(name);
        let entry_points = self.wheel.entry_points();
        entry_points.console.iter().chain(&entry_points.gui).any(|script| script.name == stem)
    }

    /// The content of a script with its interpreter filled in, if it asks for that.
    fn rewritten_script(&self, member: &Member) -> Result<Option<Vec<u8>>, Refusal> {
        /// Scripts are read into memory; the largest known has 200 kB.
        const LIMIT: u64 = 64 << 20;
        const PLACEHOLDER: &[u8] = b"#!python";
        let archive = self.wheel.archive();
        if archive.peek(member, PLACEHOLDER.len())? != PLACEHOLDER {
            return Ok(None);
        }
        let bytes = archive.read_limited(member, LIMIT)?;
        let expected = self.expected(member).map_err(|defect| defect.at(&member.name))?;
        if expected.is_some_and(|digest| !digest.matches(&bytes)) {
            return Err(Defect::RecordDigest.at(&member.name));
        }
        // pip replaces the whole line, arguments and `pythonw` too.
        let rest = bytes.iter().position(|byte| *byte == b'\n').and_then(|end| bytes.get(end + 1..));
        let line = format!("#!{}\n", self.scheme.python);
        Ok(Some([line.as_bytes(), rest.unwrap_or_default()].concat()))
    }

    /// The scripts of the entry points specification.
    fn add_entry_points(&mut self) {
        let shebang = shebang(&self.scheme.python);
        let entry_points = self.wheel.entry_points();
        let console = match self.options.tool {
            Tool::Pip(_) => versioned(&entry_points.console, self.scheme),
            Tool::Uv => entry_points.console.clone(),
        };
        for script in console.iter().chain(&entry_points.gui) {
            let place = format!("{}/{}", self.scheme.scripts, script.name);
            let text = format!("{shebang}{}", script_text(script, self.options.tool));
            self.add_generated(&place, true, text.into_bytes());
        }
    }

    /// INSTALLER, direct_url.json and REQUESTED.
    fn add_notes(&mut self) {
        let folder = format!("{}/{}", self.library, self.wheel.dist_info());
        let installer: &[u8] = match self.options.tool {
            Tool::Pip(_) => b"pip\n",
            Tool::Uv => b"uv",
        };
        self.add_generated(&format!("{folder}/INSTALLER"), false, installer.to_vec());
        if let Some(url) = &self.options.direct_url {
            let text = url.to_json(self.options.tool);
            self.add_generated(&format!("{folder}/direct_url.json"), false, text.into_bytes());
        }
        if self.options.requested {
            self.add_generated(&format!("{folder}/REQUESTED"), false, Vec::new());
        }
    }

    /// The rows of compiled modules, without digests as pip has them. uv does not list them.
    fn list_bytecode(&mut self) {
        let Some(tag) = self.options.cache_tag.as_ref().filter(|_| self.options.tool != Tool::Uv) else {
            return;
        };
        let is_compiled =
            |path: &&String| is_module(path) && !self.options.uncompiled.contains(&self.flat_path(path));
        let row = |path: &String| (record_path(&compiled_path(path, tag), self.library), Default::default());
        let rows: Vec<_> = self.files.keys().filter(is_compiled).map(row).collect();
        self.record.extend(rows);
    }

    fn add_generated(&mut self, place: &str, executable: bool, bytes: Vec<u8>) {
        let row = (FileDigest::of(&bytes).to_string(), bytes.len().to_string());
        self.record.insert(record_path(place, self.library), row);
        self.add_file(place, executable, InstalledContent::Generated(bytes));
    }

    /// RECORD, sorted as pip sorts it. Rows of files that are not in the wheel stay, as with pip.
    fn add_record(&mut self) {
        for row in self.wheel.record() {
            if !self.installed.contains(row.path.as_str()) {
                let fields = || (row.digest.clone(), row.size.clone());
                self.record.entry(row.path.clone()).or_insert_with(fields);
            }
        }
        let place = format!("{}/{}/RECORD", self.library, self.wheel.dist_info());
        self.record.insert(record_path(&place, self.library), (String::new(), String::new()));
        let end = if self.options.tool == Tool::Uv { "\n" } else { "\r\n" };
        let mut text = String::new();
        for (path, (digest, size)) in &self.record {
            write_row([path, digest, size], end, &mut text);
        }
        self.add_file(&place, false, InstalledContent::Generated(text.into_bytes()));
    }

    /// No file lies where another needs a folder.
    fn check_places(&self) -> Result<(), Refusal> {
        match file_above(self.files.keys().map(String::as_str), |folder| self.files.contains_key(folder)) {
            Some((path, file)) => Err(Defect::PlaceConflict { path: file.to_owned() }.at(path)),
            None => Ok(()),
        }
    }
}

fn in_data_folder(name: &str) -> bool {
    name.split_once('/').unwrap_or((name, "")).0.strip_suffix(".data").is_some()
}

fn is_script(name: &str) -> bool {
    name.split('/').nth(1) == Some("scripts") && name.split('/').nth(2).is_some()
}

/// `path` seen from `library`, as RECORD has it: `../../../bin/x`.
pub(crate) fn record_path(path: &str, library: &str) -> String {
    let parts = |path: &'_ str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (path, library) = (parts(path), parts(library));
    let shared = path.iter().zip(&library).take_while(|(one, two)| one == two).count();
    let up = vec!["..".to_owned(); library.len() - shared];
    [up.as_slice(), path.get(shared..).unwrap_or_default()].concat().join("/")
}

/// The first line of a generated script, or the three lines that stand in for it.
///
/// The kernel cuts the line at 127 bytes and at the first blank, so for any other interpreter `sh` starts the script,
/// in a way that Python takes for a string.
fn shebang(python: &str) -> String {
    const LIMIT: usize = 127;
    let quoted = if python.contains(' ') { format!("\"{python}\"") } else { python.to_owned() };
    if !python.contains(' ') && "#!\n".len() + python.len() <= LIMIT {
        format!("#!{python}\n")
    } else {
        format!("#!/bin/sh\n'''exec' {quoted} \"$0\" \"$@\"\n' '''\n")
    }
}

/// The script that a pip or uv 0.13 writes for an entry point.
fn script_text(script: &Script, tool: Tool) -> String {
    let Script { module, callable, .. } = script;
    let import = script.import();
    match tool {
        Tool::Pip(PipScripts::Current) => format!(
            "import sys\nfrom {module} import {import}\nif __name__ == '__main__':\n    \
             sys.argv[0] = sys.argv[0].removesuffix('.exe')\n    sys.exit({callable}())\n"
        ),
        Tool::Pip(PipScripts::Ending) => format!(
            "import sys\nfrom {module} import {import}\nif __name__ == '__main__':\n    \
             if sys.argv[0].endswith('.exe'):\n        sys.argv[0] = sys.argv[0][:-4]\n    sys.exit({callable}())\n"
        ),
        Tool::Pip(PipScripts::Pattern) => format!(
            "# -*- coding: utf-8 -*-\nimport re\nimport sys\nfrom {module} import {import}\nif __name__ == '__main__':\n    \
             sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n    sys.exit({callable}())\n"
        ),
        Tool::Uv => format!(
            "# -*- coding: utf-8 -*-\nimport sys\nfrom {module} import {import}\nif __name__ == \"__main__\":\n    \
             if sys.argv[0].endswith(\"-script.pyw\"):\n        sys.argv[0] = sys.argv[0][:-11]\n    \
             elif sys.argv[0].endswith(\".exe\"):\n        sys.argv[0] = sys.argv[0][:-4]\n    sys.exit({callable}())\n"
        ),
    }
}

/// pip and setuptools carry the version of the Python that built them in the names of their scripts; like pip, put
/// that of the target there.
fn versioned(scripts: &[Script], scheme: &Scheme) -> Vec<Script> {
    let mut all = scripts.to_vec();
    let version = scheme.version;
    let names = [
        ("pip", vec!["pip".to_owned(), format!("pip{}", version.major), format!("pip{version}")]),
        ("easy_install", vec!["easy_install".to_owned(), format!("easy_install-{version}")]),
    ];
    for (base, names) in names {
        let Some(script) = all.iter().find(|script| script.name == base).cloned() else { continue };
        all.retain(|script| !is_versioned(&script.name, base));
        all.extend(names.into_iter().map(|name| Script { name, ..script.clone() }));
    }
    all
}

/// `pip`, `pip3`, `pip3.13`; `easy_install`, `easy_install-3.13`.
fn is_versioned(name: &str, base: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (name.strip_prefix(base), base) {
        (Some(""), _) => true,
        (Some(version), "pip") => match version.split_once('.') {
            Some((major, minor)) => digits(major) && digits(minor),
            None => digits(version),
        },
        (Some(rest), _) => rest
            .strip_prefix('-')
            .and_then(|version| version.split_once('.'))
            .is_some_and(|(major, minor)| digits(major) && digits(minor)),
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_paths_are_relative_to_the_library() {
        let library = "/usr/local/lib/python3.13/site-packages";
        let path = |place: &str| record_path(place, library);
        assert_eq!(path("/usr/local/lib/python3.13/site-packages/a/b.py"), "a/b.py");
        assert_eq!(path("/usr/local/bin/x"), "../../../bin/x");
        assert_eq!(path("/usr/local/lib/python3.13/site-packages2/x"), "../site-packages2/x");
        assert_eq!(path("/x"), "../../../../../x");
    }

    #[test]
    fn long_interpreters_are_started_by_sh() {
        assert_eq!(shebang("/usr/local/bin/python3.13"), "#!/usr/local/bin/python3.13\n");
        let longest = format!("/{}", "x".repeat(123));
        assert_eq!(shebang(&longest), format!("#!{longest}\n"));
        let longer = format!("{longest}x");
        assert_eq!(shebang(&longer), format!("#!/bin/sh\n'''exec' {longer} \"$0\" \"$@\"\n' '''\n"));
        let blank = shebang("/a b/python");
        assert_eq!(blank, "#!/bin/sh\n'''exec' \"/a b/python\" \"$0\" \"$@\"\n' '''\n");
    }

    #[test]
    fn pip_carries_the_version_of_the_target() {
        let scheme = Scheme::for_prefix("/usr/local", crate::PythonVersion::new(3, 13));
        let script =
            |name: &str| Script { name: name.to_owned(), module: "m".to_owned(), callable: "f".to_owned() };
        let scripts = ["pip", "pip3", "pip3.9", "pipx", "easy_install", "easy_install-3.9"].map(script);
        let mut found: Vec<String> =
            versioned(&scripts, &scheme).into_iter().map(|script| script.name).collect();
        found.sort();
        assert_eq!(found, ["easy_install", "easy_install-3.13", "pip", "pip3", "pip3.13", "pipx"]);
    }

    #[test]
    fn json_is_ascii() {
        assert_eq!(json_string("a\"\\é😀"), r#""a\"\\\u00e9\ud83d\ude00""#);
    }
}
