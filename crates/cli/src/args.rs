//! The command line as the user wrote it. `docker buildx build` users find their flags under their names.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use cartwheel_build::BaseReference;
use cartwheel_oci::{Platform, Reference};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Builds container images for Python services: wheels become layers directly.
#[derive(Debug, Parser)]
#[command(name = "cartwheel", version, arg_required_else_help = true, args_override_self = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an image from a Python project
    #[command(visible_alias = "b")]
    Build(Box<BuildArguments>),
    /// List the images in the local store
    Images(ImagesArguments),
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

/// Build an image from a Python project.
///
/// Reads requirements.txt, uv.lock, pylock.toml or pyproject.toml (in this order), turns the wheels that they ask for into layers on top of the
/// base image, copies the project to /app, and starts its ASGI application with uvicorn. The image is kept in the local
/// store; --output also writes it elsewhere. Prints the image's digest.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// The project's directory
    pub(crate) context: PathBuf,

    /// Name of the image (repository[:tag]); may be given several times
    #[arg(short, long = "tag", value_name = "NAME")]
    pub(crate) tags: Vec<Reference>,

    /// Base image: oci-layout://DIR[:TAG], oci-archive://FILE[:TAG], or the name of an image in the local store
    #[arg(long, value_name = "IMAGE", default_value = "python:3.13-slim")]
    pub(crate) base: BaseReference,

    /// Requirement file to install instead of those of the project; may be given several times
    #[arg(short, long = "requirement", value_name = "FILE")]
    pub(crate) requirements: Vec<PathBuf>,

    /// Where to write the image besides the local store: type=oci,dest=PATH[,tar=false] or type=docker,dest=PATH
    #[arg(short, long, value_name = "SPEC")]
    pub(crate) output: Option<OutputSpec>,

    /// Platform of the image: linux/amd64 or linux/arm64 [default: this machine's]
    #[arg(long)]
    pub(crate) platform: Option<Platform>,

    /// How to show progress
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,

    /// Print only the image's digest (the same as --progress=quiet)
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Write the image ID (the digest of its config) to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<PathBuf>,

    /// Write the build's result as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,

    /// Ask the package index again, although the requirements were resolved before
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Command of the image instead of uvicorn: a JSON array, or a line for /bin/sh
    #[arg(long, value_name = "COMMAND")]
    pub(crate) cmd: Option<Words>,

    /// Entrypoint of the image: a JSON array, or a line for /bin/sh
    #[arg(long, value_name = "COMMAND")]
    pub(crate) entrypoint: Option<Words>,

    /// User that the image runs as: a number, or a name that the base image has; with :GROUP if wanted
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// Print an intermediate form instead of building
    #[arg(long, value_enum, hide = true)]
    pub(crate) emit: Option<Emit>,
}

/// List the images in the local store.
#[derive(Debug, Args)]
pub(crate) struct ImagesArguments {
    /// Print only the digests
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// Bars on a terminal, lines elsewhere
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

/// Where to write an image, as `docker buildx build --output` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutputSpec {
    /// An OCI layout directory.
    Layout(PathBuf),
    /// An OCI archive; `-` is standard output.
    OciArchive(PathBuf),
    /// An archive for `docker load`; `-` is standard output.
    DockerArchive(PathBuf),
}

impl FromStr for OutputSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut kind, mut dest, mut tar) = (None, None, true);
        for field in text.split(',') {
            let (key, value) = field.split_once('=').ok_or_else(|| {
                format!("`{field}` is not key=value; write type=oci,dest=PATH[,tar=false] or type=docker,dest=PATH")
            })?;
            match key.trim().to_lowercase().as_str() {
                "type" => kind = Some(value),
                "dest" => dest = Some(PathBuf::from(value)),
                "tar" => {
                    tar = value.parse().map_err(|_| format!("tar is `true` or `false`, not `{value}`"))?;
                }
                other => {
                    return Err(format!(
                        "`{other}` is not an option of --output; there are type, dest and tar"
                    ));
                }
            }
        }
        let kind = kind.ok_or("type is missing: type=oci or type=docker")?;
        if !matches!(kind, "oci" | "docker") {
            return Err(format!("type `{kind}` is not there yet; there are oci and docker"));
        }
        let dest = dest.filter(|dest| !dest.as_os_str().is_empty());
        let dest = dest.ok_or("dest is missing: the path to write to")?;
        match (kind, tar) {
            ("oci", false) => Ok(Self::Layout(dest)),
            ("oci", true) => Ok(Self::OciArchive(dest)),
            (_, true) => Ok(Self::DockerArchive(dest)),
            (_, false) => Err("tar=false goes with type=oci".to_owned()),
        }
    }
}

impl fmt::Display for OutputSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(path) | Self::OciArchive(path) | Self::DockerArchive(path) => path.display().fmt(f),
        }
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
    fn outputs_parse_as_in_buildx() {
        let parse = |text: &str| text.parse::<OutputSpec>();
        assert_eq!(parse("type=oci,dest=a.tar"), Ok(OutputSpec::OciArchive("a.tar".into())));
        assert_eq!(parse("type=oci,dest=a,tar=false"), Ok(OutputSpec::Layout("a".into())));
        assert_eq!(parse("dest=-,type=docker"), Ok(OutputSpec::DockerArchive("-".into())));
        for text in [
            "out",
            "type=oci",
            "type=local,dest=x",
            "type=oci,dest=x,tar=no",
            "type=docker,dest=x,tar=false",
            "type=oci,dest=",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn commands_parse_as_in_a_dockerfile() {
        assert_eq!("[\"a\", \"b\"]".parse(), Ok(Words(vec!["a".into(), "b".into()])));
        assert_eq!("a b".parse(), Ok(Words(vec!["/bin/sh".into(), "-c".into(), "a b".into()])));
        assert!("[a]".parse::<Words>().is_err());
    }
}
