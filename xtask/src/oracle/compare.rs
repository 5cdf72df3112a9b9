//! Where two images are not the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::image::{Image, Kind, Node, Tree};

/// One place where two images, or two builds, are not the same.
pub(super) struct Difference {
    /// `/path`, `config.Field`, or `outcome`.
    pub(super) subject: String,
    pub(super) docker: String,
    pub(super) cartwheel: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, docker, cartwheel } = self;
        write!(formatter, "{subject}\n            docker:    {docker}\n            cartwheel: {cartwheel}")
    }
}

/// All differences of settings and trees.
pub(super) fn images(docker: &Image, cartwheel: &Image) -> Vec<Difference> {
    let settings = both(&docker.settings(), &cartwheel.settings(), |_, value| value.to_string());
    let trees = [&docker.tree, &cartwheel.tree].map(described);
    let [docker, cartwheel] = &trees;
    settings.into_iter().chain(both(docker, cartwheel, |_, text| text.clone())).collect()
}

/// What there is to say when one or both did not build: nothing if both did not.
pub(super) fn outcomes(docker: Option<&str>, cartwheel: Option<&str>) -> Vec<Difference> {
    let describe = |said: Option<&str>| {
        said.map_or("builds".to_owned(), |said| format!("fails: {}", said.replace('\n', "\n            ")))
    };
    // A panic is no answer, whatever Docker says.
    let panics = cartwheel.is_some_and(|said| said.contains("panicked"));
    if docker.is_some() == cartwheel.is_some() && !panics {
        return Vec::new();
    }
    vec![Difference {
        subject: "outcome".to_owned(),
        docker: describe(docker),
        cartwheel: describe(cartwheel),
    }]
}

/// The lines in which the histories differ, side by side.
pub(super) fn histories(docker: &Image, cartwheel: &Image) -> Vec<String> {
    let (docker, cartwheel) = (docker.history(), cartwheel.history());
    let line = |history: &[String], index: usize| history.get(index).map_or("-", String::as_str).to_owned();
    let lines = 0..docker.len().max(cartwheel.len());
    let pairs = lines.map(|index| (line(&docker, index), line(&cartwheel, index)));
    let differing = pairs.filter(|(docker, cartwheel)| docker != cartwheel);
    differing.map(|(docker, cartwheel)| format!("history: {docker}\n              us: {cartwheel}")).collect()
}

/// A node in one line, and the paths of its links.
pub(super) fn describe(node: &Node, links: Option<&BTreeSet<&Path>>) -> String {
    let kind = match &node.kind {
        Kind::Directory => "directory".to_owned(),
        Kind::File { size, digest } => {
            format!("file of {size} bytes, {}", digest.get(..12).unwrap_or(digest))
        }
        Kind::Symlink(target) => format!("link to `{}`", target.display()),
        Kind::Device(kind, major, minor) => format!("{kind} device {major}:{minor}"),
        Kind::Fifo => "fifo".to_owned(),
    };
    let (user, group) = node.owner;
    let xattr = |(name, value): (&String, &Vec<u8>)| format!(", {name}=`{}`", value.escape_ascii());
    let xattrs: String = node.xattrs.iter().map(xattr).collect();
    let links = links.map_or_else(String::new, |links| format!(", one of {links:?}"));
    format!("{kind}, {:04o} {user}:{group}{xattrs}{links}", node.mode)
}

/// For each path that is one of several links to a file, all of them.
pub(super) fn links(tree: &Tree) -> BTreeMap<&PathBuf, BTreeSet<&Path>> {
    let mut inodes: BTreeMap<usize, BTreeSet<&Path>> = BTreeMap::new();
    for (path, node) in tree {
        inodes.entry(node.inode).or_default().insert(path);
    }
    let group = |(path, node): (_, &Node)| Some((path, inodes.get(&node.inode)?.clone()));
    tree.iter().filter_map(group).filter(|(_, links)| links.len() > 1).collect()
}

fn described(tree: &Tree) -> BTreeMap<String, String> {
    let links = links(tree);
    let line =
        |(path, node): (&PathBuf, &Node)| (format!("/{}", path.display()), describe(node, links.get(path)));
    tree.iter().map(line).collect()
}

fn both<V: PartialEq>(
    docker: &BTreeMap<String, V>,
    cartwheel: &BTreeMap<String, V>,
    describe: impl Fn(&str, &V) -> String,
) -> Vec<Difference> {
    let names: BTreeSet<&String> = docker.keys().chain(cartwheel.keys()).collect();
    let differing = names.into_iter().filter(|name| docker.get(*name) != cartwheel.get(*name));
    let text = |value: Option<&V>, name: &str| value.map_or("-".to_owned(), |value| describe(name, value));
    let difference = |name: &String| Difference {
        subject: name.clone(),
        docker: text(docker.get(name), name),
        cartwheel: text(cartwheel.get(name), name),
    };
    differing.map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(mode: u32, inode: usize) -> Node {
        let kind = Kind::File { size: 1, digest: "00".to_owned() };
        Node { kind, mode, owner: (0, 0), xattrs: BTreeMap::new(), inode }
    }

    fn image(config: &serde_json::Value, nodes: &[(&str, Node)]) -> Image {
        let tree = nodes.iter().map(|(path, node)| (PathBuf::from(path), node.clone())).collect();
        Image { config: config.clone(), tree }
    }

    fn subjects(one: &Image, other: &Image) -> Vec<String> {
        images(one, other).into_iter().map(|difference| difference.subject).collect()
    }

    #[test]
    fn modes_links_and_settings_are_compared() {
        let one = image(
            &json!({"os": "linux", "config": {"User": "a", "Env": ["A=1"], "Volumes": {}}}),
            &[("a", node(0o644, 1)), ("b", node(0o644, 1)), ("c", node(0o644, 7))],
        );
        let other = image(
            &json!({"os": "linux", "config": {"User": "b", "Env": ["A=1"], "Cmd": null}}),
            &[("a", node(0o644, 1)), ("b", node(0o644, 2)), ("c", node(0o600, 3)), ("d", node(0o644, 4))],
        );
        assert_eq!(subjects(&one, &other), ["config.User", "/a", "/b", "/c", "/d"]);
        assert_eq!(subjects(&one, &one), Vec::<String>::new());
    }

    #[test]
    fn numbers_of_inodes_mean_nothing() {
        let [one, other] = [1, 5].map(|inode| image(&json!({}), &[("a", node(0o644, inode))]));
        assert_eq!(subjects(&one, &other), Vec::<String>::new());
    }

    #[test]
    fn both_must_fail_or_none() {
        assert!(outcomes(Some("no"), Some("no, too")).is_empty());
        assert_eq!(outcomes(Some("no"), None).len(), 1);
        assert_eq!(outcomes(None, Some("no")).len(), 1);
        assert_eq!(outcomes(Some("no"), Some("thread 'main' panicked")).len(), 1);
    }
}
