//! A context in a git repository: `https://example.org/team/app.git#ref:folder`.
//!
//! The user's own `git` fetches it, with the user's own credentials; how repositories are named is Docker's rule.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, ErrorKind, Result};

/// A repository, what of it to check out, and which directory of that is the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitContext {
    remote: String,
    /// A branch, tag or commit; the remote's default branch if there is none.
    reference: Option<String>,
    folder: Option<String>,
}

impl GitContext {
    /// Reads a context as it is given on the command line; `None` if it is not a repository.
    ///
    /// Over HTTP the path must end with `.git`, or anything on the web would be one.
    pub fn parse(text: &str) -> Option<Self> {
        let (remote, fragment) = text.split_once('#').unwrap_or((text, ""));
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| remote.starts_with(prefix));
        let remote = match remote {
            _ if starts(&["https://", "http://"]) && remote.strip_suffix(".git").is_some() => {
                remote.to_owned()
            }
            _ if starts(&["git://", "ssh://", "git@"]) => remote.to_owned(),
            _ if starts(&["github.com/"]) => format!("https://{remote}"),
            _ => return None,
        };
        let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Some(Self { remote, reference: given(reference), folder: given(folder) })
    }

    /// Checks it out below `target`, an empty directory, with `git`; gives the directory that is the context. The
    /// repository's own records are not in it.
    pub fn check_out(&self, git: &Path, target: &Path) -> Result<PathBuf> {
        let run = |arguments: &[&str]| self.run(git, target, arguments);
        let reference = self.reference.as_deref().unwrap_or("HEAD");
        if reference.starts_with('-') {
            return Err(self.failed("a reference does not begin with `-`"));
        }
        run(&["init", "--quiet"])?;
        // Not every server gives out a commit by its name; all give out everything.
        let shallow = run(&["fetch", "--quiet", "--depth=1", "--", &self.remote, reference]);
        match shallow {
            Ok(()) => run(&["checkout", "--quiet", "FETCH_HEAD"])?,
            Err(error) if !is_commit(reference) => return Err(error),
            Err(_) => {
                run(&["fetch", "--quiet", "--tags", "--", &self.remote, "+refs/*:refs/remotes/origin/*"])?;
                run(&["checkout", "--quiet", "--detach", reference])?;
            }
        }
        run(&["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"])?;
        let records = target.join(".git");
        fs::remove_dir_all(&records).map_err(Error::io("remove", &records))?;
        self.folder_in(target)
    }

    fn folder_in(&self, target: &Path) -> Result<PathBuf> {
        let folder = self.folder.as_deref().unwrap_or_default().trim_start_matches('/');
        let root = fs::canonicalize(target).map_err(Error::io("read", target))?;
        let found = fs::canonicalize(root.join(folder)).ok();
        let inside = found.filter(|found| found.starts_with(&root) && found.is_dir());
        inside.ok_or_else(|| self.failed(&format!("it has no directory `{folder}`")))
    }

    fn run(&self, git: &Path, target: &Path, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(git);
        // Nobody is there to answer.
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .arg("-C")
            .arg(target)
            .args(arguments.iter().map(OsStr::new));
        let output = command.output().map_err(Error::io("run", git))?;
        if output.status.success() {
            return Ok(());
        }
        Err(self.failed(String::from_utf8_lossy(&output.stderr).trim()))
    }

    fn failed(&self, answer: &str) -> Error {
        let source = io::Error::other(answer.to_owned());
        ErrorKind::GitContext { remote: without_password(&self.remote), source }.into()
    }
}

/// Whether a reference can only be a commit's name.
fn is_commit(reference: &str) -> bool {
    reference.len() >= 7 && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A URL for messages: without what stands before the host.
fn without_password(remote: &str) -> String {
    match remote.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = authority.rsplit('@').next().unwrap_or(authority);
            format!("{scheme}://{host}/{path}")
        }
        None => remote.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_named_as_docker_names_them() {
        let parse = |text: &str| {
            let GitContext { remote, reference, folder } = GitContext::parse(text)?;
            Some(format!("{remote} {} {}", reference.unwrap_or_default(), folder.unwrap_or_default()))
        };
        let url = "https://example.org/a.git";
        assert_eq!(parse(url), Some(format!("{url}  ")));
        assert_eq!(parse(&format!("{url}#v1:sub/x")), Some(format!("{url} v1 sub/x")));
        assert_eq!(parse(&format!("{url}#:sub")), Some(format!("{url}  sub")));
        assert_eq!(parse("git@example.org:a/b#x").as_deref(), Some("git@example.org:a/b x "));
        assert_eq!(parse("github.com/a/b").as_deref(), Some("https://github.com/a/b  "));
        for text in ["https://example.org/a", "./a.git", ".", "-", "a.git"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(without_password("https://me:secret@example.org/a.git"), "https://example.org/a.git");
    }

    fn git(folder: &Path, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
        let mut command = Command::new("git");
        let output = command.arg("-C").arg(folder).args(identity).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn a_repository_is_checked_out() {
        let origin = tempfile::tempdir().unwrap();
        let root = origin.path();
        git(root, &["init", "--quiet"]);
        let mut commits = Vec::new();
        for text in ["one", "two"] {
            fs::create_dir_all(root.join("sub")).unwrap();
            fs::write(root.join("sub/a"), text).unwrap();
            git(root, &["add", "."]);
            git(root, &["commit", "--quiet", "--message", text]);
            commits.push(git(root, &["rev-parse", "HEAD"]));
        }
        git(root, &["tag", "last"]);
        let check_out = |reference: Option<&str>, folder: Option<&str>| {
            let target = tempfile::tempdir().unwrap();
            let context = GitContext {
                remote: format!("file://{}", root.display()),
                reference: reference.map(str::to_owned),
                folder: folder.map(str::to_owned),
            };
            let folder = context.check_out("git".as_ref(), target.path())?;
            assert!(!target.path().join(".git").exists());
            Ok::<_, Error>(fs::read_to_string(folder.join("a")).unwrap_or_else(|_| "no file".to_owned()))
        };
        assert_eq!(check_out(None, Some("sub")).unwrap(), "two");
        assert_eq!(check_out(Some("last"), Some("/sub")).unwrap(), "two");
        assert_eq!(check_out(Some(&commits[0]), Some("sub")).unwrap(), "one");
        assert_eq!(check_out(Some(&commits[0][..9]), Some("sub")).unwrap(), "one");
        assert_eq!(check_out(None, None).unwrap(), "no file");
        for (reference, folder) in [
            (Some("nothing"), None),
            (Some("--upload-pack=x"), None),
            (None, Some("..")),
            (None, Some("none")),
        ] {
            let error = check_out(reference, folder).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::GitContext { .. }), "{error}");
        }
    }
}
