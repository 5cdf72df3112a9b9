//! `include`: other Compose files, each with a directory and variables of its own.

use std::fs;
use std::path::{Path as FilePath, PathBuf};

use super::{Scope, load};
use crate::dotenv;
use crate::error::{Error, Result};
use crate::interpolate::UnsetVariable;
use crate::location::Base;
use crate::merge::merge;
use crate::node::{Key, Map, Node, Value};
use crate::path::Path;
use crate::yaml::{Document, Resets};

/// What is brought in from other files.
const SECTIONS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// Brings what a document includes into it.
pub(super) fn apply(
    document: &mut Document,
    file: &FilePath,
    scope: &Scope<'_>,
    unset: &mut Vec<UnsetVariable>,
) -> Result<()> {
    let Some(include) = document.root.as_map_mut().and_then(|map| map.remove("include")) else {
        return Ok(());
    };
    if !matches!(include.value, Value::List(_) | Value::Null) {
        return Err(Error::invalid(&include.place, "`include` must be a list"));
    }
    let included = [scope.included.as_slice(), &[file.to_owned()]].concat();
    for item in include.items() {
        let (files, inner) = Inclusion::of(item)?.scope(scope, &included)?;
        let imported = load(&files, &inner, unset)?;
        import(imported, &mut document.root, &document.resets)?;
    }
    Ok(())
}

/// One item of `include`.
struct Inclusion<'a> {
    node: &'a Node,
    paths: Vec<&'a str>,
    env_files: Vec<&'a Node>,
}

impl<'a> Inclusion<'a> {
    fn of(node: &'a Node) -> Result<Self> {
        let texts = |name: &str| match node.member(name) {
            Some(Node { value: Value::List(items), .. }) => items.iter().collect(),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        let paths: Vec<&Node> = if node.as_str().is_some() { vec![node] } else { texts("path") };
        let paths: Option<Vec<&str>> = paths.into_iter().map(Node::as_str).collect();
        match paths {
            Some(paths) if !paths.is_empty() => Ok(Self { node, paths, env_files: texts("env_file") }),
            _ => Err(Error::invalid(&node.place, "an item of `include` must be a path or have a `path`")),
        }
    }

    /// The files, and what they are read for.
    fn scope<'b>(&self, outer: &Scope<'b>, included: &[PathBuf]) -> Result<(Vec<PathBuf>, Scope<'b>)> {
        let files: Vec<PathBuf> = self.paths.iter().map(|path| outer.base.absolute(path)).collect();
        let first = files.first().map_or(FilePath::new(""), PathBuf::as_path);
        if included.iter().any(|file| file == first) {
            let names: Vec<String> = included.iter().map(|file| file.display().to_string()).collect();
            let message =
                format!("files include each other: `{}`, `{}`", names.join("`, `"), first.display());
            return Err(Error::invalid(&self.node.place, message));
        }
        let directory = match self.node.text_of("project_directory") {
            Some(directory) => outer.base.absolute(directory),
            None => first.parent().unwrap_or(first).to_owned(),
        };
        let mut variables = outer.variables.clone();
        for (name, value) in self.variables(outer, &directory)? {
            variables.entry(name).or_insert(value);
        }
        let base = Base { directory, home: outer.base.home };
        Ok((files, Scope { base, variables, included: included.to_vec() }))
    }

    /// The variables of its own, which count after those of the files around it.
    fn variables(&self, outer: &Scope<'_>, directory: &FilePath) -> Result<dotenv::Variables> {
        let mut variables = dotenv::Variables::new();
        if self.env_files.is_empty() {
            let file = directory.join(".env");
            if file.is_file() {
                dotenv::read(&file, &outer.variables, &mut variables)?;
            }
        }
        for node in &self.env_files {
            let text = node.text();
            if text == "/dev/null" {
                continue;
            }
            let file = outer.base.absolute(&text);
            if fs::metadata(&file).map_err(Error::io(&file))?.is_dir() {
                return Err(Error::invalid(&node.place, format!("`{}` is a directory", file.display())));
            }
            dotenv::read(&file, &outer.variables, &mut variables)?;
        }
        Ok(variables)
    }
}

/// Adds what was read to a document, which has the last word.
fn import(imported: Node, document: &mut Node, resets: &Resets) -> Result<()> {
    let (Value::Map(mut imported), Some(document)) = (imported.value, document.as_map_mut()) else {
        return Ok(());
    };
    for section in SECTIONS {
        let Some((key, Node { value: Value::Map(members), place })) = imported.remove_entry(section) else {
            continue;
        };
        let path = Path::ROOT.to(section);
        let own = document.entry(key).or_insert_with(|| Node::new(Value::Map(Map::new()), &place));
        if own.is_null() {
            own.value = Value::Map(Map::new());
        }
        let own_place = own.place.clone();
        let wrong = || Error::invalid(&own_place, format!("`{section}` must be a mapping"));
        let own = own.as_map_mut().ok_or_else(wrong)?;
        for (key, member) in members {
            add(own, key, member, &path, resets)?;
        }
    }
    Ok(())
}

fn add(own: &mut Map, key: Key, mut member: Node, path: &Path<'_>, resets: &Resets) -> Result<()> {
    let member = match own.remove(&key) {
        Some(over) => {
            resets.apply(&mut member, &[path.parts().as_slice(), &[&key.name]].concat());
            merge(member, over, &path.to(&key.name))?
        }
        None => member,
    };
    own.insert(key, member);
    Ok(())
}
