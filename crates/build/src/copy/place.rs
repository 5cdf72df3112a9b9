//! The second half of `COPY`: where picked files go, given what lies below. The oracle is BuildKit, whose rules are those
//! of `cp -a` with exceptions:
//!
//! 1. Links in the destination are followed, its last part's too; links below it are not.
//! 2. Directories that are missing above the destination are made, and the destination itself if it is to be one: the
//!    `--chown` user's or root's, with the bits of a `--chmod` number that `mkdir` would give (0755 at most; symbols change
//!    nothing). One that is made in a directory with the setgid bit has that bit and, without `--chown`, its group.
//! 3. A file goes *into* a destination that is a directory; of a directory, only the content goes.
//! 4. A directory inside what is copied takes the source's mode and owner, even if it was there; the destination itself
//!    keeps its own.
//! 5. A file replaces a file or link, never a directory; a directory never replaces anything else.

use std::collections::{BTreeMap, HashMap};

use cartwheel_oci::layer::{Entry, Kind, Tree};
use cartwheel_oci::{Below, NodeKind};

use super::mode::ModeChange;
use super::select::{Picked, PickedFile, clean, is_inside};
use super::whole::Whole;
use crate::error::{ErrorKind, Result};
use crate::files::{FileSet, follow, join, parent};
use crate::ground::Ground;

/// Who makes a file in a directory that has this bit gives it the directory's group.
pub(super) const SETGID: u32 = 0o2000;

/// What `--chown` and `--chmod` ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The new owner's numbers.
    pub(crate) owner: Option<(u32, u32)>,
    /// The new mode.
    pub(crate) mode: Option<ModeChange>,
}

/// The file system that a step writes to: what lies below, and what the step wrote so far.
pub(crate) struct Destination<'a> {
    /// Nothing, if what lies below must not matter (`--link`).
    below: Option<&'a Below>,
    written: BTreeMap<String, Entry>,
    mtime: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    Directory,
    Other,
}

impl<'a> Destination<'a> {
    /// A destination over `below`; what is made in it has the modification time `mtime`.
    pub(crate) fn new(below: Option<&'a Below>, mtime: u64) -> Self {
        Self { below, written: BTreeMap::new(), mtime }
    }

    /// Copies one picked path to `destination`, which is absolute; with a `/` at its end it is a directory.
    pub(crate) fn copy(&mut self, picked: &Picked, destination: &str, changes: &Changes) -> Result<()> {
        let place = self.target(picked, destination, changes)?;
        // Names of one file become names of one file, within what one source names.
        let mut links: HashMap<u64, String> = HashMap::new();
        for file in &picked.files {
            let target = join(&place, &file.path);
            match file.node.entry.kind {
                Kind::Directory => self.put_directory(&target, file, changes)?,
                _ => self.put_file(target, file, changes, &mut links)?,
            }
        }
        Ok(())
    }

    /// Where a picked path itself goes; rules 1 to 3.
    fn target(&mut self, picked: &Picked, destination: &str, changes: &Changes) -> Result<String> {
        let last = destination.rsplit('/').next().unwrap_or_default();
        let folder = if matches!(last, "" | ".") { destination } else { parent(destination) };
        let folder = self.resolve(folder)?;
        self.make_directories(&folder, changes)?;
        let mut place = self.resolve(&clean(destination))?;
        let there = self.at(&place);
        if !picked.is_directory && there == There::Directory {
            place = join(&place, &picked.name);
        }
        let folder = if picked.is_directory && there == There::Nothing { &place } else { parent(&place) };
        self.make_directories(folder, changes)?;
        if picked.is_directory && self.at(&place) != There::Directory {
            return Err(ErrorKind::NotDirectory { path: format!("/{place}") }.into());
        }
        Ok(place)
    }

    /// Puts what an archive holds below `destination`, as `tar` run there would: links that lie there are followed, and what
    /// is in the way is replaced. Directories that the archive has no entry for are not in `files`: those that are there
    /// stay as they are.
    pub(crate) fn unpack(
        &mut self,
        files: &FileSet,
        destination: &str,
        owner: Option<(u32, u32)>,
    ) -> Result<()> {
        let root = self.resolve(&clean(destination))?;
        self.make_directories(&root, &Changes { owner, mode: None })?;
        let mut links: HashMap<u64, String> = HashMap::new();
        for (path, node) in files.below("") {
            // Docker's tar sees no more than the destination: an absolute link there leads back into it.
            let folder = join(&root, &follow(parent(path), |place| self.link(&join(&root, place)))?);
            self.make_implied(&folder)?;
            let target = join(&folder, path.rsplit('/').next().unwrap_or(path));
            let mut entry = self.changed(&node.entry, &Changes { owner, mode: None });
            link_names(&mut links, node.inode, &target, &mut entry);
            if !matches!(entry.kind, Kind::Directory) {
                let covered: Vec<String> =
                    self.written.keys().filter(|written| is_inside(written, &target)).cloned().collect();
                for path in &covered {
                    self.take(path);
                }
            }
            self.put(target, entry);
        }
        Ok(())
    }

    /// Makes a directory that an archive has no entry for, and what is missing above it: 0755 root's, though of the group
    /// of a directory with the setgid bit.
    fn make_implied(&mut self, path: &str) -> Result<()> {
        self.make(path, |made| made.with_mode(0o755))
    }

    /// Makes a directory and what is missing above it: `mkdir -p`. `path` has no links in it.
    pub(crate) fn make_directories(&mut self, path: &str, changes: &Changes) -> Result<()> {
        let allowed = match changes.mode {
            Some(ModeChange::Absolute(mode)) => mode | SETGID,
            _ => 0o7777,
        };
        self.make(path, |made| {
            let (uid, gid) = changes.owner.unwrap_or((made.uid, made.gid));
            let mode = made.mode & allowed;
            made.with_mode(mode).with_owner(uid, gid)
        })
    }

    /// Makes what is missing of `path`, each directory as `mkdir` makes it and `change` has it then.
    fn make(&mut self, path: &str, change: impl Fn(Entry) -> Entry) -> Result<()> {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for folder in ends.filter_map(|end| path.get(..end)).filter(|folder| !folder.is_empty()) {
            match self.at(folder) {
                There::Directory => {}
                There::Other => {
                    return Err(ErrorKind::NotDirectory { path: format!("/{folder}") }.into());
                }
                There::Nothing => {
                    let entry = change(self.made_in(parent(folder)).with_mtime(self.mtime));
                    self.written.insert(folder.to_owned(), entry);
                }
            }
        }
        Ok(())
    }

    /// What `mkdir` makes in `folder`.
    fn made_in(&self, folder: &str) -> Entry {
        match self.permissions(folder) {
            Some((mode, _, gid)) if mode & SETGID != 0 => {
                Entry::directory().with_mode(0o755 | SETGID).with_owner(0, gid)
            }
            _ => Entry::directory(),
        }
    }

    /// Rule 4.
    fn put_directory(&mut self, target: &str, file: &PickedFile, changes: &Changes) -> Result<()> {
        let there = self.at(target);
        if there == There::Other {
            return Err(ErrorKind::NotDirectory { path: format!("/{target}") }.into());
        }
        let mut entry = self.changed(&file.node.entry, changes);
        if file.only_parent && there == There::Directory {
            // BuildKit gives such a directory the source's mode, and leaves its owner.
            let (_, uid, gid) = self.permissions(target).unwrap_or_default();
            entry = Entry { mode: file.node.entry.mode, ..entry.with_owner(uid, gid) };
        }
        self.written.insert(target.to_owned(), entry);
        Ok(())
    }

    /// Rule 5.
    fn put_file(
        &mut self,
        target: String,
        file: &PickedFile,
        changes: &Changes,
        links: &mut HashMap<u64, String>,
    ) -> Result<()> {
        if self.at(&target) == There::Directory {
            return Err(ErrorKind::IsDirectory { path: format!("/{target}") }.into());
        }
        let mut entry = self.changed(&file.node.entry, changes);
        link_names(links, file.node.inode, &target, &mut entry);
        self.put(target, entry);
        Ok(())
    }

    /// Writes an entry in the place of what the step wrote there before. Other names of that file keep it.
    pub(crate) fn put(&mut self, target: String, entry: Entry) {
        self.take(&target);
        self.written.insert(target, entry);
    }

    /// Takes away what the step wrote at `path`. Other names of that file keep it: the first of them becomes the file.
    fn take(&mut self, path: &str) {
        let Some(old) = self.written.remove(path).filter(|old| matches!(old.kind, Kind::File(_))) else {
            return;
        };
        let is_name = |other: &Entry| matches!(&other.kind, Kind::Hardlink { target } if target == path);
        let names: Vec<String> =
            self.written.iter().filter(|(_, other)| is_name(other)).map(|(path, _)| path.clone()).collect();
        if let Some((heir, rest)) = names.split_first() {
            self.written.insert(heir.clone(), old.clone());
            for name in rest {
                let entry = Entry { kind: Kind::Hardlink { target: heir.clone() }, ..old.clone() };
                self.written.insert(name.clone(), entry);
            }
        }
    }

    /// Where a path leads when the links above its last part are followed.
    pub(crate) fn through_links(&self, path: &str) -> Result<String> {
        Ok(join(&self.resolve(parent(path))?, path.rsplit('/').next().unwrap_or(path)))
    }

    fn changed(&self, entry: &Entry, changes: &Changes) -> Entry {
        let mut entry = entry.clone().with_mtime(self.mtime);
        if let Some((uid, gid)) = changes.owner {
            entry = entry.with_owner(uid, gid);
        }
        if let Some(change) = changes.mode.as_ref().filter(|_| !matches!(entry.kind, Kind::Symlink { .. })) {
            entry.mode = change.apply(entry.mode, matches!(entry.kind, Kind::Directory));
        }
        entry
    }

    /// Mode, user and group of what is at `path`.
    fn permissions(&self, path: &str) -> Option<(u32, u32, u32)> {
        if let Some(entry) = self.written.get(path) {
            return Some((entry.mode, entry.uid, entry.gid));
        }
        let found = self.below?.get(path)?.permissions;
        Some((found.mode, found.uid, found.gid))
    }

    fn at(&self, path: &str) -> There {
        if path.is_empty() {
            return There::Directory;
        }
        if let Some(entry) = self.written.get(path) {
            return if matches!(entry.kind, Kind::Directory) { There::Directory } else { There::Other };
        }
        match self.below.and_then(|below| below.get(path)) {
            None => There::Nothing,
            Some(found) if found.is_directory() => There::Directory,
            Some(_) => There::Other,
        }
    }

    /// Where a path leads when all links in it are followed.
    pub(crate) fn resolve(&self, path: &str) -> Result<String> {
        follow(path, |place| self.link(place))
    }

    /// The target of the link at `place`, if there is one.
    fn link(&self, place: &str) -> Option<&str> {
        match self.written.get(place) {
            Some(Entry { kind: Kind::Symlink { target }, .. }) => Some(target),
            Some(_) => None,
            None => match &self.below?.get(place)?.kind {
                NodeKind::Symlink(target) => Some(target),
                _ => None,
            },
        }
    }

    /// Takes out the directories that are there already just so. One of another mode than implied ones stays if something in
    /// it was written: the layer would hide its mode.
    pub(crate) fn leave_out(&mut self, whole: &Whole) {
        let paths: Vec<String> = self.written.keys().rev().cloned().collect();
        for path in paths {
            let Some((entry, there)) = self.written.get(&path).zip(whole.directory(&path)) else { continue };
            let found = there.permissions;
            let is_just_so = matches!(entry.kind, Kind::Directory)
                && (entry.mode, entry.uid, entry.gid) == (found.mode, found.uid, found.gid)
                && entry.xattrs == there.xattrs;
            if is_just_so && (found.is_plain() || !self.has_children(&path)) {
                self.written.remove(&path);
            }
        }
    }

    fn has_children(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.written.range(below.clone()..).next().is_some_and(|(key, _)| key.starts_with(&below))
    }

    /// What was written, as a layer over what lies below. `what` names it in errors.
    pub(crate) fn into_tree(mut self, what: &str) -> Result<Tree> {
        self.order_names();
        let mut tree = Tree::new();
        for (path, entry) in self.written {
            let inserted = tree.insert(path, entry);
            inserted.map_err(|source| ErrorKind::Tree { what: what.to_owned(), source })?;
        }
        if let Some(below) = self.below {
            Ground::new(below, &[], self.mtime)?.add_parents(&mut tree);
        }
        Ok(tree)
    }

    /// Makes the first of a file's names, in the order of layers, the file, and the others links to it: followed links may
    /// have led the later one to an earlier place.
    fn order_names(&mut self) {
        let mut first: BTreeMap<String, String> = BTreeMap::new();
        for (path, entry) in &self.written {
            if let Kind::Hardlink { target } = &entry.kind
                && path < target
            {
                first.entry(target.clone()).or_insert_with(|| path.clone());
            }
        }
        for (target, heir) in first {
            let Some(file) = self.written.get(&target).cloned() else { continue };
            let names = self
                .written
                .values_mut()
                .filter(|entry| matches!(&entry.kind, Kind::Hardlink { target: other } if *other == target));
            names.for_each(|entry| entry.kind = Kind::Hardlink { target: heir.clone() });
            let link = Entry { kind: Kind::Hardlink { target: heir.clone() }, ..file.clone() };
            self.written.insert(target, link);
            self.written.insert(heir, file);
        }
    }
}

/// Makes `entry` another name of the file that was put as `inode` before; or notes that it is the first.
fn link_names(links: &mut HashMap<u64, String>, inode: Option<u64>, target: &str, entry: &mut Entry) {
    let Some(inode) = inode else { return };
    match links.get(&inode) {
        Some(first) if first == target => {}
        Some(first) => entry.kind = Kind::Hardlink { target: first.clone() },
        None => drop(links.insert(inode, target.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use cartwheel_oci::LayerFacts;
    use cartwheel_oci::layer::Content;

    use super::*;
    use crate::copy::{Choice, select};
    use crate::files::FileNode;

    fn file() -> Entry {
        Entry::file(Content::Bytes(b"x".to_vec()), false)
    }

    fn files(entries: &[(&str, Entry, Option<u64>)]) -> FileSet {
        let mut files = FileSet::default();
        for (path, entry, inode) in entries {
            files.insert((*path).to_owned(), FileNode { inode: *inode, ..FileNode::new(entry.clone()) });
        }
        files
    }

    /// `/tmp` for all, `/lib` a link, `/shared` of a group.
    fn below() -> Below {
        let mut tree = Tree::new();
        tree.insert("lib", Entry::symlink("usr/lib")).unwrap();
        tree.insert("one/absolute", Entry::symlink("/usr")).unwrap();
        tree.insert("shared", Entry::directory().with_mode(0o2775).with_owner(0, 50)).unwrap();
        tree.insert("tmp", Entry::directory().with_mode(0o1777)).unwrap();
        tree.insert("usr/lib", Entry::directory()).unwrap();
        Below::stack([LayerFacts::of_tree(&tree, |_| None).unwrap()])
    }

    fn shown(destination: Destination<'_>) -> Vec<String> {
        let tree = destination.into_tree("a test").unwrap();
        let line = |(path, Entry { kind, mode, uid, gid, .. }): (&str, &Entry)| match kind {
            Kind::Hardlink { target } => format!("{path} = {target}"),
            Kind::Symlink { target } => format!("{path} -> {target}"),
            Kind::Directory => format!("{path}/ {mode:o} {uid}:{gid}"),
            _ => format!("{path} {mode:o} {uid}:{gid}"),
        };
        tree.iter().map(line).collect()
    }

    fn unpacked(entries: &[(&str, Entry, Option<u64>)], to: &str) -> Vec<String> {
        let below = below();
        let mut destination = Destination::new(Some(&below), 0);
        destination.unpack(&files(entries), to, None).unwrap();
        shown(destination)
    }

    fn copied(to: &str, chmod: Option<&str>, owner: Option<(u32, u32)>) -> Vec<String> {
        copied_of("a", to, chmod, owner)
    }

    fn copied_of(source: &str, to: &str, chmod: Option<&str>, owner: Option<(u32, u32)>) -> Vec<String> {
        let below = below();
        let mut destination = Destination::new(Some(&below), 0);
        let tree = files(&[("a", file(), None), ("d", Entry::directory(), None), ("d/b", file(), None)]);
        let changes = Changes { owner, mode: chmod.map(|text| ModeChange::parse(text).unwrap()) };
        for picked in select(&tree, source, &Choice::default()).unwrap() {
            destination.copy(&picked, to, &changes).unwrap();
        }
        shown(destination)
    }

    #[test]
    fn an_archive_keeps_the_names_of_a_file() {
        let entries = [("a", file(), Some(1)), ("b", file(), None), ("sub/c", file(), Some(1))];
        assert_eq!(
            unpacked(&entries, "/one/"),
            ["one/a 644 0:0", "one/b 644 0:0", "one/sub/ 755 0:0", "one/sub/c = one/a"]
        );
        // The later name comes to lie before the first one: `lib` leads to `usr/lib`, and `m` is before it.
        let entries = [("lib/z", file(), Some(1)), ("m", file(), Some(1)), ("n", file(), Some(1))];
        assert_eq!(unpacked(&entries, "/"), ["m 644 0:0", "n = m", "usr/lib/z = m"]);
    }

    #[test]
    fn a_name_that_is_replaced_leaves_the_file_to_the_others() {
        let below = below();
        let mut destination = Destination::new(Some(&below), 0);
        let first =
            files(&[("d/a", file().with_mode(0o600), Some(1)), ("e", file().with_mode(0o600), Some(1))]);
        destination.unpack(&first, "/", None).unwrap();
        destination.unpack(&files(&[("d", file(), None)]), "/", None).unwrap();
        assert_eq!(shown(destination), ["d 644 0:0", "e 600 0:0"]);
    }

    #[test]
    fn an_archive_goes_where_links_below_lead_and_leaves_directories_as_they_are() {
        let entries = [("lib/a", file(), None), ("tmp/b", file(), None), ("shared/new/c", file(), None)];
        let expected = [
            "shared/ 2775 0:50",
            "shared/new/ 755 0:50",
            "shared/new/c 644 0:0",
            "tmp/ 1777 0:0",
            "tmp/b 644 0:0",
            "usr/lib/a 644 0:0",
        ];
        assert_eq!(unpacked(&entries, "/"), expected);
        // An absolute link leads back into the destination, which is all that Docker's tar sees.
        let entries = [("absolute/a", file(), None)];
        assert_eq!(unpacked(&entries, "/one"), ["one/usr/ 755 0:0", "one/usr/a 644 0:0"]);
    }

    #[test]
    fn directories_that_are_made_take_the_mode_that_is_asked_for() {
        assert_eq!(
            copied("/new/deep/", Some("600"), None),
            ["new/ 600 0:0", "new/deep/ 600 0:0", "new/deep/a 600 0:0"]
        );
        assert_eq!(copied("/new/", Some("o-rx"), Some((7, 8))), ["new/ 755 7:8", "new/a 640 7:8"]);
        assert_eq!(copied("/usr/lib/", Some("600"), None), ["usr/lib/a 600 0:0"]);
        let expected = ["new/ 755 0:0", "new/to/ 755 0:0", "new/to/b 1777 0:0"];
        assert_eq!(copied_of("d", "/new/to", Some("1777"), None), expected);
    }

    #[test]
    fn directories_made_in_one_with_the_setgid_bit_have_its_group() {
        let below_shared = |lines: Vec<String>| lines.into_iter().skip(1).collect::<Vec<_>>();
        let made = below_shared(copied("/shared/new/deep/", None, None));
        assert_eq!(
            made,
            ["shared/new/ 2755 0:50", "shared/new/deep/ 2755 0:50", "shared/new/deep/a 644 0:0"]
        );
        let owned = below_shared(copied("/shared/new/", None, Some((7, 8))));
        assert_eq!(owned, ["shared/new/ 2755 7:8", "shared/new/a 644 7:8"]);
        let changed = below_shared(copied("/shared/new/", Some("700"), None));
        assert_eq!(changed, ["shared/new/ 2700 0:50", "shared/new/a 700 0:0"]);
    }
}
