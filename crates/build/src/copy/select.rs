//! The first half of `COPY`: which files a source names. Knows nothing of where they go.

use cartwheel_dockerfile::{Glob, IgnoreFile, MatchState};

use crate::error::{ErrorKind, Result};
use crate::files::{FileNode, FileSet, join};

/// How sources are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// `--exclude`: patterns of what is left out.
    pub(crate) exclude: Vec<String>,
    /// `--parents`: the directories above a source come along.
    pub(crate) parents: bool,
}

/// What one path became that a source names: a file, or a directory with what is in it.
#[derive(Debug, Clone)]
pub(crate) struct Picked {
    /// The name that it keeps in a destination which is a directory.
    pub(crate) name: String,
    /// Whether it is a directory, whose content is copied.
    pub(crate) is_directory: bool,
    /// Sorted, each directory before what is in it.
    pub(crate) files: Vec<PickedFile>,
}

/// One file of a [`Picked`] path.
#[derive(Debug, Clone)]
pub(crate) struct PickedFile {
    /// Below the picked path; empty for that path itself.
    pub(crate) path: String,
    /// Where it is among the source's files.
    pub(crate) place: String,
    /// What it is.
    pub(crate) node: FileNode,
    /// Whether it is a directory that is there only for what is in it.
    pub(crate) only_parent: bool,
}

/// What `source` (a path, or a pattern, relative to the root) names among `files`.
///
/// A pattern that matches nothing gives nothing, as in BuildKit; a path that is not there is an error.
pub(crate) fn select(files: &FileSet, source: &str, choice: &Choice) -> Result<Vec<Picked>> {
    let exclude = patterns(&choice.exclude)?;
    if choice.parents {
        return with_parents(files, source, exclude.as_ref());
    }
    let found = expand(files, source)?;
    let pick = |path: String| pick(files, &path, &Filter { include: None, exclude: exclude.as_ref() });
    found.into_iter().map(pick).collect()
}

/// `--parents`: what follows `/./` is a pattern for paths below what precedes it, and keeps its directories.
fn with_parents(files: &FileSet, source: &str, exclude: Option<&IgnoreFile>) -> Result<Vec<Picked>> {
    let (root, pattern) = source.split_once("/./").unwrap_or(("", source));
    let pattern = clean(pattern);
    if !Glob::is_wild(root) && !Glob::is_wild(&pattern) {
        let place = files.resolve(&join(&clean(root), &pattern))?;
        if files.get(&place).is_none() && !place.is_empty() {
            return Err(not_found(source));
        }
    }
    let include = if pattern.is_empty() { None } else { patterns(&[pattern])? };
    let filter = Filter { include: include.as_ref(), exclude };
    expand(files, root)?.into_iter().map(|path| pick(files, &path, &filter)).collect()
}

fn patterns(patterns: &[String]) -> Result<Option<IgnoreFile>> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let read = IgnoreFile::from_patterns(patterns);
    Ok(Some(read.map_err(|source| ErrorKind::Pattern { source })?))
}

/// The paths that a source stands for. Directories above the first wildcard may be links; below it none is followed.
fn expand(files: &FileSet, source: &str) -> Result<Vec<String>> {
    let source = clean(source);
    let parts: Vec<&str> = source.split('/').collect();
    let Some(wild) = parts.iter().position(|part| Glob::is_wild(part)) else {
        return Ok(vec![source]);
    };
    let (fixed, pattern) = parts.split_at(wild);
    let root = files.resolve(&fixed.join("/"))?;
    let Some(glob) = Glob::parse(&pattern.join("/")) else { return Ok(Vec::new()) };
    if !files.is_directory(&root) {
        return if files.get(&root).is_some() { Ok(Vec::new()) } else { Err(not_found(&source)) };
    }
    let mut found: Vec<String> = Vec::new();
    for (path, _) in files.below(&root) {
        // What is in a directory that matched belongs to it.
        let inside = found
            .last()
            .is_some_and(|last| path.strip_prefix(last.as_str()).is_some_and(|rest| rest.starts_with('/')));
        let relative = path.get(root.len()..).unwrap_or_default().trim_start_matches('/');
        if !inside && glob.matches(relative) {
            found.push(path.to_owned());
        }
    }
    Ok(found)
}

struct Filter<'a> {
    include: Option<&'a IgnoreFile>,
    exclude: Option<&'a IgnoreFile>,
}

fn pick(files: &FileSet, path: &str, filter: &Filter<'_>) -> Result<Picked> {
    let root = files.resolve(path)?;
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    if files.is_directory(&root) {
        return Ok(Picked { name, is_directory: true, files: walk(files, &root, filter) });
    }
    let node = files.get(&root).ok_or_else(|| not_found(path))?.clone();
    let file = PickedFile { path: String::new(), place: root, node, only_parent: false };
    Ok(Picked { name, is_directory: false, files: vec![file] })
}

/// What is picked below a directory, by BuildKit's rule: a pattern that matched a directory goes on matching below it, and
/// a directory that did not is there if something in it did.
fn walk(files: &FileSet, root: &str, filter: &Filter<'_>) -> Vec<PickedFile> {
    let mut picked: Vec<PickedFile> = Vec::new();
    // The directories above the current path, from the root down.
    let mut above: Vec<Above<'_>> = vec![Above::root(filter)];
    for (place, node) in files.below(root) {
        let path = place.get(root.len()..).unwrap_or_default().trim_start_matches('/');
        while above.len() > 1 && above.last().is_some_and(|last| !is_inside(path, last.path)) {
            above.pop();
        }
        let Some(parent) = above.last() else { break };
        let child = parent.enter(path, place, node, filter);
        if child.included {
            let delayed = above.iter_mut().filter(|parent| !parent.emitted);
            for parent in delayed {
                parent.emitted = true;
                picked.extend(parent.file(true));
            }
            picked.extend(child.file(false));
        }
        if node.is_directory() {
            above.push(Above { emitted: child.included, ..child });
        }
    }
    picked
}

/// A path of a walk, with what the patterns say of it.
struct Above<'a> {
    path: &'a str,
    place: &'a str,
    node: Option<&'a FileNode>,
    include: MatchState,
    exclude: MatchState,
    included: bool,
    /// Whether it was picked already.
    emitted: bool,
}

impl Above<'_> {
    fn root(filter: &Filter<'_>) -> Self {
        let state = |patterns: Option<&IgnoreFile>| patterns.map(IgnoreFile::root).unwrap_or_default();
        Self {
            path: "",
            place: "",
            node: None,
            include: state(filter.include),
            exclude: state(filter.exclude),
            included: true,
            emitted: true,
        }
    }

    fn enter<'b>(&self, path: &'b str, place: &'b str, node: &'b FileNode, filter: &Filter<'_>) -> Above<'b> {
        let enter = |patterns: Option<&IgnoreFile>, parent: &MatchState| {
            patterns.map(|patterns| patterns.enter(path, parent))
        };
        let include = enter(filter.include, &self.include);
        let exclude = enter(filter.exclude, &self.exclude);
        let is_in = include.as_ref().is_none_or(MatchState::is_excluded);
        let is_out = exclude.as_ref().is_some_and(MatchState::is_excluded);
        Above {
            path,
            place,
            node: Some(node),
            include: include.unwrap_or_default(),
            exclude: exclude.unwrap_or_default(),
            included: is_in && !is_out,
            emitted: false,
        }
    }

    fn file(&self, only_parent: bool) -> Option<PickedFile> {
        let node = self.node?.clone();
        Some(PickedFile { path: self.path.to_owned(), place: self.place.to_owned(), node, only_parent })
    }
}

/// Whether a path is below a directory.
pub(crate) fn is_inside(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// A path relative to the root, without `.`, `..` and doubled slashes (Go's `filepath.Clean` of `/path`).
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

fn not_found(source: &str) -> crate::Error {
    ErrorKind::SourceNotFound { path: source.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use cartwheel_oci::layer::{Content, Entry};

    use super::*;

    /// `a/` is a directory, `a -> b` a link, anything else a file.
    fn files(paths: &[&str]) -> FileSet {
        let mut files = FileSet::default();
        for path in paths {
            let (path, entry) = match (path.strip_suffix('/'), path.split_once(" -> ")) {
                (Some(folder), _) => (folder, Entry::directory()),
                (None, Some((path, target))) => (path, Entry::symlink(target)),
                (None, None) => (*path, Entry::file(Content::Bytes(Vec::new()), false)),
            };
            files.insert(path.to_owned(), FileNode::new(entry));
        }
        files
    }

    fn picked(files: &FileSet, source: &str, choice: &Choice) -> String {
        let show = |file: &PickedFile| format!("{}{}", file.path, if file.only_parent { "?" } else { "" });
        let line = |picked: &Picked| {
            format!("{}[{}]", picked.name, picked.files.iter().map(show).collect::<Vec<_>>().join(" "))
        };
        match select(files, source, choice) {
            Ok(picked) => picked.iter().map(line).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn paths_and_patterns_name_files() {
        let files = files(&[
            "a/",
            "a/x.py",
            "a/y.txt",
            "a-b",
            "b.txt",
            "c.txt",
            "d/",
            "d/e/",
            "d/e/f.txt",
            "link -> a",
            "gone -> nowhere",
        ]);
        let plain = |source| picked(&files, source, &Choice::default());
        assert_eq!(plain("b.txt"), "b.txt[]");
        assert_eq!(plain("./a/../b.txt"), "b.txt[]");
        assert_eq!(plain("a"), "a[x.py y.txt]");
        assert_eq!(plain("/"), "[a a-b a/x.py a/y.txt b.txt c.txt d d/e d/e/f.txt gone link]");
        assert_eq!(plain("*.txt"), "b.txt[] c.txt[]");
        assert_eq!(plain("d/*/*.txt"), "f.txt[]");
        assert_eq!(plain("*"), "`gone` was not found");
        assert_eq!(plain("link"), "link[x.py y.txt]");
        assert_eq!(plain("link/*.py"), "x.py[]");
        assert_eq!(plain("*.none"), "");
        assert_eq!(plain("none"), "`none` was not found");
    }

    #[test]
    fn parents_and_exclusions_choose_below() {
        let files = files(&["a/", "a/b/", "a/b/c.txt", "a/b/d.py", "a/e/", "f.txt"]);
        let choose = |source, exclude: &[&str], parents| {
            let exclude = exclude.iter().map(|&pattern| pattern.to_owned()).collect();
            picked(&files, source, &Choice { exclude, parents })
        };
        assert_eq!(choose(".", &["**/*.py", "a/e"], false), "[a a/b a/b/c.txt f.txt]");
        assert_eq!(choose(".", &["a", "!a/b/c.txt"], false), "[a? a/b? a/b/c.txt f.txt]");
        assert_eq!(choose("a/b/c.txt", &[], true), "[a? a/b? a/b/c.txt]");
        assert_eq!(choose("a/./b/*.py", &[], true), "a[b? b/d.py]");
        assert_eq!(choose("a/none", &[], true), "`a/none` was not found");
    }
}
