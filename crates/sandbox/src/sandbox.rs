//! What a sandbox is, as a value.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::limits::Ulimit;
use crate::privileges::Capabilities;

/// Everything that one process sees and may do.
///
/// The default is Docker's builder: root, no input, the host's network, Docker's capabilities and system calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sandbox {
    /// The directories that make the root file system, lowest first; at least one.
    pub lower: Vec<PathBuf>,
    /// An empty directory; what the process changed, and only that, is here afterwards.
    pub upper: PathBuf,
    /// An empty directory beside `upper`, on the same file system, for overlayfs itself.
    pub work: PathBuf,
    /// What is mounted over the root file system, in this order.
    pub mounts: Vec<Mount>,
    /// The program, looked for in the `PATH` of `env` unless it has a slash, and its arguments.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Where the process starts; created if it is not there, as Docker does.
    pub working_dir: PathBuf,
    /// The user.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
    /// All groups of the user; not set in a user namespace that has only one.
    pub groups: Vec<u32>,
    /// What it sees of the network.
    pub network: Network,
    /// Its host name.
    pub hostname: String,
    /// Names that `/etc/hosts` has beside the sandbox's own.
    pub hosts: Vec<(String, IpAddr)>,
    /// How much `/dev/shm` holds, in bytes.
    pub shm_size: u64,
    /// Limits other than those of this process.
    pub ulimits: Vec<Ulimit>,
    /// What root may do in it.
    pub capabilities: Capabilities,
    /// Whether it may do all that this process may: every capability and system call, nothing masked.
    pub insecure: bool,
    /// Whether nothing but what is in `mounts` can be written.
    pub read_only_root: bool,
    /// What it reads and where it writes.
    pub stdio: Stdio,
    /// The program that is started to keep the sandbox: one whose `main` begins with [`entry`](crate::entry).
    pub keeper: PathBuf,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            lower: Vec::new(),
            upper: PathBuf::new(),
            work: PathBuf::new(),
            mounts: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            working_dir: "/".into(),
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            network: Network::Host,
            hostname: "localhost".to_owned(),
            hosts: Vec::new(),
            shm_size: 64 << 20,
            ulimits: Vec::new(),
            capabilities: Capabilities::default(),
            insecure: false,
            read_only_root: false,
            stdio: Stdio::Captured,
            keeper: "/proc/self/exe".into(),
        }
    }
}

/// Something mounted over the root file system.
///
/// Targets are resolved inside of the sandbox: symbolic links and `..` lead nowhere else. A target that is not there
/// is created, and removed from `upper` again if nothing was put there, as BuildKit does it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Mount {
    /// A directory or a file of the host.
    Bind {
        /// The one of the host.
        source: PathBuf,
        /// Where it is seen.
        target: PathBuf,
        /// Whether it can only be read.
        read_only: bool,
    },
    /// An empty directory in memory.
    Tmpfs {
        /// Where it is seen.
        target: PathBuf,
        /// How many bytes it holds; half of the memory if not said.
        size: Option<u64>,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory of the root file system itself, which can be written although the rest cannot.
    Writable {
        /// The directory.
        target: PathBuf,
    },
    /// A file that exists in memory alone and that can only be read: a secret.
    File {
        /// Where it is seen.
        target: PathBuf,
        /// What is in it.
        content: Vec<u8>,
        /// Its permission bits.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

impl Mount {
    /// Where it is seen.
    pub(crate) fn target(&self) -> &Path {
        match self {
            Self::Bind { target, .. }
            | Self::Tmpfs { target, .. }
            | Self::File { target, .. }
            | Self::Writable { target } => target,
        }
    }
}

/// What a sandbox sees of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// What the host sees. Docker's default is a bridge; one needs rights that a builder rarely has, so this is ours.
    Host,
    /// A loopback interface of its own, and nothing else.
    None,
}

/// What a process reads and where it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// It reads nothing, and what it writes goes to the caller.
    Captured,
    /// It reads what this process reads, and what it writes goes to the caller.
    Attached,
    /// A terminal of its own: what is written to it goes to the caller, as standard output.
    Terminal {
        /// Whether what this process reads is typed there.
        reads: bool,
        /// How many lines it has.
        rows: u16,
        /// How many characters fit in a line.
        columns: u16,
    },
}

/// Which of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}
