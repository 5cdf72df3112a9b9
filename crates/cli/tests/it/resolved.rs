//! From requirements to an image: `uv`, a package index, and what goes wrong with them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cartwheel_oci::{Image, LayoutWriter, Platform, copy};
use cartwheel_store::Digest;
use cartwheel_testkit::WheelBuilder;
use cartwheel_testkit::index::{Failure, PackageIndex};

use crate::fixtures::OUT;
use crate::project::{LIBRARY, Project, listing, platform};

/// A project whose packages come from an index of its own.
struct Case {
    project: Project,
    index: PackageIndex,
}

/// How a build ended, and all that it said.
struct Ended {
    code: Option<i32>,
    stdout: String,
    message: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), message: text(output.stderr) }
    }
}

impl Ended {
    /// The build failed with this exit code and one error that has all these parts.
    fn fails(&self, code: i32, parts: &[&str]) {
        let Self { message, .. } = self;
        assert_eq!(self.code, Some(code), "{message}");
        assert_eq!(message.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{message}");
        for part in parts {
            assert!(message.contains(part), "no `{part}` in: {message}");
        }
        assert_eq!(self.stdout, "");
    }

    fn succeeds(&self) {
        assert_eq!(self.code, Some(0), "{}", self.message);
    }
}

fn demo(version: &str) -> WheelBuilder {
    WheelBuilder::new("demo", version).file("demo/__init__.py", format!("# {version}\n").as_bytes())
}

/// Bytes that do not compress.
fn noise(size: usize) -> Vec<u8> {
    let step = |state: &u64| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    std::iter::successors(Some(1), step).map(|state| (state >> 56) as u8).take(size).collect()
}

impl Case {
    fn new() -> Self {
        Self { project: Project::new(), index: PackageIndex::start() }
    }

    fn add(&self, wheel: &WheelBuilder) -> Vec<u8> {
        let bytes = wheel.build();
        let stem = wheel.dist_info();
        let (name, version) = stem.strip_suffix(".dist-info").unwrap().split_once('-').unwrap();
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        self.index.add(&wheel.filename(), bytes.clone(), Some(&metadata));
        bytes
    }

    /// A build from the index at `url`. A layout keeps the images that it has, so it begins anew.
    fn command(&self, requirements: &str, url: &str) -> Command {
        let _not_there_the_first_time = fs::remove_dir_all(self.project.path("out"));
        let mut command = self.project.resolving(requirements);
        // What was chosen before counts for an image of the same name.
        command.env("PIP_INDEX_URL", url).args(["-t", "demo"]).args(OUT);
        command
    }

    fn build(&self, requirements: &str) -> Ended {
        self.build_from(requirements, &self.index.url())
    }

    fn build_from(&self, requirements: &str, url: &str) -> Ended {
        let ended = Ended::from(self.command(requirements, url).output().unwrap());
        self.project.validate("out");
        ended
    }

    /// The content of a file that a package of the image in `out` installed.
    fn installed(&self, path: &str) -> Option<Vec<u8>> {
        let layout = self.project.layout("out");
        let image = Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap();
        let path = format!("{LIBRARY}/{path}");
        let mut layers = image.layers().iter().rev();
        layers.find_map(|layer| self.project.files(layer).remove(&path)).map(|found| found.text)
    }

    fn has_output(&self) -> bool {
        self.project.path("out").exists()
    }
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn requirements_become_an_image() {
    let case = Case::new();
    let lib = WheelBuilder::new("lib", "2.1").file("lib.py", b"lib\n");
    let (demo, lib) = (case.add(&demo("1.0")), case.add(&lib));
    case.build("demo  # a comment\nlib>=2,<3 ; python_version > '3'\n").succeeds();
    assert_eq!(case.installed("demo/__init__.py").unwrap(), b"# 1.0\n");
    assert_eq!(case.installed("lib.py").unwrap(), b"lib\n");
    let plain = package_layers(&case);
    // The same, pinned with hashes: another question, the same layers.
    let pinned = format!(
        "demo==1.0 --hash=sha256:{}\nlib==2.1 \\\n    --hash=sha256:{} --hash=sha256:{}\n",
        Digest::of(&demo).hex(),
        Digest::of(b"another wheel").hex(),
        Digest::of(&lib).hex(),
    );
    case.build(&pinned).succeeds();
    assert_eq!(package_layers(&case), plain);
}

/// The layers between the base and the application.
fn package_layers(case: &Case) -> Vec<Digest> {
    let layout = case.project.layout("out");
    let image = Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap();
    let made: Vec<Digest> = image.layers().iter().map(|layer| layer.descriptor.digest).collect();
    made[1..made.len() - 1].to_vec()
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn another_hash_than_the_pinned_one_is_refused() {
    let case = Case::new();
    case.add(&demo("1.0"));
    let wanted = Digest::of(b"another wheel").hex();
    case.build(&format!("demo==1.0 --hash=sha256:{wanted}\n")).fails(1, &["demo"]);
    // One that the index promises and does not keep.
    let filename = demo("1.0").filename();
    (0..2).for_each(|_| case.index.fail(&filename, Failure::WrongBytes));
    let expected = Digest::of(&demo("1.0").build()).to_string();
    case.build("demo").fails(3, &[filename.as_str(), expected.as_str(), "lockfile promises"]);
    assert_eq!(case.index.requests(&filename).len(), 2);
    assert!(!case.has_output());
    let blobs = listing(&case.project.path("home/v1/blobs"));
    assert!(!blobs.values().any(|&size| size == demo("1.0").build().len() as u64), "{blobs:?}");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn what_cannot_be_had_is_named() {
    let case = Case::new();
    case.add(&demo("1.0"));
    for tag in ["cp313-cp313-win_amd64", "cp313-cp313-macosx_11_0_arm64"] {
        case.add(&WheelBuilder::new("elsewhere", "1.0").tag(tag));
    }
    case.index.add("source_only-3.0.tar.gz", b"sdist".to_vec(), None);
    case.build("demo\nunknown-thing\n").fails(1, &["unknown-thing"]);
    case.build("demo>=2\n").fails(1, &["demo>=2"]);
    case.build("elsewhere\n").fails(
        1,
        &["`elsewhere`", "Python 3.13", "x86_64", "cp313-cp313-win_amd64", "cp313-cp313-macosx_11_0_arm64"],
    );
    case.build("source-only\n").fails(1, &["source-only"]);
    case.build("demo ===== 1\n").fails(1, &["requirements.txt"]);
    assert!(!case.has_output());
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn an_index_that_is_not_there_is_named_without_its_password() {
    let case = Case::new();
    // Nobody listens there any more.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command =
        case.command("demo\n", &format!("http://user:very-secret-word@127.0.0.1:{}/simple/", address.port()));
    let ended = Ended::from(command.output().unwrap());
    ended.fails(3, &[&format!("127.0.0.1:{}", address.port())]);
    assert!(!ended.message.contains("very-secret-word"), "{}", ended.message);
    assert!(!case.has_output());
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_wrong_password_is_said_and_not_shown() {
    let case = Case::new();
    case.add(&demo("1.0"));
    case.index.require_login("user", "right-secret-word");
    let url = case.index.url_with_login().replace("right-", "wrong-");
    let ended = case.build_from("demo\n", &url);
    ended.fails(1, &["refused the credentials", "127.0.0.1"]);
    assert!(!ended.message.contains("wrong-secret-word"), "{}", ended.message);
    assert!(!case.has_output());
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_password_is_written_nowhere() {
    let case = Case::new();
    case.add(&demo("1.0"));
    case.index.require_login("user", "very-secret-word");
    let ended = case.build_from("demo\n", &case.index.url_with_login());
    ended.succeeds();
    assert_eq!(case.installed("demo/__init__.py").unwrap(), b"# 1.0\n");
    assert!(case.index.requests(&demo("1.0").filename()).iter().all(|request| request.login.is_some()));
    let mut places = vec![ended.stdout.into_bytes(), ended.message.into_bytes()];
    for folder in ["home", "out"] {
        places.extend(listing(&case.project.path(folder)).keys().map(|path| fs::read(path).unwrap()));
    }
    // Base64, too, of what a header would hold.
    for secret in ["very-secret-word", "dXNlcjp2ZXJ5LXNlY3JldC13b3Jk"] {
        for bytes in &places {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{}", String::from_utf8_lossy(bytes));
        }
    }
    assert!(places.len() > 8, "{} places", places.len());
    // What was built without asking needs no password.
    let asked = case.index.request_count();
    case.build("demo\n").succeeds();
    assert_eq!(case.index.request_count(), asked);
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_download_that_is_cut_goes_on_where_it_stopped() {
    let case = Case::new();
    let content = noise(300_000);
    let wheel = demo("1.0").file("demo/data.bin", &content);
    case.add(&wheel);
    case.index.fail(&wheel.filename(), Failure::Cut(100_000));
    case.index.fail(&wheel.filename(), Failure::Cut(100_000));
    case.build("demo\n").succeeds();
    assert_eq!(case.installed("demo/data.bin").unwrap(), content);
    let requests = case.index.requests(&wheel.filename());
    let ranges: Vec<Option<&str>> = requests.iter().map(|request| request.range.as_deref()).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-"), Some("bytes=200000-")]);
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn one_requirement_more_leaves_the_others_as_they_are() {
    let case = Case::new();
    case.add(&demo("1.0"));
    case.build("demo\n").succeeds();
    let asked = case.index.request_count();
    // The same again asks nobody, whatever the index has by now.
    case.add(&demo("2.0"));
    case.build("demo  # the same\n").succeeds();
    assert_eq!(case.index.request_count(), asked);
    case.add(&WheelBuilder::new("more", "1").file("more.py", b"more\n"));
    case.build("demo\nmore\n").succeeds();
    assert_eq!(case.installed("demo/__init__.py").unwrap(), b"# 1.0\n");
    assert_eq!(case.installed("more.py").unwrap(), b"more\n");
    assert!(case.index.requests(&demo("2.0").filename()).is_empty());
    // Until somebody asks for it.
    let mut command = case.command("demo\nmore\n", &case.index.url());
    Ended::from(command.arg("--no-cache").output().unwrap()).succeeds();
    assert_eq!(case.installed("demo/__init__.py").unwrap(), b"# 2.0\n");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn another_platform_gets_its_own_wheels() {
    let case = Case::new();
    for arch in ["x86_64", "aarch64"] {
        let tag = format!("cp313-cp313-manylinux_2_28_{arch}");
        case.add(&demo("1.0").tag(&tag).file("demo/arch.txt", arch.as_bytes()));
    }
    case.project.command();
    make_arm64_base(&case.project);
    let mut command = case.project.resolving_on("demo\n", "oci-layout://arm64", "linux/arm64");
    command.env("PIP_INDEX_URL", case.index.url()).args(OUT);
    Ended::from(command.output().unwrap()).succeeds();
    case.project.validate("out");
    let layout = case.project.layout("out");
    let arm64: Platform = "linux/arm64".parse().unwrap();
    let image = Image::read(&layout, layout.find(None).unwrap(), &arm64).unwrap();
    assert_eq!(image.config().architecture, "arm64");
    let packages = case.project.files(&image.layers()[1]);
    assert_eq!(packages[&format!("{LIBRARY}/demo/arch.txt")].text, b"aarch64");
}

/// The project's base, for another platform.
fn make_arm64_base(project: &Project) {
    let layout = project.layout("base");
    let image = Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap();
    let image = image.with_config(|config| "arm64".clone_into(&mut config.architecture));
    copy(&image, &[], &layout, &mut LayoutWriter::create(&project.path("arm64")).unwrap()).unwrap();
}

/// Runs the rest of its arguments with a small disk at the first of them, and lists the files that were left there. The
/// mount goes with the shell, however that ends.
const SMALL_DISK: &str = r#"
disk=$1
shift
mount -t tmpfs -o size=4m tmpfs "$disk"
code=0
"$@" || code=$?
find "$disk" -type f > "$disk.left"
exit "$code"
"#;

/// Runs a build with a disk of 4 MiB at `folder`; gives how it ended and which files it left there.
fn build_with_small_disk(project: &Project, folder: &str) -> (Ended, String) {
    let disk = project.path(folder);
    fs::create_dir_all(&disk).unwrap();
    let mut build = project.command();
    build.args(Project::arguments()).args(["--output", "type=oci,dest=small/out,tar=false"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", SMALL_DISK, "sh"]).arg(&disk);
    command.arg(build.get_program()).args(build.get_args());
    command.env("CARTWHEEL_HOME", project.path("home")).current_dir(project.path(""));
    let ended = Ended::from(command.output().unwrap());
    (ended, fs::read_to_string(project.path(&format!("{folder}.left"))).unwrap())
}

fn with_package_of(size: usize) -> Project {
    let wheel = WheelBuilder::new("large", "1").file("large/noise.bin", &noise(size));
    Project::new().wheel(&wheel)
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_full_disk_is_said_once_and_leaves_nothing_half_done() {
    // The wheel has no room; the wheel has, and its layer has not.
    for size in [6_000_000, 2_500_000] {
        let project = with_package_of(size);
        project.write("small/empty", "");
        let (ended, left) = build_with_small_disk(&project, "home");
        ended.fails(3, &["No space left on device"]);
        assert!(!ended.message.contains("panicked"), "{}", ended.message);
        assert!(!left.contains("/v1/tmp/"), "{left}");
        assert!(!Path::new(&project.path("small/out")).exists());
        // With room, the same build succeeds.
        project.build(&OUT);
    }
    // The store has room, the output has not.
    let project = with_package_of(6_000_000);
    let (ended, left) = build_with_small_disk(&project, "small");
    ended.fails(3, &["No space left on device", "small/out"]);
    assert!(!left.contains("index.json"), "{left}");
    project.build(&OUT);
}
