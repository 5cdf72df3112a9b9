//! What a registry answered that was no answer.

use std::error::Error as StdError;
use std::fmt;

use cartwheel_store::Digest;
use cartwheel_transfer::{Failure, Hitch, Misdirected, redact};
use reqwest::{Method, Url};
use serde::Deserialize;

/// More of an error's body is not read: registries say in one line what they have to say.
pub(crate) const LARGEST_BODY: usize = 64 << 10;

/// How much of a registry's own words is shown.
const LONGEST_WORDS: usize = 300;

/// A request to a registry that failed. Nothing in it is secret: URLs are without query and credentials.
#[derive(Debug)]
pub struct RegistryError {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) registry: String,
    /// Whether the request was made in somebody's name.
    pub(crate) named: bool,
    pub(crate) problem: RegistryProblem,
}

/// How a request to a registry failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryProblem {
    /// The registry says no.
    #[error("was answered with status {status}{}{}", Times(*attempts), Words(code.as_deref(), message.as_deref()))]
    Status {
        /// The status.
        status: u16,
        /// The registry's own name for it: `MANIFEST_UNKNOWN`, `DENIED`, …
        code: Option<String>,
        /// The registry's own words.
        message: Option<String>,
        /// How often it was tried.
        attempts: u32,
    },
    /// The network or the registry failed, and failed again.
    #[error("failed{}", Times(*attempts))]
    Unreachable {
        /// How often it was tried.
        attempts: u32,
        /// How it failed last.
        source: Hitch,
    },
    /// What came is not what was asked for.
    #[error("brought other bytes than were asked for: expected `{expected}`, found `{found}`")]
    Digest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// More came than the descriptor promises.
    #[error("brought more than the {size} bytes that were asked for")]
    Size {
        /// What the descriptor says.
        size: u64,
    },
    /// The answer breaks the distribution spec.
    #[error("was answered with {what}")]
    Unexpected {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The registry sends us for a token to a place where credentials do not belong.
    #[error("sends us for a token to `{realm}`, which gets no credentials from us")]
    Realm {
        /// The place, without its query.
        realm: String,
    },
    /// A redirect that is not followed.
    #[error("was redirected to `{to}`, or too often")]
    Redirect {
        /// The last place.
        to: String,
    },
    /// The network could not be set up.
    #[error("could not be made")]
    Setup {
        /// Why.
        source: cartwheel_transfer::Error,
    },
    /// The bytes that were to be sent could not be read.
    #[error("could not be made: the blob could not be read")]
    Blob {
        /// Why.
        source: std::io::Error,
    },
}

struct Times(u32);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 | 1 => Ok(()),
            times => write!(f, " {times} times"),
        }
    }
}

struct Words<'a>(Option<&'a str>, Option<&'a str>);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        [self.0, self.1].into_iter().flatten().try_for_each(|words| write!(f, ": {words}"))
    }
}

impl RegistryError {
    /// How it failed.
    pub fn problem(&self) -> &RegistryProblem {
        &self.problem
    }

    /// The registry, as references name it.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The status, if the registry gave one.
    pub fn status(&self) -> Option<u16> {
        match self.problem {
            RegistryProblem::Status { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self.problem {
            RegistryProblem::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            RegistryProblem::Unreachable { .. } => true,
            _ => false,
        }
    }

    /// What the user could try.
    pub fn hint(&self) -> Option<String> {
        let registry = &self.registry;
        match &self.problem {
            RegistryProblem::Status { status: 401, .. } if self.named => {
                Some(format!("the login for `{registry}` is wrong or has expired: `docker login {registry}`"))
            }
            RegistryProblem::Status { status: 401, .. } => {
                Some(format!("log in: `docker login {registry}`; cartwheel reads what it writes"))
            }
            RegistryProblem::Status { status: 403, .. } if self.named => {
                Some(format!("this account may not do it; another one: `docker login {registry}`"))
            }
            RegistryProblem::Status { status: 403, .. } => {
                Some(format!("nobody in particular may not do it: `docker login {registry}`"))
            }
            RegistryProblem::Status { status: 404, .. } => Some(format!(
                "check name and tag; some registries hide what one may not see: `docker login {registry}`"
            )),
            RegistryProblem::Status { status: 429, .. } => Some(
                "the registry limits how often it is asked: wait, or log in with an account that may more"
                    .to_owned(),
            ),
            RegistryProblem::Status { status: 500.., .. } => {
                Some(format!("`{registry}` is broken or overloaded: try again later"))
            }
            RegistryProblem::Unreachable { source: Hitch::Unresolved(_) | Hitch::Refused(_), .. } => {
                Some(format!("is `{registry}` the registry that is meant, and can this machine reach it?"))
            }
            RegistryProblem::Unreachable { source: Hitch::Network(_), .. } => Some(format!(
                "if `{registry}` speaks plain HTTP or has a certificate of its own making: `--insecure-registry {registry}`"
            )),
            RegistryProblem::Unreachable { .. } => {
                Some(format!("`{registry}` does not get through: try again"))
            }
            RegistryProblem::Digest { .. } | RegistryProblem::Size { .. } => Some(format!(
                "what `{registry}`, or a proxy before it, keeps under this digest is damaged: push it again"
            )),
            _ => None,
        }
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` {}", self.method, self.url, self.problem)
    }
}

impl StdError for RegistryError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.problem.source()
    }
}

/// A URL as messages show it. Its query may hold the signature of a storage; of it only a digest is kept.
pub(crate) fn shown(url: &Url) -> String {
    let digest =
        url.query_pairs().find(|(name, _)| name == "digest").map(|(_, digest)| format!("digest={digest}"));
    let mut url = url.clone();
    url.set_query(digest.as_deref());
    redact(url.as_str())
}

impl From<Hitch> for RegistryProblem {
    fn from(hitch: Hitch) -> Self {
        Self::after(hitch, 1)
    }
}

impl RegistryProblem {
    /// A hitch that came again and again.
    pub(crate) fn after(hitch: Hitch, attempts: u32) -> Self {
        match hitch {
            Hitch::Status { status, body, .. } => Self::status(status, &body, attempts),
            source => Self::Unreachable { attempts, source },
        }
    }

    /// A status, and what the body says about it.
    pub(crate) fn status(status: u16, body: &[u8], attempts: u32) -> Self {
        let (code, message) = words(body);
        Self::Status { status, code, message, attempts }
    }
}

impl From<Misdirected> for RegistryProblem {
    fn from(misdirected: Misdirected) -> Self {
        let to = match misdirected {
            Misdirected::Scheme(url) => shown(&url),
            Misdirected::TooOften => "itself".to_owned(),
        };
        Self::Redirect { to }
    }
}

impl From<Failure> for RegistryProblem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable { attempts, hitch } => Self::after(hitch, attempts),
            Failure::Digest { expected, found } => Self::Digest { expected, found },
            Failure::Size(size) => Self::Size { size },
            Failure::Store(source) => Self::Blob { source: std::io::Error::other(source) },
            _ => Self::Unexpected { what: "an end that was asked for" },
        }
    }
}

/// The body of an error, in the form of the distribution spec or of one of the token servers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    errors: Vec<BodyError>,
    error: Option<String>,
    error_description: Option<String>,
    details: Option<String>,
    message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BodyError {
    code: Option<String>,
    message: Option<String>,
}

/// The registry's code and message.
fn words(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(body) = serde_json::from_slice::<Body>(body) else { return (None, None) };
    let (code, message) = match body.errors.into_iter().next() {
        Some(first) => (first.code, first.message),
        None => (body.error, body.error_description.or(body.details).or(body.message)),
    };
    let clean = |text: String| {
        let plain = text.chars().take(LONGEST_WORDS).map(|c| if c.is_control() { ' ' } else { c });
        redact(plain.collect::<String>().trim())
    };
    let kept = |text: Option<String>| text.map(clean).filter(|text| !text.is_empty());
    (kept(code), kept(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_words(body: &str) -> String {
        RegistryProblem::status(403, body.as_bytes(), 1).to_string()
    }

    #[test]
    fn a_registry_speaks_in_its_own_words() {
        let said = "was answered with status 403";
        assert_eq!(
            shown_words(r#"{"errors":[{"code":"DENIED","message":"not yours","detail":{}}]}"#),
            format!("{said}: DENIED: not yours")
        );
        assert_eq!(shown_words(r#"{"error":"invalid_grant"}"#), format!("{said}: invalid_grant"));
        assert_eq!(shown_words(r#"{"details":"incorrect username"}"#), format!("{said}: incorrect username"));
        for none in ["", "<html>", "[]", r#"{"errors":[]}"#, r#"{"errors":[{"code":""}]}"#, r#"{"errors":1}"#]
        {
            assert_eq!(shown_words(none), said, "{none}");
        }
    }

    #[test]
    fn its_words_can_do_no_harm() {
        let message = format!("a\\u001b[2J https://u:p@example.org {}", "x".repeat(10_000));
        let shown = shown_words(&format!(r#"{{"errors":[{{"message":"{message}"}}]}}"#));
        assert!(shown.contains("a [2J https://****@example.org xx") && shown.len() < 400, "{shown}");
    }

    #[test]
    fn urls_are_shown_without_secrets() {
        let url = Url::parse("https://u:p@example.org/v2/a/blobs/uploads/1?X-Signature=secret").unwrap();
        assert_eq!(shown(&url), "https://****@example.org/v2/a/blobs/uploads/1");
    }
}
