//! Tokens: bought once for each set of rights, kept until they expire.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use cartwheel_transfer::Break;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::challenge::Challenge;
use super::client::{Attempt, Cause, Shared, read_body, refused};
use super::error::{RegistryError, RegistryProblem, shown};
use super::logins::Login;

/// How long a token lives when nobody says it (distribution, «Token Authentication»).
const DEFAULT_LIFE: Duration = Duration::from_mins(1);

/// A token that would expire within this time is not used any more.
const MARGIN: Duration = Duration::from_secs(10);

/// For whom and what requests are made.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// As references name it.
    pub(crate) registry: String,
    /// Whose login counts.
    pub(crate) repository: String,
    /// What is asked for: `repository:a/b:pull,push`. The first is what cannot be done without.
    pub(crate) scopes: Vec<String>,
}

/// What is known about how one registry wants to be asked.
#[derive(Debug, Default)]
pub(crate) struct Authority {
    challenge: Option<Challenge>,
    tokens: BTreeMap<Vec<String>, Token>,
    logins: BTreeMap<String, Option<Login>>,
}

struct Token {
    header: HeaderValue,
    expires: Instant,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// A place that gives tokens.
struct Realm<'a> {
    url: Url,
    service: Option<&'a str>,
    access: &'a Access,
}

impl Authority {
    /// Learns from a refusal of a request that said `used`. False if asking again would be asking the same.
    ///
    /// Several requests may be refused at once: the first that comes here buys a token, and the others must not throw it away.
    pub(crate) fn learn(
        &mut self,
        challenge: Option<Challenge>,
        access: &Access,
        used: Option<&HeaderValue>,
    ) -> bool {
        let Some(challenge) = challenge else { return false };
        let is_refused = |token: &Token| used == Some(&token.header);
        if self.tokens.get(&access.scopes).is_some_and(is_refused) {
            self.tokens.remove(&access.scopes);
        }
        let wrong_password = challenge == Challenge::Basic && used.is_some();
        self.challenge = Some(challenge);
        !wrong_password
    }

    /// The header that says who we are, once a registry has asked.
    pub(crate) async fn header(
        &mut self,
        shared: &Shared,
        base: &Url,
        access: &Access,
    ) -> Attempt<Option<HeaderValue>> {
        let Some(challenge) = self.challenge.clone() else { return Ok(None) };
        let login = self.login(shared, access)?;
        match (challenge, login) {
            (Challenge::Basic, Some(Login::Password { user, password })) => Ok(basic(&user, &password)),
            (_, Some(Login::Bearer(token))) => Ok(bearer(&token)),
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service, scope }, login) => {
                let now = Instant::now();
                if let Some(token) = self.tokens.get(&access.scopes).filter(|token| token.expires > now) {
                    return Ok(Some(token.header.clone()));
                }
                let url = check_realm(&realm, base)?;
                let mut wider = access.clone();
                // What it says of repositories is what we ask for anyway; other rights are its own invention.
                wider.scopes.extend(scope.filter(|scope| !scope.starts_with("repository:")));
                let realm = Realm { url, service: service.as_deref(), access: &wider };
                let token = realm.buy(shared, login.as_ref()).await?;
                let header = token.header.clone();
                self.tokens.insert(access.scopes.clone(), token);
                Ok(Some(header))
            }
        }
    }

    /// Whether requests are made in somebody's name.
    pub(crate) fn is_named(&self, access: &Access) -> bool {
        self.logins.get(&access.repository).is_some_and(Option::is_some)
    }

    fn login(&mut self, shared: &Shared, access: &Access) -> Attempt<Option<Login>> {
        if let Some(login) = self.logins.get(&access.repository) {
            return Ok(login.clone());
        }
        let login = shared.options.logins.login(&access.registry, &access.repository);
        let login = login.map_err(Cause::Whole)?;
        self.logins.insert(access.repository.clone(), login.clone());
        Ok(login)
    }
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    secret(&format!("Basic {text}"))
}

fn bearer(token: &str) -> Option<HeaderValue> {
    secret(&format!("Bearer {token}"))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A registry could send us anywhere. Credentials go over TLS, unless the registry has none either, and never to this machine
/// or its link's special addresses (cloud metadata), unless the registry is there too.
fn check_realm(realm: &str, base: &Url) -> Result<Url, RegistryProblem> {
    let refuse = |realm: String| RegistryProblem::Realm { realm };
    let url = Url::parse(realm).map_err(|_| refuse("a place that is no URL".to_owned()))?;
    let plain = url.scheme() == "http" && base.scheme() == "http";
    let same = url.host() == base.host();
    if (url.scheme() != "https" && !plain) || (is_special(&url) && !same && !is_special(base)) {
        return Err(refuse(shown(&url)));
    }
    Ok(url)
}

fn is_special(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(address)) => {
            address.is_loopback() || address.is_link_local() || address.is_unspecified()
        }
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || address.is_unspecified()
        }
        Err(_) => host == "localhost",
    }
}

impl Realm<'_> {
    /// A token for all scopes; if that is refused, for the one that cannot be done without.
    async fn buy(&self, shared: &Shared, login: Option<&Login>) -> Attempt<Token> {
        let all: Vec<&str> = self.access.scopes.iter().map(String::as_str).collect();
        let answer = self.ask(shared, login, &all).await;
        match (&answer, &all[..]) {
            (Err(Break::Final(Cause::Whole(error))), [first, _, ..])
                if matches!(error.registry().and_then(RegistryError::status), Some(400 | 401 | 403)) =>
            {
                self.ask(shared, login, &[first]).await
            }
            _ => answer,
        }
    }

    async fn ask(&self, shared: &Shared, login: Option<&Login>, scopes: &[&str]) -> Attempt<Token> {
        let client = shared.client(&self.url)?;
        let (method, request) = match login {
            Some(Login::Identity(token)) => {
                let form = self.refresh_form(token, scopes);
                let request = client.post(self.url.clone()).body(form);
                (Method::POST, request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"))
            }
            Some(Login::Password { user, password }) => {
                let request = client.get(self.question(Some(user), scopes));
                (Method::GET, request.basic_auth(user, Some(password)))
            }
            _ => (Method::GET, client.get(self.question(None, scopes))),
        };
        let whole = |problem| RegistryError {
            method,
            url: shown(&self.url),
            registry: self.access.registry.clone(),
            named: login.is_some(),
            problem,
        };
        let response = shared.send(request).await?;
        if !response.status().is_success() {
            return Err(refused(response).await.map(|problem| Cause::Whole(whole(problem).into())));
        }
        let answer: Option<Answer> = serde_json::from_slice(&read_body(response).await).ok();
        let token = answer.and_then(Token::new);
        let what = RegistryProblem::Unexpected { what: "something that is not a token" };
        Ok(token.ok_or_else(|| Cause::Whole(whole(what).into()))?)
    }

    fn question(&self, account: Option<&String>, scopes: &[&str]) -> Url {
        let mut url = self.url.clone();
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(self.service.map(|service| ("service", service)));
            query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
            query.extend_pairs(account.map(|account| ("account", account)));
        }
        url
    }

    /// OAuth 2, «Refreshing an Access Token», as the registries' token servers have it.
    fn refresh_form(&self, token: &str, scopes: &[&str]) -> String {
        let mut form = self.url.clone();
        form.query_pairs_mut()
            .clear()
            .append_pair("grant_type", "refresh_token")
            .append_pair("client_id", "cartwheel")
            .extend_pairs(self.service.map(|service| ("service", service)))
            .append_pair("scope", &scopes.join(" "))
            .append_pair("refresh_token", token);
        form.query().unwrap_or_default().to_owned()
    }
}

impl Token {
    fn new(answer: Answer) -> Option<Self> {
        let header = bearer(&answer.token.or(answer.access_token)?)?;
        let life = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
        // One that lives shorter than the margin is good for what it was bought for.
        let expires = Instant::now().checked_add(life.saturating_sub(MARGIN))?;
        Some(Self { header, expires })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_sent_anywhere() {
        let allowed = |base: &str, realm: &str| check_realm(realm, &Url::parse(base).unwrap()).is_ok();
        let base = "https://example.org/v2/";
        assert!(allowed(base, "https://auth.example.org/token"));
        assert!(allowed(base, "https://10.0.0.1/token"));
        assert!(allowed("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5001/token"));
        for realm in [
            "http://example.org/token",
            "https://127.0.0.1/token",
            "https://[::1]/token",
            "https://localhost/token",
            "https://169.254.169.254/latest",
            "file:///etc/passwd",
            "token",
        ] {
            assert!(!allowed(base, realm), "{realm}");
        }
    }
}
