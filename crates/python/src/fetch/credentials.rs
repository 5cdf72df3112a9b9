//! Who we are, to which server.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::Url;

/// Users and passwords by the origin that may see them.
///
/// They come from the URLs of the user's index settings, which speak for their own scheme, host and port, and from a
/// `netrc` file, which speaks for a host. The first have precedence, as in pip. No other origin ever gets them: each
/// redirect is a new request that asks here anew.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    origins: BTreeMap<String, Login>,
    hosts: BTreeMap<String, Login>,
    anywhere: Option<Login>,
}

/// Whom an entry of a `netrc` speaks for.
enum Machine {
    Host(String),
    Any,
}

/// A user and a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

impl Credentials {
    /// Adds the user and password of `url`, if it has some, for the URL's origin. The first one of an origin stays.
    pub fn add_url(&mut self, url: &str) {
        if let Ok(url) = Url::parse(url)
            && let Some(login) = login_of(&url)
        {
            self.origins.entry(origin(&url)).or_insert(login);
        }
    }

    /// Adds what a `netrc` file says. What is no entry in it is passed over, as other readers do.
    pub fn add_netrc(&mut self, text: &str) {
        let mut words = netrc_words(text).into_iter();
        let mut entries: Vec<(Machine, Login)> = Vec::new();
        while let Some(word) = words.next() {
            let login = entries.last_mut().map(|(_, login)| login);
            match (word.as_str(), login) {
                ("machine", _) => {
                    let host = words.next().unwrap_or_default().to_lowercase();
                    entries.push((Machine::Host(host), Login::default()));
                }
                ("default", _) => entries.push((Machine::Any, Login::default())),
                ("login", Some(login)) => login.user = words.next().unwrap_or_default(),
                ("password", Some(login)) => login.password = words.next().unwrap_or_default(),
                _ => {}
            }
        }
        for (machine, login) in entries {
            match machine {
                Machine::Host(host) => {
                    self.hosts.entry(host).or_insert(login);
                }
                Machine::Any => self.anywhere = Some(login),
            }
        }
    }

    /// What the origin of `url` may see.
    pub(super) fn login(&self, url: &Url) -> Option<&Login> {
        let host = || self.hosts.get(url.host_str().unwrap_or_default());
        self.origins.get(&origin(url)).or_else(host).or(self.anywhere.as_ref())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.origins.keys()).entries(self.hosts.keys()).finish()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

fn login_of(url: &Url) -> Option<Login> {
    let decode = |text: &str| crate::url::decode(text).unwrap_or_else(|| text.to_owned());
    let password = url.password().map(decode);
    let some = !url.username().is_empty() || password.is_some();
    some.then(|| Login { user: decode(url.username()), password: password.unwrap_or_default() })
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The words of a `netrc`, without comments; a password may be quoted.
fn netrc_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in text.lines() {
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (word, after) = match rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
                Some(quoted) => quoted,
                None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
            };
            words.push(word.to_owned());
            rest = after.trim_start();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user<'a>(credentials: &'a Credentials, url: &str) -> Option<&'a str> {
        credentials.login(&Url::parse(url).unwrap()).map(|login| login.user.as_str())
    }

    #[test]
    fn a_url_speaks_for_its_origin_alone() {
        let mut credentials = Credentials::default();
        credentials.add_url("https://us%40er:p@example.org/simple/");
        credentials.add_url("https://second@example.org/");
        assert_eq!(user(&credentials, "https://example.org:443/x"), Some("us@er"));
        for other in ["http://example.org/", "https://example.org:8443/", "https://a.example.org/"] {
            assert_eq!(user(&credentials, other), None, "{other}");
        }
    }

    #[test]
    fn netrc_speaks_for_hosts() {
        let mut credentials = Credentials::default();
        credentials
            .add_netrc("# c\nmachine example.org login a password \"b c\"\nmachine x\n login y\npassword z");
        assert_eq!(user(&credentials, "https://example.org/"), Some("a"));
        assert_eq!(user(&credentials, "http://x:81/"), Some("y"));
        assert_eq!(user(&credentials, "http://z/"), None);
        credentials.add_netrc("default login d password e");
        assert_eq!(user(&credentials, "http://z/"), Some("d"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut credentials = Credentials::default();
        credentials.add_url("https://user:secret@example.org/");
        let shown = format!("{credentials:?}");
        assert!(shown.contains("example.org") && !shown.contains("secret") && !shown.contains("user"));
    }
}
