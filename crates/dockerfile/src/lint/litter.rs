//! Files of the context that no image needs.

use std::collections::BTreeMap;
use std::fmt;

use crate::lint::LintContext;
use crate::lint::scene::{Act, Scene, bytes, takes};

/// Directories that tools leave beside the source.
const FOLDERS: [&str; 14] = [
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "node_modules",
    ".idea",
    ".vscode",
];

/// What a copy takes of them.
pub(super) struct Litter<'a> {
    pub(super) act: Act<'a>,
    /// Each kind with its size.
    kinds: BTreeMap<&'static str, u64>,
}

/// What the copies of the build take that is litter and that the ignore file leaves; the largest last.
pub(super) fn litter<'a>(scene: &'a Scene, context: &LintContext) -> Vec<Litter<'a>> {
    let files: Vec<(&str, u64, &'static str)> =
        context.left().filter_map(|file| Some((file.path.as_str(), file.size, kind(&file.path)?))).collect();
    let acts = scene.needed().flat_map(|(index, _)| scene.acts(index));
    let mut found: Vec<Litter<'_>> = acts
        .filter_map(|act| {
            let copy = act.context_copy()?;
            let mut kinds = BTreeMap::new();
            for (_, size, kind) in files.iter().filter(|(path, ..)| takes(copy, path)) {
                *kinds.entry(*kind).or_default() += size;
            }
            (!kinds.is_empty()).then_some(Litter { act, kinds })
        })
        .collect();
    found.sort_by_key(Litter::size);
    found
}

/// Whether it is an ignore file that nobody reads.
pub(super) fn is_ignore_file(path: &str) -> bool {
    path.ends_with("/.dockerignore") && kind(path).is_none()
}

/// Which litter a file is part of.
fn kind(path: &str) -> Option<&'static str> {
    let mut folders = path.split('/');
    folders.next_back();
    folders.find_map(|folder| FOLDERS.into_iter().find(|known| *known == folder))
}

impl Litter<'_> {
    fn size(&self) -> u64 {
        self.kinds.values().sum()
    }
}

impl fmt::Display for Litter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.kinds.keys().copied().collect();
        write!(f, "{} of {}", bytes(self.size()), names.join(", "))
    }
}
