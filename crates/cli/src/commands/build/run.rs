//! What the command line and the machine say of commands that have to be run.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use cartwheel_build::{Entitlements, ErrorKind, RunOptions};
use cartwheel_dockerfile::Network;
use cartwheel_sandbox::Ulimit;

use crate::args::RunArguments;
use crate::error::Failure;
use crate::settings::{Settings, host_platform};

/// What this program may do with processes of other users.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    /// Why no command can be run, if none can.
    impossible: Option<String>,
    /// Why commands have no users but root, if so.
    only_root: Option<String>,
}

impl Rights {
    /// Enters a user namespace, unless this program has root's rights. To be called while there is one thread.
    pub(crate) fn take() -> Self {
        match cartwheel_sandbox::enter_user_namespace() {
            Ok(entered) => Self { impossible: None, only_root: entered.and_then(|found| found.only_root) },
            Err(error) => {
                let cause = std::error::Error::source(&error);
                let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
                Self { impossible: Some(format!("{error}{cause}")), only_root: None }
            }
        }
    }

    /// What to warn of where there is no user but root. Fails where no command can be run.
    pub(crate) fn only_root(&self) -> Result<Option<String>, Failure> {
        if let Some(reason) = &self.impossible {
            let kind = ErrorKind::NoSandbox { reason: reason.clone() };
            return Err(cartwheel_build::Error::from(kind).into());
        }
        Ok(self.only_root.as_ref().map(|reason| format!("commands have no user but root: {reason}")))
    }
}

/// Reads the options; secrets are read now, so that one that is not there ends the build before it begins.
pub(crate) fn options(
    arguments: &RunArguments,
    settings: &Settings,
    rights: Rights,
) -> Result<RunOptions, Failure> {
    if let Some(parent) = &arguments.cgroup_parent {
        return Err(Failure::user(format!("--cgroup-parent {parent}: commands run in no cgroup of yours")));
    }
    let secrets = arguments.secrets.iter().map(|spec| secret(spec, settings));
    let agents = arguments.ssh.iter().map(|spec| agent(spec, settings));
    Ok(RunOptions {
        secrets: secrets.collect::<Result<_, _>>()?,
        agents: agents.collect::<Result<_, _>>()?,
        hosts: arguments.hosts.iter().map(|text| host(text)).collect::<Result<_, _>>()?,
        network: network(arguments.network.as_deref())?,
        shm_size: arguments.shm_size.as_deref().map(|text| size("--shm-size", text)).transpose()?,
        ulimits: arguments.ulimits.iter().map(|text| limit(text)).collect::<Result<_, _>>()?,
        allowed: allowed(&arguments.allow)?,
        automatic_caches: !arguments.no_auto_cache,
        architectures: architectures(),
        impossible: rights.impossible,
        only_root: rights.only_root,
    })
}

/// `id=NAME[,src=FILE|,env=VARIABLE]`; without a source, the variable of that name, or else the file.
fn secret(spec: &str, settings: &Settings) -> Result<(String, Vec<u8>), Failure> {
    let bad = |problem: &str| Failure::user(format!("--secret {spec}: {problem}"));
    let (mut id, mut file, mut variable) = (None, None, None);
    for pair in spec.split(',') {
        match pair.split_once('=') {
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("src" | "source", value)) => file = Some(PathBuf::from(value)),
            Some(("env", value)) => variable = Some(value.to_owned()),
            Some(("type", "file" | "env")) => {}
            _ => return Err(bad("write id=NAME[,src=FILE|,env=VARIABLE]")),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| bad("`id` is missing"))?;
    if file.is_none() && variable.is_none() {
        if settings.variables.contains_key(&id) {
            variable = Some(id.clone());
        } else {
            file = Some(PathBuf::from(&id));
        }
    }
    if let Some(name) = variable {
        let value = settings.variables.get(&name);
        let value = value.ok_or_else(|| bad("the variable is not set"))?;
        return Ok((id, value.clone().into_bytes()));
    }
    let path = file.unwrap_or_default();
    let content = fs::read(&path).map_err(Failure::io("read", &path))?;
    if content.len() > LARGEST_SECRET {
        return Err(bad("a secret has at most 500 kB"));
    }
    Ok((id, content))
}

/// As BuildKit has it.
const LARGEST_SECRET: usize = 500 * 1024;

/// `default`, `NAME`, or `NAME=SOCKET`.
fn agent(spec: &str, settings: &Settings) -> Result<(String, PathBuf), Failure> {
    let (id, path) = spec.split_once('=').unwrap_or((spec, ""));
    let bad = |problem: &str| Failure::user(format!("--ssh {spec}: {problem}"));
    let path = if path.is_empty() {
        let socket = settings.variables.get("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty());
        PathBuf::from(
            socket.ok_or_else(|| bad("SSH_AUTH_SOCK is not set: start an agent, or name its socket"))?,
        )
    } else {
        PathBuf::from(path)
    };
    let found = fs::metadata(&path).map_err(Failure::io("find", &path))?;
    if !found.file_type().is_socket() {
        return Err(bad("it is no socket: give keys to an agent (`ssh-add`), and name the agent's socket"));
    }
    Ok((id.to_owned(), path))
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`.
pub(crate) fn host(text: &str) -> Result<(String, IpAddr), Failure> {
    let bad = || Failure::user(format!("--add-host {text}: write NAME:ADDRESS"));
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(bad)?;
    let address = address.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| bad())?;
    Ok((name.to_owned(), address))
}

fn network(name: Option<&str>) -> Result<Network, Failure> {
    match name {
        None | Some("" | "default") => Ok(Network::Default),
        Some("host") => Ok(Network::Host),
        Some("none") => Ok(Network::None),
        Some(other) => Err(Failure::user(format!("--network {other}: it is default, none or host"))),
    }
}

/// A number of bytes, with `b`, `k`, `m` or `g` behind it.
pub(crate) fn size(option: &str, text: &str) -> Result<u64, Failure> {
    let lower = text.to_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match lower.get(digits.len()..).unwrap_or_default() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => 0,
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes
        .filter(|_| unit > 0)
        .ok_or_else(|| Failure::user(format!("{option} {text}: write a number with b, k, m or g")))
}

/// `NAME=SOFT[:HARD]`; -1 is no limit.
pub(crate) fn limit(text: &str) -> Result<Ulimit, Failure> {
    let bad = || Failure::user(format!("--ulimit {text}: write NAME=SOFT[:HARD], as nofile=1024:2048"));
    let number = |text: &str| match text {
        "-1" => Ok(None),
        digits => digits.parse().map(Some).map_err(|_| bad()),
    };
    let (name, values) = text.split_once('=').ok_or_else(bad)?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let refused = |error: cartwheel_sandbox::Error| Failure::user(format!("--ulimit {text}: {error}"));
    Ulimit::new(name, number(soft)?, number(hard)?).map_err(refused)
}

fn allowed(names: &[String]) -> Result<Entitlements, Failure> {
    let mut allowed = Entitlements::default();
    for name in names {
        match name.as_str() {
            "security.insecure" => allowed.insecure = true,
            "network.host" => allowed.host_network = true,
            other => {
                return Err(Failure::user(format!(
                    "--allow {other}: it is security.insecure or network.host"
                )));
            }
        }
    }
    Ok(allowed)
}

/// The architectures whose programs this machine runs: its own, and those that an emulator is registered for in a way that
/// works inside of other root file systems (flag `F`).
pub(crate) fn architectures() -> Vec<String> {
    let mut found = vec![host_platform().architecture];
    let names =
        BTreeMap::from([("aarch64", "arm64"), ("x86_64", "amd64"), ("arm", "arm"), ("riscv64", "riscv64")]);
    for (emulated, name) in names {
        let entry = Path::new("/proc/sys/fs/binfmt_misc").join(format!("qemu-{emulated}"));
        let text = fs::read_to_string(entry).unwrap_or_default();
        let is_fixed =
            text.lines().any(|line| line.strip_prefix("flags:").is_some_and(|flags| flags.contains('F')));
        if text.starts_with("enabled") && is_fixed {
            found.push(name.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_hosts_are_read_as_docker_reads_them() {
        let bytes = |text: &str| size("--shm-size", text).ok();
        assert_eq!([bytes("64"), bytes("2k"), bytes("1GB")], [Some(64), Some(2048), Some(1 << 30)]);
        assert_eq!([bytes("m"), bytes("3x"), bytes("-1")], [None; 3]);
        let address = |text: &str| host(text).ok().map(|(name, address)| format!("{name} {address}"));
        assert_eq!(address("a:10.0.0.1").as_deref(), Some("a 10.0.0.1"));
        assert_eq!(address("a=[::1]").as_deref(), Some("a ::1"));
        assert_eq!(address("a:::1").as_deref(), Some("a ::1"));
        assert_eq!(address("a"), None);
    }
}
