//! The build graph: what is to be done, before anybody looks at the files.
//!
//! A graph is a list of stages, each of which may use those before it; the last one becomes the image. A stage is a base and
//! operations on it, in order. It holds names and paths, not digests: two runs of the same project have the same graph.
//! `--emit graph` prints it.

use std::fmt;
use std::path::PathBuf;

use cartwheel_dockerfile::{Copy, Run};
use cartwheel_oci::{Platform, RuntimeConfig};

use crate::base::BaseReference;

/// What a build is to do.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The Dockerfile, as messages name it.
    pub(crate) name: String,
    /// In order of dependency; the last is the target.
    pub(crate) stages: Vec<Stage>,
}

/// One stage of a [`Graph`].
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// Its name in the Dockerfile.
    pub(crate) name: Option<String>,
    /// What it begins with.
    pub(crate) base: StageBase,
    /// For which platform.
    pub(crate) platform: Platform,
    /// What is done, in order.
    pub(crate) ops: Vec<Op>,
    /// What its image is started with, if the operations do not say it step by step.
    pub(crate) config: Option<StageResult>,
}

/// What a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StageBase {
    /// Nothing.
    Scratch,
    /// An earlier stage, by its place in the graph.
    Stage(usize),
    /// An image.
    Image(BaseReference),
}

/// The config that a stage ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StageResult {
    /// What a container is started with.
    pub(crate) config: RuntimeConfig,
    /// `MAINTAINER`.
    pub(crate) author: Option<String>,
}

/// One operation of a [`Stage`].
#[derive(Debug, Clone)]
pub(crate) struct Op {
    /// Where the Dockerfile says it, from 1.
    pub(crate) line: Option<usize>,
    /// As it is shown while it runs.
    pub(crate) text: String,
    /// As history shows it.
    pub(crate) created_by: String,
    /// What it is.
    pub(crate) kind: OpKind,
}

/// What an [`Op`] does.
#[derive(Debug, Clone)]
pub(crate) enum OpKind {
    /// Install what a project's requirements resolve to.
    InstallProject(RequirementSource),
    /// Copy a project's sources to a directory of the image: default ignores, canonical modes.
    CopyProject {
        /// Absolute.
        destination: String,
    },
    /// `COPY` and `ADD`.
    Copy {
        /// What the instruction says.
        copy: Box<Copy>,
        /// Where its files come from.
        from: CopyFrom,
    },
    /// `WORKDIR`: the directory is made if it is not there.
    MakeDirectory {
        /// Absolute.
        path: String,
        /// Whose it will be: the stage's user.
        user: Option<String>,
    },
    /// `RUN`: done without running it if it is an install that is understood to the last word.
    Run {
        /// What the instruction says.
        run: Box<Run>,
        /// What the files of its mounts come from, in the order of the mounts; nothing for those that have none.
        from: Vec<CopyFrom>,
    },
    /// A change of a project's image config.
    Configure(ConfigChange),
    /// An instruction that changes the config only; the stage's result has it.
    Record,
}

/// Where the files of a `COPY` come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CopyFrom {
    /// The build context, or one that `--build-context` names.
    Context(Option<String>),
    /// An earlier stage, by its place in the graph.
    Stage(usize),
    /// An image.
    Image(BaseReference),
    /// An empty file system.
    Nothing,
}

/// Where requirements are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequirementSource {
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
pub(crate) enum ConfigChange {
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
        let mut number = 0;
        for (index, stage) in self.stages.iter().enumerate() {
            if self.stages.len() > 1 {
                let name = stage.name.as_deref().unwrap_or("");
                writeln!(f, "stage {index} {name} {}", stage.platform)?;
            }
            writeln!(f, "{number:>2} base {}", stage.base)?;
            for op in &stage.ops {
                number += 1;
                writeln!(f, "{number:>2} {}", op.kind)?;
            }
            number += 1;
        }
        Ok(())
    }
}

impl fmt::Display for StageBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scratch => f.write_str("scratch"),
            Self::Stage(index) => write!(f, "stage {index}"),
            Self::Image(reference) => reference.fmt(f),
        }
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InstallProject(RequirementSource::Files(files)) => {
                let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
                write!(f, "install -r {}", files.join(" -r "))
            }
            Self::InstallProject(RequirementSource::Pyproject(path) | RequirementSource::Pylock(path)) => {
                write!(f, "install {}", path.display())
            }
            Self::InstallProject(RequirementSource::UvLock(project)) => {
                write!(f, "install {}", project.join("uv.lock").display())
            }
            Self::CopyProject { destination } => write!(f, "copy . {destination}"),
            Self::Copy { copy, from } => write!(f, "copy {from} to {}", copy.destination),
            Self::MakeDirectory { path, .. } => write!(f, "directory {path}"),
            Self::Run { run, .. } => write!(f, "run {}", run.script.as_deref().unwrap_or_default().trim()),
            Self::Configure(change) => write!(f, "config {change}"),
            Self::Record => f.write_str("config"),
        }
    }
}

impl fmt::Display for CopyFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context(None) => f.write_str("from the context"),
            Self::Context(Some(name)) => write!(f, "from context {name}"),
            Self::Stage(index) => write!(f, "from stage {index}"),
            Self::Image(reference) => write!(f, "from {reference}"),
            Self::Nothing => f.write_str("from scratch"),
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
