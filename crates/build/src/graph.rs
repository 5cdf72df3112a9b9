//! The build graph: what is to be done, before anybody looks at the world.
//!
//! A graph is a list of operations, each of which may use those before it. It holds names and paths, not digests: two
//! runs of the same project have the same graph. `--emit graph` prints it.

use std::fmt;
use std::path::PathBuf;

use crate::base::BaseReference;

/// What a build is to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The operations.
    pub ops: Vec<Op>,
}

/// One operation of a [`Graph`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Begin with an image.
    Base(BaseReference),
    /// Install what these requirements resolve to.
    Install(RequirementSource),
    /// Copy the build context to a directory of the image.
    Copy {
        /// Absolute.
        destination: String,
    },
    /// Change the image's config.
    Configure(ConfigChange),
}

/// Where requirements are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequirementSource {
    /// Requirement files as pip reads them.
    Files(Vec<PathBuf>),
    /// The dependencies of `pyproject.toml`.
    Pyproject(PathBuf),
    /// The `uv.lock` of the project in this directory.
    UvLock(PathBuf),
    /// A `pylock.toml`.
    Pylock(PathBuf),
}

impl RequirementSource {
    /// The directory that relative paths in it start from: pip's working directory is the project.
    pub(crate) fn folder(&self) -> PathBuf {
        let parent = |path: &PathBuf| path.parent().map(PathBuf::from).unwrap_or_default();
        let folder = match self {
            Self::Files(files) => files.first().map(parent).unwrap_or_default(),
            Self::Pyproject(path) | Self::Pylock(path) => parent(path),
            Self::UvLock(project) => project.clone(),
        };
        if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder }
    }
}

/// A change of the image's config, as the Dockerfile instruction of the same name would make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// `WORKDIR`.
    WorkingDir(String),
    /// `EXPOSE`.
    Expose(String),
    /// `USER`.
    User(String),
    /// `ENTRYPOINT`; as in a Dockerfile, it clears an inherited `CMD`.
    Entrypoint(Vec<String>),
    /// `CMD`.
    Cmd(Vec<String>),
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().enumerate().try_for_each(|(number, op)| writeln!(f, "{number:>2} {op}"))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base(reference) => write!(f, "base {reference}"),
            Self::Install(RequirementSource::Files(files)) => {
                let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
                write!(f, "install -r {}", files.join(" -r "))
            }
            Self::Install(RequirementSource::Pyproject(path) | RequirementSource::Pylock(path)) => {
                write!(f, "install {}", path.display())
            }
            Self::Install(RequirementSource::UvLock(project)) => {
                write!(f, "install {}", project.join("uv.lock").display())
            }
            Self::Copy { destination } => write!(f, "copy . {destination}"),
            Self::Configure(change) => write!(f, "config {change}"),
        }
    }
}

/// As `docker history` shows the instruction.
impl fmt::Display for ConfigChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exec = |words: &[String]| serde_json::to_string(words).unwrap_or_default();
        match self {
            Self::WorkingDir(path) => write!(f, "WORKDIR {path}"),
            Self::Expose(port) => write!(f, "EXPOSE {port}"),
            Self::User(user) => write!(f, "USER {user}"),
            Self::Entrypoint(words) => write!(f, "ENTRYPOINT {}", exec(words)),
            Self::Cmd(words) => write!(f, "CMD {}", exec(words)),
        }
    }
}
