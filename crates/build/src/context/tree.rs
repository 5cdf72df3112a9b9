//! The files of a context, wherever they come from.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use cartwheel_dockerfile::IgnoreFile;
use cartwheel_oci::layer::Content;
use cartwheel_oci::{FileFacts, Node, NodeKind};
use cartwheel_store::{Blob, Digest, Store};
use rayon::prelude::*;

use super::archive;
use super::digests::{DigestCache, Stamp, read_digest};
use super::walk::Walk;
use crate::error::{Error, ErrorKind, Result};

/// What COPY and ADD can take from a place outside of images: a directory behind its ignore file, or an archive.
///
/// It is what [`cartwheel_oci::Below`] is for an image: paths, sorted, and what is at each. The digest of a file may not
/// be known yet; [`ContextTree::digests`] reads what is asked for and remembers it.
#[derive(Debug)]
pub struct ContextTree {
    origin: Origin,
    entries: Vec<Found>,
    /// The digest of each entry's content, as far as it is known.
    known: Mutex<Vec<Option<Known>>>,
}

/// Where the bytes are.
#[derive(Debug)]
enum Origin {
    Folder { root: PathBuf, cache: DigestCache, listed: SystemTime },
    Tar(Blob),
}

/// A path of the tree.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) node: Node,
    /// Equal for all names of one file that has several.
    pub(super) group: Option<(u64, u64)>,
    /// What tells a file on disk from what it was, or will be.
    pub(super) stamp: Option<Stamp>,
}

/// A content's digest, and whether it may be believed the next time as well.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) digest: Digest,
    pub(super) lasting: bool,
}

impl ContextTree {
    /// Lists the directory `root`, without what `ignore` excludes. No file is read. A file that was changed less than two
    /// seconds before `now`, or later, will be read again the next time.
    pub fn of_folder(store: &Store, root: &Path, ignore: &IgnoreFile, now: SystemTime) -> Result<Self> {
        let root = fs::canonicalize(root).map_err(Error::io("read the build context", root))?;
        if !root.is_dir() {
            return Err(ErrorKind::ContextNotDirectory { path: root }.into());
        }
        let walk = Walk { root: &root, ignore };
        let (entries, cache) = rayon::join(|| walk.run(), || DigestCache::load(store, &root, ignore));
        let entries = sorted(entries?);
        let known = Mutex::new(cache.known(&entries));
        Ok(Self { origin: Origin::Folder { root, cache, listed: now }, entries, known })
    }

    /// A context without files.
    pub fn empty(store: &Store) -> Result<Self> {
        let (_, blob) = store.put_blob(b"")?;
        Ok(Self { origin: Origin::Tar(blob), entries: Vec::new(), known: Mutex::default() })
    }

    /// Reads a tar, as it is or compressed (gzip, bzip2, xz, zstd); `None` if `blob` is something else.
    pub fn of_archive(store: &Store, blob: &Blob) -> Result<Option<Self>> {
        let Some((tar, entries)) = archive::read(store, blob)? else { return Ok(None) };
        Ok(Some(Self { origin: Origin::Tar(tar), entries: sorted(entries), known: Mutex::default() }))
    }

    /// All paths, sorted, and what is there.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.iter().map(|found| (found.path.as_str(), &found.node))
    }

    /// What is at `path`; links are not followed.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.found(path).map(|(_, found)| &found.node)
    }

    /// Whether an archive has an entry for `path`, and not only for what is below it.
    pub(crate) fn is_mentioned(&self, path: &str) -> bool {
        self.found(path).is_some_and(|(_, found)| found.group.is_some() || found.stamp.is_some())
    }

    /// The paths below the directory `path` (all of them for the root, which is empty), and what is there.
    pub fn children<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let start = self.entries.partition_point(|found| found.path < prefix);
        let below = self.entries.iter().skip(start).take_while(move |found| found.path.starts_with(&prefix));
        below.map(|found| (found.path.as_str(), &found.node))
    }

    /// The bytes of the file at `path`.
    pub fn content(&self, path: &str) -> Option<Content> {
        let (_, found) = self.found(path)?;
        let FileFacts { size, offset, .. } = *found.node.file()?;
        Some(match &self.origin {
            Origin::Tar(blob) => Content::Range { blob: blob.clone(), offset, size },
            Origin::Folder { root, .. } if found.stamp.is_some() => {
                Content::File { path: root.join(path), size }
            }
            Origin::Folder { .. } => Content::Bytes(Vec::new()),
        })
    }

    /// The digests of the files at `paths`, in their order; `None` for what is no file. Files that are not known are read,
    /// on all cores, and remembered in `store` until they change.
    pub fn digests(&self, store: &Store, paths: &[&str]) -> Result<Vec<Option<Digest>>> {
        let asked: Vec<Option<usize>> =
            paths.iter().map(|path| self.found(path).map(|(index, _)| index)).collect();
        if let Origin::Folder { root, cache, listed } = &self.origin
            && self.read_unknown(root, *listed, &asked)?
        {
            cache.store(store, &self.entries, &self.known())?;
        }
        let known = self.known();
        let digest = |index: usize| {
            let here = known.get(index).copied().flatten().map(|known| known.digest);
            here.or_else(|| self.entries.get(index)?.node.file()?.digest)
        };
        Ok(asked.into_iter().map(|index| digest(index?)).collect())
    }

    /// Reads those of the asked entries whose digest is not known; says whether one of them need not be read again.
    fn read_unknown(&self, root: &Path, listed: SystemTime, asked: &[Option<usize>]) -> Result<bool> {
        let known = self.known().clone();
        let unknown = |&index: &usize| {
            let found = self.entries.get(index).filter(|found| found.node.file().is_some())?;
            known.get(index).is_some_and(Option::is_none).then_some((index, found))
        };
        let unknown: Vec<(usize, &Found)> = asked.iter().flatten().filter_map(unknown).collect();
        let read: Result<Vec<(usize, Known)>> = unknown
            .into_par_iter()
            .map(|(index, found)| match found.stamp {
                Some(stamp) => Ok((index, read_digest(&root.join(&found.path), stamp, listed)?)),
                None => Ok((index, Known { digest: Digest::of(b""), lasting: false })),
            })
            .collect();
        let read = read?;
        let mut known = self.known();
        for (index, digest) in &read {
            if let Some(slot) = known.get_mut(*index) {
                *slot = Some(*digest);
            }
        }
        Ok(read.iter().any(|(_, known)| known.lasting))
    }

    fn found(&self, path: &str) -> Option<(usize, &Found)> {
        let index = self.entries.binary_search_by(|found| found.path.as_str().cmp(path)).ok()?;
        Some((index, self.entries.get(index)?))
    }

    fn known(&self) -> MutexGuard<'_, Vec<Option<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sorts by path, and says of each further name of a file which is its first.
fn sorted(mut entries: Vec<Found>) -> Vec<Found> {
    entries.par_sort_unstable_by(|one, two| one.path.cmp(&two.path));
    let mut first_names: HashMap<(u64, u64), String> = HashMap::new();
    for found in &mut entries {
        let (Some(group), NodeKind::File(file)) = (found.group, &mut found.node.kind) else { continue };
        match first_names.get(&group) {
            Some(first) => file.first_name = Some(first.clone()),
            None => drop(first_names.insert(group, found.path.clone())),
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// A context and a store, each in a directory of its own.
    struct Place {
        context: tempfile::TempDir,
        _home: tempfile::TempDir,
        store: Store,
    }

    impl Place {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let store = Store::open(home.path()).unwrap();
            Self { context: tempfile::tempdir().unwrap(), _home: home, store }
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.context.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn list_at(&self, now: SystemTime) -> Result<ContextTree> {
            let (ignore, _) = super::super::read_ignore(self.context.path(), None).unwrap();
            ContextTree::of_folder(&self.store, self.context.path(), &ignore, now)
        }

        /// Lists when the last change is long ago.
        fn list(&self) -> ContextTree {
            self.list_at(SystemTime::now() + Duration::from_mins(1)).unwrap()
        }
    }

    fn paths(tree: &ContextTree) -> Vec<&str> {
        tree.iter().map(|(path, _)| path).collect()
    }

    fn all_digests(tree: &ContextTree, store: &Store) -> Vec<(String, Option<Digest>)> {
        let paths = paths(tree);
        let digests = tree.digests(store, &paths).unwrap();
        paths.into_iter().map(str::to_owned).zip(digests).collect()
    }

    #[test]
    fn everything_is_listed_as_docker_sends_it() {
        let place = Place::new();
        let at = |name: &str| place.context.path().join(name);
        place.write("a", "text");
        fs::hard_link(at("a"), at("b")).unwrap();
        fs::create_dir(at("d")).unwrap();
        fs::set_permissions(at("d"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::set_permissions(at("a"), fs::Permissions::from_mode(0o6755)).unwrap();
        symlink("nowhere", at("link")).unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        let _socket = UnixListener::bind(at("sock")).unwrap();
        place.write(".git/HEAD", "ref");
        let tree = place.list();
        assert_eq!(paths(&tree), [".git", ".git/HEAD", "a", "b", "d", "link", "pipe", "sock"]);
        let mode = |path: &str| tree.get(path).unwrap().permissions.mode;
        assert_eq!((mode("a"), mode("d"), mode("link")), (0o6755, 0o1777, 0o777));
        assert!(tree.iter().all(|(_, node)| (node.permissions.uid, node.permissions.gid) == (0, 0)));
        assert_eq!(tree.get("link").unwrap().kind, NodeKind::Symlink("nowhere".to_owned()));
        assert_eq!(tree.get("pipe").unwrap().kind, NodeKind::Fifo);
        let first_name = |path: &str| tree.get(path).unwrap().file().unwrap().first_name.clone();
        assert_eq!((first_name("a"), first_name("b")), (None, Some("a".to_owned())));
        // A socket is an empty file.
        assert_eq!(tree.content("sock").unwrap().read().unwrap(), b"");
        let digests = tree.digests(&place.store, &["b", "sock", "d", "none"]).unwrap();
        assert_eq!(digests, [Some(Digest::of(b"text")), Some(Digest::of(b"")), None, None]);
        assert_eq!(tree.children("d").count(), 0);
        assert_eq!(tree.children(".git").map(|(path, _)| path).collect::<Vec<_>>(), [".git/HEAD"]);
        assert_eq!(tree.children("").count(), 8);
    }

    #[test]
    fn what_is_ignored_is_not_listed() {
        let place = Place::new();
        for path in ["data/big.bin", "data/keep.txt", "src/a.py", "src/x/b.pyc", "none/x"] {
            place.write(path, "x");
        }
        place.write(".dockerignore", "data\nnone\n!data/keep.txt\n**/*.pyc\n");
        let listed = [".dockerignore", "data", "data/keep.txt", "src", "src/a.py", "src/x"];
        assert_eq!(paths(&place.list()), listed);
    }

    #[test]
    fn directories_may_be_as_deep_as_a_path_is_long() {
        let place = Place::new();
        let folders = "d/".repeat(1_900);
        place.write(&format!("{folders}file"), "");
        assert_eq!(place.list().iter().count(), 1_901);
    }

    #[test]
    fn the_ignore_file_beside_the_dockerfile_comes_first() {
        let place = Place::new();
        let root = place.context.path();
        place.write(".dockerignore", "a");
        place.write("docker/app.Dockerfile.dockerignore", "b");
        let read = |dockerfile: Option<&str>| {
            let dockerfile = dockerfile.map(|path| root.join(path));
            let (ignore, path) = super::super::read_ignore(root, dockerfile.as_deref()).unwrap();
            (ignore.patterns().collect::<Vec<_>>().join(" "), path.is_some())
        };
        assert_eq!(read(Some("docker/app.Dockerfile")), ("b".to_owned(), true));
        assert_eq!(read(Some("docker/other.Dockerfile")), ("a".to_owned(), true));
        assert_eq!(read(None), ("a".to_owned(), true));
        fs::remove_file(root.join(".dockerignore")).unwrap();
        assert_eq!(read(None), (String::new(), false));
    }

    #[test]
    fn a_name_that_is_not_unicode_is_named_unless_it_is_ignored() {
        use std::os::unix::ffi::OsStrExt;
        let place = Place::new();
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9.txt");
        fs::write(place.context.path().join(name), "x").unwrap();
        let error = place.list_at(SystemTime::now()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotUnicode { .. }), "{error}");
        assert!(error.to_string().contains("caf"), "{error}");
        place.write(".dockerignore", "caf*");
        assert_eq!(paths(&place.list()), [".dockerignore"]);
    }

    #[test]
    fn digests_are_remembered_with_the_stamp() {
        let place = Place::new();
        place.write("a", "one");
        place.write("b", "two");
        let tree = place.list();
        let Origin::Folder { cache, .. } = &tree.origin else { panic!() };
        // A digest that no reading would give shows that nothing was read.
        let false_digest = Digest::of(b"remembered");
        let known = vec![Some(Known { digest: false_digest, lasting: true }); 2];
        cache.store(&place.store, &tree.entries, &known).unwrap();
        place.write("b", "three");
        let found: Vec<_> = all_digests(&place.list(), &place.store).into_iter().map(|pair| pair.1).collect();
        assert_eq!(found, [Some(false_digest), Some(Digest::of(b"three"))]);
    }

    #[test]
    fn a_file_that_was_just_changed_is_not_remembered() {
        let place = Place::new();
        // In one tick of the clock, with one size: no stamp can tell.
        for text in ["1", "2", "3"] {
            place.write("a", text);
            let tree = place.list_at(SystemTime::now()).unwrap();
            assert_eq!(tree.digests(&place.store, &["a"]).unwrap(), [Some(Digest::of(text.as_bytes()))]);
        }
    }

    #[test]
    fn a_context_that_is_not_there_is_named() {
        let place = Place::new();
        place.write("file", "");
        let list = |path: &Path| {
            let ignore = IgnoreFile::default();
            ContextTree::of_folder(&place.store, path, &ignore, SystemTime::now()).unwrap_err()
        };
        let error = list(&place.context.path().join("none")).to_string();
        assert!(error.starts_with("could not read the build context `"), "{error}");
        let error = list(&place.context.path().join("file"));
        assert!(matches!(error.kind(), ErrorKind::ContextNotDirectory { .. }), "{error}");
    }

    /// One change to a context. Sizes grow with each, so that a stamp tells them apart within one tick of the clock.
    fn change(root: &Path, what: u8, name: &str, size: usize) {
        let path = root.join(name);
        let text = vec![what; size];
        match what {
            0..=3 => drop(fs::write(&path, text)),
            4 => drop(fs::write(root.join("new"), text).and_then(|()| fs::rename(root.join("new"), &path))),
            5 => drop(fs::remove_file(&path)),
            6 => drop(fs::rename(&path, root.join("d/moved"))),
            _ => drop(fs::set_permissions(&path, fs::Permissions::from_mode(0o600))),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// The slow twin: a store that remembers nothing gives the same tree and digests.
        #[test]
        fn remembering_changes_nothing(
            rounds in prop::collection::vec(prop::collection::vec((0u8..8, "[ab]|d/[ab]"), 1..5), 1..5)
        ) {
            let place = Place::new();
            fs::create_dir(place.context.path().join("d")).unwrap();
            let mut size = 0;
            for round in rounds {
                for (what, name) in round {
                    size += 1;
                    change(place.context.path(), what, &name, size);
                }
                let empty = Store::open(tempfile::tempdir().unwrap().path()).unwrap();
                let slow = ContextTree::of_folder(
                    &empty, place.context.path(), &IgnoreFile::default(), SystemTime::UNIX_EPOCH,
                ).unwrap();
                prop_assert_eq!(all_digests(&place.list(), &place.store), all_digests(&slow, &empty));
            }
        }
    }
}
