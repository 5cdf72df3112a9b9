//! Files of a git repository: of `ADD https://example.org/team/app.git#ref:folder`, and of a build context.
//!
//! The user's own `git` fetches them, with the user's own credentials; how repositories are named, and what of one becomes
//! files, are BuildKit's rules. A reference is asked for every time, because it may mean another commit now; a commit is
//! checked out once, and then kept in the store as a tar.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use cartwheel_oci::layer::{Content, Entry, Tree, TreeError, write_tar};
use cartwheel_store::{Digest, Key, Record, Store};
use cartwheel_transfer::{redact, without_credentials};
use serde::{Deserialize, Serialize};

use super::tree::ContextTree;
use crate::error::{Error, ErrorKind, Result};
use crate::files::join;
use crate::scratch::Scratch;

/// A repository, what of it to check out, and which directory of that is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitSource {
    remote: String,
    /// A branch, tag or commit; the remote's default branch if there is none.
    reference: Option<String>,
    folder: Option<String>,
    /// How the commit must begin.
    commit: Option<String>,
    submodules: bool,
    /// Whether `.git` is among the files.
    keeps_records: bool,
}

/// The files of a commit.
#[derive(Serialize, Deserialize)]
struct CheckoutRecord {
    /// A tar.
    files: Digest,
}

impl Record for CheckoutRecord {
    const KIND: &'static str = "checkout-1";
}

/// A name in a repository, and the commit that it is.
struct Resolved {
    name: String,
    commit: String,
}

impl GitSource {
    /// Reads a repository as it is named on the command line or in a Dockerfile; `None` if it is none.
    ///
    /// Over HTTP the path must end with `.git`, or anything on the web would be one.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (remote, query) = address.split_once('?').unwrap_or((address, ""));
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| remote.starts_with(prefix));
        let remote = match remote {
            _ if starts(&["https://", "http://"]) && remote.strip_suffix(".git").is_some() => {
                remote.to_owned()
            }
            _ if starts(&["git://", "ssh://"]) || is_scp(remote) => remote.to_owned(),
            _ if starts(&["github.com/"]) => format!("https://{remote}"),
            _ => return None,
        };
        let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let mut source = Self {
            remote,
            reference: given(reference),
            folder: given(folder),
            submodules: true,
            ..Self::default()
        };
        query.split('&').for_each(|parameter| source.take(parameter));
        Some(source)
    }

    /// One parameter of the query, which says what the fragment can say, and more.
    fn take(&mut self, parameter: &str) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, "true"));
        let is_true = || matches!(value, "true" | "1");
        match name {
            "ref" => self.reference = Some(value.to_owned()),
            "tag" => self.reference = Some(format!("refs/tags/{value}")),
            "branch" => self.reference = Some(format!("refs/heads/{value}")),
            "subdir" => self.folder = Some(value.to_owned()),
            "commit" | "checksum" => self.commit = Some(value.to_owned()),
            "submodules" => self.submodules = is_true(),
            "keep-git-dir" => self.keeps_records = is_true(),
            _ => {}
        }
    }

    /// The same at a commit that begins like this.
    #[must_use]
    pub fn at_commit(self, commit: Option<&str>) -> Self {
        Self { commit: commit.map(str::to_owned).or(self.commit), ..self }
    }

    /// The same with `.git` among the files, or without.
    #[must_use]
    pub fn keeping_records(self, keeps_records: bool) -> Self {
        Self { keeps_records, ..self }
    }

    /// The files, fetched with `git` unless the store has those of this commit.
    pub fn files(&self, store: &Store, git: &Path) -> Result<ContextTree> {
        let resolved = self.resolve(git)?;
        if let Some(wanted) = &self.commit
            && !resolved.commit.starts_with(wanted.as_str())
        {
            let (remote, found) = (self.shown(), resolved.commit);
            return Err(ErrorKind::GitCommit { remote, expected: wanted.clone(), found }.into());
        }
        let key = Key::<CheckoutRecord>::new()
            .with("commit", &resolved.commit)
            .with("folder", self.folder.as_deref().unwrap_or_default())
            .with("name", if self.keeps_records { &resolved.name } else { "" })
            // Submodules may be named by a path that is relative to it.
            .with("remote", Digest::of(without_credentials(&self.remote).as_bytes()))
            .with("with", format!("{} {}", self.submodules, self.keeps_records));
        let known = store.get(&key).and_then(|record| store.blob(record.files));
        let blob = if let Some(blob) = known {
            blob
        } else {
            let scratch = Scratch::new(store)?;
            let files = self.check_out(git, &resolved, &scratch.folder("checkout")?)?;
            let mut writer = store.writer()?;
            let failed = |source| ErrorKind::Layer { what: format!("`{}`", self.shown()), source };
            write_tar(&files, &mut writer).map_err(failed)?;
            let (files, blob) = writer.commit()?;
            store.put(&key, &CheckoutRecord { files })?;
            blob
        };
        ContextTree::of_archive(store, &blob)?.map_or_else(|| ContextTree::empty(store), Ok)
    }

    /// What the reference means now. Branches count more than tags.
    fn resolve(&self, git: &Path) -> Result<Resolved> {
        let reference = self.reference.as_deref().unwrap_or("HEAD");
        if is_commit(reference) {
            return Ok(Resolved { name: reference.to_owned(), commit: reference.to_owned() });
        }
        let here = Path::new(".");
        let listed = self.run(
            git,
            here,
            &["ls-remote", "--quiet", "--", &self.remote, reference, &format!("{reference}^{{}}")],
        )?;
        let found = |name: &str| {
            let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
            lines.find(|(_, found)| *found == name).map(|(commit, _)| commit.to_owned())
        };
        let names = ["refs/heads/", "refs/tags/", "refs/", ""].map(|prefix| format!("{prefix}{reference}"));
        for name in names {
            // What an annotated tag is of comes as a line of its own.
            if let Some(commit) = found(&format!("{name}^{{}}")).or_else(|| found(&name)) {
                return Ok(Resolved { name, commit });
            }
        }
        Err(self.failed(&format!("it has no branch, tag or other reference `{reference}`")))
    }

    /// Checks the commit out in `target`, an empty directory, and lists its files. Their contents stay there.
    fn check_out(&self, git: &Path, resolved: &Resolved, target: &Path) -> Result<Tree> {
        let run = |arguments: &[&str]| self.run(git, target, arguments).map(drop);
        run(&["init", "--quiet"])?;
        self.fetch(&run, resolved)?;
        run(&["checkout", "--quiet", "--detach", &resolved.commit])?;
        if self.submodules {
            run(&["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"])?;
        }
        let records = target.join(".git");
        if self.keeps_records && self.folder.is_none() {
            run(&["remote", "add", "origin", &without_credentials(&self.remote)])?;
            // These tell of this checkout, and by which address it was made.
            run(&["reflog", "expire", "--all", "--expire=now"])?;
            for name in ["FETCH_HEAD", "ORIG_HEAD"] {
                let _may_not_be_there = fs::remove_file(records.join(name));
            }
        } else {
            fs::remove_dir_all(&records).map_err(Error::io("remove", &records))?;
        }
        let mut files = Tree::new();
        collect(&mut files, &self.folder_in(target)?, "")?;
        Ok(files)
    }

    /// Fetches the commit, and as little else as the server knows to leave out.
    fn fetch(&self, run: &dyn Fn(&[&str]) -> Result<()>, resolved: &Resolved) -> Result<()> {
        let Resolved { name, commit } = resolved;
        let into = if is_commit(name) || name == "HEAD" { name.clone() } else { format!("+{name}:{name}") };
        let fetch = |options: &[&str], what: &[&str]| {
            let fixed = ["fetch", "--quiet", "--no-tags", "--update-head-ok"];
            run(&[&fixed[..], options, &["--", &self.remote], what].concat())
        };
        // Not every server gives out a commit by its name, nor has a plain web server histories that are cut; all give out
        // everything.
        let is_there = || run(&["cat-file", "-e", commit]);
        fetch(&["--depth=1"], &[&into])
            .and_then(|()| is_there())
            .or_else(|_| fetch(&[], &["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]))?;
        is_there().map_err(|_| self.failed(&format!("it has no commit `{commit}`")))
    }

    fn folder_in(&self, target: &Path) -> Result<std::path::PathBuf> {
        let folder = self.folder.as_deref().unwrap_or_default().trim_start_matches('/');
        let root = fs::canonicalize(target).map_err(Error::io("read", target))?;
        let found = fs::canonicalize(root.join(folder)).ok();
        let inside = found.filter(|found| found.starts_with(&root) && found.is_dir());
        inside.ok_or_else(|| self.failed(&format!("it has no directory `{folder}`")))
    }

    /// What git says on its standard output.
    fn run(&self, git: &Path, folder: &Path, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(git);
        // Nobody is there to answer; and no other repository is meant than the one that is named.
        command.env("GIT_TERMINAL_PROMPT", "0");
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
            command.env_remove(variable);
        }
        command.arg("-C").arg(folder).args(arguments.iter().map(OsStr::new));
        let output = command.output().map_err(Error::io("run", git))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(self.failed(String::from_utf8_lossy(&output.stderr).trim()))
    }

    /// The address for messages.
    fn shown(&self) -> String {
        redact(&self.remote)
    }

    fn failed(&self, answer: &str) -> Error {
        let source = io::Error::other(redact(answer));
        ErrorKind::Git { remote: self.shown(), source }.into()
    }
}

/// Adds what is in the directory `root`, below `path`: as a checkout of root's with the usual mask would have it.
fn collect(tree: &mut Tree, root: &Path, path: &str) -> Result<()> {
    let folder = root.join(path);
    for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
        let place = entry.map_err(Error::io("list", &folder))?.path();
        let not_unicode = || ErrorKind::NotUnicode { path: place.clone() };
        let name = place.file_name().and_then(OsStr::to_str).ok_or_else(not_unicode)?;
        let child = join(path, name);
        let found = fs::symlink_metadata(&place).map_err(Error::io("read", &place))?;
        let entry = if found.is_dir() {
            Entry::directory()
        } else if found.is_symlink() {
            let target = fs::read_link(&place).map_err(Error::io("read", &place))?;
            Entry::symlink(target.to_str().ok_or_else(not_unicode)?)
        } else {
            let mode = found.permissions().mode();
            let content = Content::File { path: place, size: found.len() };
            let entry = Entry::file(content, mode & 0o100 != 0);
            // Git's own objects are for nobody to write.
            if mode & 0o200 == 0 { entry.with_mode(0o444) } else { entry }
        };
        let refused = |source: TreeError| ErrorKind::Tree { what: format!("`{child}`"), source };
        tree.insert(child.clone(), entry).map_err(refused)?;
        if found.is_dir() {
            collect(tree, root, &child)?;
        }
    }
    Ok(())
}

/// Whether a reference can only be a commit's name.
fn is_commit(reference: &str) -> bool {
    matches!(reference.len(), 40 | 64) && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `user@host:path`, as `scp` and ssh have it.
fn is_scp(remote: &str) -> bool {
    let word = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let parts = remote.split_once('@').and_then(|(user, rest)| Some((user, rest.split_once(':')?.0)));
    parts.is_some_and(|(user, host)| word(user, "_-") && word(host, ".-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_named_as_docker_names_them() {
        let parse = |text: &str| {
            let GitSource { remote, reference, folder, .. } = GitSource::parse(text)?;
            Some(format!("{remote} {} {}", reference.unwrap_or_default(), folder.unwrap_or_default()))
        };
        let url = "https://example.org/a.git";
        assert_eq!(parse(url), Some(format!("{url}  ")));
        assert_eq!(parse(&format!("{url}#v1:sub/x")), Some(format!("{url} v1 sub/x")));
        assert_eq!(parse(&format!("{url}#:sub")), Some(format!("{url}  sub")));
        assert_eq!(parse(&format!("{url}?tag=v1&subdir=x")), Some(format!("{url} refs/tags/v1 x")));
        assert_eq!(parse("git@example.org:a/b#x").as_deref(), Some("git@example.org:a/b x "));
        assert_eq!(parse("ssh://me@example.org/a").as_deref(), Some("ssh://me@example.org/a  "));
        assert_eq!(parse("github.com/a/b").as_deref(), Some("https://github.com/a/b  "));
        for text in ["https://example.org/a", "./a.git", ".", "-", "a.git", "a@b", "../a@b:c"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    fn git(folder: &Path, arguments: &[&str]) -> String {
        let identity =
            ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"];
        let mut command = Command::new("git");
        let output = command.arg("-C").arg(folder).args(identity).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A repository of two commits, the first with a tag, and their names.
    fn repository(root: &Path) -> [String; 2] {
        git(root, &["init", "--quiet"]);
        ["one", "two"].map(|text| {
            fs::create_dir_all(root.join("sub")).unwrap();
            fs::write(root.join("sub/a"), text).unwrap();
            fs::set_permissions(root.join("sub/a"), fs::Permissions::from_mode(0o700)).unwrap();
            git(root, &["add", "."]);
            git(root, &["commit", "--quiet", "--message", text]);
            if text == "one" {
                git(root, &["tag", "--annotate", "v1", "--message", "first"]);
            }
            git(root, &["rev-parse", "HEAD"])
        })
    }

    #[test]
    fn a_commit_becomes_files() {
        let (origin, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let commits = repository(origin.path());
        let store = Store::open(home.path()).unwrap();
        let remote = format!("file://{}", origin.path().display());
        let source = |fragment: &str| {
            let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
            let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let (reference, folder) = (given(reference), given(folder));
            GitSource { remote: remote.clone(), reference, folder, ..GitSource::default() }
        };
        let files = |source: &GitSource| source.files(&store, "git".as_ref());
        let text = |fragment: &str| {
            let tree = files(&source(fragment)).unwrap();
            let content = |(path, _)| Some(String::from_utf8(tree.content(path)?.read().unwrap()).unwrap());
            assert!(tree.iter().all(|(path, _)| !path.starts_with(".git")));
            tree.iter().filter_map(content).collect::<Vec<_>>().concat()
        };
        for (fragment, expected) in [
            ("", "two"),
            ("main", "two"),
            ("v1", "one"),
            ("refs/tags/v1:sub", "one"),
            (&commits[0], "one"),
            (&format!("{}:/sub", commits[1]), "two"),
        ] {
            assert_eq!(text(fragment), expected, "{fragment}");
        }
        let tree = files(&source("v1").keeping_records(true)).unwrap();
        assert_eq!(tree.get("sub/a").unwrap().permissions.mode, 0o755);
        let kept = |name: &str| String::from_utf8(tree.content(name).unwrap().read().unwrap()).unwrap();
        assert_eq!(kept(".git/HEAD").trim(), commits[0]);
        assert!(kept(".git/config").contains(&remote) && tree.get(".git/FETCH_HEAD").is_none());
        // A reference is asked for anew, a commit is not.
        fs::write(origin.path().join("sub/a"), "three").unwrap();
        git(origin.path(), &["commit", "--quiet", "--all", "--message", "three"]);
        assert_eq!(text("main"), "three");
        drop(origin);
        assert_eq!(text(&commits[0]), "one");
    }

    #[test]
    fn what_cannot_be_had_is_told_without_passwords() {
        let (origin, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let commits = repository(origin.path());
        let store = Store::open(home.path()).unwrap();
        let remote = format!("file://{}", origin.path().display());
        let fails = |source: GitSource| source.files(&store, "git".as_ref()).unwrap_err();
        let source = GitSource { remote, ..GitSource::default() };
        let with = |reference: &str, folder: &str| GitSource {
            reference: Some(reference.to_owned()),
            folder: Some(folder.to_owned()),
            ..source.clone()
        };
        for (source, part) in [
            (with("nothing", ""), "no branch, tag or other reference `nothing`"),
            (with("--upload-pack=x", ""), "no branch, tag"),
            (with("main", ".."), "no directory `..`"),
            (with("main", "none"), "no directory `none`"),
            (with(&"0".repeat(40), ""), "it has no commit `0000"),
        ] {
            let error = fails(source);
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains(part), "{cause}");
        }
        let error = fails(source.clone().at_commit(Some(&commits[0])));
        let expected = format!("is at commit `{}`, and not at `{}`", commits[1], commits[0]);
        assert!(error.to_string().contains(&expected), "{error}");
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let secret = GitSource { remote: format!("http://me:secret@{closed}/a.git"), ..source };
        let error = fails(secret);
        let whole = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(whole.contains("/a.git`") && !whole.contains("secret"), "{whole}");
    }
}
