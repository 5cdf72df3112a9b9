//! Parity: the files in the layers are the files that pip leaves.
//!
//! The base image's own pip installs the same wheels into a copy-on-write view of the base; what is in the view's upper
//! folder afterwards is what pip did. Two differences are intended, because a layer must depend on its wheel alone:
//! cartwheel leaves out `REQUESTED`, which says who asked for the package, and writes the launchers of pip 26 whichever
//! pip the base has. Of bytecode, the time of the source differs, and in rare modules how often `marshal` writes a
//! constant: there, the base's own Python is asked whether it is the same code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use cartwheel_oci::layer::{self, ReadKind};
use cartwheel_oci::{Image, Source};
use cartwheel_store::Digest;
use cartwheel_testkit::oracle::{self, InstalledTreeFile};
use cartwheel_testkit::{WheelBuilder, peers, record_line, sound};

use crate::fixtures::{OUT, pins, requirements, succeed, wheels};
use crate::project::{LIBRARY, Project, platform};

/// What installing left: the files, and RECORD as the set of lines that it is.
#[derive(Debug, Default)]
struct Installed {
    files: BTreeMap<String, InstalledTreeFile>,
    records: BTreeMap<String, BTreeSet<String>>,
    /// Compiled modules, without the time of the source.
    bytecode: BTreeMap<String, Vec<u8>>,
}

/// Mounts live in a namespace of their own, so they go when the shell goes, however that ends. The wheels have the
/// same path inside, because `direct_url.json` holds it.
const PIP: &str = r#"
umask 022
base=$1 folder=$2 wheels=$3
shift 3
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
mkdir -p "$folder/root$wheels"
mount --bind "$wheels" "$folder/root$wheels"
exec chroot "$folder/root" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 PIP_CONFIG_FILE=/dev/null \
    pip install --no-deps --no-index --no-cache-dir --find-links "$wheels" \
    --quiet --root-user-action ignore --disable-pip-version-check "$@"
"#;

/// What the base's pip leaves.
fn by_pip(wheels: &Path, asked: &[String]) -> Installed {
    // Not below `/tmp`, which may be a file system that cannot be an overlay's upper folder.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let base = fs::canonicalize(peers::fixtures().join("python-slim-rootfs")).unwrap();
    let mut pip = Command::new("unshare");
    pip.args(["--mount", "--propagation", "private", "sh", "-euc", PIP, "pip"]);
    succeed(pip.args([base.as_path(), folder.path(), wheels]).args(asked));
    let upper = folder.path().join("upper");
    renew_launchers(&upper);
    let mut installed = Installed::default();
    for (path, file) in oracle::installed_tree(&upper) {
        let content = || fs::read(upper.join(&path)).unwrap();
        installed.add(&path, file, content);
    }
    installed
}

/// What pip wrote before version 26 where it has written [`LAUNCHER`] since.
const OLD_LAUNCHER: [&str; 2] =
    ["# -*- coding: utf-8 -*-\nimport re\n", "re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])"];
const LAUNCHER: [&str; 2] = ["", "sys.argv[0].removesuffix('.exe')"];

/// Brings the launchers that an older pip left to the form that pip 26 writes, in the files and in RECORD.
fn renew_launchers(upper: &Path) {
    let (scripts, library) = (upper.join("usr/local/bin"), upper.join(LIBRARY));
    if !scripts.exists() {
        return;
    }
    let records: Vec<_> = oracle::installed_tree(&library)
        .into_keys()
        .filter(|path| path.ends_with(".dist-info/RECORD"))
        .map(|path| library.join(path))
        .collect();
    for name in oracle::installed_tree(&scripts).into_keys() {
        let path = scripts.join(&name);
        let Ok(old) = fs::read_to_string(&path) else { continue };
        let new = old.replace(OLD_LAUNCHER[0], LAUNCHER[0]).replace(OLD_LAUNCHER[1], LAUNCHER[1]);
        fs::write(&path, &new).unwrap();
        let row = |content: &str| record_line(&format!("../../../bin/{name}"), content.as_bytes());
        for record in &records {
            let text = fs::read_to_string(record).unwrap();
            fs::write(record, text.replace(row(&old).trim_end(), row(&new).trim_end())).unwrap();
        }
    }
}

/// What the package layers of the image in `out` hold.
fn by_cartwheel(project: &Project) -> Installed {
    let layout = project.layout("out");
    let image = Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap();
    let made_by = image.config().history.iter().filter(|history| !history.empty_layer);
    let mut installed = Installed::default();
    for (history, made) in made_by.zip(image.layers()) {
        if !history.created_by.as_deref().is_some_and(|text| text.starts_with("pip install ")) {
            continue;
        }
        layer::read(layout.open(&made.descriptor).unwrap(), |entry, content| {
            assert_eq!((entry.uid, entry.gid), (0, 0), "{}", entry.path);
            if entry.kind == ReadKind::Directory {
                return Ok(());
            }
            assert_eq!(entry.kind, ReadKind::File, "{}", entry.path);
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            let mode = 0o100_000 | entry.mode;
            let file = InstalledTreeFile { mode, size: entry.size, digest: Digest::of(&bytes) };
            installed.add(&entry.path, file, || bytes);
            Ok(())
        })
        .unwrap();
    }
    installed
}

impl Installed {
    fn add(&mut self, path: &str, mut file: InstalledTreeFile, content: impl FnOnce() -> Vec<u8>) {
        if path.ends_with(".dist-info/REQUESTED") {
            return;
        }
        if path.ends_with(".dist-info/RECORD") {
            let text = String::from_utf8(content()).unwrap();
            let kept = text.lines().filter(|line| !line.contains(".dist-info/REQUESTED,"));
            self.records.insert(path.to_owned(), kept.map(str::to_owned).collect());
            // Its lines may come in another order; how many bytes they are is compared with them.
            (file.size, file.digest) = (0, Digest::of(b""));
        } else if path.contains("/__pycache__/") {
            let mut compiled = content();
            compiled[8..12].fill(0);
            self.bytecode.insert(path.to_owned(), compiled);
            (file.size, file.digest) = (0, Digest::of(b""));
        }
        self.files.insert(path.to_owned(), file);
    }
}

/// One line for each difference, so that a failure can be read.
fn differences(pip: &Installed, ours: &Installed) -> Vec<String> {
    let mut lines = differing(&pip.files, &ours.files);
    for (path, record) in &pip.records {
        let other = ours.records.get(path).cloned().unwrap_or_default();
        lines.extend(record.difference(&other).map(|line| format!("{path}: only pip has {line:?}")));
        lines.extend(other.difference(record).map(|line| format!("{path}: only cartwheel has {line:?}")));
    }
    lines
}

/// Asks the base's Python whether pairs of compiled modules, as files `N.pip` and `N.ours` in a directory, are the same code.
const SAME_CODE: &str = r"
import marshal, pathlib, sys
for one in pathlib.Path(sys.argv[1]).glob('*.pip'):
    pair = [path.read_bytes() for path in (one, one.with_suffix('.ours'))]
    if pair[0][:16] != pair[1][:16] or marshal.loads(pair[0][16:]) != marshal.loads(pair[1][16:]):
        print(one.stem)
";

/// Compares compiled modules; gives how many are written in another way.
fn check_bytecode(pip: &Installed, ours: &Installed) -> usize {
    let differ = pip.bytecode.iter().filter(|(path, code)| ours.bytecode.get(*path) != Some(code));
    let differ: Vec<(&String, &Vec<u8>)> = differ.collect();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for (number, (path, code)) in differ.iter().enumerate() {
        fs::write(folder.path().join(format!("{number}.pip")), code).unwrap();
        fs::write(folder.path().join(format!("{number}.ours")), &ours.bytecode[*path]).unwrap();
    }
    let base = fs::canonicalize(peers::fixtures().join("python-slim-rootfs")).unwrap();
    let script =
        "mount --bind \"$2\" \"$1/tmp\" && exec chroot \"$1\" /usr/local/bin/python3 -B -c \"$3\" /tmp";
    let mut python = Command::new("unshare");
    python.args(["--mount", "--propagation", "private", "sh", "-euc", script, "sh"]);
    let output = succeed(python.arg(base).arg(folder.path()).arg(SAME_CODE));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{differ:?}");
    differ.len()
}

fn differing(
    pip: &BTreeMap<String, InstalledTreeFile>,
    ours: &BTreeMap<String, InstalledTreeFile>,
) -> Vec<String> {
    let paths: BTreeSet<&String> = pip.keys().chain(ours.keys()).collect();
    let differ = paths.into_iter().filter(|path| pip.get(*path) != ours.get(*path));
    differ
        .map(|path| format!("{path}: pip left {:?}, cartwheel {:?}", pip.get(path), ours.get(path)))
        .collect()
}

/// Compares what both make of `asked`, of which each wheel leaves at least `files` files.
fn check(project: &Project, wheels: &Path, asked: &[String]) {
    project.validate("out");
    let (pip, ours) = (by_pip(wheels, asked), by_cartwheel(project));
    let found = differences(&pip, &ours);
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
    let differ = check_bytecode(&pip, &ours);
    assert!(differ * 100 <= pip.bytecode.len(), "{differ} of {}", pip.bytecode.len());
    // What was compared was there: a RECORD for each wheel, and every other file in one of them.
    assert_eq!(pip.records.len(), asked.len(), "{:?}", pip.records.keys());
    let lines: usize = pip.records.values().map(BTreeSet::len).sum();
    assert!(pip.files.len() <= lines && pip.files.len() > 4 * asked.len(), "{} {lines}", pip.files.len());
}

fn check_set(set: &str) {
    let (project, wheels) = (Project::new().on_python_slim(), wheels(set));
    succeed(project.resolving(&requirements(&wheels)).args(OUT));
    check(&project, &wheels, &pins(&wheels));
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn the_light_wheels_are_as_pip_installs_them() {
    check_set("light");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn the_medium_wheels_are_as_pip_installs_them() {
    check_set("medium");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn odd_wheels_are_as_pip_installs_them() {
    let add = |project: Project, wheel: sound::Sound| project.wheel_file(&wheel.filename, &wheel.bytes);
    let project = sound::wheels().into_iter().fold(Project::new().on_python_slim(), add);
    project.build(&OUT);
    let wheels = project.path("wheels");
    check(&project, &wheels, &pins(&wheels));
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_wheel_asked_for_by_path_is_as_pip_installs_it() {
    let wheel = WheelBuilder::new("by-path", "1.0").file("by_path/__init__.py", b"");
    let project = Project::new().on_python_slim().wheel(&wheel);
    let wheels = project.path("wheels");
    let asked = wheels.join(wheel.filename()).display().to_string();
    succeed(project.resolving(&asked).args(OUT));
    check(&project, &wheels, &[asked]);
    let installed = by_cartwheel(&project);
    assert!(installed.files.keys().any(|path| path.ends_with("/direct_url.json")), "{installed:?}");
}

#[test]
fn a_difference_is_seen() {
    let file = |text: &[u8]| InstalledTreeFile { mode: 0o100_644, size: 0, digest: Digest::of(text) };
    let mut one = Installed::default();
    one.add("a", file(b"1"), Vec::new);
    one.add("x-1.dist-info/REQUESTED", file(b""), Vec::new);
    one.add("x-1.dist-info/RECORD", file(b"2"), || b"a,,\nx-1.dist-info/REQUESTED,,\n".to_vec());
    let mut two = Installed::default();
    two.add("a", file(b"1"), Vec::new);
    two.add("x-1.dist-info/RECORD", file(b"3"), || b"a,,\n".to_vec());
    assert_eq!(differences(&one, &two), [""; 0]);
    two.add("a", file(b"4"), Vec::new);
    two.add("b", file(b""), Vec::new);
    two.add("x-1.dist-info/RECORD", file(b"3"), || b"a,,5\n".to_vec());
    assert_eq!(differences(&one, &two).len(), 4);
}
