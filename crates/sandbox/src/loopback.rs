//! The loopback interface, which is there in every network namespace, and down.

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// The interface with the first index is always `lo`.
const INDEX: i32 = 1;

/// Brings it up.
pub(crate) fn up() -> rustix::io::Result<()> {
    // Without a protocol: routing is the first of them.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&socket, &request(), SendFlags::empty())?;
    let mut answer = [0; 64];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    // struct nlmsghdr, then the error's number, negative, or zero.
    let number = answer.get(16..20).filter(|_| length >= 20).and_then(|number| number.try_into().ok());
    match number.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(number) => Err(Errno::from_raw_os_error(-number)),
        None => Err(Errno::PROTO),
    }
}

/// `rtnetlink(7)`: a struct nlmsghdr and a struct ifinfomsg.
fn request() -> Vec<u8> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_ACK: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    let mut bytes = Vec::with_capacity(32);
    bytes.extend(32_u32.to_ne_bytes()); // length
    bytes.extend(RTM_NEWLINK.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    bytes.extend([0; 8]); // sequence, port
    bytes.extend([0; 4]); // family, padding, type
    bytes.extend(INDEX.to_ne_bytes());
    bytes.extend(IFF_UP.to_ne_bytes()); // flags
    bytes.extend(IFF_UP.to_ne_bytes()); // which of them
    bytes
}
