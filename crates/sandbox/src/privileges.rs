//! What the process may do: its user, and what that user may do here.

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};
use serde::{Deserialize, Serialize};

use crate::sandbox::Sandbox;
use crate::{Error, ErrorKind, Result, seccomp};

/// What root has in Docker's containers.
const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Those with which Docker also allows more system calls, which the sandbox's filter does not.
const FILTERED: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::SYS_BOOT)
    .union(CapabilitySet::SYS_MODULE)
    .union(CapabilitySet::SYS_PACCT)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::SYS_RAWIO)
    .union(CapabilitySet::SYS_TIME)
    .union(CapabilitySet::SYS_TTY_CONFIG)
    .union(CapabilitySet::SYS_NICE)
    .union(CapabilitySet::SYSLOG)
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::PERFMON);

/// What root may do in a sandbox (`capabilities(7)`); by default what it may in Docker's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities(u64);

impl Default for Capabilities {
    fn default() -> Self {
        Self(DEFAULT.bits())
    }
}

impl Capabilities {
    /// None at all.
    pub fn none() -> Self {
        Self(0)
    }

    /// These and the one of that name: `NET_ADMIN` or `CAP_NET_ADMIN`. Those that are of no use without system calls which the
    /// sandbox allows nobody are refused.
    pub fn with(self, name: &str) -> Result<Self> {
        let capability = capability(name)?;
        if FILTERED.contains(capability) {
            return Err(ErrorKind::FilteredCapability { name: name.to_owned() }.into());
        }
        Ok(Self(self.0 | capability.bits()))
    }

    /// These without the one of that name.
    pub fn without(self, name: &str) -> Result<Self> {
        Ok(Self(self.0 & !capability(name)?.bits()))
    }

    fn set(self) -> CapabilitySet {
        CapabilitySet::from_bits_retain(self.0)
    }
}

fn capability(name: &str) -> Result<CapabilitySet> {
    let upper = name.to_uppercase();
    let found = CapabilitySet::from_name(upper.strip_prefix("CAP_").unwrap_or(&upper));
    found.ok_or_else(|| ErrorKind::Capability { name: name.to_owned() }.into())
}

/// Gives up what the program is not to have.
///
/// The filter goes first, for it takes a right that is then given up, and rights that changing the user takes with it
/// go last. Whoever is not root has none left, but programs that change the user may get them back, as in Docker.
pub(crate) fn drop(sandbox: &Sandbox) -> Result<()> {
    let failed = Error::io("give up", "privileges");
    if sandbox.insecure {
        return become_user(sandbox);
    }
    seccomp::load()?;
    let kept = sandbox.capabilities.set();
    bound(kept).and_then(|()| clear_ambient_capability_set()).map_err(failed)?;
    become_user(sandbox)?;
    limit(kept).map_err(Error::io("give up", "capabilities"))
}

/// Capabilities that no program gets back, not even one that belongs to root.
fn bound(kept: CapabilitySet) -> rustix::io::Result<()> {
    let others = (0..64).filter_map(|bit| CapabilitySet::from_bits_retain(1 << bit).difference(kept).into());
    for capability in others.filter(|capability: &CapabilitySet| !capability.is_empty()) {
        // Those that this kernel does not know are in no set.
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    Ok(())
}

fn limit(kept: CapabilitySet) -> rustix::io::Result<()> {
    let mine = capabilities(None)?;
    let permitted = mine.permitted.intersection(kept);
    let effective = mine.effective.intersection(kept);
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() })
}

fn become_user(sandbox: &Sandbox) -> Result<()> {
    let (uid, gid) = (Uid::from_raw_unchecked(sandbox.uid), Gid::from_raw_unchecked(sandbox.gid));
    let groups: Vec<Gid> = sandbox.groups.iter().map(|gid| Gid::from_raw_unchecked(*gid)).collect();
    match set_thread_groups(&groups) {
        // A user namespace of one group allows no others; who entered it was told so by `UserNamespace::only_root`.
        Err(Errno::PERM) => {}
        set => set.map_err(Error::io("set", "the groups of the user"))?,
    }
    set_thread_res_gid(gid, gid, gid).map_err(Error::io("become", format!("group {gid}")))?;
    set_thread_res_uid(uid, uid, uid).map_err(Error::io("become", format!("user {uid}")))
}
