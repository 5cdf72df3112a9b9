//! `cartwheel run` as the user wrote it. `docker run` users find their flags under their names.

use std::path::PathBuf;

use cartwheel_oci::Platform;
use clap::{Args, ValueEnum};

use crate::settings::platform;

/// Run a command in an image, here and now, without Docker.
///
/// IMAGE is a name or sha256 digest in the local store, or anything else that `cartwheel copy` reads; one that is not there is
/// pulled. The command (or else the image's own) runs in the foreground, in a sandbox over the image's files: what it writes outside of
/// volumes is thrown away when it ends, as with `docker run --rm`. It shares this machine's network, so a port that it opens is
/// open here without more ado.
///
/// Exits as the command does: with its code, or 128 and the number of the signal that ended it; 127 if there is no such command, 126 if it cannot
/// be started, 125 if cartwheel itself failed. Ctrl-C and other signals are passed on (SIGTERM as the image's stop
/// signal); a second Ctrl-C or SIGTERM kills.
#[derive(Debug, Args)]
#[command(override_usage = "cartwheel run [OPTIONS] IMAGE [COMMAND [ARG]...]")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that docker run has")]
pub(crate) struct ContainerArguments {
    /// The image, and what to run instead of its own command (after its entrypoint, if it has one)
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE [COMMAND [ARG]...]", hide = true)]
    pub(crate) words: Vec<String>,

    /// Pass on what is typed or piped into cartwheel; otherwise the command reads nothing
    #[arg(short, long)]
    pub(crate) interactive: bool,

    /// Give the command a terminal of its own; with -i, for shells
    #[arg(short, long)]
    pub(crate) tty: bool,

    /// Environment variable; without =, that of this environment; may be given several times
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,

    /// File with environment variables, one in each line; may be given several times
    #[arg(long = "env-file", value_name = "FILE")]
    pub(crate) env_files: Vec<PathBuf>,

    /// Directory or file of this machine to show in the container; with a path alone, a directory that is thrown away; may be given several times
    #[arg(short, long = "volume", value_name = "SOURCE:TARGET[:ro]")]
    pub(crate) volumes: Vec<String>,

    /// The same in words: type=bind,source=PATH,target=PATH[,readonly] or type=tmpfs,target=PATH[,tmpfs-size=SIZE][,tmpfs-mode=MODE]; may be given several times
    #[arg(long = "mount", value_name = "SPEC")]
    pub(crate) mounts: Vec<String>,

    /// Empty directory in memory; may be given several times
    #[arg(long, value_name = "TARGET[:size=SIZE,mode=MODE]")]
    pub(crate) tmpfs: Vec<String>,

    /// Port that the command opens; both numbers have to be the same, because the network is this machine's; may be given several times
    #[arg(short, long = "publish", value_name = "PORT:PORT")]
    pub(crate) ports: Vec<String>,

    /// Program to run instead of the image's entrypoint; "" for none
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,

    /// Directory to start in
    #[arg(short, long, value_name = "DIRECTORY")]
    pub(crate) workdir: Option<String>,

    /// User to run as: a name or number, with :GROUP if wanted
    #[arg(short, long)]
    pub(crate) user: Option<String>,

    /// Network: host is this machine's, none is a loopback interface alone
    #[arg(long, value_name = "NETWORK", default_value = "host", alias = "net")]
    pub(crate) network: String,

    /// Line for /etc/hosts; may be given several times
    #[arg(long = "add-host", value_name = "NAME:ADDRESS")]
    pub(crate) hosts: Vec<String>,

    /// Host name [default: this machine's]
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,

    /// Let nothing be written but volumes and what is in memory
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Size of /dev/shm [default: 64m]
    #[arg(long, value_name = "SIZE")]
    pub(crate) shm_size: Option<String>,

    /// Limit: TYPE=SOFT[:HARD]; may be given several times
    #[arg(long = "ulimit", value_name = "LIMIT")]
    pub(crate) ulimits: Vec<String>,

    /// Capability of root's besides Docker's default ones; may be given several times
    #[arg(long = "cap-add", value_name = "CAPABILITY")]
    pub(crate) cap_add: Vec<String>,

    /// Capability to take away, or ALL; may be given several times
    #[arg(long = "cap-drop", value_name = "CAPABILITY")]
    pub(crate) cap_drop: Vec<String>,

    /// Signal that the command gets for SIGTERM [default: the image's, or SIGTERM]
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<String>,

    /// Platform of the image [default: this machine's]
    #[arg(long, value_parser = platform)]
    pub(crate) platform: Option<Platform>,

    /// Whether to ask the registry for the image
    #[arg(long, value_enum, default_value_t = PullPolicy::Missing)]
    pub(crate) pull: PullPolicy,

    /// Say nothing of pulling
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Always so: nothing is kept of what ran
    #[arg(long)]
    pub(crate) rm: bool,

    /// Has no effect: what runs is found by no name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    #[arg(short, long, hide = true)]
    pub(crate) detach: bool,

    #[arg(long, hide = true)]
    pub(crate) init: bool,

    #[arg(long, hide = true)]
    pub(crate) privileged: bool,

    #[arg(short, long, hide = true)]
    pub(crate) memory: Option<String>,

    #[arg(long, hide = true)]
    pub(crate) cpus: Option<String>,
}

impl ContainerArguments {
    /// The first option of `docker run` that was given and cannot be honoured, and why.
    pub(crate) fn refused(&self) -> Option<(&'static str, &'static str)> {
        let options = [
            (
                self.detach,
                "--detach",
                "there is no daemon that it could be left to: let your shell run it in the background",
            ),
            (self.init, "--init", "the command is process 1, and there is no other that could be it"),
            (self.privileged, "--privileged", "a sandbox does not give this machine away; see --cap-add"),
            (
                self.memory.is_some(),
                "--memory",
                "nothing here counts memory: set a limit around cartwheel itself (`systemd-run`), or --ulimit as=BYTES",
            ),
            (
                self.cpus.is_some(),
                "--cpus",
                "nothing here counts processor time: set a limit around cartwheel itself (`systemd-run`, `taskset`)",
            ),
        ];
        options.into_iter().find(|(given, ..)| *given).map(|(_, name, reason)| (name, reason))
    }
}

/// When a registry is asked for an image that is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PullPolicy {
    /// Always, also if the image is in the local store
    Always,
    /// If the image is not in the local store
    Missing,
    /// Never
    Never,
}
