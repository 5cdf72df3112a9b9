//! What uv answers, against an index of our own.

use std::path::{Path, PathBuf};

use cartwheel_python::{
    Arch, ErrorKind, IndexSettings, IndexStrategy, InstallRules, InstalledDistribution, Libc, LockSelection,
    LockfileError, PythonVersion, Requirements, Resolution, ResolveError, ResolveRequest, ResolveSource,
    Target, Upgrade, WheelLocation, resolve,
};
use cartwheel_store::Digest;
use cartwheel_testkit::index::PackageIndex;
use cartwheel_testkit::{WheelBuilder, peers};
use tempfile::TempDir;

pub(crate) fn request(uv: &Path, folder: &Path) -> ResolveRequest {
    ResolveRequest {
        uv: uv.to_owned(),
        interpreter: None,
        folder: folder.to_owned(),
        source: ResolveSource::Requirements(Requirements::default()),
        target: Target {
            python: PythonVersion::new(3, 13),
            arch: Arch::Aarch64,
            libc: Libc::Glibc { major: 2, minor: 36 },
        },
        index: IndexSettings::default(),
        no_dependencies: false,
        rules: InstallRules::default(),
        previous: None,
    }
}

/// An index, and a request that asks it.
struct Case {
    index: PackageIndex,
    request: ResolveRequest,
    folder: TempDir,
}

impl Case {
    fn new() -> Self {
        let (index, folder) = (PackageIndex::start(), TempDir::new().unwrap());
        let uv = peers::uv();
        let mut request = request(&uv, folder.path());
        // uv lies in an environment whose Python will do; to search for one takes longer than all else.
        request.interpreter = Some(uv.with_file_name("python")).filter(|python| python.exists());
        request.index.index_url = Some(index.url());
        // uv's settings may name a cache that knows an earlier index on this port.
        std::fs::write(folder.path().join("uv.toml"), "cache-dir = \"./uv-cache\"\n").unwrap();
        Self { index, request, folder }
    }

    fn add(&self, name: &str, version: &str, tag: &str, requires: &[&str]) -> Vec<u8> {
        let mut metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        let mut wheel = WheelBuilder::new(name, version).tag(tag);
        for requirement in requires {
            let line = format!("Requires-Dist: {requirement}");
            wheel = wheel.metadata(&line);
            metadata.extend([line.as_str(), "\n"]);
        }
        let bytes = wheel.build();
        self.index.add(&wheel.filename(), bytes.clone(), Some(&metadata));
        bytes
    }

    fn ask(&mut self, text: &str) -> &mut Self {
        let path = self.folder.path().join("r.txt");
        std::fs::write(&path, text).unwrap();
        let requirements = Requirements::read(&path, &|_| None).unwrap();
        self.request.source = ResolveSource::Requirements(requirements);
        self
    }

    fn resolve(&self) -> Resolution {
        resolve(&self.request).unwrap_or_else(|error| panic!("{error}"))
    }

    fn error(&self) -> cartwheel_python::Error {
        resolve(&self.request).unwrap_err()
    }
}

fn names(resolution: &Resolution) -> Vec<String> {
    let packages = resolution.packages.iter();
    packages.map(|package| format!("{}=={}", package.name, package.version)).collect()
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn wheels_are_chosen_for_the_target_and_ordered_as_pip_installs() {
    let mut case = Case::new();
    case.add(
        "app",
        "1",
        "py3-none-any",
        &["lib>=1", "Other_Lib ; sys_platform == 'linux'", "nope; os_name == 'nt'"],
    );
    case.add("lib", "1", "py3-none-any", &[]);
    case.add("lib", "2", "cp313-cp313-manylinux_2_17_x86_64", &["wrong"]);
    let best = case.add("lib", "2", "cp313-cp313-manylinux_2_17_aarch64", &[]);
    case.add("lib", "2", "py3-none-any", &[]);
    case.add("other_lib", "1", "py3-none-any", &["lib"]);
    let resolution = case.ask("app").resolve();
    assert_eq!(names(&resolution), ["lib==2", "other-lib==1", "app==1"]);
    let lib = &resolution.packages[0];
    assert_eq!(lib.filename, "lib-2-cp313-cp313-manylinux_2_17_aarch64.whl");
    assert_eq!((lib.digest, lib.size, lib.direct), (Digest::of(&best), Some(best.len() as u64), false));
    assert_eq!(lib.location, WheelLocation::Url(case.index.file_url(&lib.filename)));
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn one_more_requirement_leaves_the_others_alone() {
    let mut case = Case::new();
    case.add("a", "1", "py3-none-any", &[]);
    case.add("b", "1", "py3-none-any", &[]);
    let first = case.ask("a").resolve();
    case.add("a", "2", "py3-none-any", &[]);
    case.request.previous = Some(first.pylock);
    let second = case.ask("a\nb").resolve();
    assert_eq!(names(&second), ["b==1", "a==1"]);
    // The same again asks the index nothing.
    case.request.previous = Some(second.pylock.clone());
    let before = case.index.request_count();
    assert_eq!(case.ask("b\na").resolve(), second);
    assert_eq!(case.index.request_count(), before);
    case.request.previous = None;
    assert_eq!(names(&case.ask("a").resolve()), ["a==2"]);
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn what_was_never_chosen_comes_from_the_index_even_if_it_is_cached() {
    let mut case = Case::new();
    case.add("a", "1", "py3-none-any", &[]);
    case.add("b", "1", "py3-none-any", &[]);
    case.ask("b").resolve();
    let previous = case.ask("a").resolve().pylock;
    case.add("b", "2", "py3-none-any", &[]);
    case.request.previous = Some(previous);
    assert_eq!(names(&case.ask("a\nb").resolve()), ["b==2", "a==1"]);
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn a_uv_lock_is_taken_as_it_is() {
    let mut case = Case::new();
    let digest = Digest::of(b"");
    let text = |name: &str, rest: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1\"\n{rest}\n");
    let url = "http://127.0.0.1:9/a-1-py3-none-any.whl";
    let wheel = format!(
        "source = {{ registry = \"http://127.0.0.1:9/simple\" }}\nwheels = [{{ url = \"{url}\", hash = \"{digest}\", \
         size = 0 }}]"
    );
    let root = "source = { virtual = \".\" }\ndependencies = [{ name = \"a\" }]\n[package.metadata]\nrequires-dist = \
                [{ name = \"a\" }]";
    let lock = format!(
        "version = 1\nrevision = 3\nrequires-python = \">=3.12\"\n{}{}",
        text("a", &wheel),
        text("p", root)
    );
    std::fs::write(case.folder.path().join("uv.lock"), lock).unwrap();
    let project =
        "[project]\nname = \"p\"\nversion = \"1\"\nrequires-python = \">=3.12\"\ndependencies = [\"a\"]\n";
    std::fs::write(case.folder.path().join("pyproject.toml"), project).unwrap();
    case.request.source =
        ResolveSource::UvLock { project: case.folder.path().to_owned(), selection: LockSelection::default() };
    let resolution = case.resolve();
    assert_eq!(names(&resolution), ["a==1"]);
    assert_eq!(resolution.packages[0].location, WheelLocation::Url(url.to_owned()));
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn all_indexes_are_equal() {
    let mut case = Case::new();
    let other = Case::new();
    case.add("a", "1", "py3-none-any", &[]);
    other.add("a", "2", "py3-none-any", &[]);
    let text = format!("--extra-index-url {}\na", other.index.url());
    assert_eq!(names(&case.ask(&text).resolve()), ["a==2"]);
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn hashes_choose_wheels_and_must_be_complete() {
    let mut case = Case::new();
    case.add("a", "1", "cp313-cp313-manylinux_2_17_aarch64", &["b"]);
    let pure = case.add("a", "1", "py3-none-any", &["b"]);
    let b = case.add("b", "1", "py3-none-any", &[]);
    let hash = |bytes: &[u8]| Digest::of(bytes);
    let both = format!("a==1 --hash={}\nb==1 --hash={}", hash(&pure), hash(&b));
    let resolution = case.ask(&both).resolve();
    assert_eq!(resolution.packages[1].filename, "a-1-py3-none-any.whl");
    let error = case.ask(&format!("a==1 --hash={}", hash(&pure))).error();
    assert!(matches!(error.kind(), ErrorKind::Resolve(ResolveError::Unlisted { name, .. }) if name == "b"));
    let error = case.ask(&format!("a==1 --hash={0}\nb==1 --hash={0}", hash(&pure))).error();
    assert!(
        error.to_string().contains("package `b` in the lockfile has no wheel with one of the hashes"),
        "{error}"
    );
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn credentials_leave_no_trace() {
    let mut case = Case::new();
    case.add("a", "1", "py3-none-any", &[]);
    case.index.require_login("user", "hunter2");
    let error = case.ask("a").error();
    assert!(matches!(error.kind(), ErrorKind::Resolve(ResolveError::Unauthorized { .. })), "{error}");
    case.request.index.index_url = Some(case.index.url_with_login().replace("hunter2", "wrong-one"));
    let error = case.ask("a").error();
    assert!(!error.to_string().contains("wrong-one"), "{error}");
    case.request.index.index_url = Some(case.index.url_with_login());
    let resolution = case.resolve();
    assert!(!format!("{resolution:?}").contains("hunter2"), "{resolution:?}");
    let options = cartwheel_python::FetchOptions {
        credentials: case.request.credentials(),
        ..cartwheel_python::FetchOptions::default()
    };
    let store = cartwheel_store::Store::open(case.folder.path()).unwrap();
    cartwheel_python::fetch(&store, &resolution.packages, &options, |_| {}, |_, _| {}).unwrap();
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn what_cannot_be_had_is_explained() {
    let mut case = Case::new();
    let error = case.ask("nowhere").error();
    assert!(matches!(error.kind(), ErrorKind::Resolve(ResolveError::Unsatisfiable { .. })), "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");
    case.add("a", "1", "cp313-cp313-win_amd64", &[]);
    let error = case.ask("a==1").error();
    let ErrorKind::Lockfile(LockfileError::NoWheel { name, tags, .. }) = error.kind() else {
        panic!("{error}")
    };
    assert_eq!((name.as_str(), tags.as_slice()), ("a", ["cp313-cp313-win_amd64".to_owned()].as_slice()));
    case.index.add("b-1.tar.gz", b"", None);
    let error = case.ask("b==1").error();
    assert!(
        matches!(error.kind(), ErrorKind::Lockfile(LockfileError::NeedsBuild { name, .. }) if name == "b"),
        "{error}"
    );
    let error = case.ask("--no-binary a\n-e .").error();
    assert!(matches!(error.kind(), ErrorKind::Lockfile(LockfileError::NeedsBuild { .. })), "{error}");
    let error = case.ask("--index-url http://u:secret@127.0.0.1:1/simple\na").error();
    let ErrorKind::Resolve(resolve) = error.kind() else { panic!("{error}") };
    assert!(resolve.is_environment() && error.to_string().contains("127.0.0.1:1"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    case.request.uv = PathBuf::from("/no/such/uv");
    assert!(matches!(case.ask("a").error().kind(), ErrorKind::Resolve(ResolveError::Run { .. })));
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn wheels_on_disk_are_resolved() {
    let mut case = Case::new();
    let wheel = WheelBuilder::new("local", "1");
    std::fs::create_dir(case.folder.path().join("w")).unwrap();
    std::fs::write(case.folder.path().join("w").join(wheel.filename()), wheel.build()).unwrap();
    let path =
        WheelLocation::Path(case.folder.path().join("w").join(wheel.filename()).canonicalize().unwrap());
    let resolved = |case: &Case| {
        let package = case.resolve().packages.remove(0);
        let WheelLocation::Path(path) = &package.location else { panic!("{package:?}") };
        assert_eq!(package.digest, Digest::of(&wheel.build()));
        (WheelLocation::Path(path.canonicalize().unwrap()), package.direct)
    };
    case.ask("--no-index\n--find-links w\nlocal");
    assert_eq!(resolved(&case), (path.clone(), false));
    case.ask(&format!("./w/{}", wheel.filename()));
    assert_eq!(resolved(&case), (path, true));
    assert!(
        case.resolve().pylock.contains(&case.folder.path().canonicalize().unwrap().display().to_string())
    );
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn a_project_is_resolved() {
    let mut case = Case::new();
    case.add("a", "1", "py3-none-any", &[]);
    case.add("b", "1", "py3-none-any", &[]);
    case.add("c", "1", "py3-none-any", &[]);
    let path = case.folder.path().join("pyproject.toml");
    let text = "[project]\nname = \"p\"\nversion = \"1\"\ndependencies = [\"a\"]\n[project.optional-dependencies]\nx = \
                [\"b\"]\n[dependency-groups]\ng = [\"c\"]\n";
    std::fs::write(&path, text).unwrap();
    let mut project = |extras: &[&str], groups: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        case.request.source =
            ResolveSource::Project { path: path.clone(), extras: owned(extras), groups: owned(groups) };
        names(&case.resolve())
    };
    assert_eq!(project(&[], &[]), ["a==1"]);
    assert_eq!(project(&["x"], &[]), ["b==1", "a==1"]);
    assert_eq!(project(&["x"], &["g"]), ["c==1", "b==1", "a==1"]);
}

fn installed(name: &str, version: &str, requires: &[&str]) -> InstalledDistribution {
    let mut metadata = format!("Name: {name}\nVersion: {version}\n");
    for requirement in requires {
        metadata.extend(["Requires-Dist: ", requirement, "\n"]);
    }
    InstalledDistribution::parse(&metadata).unwrap()
}

fn satisfied(resolution: &Resolution) -> Vec<String> {
    resolution.satisfied.iter().map(|package| format!("{}=={}", package.name, package.version)).collect()
}

/// What is asked for; upgrade; reinstall; what is installed then; what stays.
type Question<'a> = (&'a str, Upgrade, bool, &'a [&'a str], &'a [&'a str]);

/// Each line was seen with pip 26.3 and uv 0.13.9, with `a==1` and `b==1` installed, where `a` needs `b`.
#[test]
#[ignore = "needs uv: cargo xtask test"]
fn what_is_installed_counts_as_for_pip_and_uv() {
    let mut case = Case::new();
    for version in ["1", "2"] {
        case.add("a", version, "py3-none-any", &["b"]);
        case.add("b", version, "py3-none-any", &[]);
    }
    case.add("c", "1", "py3-none-any", &["b>=2"]);
    let only_b = || Upgrade::Packages(["b".to_owned()].into());
    let table: [Question<'_>; 9] = [
        ("a", Upgrade::No, false, &[], &["b==1", "a==1"]),
        ("a", Upgrade::Requested, false, &["a==2"], &["b==1"]),
        ("a", Upgrade::All, false, &["b==2", "a==2"], &[]),
        ("a", only_b(), false, &["b==2"], &["a==1"]),
        ("a", Upgrade::No, true, &["b==2", "a==2"], &[]),
        ("c", Upgrade::No, false, &["b==2", "c==1"], &[]),
        ("a>=2", Upgrade::No, false, &["a==2"], &["b==1"]),
        ("a<2", Upgrade::Requested, false, &[], &["b==1", "a==1"]),
        ("b", Upgrade::No, false, &[], &["b==1"]),
    ];
    for (text, upgrade, reinstall, installs, keeps) in table {
        let installed =
            vec![installed("a", "1", &["b"]), installed("B", "1.0", &[]), installed("z", "1", &[])];
        case.request.rules = InstallRules { installed, upgrade, reinstall, ..InstallRules::default() };
        let resolution = case.ask(text).resolve();
        let keeps: Vec<_> = keeps.iter().map(|name| name.replace("b==1", "b==1.0")).collect();
        assert_eq!(names(&resolution), installs, "{text} {:?}", case.request.rules);
        assert_eq!(satisfied(&resolution), keeps, "{text} {:?}", case.request.rules);
    }
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn what_is_installed_needs_no_index_and_no_hash() {
    let mut case = Case::new();
    case.add("torch", "2.5.1", "py3-none-any", &[]);
    case.add("torch", "2.6", "py3-none-any", &[]);
    let new = case.add("new", "1", "py3-none-any", &[]);
    // The installed build is on no index, and what it needs is not there yet.
    let installed = vec![installed("torch", "2.5.1+cu124", &["new"])];
    case.request.rules = InstallRules { installed, ..InstallRules::default() };
    let resolution = case.ask("torch>=2").resolve();
    assert_eq!(
        (names(&resolution), satisfied(&resolution)),
        (vec!["new==1".to_owned()], vec!["torch==2.5.1+cu124".to_owned()])
    );
    let zeros = Digest::from_bytes([0; 32]);
    let text = format!("torch==2.5.1 --hash={zeros}\nnew==1 --hash={}", Digest::of(&new));
    assert_eq!(names(&case.ask(&text).resolve()), ["new==1"]);
    // An earlier answer is preferred, but not to what is installed.
    case.request.rules = InstallRules::default();
    case.request.previous = Some(case.ask("torch\nnew").resolve().pylock);
    case.request.rules =
        InstallRules { installed: vec![self::installed("torch", "2.5.1", &[])], ..InstallRules::default() };
    let resolution = case.ask("torch\nnew").resolve();
    assert_eq!(
        (names(&resolution), satisfied(&resolution)),
        (vec!["new==1".to_owned()], vec!["torch==2.5.1".to_owned()])
    );
}

#[test]
#[ignore = "needs uv: cargo xtask test"]
fn uv_stops_at_the_first_index() {
    let mut case = Case::new();
    let other = Case::new();
    case.add("a", "2", "py3-none-any", &[]);
    other.add("a", "1", "py3-none-any", &[]);
    case.request.rules.strategy = IndexStrategy::First;
    case.request.index.extra_index_urls = vec![other.index.url()];
    assert_eq!(names(&case.ask("a").resolve()), ["a==1"]);
    case.request.rules.strategy = IndexStrategy::BestMatch;
    assert_eq!(names(&case.ask("a").resolve()), ["a==2"]);
}
