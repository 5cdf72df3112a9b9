//! `cartwheel compose` as the user wrote it. `docker compose` users find their flags under their names.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ProgressMode;

/// Build the images of the services of Compose files.
///
/// Without -f, reads the files that COMPOSE_FILE names, or compose.yaml (compose.yml, docker-compose.yml, docker-compose.yaml) and
/// its override file in this directory or the nearest one above that has any.
#[derive(Debug, Args)]
pub(crate) struct ComposeArguments {
    /// Compose file; may be given several times: each adds to those before
    #[arg(short, long = "file", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Profile whose services are used, * for all; may be given several times [default: COMPOSE_PROFILES]
    #[arg(long = "profile", value_name = "NAME")]
    pub(crate) profiles: Vec<String>,

    /// What relative paths in the files are relative to [default: the directory of the first file]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) project_directory: Option<PathBuf>,

    /// Name of the project [default: COMPOSE_PROJECT_NAME, the `name` of a file, or that of the directory]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) project_name: Option<String>,

    /// File of variables instead of .env; may be given several times
    #[arg(long = "env-file", value_name = "FILE")]
    pub(crate) env_files: Vec<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: ComposeCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ComposeCommand {
    Build(ComposeBuildArguments),
    Config(ComposeConfigArguments),
}

/// Build services, one after the other, each after those whose images its build needs.
///
/// An image is called what its service says under `image`, or else PROJECT-SERVICE. It is kept in the local store; --push and --load
/// also bring it elsewhere. Prints the images' digests.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that docker compose has")]
pub(crate) struct ComposeBuildArguments {
    /// The services [default: all that are used and have a `build`]
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,

    /// Value of an ARG in every build; without =, that of the variable; may be given several times
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub(crate) build_args: Vec<String>,

    /// Also build the services that these depend on
    #[arg(long)]
    pub(crate) with_dependencies: bool,

    /// Do everything anew, although it was done before, and ask the package index again
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Ask registries what the names of base images mean now, also if they were asked before
    #[arg(long)]
    pub(crate) pull: bool,

    /// Push the images of services that have an `image` to their registries
    #[arg(long)]
    pub(crate) push: bool,

    /// Load the images into Docker or Podman
    #[arg(long)]
    pub(crate) load: bool,

    /// How to show progress
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,

    /// Print only the images' IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print the same builds as a bake file, as JSON, instead of building
    #[arg(long)]
    pub(crate) print: bool,
}

/// Check the files, and say what is in them.
#[derive(Debug, Args)]
pub(crate) struct ComposeConfigArguments {
    /// Print the names of the services
    #[arg(long)]
    pub(crate) services: bool,

    /// Print the names of the images
    #[arg(long, conflicts_with = "services")]
    pub(crate) images: bool,
}
