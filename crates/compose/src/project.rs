//! A project: what its files say once all of them are read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::build::Build;
use crate::check::is_true;
use crate::consistency::{Parts, check};
use crate::dotenv;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::find::{LoadOptions, find};
use crate::interpolate::UnsetVariable;
use crate::load::{Scope, load};
use crate::location::Base;
use crate::node::{Node, Value};
use crate::normal::normalize;

/// What Compose files describe, as far as building goes.
#[derive(Debug)]
pub struct Project {
    /// Its name, which the names of images begin with.
    pub name: String,
    /// The services in use, by name.
    pub services: BTreeMap<String, Service>,
    /// The services that no profile brings into use.
    pub(crate) disabled: BTreeMap<String, Service>,
    /// What variables stand for: the environment, and what `.env` adds to it.
    pub variables: BTreeMap<String, String>,
    /// The variables that had no value where one was needed.
    pub unset_variables: Vec<UnsetVariable>,
}

/// One service.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The image that it runs, or that its build makes.
    pub image: Option<String>,
    /// How its image is built.
    pub build: Option<Build>,
    /// The platform that it runs on.
    pub platform: Option<String>,
    /// The services that it needs.
    pub(crate) depends_on: Vec<String>,
    /// Where it is described.
    pub place: Place,
}

impl Project {
    /// Reads the files of a project and checks that they make one.
    pub fn load(options: &LoadOptions) -> Result<Self> {
        let found = find(options)?;
        let home = options.variables.get("HOME").map(String::as_str);
        let base = Base { directory: found.directory, home };
        let scope = Scope { base, variables: found.variables, included: Vec::new() };
        let mut unset_variables = Vec::new();
        let mut document = load(&found.files, &scope, &mut unset_variables)?;
        if document.as_map().is_none_or(BTreeMap::is_empty) {
            return Err(ErrorKind::Invalid("there is nothing in it".to_owned()).at(&document.place));
        }
        normalize(&mut document, &scope.variables);
        let (enabled, disabled) = split(&document, &found.profiles);
        check(&Parts { document: &document, enabled: &enabled, disabled: &disabled })?;
        if options.checks_env_files {
            enabled.values().try_for_each(|service| check_env_files(service, &scope))?;
        }
        let services = |nodes: &BTreeMap<String, Node>| {
            nodes.iter().map(|(name, node)| (name.clone(), Service::of(name, node, &document))).collect()
        };
        let (services, disabled) = (services(&enabled), services(&disabled));
        Ok(Self { name: found.name, services, disabled, variables: scope.variables, unset_variables })
    }

    /// The service of this name, in use or not.
    pub fn service(&self, name: &str) -> Result<&Service> {
        let service = self.services.get(name).or_else(|| self.disabled.get(name));
        service.ok_or_else(|| ErrorKind::NoService(name.to_owned()).into())
    }

    /// What the image of a service is called.
    pub fn image_name(&self, service: &Service) -> String {
        service.image.clone().unwrap_or_else(|| format!("{}-{}", self.name, service.name))
    }
}

impl Service {
    fn of(name: &str, node: &Node, document: &Node) -> Self {
        let depends_on = node.member("depends_on").and_then(Node::as_map);
        let text = |name| node.text_of(name).filter(|text| !text.is_empty()).map(str::to_owned);
        Self {
            name: name.to_owned(),
            image: text("image"),
            build: node.member("build").map(|build| Build::of(build, document)),
            platform: text("platform"),
            depends_on: depends_on
                .into_iter()
                .flat_map(|map| map.keys())
                .map(|key| key.name.clone())
                .collect(),
            place: node.place.clone(),
        }
    }
}

type Services = BTreeMap<String, Node>;

/// The services that profiles bring into use, and the others.
fn split(document: &Node, profiles: &[String]) -> (Services, Services) {
    let services = document.member("services").and_then(Node::as_map).into_iter().flatten();
    let named = services.map(|(key, node)| (key.name.clone(), node.clone()));
    named.partition(|(_, service)| {
        let own = service.member("profiles").map_or(&[][..], Node::items);
        let is_in = |profile: &String| profile == "*" || own.iter().any(|own| own.as_str() == Some(profile));
        own.is_empty() || profiles.iter().any(is_in)
    })
}

/// Checks that the files can be read that a service has variables and labels from.
fn check_env_files(service: &Node, scope: &Scope<'_>) -> Result<()> {
    let read = |path: &str| dotenv::read(path.as_ref(), &scope.variables, &mut dotenv::Variables::new());
    for file in service.member("env_file").map_or(&[][..], Node::items) {
        let path = file.text_of("path").unwrap_or_default();
        let optional = file.member("required").is_some_and(|required| !is_true(Some(required)));
        if optional && !PathBuf::from(path).exists() {
            continue;
        }
        match file.member("format").map(|format| (format, format.text())) {
            None => read(path)?,
            Some((format, text)) if text != "raw" => {
                let message = format!("`{text}` is no format of a file of variables");
                return Err(Error::invalid(&format.place, message));
            }
            Some(_) => {}
        }
    }
    let labels = service.member("label_file").map_or(&[][..], Node::items);
    labels.iter().filter(|file| !matches!(file.value, Value::Null)).try_for_each(|file| read(&file.text()))
}
