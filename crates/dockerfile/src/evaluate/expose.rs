//! `EXPOSE`: ports, ranges of ports, and what it takes of `docker run --publish`.

use core::net::IpAddr;

/// One word of `EXPOSE`, taken apart.
pub(super) struct Spelling<'a> {
    word: &'a str,
    address: String,
    host: &'a str,
    port: &'a str,
    /// As it is written.
    pub(super) protocol: &'a str,
}

impl<'a> Spelling<'a> {
    /// Takes a word apart. It has to have a port and a protocol that there is.
    pub(super) fn of(word: &'a str) -> Result<Self, String> {
        let (address, host, container) = split(word);
        let (port, protocol) = container.split_once('/').unwrap_or((container, ""));
        if port.is_empty() {
            return Err(format!("`{word}` names no port"));
        }
        let lower = protocol.to_lowercase();
        if !["", "tcp", "udp", "sctp"].contains(&lower.as_str()) {
            return Err(format!(
                "`{word}` has the protocol `{lower}`, which is none of `tcp`, `udp`, `sctp`"
            ));
        }
        Ok(Self { word, address, host, port, protocol })
    }

    /// Whether it says where the port is on the host, which means nothing here.
    pub(super) fn is_mapped(&self) -> bool {
        !self.address.is_empty() || !self.host.is_empty()
    }

    /// The ports, each as `80/tcp`.
    pub(super) fn ports(&self) -> Result<Vec<String>, String> {
        let (word, address) = (self.word, self.address.as_str());
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        if !address.is_empty() && bare.parse::<IpAddr>().is_err() {
            return Err(format!("`{address}` is no IP address"));
        }
        let (first, last) = range(self.port)?;
        if !self.host.is_empty() {
            let (host_first, host_last) = range(self.host)?;
            if host_last - host_first != last - first && first != last {
                return Err(format!("`{word}` has ranges of different length"));
            }
        }
        let protocol = if self.protocol.is_empty() { "tcp".to_owned() } else { self.protocol.to_lowercase() };
        Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
    }
}

/// `address:host:container`, where only the last is needed.
fn split(word: &str) -> (String, &str, &str) {
    let (rest, container) = word.rsplit_once(':').unwrap_or(("", word));
    match rest.rsplit_once(':') {
        Some((address, host)) => (address.to_owned(), host, container),
        None => (String::new(), rest, container),
    }
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("`{text}` is no port"));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if last < first { Err(format!("the range `{text}` ends before it begins")) } else { Ok((first, last)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(word: &str) -> Result<Vec<String>, String> {
        Spelling::of(word)?.ports()
    }

    #[test]
    fn forms() {
        assert_eq!(ports("80").unwrap(), ["80/tcp"]);
        assert_eq!(ports("80/UDP").unwrap(), ["80/udp"]);
        assert_eq!(ports("0080").unwrap(), ["80/tcp"]);
        assert_eq!(ports("8000-8002/sctp").unwrap(), ["8000/sctp", "8001/sctp", "8002/sctp"]);
        assert_eq!(ports("8080:80").unwrap(), ["80/tcp"]);
        assert_eq!(ports("127.0.0.1:8000-8005:80").unwrap(), ["80/tcp"]);
        assert_eq!(ports("[::1]::80").unwrap(), ["80/tcp"]);
    }

    #[test]
    fn what_is_no_port() {
        for word in ["", "a", "80/icmp", "80000", "9-8", "/tcp", "a:80", "1.2.3:1:80", "1-2:1-3", "-1", "80-"]
        {
            assert!(ports(word).is_err(), "{word}");
        }
    }
}
