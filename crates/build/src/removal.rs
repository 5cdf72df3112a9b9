//! Distributions that are replaced or go: the layer that hides their files.

use std::collections::BTreeSet;

use cartwheel_oci::layer::{self, Encoding, Tree};
use cartwheel_oci::{Below, Layer};
use cartwheel_python::Tool;
use cartwheel_store::{Key, Store};

use crate::error::{ErrorKind, Result};
use crate::ground::Ground;
use crate::installed::Installed;
use crate::packages::{LayerRecord, find_or_make};

/// The layer that removes distributions of a library (a `site-packages`, without the leading slash), as `tool` removes them:
/// whiteouts for their files, and for directories that hold nothing else.
pub(crate) fn removal_layer(
    store: &Store,
    replaced: &[&Installed],
    (below, library): (&Below, &str),
    tool: Tool,
) -> Result<Layer> {
    let recorded = || replaced.iter().flat_map(|installed| &installed.files);
    let compiled: Vec<String> = recorded().flat_map(|file| compiled(file, (below, library), tool)).collect();
    let files: BTreeSet<&str> = recorded().chain(&compiled).map(String::as_str).collect();
    let there = files.iter().filter(|path| below.get(path).is_some());
    let removed: BTreeSet<&str> = there.map(|path| emptied(path, &files, below, library)).collect();
    let key = Key::<LayerRecord>::new()
        .with("format", layer::FORMAT)
        .with("whiteouts", removed.iter().copied().collect::<Vec<_>>().join("\n"));
    let (layer, _) = find_or_make(store, &key, "removed distributions", || {
        let mut tree = Tree::new();
        let what = "removed distributions".to_owned();
        for path in removed {
            tree.remove_below(path).map_err(|source| ErrorKind::Tree { what: what.clone(), source })?;
        }
        Ground::new(below, &[], layer::FIXED_TIME)?.add_parents(&mut tree);
        Ok((tree, Encoding::Spliced))
    })?;
    Ok(layer)
}

/// What goes with a module although RECORD need not list it: pip removes what this very module was compiled to; uv all that
/// is compiled in its directory, unless that is the library itself.
fn compiled(module: &str, (below, library): (&Below, &str), tool: Tool) -> Vec<String> {
    let Some(stem) = module.strip_suffix(".py") else { return Vec::new() };
    let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    if tool == Tool::Uv && folder == library {
        return Vec::new();
    }
    let cache = format!("{folder}/__pycache__");
    let is_its = |path: &&str| {
        let rest = path.strip_prefix(&cache).and_then(|rest| rest.strip_prefix('/'));
        let tag = rest.and_then(|rest| rest.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(".pyc"));
        tool == Tool::Uv || tag.is_some_and(|tag| !tag.contains('.'))
    };
    below.children(&cache).map(|(path, _)| path).filter(is_its).map(str::to_owned).collect()
}

/// The outermost directory above `path`, inside the library, that holds only `files`; or `path` itself.
fn emptied<'p>(path: &'p str, files: &BTreeSet<&str>, below: &Below, library: &str) -> &'p str {
    let inside = |folder: &str| folder.strip_prefix(library).is_some_and(|rest| rest.starts_with('/'));
    let only_ours = |folder: &str| {
        let mut leaves = below.children(folder).filter(|(_, node)| !node.is_directory());
        leaves.all(|(child, _)| files.contains(child))
    };
    let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
    folders.filter(|folder| inside(folder)).find(|folder| only_ours(folder)).unwrap_or(path)
}
