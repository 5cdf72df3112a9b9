//! Tars as sources of files: what ADD unpacks, and contexts on standard input.
//!
//! A tar that is not compressed is read where it lies; of any other the text becomes a blob of the store. Contents are
//! pieces of it: nothing is unpacked to disk.
//!
//! What comes out is what Docker unpacks (28.5, BuildKit with go-archive, tried entry by entry): owners, modes and whole
//! seconds of the archive are kept; an absolute name is one below the root; `..` is fine as long as it stays inside; a
//! link in the archive is followed by the entries behind it, an absolute one from the archive's own root; a parent without
//! an entry is 0755 root's; the later of two entries for one path replaces the earlier, except that a directory stays
//! with what is in it. Of extended attributes only `security.capability` comes through Docker into a layer.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use cartwheel_oci::layer::{self, FIXED_TIME, ReadEntry, ReadKind};
use cartwheel_oci::{FileFacts, Node, NodeKind, Permissions, follow_links};
use cartwheel_store::{Blob, BlobReader, Digest, Store};

use super::tree::Found;
use crate::error::{Error, ErrorKind, Result};
use crate::files::join;

/// The only extended attribute that Docker keeps.
const CAPABILITY: &str = "security.capability";

/// The uncompressed tar in `blob` and its files; `None` if it is not a tar, compressed or not.
pub(super) fn read(store: &Store, blob: &Blob) -> Result<Option<(Blob, Vec<Found>)>> {
    if !is_archive(blob) {
        return Ok(None);
    }
    let failed = |source| Error::from(ErrorKind::Archive { path: blob.path().to_owned(), source });
    let tar = match Compression::of(blob) {
        Compression::None => blob.clone(),
        compression => {
            let mut writer = store.writer()?;
            io::copy(&mut compression.text(blob).map_err(failed)?, &mut writer).map_err(failed)?;
            writer.commit()?.1
        }
    };
    let mut unpacked = Unpacked::default();
    let mut refused = None;
    let read = layer::read_tar(buffered(&tar), |entry, content| {
        unpacked.add(entry, content).map_err(|problem| match problem {
            Problem::Read(source) => source,
            Problem::Entry(problem) => {
                refused = Some((entry.path.clone(), problem));
                io::Error::other(problem)
            }
        })
    });
    match (read, refused) {
        (Ok(_), _) => Ok(Some((tar, unpacked.into_entries()))),
        (Err(_), Some((entry, problem))) => {
            Err(ErrorKind::ArchiveEntry { path: blob.path().to_owned(), entry, problem }.into())
        }
        (Err(source), None) => Err(failed(source)),
    }
}

/// Whether the first entry of a tar can be read: what BuildKit asks before it unpacks instead of copying.
fn is_archive(blob: &Blob) -> bool {
    let Ok(text) = Compression::of(blob).text(blob) else { return false };
    let mut has_entry = false;
    let _stopped = layer::read_tar(text, |_, _| {
        has_entry = true;
        Err(io::Error::other("the first entry is enough"))
    });
    has_entry
}

/// How a file is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    /// What layers may be compressed with.
    OfLayers,
    Bzip2,
    Xz,
}

impl Compression {
    fn of(blob: &Blob) -> Self {
        let mut magic = Vec::new();
        let _unreadable_is_none = blob.reader().take(6).read_to_end(&mut magic);
        match &magic[..] {
            [0x1f, 0x8b, 0x08, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Self::OfLayers
            }
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Self::Xz,
            _ => Self::None,
        }
    }

    fn text(self, blob: &Blob) -> io::Result<Box<dyn Read>> {
        let source = || buffered(blob);
        Ok(match self {
            Self::None => Box::new(source()),
            Self::OfLayers => Box::new(layer::decompress(blob.reader())?),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source())),
            Self::Xz => Box::new(lzma_rust2::XzReader::new(source(), true)),
        })
    }
}

fn buffered(blob: &Blob) -> BufReader<BlobReader> {
    BufReader::with_capacity(256 << 10, blob.reader())
}

/// Why an entry could not be taken.
enum Problem {
    Read(io::Error),
    /// The end of a sentence about the entry.
    Entry(&'static str),
}

/// The files of an archive as they lie after the entries so far.
#[derive(Default)]
struct Unpacked {
    files: BTreeMap<String, Found>,
    /// How many files have been numbered, to know their other names again.
    numbered: u64,
}

impl Unpacked {
    fn add(&mut self, entry: &ReadEntry, content: &mut dyn Read) -> Result<(), Problem> {
        if entry.path.contains('\u{fffd}') {
            return Err(Problem::Entry("has a name that is not UTF-8"));
        }
        let path = inside(&entry.path).ok_or(Problem::Entry("leads out of the archive"))?;
        // The root's own mode is the destination's affair.
        let Some((parent, name)) = split(&path) else { return Ok(()) };
        let place = join(&self.resolve(parent)?, name);
        let found = match &entry.kind {
            ReadKind::Hardlink(target) => self.link(target, &place)?,
            _ => self.found(entry, &place, content)?,
        };
        self.add_parents(&place)?;
        self.put(found);
        Ok(())
    }

    fn found(&mut self, entry: &ReadEntry, place: &str, content: &mut dyn Read) -> Result<Found, Problem> {
        let kind = match &entry.kind {
            ReadKind::Directory => NodeKind::Directory,
            ReadKind::Symlink(target) => NodeKind::Symlink(target.clone()),
            ReadKind::Fifo => NodeKind::Fifo,
            ReadKind::CharDevice(major, minor) => NodeKind::CharDevice(*major, *minor),
            ReadKind::BlockDevice(major, minor) => NodeKind::BlockDevice(*major, *minor),
            ReadKind::File | ReadKind::Hardlink(_) => NodeKind::File(file(entry, content)?),
        };
        self.numbered += 1;
        let ReadEntry { mode, uid, gid, mtime, .. } = *entry;
        let permissions = Permissions { mode, uid, gid, mtime };
        let capability = entry.xattrs.get_key_value(CAPABILITY);
        let xattrs = capability.map(|(name, value)| (name.clone(), value.clone())).into_iter().collect();
        let node = Node { kind, permissions, xattrs };
        Ok(Found { path: place.to_owned(), node, group: Some((0, self.numbered)), stamp: None })
    }

    /// Another name of a file that is there already.
    fn link(&self, target: &str, place: &str) -> Result<Found, Problem> {
        let outside = Problem::Entry("is a hard link that leads out of the archive");
        let target = inside(target).ok_or(outside)?;
        let (parent, name) = split(&target).unwrap_or_default();
        let linked = self.files.get(&join(&self.resolve(parent)?, name));
        match linked.filter(|linked| !linked.node.is_directory()) {
            Some(Found { node, group, .. }) => {
                Ok(Found { path: place.to_owned(), node: node.clone(), group: *group, stamp: None })
            }
            None => Err(Problem::Entry("is a hard link to what is no file before it")),
        }
    }

    /// `folder` with the links in it followed. As for a process whose root is the archive's, none leads out.
    fn resolve(&self, folder: &str) -> Result<String, Problem> {
        let followed = follow_links(folder, |place| match &self.files.get(place)?.node.kind {
            NodeKind::Symlink(target) => Some(target.as_str()),
            _ => None,
        });
        followed.ok_or(Problem::Entry("is below a link that leads in circles"))
    }

    fn add_parents(&mut self, place: &str) -> Result<(), Problem> {
        for (end, _) in place.match_indices('/') {
            let Some(parent) = place.get(..end) else { continue };
            match self.files.get(parent) {
                Some(found) if found.node.is_directory() => {}
                Some(_) => return Err(Problem::Entry("is below what is not a directory")),
                None => drop(self.files.insert(parent.to_owned(), implied(parent))),
            }
        }
        Ok(())
    }

    fn put(&mut self, found: Found) {
        let path = found.path.clone();
        let stays = found.node.is_directory();
        let replaced = self.files.insert(path.clone(), found);
        if !stays && replaced.is_some_and(|replaced| replaced.node.is_directory()) {
            // What lies below lies together, and `0` comes after `/`. To go through all files would take an archive of
            // directories and what replaces them for ever.
            let (start, end) = (format!("{path}/"), format!("{path}0"));
            let below: Vec<String> = self.files.range(start..end).map(|(path, _)| path.clone()).collect();
            for path in &below {
                self.files.remove(path);
            }
        }
    }

    fn into_entries(self) -> Vec<Found> {
        self.files.into_values().collect()
    }
}

/// A directory that the archive has no entry for.
fn implied(path: &str) -> Found {
    let permissions = Permissions { mode: 0o755, uid: 0, gid: 0, mtime: FIXED_TIME };
    let node = Node { kind: NodeKind::Directory, permissions, xattrs: BTreeMap::new() };
    Found { path: path.to_owned(), node, group: None, stamp: None }
}

fn file(entry: &ReadEntry, content: &mut dyn Read) -> Result<FileFacts, Problem> {
    let offset = entry.offset.ok_or(Problem::Entry("is a sparse file, which is not supported"))?;
    let digest = Some(Digest::of_reader(content).map_err(Problem::Read)?);
    Ok(FileFacts { size: entry.size, offset, digest, ..FileFacts::default() })
}

/// `path` without `.` and `..`; `None` if it leads out of the root.
fn inside(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Parent and name; `None` for the root.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.is_empty() { None } else { Some(path.rsplit_once('/').unwrap_or(("", path))) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::ContextTree;
    use super::*;

    /// `a/b`, 0640 of 5:6, with `hi` in it; written by Python's tarfile and compressed by the usual tools.
    const COMPRESSED: [&str; 4] = [
        "1f8b08000000000002034bd44f62a035300002331303306d60600aa5cda03408183118981b9b98999a980239407133637323060503063a80d2e292c422a0950c23136464328c8251300a46c12818810000619cd49600080000",
        "425a683931415926535941d93e140000315b80d1004000df80000270601e000808200054568d0680d340d048a689a0683407dc561c22f008cbaa5b694dd0434efac6ed1368ab0e6024d0db46453337b889f0110ee97a6aaa401f17724538509041d93e14",
        "fd377a585a000004e6d6b4460200210116000000742fe5a3e007ff00485d00308bc8400e502708fce700a38049b29bc2aa52006254452f6cfeade61d232c99efccd2ddf6d4c652de2f86ac77db1cf2271f4b9b0d291bc22b4336d0580b728c6dc0c1649192fa00007ce40b34ec4767e700016480100000009c7ecfb1b1c467fb020000000004595a",
        "28b52ffd0468fd010052430a10b0a90314e4e287a5dadebd694ba340193da65f44545a1dd486c8ef8f8779625cbb89f7cbff9640020720701ffafd638e3a806950bb53b4a7274704cc9c4aa9",
    ];

    fn from_hex(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// One entry: a header and, for files (`0`), the name again as content. Links (`1`, `2`) lead to `target`.
    fn entry(kind: u8, name: &str, target: &str) -> Vec<u8> {
        let mut header = [0; 512];
        let content = if kind == b'0' { name } else { "" };
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, "0000640\x000000005\x000000006\0");
        put(124, &format!("{:011o}\x0007346545000\0", content.len()));
        put(157, target);
        put(257, "ustar\x0000");
        header[148..156].fill(b' ');
        header[156] = kind;
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut bytes = [&header[..], content.as_bytes()].concat();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn open(bytes: &[u8]) -> Result<Option<ContextTree>> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let path = folder.path().join("x.tar");
        fs::write(&path, bytes).unwrap();
        ContextTree::of_archive(&store, &Blob::open(path).unwrap())
    }

    /// Each path with what is there.
    fn unpacked(entries: &[(u8, &str, &str)]) -> Result<String> {
        let tar = entries.iter().flat_map(|(kind, name, target)| entry(*kind, name, target));
        let tree = open(&tar.chain([0; 1024]).collect::<Vec<_>>())?.unwrap();
        let line = |(path, node): (&str, &Node)| match &node.kind {
            NodeKind::Directory => format!("{path}/"),
            NodeKind::Symlink(target) => format!("{path}->{target}"),
            NodeKind::File(file) => {
                let text = String::from_utf8(tree.content(path).unwrap().read().unwrap()).unwrap();
                assert_eq!(file.digest, Some(Digest::of(text.as_bytes())));
                let first = file.first_name.as_ref().map(|first| format!("=={first}")).unwrap_or_default();
                format!("{path}={text}{first}")
            }
            kind => format!("{path}:{kind:?}"),
        };
        Ok(tree.iter().map(line).collect::<Vec<_>>().join(" "))
    }

    fn refused(entries: &[(u8, &str, &str)]) -> String {
        unpacked(entries).unwrap_err().to_string().split_once(' ').unwrap().1.to_owned()
    }

    #[test]
    fn archives_are_known_by_their_first_bytes() {
        for hex in COMPRESSED {
            let tree = open(&from_hex(hex)).unwrap().unwrap();
            assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["a", "a/b"]);
            assert_eq!(tree.content("a/b").unwrap().read().unwrap(), b"hi");
            let permissions = tree.get("a/b").unwrap().permissions;
            let expected = Permissions { mode: 0o640, uid: 5, gid: 6, mtime: 1_000_000_000 };
            assert_eq!(permissions, expected);
            assert!(tree.get("a").unwrap().permissions.is_plain());
        }
    }

    #[test]
    fn what_is_no_tar_is_a_file_like_others() {
        let text_in_gzip = "1f8b0800000000000003cb48cdc9c9070086a6103605000000";
        for bytes in [&b""[..], b"text", &[0; 1024], &from_hex(text_in_gzip), &from_hex(COMPRESSED[0])[..30]]
        {
            assert!(open(bytes).unwrap().is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn an_archive_that_ends_early_is_an_error() {
        let tar = [entry(b'0', "a", ""), entry(b'0', "b", "")].concat();
        let error = open(&tar[..1100]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Archive { .. }), "{error}");
        let gzip = from_hex(COMPRESSED[0]);
        let error = open(&gzip[..gzip.len() - 9]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Archive { .. }), "{error}");
    }

    #[test]
    fn entries_lie_where_docker_puts_them() {
        let file = |name| (b'0', name, "");
        assert_eq!(
            unpacked(&[file("/abs/x"), file("./y"), file("a/../z")]).unwrap(),
            "abs/ abs/x=/abs/x y=./y z=a/../z"
        );
        assert_eq!(unpacked(&[(b'5', "./", ""), file("x")]).unwrap(), "x=x");
        let links = [(b'2', "l", "real"), (b'2', "m", "/o/p"), (b'0', "l/x", ""), (b'0', "m/y", "")];
        assert_eq!(unpacked(&links).unwrap(), "l->real m->/o/p o/ o/p/ o/p/y=m/y real/ real/x=l/x");
        let hard = [file("b"), (b'1', "a", "/b"), (b'1', "c", "a"), (b'6', "p", "")];
        assert_eq!(unpacked(&hard).unwrap(), "a=b b=b==a c=b==a p:Fifo");
    }

    #[test]
    fn the_later_entry_counts() {
        let (file, folder) = (|name| (b'0', name, ""), |name| (b'5', name, ""));
        assert_eq!(
            unpacked(&[folder("y"), file("y/z"), file("y-"), file("y0"), file("y")]).unwrap(),
            "y=y y-=y- y0=y0"
        );
        assert_eq!(unpacked(&[file("y"), folder("y")]).unwrap(), "y/");
        assert_eq!(unpacked(&[folder("y"), file("y/z"), folder("y")]).unwrap(), "y/ y/z=y/z");
        assert_eq!(unpacked(&[(b'2', "y", "t"), file("y")]).unwrap(), "y=y");
        // The name that is replaced is no longer one of the file's.
        assert_eq!(
            unpacked(&[file("a"), (b'1', "b", "a"), (b'1', "c", "b"), file("a")]).unwrap(),
            "a=a b=a c=a==b"
        );
    }

    #[test]
    fn entries_that_lead_out_are_refused() {
        let file = |name| (b'0', name, "");
        for (entries, problem) in [
            (vec![file("../x")], "leads out of the archive"),
            (vec![file("a/../../x")], "leads out of the archive"),
            (vec![(b'2', "l", "l"), file("l/x")], "is below a link that leads in circles"),
            (vec![file("a"), file("a/x")], "is below what is not a directory"),
            (vec![(b'1', "h", "../x")], "is a hard link that leads out of the archive"),
            (vec![(b'1', "h", "x")], "is a hard link to what is no file before it"),
            (vec![(b'5', "d", ""), (b'1', "h", "d")], "is a hard link to what is no file before it"),
        ] {
            let message = refused(&entries);
            assert!(message.ends_with(problem), "{entries:?}: {message}");
        }
        // A link that leads out is no harm until something goes through it.
        assert_eq!(unpacked(&[(b'2', "l", "../..")]).unwrap(), "l->../..");
    }
}
