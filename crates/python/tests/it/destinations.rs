//! Where files of a wheel go with `--target`, `--prefix` and `--user`, for pip and for uv.
//!
//! Each list is what pip 26.3 or uv 0.13.9 made of such a wheel, for a Python in an environment or outside of one.

use cartwheel_python::{
    InstallOptions, InstalledFile, PythonVersion, Scheme, Tool, Wheel, install, read_installed,
};
use cartwheel_testkit::WheelBuilder;

/// The installed files without those of `.dist-info`, the lines of RECORD that lead out, and the script `co`.
fn installed(scheme: &Scheme, tool: Tool) -> (Vec<String>, Vec<String>, String, String) {
    let builder = WheelBuilder::new("dd", "1")
        .file("dd/__init__.py", b"x=1\n")
        .data("data", "etc/x.conf", b"x\n")
        .data("headers", "h.h", b"x\n")
        .data("scripts", "tool", b"#!python\nprint()\n")
        .data("purelib", "pl.py", b"x\n")
        .entry_point("console_scripts", "co", "dd:main");
    let folder = tempfile::TempDir::new().unwrap();
    let store = cartwheel_store::Store::open(folder.path()).unwrap();
    let mut writer = store.writer().unwrap();
    std::io::Write::write_all(&mut writer, &builder.build()).unwrap();
    let (_, blob) = writer.commit().unwrap();
    let wheel = Wheel::open(blob, &builder.filename()).unwrap();
    let files = install(&wheel, scheme, &InstallOptions { tool, ..InstallOptions::default() }).unwrap();
    let text = |end: &str| {
        let file: &InstalledFile = files.iter().find(|file| file.path.ends_with(end)).unwrap();
        String::from_utf8(read_installed(&wheel, file).unwrap()).unwrap()
    };
    let record = text("RECORD");
    let rows =
        record.lines().filter_map(|line| line.split(',').next()).filter(|path| !path.contains("dist-info"));
    let rows = rows.map(str::to_owned).collect();
    let places =
        files.iter().map(|file| file.path.clone()).filter(|path| !path.contains("dist-info")).collect();
    (places, rows, text("bin/co"), text("INSTALLER"))
}

fn system() -> Scheme {
    Scheme::for_prefix("/usr/local", PythonVersion::new(3, 13))
}

#[test]
fn pip_flattens_a_target_and_keeps_its_record() {
    let (places, rows, script, installer) =
        installed(&system().with_target("/t", Tool::default()), Tool::default());
    let expected =
        ["t/bin/co", "t/bin/tool", "t/dd/__init__.py", "t/etc/x.conf", "t/include/python/dd/h.h", "t/pl.py"];
    assert_eq!(places, expected);
    let expected = [
        "../../bin/co",
        "../../bin/tool",
        "../../etc/x.conf",
        "../../include/python/dd/h.h",
        "dd/__init__.py",
        "pl.py",
    ];
    assert_eq!(rows, expected);
    assert!(script.starts_with("#!/usr/local/bin/python3.13\nimport sys\n"), "{script}");
    assert_eq!(installer, "pip\n");
}

#[test]
fn uv_has_a_target_of_its_own() {
    let (places, rows, script, installer) = installed(&system().with_target("/t", Tool::Uv), Tool::Uv);
    let expected =
        ["t/bin/co", "t/bin/tool", "t/dd/__init__.py", "t/etc/x.conf", "t/include/dd/h.h", "t/pl.py"];
    assert_eq!(places, expected);
    assert_eq!(rows, expected.map(|path| path.strip_prefix("t/").unwrap()));
    let expected = "#!/usr/local/bin/python3.13\n# -*- coding: utf-8 -*-\nimport sys\nfrom dd import main\n\
                    if __name__ == \"__main__\":\n    if sys.argv[0].endswith(\"-script.pyw\"):\n        \
                    sys.argv[0] = sys.argv[0][:-11]\n    elif sys.argv[0].endswith(\".exe\"):\n        \
                    sys.argv[0] = sys.argv[0][:-4]\n    sys.exit(main())\n";
    assert_eq!(script, expected);
    assert_eq!(installer, "uv");
}

#[test]
fn prefix_and_user_are_trees_like_a_python() {
    let (places, rows, script, _) = installed(&system().with_user("/root/.local"), Tool::default());
    let expected = [
        "root/.local/bin/co",
        "root/.local/bin/tool",
        "root/.local/etc/x.conf",
        "root/.local/include/python3.13/dd/h.h",
        "root/.local/lib/python3.13/site-packages/dd/__init__.py",
        "root/.local/lib/python3.13/site-packages/pl.py",
    ];
    assert_eq!(places, expected);
    assert!(rows.contains(&"../../../include/python3.13/dd/h.h".to_owned()), "{rows:?}");
    assert!(script.starts_with("#!/usr/local/bin/python3.13\n"), "{script}");
    let venv = Scheme::for_venv("/venv", PythonVersion::new(3, 13));
    let (places, _, script, _) = installed(&venv.with_prefix("/p", Tool::default()), Tool::default());
    assert!(places.contains(&"p/include/site/python3.13/dd/h.h".to_owned()), "{places:?}");
    assert!(script.starts_with("#!/venv/bin/python\n"), "{script}");
}

#[test]
fn two_files_for_one_place_of_a_target_are_refused() {
    let builder = WheelBuilder::new("dd", "1").file("x.py", b"1\n").data("data", "x.py", b"2\n");
    let folder = tempfile::TempDir::new().unwrap();
    let store = cartwheel_store::Store::open(folder.path()).unwrap();
    let mut writer = store.writer().unwrap();
    std::io::Write::write_all(&mut writer, &builder.build()).unwrap();
    let wheel = Wheel::open(writer.commit().unwrap().1, &builder.filename()).unwrap();
    let options = InstallOptions::default();
    assert!(install(&wheel, &system().with_target("/t", Tool::default()), &options).is_err());
    assert!(install(&wheel, &system(), &options).is_ok());
}
