//! `extends`: a service that begins with what another one says.

use std::path::{Path as FilePath, PathBuf};

use super::{Part, Scope, load_file};
use crate::error::{Error, Place, Result};
use crate::interpolate::UnsetVariable;
use crate::location::Base;
use crate::merge::merge;
use crate::node::{Map, Node, Value};
use crate::path::Path;
use crate::yaml::{Document, Resets};

/// Completes the services of a document by those that they extend.
pub(super) fn apply(
    document: &mut Document,
    file: &FilePath,
    scope: &Scope<'_>,
    unset: &mut Vec<UnsetVariable>,
) -> Result<()> {
    let Some(services) = document.root.as_map_mut().and_then(|map| map.get_mut("services")) else {
        return Ok(());
    };
    let place = services.place.clone();
    let Value::Map(map) = &services.value else {
        return Err(Error::invalid(&place, "`services` must be a mapping"));
    };
    let source = Services { by_name: map.clone(), file: file.to_owned(), resets: document.resets.clone() };
    let mut extension = Extension { scope, unset };
    let mut completed = Map::new();
    for key in map.keys() {
        completed.insert(key.clone(), extension.service(&key.name, &source, &[])?);
    }
    services.value = Value::Map(completed);
    Ok(())
}

/// Services that can be extended, and where they are from.
struct Services {
    by_name: Map,
    file: PathBuf,
    resets: Resets,
}

struct Extension<'a> {
    scope: &'a Scope<'a>,
    unset: &'a mut Vec<UnsetVariable>,
}

impl Extension<'_> {
    /// A service with all that it extends. `chain` are the services that led to it.
    fn service(&mut self, name: &str, source: &Services, chain: &[(PathBuf, String)]) -> Result<Node> {
        let Some(service) = source.by_name.get(name) else {
            return Err(Error::invalid(&Place::whole(&source.file), format!("there is no service `{name}`")));
        };
        let map = match &service.value {
            Value::Map(map) => map,
            Value::Null => return Ok(service.clone()),
            _ => return Err(Error::invalid(&service.place, format!("`services.{name}` must be a mapping"))),
        };
        let Some(extends) = map.get("extends").filter(|extends| !extends.is_null()) else {
            return Ok(service.clone());
        };
        let chain = [chain, &[(source.file.clone(), name.to_owned())]].concat();
        let target = Target::of(extends, name)?;
        let base = self.base(&target, source, &chain, extends)?;
        if base.is_null() {
            return Ok(service.clone());
        }
        let base = without_resets(base, name, &source.resets);
        let mut merged = merge(base, service.clone(), &Path::ROOT.to("services").to(name))?;
        if let Some(map) = merged.as_map_mut() {
            map.remove("extends");
        }
        merged.place = service.place.clone();
        Ok(merged)
    }

    fn base(
        &mut self,
        target: &Target<'_>,
        source: &Services,
        chain: &[(PathBuf, String)],
        extends: &Node,
    ) -> Result<Node> {
        let other = target.file.map(|file| self.read(&self.scope.base.absolute(file))).transpose()?;
        let from = other.as_ref().unwrap_or(source);
        if !from.by_name.contains_key(target.service) {
            let message =
                format!("there is no service `{}` to extend in `{}`", target.service, from.file.display());
            return Err(Error::invalid(&extends.place, message));
        }
        if chain.iter().any(|(file, service)| *file == from.file && service == target.service) {
            let names: Vec<&str> = chain.iter().map(|(_, service)| service.as_str()).collect();
            let message =
                format!("services extend each other: `{}`, `{}`", names.join("`, `"), target.service);
            return Err(Error::invalid(&extends.place, message));
        }
        self.service(target.service, from, chain)
    }

    fn read(&mut self, file: &FilePath) -> Result<Services> {
        let place = Place::whole(file);
        let empty = Node::new(Value::Map(Map::new()), &place);
        let (mut document, resets) = load_file(file, empty, self.scope, (Part::Services, self.unset))?;
        let directory = file.parent().unwrap_or(file).to_owned();
        Base { directory, home: self.scope.base.home }.resolve(&mut document, &Path::ROOT)?;
        match document.member("services").map(|services| &services.value) {
            Some(Value::Map(services)) => {
                Ok(Services { by_name: services.clone(), file: file.to_owned(), resets })
            }
            Some(_) => Err(Error::invalid(&place, "`services` must be a mapping")),
            None => Err(Error::invalid(&place, "there are no services to extend")),
        }
    }
}

/// What is extended.
struct Target<'a> {
    file: Option<&'a str>,
    service: &'a str,
}

impl<'a> Target<'a> {
    fn of(extends: &'a Node, name: &str) -> Result<Self> {
        let (file, service) = match extends.as_map() {
            Some(_) => (extends.text_of("file"), extends.text_of("service")),
            None => (None, extends.as_str()),
        };
        let missing =
            || Error::invalid(&extends.place, format!("`services.{name}.extends` names no service"));
        Ok(Self { file, service: service.ok_or_else(missing)? })
    }
}

/// What `base` says without what the service that extends it takes back.
fn without_resets(mut base: Node, name: &str, resets: &Resets) -> Node {
    resets.apply(&mut base, &["services", name]);
    base
}
