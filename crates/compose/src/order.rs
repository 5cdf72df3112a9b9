//! Which services are built, and which one before which.

use crate::build::Build;
use crate::error::{Error, Result};
use crate::project::{Project, Service};

impl Project {
    /// The services to build for those that are asked for, or for all that are in use, each after those whose images its
    /// build needs. With their dependencies if that is wanted: they are needed to run, not to build.
    pub fn build_order(&self, names: &[String], with_dependencies: bool) -> Result<Vec<&Service>> {
        let mut order = Order { project: self, with_dependencies, chain: Vec::new(), services: Vec::new() };
        let all: Vec<String>;
        let names = if names.is_empty() {
            all = self.services.keys().cloned().collect();
            &all
        } else {
            names
        };
        names.iter().try_for_each(|name| order.add(self.service(name)?))?;
        Ok(order.services.into_iter().filter(|service| service.build.is_some()).collect())
    }
}

struct Order<'a> {
    project: &'a Project,
    with_dependencies: bool,
    /// The services that led to the one that is looked at.
    chain: Vec<&'a str>,
    services: Vec<&'a Service>,
}

impl<'a> Order<'a> {
    fn add(&mut self, service: &'a Service) -> Result<()> {
        if self.services.iter().any(|known| known.name == service.name) {
            return Ok(());
        }
        if self.chain.contains(&service.name.as_str()) {
            let names = self.chain.join("`, `");
            let message = format!("services are built from each other: `{names}`, `{}`", service.name);
            return Err(Error::invalid(&service.place, message));
        }
        self.chain.push(&service.name);
        for name in service.build.iter().flat_map(Build::services) {
            self.add(self.project.service(name)?)?;
        }
        self.chain.pop();
        self.services.push(service);
        if self.with_dependencies {
            // What is optional may be no service in use.
            for other in service.depends_on.iter().filter_map(|name| self.project.services.get(name)) {
                self.add(other)?;
            }
        }
        Ok(())
    }
}
