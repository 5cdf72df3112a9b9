//! Git repositories as sources of `ADD` and as build contexts, from a server that is git's own.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::project::{Project, listing};

/// A repository of two commits, the first of which has a tag, and its address.
struct Repository {
    url: String,
    commits: [String; 2],
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").arg("-C").arg(folder).args(identity).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Repository {
    fn of(project: &Project) -> Self {
        let root = project.path("repository");
        fs::create_dir_all(&root).unwrap();
        git(&root, &["init", "--quiet"]);
        let commits = ["one", "two"].map(|text| {
            project.write("repository/sub/a", text);
            project.write("repository/Dockerfile", "FROM scratch\nCOPY . /c/\n");
            project.write("repository/.dockerignore", "sub\n");
            git(&root, &["add", "."]);
            git(&root, &["commit", "--quiet", "--message", text]);
            if text == "one" {
                git(&root, &["tag", "--annotate", "v1", "--message", "first"]);
            }
            git(&root, &["rev-parse", "HEAD"])
        });
        Self { url: format!("git://{}/repository", serve(project.path(""))), commits }
    }
}

/// Serves the repositories below `folder`; gives the address.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let input = OwnedFd::from(stream.unwrap());
            let output = input.try_clone().unwrap();
            let mut daemon = Command::new("git");
            daemon.args(["daemon", "--inetd", "--export-all"]);
            daemon.arg(format!("--base-path={}", folder.display()));
            daemon.stdin(Stdio::from(input)).stdout(Stdio::from(output)).stderr(Stdio::null());
            let _gone_with_its_client = daemon.status().unwrap();
        }
    });
    address
}

#[expect(clippy::disallowed_methods, reason = "`git` is the machine's")]
fn build(project: &Project, context: &str, arguments: &[&str]) -> Output {
    let mut command = project.command();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command.args(["build", context, "--platform", "linux/amd64"]).args(arguments).output().unwrap()
}

/// The files of the image that a build gives.
fn files(project: &Project, context: &str, arguments: &[&str]) -> Vec<String> {
    let _not_there = fs::remove_dir_all(project.path("out"));
    let output = build(project, context, &[arguments, &["-o", "out"]].concat());
    assert!(output.status.success(), "{context}: {}", String::from_utf8_lossy(&output.stderr));
    let root = project.path("out");
    let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
    listing(&root).keys().map(name).collect()
}

fn message(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn add_takes_a_repository() {
    let project = Project::new();
    let Repository { url, commits } = Repository::of(&project);
    let add = |flags: &str, source: &str| {
        project.write("context/Dockerfile", &format!("FROM scratch\nADD {flags} {url}{source} /g/\n"));
    };
    let text = || fs::read_to_string(project.path("out/g/sub/a")).unwrap();
    add("", "");
    assert_eq!(files(&project, "context", &[]), ["g/.dockerignore", "g/Dockerfile", "g/sub/a"]);
    assert_eq!(text(), "two");
    add("", "#v1:sub");
    assert_eq!(files(&project, "context", &[]), ["g/a"]);
    add("--exclude=sub", &format!("#{}", commits[0]));
    assert_eq!(files(&project, "context", &[]), ["g/.dockerignore", "g/Dockerfile"]);
    add("--keep-git-dir=true", "?tag=v1");
    let kept = files(&project, "context", &[]);
    assert!(kept.contains(&"g/.git/HEAD".to_owned()) && kept.contains(&"g/sub/a".to_owned()), "{kept:?}");
    assert_eq!(git(&project.path("out/g"), &["status", "--porcelain"]), "");
    assert_eq!(git(&project.path("out/g"), &["describe"]), "v1");
    // The tag's commit is another one now: the tag is asked for, the commit that was asked for is not.
    let moved = format!("--checksum={}", &commits[0]);
    add(&moved, "#v1");
    assert_eq!(files(&project, "context", &[]).len(), 3);
    git(&project.path("repository"), &["tag", "--force", "v1", "HEAD"]);
    let output = build(&project, "context", &[]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("is at commit `{}`, and not at `{}`", commits[1], commits[0])), "{told}");
    add("", "#nowhere");
    let told = message(&build(&project, "context", &[]));
    assert!(told.contains("Dockerfile:2: ") && told.contains("reference `nowhere`"), "{told}");
}

#[test]
fn a_repository_is_a_build_context() {
    let project = Project::new();
    let Repository { url, commits } = Repository::of(&project);
    // No ignore file is read from it, as in BuildKit.
    let all = ["c/.dockerignore", "c/Dockerfile", "c/sub/a"];
    assert_eq!(files(&project, &url, &[]), all);
    assert_eq!(files(&project, &format!("{url}#{}", commits[0]), &[]), all);
    assert_eq!(fs::read_to_string(project.path("out/c/sub/a")).unwrap(), "one");
    let kept = files(&project, &format!("{url}#v1"), &["--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"]);
    assert!(kept.contains(&"c/.git/HEAD".to_owned()), "{kept:?}");
    project.write(
        "context/Dockerfile",
        "FROM code AS one\nFROM scratch\nCOPY --from=code a /b\nCOPY --from=one / /all/\n",
    );
    let named = format!("code={url}#main:sub");
    assert_eq!(files(&project, "context", &["--build-context", &named]), ["all/a", "b"]);
    project.write("Other", "FROM scratch\nCOPY sub /s\n");
    let output = build(&project, &format!("{url}#main:sub"), &[]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("there is no `Dockerfile` in the build context"), "{told}");
}

#[test]
fn passwords_of_repositories_are_kept_nowhere() {
    let project = Project::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://me:secret@{closed}/team/app.git");
    project.write("context/Dockerfile", &format!("FROM scratch\nADD {url} /g/\n"));
    for context in ["context", &url] {
        let told = message(&build(&project, context, &[]));
        assert!(told.contains("/team/app.git`") && !told.contains("secret"), "{told}");
    }
    for (path, _) in listing(&project.path("home")) {
        let bytes = fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("secret"), "{}", path.display());
    }
}
