//! `--publish`: what it can mean where the network is the machine's.

use std::ops::RangeInclusive;

use cartwheel_sandbox::Network;

use crate::error::Failure;

/// Whether the ports are open without our doing: the command opens them on this machine itself.
pub(super) fn check(ports: &[String], network: Network) -> Result<(), Failure> {
    for text in ports {
        let refused = |reason: &str| Failure::user(format!("--publish {text}: {reason}"));
        if network == Network::None {
            return Err(refused("nobody can reach a port where there is no network"));
        }
        let port = Port::parse(text).ok_or_else(|| refused("write PORT:PORT, as 8000:8000"))?;
        if port.here != port.there {
            return Err(refused(
                "the network is this machine's, where the command opens its own port and no other: have it open the one that you want here",
            ));
        }
        if !port.is_everywhere {
            return Err(refused(
                "the network is this machine's, so the command itself chooses the address: have it listen on that one",
            ));
        }
    }
    Ok(())
}

/// `[ADDRESS:][PORT:]PORT[/PROTOCOL]`, or ranges of ports.
struct Port {
    is_everywhere: bool,
    here: RangeInclusive<u16>,
    there: RangeInclusive<u16>,
}

impl Port {
    fn parse(text: &str) -> Option<Self> {
        let (ports, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
        let (before, there) = ports.rsplit_once(':').unwrap_or(("", ports));
        let (address, here) = before.rsplit_once(':').unwrap_or(("", before));
        let there = range(there)?;
        let here = if here.is_empty() { there.clone() } else { range(here)? };
        let is_everywhere = matches!(address, "" | "0.0.0.0" | "[::]");
        matches!(protocol, "tcp" | "udp" | "sctp").then_some(Self { is_everywhere, here, there })
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Option<String> {
        check(&[text.to_owned()], Network::Host).err().map(|failure| failure.to_string())
    }

    #[test]
    fn only_ports_that_stay_what_they_are_can_be_published() {
        for text in ["8000", "8000:8000", "0.0.0.0:8000:8000/tcp", "[::]:53:53/udp", "80-90:80-90"] {
            assert_eq!(refusal(text), None, "{text}");
        }
        for (text, reason) in [
            ("8080:80", "opens its own port"),
            ("127.0.0.1:80:80", "chooses the address"),
            ("80:80/x", "write PORT:PORT"),
            ("x", "write PORT:PORT"),
            ("80-90:80", "opens its own port"),
        ] {
            assert!(refusal(text).is_some_and(|text| text.contains(reason)), "{text}");
        }
        assert!(check(&["80".to_owned()], Network::None).is_err());
    }
}
