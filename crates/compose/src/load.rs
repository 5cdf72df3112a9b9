//! From files to one document: each is read, checked and merged into those before it.

mod extends;
mod include;

use std::fs;
use std::path::{Path as FilePath, PathBuf};

use crate::canonical::canonical;
use crate::check::check;
use crate::dotenv::Variables;
use crate::error::{Error, Place, Result};
use crate::interpolate::{UnsetVariable, interpolate};
use crate::location::Base;
use crate::merge::merge;
use crate::node::{Key, Map, Node, Value};
use crate::path::Path;
use crate::schema::validate;
use crate::unique::make_unique;
use crate::yaml::{Resets, documents};

/// Files that are read as one, with what they are read for.
#[derive(Debug, Clone)]
pub(crate) struct Scope<'a> {
    /// What relative paths in them are relative to.
    pub(crate) base: Base<'a>,
    /// What variables in them stand for.
    pub(crate) variables: Variables,
    /// The files that led to these by `include`, the first one first.
    pub(crate) included: Vec<PathBuf>,
}

/// Which of a file's wishes are granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of them.
    Whole,
    /// Those of a file of which one service is wanted: what it extends is followed from there, and what comes of it is
    /// checked where it is used.
    Services,
}

/// Reads the files of a scope into one document, in its long form and with absolute paths. Tells variables without a value.
pub(crate) fn load(files: &[PathBuf], scope: &Scope<'_>, unset: &mut Vec<UnsetVariable>) -> Result<Node> {
    let place = Place::whole(files.first().map_or(FilePath::new(""), PathBuf::as_path));
    let mut document = Node::new(Value::Map(Map::new()), &place);
    for file in files {
        document = load_file(file, document, scope, (Part::Whole, unset))?.0;
    }
    default_contexts(&mut document);
    check(&document, &Path::ROOT)?;
    scope.base.resolve(&mut document, &Path::ROOT)?;
    Ok(document)
}

/// Adds a file to what was read before. Also gives what its last document takes back.
fn load_file(
    file: &FilePath,
    mut document: Node,
    scope: &Scope<'_>,
    (part, unset): (Part, &mut Vec<UnsetVariable>),
) -> Result<(Node, Resets)> {
    let text = fs::read_to_string(file).map_err(Error::io(file))?;
    let mut resets = Resets::default();
    for mut read in documents(&text, file)? {
        if read.root.as_map().is_none() {
            return Err(Error::invalid(&read.root.place, "a Compose file must be a mapping"));
        }
        let lookup = |name: &str| scope.variables.get(name).cloned();
        interpolate(&mut read.root, &lookup, unset)?;
        if part == Part::Whole {
            include::apply(&mut read, file, scope, unset)?;
        }
        read.resets.apply(&mut document, &[]);
        if part == Part::Whole {
            extends::apply(&mut read, file, scope, unset)?;
        }
        document = add(document, read.root, part)?;
        resets = read.resets;
    }
    Ok((document, resets))
}

fn add(document: Node, read: Node, part: Part) -> Result<Node> {
    let mut document = merge(document, read, &Path::ROOT)?;
    make_unique(&mut document, &Path::ROOT)?;
    if part == Part::Whole {
        validate(&document)?;
        if let Some(map) = document.as_map_mut() {
            map.remove("version");
        }
    }
    let mut document = canonical(document, &Path::ROOT)?;
    make_unique(&mut document, &Path::ROOT)?;
    Ok(document)
}

/// A build without a context has the directory of the project for one.
fn default_contexts(document: &mut Node) {
    let services = document.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut);
    for service in services.into_iter().flat_map(|services| services.values_mut()) {
        if let Some(build) = service.as_map_mut().and_then(|service| service.get_mut("build")) {
            let place = build.place.clone();
            if let Some(build) = build.as_map_mut() {
                build.entry(Key::new("context", &place)).or_insert_with(|| Node::string(".", &place));
            }
        }
    }
}
