//! Bytecode of packages: that it is what the image's own Python makes, whoever makes it and in whatever order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use cartwheel_oci::Source;
use cartwheel_testkit::WheelBuilder;

use crate::fixtures::OUT;
use crate::project::{LIBRARY, Project, listing, platform};

/// Packages on the base whose Python runs: one of more than one chunk, some small ones.
fn project() -> Project {
    let module = |number: usize| {
        let mut text = format!("'''Module {number}.'''\nNAMES = frozenset(('a', 'b{number}', None))\n");
        (0..3_000).for_each(|line| {
            writeln!(text, "def f{line}(x=(1, 'a')):\n    return x in {{{line}, 'b'}}").unwrap();
        });
        text
    };
    let mut large = WheelBuilder::new("large", "1.0");
    for number in 0..24 {
        large = large.file(&format!("large/part/m{number}.py"), module(number).as_bytes());
    }
    let odd = WheelBuilder::new("odd", "1.0")
        .file("odd/two.py", b"print 'two'\n")
        .file("odd/fine.py", "x = 'größe'\n".as_bytes())
        .file("odd/data.txt", b"1\n");
    let small = WheelBuilder::new("small", "1.0").file("small.py", b"y = {1, 2}\n");
    Project::new().wheel(&large).wheel(&odd).wheel(&small).on_python_slim()
}

/// Asks the image's Python of every module of a library whether it would use what is compiled, and whether it is what it
/// makes of it.
const ASK: &str = r"
import importlib.util, marshal, pathlib, sys
wrong = []
for source in sorted(pathlib.Path(sys.argv[1]).rglob('*.py')):
    compiled = pathlib.Path(importlib.util.cache_from_source(source))
    try:
        expected = compile(source.read_bytes(), str(source), 'exec', dont_inherit=True)
    except SyntaxError:
        wrong += [f'{compiled} is there'] * compiled.exists()
        continue
    if not compiled.exists():
        wrong.append(f'{compiled} is not there')
        continue
    data, stat = compiled.read_bytes(), source.stat()
    head = importlib.util.MAGIC_NUMBER + bytes(4) + b''.join(int(n).to_bytes(4, 'little') for n in (stat.st_mtime, stat.st_size))
    wrong += [f'{compiled}: header'] * (data[:16] != head) + [f'{compiled}: code'] * (marshal.loads(data[16:]) != expected)
    print(source.name)
sys.exit('\n'.join(wrong) or 0)
";

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn compiled_modules_are_those_of_the_images_python() {
    let project = project();
    project.build(&[&OUT[..], &["-t", "packages"]].concat());
    let mut run = project.command();
    run.args(["run", "packages", "python", "-B", "-c", ASK]);
    for package in ["large", "odd"] {
        let output = run.arg(format!("/{LIBRARY}/{package}")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        run = project.command();
        run.args(["run", "packages", "python", "-B", "-c", ASK]);
    }
    // pip lists what it compiled, and not what it could not.
    let layers = layers(&project);
    let record = |name: &str| {
        let path = format!("{LIBRARY}/{name}-1.0.dist-info/RECORD");
        layers.values().find_map(|files| files.get(&path)).unwrap().clone()
    };
    assert!(record("odd").contains("odd/__pycache__/fine.cpython-313.pyc,,\r\n"), "{}", record("odd"));
    assert!(!record("odd").contains("two.cpython"), "{}", record("odd"));
    assert_eq!(record("large").matches(".pyc,,").count(), 24);
}

/// The text of the files of each layer, by its digest.
fn layers(project: &Project) -> BTreeMap<String, BTreeMap<String, String>> {
    let layout = project.layout("out");
    let image = cartwheel_oci::Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap();
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let mut found = BTreeMap::new();
    // The base is not ours.
    for layer in image.layers().iter().skip(1) {
        assert!(layout.open(&layer.descriptor).is_ok());
        let files = project.files(layer);
        let files = files.iter().map(|(path, found)| (path.clone(), text(&found.text))).collect();
        found.insert(layer.descriptor.digest.to_string(), files);
    }
    found
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn the_bytes_depend_on_nobody_who_makes_them() {
    let made = |threads: &str| {
        let project = project();
        let mut build = project.command();
        build.args(Project::arguments()).args(OUT).env("RAYON_NUM_THREADS", threads);
        assert!(build.output().unwrap().status.success());
        // Where the wheels lie is in the application's layer.
        let packages =
            layers(&project).into_iter().filter(|(_, files)| files.keys().any(|path| path.contains(LIBRARY)));
        packages.map(|(digest, _)| digest).collect::<Vec<_>>()
    };
    let once = made("1");
    assert_eq!(once, made("4"));
    assert!(once.len() >= 2, "{once:?}");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_package_is_compiled_once() {
    let kept = |project: &Project| listing(&project.path("home/v1/records/bytecode-1")).len();
    let project = project();
    project.build(&OUT);
    // With uvicorn, which every project has.
    assert_eq!(kept(&project), 4);
    // The shared layer of small packages is another one now, but of what is in it only the new one is compiled.
    let project = project.wheel(&WheelBuilder::new("tiny", "1.0").file("tiny.py", b"z = 1\n"));
    let _ = fs::remove_dir_all(project.path("out"));
    project.build(&OUT);
    assert_eq!(kept(&project), 5);
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn where_no_python_runs_it_is_said() {
    // A base that only looks like one with a Python.
    let project = Project::new().wheel(&WheelBuilder::new("small", "1.0").file("small.py", b"y = 1\n"));
    let output = project.run(&OUT);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{message}");
    assert!(message.contains("modules are not compiled, but when they are first imported:"), "{message}");
    let has_bytecode =
        layers(&project).values().any(|files| files.keys().any(|path| path.contains("__pycache__")));
    assert!(!has_bytecode);
}
