//! Layers: the same for the same wheels, right on top of any base.

use cartwheel_oci::layer::Entry;
use cartwheel_testkit::WheelBuilder;

use crate::project::{LIBRARY, Project};

/// More than 1 MiB that does not compress: a layer of its own.
fn big(name: &str, version: &str) -> WheelBuilder {
    let mut state = 1_u64;
    let mut noise = Vec::new();
    while noise.len() < 1_300_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(version.len() as u64 + 1);
        noise.extend_from_slice(&state.to_le_bytes());
    }
    WheelBuilder::new(name, version)
        .file(&format!("{name}/__init__.py"), b"")
        .file(&format!("{name}/data.bin"), &noise)
}

fn small(name: &str, content: &[u8]) -> WheelBuilder {
    WheelBuilder::new(name, "1").file(&format!("{name}/__init__.py"), content)
}

#[test]
fn the_same_wheel_is_the_same_layer_everywhere() {
    let one = Project::new().wheel(&big("shared", "1"));
    let two =
        Project::new().wheel(&big("shared", "1")).wheel(&small("more", b"1")).wheel(&big("other", "22"));
    let mut digests = Vec::new();
    let (first, second) = (one.image(&[]), two.image(&[]));
    digests.push(first.layers()[1].clone());
    let shared = second.config().history.iter().filter(|line| !line.empty_layer).position(|line| {
        line.created_by.as_deref().is_some_and(|text| text.starts_with("pip install shared==1"))
    });
    digests.push(second.layers()[shared.unwrap()].clone());
    // One thread, an empty store, another kind of output.
    let mut command = two.command();
    command.env("RAYON_NUM_THREADS", "1").env("CARTWHEEL_HOME", two.path("other-home"));
    command.args(Project::arguments()).args(["--output", "type=docker,dest=again.tar"]);
    assert!(command.status().unwrap().success());
    two.validate("again.tar");
    let again = two.layout("again.tar");
    assert_eq!(again.find(None).unwrap().size, two.layout("out").find(None).unwrap().size);
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn a_bumped_package_moves_only_its_layer() {
    let before =
        Project::new().wheel(&big("a", "1")).wheel(&big("b", "1")).wheel(&small("c", b"1")).image(&[]);
    let after =
        Project::new().wheel(&big("a", "1")).wheel(&big("b", "22")).wheel(&small("c", b"1")).image(&[]);
    let fresh = after.layers().iter().filter(|layer| !before.layers().contains(layer)).count();
    // The sources hold the lockfile, which changed too.
    assert_eq!(fresh, 2);
}

#[test]
fn destinations_follow_the_links_of_the_base() {
    let project = Project::new().wheel(&small("demo", b"1")).with_base("opt/lib", Entry::directory());
    let project = project
        .with_base("usr/local/lib64", Entry::symlink("lib"))
        .with_base("app", Entry::symlink("/opt/lib"));
    let image = project.image(&[]);
    let sources = project.files(&image.layers()[2]);
    assert_eq!(sources.keys().collect::<Vec<_>>(), ["opt/lib/main.py", "opt/lib/pylock.toml"]);
}

#[test]
fn parents_keep_the_mode_that_they_have_below() {
    let shared = Entry { mode: 0o2775, ..Entry::directory().with_owner(0, 50) };
    let project = Project::new().with_base("app", shared).wheel(
        &WheelBuilder::new("data", "1").data("data", "share/data/x.txt", b"x").data(
            "data",
            "etc/x.conf",
            b"x",
        ),
    );
    let image = project.image(&[]);
    let packages = project.files(&image.layers()[1]);
    assert_eq!(packages["usr/local/share/data"].mode, 0o755);
    assert!(packages.contains_key("usr/local/share") && !packages.contains_key("usr/local"));
    let sources = project.files(&image.layers()[2]);
    assert_eq!((sources["app"].mode, sources["app"].owner), (0o2775, (0, 50)));
}

/// The same sources over another base, with the same store: what the base dictates is part of the layer's key.
#[test]
fn sources_are_laid_anew_when_the_base_dictates_something_else() {
    let shared = Entry { mode: 0o2775, ..Entry::directory().with_owner(0, 50) };
    let (plain, other) = (Project::new(), Project::new().with_base("app", shared));
    for project in [&plain, &other] {
        // The lockfile names temporary paths; without it the contexts are equal.
        project.write("context/.dockerignore", "pylock.toml\n");
    }
    plain.image(&[]);
    let mut command = other.command();
    command.env("CARTWHEEL_HOME", plain.path("home")).args(Project::arguments());
    assert!(command.args(["--output", "type=oci,dest=out,tar=false"]).status().unwrap().success());
    other.validate("out");
    let layout = other.layout("out");
    let image =
        cartwheel_oci::Image::read(&layout, layout.find(None).unwrap(), &crate::project::platform()).unwrap();
    let sources = other.files(image.layers().last().unwrap());
    assert_eq!((sources["app"].mode, sources["app"].owner), (0o2775, (0, 50)));
}

#[test]
fn what_the_base_has_is_left_or_replaced_as_pip_would() {
    let record =
        |name: &str| format!("{name}/__init__.py,,\n{name}-1.dist-info/RECORD,,\n../../../bin/{name},,\n");
    let mut project = Project::new()
        .wheel(&small("same", b"new"))
        .wheel(&WheelBuilder::new("old", "2").file("old/new.py", b""));
    for name in ["same", "old"] {
        project = project
            .with_base_file(&format!("{LIBRARY}/{name}/__init__.py"), "old")
            .with_base_file(&format!("{LIBRARY}/{name}-1.dist-info/RECORD"), &record(name))
            .with_base_file(&format!("usr/local/bin/{name}"), "old");
    }
    let image = project.image(&[]);
    let removed = project.files(&image.layers()[1]);
    let removed: Vec<&str> =
        removed.iter().filter(|(_, found)| found.kind == "file").map(|(path, _)| path.as_str()).collect();
    let library = |name: &str| format!("{LIBRARY}/{name}");
    assert_eq!(removed, ["usr/local/bin/.wh.old", &library(".wh.old"), &library(".wh.old-1.dist-info")]);
    let packages = project.files(&image.layers()[2]);
    assert!(
        packages.contains_key(&library("old/new.py")) && !packages.contains_key(&library("same/__init__.py"))
    );
}

#[test]
fn the_later_of_two_wheels_wins_and_the_user_is_told() {
    let shared = |name: &str, content: &[u8]| {
        WheelBuilder::new(name, "1").file("shared/x.py", content).file("shared/same.py", b"")
    };
    let project = Project::new().wheel(&shared("yes", b"1")).wheel(&shared("no", b"2"));
    let output = project.run(&["--output", "type=oci,dest=out,tar=false"]);
    project.validate("out");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("warning: `yes` and `no` both install"), "{message}");
    let layout = project.layout("out");
    let image =
        cartwheel_oci::Image::read(&layout, layout.find(None).unwrap(), &crate::project::platform()).unwrap();
    let holders = image
        .layers()
        .iter()
        .filter_map(|layer| project.files(layer).remove(&format!("{LIBRARY}/shared/x.py")));
    assert_eq!(holders.map(|found| found.text).collect::<Vec<_>>(), [b"1", b"2"]);
}
