//! What can go wrong with a build.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use cartwheel_oci::Platform;
use cartwheel_oci::layer::{LayerError, TreeError};
use cartwheel_store::Digest;

/// The result of a part of a build.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A build that failed.
#[derive(Debug)]
pub struct Error {
    kind: Box<ErrorKind>,
}

/// What a caller could act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(cartwheel_store::Error),
    /// An image could not be read or written.
    #[error(transparent)]
    Image(cartwheel_oci::Error),
    /// A distribution could not be resolved, fetched or read.
    #[error(transparent)]
    Python(cartwheel_python::Error),
    /// Requirements must be resolved, and there is no `uv` to do it.
    #[error("`uv`, which resolves requirements, was not found")]
    NoUv,
    /// The base image could not be read.
    #[error("could not read base image `{reference}`")]
    Base {
        /// As the user wrote it.
        reference: String,
        /// Why.
        source: Box<cartwheel_oci::Error>,
    },
    /// The base image is in no place that this version reads.
    #[error("base image `{reference}` is not in the local store")]
    BaseNotLocal {
        /// As the user wrote it.
        reference: String,
    },
    /// A layer of the base is not what its config says.
    #[error("layer `{layer}` of the base image could not be read")]
    BaseLayer {
        /// Its digest.
        layer: String,
        /// Why.
        source: io::Error,
    },
    /// The base image has no Python.
    #[error("the base image has no `python3` on its PATH (`{path}`)")]
    NoPython {
        /// The PATH that was searched.
        path: String,
    },
    /// The base image has a Python of unknown version.
    #[error("the version of `{python}` in the base image could not be told")]
    UnknownPython {
        /// The interpreter.
        python: String,
    },
    /// The base image's Python belongs to its distribution's package manager.
    #[error("the Python in `{prefix}` of the base image is externally managed (PEP 668)")]
    ExternallyManaged {
        /// Its prefix.
        prefix: String,
    },
    /// The base image has no C library that wheels are made for.
    #[error("the base image has neither glibc nor musl")]
    UnknownLibc,
    /// No wheels exist for this platform's architecture.
    #[error("platform `{platform}` is not supported: wheels are chosen for linux/amd64 and linux/arm64")]
    Platform {
        /// The platform.
        platform: Platform,
    },
    /// The context is something else than a directory.
    #[error("the build context `{}` is not a directory", path.display())]
    ContextNotDirectory {
        /// What was given.
        path: PathBuf,
    },
    /// A command that was run failed.
    #[error("process `{command}` did not complete successfully: {ended}")]
    CommandFailed {
        /// The command.
        command: String,
        /// How it ended.
        ended: String,
    },
    /// A command could not be run.
    #[error(transparent)]
    Sandbox(cartwheel_sandbox::Error),
    /// The stage's Python compiles no modules.
    #[error("`{python}` of the stage does not compile modules: {said}")]
    Compile {
        /// The interpreter.
        python: String,
        /// What it said.
        said: String,
    },
    /// pip was asked to build a wheel, and there is none.
    #[error("pip left no wheel of `{name}` {version}")]
    NotBuilt {
        /// The package.
        name: String,
        /// Its version.
        version: String,
    },
    /// A layer could not be extracted, or what a command changed could not be read.
    #[error(transparent)]
    Snapshot(cartwheel_snapshot::Error),
    /// No command can be run here.
    #[error("no command can be run here: {reason}")]
    NoSandbox {
        /// Why.
        reason: String,
    },
    /// A command is for another platform than this machine's.
    #[error("this machine runs no programs for `{platform}`, and this step has to be run")]
    ForeignPlatform {
        /// Which one.
        platform: Platform,
    },
    /// A command asks for what the user has to allow.
    #[error("the step needs `{entitlement}`, which is not allowed")]
    NotAllowed {
        /// As `--allow` has it.
        entitlement: &'static str,
    },
    /// A command asks for a device.
    #[error("there is no device `{device}` for the step")]
    NoDevice {
        /// Its name.
        device: String,
    },
    /// A secret that a command needs was not given.
    #[error("secret `{id}` was not given")]
    NoSecret {
        /// Its name.
        id: String,
    },
    /// An SSH agent that a command needs was not given.
    #[error("SSH agent `{id}` was not given")]
    NoAgent {
        /// Its name.
        id: String,
    },
    /// The ignore file has a bad pattern.
    #[error("could not read `{}`", path.display())]
    IgnoreFile {
        /// The file.
        path: PathBuf,
        /// Which line, and why.
        source: cartwheel_dockerfile::Error,
    },
    /// A file name that is not Unicode.
    #[error("`{}` has a name that is not UTF-8", path.display())]
    NotUnicode {
        /// The file.
        path: PathBuf,
    },
    /// A device, socket or pipe in the context.
    #[error("`{}` is neither file, directory nor link", path.display())]
    SpecialFile {
        /// The file.
        path: PathBuf,
    },
    /// An archive is damaged, or is no longer one behind its beginning.
    #[error("could not read the archive `{}`", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An archive has an entry that no place in an image can be given.
    #[error("entry `{entry}` of the archive `{}` {problem}", path.display())]
    ArchiveEntry {
        /// The archive.
        path: PathBuf,
        /// The entry's name in it.
        entry: String,
        /// What is wrong, as the end of a sentence about the entry.
        problem: &'static str,
    },
    /// Files of a Git repository are wanted, and there is no `git` to fetch them.
    #[error("`git`, which fetches `{remote}`, was not found")]
    NoGit {
        /// The repository, without credentials.
        remote: String,
    },
    /// A Git repository could not be checked out.
    #[error("could not check out `{remote}`")]
    Git {
        /// The repository, without credentials.
        remote: String,
        /// What git said.
        source: io::Error,
    },
    /// A reference of a Git repository is another commit than was asked for.
    #[error("`{remote}` is at commit `{found}`, and not at `{expected}`")]
    GitCommit {
        /// The repository, without credentials.
        remote: String,
        /// How the commit should begin.
        expected: String,
        /// What it is.
        found: String,
    },
    /// What came on standard input is of no use.
    #[error("standard input is neither a Dockerfile nor an archive")]
    NoDockerfileInInput,
    /// The context says nowhere what to install.
    #[error("`{}` has neither `requirements.txt` nor `pyproject.toml`", path.display())]
    NoRequirements {
        /// The context.
        path: PathBuf,
    },
    /// No ASGI application was found.
    #[error("no ASGI application was found in `{}`", path.display())]
    NoApplication {
        /// The context.
        path: PathBuf,
    },
    /// The command runs a server that is not installed.
    #[error("the application `{application}` needs uvicorn, which is not among the packages")]
    NoServer {
        /// `module:attribute`.
        application: String,
    },
    /// A user that the base image does not have.
    #[error("the base image has no user `{user}`")]
    UnknownUser {
        /// As given.
        user: String,
    },
    /// A layer could not be made.
    #[error("could not make the layer of {what}")]
    Layer {
        /// Whose layer.
        what: String,
        /// Why.
        source: LayerError,
    },
    /// Two files of one layer exclude each other.
    #[error("could not make the layer of {what}")]
    Tree {
        /// Whose layer.
        what: String,
        /// Which files.
        source: TreeError,
    },
    /// Links go round in circles.
    #[error("the links of `/{path}` lead in circles")]
    LinkLoop {
        /// The path.
        path: String,
    },
    /// The Dockerfile is wrong.
    #[error("the Dockerfile cannot be built\n{}", diagnostics.trim_end())]
    Dockerfile {
        /// What is wrong with it, each with its place.
        diagnostics: String,
    },
    /// There is no such build context.
    #[error("there is no build context `{name}`")]
    NoContext {
        /// The context's name.
        name: String,
    },
    /// An operation of the Dockerfile failed.
    #[error("{place}: {text}")]
    Instruction {
        /// The Dockerfile and the line.
        place: String,
        /// The instruction, as progress shows it.
        text: String,
        /// Why.
        source: Box<Error>,
    },
    /// A source of `COPY` is not there.
    #[error("`{path}` was not found")]
    SourceNotFound {
        /// As it was looked for.
        path: String,
    },
    /// A URL of `ADD` gave no file.
    #[error("could not download `{url}`")]
    Download {
        /// Without credentials.
        url: String,
        /// Why.
        source: cartwheel_transfer::FileError,
    },
    /// The value of `--checksum`.
    #[error("`{checksum}` is no checksum that files are checked by")]
    ChecksumForm {
        /// As it is written.
        checksum: String,
        /// Why.
        source: cartwheel_store::ParseDigestError,
    },
    /// A URL gave another file than `--checksum` says.
    #[error("`{url}` has digest `{found}`, and `--checksum` says `{expected}`")]
    Checksum {
        /// Without credentials.
        url: String,
        /// What `--checksum` says.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A pattern of `--exclude` or `--parents` cannot be used.
    #[error("could not read a pattern")]
    Pattern {
        /// Why.
        source: cartwheel_dockerfile::Error,
    },
    /// Something that is no directory is where one is needed.
    #[error("`{path}` is there already and no directory")]
    NotDirectory {
        /// In the image.
        path: String,
    },
    /// A directory is where a file is to go.
    #[error("`{path}` is a directory, and a file does not replace one")]
    IsDirectory {
        /// In the image.
        path: String,
    },
    /// The value of `--chmod`.
    #[error("`{mode}` is no mode: it is an octal number up to 07777, or changes such as `u=rwX,go=rX`")]
    Chmod {
        /// As it is written.
        mode: String,
    },
    /// A group that the stage does not have.
    #[error("there is no group `{group}` in /etc/group")]
    UnknownGroup {
        /// As given.
        group: String,
    },
}

impl Error {
    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// What the user could try.
    pub fn hints(&self) -> Vec<String> {
        let hint = match &*self.kind {
            ErrorKind::Image(error) => return error.hints(),
            ErrorKind::Base { source, .. } => return source.hints(),
            ErrorKind::Instruction { source, .. } => return source.hints(),
            ErrorKind::NoUv => "install it (`pip install uv`), so that it is on the PATH",
            ErrorKind::BaseNotLocal { .. } => {
                "pull it (`cartwheel pull`), or give an OCI layout or archive in its place: `--base oci-layout://DIR[:TAG]` for a project, `--build-context NAME=oci-layout://DIR[:TAG]` for a Dockerfile"
            }
            ErrorKind::NoPython { .. } | ErrorKind::UnknownPython { .. } => {
                "choose a base with Python, such as python:3.13-slim, with `--base`"
            }
            ErrorKind::ExternallyManaged { .. } => {
                "pip refuses it too: choose a base with its own Python (python:3.13-slim) or one with a virtual environment on its PATH"
            }
            ErrorKind::NoSandbox { .. } => {
                "run as root, or let users make user namespaces; installs and copies need neither"
            }
            ErrorKind::ForeignPlatform { .. } => {
                "register an emulator for it (binfmt_misc, qemu-user-static), or leave its platform out; installs and copies need none"
            }
            ErrorKind::NotAllowed { entitlement } => {
                return vec![format!("allow it with `--allow {entitlement}`")];
            }
            ErrorKind::NoSecret { id } => {
                return vec![format!(
                    "give it with `--secret id={id},src=FILE` or `--secret id={id},env=VARIABLE`"
                )];
            }
            ErrorKind::NoAgent { id } => return vec![format!("give it with `--ssh {id}=SOCKET`")],
            ErrorKind::SourceNotFound { .. } => {
                "paths are those of the build context (or of `--from`); `.dockerignore` may exclude it"
            }
            ErrorKind::NoRequirements { .. } => "name the requirement files with `-r FILE`",
            ErrorKind::NoApplication { .. } => {
                "name the command: `--cmd '[\"uvicorn\", \"package.module:app\", \"--host\", \"0.0.0.0\"]'`"
            }
            ErrorKind::NoServer { .. } => {
                "add `uvicorn` to the requirements, or name the command with `--cmd`"
            }
            ErrorKind::NoGit { .. } => "install it, so that it is on the PATH",
            ErrorKind::Git { .. } => {
                "it is your own `git` that asks, with your credentials and settings: `git ls-remote` with this address shows the same"
            }
            ErrorKind::GitCommit { .. } => {
                "the reference has moved: look at what is new there, and write its commit if it is the right one"
            }
            ErrorKind::Checksum { .. } => {
                "the server has another file now: look at it, and write its digest into the Dockerfile if it is the right one"
            }
            ErrorKind::UnknownUser { .. } => "a number needs no entry in /etc/passwd: `--user 10001:10001`",
            ErrorKind::SpecialFile { .. } | ErrorKind::NotUnicode { .. } => "exclude it in `.dockerignore`",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }

    /// Whether the network, the disk or another part of this machine is at fault, not what the user asked for.
    pub fn is_environment(&self) -> bool {
        let not_found = |source: &io::Error| source.kind() == io::ErrorKind::NotFound;
        match &*self.kind {
            ErrorKind::Io { source, .. } => !not_found(source),
            ErrorKind::Image(error) => is_environment_of_image(error),
            ErrorKind::Base { source, .. } => is_environment_of_image(source),
            ErrorKind::Instruction { source, .. } => source.is_environment(),
            ErrorKind::Python(error) => match error.kind() {
                cartwheel_python::ErrorKind::Resolve(error) => error.is_environment(),
                cartwheel_python::ErrorKind::Fetch(_) | cartwheel_python::ErrorKind::Read { .. } => true,
                _ => false,
            },
            // A program that is not in the image is the Dockerfile's affair.
            ErrorKind::Sandbox(error) => {
                !matches!(error.kind(), cartwheel_sandbox::ErrorKind::Program { .. })
            }
            ErrorKind::Layer { source, .. } => !matches!(source, LayerError::Content { .. }),
            ErrorKind::Download { source, .. } => !matches!(
                source,
                cartwheel_transfer::FileError::Url | cartwheel_transfer::FileError::Status(400..=499)
            ),
            ErrorKind::Store(_)
            | ErrorKind::NoUv
            | ErrorKind::NoGit { .. }
            | ErrorKind::Git { .. }
            | ErrorKind::Snapshot(_)
            | ErrorKind::NoSandbox { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| ErrorKind::Io { action, path, source }.into()
    }
}

fn is_environment_of_image(error: &cartwheel_oci::Error) -> bool {
    match error.kind() {
        cartwheel_oci::ErrorKind::Io { source, .. } => source.kind() != io::ErrorKind::NotFound,
        cartwheel_oci::ErrorKind::Store(error) => {
            !matches!(error.kind(), cartwheel_store::ErrorKind::DigestMismatch { .. })
        }
        cartwheel_oci::ErrorKind::Registry(_)
        | cartwheel_oci::ErrorKind::Engine { .. }
        | cartwheel_oci::ErrorKind::EngineRefused { .. }
        | cartwheel_oci::ErrorKind::Network { .. }
        | cartwheel_oci::ErrorKind::CredentialHelper { .. } => true,
        _ => false,
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind: Box::new(kind) }
    }
}

impl From<cartwheel_sandbox::Error> for Error {
    fn from(error: cartwheel_sandbox::Error) -> Self {
        ErrorKind::Sandbox(error).into()
    }
}

impl From<cartwheel_snapshot::Error> for Error {
    fn from(error: cartwheel_snapshot::Error) -> Self {
        ErrorKind::Snapshot(error).into()
    }
}

impl From<cartwheel_store::Error> for Error {
    fn from(error: cartwheel_store::Error) -> Self {
        ErrorKind::Store(error).into()
    }
}

impl From<cartwheel_oci::Error> for Error {
    fn from(error: cartwheel_oci::Error) -> Self {
        ErrorKind::Image(error).into()
    }
}

impl From<cartwheel_python::Error> for Error {
    fn from(error: cartwheel_python::Error) -> Self {
        ErrorKind::Python(error).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.kind)
    }
}
