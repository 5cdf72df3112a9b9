//! What the instructions of a stage mean: steps, and the config of the image that they make.

use std::collections::{BTreeMap, BTreeSet};

use crate::platform::Platform;
use crate::span::Span;

/// What the caller asks for, beside the Dockerfile.
#[derive(Debug, Clone, Default)]
pub struct EvaluateOptions {
    /// The values of `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// The stage that is wanted; the last one without.
    pub target: Option<String>,
    /// What the image is for.
    pub platform: Platform,
    /// What the build runs on.
    pub build_platform: Platform,
    /// The names given by `--build-context`: they stand for stages and images of that name.
    pub contexts: BTreeSet<String>,
    /// The `ONBUILD` triggers of the images that stages are `FROM`, by stage, as far as they are known.
    ///
    /// A trigger may copy from another stage, which is then needed. So whoever learns of triggers asks
    /// [`needed_stages`](crate::needed_stages) again.
    pub triggers: BTreeMap<usize, Vec<String>>,
}

/// What a stage is built upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageBase {
    /// Nothing.
    Scratch,
    /// Another stage, by its index.
    Stage(usize),
    /// An image, by its full reference (`docker.io/library/python:3.12`).
    Image(String),
    /// A named context. If it has the name of the stage itself, it stands for the whole stage.
    Context(String),
}

/// A stage that the target cannot do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededStage {
    /// Its place among the stages of the Dockerfile.
    pub index: usize,
    /// Its name, in lowercase.
    pub name: Option<String>,
    /// What it is built upon.
    pub base: StageBase,
    /// The platform that it asks for; the target's own without.
    pub platform: Option<Platform>,
    /// Where it begins: its `FROM`.
    pub span: Span,
}

/// A stage with everything worked out that does not need the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EvaluatedStage {
    /// Its instructions in order, those of `ONBUILD` triggers first.
    pub steps: Vec<Step>,
    /// The config of the image that it makes.
    pub config: StageConfig,
}

/// One instruction, worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where it is written; for a trigger, the `FROM` that brought it.
    pub span: Span,
    /// The line on which it begins.
    pub line: usize,
    /// As a build shows it: `RUN pip install flask`.
    pub text: String,
    /// What the image's history says of it; `ONBUILD` leaves nothing there.
    pub created_by: Option<String>,
    /// What there is to do.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepKind {
    /// Runs a command.
    Run(Box<Run>),
    /// Copies or adds files.
    Copy(Box<Copy>),
    /// Makes a directory, unless it is there.
    Workdir(Workdir),
    /// Changes the config only.
    Config,
}

/// A directory that `WORKDIR` makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workdir {
    /// Its absolute path, cleaned. The config has it as it is written, even `/a/../b/`.
    pub path: String,
    /// Who owns it, if it has to be made: the `USER` at that point. Empty for root.
    pub user: String,
}

/// A command to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// The command and its arguments, the shell in front of a script.
    pub argv: Vec<String>,
    /// What the shell is given, if there is one: the text of `RUN text`, or a heredoc's.
    pub script: Option<String>,
    /// The shell that runs a script.
    pub shell: Vec<String>,
    /// The environment: that of the image and the `ARG`s, in BuildKit's order.
    pub env: Vec<(String, String)>,
    /// The `ARG`s that it can see, in order of definition, with the values that it sees. They are in `env` too,
    /// unless they have no value.
    pub args: Vec<(String, String)>,
    /// The proxy settings among the build arguments. They are in the environment of the command, and in nothing else.
    pub proxies: Vec<(String, String)>,
    /// Where it runs.
    pub working_dir: String,
    /// As whom. Empty for root.
    pub user: String,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// The network that it may use.
    pub network: Network,
    /// Whether `--security=insecure` was asked for.
    pub insecure: bool,
    /// The devices that it wants.
    pub devices: Vec<Device>,
    /// A heredoc with a `#!` line, which is a file that is run.
    pub file: Option<InlineFile>,
}

/// A file whose content is in the Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InlineFile {
    /// Its name: the heredoc's delimiter. For `RUN`, the path at which the command finds it.
    pub name: String,
    /// What is in it.
    pub content: String,
}

/// The network of a `RUN`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// That of the build.
    #[default]
    Default,
    /// None.
    None,
    /// That of the machine.
    Host,
}

/// A device of `RUN --device`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Its name (`vendor.com/class=name`).
    pub name: String,
    /// Whether the command cannot do without.
    pub required: bool,
}

/// What a `RUN` sees beside its root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where, as an absolute path. Empty for a secret that is only in the environment, and for an agent's default
    /// socket.
    pub target: String,
    /// What.
    pub kind: MountKind,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    Bind {
        /// Of what.
        from: CopyFrom,
        /// The path in it, absolute.
        source: String,
    },
    /// A directory that outlives the build.
    Cache {
        /// What the first build begins with.
        from: CopyFrom,
        /// The path in `from`, absolute.
        source: String,
        /// By what it is found again.
        id: String,
        /// What several commands at once do.
        sharing: Sharing,
        /// Mode, user and group of the directory when it is new.
        access: FileAccess,
    },
    /// A directory in memory.
    Tmpfs {
        /// Its greatest size in bytes.
        size: Option<u64>,
    },
    /// A secret.
    Secret {
        /// Which one.
        id: String,
        /// The variable that holds it, instead of or beside the file.
        env: Option<String>,
        /// Whether its absence is an error.
        required: bool,
        /// Mode, user and group of the file.
        access: FileAccess,
    },
    /// The socket of an SSH agent.
    Ssh {
        /// Which one.
        id: String,
        /// Whether its absence is an error.
        required: bool,
        /// Mode, user and group of the socket.
        access: FileAccess,
    },
}

/// Who may use a mounted file; what is not said is the default of its kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileAccess {
    /// Its permissions.
    pub mode: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
}

/// How a cache is shared between commands that run at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// All use it.
    #[default]
    Shared,
    /// Each has its own.
    Private,
    /// One after the other.
    Locked,
}

/// Files to copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// Whether it is `ADD`.
    pub is_add: bool,
    /// What, in order.
    pub sources: Vec<CopySource>,
    /// Where to: absolute and cleaned, but what ends in `/` or `/.` does so here.
    pub destination: String,
    /// What the paths are in.
    pub from: CopyFrom,
    /// `--chown`, expanded.
    pub chown: Option<String>,
    /// `--chmod`, expanded: octal or symbolic, checked.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// The patterns of `--exclude`; they are not expanded.
    pub exclude: Vec<String>,
    /// `--checksum`, expanded.
    pub checksum: Option<String>,
    /// `--keep-git-dir`, if given, or what a Git source's query says.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`, if given: without, `ADD` unpacks archives that are files and not those from URLs.
    pub unpack: Option<bool>,
}

/// One source of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path or a pattern, in what the copy is from; as it is written.
    Path(String),
    /// A file whose content is in the Dockerfile.
    Heredoc(InlineFile),
    /// A file to download.
    Url(String),
    /// A repository to check out.
    Git(String),
}

/// Where files come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CopyFrom {
    /// The build context.
    #[default]
    Context,
    /// Nothing: an empty file system.
    Scratch,
    /// A stage, by its index.
    Stage(usize),
    /// An image, by its full reference.
    Image(String),
    /// A named context.
    NamedContext(String),
}

/// The config of an image, as the instructions change it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageConfig {
    /// Variables in order.
    pub env: Vec<(String, String)>,
    /// The default command, or the default arguments of the entrypoint. `None` and empty are the same in a config,
    /// but not to those who read the Dockerfile.
    pub cmd: Option<Vec<String>>,
    /// Whether `cmd` was set by an instruction: a field that Docker writes still.
    pub args_escaped: bool,
    /// The entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// The directory in which commands run.
    pub working_dir: String,
    /// As whom commands run.
    pub user: String,
    /// `80/tcp` and the like.
    pub exposed_ports: BTreeSet<String>,
    /// Paths.
    pub volumes: BTreeSet<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The signal that stops a container.
    pub stop_signal: Option<String>,
    /// How a container is found to be well.
    pub healthcheck: Option<Healthcheck>,
    /// The shell of shell forms; empty for `/bin/sh -c`.
    pub shell: Vec<String>,
    /// Triggers for those who build upon it.
    pub on_build: Vec<String>,
    /// What `MAINTAINER` said.
    pub author: Option<String>,
    /// What a stage built upon this one sees beside the config. Images have none.
    pub scope: Scope,
}

/// What a stage hands to a stage that is `FROM` it, and an image does not keep: its `ARG`s.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The environment of commands, variables and `ARG`s in BuildKit's order.
    pub(crate) env: Vec<(String, String)>,
    /// The `ARG`s in order of definition.
    pub(crate) args: Vec<(String, Option<String>)>,
}

/// How a container is found to be well. Durations are in nanoseconds, and 0 is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", script]`.
    pub test: Vec<String>,
    /// The time between two checks.
    pub interval: i64,
    /// The time that one may take.
    pub timeout: i64,
    /// The time in which failures do not count.
    pub start_period: i64,
    /// The time between two checks in that time.
    pub start_interval: i64,
    /// How many failures in a row count.
    pub retries: u32,
}
