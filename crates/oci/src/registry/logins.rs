//! Who we are to registries: what `docker login` and `podman login` have written.
//!
//! `config.json` of Docker and `auth.json` of Podman have one form:
//!
//! ```text
//! {"auths": {"example.org": {"auth": "base64 of user:password"},          a password
//!            "b.example.org": {"auth": "…", "identitytoken": "…"}},       a token that buys tokens (OAuth 2)
//!  "credHelpers": {"c.example.org": "ecr-login"},                         a program for one registry
//!  "credsStore": "desktop"}                                               a program for all others
//! ```
//!
//! A helper is asked before what lies in the file, as Docker does it. Podman's keys may name a namespace
//! (`example.org/team`); the longest that fits counts.
//!
//! Ours and not a library: `docker_credential` reads the environment by itself, knows neither `registrytoken` nor
//! namespaces, asks the store last, and shows what a helper printed.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// What helpers and files call Docker's own registry.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";

/// The user name by which a helper says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What is known about the user's accounts. Nothing of it is ever shown.
#[derive(Clone, Default)]
pub struct Logins {
    files: Vec<LoginFile>,
    helper_folders: Vec<PathBuf>,
}

/// How to say to one registry who we are.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// A user and a password.
    Password { user: String, password: String },
    /// A refresh token of OAuth 2.
    Identity(String),
    /// A bearer token to be used as it is.
    Bearer(String),
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct LoginFile {
    auths: BTreeMap<String, Account>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Account {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

impl Logins {
    /// Adds the logins of a file, which have less weight than those added before. A file that is not there has none.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        // serde's message may quote the text, and in the text are passwords: only the place is told.
        let file = serde_json::from_slice(&text).map_err(|error| ErrorKind::LoginFile {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
        })?;
        self.files.push(file);
        Ok(())
    }

    /// Says where the programs `docker-credential-…` are looked for; without it, on this process's `PATH`.
    pub fn look_in(&mut self, folders: Vec<PathBuf>) {
        self.helper_folders = folders;
    }

    /// The login for a repository of a registry.
    pub(crate) fn login(&self, registry: &str, repository: &str) -> Result<Option<Login>> {
        let keys = keys(registry, repository);
        for file in &self.files {
            let helper = keys.iter().find_map(|key| file.helpers.get(key)).or(file.store.as_ref());
            if let Some(helper) = helper.filter(|helper| !helper.is_empty())
                && let Some(login) = self.ask_helper(helper, registry)?
            {
                return Ok(Some(login));
            }
            if let Some(login) = keys.iter().find_map(|key| file.account(key)).and_then(Account::login) {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }

    /// The helpers' protocol: the registry on standard input, JSON on standard output. «Not found» is no failure.
    fn ask_helper(&self, helper: &str, registry: &str) -> Result<Option<Login>> {
        let name = format!("docker-credential-{helper}");
        let failed = |source: io::Error| ErrorKind::CredentialHelper { helper: name.clone(), source };
        if helper.contains('/') {
            return Err(failed(io::Error::other("its name is a path")).into());
        }
        let found = self.helper_folders.iter().map(|folder| folder.join(&name)).find(|path| path.is_file());
        let program = found.unwrap_or_else(|| PathBuf::from(&name));
        let key = if is_docker(registry) { DOCKER_KEY } else { registry };
        let output = run(&program, key).map_err(failed)?;
        if !output.status.success() {
            // What it printed is not shown: nobody knows what is in it.
            let said = String::from_utf8_lossy(&output.stdout).to_lowercase();
            let unknown = said.contains("not found") || said.contains("no credentials");
            let status = || io::Error::other(format!("it ended with {}", output.status));
            return if unknown { Ok(None) } else { Err(failed(status()).into()) };
        }
        let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
            .map_err(|_| failed(io::Error::other("its answer is not JSON with Username and Secret")))?;
        Ok(Some(match answer.username.as_str() {
            TOKEN_USER => Login::Identity(answer.secret),
            _ => Login::Password { user: answer.username, password: answer.secret },
        }))
    }
}

fn run(program: &Path, input: &str) -> io::Result<std::process::Output> {
    let mut command = Command::new(program);
    let piped = command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input says by its status what it thinks.
        let _ignored = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

fn is_docker(registry: &str) -> bool {
    matches!(registry, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

/// The keys under which a repository's login may be, the longest first, as [`plain`] writes them.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let full = format!("{registry}/{repository}");
    let ends = full.match_indices('/').map(|(at, _)| at).chain([full.len()]);
    let mut keys: Vec<String> = ends.filter_map(|end| full.get(..end)).map(str::to_owned).collect();
    keys.reverse();
    if is_docker(registry) {
        keys.extend(["index.docker.io".to_owned(), DOCKER_KEY.to_owned()]);
    }
    keys
}

/// A key of a file without the scheme and the version that `docker login` once wrote.
fn plain(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

impl LoginFile {
    fn account(&self, key: &str) -> Option<&Account> {
        let exact = self.auths.get(key);
        exact.or_else(|| self.auths.iter().find(|(found, _)| plain(found) == key).map(|(_, account)| account))
    }
}

impl Account {
    /// An account without a secret is where a helper keeps it.
    fn login(&self) -> Option<Login> {
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = some(&self.registrytoken) {
            return Some(Login::Bearer(token));
        }
        if let Some(token) = some(&self.identitytoken) {
            return Some(Login::Identity(token));
        }
        let decoded = some(&self.auth).and_then(|auth| decode(&auth));
        let (user, password) = decoded.or_else(|| Some((some(&self.username)?, some(&self.password)?)))?;
        Some(Login::Password { user, password })
    }
}

fn decode(auth: &str) -> Option<(String, String)> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
    let text = String::from_utf8(engine.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    // Docker once padded with zero bytes.
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files.iter().flat_map(|file| file.auths.keys())).finish()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn logins(text: &str) -> Logins {
        Logins { files: vec![serde_json::from_str(text).unwrap()], helper_folders: Vec::new() }
    }

    fn password(user: &str, password: &str) -> Login {
        Login::Password { user: user.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn accounts_of_every_form_are_read() {
        // user:p:w and, without padding, u:p
        let logins = logins(
            r#"{"auths": {
                "example.org": {"auth": "dXNlcjpwOnc="}, "https://old.example.org/v1/": {"auth": "dTpw"},
                "plain.example.org": {"username": "a", "password": "b"},
                "token.example.org": {"auth": "dTpw", "identitytoken": "refresh"},
                "bearer.example.org": {"registrytoken": "bearer"},
                "https://index.docker.io/v1/": {"auth": "dTpw"}, "empty.example.org": {}}}"#,
        );
        let login = |registry: &str| logins.login(registry, "a/b").unwrap();
        assert_eq!(login("example.org"), Some(password("user", "p:w")));
        assert_eq!(login("old.example.org"), Some(password("u", "p")));
        assert_eq!(login("plain.example.org"), Some(password("a", "b")));
        assert_eq!(login("token.example.org"), Some(Login::Identity("refresh".into())));
        assert_eq!(login("bearer.example.org"), Some(Login::Bearer("bearer".into())));
        assert_eq!(login("docker.io"), Some(password("u", "p")));
        assert_eq!(login("empty.example.org"), None);
        assert_eq!(login("other.example.org"), None);
        assert_eq!(login("example.org:5000"), None);
    }

    #[test]
    fn the_longest_namespace_counts() {
        let logins = logins(
            r#"{"auths": {"example.org": {"auth": "dTE6cA=="}, "example.org/team": {"auth": "dTI6cA=="},
                "example.org/team/app": {"auth": "dTM6cA=="}}}"#,
        );
        let login = |repository: &str| logins.login("example.org", repository).unwrap();
        assert_eq!(login("team/app"), Some(password("u3", "p")));
        assert_eq!(login("team/other"), Some(password("u2", "p")));
        assert_eq!(login("teams/app"), Some(password("u1", "p")));
    }

    #[test]
    fn helpers_are_asked_first_and_may_know_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, script: &str| {
            let path = folder.path().join(format!("docker-credential-{name}"));
            std::fs::write(&path, format!("#!/bin/sh\nread registry\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("all", r#"echo '{"ServerURL":"'$registry'","Username":"of '$registry'","Secret":"s"}'"#);
        program("token", r#"echo '{"Username":"<token>","Secret":"refresh"}'"#);
        program("none", "echo credentials not found in native keychain; exit 1");
        program("broken", "echo secret; exit 2");
        let mut logins = logins(
            r#"{"auths": {"none.example.org": {"auth": "dTpw"}}, "credsStore": "all",
                "credHelpers": {"token.example.org": "token", "none.example.org": "none",
                                "broken.example.org": "broken", "path.example.org": "../x"}}"#,
        );
        logins.look_in(vec![folder.path().to_owned()]);
        let login = |registry: &str| logins.login(registry, "a");
        assert_eq!(login("example.org").unwrap(), Some(password("of example.org", "s")));
        assert_eq!(login("docker.io").unwrap(), Some(password("of https://index.docker.io/v1/", "s")));
        assert_eq!(login("token.example.org").unwrap(), Some(Login::Identity("refresh".into())));
        assert_eq!(login("none.example.org").unwrap(), Some(password("u", "p")));
        let error = login("broken.example.org").unwrap_err();
        assert_eq!(error.to_string(), "credential helper `docker-credential-broken` failed");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        assert!(login("path.example.org").is_err());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, r#"{"auths": {"example.org": {"auth": 12}, "x": "secret"}}"#).unwrap();
        let error = Logins::default().add_file(&path).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("config.json`, line 1, column ") && !text.contains("secret"), "{text}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        let logins = logins(r#"{"auths": {"example.org": {"auth": "dTpw"}}}"#);
        assert_eq!(format!("{logins:?}"), "[\"example.org\"]");
        assert_eq!(format!("{:?}", logins.login("example.org", "a").unwrap()), "Some(Login)");
        Logins::default().add_file(&folder.path().join("missing.json")).unwrap();
    }
}
