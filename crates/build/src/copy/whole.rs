//! Whole layers. What `COPY --from` takes to the path where the stage has it is, layer by layer, what the stage's layers
//! are: a virtual environment is its packages' layers. Such a layer is taken as it is, not made again from its files, and
//! registries and nodes have it once.
//!
//! A layer is taken if it makes of the destination what copying its files would:
//!
//! 1. It removes nothing and has no hard links, and no other layer has one to a file of it.
//! 2. Every file in it lies in the copied directory, has the time that a copy would have, and is what the stage has at its
//!    path in the end: no later layer replaced it.
//! 3. A directory in it that is copied is as the stage has it in the end; one above what is copied is as the destination
//!    has it, or as `COPY` would make it.
//! 4. A directory above any of it that is not in it is a plain one of root's in the destination, if it is there: runtimes would
//!    make it such a one.
//! 5. Nothing in the destination is in its way: there COPY fails or leaves what is there, and a layer would replace it.
//!
//! What the destination has from a layer that both are built on is not copied either.

use std::collections::{BTreeMap, BTreeSet};

use cartwheel_oci::{Below, Layer, LayerFacts, Node, NodeKind};

use super::place::SETGID;
use super::select::{Picked, is_inside};
use crate::error::Result;
use crate::files::parent;
use crate::stage::StageState;

/// The part of a copy that is there already: layers to take as they are, and what need not be in any other.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    /// The lowest first.
    pub(crate) layers: Vec<Layer>,
    /// The files that are in them, or in the destination.
    files: BTreeSet<String>,
    /// The directories that they or the destination have, as they have them.
    directories: BTreeMap<String, Node>,
}

impl Whole {
    /// What a copy of `root`, a directory of the source that goes to the same place, finds there already. `mtime` is the
    /// time that a copy has.
    pub(crate) fn of(
        source: &StageState<'_>,
        destination: &StageState<'_>,
        root: &str,
        mtime: u64,
    ) -> Result<Self> {
        let (from, to) = (source.below()?, destination.below()?);
        let mut whole = Self::shared(source, destination, root)?;
        for index in candidates(from, root) {
            let Some(layer) = source.image.layers().get(index).filter(|_| destination.is_made()) else {
                continue;
            };
            let facts = source.facts(layer)?;
            if (Copied { from, to, root, mtime }).is_whole(index, &facts) {
                source.fetch(layer)?;
                whole.add(layer, &facts);
            }
        }
        Ok(whole)
    }

    /// What the destination has of the copy, from layers that are the source's too.
    fn shared(source: &StageState<'_>, destination: &StageState<'_>, root: &str) -> Result<Self> {
        let (from, to) = (source.below()?, destination.below()?);
        let layer = |stage: &StageState<'_>, below: &Below, path: &str| {
            Some(stage.image.layers().get(below.layer(path)?)?.diff_id)
        };
        let linked = names_of_several(from, root);
        let mut shared = Self::default();
        for (path, node) in from.children(root) {
            let Some(there) = to.get(path) else { continue };
            if node.is_directory() {
                shared.directories.extend(there.is_directory().then(|| (path.to_owned(), there.clone())));
                continue;
            }
            let origin = layer(source, from, path);
            let is_same = there == node && origin.is_some() && origin == layer(destination, to, path);
            if is_same && !linked.contains(path) {
                shared.files.insert(path.to_owned());
            }
        }
        Ok(shared)
    }

    fn add(&mut self, layer: &Layer, facts: &LayerFacts) {
        self.layers.push(layer.clone());
        for (path, node) in facts.iter() {
            if node.is_directory() {
                self.directories.insert(path.to_owned(), node.clone());
            } else {
                self.files.insert(path.to_owned());
            }
        }
    }

    /// Takes the files that are there already out of what was picked.
    pub(crate) fn leave_out(&self, picked: &mut Picked) {
        picked.files.retain(|file| !self.files.contains(&file.place));
    }

    /// The directory that is there at `path` already.
    pub(crate) fn directory(&self, path: &str) -> Option<&Node> {
        self.directories.get(path)
    }
}

/// The names of files that have several: one of them alone would not be a name of the others' file.
fn names_of_several<'a>(below: &'a Below, root: &'a str) -> BTreeSet<&'a str> {
    let links = |(path, node): (&'a str, &'a Node)| Some([path, node.file()?.first_name.as_deref()?]);
    below.children(root).filter_map(links).flatten().collect()
}

/// The layers that have files in `root`, and none elsewhere that is not replaced.
fn candidates(below: &Below, root: &str) -> Vec<usize> {
    let mut inside = vec![None; below.layers()];
    for (path, node) in below.iter().filter(|(_, node)| !node.is_directory()) {
        if let Some(all) = below.layer(path).and_then(|layer| inside.get_mut(layer)) {
            *all = Some(all.unwrap_or(true) && is_in(path, root) && has_one_name(node));
        }
    }
    (0..).zip(inside).filter_map(|(layer, all)| (all == Some(true)).then_some(layer)).collect()
}

/// A copy of `root` to the same place in another file system.
struct Copied<'a> {
    from: &'a Below,
    to: &'a Below,
    root: &'a str,
    mtime: u64,
}

impl Copied<'_> {
    /// Whether the layer `index` of the source is what copying its files would make.
    fn is_whole(&self, index: usize, facts: &LayerFacts) -> bool {
        facts.only_adds()
            && facts.iter().all(|(path, node)| self.is_copied(index, path, node))
            && self.hides_nothing(facts)
    }

    /// Whether the directories that the layer leaves out are such as runtimes make them.
    fn hides_nothing(&self, facts: &LayerFacts) -> bool {
        let mentioned: BTreeSet<&str> = facts.iter().map(|(path, _)| path).collect();
        let above: BTreeSet<&str> = mentioned.iter().flat_map(|path| folders(parent(path))).collect();
        let is_plain = |node: &Node| node.permissions.is_plain() && node.xattrs.is_empty();
        above.difference(&mentioned).all(|folder| self.to.get(folder).is_none_or(is_plain))
    }

    fn is_copied(&self, index: usize, path: &str, node: &Node) -> bool {
        if !node.is_directory() {
            return is_in(path, self.root)
                && node.permissions.mtime == self.mtime
                && self.from.layer(path) == Some(index)
                && !self.to.get(path).is_some_and(Node::is_directory)
                && self.is_free(parent(path));
        }
        if is_in(path, self.root) {
            return self.from.get(path).is_some_and(|last| is_alike(last, node)) && self.is_free(path);
        }
        let is_above = path == self.root || is_inside(self.root, path);
        is_above
            && match self.to.get(path) {
                Some(there) => is_alike(there, node),
                // As `mkdir` makes it in what is no directory of a group's.
                None => node.permissions.is_plain() && node.xattrs.is_empty() && !self.inherits(path),
            }
    }

    /// Whether only directories are at `folder` and above it.
    fn is_free(&self, folder: &str) -> bool {
        folders(folder).all(|folder| self.to.get(folder).is_none_or(Node::is_directory))
    }

    /// Whether a directory above `path` gives its group to what is made in it.
    fn inherits(&self, path: &str) -> bool {
        let mut above = folders(parent(path)).filter_map(|folder| self.to.get(folder));
        above.next().is_some_and(|node| node.permissions.mode & SETGID != 0)
    }
}

/// A path and the directories above it, but for the root.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| Some(parent(path))).take_while(|path| !path.is_empty())
}

fn is_in(path: &str, root: &str) -> bool {
    root.is_empty() || is_inside(path, root)
}

/// Whether it is a file or link, and not a further name of one. A device may be.
fn has_one_name(node: &Node) -> bool {
    match &node.kind {
        NodeKind::File(file) => file.first_name.is_none(),
        kind => matches!(kind, NodeKind::Symlink(_)),
    }
}

/// Whether two directories differ in nothing but their times.
fn is_alike(one: &Node, other: &Node) -> bool {
    let what = |node: &Node| (node.permissions.mode, node.permissions.uid, node.permissions.gid);
    one.kind == other.kind && what(one) == what(other) && one.xattrs == other.xattrs
}

/// Where the directory is that a copy of `source` to `destination` leaves in its place, if it does: links lead both to the
/// same place.
pub(crate) fn place_of_both(from: &Below, to: &Below, source: &str, destination: &str) -> Option<String> {
    let root = from.resolve(source).filter(|root| to.resolve(destination).as_ref() == Some(root))?;
    let is_directory = root.is_empty() || from.get(&root).is_some_and(Node::is_directory);
    is_directory.then_some(root)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use cartwheel_oci::layer::{self, Content, Encoding, Entry, FIXED_TIME, Kind, Tree};
    use cartwheel_oci::{Descriptor, DiffId, History, Image, Permissions, Platform, media_type};
    use cartwheel_store::{Digest, Store};

    use super::*;
    use crate::copy::{Changes, Choice, Load, Piece, layer_key, select};
    use crate::packages::find_or_make;

    fn made(store: &Store, tree: Tree) -> Layer {
        let bytes = |entry: &Entry| entry.kind.content().map(|content| content.read().unwrap());
        let contents: Vec<u8> = tree.iter().filter_map(|(_, entry)| bytes(entry)).flatten().collect();
        let key = layer_key(Digest::of(&contents), &tree);
        find_or_make(store, &key, "a test", || Ok((tree, Encoding::Compressed))).unwrap().0
    }

    /// `a/` is a directory (`a/ 700` of that mode), `a -> b` a link, `-a` removes, `a = b` is another name; anything else is a
    /// file with the words behind its name as content, old if that is `old`.
    fn tree(lines: &[&str]) -> Tree {
        let mut tree = Tree::new();
        for line in lines {
            let (path, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (path, entry) = match (path.strip_suffix('/'), rest.split_once(' ')) {
                (Some(path), _) => {
                    let mode = u32::from_str_radix(rest, 8).unwrap_or(0o755);
                    (path, Entry::directory().with_mode(mode))
                }
                (None, Some(("->", target))) => (path, Entry::symlink(target)),
                (None, Some(("=", target))) => (path, Entry::hardlink(target)),
                (None, _) => {
                    let time = if rest == "old" { 1 } else { FIXED_TIME };
                    (path, Entry::file(Content::Bytes(rest.into()), false).with_mtime(time))
                }
            };
            match path.strip_prefix('-') {
                Some(path) => tree.remove_below(path).unwrap(),
                None => tree.insert(path, entry).unwrap(),
            }
        }
        tree
    }

    fn stage<'a>(store: &'a Store, layers: &[&[&str]]) -> StageState<'a> {
        let platform: Platform = "linux/amd64".parse().unwrap();
        let mut stage = StageState::new(store, Image::scratch(&platform), None);
        for lines in layers {
            stage.push(made(store, tree(lines)), History::default()).unwrap();
        }
        stage
    }

    /// How many layers are taken as they are, what the layer of the rest has, and the file system that comes of it.
    fn copied(
        source: &StageState<'_>,
        destination: &StageState<'_>,
        root: &str,
        whole: Whole,
    ) -> (usize, String, Vec<String>) {
        let mut pieces = Vec::new();
        for mut picked in select(&source.files().unwrap(), root, &Choice::default()).unwrap() {
            whole.leave_out(&mut picked);
            for file in &mut picked.files {
                if let Kind::File(content) = &mut file.node.entry.kind {
                    *content = source.content(&file.place).unwrap();
                }
            }
            pieces.push(Piece::Files(picked));
        }
        let load =
            Load { pieces, whole, destination: format!("/{root}"), changes: Changes::default(), link: false };
        let rest = load.place(destination.below().unwrap(), FIXED_TIME, "a test").unwrap();
        let paths: Vec<&str> = rest.iter().map(|(path, _)| path).collect();
        let paths = paths.join(" ");
        let mut after = destination.child();
        for layer in &load.whole.layers {
            after.push(layer.clone(), History::default()).unwrap();
        }
        after.push(made(after.store(), rest), History::default()).unwrap();
        (load.whole.layers.len(), paths, shown(&after))
    }

    fn shown(stage: &StageState<'_>) -> Vec<String> {
        let line = |(path, node): (&str, &Node)| {
            let what = match &node.kind {
                NodeKind::File(_) => format!("{:?}", stage.content(path).unwrap().read().unwrap()),
                kind => format!("{kind:?}"),
            };
            let Permissions { mode, uid, gid, .. } = node.permissions;
            format!("{path} {mode:o} {uid}:{gid} {what}")
        };
        stage.below().unwrap().iter().map(line).collect()
    }

    /// What is taken and what is left for a layer. The slow twin, which makes everything anew, comes to the same.
    fn both(source: &[&[&str]], destination: &[&[&str]], root: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (source, destination) = (stage(&store, source), stage(&store, destination));
        let whole = Whole::of(&source, &destination, root, FIXED_TIME).unwrap();
        let (taken, rest, quick) = copied(&source, &destination, root, whole);
        let (_, _, slow) = copied(&source, &destination, root, Whole::default());
        assert_eq!(quick, slow);
        format!("{taken}: {rest}")
    }

    const BASE: &[&str] = &["opt/", "opt/venv/", "opt/venv/python old", "root/ 700", "usr/x old"];
    const ONE: &[&str] = &["opt/venv/lib/", "opt/venv/lib/one/", "opt/venv/lib/one/a.py 1"];
    const TWO: &[&str] =
        &["opt/venv/lib/", "opt/venv/lib/two/", "opt/venv/lib/two/a.py 2", "opt/venv/lib/two/l -> x"];

    #[test]
    fn layers_of_packages_are_taken_as_they_are() {
        assert_eq!(both(&[BASE, ONE, TWO], &[&["etc/"]], "opt/venv"), "2: opt opt/venv opt/venv/python");
        assert_eq!(both(&[&["opt/venv/"], ONE, TWO], &[&["opt/"]], "opt/venv"), "2: opt/venv");
        // What both are built on is there.
        assert_eq!(both(&[BASE, ONE, TWO], &[BASE], "opt/venv"), "2: ");
        assert_eq!(both(&[BASE, ONE], &[BASE, TWO], "opt/venv"), "1: ");
        assert_eq!(both(&[BASE, ONE], &[BASE, ONE], "opt/venv"), "1: ");
        assert_eq!(both(&[BASE, ONE], &[BASE], ""), "1: ");
    }

    #[test]
    fn a_layer_that_is_not_just_what_is_copied_is_not_taken() {
        let rest = |layer: &[&str], above: &[&str]| both(&[BASE, layer, above], &[BASE], "opt/venv");
        let lib = "opt/venv/lib";
        let made = format!("{lib} {lib}/a");
        assert_eq!(rest(&[&format!("{lib}/"), &format!("{lib}/a 1")], &[]), "1: ");
        // Something lies outside; something is removed; there are names of one file; the time is another.
        assert_eq!(rest(&[&format!("{lib}/a 1"), "usr/bin/a 1"], &[]), format!("0: {made}"));
        assert_eq!(rest(&[&format!("{lib}/a 1"), "-opt/venv/python"], &[]), format!("0: {made}"));
        assert_eq!(
            rest(&[&format!("{lib}/a 1"), &format!("{lib}/b = {lib}/a")], &[]),
            format!("0: {made} {lib}/b")
        );
        assert_eq!(rest(&[&format!("{lib}/a old")], &[]), format!("0: {made}"));
        // A later layer, outside or not, replaces a file or changes a directory.
        assert_eq!(rest(&[&format!("{lib}/a 1")], &[&format!("{lib}/a 2"), "usr/b"]), format!("0: {made}"));
        assert_eq!(
            rest(&[&format!("{lib}/"), &format!("{lib}/a 1")], &[&format!("{lib}/ 700")]),
            format!("0: {made}")
        );
        // What is above is other than in the destination.
        assert_eq!(rest(&["opt/ 700", &format!("{lib}/a 1")], &[]), format!("0: {made}"));
    }

    #[test]
    fn a_file_that_has_a_name_in_another_layer_stays_one_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut source = stage(&store, &[&["opt/a 1"], &["opt/c 1"]]);
        // A tar without the file that its link leads to: the first header and its block of content are cut off.
        let mut bytes = Vec::new();
        layer::write(&tree(&["opt/a 1", "opt/b = opt/a"]), Encoding::Compressed, &mut bytes).unwrap();
        let mut tar = Vec::new();
        layer::decompress(&bytes[..]).unwrap().read_to_end(&mut tar).unwrap();
        let (digest, blob) = store.put_blob(&tar[1024..]).unwrap();
        let descriptor = Descriptor::new(media_type::LAYER_TAR, digest, blob.size());
        source.push(Layer { descriptor, diff_id: DiffId::new(digest) }, History::default()).unwrap();
        let whole = Whole::of(&source, &stage(&store, &[]), "opt", FIXED_TIME).unwrap();
        assert_eq!(whole.files.iter().collect::<Vec<_>>(), ["opt/c"]);
    }

    #[test]
    fn what_lies_in_the_destination_is_not_replaced_unasked() {
        // The layer of the rest has the directories that the destination lacks or that are not plain, for what it puts there.
        let venv: &[&str] = &["opt/venv/", "opt/venv/d/ 700", "opt/venv/d/new 1"];
        let more: &[&str] = &["opt/venv/d/ 700", "opt/venv/d/old old"];
        assert_eq!(both(&[venv, more], &[&["opt/"]], "opt/venv"), "1: opt/venv opt/venv/d opt/venv/d/old");
        // A group's directory gives its group to what COPY makes in it, and a layer would not.
        let one = both(&[&["opt/venv/", "opt/venv/a 1"]], &[&["opt/ 2775"]], "opt/venv");
        assert_eq!(one, "0: opt opt/venv opt/venv/a");
        // Nor does a runtime know of modes that a layer leaves out.
        for there in ["opt/ 700", "opt/venv/ 700", "opt/venv/d/ 700"] {
            let rest = both(&[&["opt/venv/d/a 1", "opt/venv/e/b 1"]], &[&[there]], "opt/venv");
            assert!(rest.starts_with("0: "), "{there}: {rest}");
        }
        assert!(
            both(&[&["opt/venv/d/a 1"]], &[&["opt/venv/d/", "opt/e/ 700"]], "opt/venv").starts_with("1: ")
        );
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let source = stage(&store, &[ONE]);
        for there in [["opt/venv/lib -> x"], ["opt/venv/lib/one/a.py/ 755"], ["opt/venv/lib/one 1"]] {
            let whole = Whole::of(&source, &stage(&store, &[&there]), "opt/venv", FIXED_TIME).unwrap();
            assert!(whole.layers.is_empty() && whole.files.is_empty(), "{there:?}");
        }
    }

    #[test]
    fn a_copy_stays_in_its_place_if_links_lead_both_ways_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let from = stage(&store, &[BASE, &["v -> opt/venv"]]);
        let to = stage(&store, &[&["w -> opt"]]);
        let place = |source: &str, destination: &str| {
            place_of_both(from.below().unwrap(), to.below().unwrap(), source, destination)
        };
        assert_eq!(place("opt/venv", "/opt/venv/").as_deref(), Some("opt/venv"));
        assert_eq!(place("/v", "/w/venv").as_deref(), Some("opt/venv"));
        assert_eq!(place(".", "/").as_deref(), Some(""));
        assert_eq!(place("opt/venv", "/v"), None);
        assert_eq!(place("opt/venv/python", "/opt/venv/python"), None);
    }
}
