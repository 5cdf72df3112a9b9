//! The command line as the user wrote it. `docker buildx build` users find their flags under their names.

mod compose;
mod run;

use std::path::PathBuf;
use std::str::FromStr;

use cartwheel_build::BaseReference;
use cartwheel_oci::{Platform, Reference};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::location::Location;
pub(crate) use compose::{ComposeArguments, ComposeBuildArguments, ComposeCommand, ComposeConfigArguments};
pub(crate) use run::{ContainerArguments, PullPolicy};

use crate::outputs::{AnnotationSpec, OutputSpec};
use crate::settings::platform;

/// Builds container images for Python services: wheels become layers directly.
#[derive(Debug, Parser)]
#[command(name = "cartwheel", version, arg_required_else_help = true, args_override_self = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) registries: RegistryArguments,
}

/// How registries are reached.
#[derive(Debug, Args)]
pub(crate) struct RegistryArguments {
    /// Registry (host[:port]) that may speak plain HTTP or have a certificate of its own making; may be given several times
    #[arg(long = "insecure-registry", value_name = "HOST", global = true)]
    pub(crate) insecure: Vec<String>,

    /// Where to look first for the images of a registry: REGISTRY=HOST[:PORT][/PREFIX]; may be given several times
    #[arg(long = "registry-mirror", value_name = "REGISTRY=HOST", global = true, value_parser = mirror)]
    pub(crate) mirrors: Vec<(String, String)>,
}

fn mirror(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((registry, mirror)) if !registry.is_empty() && !mirror.is_empty() && !mirror.contains("://") => {
            Ok((registry.to_owned(), mirror.to_owned()))
        }
        _ => Err(format!("`{text}` is not REGISTRY=HOST[:PORT][/PREFIX], as docker.io=mirror.example.org")),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    // A variant without words of its own has all of its arguments' in its help, not only the first line.
    #[command(visible_alias = "b")]
    Build(Box<BuildArguments>),
    /// Show what each instruction would become, without building
    ///
    /// Takes what `cartwheel build` takes, makes nothing and sends nothing. Each instruction is shown with its line and one word:
    /// cached (done before), spliced (wheels become layers), copied (files become a layer), config (no file changes), or sandbox (it
    /// has to be run), and why.
    Plan(Box<BuildArguments>),
    #[command(visible_alias = "lint")]
    Check(CheckArguments),
    Compose(ComposeArguments),
    Run(Box<ContainerArguments>),
    /// List the images in the local store
    Images(ImagesArguments),
    Push(PushArguments),
    /// Bring an image of a registry into the local store
    Pull(PullArguments),
    Copy(CopyArguments),
    /// Bring images of the local store into Docker or Podman
    Load(LoadArguments),
    /// Write images of the local store to an archive
    Save(SaveArguments),
    /// Give an image of the local store another name
    Tag(TagArguments),
    /// Take names away from images of the local store
    Rmi(RmiArguments),
    /// Show what an image is made of
    Inspect(InspectArguments),
    /// Tools for testing cartwheel itself
    #[command(subcommand, hide = true)]
    Debug(DebugCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DebugCommand {
    /// Answer one JSON request per line
    Batch {
        /// zip or wheel
        suite: String,
    },
    /// Recompute every digest of the images in an OCI layout or archive
    Validate {
        /// The directory or tar
        path: PathBuf,
    },
}

/// Build an image from a Dockerfile, or from a bare Python project.
///
/// With a Dockerfile (-f, or CONTEXT/Dockerfile), makes the image that `docker build` would make: installs by pip and uv become
/// layers directly, every other command is run in a sandbox. Without one, reads requirements.txt, uv.lock, pylock.toml or pyproject.toml (in this
/// order), installs what they ask for on top of the base image, copies the project to /app, and starts its ASGI application
/// with uvicorn. The image is kept in the local store; --push, --load and --output also bring it elsewhere. Prints the
/// image's digest.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that buildx has")]
pub(crate) struct BuildArguments {
    /// The build context: a directory, - for a tar (or a Dockerfile) on standard input, or a Git repository: URL[#REF[:DIR]]
    pub(crate) context: PathBuf,

    /// Dockerfile [default: CONTEXT/Dockerfile, if it is there]; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Name of the image (repository[:tag]); may be given several times
    #[arg(short, long = "tag", value_name = "NAME")]
    pub(crate) tags: Vec<Reference>,

    /// Stage to build instead of the last one
    #[arg(long, value_name = "STAGE", help_heading = "Dockerfile")]
    pub(crate) target: Option<String>,

    /// Value of an ARG; without =, that of the environment variable; may be given several times
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]", help_heading = "Dockerfile")]
    pub(crate) build_args: Vec<String>,

    /// Another context for COPY --from and FROM: a directory, a Git repository, oci-layout://DIR[:TAG], oci-archive://FILE[:TAG] or docker-image://NAME
    #[arg(long = "build-context", value_name = "NAME=VALUE", help_heading = "Dockerfile")]
    pub(crate) build_contexts: Vec<KeyValue>,

    /// Platforms of the image, separated by commas [default: this machine's]; several make an image index
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',', value_parser = platform)]
    pub(crate) platforms: Vec<Platform>,

    /// Label of the image; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(crate) labels: Vec<KeyValue>,

    /// Where to bring the image besides the local store: type=oci|docker,dest=PATH (tar=false for a directory), type=registry[,name=NAME], type=image[,push=true], or its files: type=local|tar,dest=PATH, short DIR or -; may be given several times
    #[arg(short, long = "output", value_name = "SPEC")]
    pub(crate) outputs: Vec<OutputSpec>,

    /// Annotation of the image's manifest, or of what is named before the colon: manifest, index, manifest-descriptor, index-descriptor, also several; with a platform, manifest[OS/ARCH]; may be given several times
    #[arg(long = "annotation", value_name = "[TYPE:]NAME=VALUE")]
    pub(crate) annotations: Vec<AnnotationSpec>,

    /// Push the image to its registry: short for --output type=registry
    #[arg(long)]
    pub(crate) push: bool,

    /// Load the image into Docker or Podman: short for --output type=docker
    #[arg(long)]
    pub(crate) load: bool,

    /// Ask registries what the names of base images mean now, also if they were asked before
    #[arg(long)]
    pub(crate) pull: bool,

    /// Do everything anew, although it was done before, and ask the package index again
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Do these stages anew, although they were done before; separated by commas
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(crate) no_cache_filter: Vec<String>,

    /// How to show progress
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,

    /// Print only the image ID: the digest of its config, or of an index
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Write the image ID (the digest of its config) to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<PathBuf>,

    /// Write the build's result as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) project: ProjectArguments,

    #[command(flatten)]
    pub(crate) run: RunArguments,

    /// Check the Dockerfile instead of building, by the rules of `docker build --check`
    #[arg(long)]
    pub(crate) check: bool,

    /// What to do instead of building: check, or check,format=json
    #[arg(long, value_name = "METHOD", default_value = "build")]
    pub(crate) call: Call,

    /// Print an intermediate form instead of building
    #[arg(long, value_enum, hide = true)]
    pub(crate) emit: Option<Emit>,

    /// The Dockerfile itself, which only a Compose file can say
    #[arg(skip)]
    pub(crate) inline: Option<InlineDockerfile>,

    /// Images that were built just before, which no registry is asked for
    #[arg(skip)]
    pub(crate) own_images: Vec<Reference>,
}

/// A Dockerfile that is in no file of its own.
#[derive(Debug, Clone)]
pub(crate) struct InlineDockerfile {
    /// What it is called in messages.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Check a Dockerfile: what could go wrong, and what costs time and space.
///
/// Asks all rules of `docker build --check`, under their names, and rules of its own about speed and size, which are advice.
/// Nothing is built and nothing is downloaded. Exits with 1 if there is a warning or the file cannot be built; advice does not
/// count unless --error names its rule. `# check=skip=RULE` in the file, or in a comment right above an instruction, switches a rule off.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The build context: a directory, or - for a Dockerfile on standard input
    #[arg(default_value = ".")]
    pub(crate) context: PathBuf,

    /// Dockerfile [default: CONTEXT/Dockerfile]; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Check only the stages that this one needs
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,

    /// Value of an ARG; without =, that of the environment variable; may be given several times
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub(crate) build_args: Vec<String>,

    /// Another context for COPY --from and FROM, as for `cartwheel build`
    #[arg(long = "build-context", value_name = "NAME=VALUE")]
    pub(crate) build_contexts: Vec<KeyValue>,

    /// Platform of the image [default: this machine's]
    #[arg(long, value_parser = platform)]
    pub(crate) platform: Option<Platform>,

    /// How to print what was found
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,

    /// Rules of advice that make the check fail, or all; separated by commas
    #[arg(long = "error", value_name = "RULE", value_delimiter = ',')]
    pub(crate) errors: Vec<String>,

    /// Mend in the file what can be mended without changing its meaning
    #[arg(long, conflicts_with = "explain")]
    pub(crate) fix: bool,

    /// Say what a rule asks for and why, with examples, and check nothing; all lists the rules
    #[arg(long, value_name = "RULE")]
    pub(crate) explain: Option<String>,
}

impl BuildArguments {
    /// Whether nothing is to be built.
    pub(crate) fn is_check(&self) -> bool {
        self.check || self.call != Call::Build
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// As `docker build --check` prints it
    Text,
    /// As `docker build --call=check,format=json` prints it
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub workflows
    Github,
}

/// What `--call` asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Call {
    /// A build.
    #[default]
    Build,
    /// A check.
    Check {
        /// How it is printed.
        format: CheckFormat,
        /// Whether it succeeds whatever is found.
        ignore_status: bool,
    },
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut fields = text.split(',');
        match fields.next() {
            Some("" | "build") => return Ok(Self::Build),
            Some("check" | "lint") => {}
            _ => return Err(format!("`{text}` is not there; there are build, check and check,format=json")),
        }
        let (mut format, mut ignore_status) = (CheckFormat::Text, false);
        for field in fields {
            match field {
                "format=json" => format = CheckFormat::Json,
                "format=text" => format = CheckFormat::Text,
                "ignorestatus" | "ignorestatus=true" => ignore_status = true,
                _ => {
                    return Err(format!(
                        "`{field}` is no option of check; there are format=json and ignorestatus"
                    ));
                }
            }
        }
        Ok(Self::Check { format, ignore_status })
    }
}

/// What only a bare project has to be told; each is said by a Dockerfile, if there is one.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Project without a Dockerfile")]
pub(crate) struct ProjectArguments {
    /// Base image: oci-layout://DIR[:TAG], oci-archive://FILE[:TAG], or an image's name [default: python:3.13-slim]
    #[arg(long, value_name = "IMAGE")]
    pub(crate) base: Option<BaseReference>,

    /// Requirement file to install instead of those of the project; may be given several times
    #[arg(short, long = "requirement", value_name = "FILE")]
    pub(crate) requirements: Vec<PathBuf>,

    /// Command of the image instead of uvicorn: a JSON array, or a line for /bin/sh
    #[arg(long, value_name = "COMMAND")]
    pub(crate) cmd: Option<Words>,

    /// Entrypoint of the image: a JSON array, or a line for /bin/sh
    #[arg(long, value_name = "COMMAND")]
    pub(crate) entrypoint: Option<Words>,

    /// User that the image runs as: a number, or a name that the base image has; with :GROUP if wanted
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
}

impl ProjectArguments {
    /// The first of these options that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            (self.base.is_some(), "--base"),
            (!self.requirements.is_empty(), "--requirement"),
            (self.cmd.is_some(), "--cmd"),
            (self.entrypoint.is_some(), "--entrypoint"),
            (self.user.is_some(), "--user"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, name)| name)
    }
}

/// What commands see that have to be run, because they are no installs.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Commands that have to be run")]
pub(crate) struct RunArguments {
    /// Secret for RUN --mount=type=secret: id=NAME[,src=FILE|,env=VARIABLE]; may be given several times
    #[arg(long = "secret", value_name = "SPEC")]
    pub(crate) secrets: Vec<String>,

    /// Agent for RUN --mount=type=ssh: default, or NAME=SOCKET; may be given several times
    #[arg(long, value_name = "SPEC")]
    pub(crate) ssh: Vec<String>,

    /// Line for /etc/hosts: NAME:ADDRESS
    #[arg(long = "add-host", value_name = "NAME:ADDRESS")]
    pub(crate) hosts: Vec<String>,

    /// Network: default, none or host
    #[arg(long, value_name = "NETWORK")]
    pub(crate) network: Option<String>,

    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE")]
    pub(crate) shm_size: Option<String>,

    /// Limit: TYPE=SOFT[:HARD]
    #[arg(long = "ulimit", value_name = "LIMIT")]
    pub(crate) ulimits: Vec<String>,

    /// What commands may ask for: network.host, security.insecure; may be given several times
    #[arg(long, value_name = "ENTITLEMENT", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,

    /// Do not mount the caches of pip, uv, npm and apt unless the Dockerfile does
    #[arg(long)]
    pub(crate) no_auto_cache: bool,

    /// Parent cgroup
    #[arg(long, value_name = "CGROUP")]
    pub(crate) cgroup_parent: Option<String>,
}

/// `NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A label without a value has an empty one, as in Docker.
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.is_empty() {
            return Err("write NAME=VALUE".to_owned());
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// List the images in the local store.
#[derive(Debug, Args)]
pub(crate) struct ImagesArguments {
    /// Print only the digests
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Send an image of the local store to a registry.
///
/// Layers that the registry has are not sent; those of a base image that came from the same registry are mounted from there.
/// Prints the image's digest.
#[derive(Debug, Args)]
pub(crate) struct PushArguments {
    /// The image in the local store
    pub(crate) name: Reference,

    /// Where to send it, if not to where its name says
    pub(crate) destination: Option<Reference>,

    /// Print only the digest
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Bring an image of a registry into the local store. Prints its name.
#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    /// The image: [REGISTRY/]REPOSITORY[:TAG][@DIGEST]
    pub(crate) reference: Reference,

    /// Platform of the image: linux/amd64 or linux/arm64 [default: this machine's]
    #[arg(long, value_parser = platform)]
    pub(crate) platform: Option<Platform>,

    /// Say nothing on the way
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Copy an image from anywhere to anywhere, byte for byte.
///
/// An image is docker://REFERENCE in a registry, cartwheel:NAME in the local store, oci:DIR[:TAG] or oci-layout://DIR[:TAG] in
/// an OCI layout, oci-archive:FILE[:TAG] in an OCI archive, docker-archive:FILE[:NAME] in an archive for `docker load`,
/// docker-daemon:NAME in Docker or Podman. A bare name is an image of the local store if it is there, and else, or as a destination, one of a registry.
#[derive(Debug, Args)]
pub(crate) struct CopyArguments {
    /// The image
    pub(crate) source: Location,

    /// Where to copy it
    pub(crate) destination: Location,

    /// Copy only the image for this platform, not the whole index
    #[arg(long, value_parser = platform)]
    pub(crate) platform: Option<Platform>,

    /// Print only the digest
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Bring images of the local store into Docker or Podman, or, with -i, those of an archive into the local store.
///
/// Layers that the engine has are not sent. The engine is the one that `docker` would ask: DOCKER_HOST, DOCKER_CONTEXT, the current
/// context, Docker's socket, else Podman's. Prints the names.
#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    /// The images
    #[arg(required_unless_present = "input", conflicts_with = "input", value_name = "NAME")]
    pub(crate) names: Vec<Reference>,

    /// An archive (docker or OCI; - is standard input) whose images come into the local store
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,

    /// Print only the names
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Write images of the local store to an archive.
#[derive(Debug, Args)]
pub(crate) struct SaveArguments {
    /// The images
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<Reference>,

    /// The archive to write; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,

    /// Kind of archive: docker is for `docker load`, and an OCI layout as well
    #[arg(long, value_enum, default_value_t = ArchiveFormat::Docker)]
    pub(crate) format: ArchiveFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArchiveFormat {
    /// An OCI image layout in a tar
    Oci,
    /// The same, with what `docker load` of every version reads
    Docker,
}

/// Give an image of the local store another name.
#[derive(Debug, Args)]
pub(crate) struct TagArguments {
    /// The image
    pub(crate) source: Reference,

    /// Its new name
    pub(crate) name: Reference,
}

/// Take names away from images of the local store. An image without a name is forgotten; its layers stay for other images.
#[derive(Debug, Args)]
pub(crate) struct RmiArguments {
    /// The names
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<Reference>,

    /// Do not fail for a name that is not there
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Show what an image is made of, as JSON.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// The image: anything that `cartwheel copy` reads
    pub(crate) image: Location,

    /// Print the manifest or index as it is
    #[arg(long)]
    pub(crate) raw: bool,

    /// Platform of the image [default: this machine's]
    #[arg(long, value_parser = platform)]
    pub(crate) platform: Option<Platform>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ProgressMode {
    /// Bars on a terminal, lines elsewhere
    #[default]
    Auto,
    /// One line per step
    Plain,
    /// One JSON object per line
    #[value(alias = "rawjson")]
    Json,
    /// Warnings only
    Quiet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Emit {
    /// What is to be done
    Graph,
    /// What was pinned and found
    Plan,
}

/// A command, as `CMD` in a Dockerfile: a JSON array is run as it is, anything else by `/bin/sh -c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) Vec<String>);

impl FromStr for Words {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('[') {
            return serde_json::from_str(text)
                .map(Self)
                .map_err(|error| format!("not a JSON array of strings: {error}"));
        }
        Ok(Self(["/bin/sh", "-c", text].map(str::to_owned).to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn calls_parse_as_in_buildx() {
        let check = |format, ignore_status| Ok(Call::Check { format, ignore_status });
        assert_eq!("build".parse(), Ok(Call::Build));
        assert_eq!("check".parse(), check(CheckFormat::Text, false));
        assert_eq!("lint,format=json,ignorestatus=true".parse(), check(CheckFormat::Json, true));
        assert!("outline".parse::<Call>().is_err() && "check,format=xml".parse::<Call>().is_err());
    }

    #[test]
    fn commands_parse_as_in_a_dockerfile() {
        assert_eq!("[\"a\", \"b\"]".parse(), Ok(Words(vec!["a".into(), "b".into()])));
        assert_eq!("a b".parse(), Ok(Words(vec!["/bin/sh".into(), "-c".into(), "a b".into()])));
        assert!("[a]".parse::<Words>().is_err());
    }
}
