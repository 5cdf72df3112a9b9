//! What is to be built: a Dockerfile with its contexts, or a bare project.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cartwheel_build::{
    BaseReference, BuildContext, ContextTree, Contexts, DockerfileSource, Epoch, GitSource, NamedContext,
    ProjectOptions, StandardInput, read_ignore,
};
use cartwheel_dockerfile::{Dockerfile, EvaluateOptions, SourceDateEpoch, source_date_epoch};
use cartwheel_store::Store;

use crate::args::{BuildArguments, ProjectArguments};
use crate::error::Failure;
use crate::settings::{self, Settings, dockerfile_platform, host_platform};

/// The base of a project that names none.
const PROJECT_BASE: &str = "python:3.13-slim";

/// The build argument by which a repository as context keeps its `.git`.
const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

/// The variable that fixes the time of everything.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What is to be built.
pub(crate) struct Origin {
    /// The Dockerfile; without one, a project is built.
    pub(crate) dockerfile: Option<DockerfileSource>,
    /// Where files are copied from.
    pub(crate) contexts: Contexts,
    /// Whether the main context is a repository.
    is_repository: bool,
}

impl Origin {
    /// What lowering a project takes.
    pub(crate) fn project(
        &self,
        arguments: &ProjectArguments,
    ) -> Result<(&BuildContext, BaseReference, ProjectOptions), Failure> {
        let context = self.contexts.project()?;
        let base = match &arguments.base {
            Some(base) => base.clone(),
            None => PROJECT_BASE.parse()?,
        };
        let options = ProjectOptions {
            requirements: arguments.requirements.clone(),
            entrypoint: arguments.entrypoint.clone().map(|words| words.0),
            cmd: arguments.cmd.clone().map(|words| words.0),
            user: arguments.user.clone(),
        };
        Ok((context, base, options))
    }

    /// When files of ours were changed. A Dockerfile may say it, too.
    pub(crate) fn epoch(&self, settings: &Settings) -> Result<Epoch, Failure> {
        let Some(dockerfile) = &self.dockerfile else { return Ok(settings.epoch) };
        let (parsed, _) = Dockerfile::parse(&dockerfile.text);
        match source_date_epoch(&parsed, &dockerfile.options) {
            Ok(Some(SourceDateEpoch::Seconds(seconds))) => settings::epoch(&seconds.to_string()),
            // Files of a directory have no one time.
            Ok(Some(SourceDateEpoch::Context(None))) if !self.is_repository => Ok(Epoch::Fixed),
            Ok(Some(SourceDateEpoch::Context(_) | SourceDateEpoch::Stage(_))) => Err(Failure::user(
                "`SOURCE_DATE_EPOCH` is the time of a context or stage, which is not known: give a number of seconds"
                    .to_owned(),
            )),
            // What is wrong with it is said, with its place, when the Dockerfile is lowered.
            Ok(None) | Err(_) => Ok(Epoch::Fixed),
        }
    }
}

/// Finds out what is to be built, and lists the contexts.
pub(crate) fn open(
    arguments: &BuildArguments,
    settings: &Settings,
    store: &Store,
) -> Result<Origin, Failure> {
    let build_args = build_args(&arguments.build_args, settings);
    let repository_context = arguments.context.to_str().and_then(repository);
    let is_repository = repository_context.is_some();
    let found = match repository_context {
        Some(source) => {
            let keeps =
                build_args.get(KEEP_GIT_DIR).is_some_and(|value| matches!(value.as_str(), "1" | "true"));
            Some(from_tree(arguments, files_of(&source.keeping_records(keeps), settings, store)?)?)
        }
        None => dockerfile(arguments, store)?,
    };
    let Some((name, text, mut contexts)) = found else {
        let project = BuildContext::read(&arguments.context)?;
        return Ok(Origin {
            dockerfile: None,
            contexts: Contexts::of_project(project),
            is_repository: false,
        });
    };
    let mut named = BTreeMap::new();
    for context in &arguments.build_contexts {
        let found = if let Some(source) = repository(&context.value) {
            contexts.add(context.key.clone(), files_of(&source, settings, store)?);
            NamedContext::Files
        } else if let Some(image) = image(&context.value)? {
            NamedContext::Image(image)
        } else {
            let path = Path::new(&context.value);
            let (ignore, _) = read_ignore(path, None)?;
            contexts
                .add(context.key.clone(), ContextTree::of_folder(store, path, &ignore, SystemTime::now())?);
            NamedContext::Files
        };
        named.insert(context.key.clone(), found);
    }
    let options = EvaluateOptions {
        build_args,
        target: arguments.target.clone(),
        platform: dockerfile_platform(&host_platform()),
        build_platform: dockerfile_platform(&host_platform()),
        contexts: named.keys().cloned().collect::<BTreeSet<_>>(),
        ..EvaluateOptions::default()
    };
    let dockerfile = DockerfileSource { name, text, options, contexts: named };
    Ok(Origin { dockerfile: Some(dockerfile), contexts, is_repository })
}

/// The name and text of the Dockerfile, and its context; nothing if a project is built.
fn dockerfile(
    arguments: &BuildArguments,
    store: &Store,
) -> Result<Option<(String, String, Contexts)>, Failure> {
    let is_stdin = |path: &Path| path == Path::new("-");
    if let Some(inline) = &arguments.inline {
        let (ignore, _) = read_ignore(&arguments.context, None)?;
        let tree = ContextTree::of_folder(store, &arguments.context, &ignore, SystemTime::now())?;
        return Ok(Some((inline.name.clone(), inline.text.clone(), Contexts::of_dockerfile(Some(tree)))));
    }
    if is_stdin(&arguments.context) {
        return from_stdin(arguments, store).map(Some);
    }
    let Some(file) = file(arguments)? else { return Ok(None) };
    let (ignore, _) =
        read_ignore(&arguments.context, Some(&file).filter(|file| !is_stdin(file)).map(|file| &**file))?;
    let tree = ContextTree::of_folder(store, &arguments.context, &ignore, SystemTime::now())?;
    Ok(Some((file.display().to_string(), read(&file)?, Contexts::of_dockerfile(Some(tree)))))
}

/// `-` as context: a tar with the Dockerfile in it, or nothing but a Dockerfile.
fn from_stdin(arguments: &BuildArguments, store: &Store) -> Result<(String, String, Contexts), Failure> {
    match StandardInput::read(store, std::io::stdin().lock())? {
        StandardInput::Dockerfile(text) => {
            Ok(("standard input".to_owned(), text, Contexts::of_dockerfile(Some(ContextTree::empty(store)?))))
        }
        StandardInput::Archive(tree) => from_tree(arguments, tree),
    }
}

/// A context that has its Dockerfile in it: an archive on standard input, a repository. No ignore file is read, as in Docker.
fn from_tree(arguments: &BuildArguments, tree: ContextTree) -> Result<(String, String, Contexts), Failure> {
    if let Some(inline) = &arguments.inline {
        return Ok((inline.name.clone(), inline.text.clone(), Contexts::of_dockerfile(Some(tree))));
    }
    let file = arguments.file.as_deref().unwrap_or(Path::new("Dockerfile"));
    let name = file.display().to_string();
    let text = if file == Path::new("-") {
        read(file)?
    } else {
        let content = tree.content(name.trim_start_matches("./"));
        let content =
            content.ok_or_else(|| Failure::user(format!("there is no `{name}` in the build context")))?;
        let bytes = content.read().map_err(|error| Failure::user(error.to_string()))?;
        String::from_utf8(bytes).map_err(|_| Failure::user(format!("`{name}` is not UTF-8")))?
    };
    Ok((name, text, Contexts::of_dockerfile(Some(tree))))
}

/// A repository as a context, unless there is a directory of this name.
fn repository(context: &str) -> Option<GitSource> {
    GitSource::parse(context).filter(|_| !Path::new(context).is_dir())
}

/// The files of a repository.
fn files_of(source: &GitSource, settings: &Settings, store: &Store) -> Result<ContextTree, Failure> {
    let git = settings.git.as_ref().ok_or_else(|| {
        Failure::user("a context in a repository needs `git`, which is not on the PATH".to_owned())
    })?;
    Ok(source.files(store, git)?)
}

/// The Dockerfile that is meant: the one of `-f`, or the one in the context unless an option says that a project is built.
fn file(arguments: &BuildArguments) -> Result<Option<PathBuf>, Failure> {
    match (&arguments.file, arguments.project.given()) {
        (Some(_), Some(option)) => Err(Failure::user(format!(
            "`{option}` says how to build a project without a Dockerfile, and `--file` names one"
        ))),
        (Some(file), None) => Ok(Some(in_lowercase(file).unwrap_or_else(|| file.clone()))),
        (None, Some(_)) => Ok(None),
        (None, None) => {
            let file = arguments.context.join("Dockerfile");
            Ok(in_lowercase(&file).or(Some(file)).filter(|file| file.is_file()))
        }
    }
}

/// The file that BuildKit takes for a `Dockerfile` that is not there.
pub(crate) fn in_lowercase(file: &Path) -> Option<PathBuf> {
    let lower = file.with_file_name("dockerfile");
    (file.file_name()? == "Dockerfile" && !file.exists() && lower.is_file()).then_some(lower)
}

/// The text of a Dockerfile; `-` is standard input.
pub(crate) fn read(file: &Path) -> Result<String, Failure> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(Failure::io("read", Path::new("standard input")))?;
        return Ok(text);
    }
    let bytes = fs::read(file).map_err(Failure::io("read", file))?;
    String::from_utf8(bytes).map_err(|_| Failure::user(format!("`{}` is not UTF-8", file.display())))
}

/// An image as a context; nothing if it is a directory.
fn image(value: &str) -> Result<Option<BaseReference>, Failure> {
    if let Some(name) = value.strip_prefix("docker-image://") {
        return Ok(Some(name.parse()?));
    }
    if value.starts_with("oci-layout://") || value.starts_with("oci-archive://") {
        return Ok(Some(value.parse()?));
    }
    if value.contains("://") {
        return Err(Failure::user(format!(
            "build context `{value}` is of a kind that is not supported: give a directory, a Git repository, oci-layout://, oci-archive:// or docker-image://"
        )));
    }
    Ok(None)
}

/// The values of build arguments: `NAME=VALUE` as it is; `NAME` alone is the environment's value, and nothing if there is none. As buildx does, the
/// environment's `SOURCE_DATE_EPOCH` is one of them without being asked for.
pub(crate) fn build_args(given: &[String], settings: &Settings) -> BTreeMap<String, String> {
    let pair = |text: &str| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.to_owned(), settings.variables.get(text)?.clone())),
    };
    std::iter::once(EPOCH).chain(given.iter().map(String::as_str)).filter_map(pair).collect()
}
