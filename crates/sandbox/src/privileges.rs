//! What the process may do: its user, and what that user may do here.

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::sandbox::Sandbox;
use crate::{Error, Result, seccomp};

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
    bound().and_then(|()| clear_ambient_capability_set()).map_err(failed)?;
    become_user(sandbox)?;
    limit().map_err(Error::io("give up", "capabilities"))
}

/// Capabilities that no program gets back, not even one that belongs to root.
fn bound() -> rustix::io::Result<()> {
    let others =
        (0..64).filter_map(|bit| CapabilitySet::from_bits_retain(1 << bit).difference(DEFAULT).into());
    for capability in others.filter(|capability: &CapabilitySet| !capability.is_empty()) {
        // Those that this kernel does not know are in no set.
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    Ok(())
}

fn limit() -> rustix::io::Result<()> {
    let mine = capabilities(None)?;
    let kept = mine.permitted.intersection(DEFAULT);
    let effective = mine.effective.intersection(DEFAULT);
    set_capabilities(None, CapabilitySets { effective, permitted: kept, inheritable: CapabilitySet::empty() })
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
