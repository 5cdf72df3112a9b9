//! How much a process may use.

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// The names that `docker build --ulimit` knows.
const RESOURCES: &[(&str, Resource)] = &[
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// A limit of one resource: `nofile`, `core`, … (`getrlimit(2)`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    name: String,
    soft: Option<u64>,
    hard: Option<u64>,
}

impl Ulimit {
    /// The limit of the resource with that name; without a number there is no limit.
    pub fn new(name: &str, soft: Option<u64>, hard: Option<u64>) -> Result<Self> {
        let limit = Self { name: name.to_owned(), soft, hard };
        limit.resource().map(|_| limit.clone())
    }

    fn resource(&self) -> Result<Resource> {
        let found = RESOURCES.iter().find(|(name, _)| *name == self.name);
        let unknown = || ErrorKind::Resource { name: self.name.clone() }.into();
        found.map(|(_, resource)| *resource).ok_or_else(unknown)
    }

    /// Sets it for this process.
    pub(crate) fn set(&self) -> Result<()> {
        let limit = Rlimit { current: self.soft, maximum: self.hard };
        setrlimit(self.resource()?, limit).map_err(Error::io("set the limit", &self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_resources_have_limits() {
        assert_eq!(Ulimit::new("nofile", Some(1), None).unwrap().resource().unwrap(), Resource::Nofile);
        let error = Ulimit::new("files", Some(1), None).unwrap_err();
        assert_eq!(error.to_string(), "`files` is not a resource that can be limited");
    }
}
