//! What a registry wants to know before it answers (RFC 9110, «WWW-Authenticate»; distribution, «Token Authentication»).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// How a registry asks who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token, which somebody else gives.
    Bearer {
        /// Where to get it.
        realm: String,
        /// For which service.
        service: Option<String>,
        /// What it shall allow, as the registry sees it.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The best challenge of an answer: a token rather than a password.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let mut found: Vec<Self> = texts.flat_map(parse).collect();
        let bearer = found.iter().position(|challenge| matches!(challenge, Self::Bearer { .. }));
        match bearer {
            Some(index) => Some(found.swap_remove(index)),
            None => found.pop(),
        }
    }
}

/// `Bearer realm="https://…",service="…",scope="…"`, perhaps several with commas between.
fn parse(text: &str) -> Vec<Challenge> {
    let mut challenges: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(['=', ' ', ',']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        match (after.strip_prefix('='), challenges.last_mut()) {
            (Some(after), Some((_, parameters))) => {
                let (value, after) = value(after);
                parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            (Some(after), None) => rest = after,
            (None, _) if !word.is_empty() => {
                challenges.push((word.to_ascii_lowercase(), Vec::new()));
                rest = after;
            }
            (None, _) => rest = after.get(1..).unwrap_or_default(),
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    challenges.into_iter().filter_map(|(scheme, parameters)| challenge(&scheme, parameters)).collect()
}

fn challenge(scheme: &str, parameters: Vec<(String, String)>) -> Option<Challenge> {
    let mut parameters: std::collections::BTreeMap<String, String> = parameters.into_iter().collect();
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scope: parameters.remove("scope").filter(|scope| !scope.is_empty()),
        }),
        _ => None,
    }
}

/// A token or a quoted string, and what comes after it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, letter) in quoted.char_indices() {
        match letter {
            _ if escaped => {
                value.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            _ => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(WWW_AUTHENTICATE, text.parse().unwrap());
        }
        Challenge::read(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer { realm: realm.to_owned(), service: owned(service), scope: owned(scope) }
    }

    #[test]
    fn challenges_are_read() {
        let full =
            r#"Bearer realm="https://example.org/t?a=b,c",service="s \"x\"",scope="repository:a:pull,push""#;
        assert_eq!(
            read(&[full]),
            Some(bearer("https://example.org/t?a=b,c", Some("s \"x\""), Some("repository:a:pull,push")))
        );
        assert_eq!(read(&["BEARER Realm=x"]), Some(bearer("x", None, None)));
        assert_eq!(read(&[r#"Basic realm="x""#]), Some(Challenge::Basic));
        assert_eq!(read(&["Basic"]), Some(Challenge::Basic));
    }

    #[test]
    fn a_token_is_better_than_a_password() {
        assert_eq!(read(&[r#"Basic realm="a", Bearer realm="b""#]), Some(bearer("b", None, None)));
        assert_eq!(read(&[r#"Bearer realm="b""#, r#"Basic realm="a""#]), Some(bearer("b", None, None)));
    }

    #[test]
    fn what_is_no_challenge_is_none() {
        for text in ["", "Digest realm=x", "Bearer service=x", "=", ",,", "Bearer realm", "a=b"] {
            assert_eq!(read(&[text]), None, "{text}");
        }
        assert_eq!(read(&[]), None);
    }
}
