//! `--output` in all its types, `--annotation`, `--load -q`: where a built image goes, and in which form.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use cartwheel_oci::{
    Descriptor, Image, ImageIndex, ImageLayout, Manifest, Platform, Reference, RegistryClient,
    RegistryOptions, Source, media_type, validate,
};
use cartwheel_testkit::engine::{Engine, EngineKind};
use cartwheel_testkit::registry::Registry;

use crate::project::Project;

/// A Dockerfile for any platform: one layer of a file in a directory, one of a file.
fn project() -> Project {
    let project = Project::new();
    project.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY --chown=5:6 --chmod=4750 main.py /bin/tool\nCOPY main.py /a\n",
    );
    project
}

fn build(project: &Project, arguments: &[&str]) -> Output {
    let platform = if arguments.contains(&"--platform") { &[][..] } else { &["--platform", "linux/amd64"] };
    let mut command = project.command();
    command.args(["build", "context"]).args(platform).args(arguments).output().unwrap()
}

fn succeed(project: &Project, arguments: &[&str]) -> Output {
    let output = build(project, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn refused(project: &Project, arguments: &[&str], code: i32, part: &str) {
    let output = build(project, arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    assert!(message.contains(part), "{arguments:?}: {message}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
}

const BOTH: [&str; 2] = ["--platform", "linux/amd64,linux/arm64"];

/// The entries of a tar, each in one line.
fn entries(tar: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let header = entry.header();
        let (mode, owner) = (header.mode().unwrap(), (header.uid().unwrap(), header.gid().unwrap()));
        found.push(format!("{} {mode:o} {owner:?} {}", entry.path().unwrap().display(), text.len()));
    }
    found
}

#[test]
fn files_go_to_a_directory_and_what_was_there_stays() {
    let project = project();
    project.write("out/keep", "kept");
    project.write("out/a/directory", "gone");
    project.write("elsewhere/tool", "kept");
    symlink(project.path("elsewhere"), project.path("out/bin")).unwrap();
    for output in ["out", "type=local,dest=out"] {
        succeed(&project, &["-o", output]);
        let found = |path: &str| fs::symlink_metadata(project.path(path)).unwrap();
        assert!(found("out/bin").is_dir(), "a link is replaced, not followed");
        assert_eq!(found("out/bin/tool").permissions().mode() & 0o7777, 0o4750);
        assert_eq!(found("out/bin/tool").uid(), found("context/main.py").uid());
        assert_eq!(found("out/a").mtime(), 315_619_200);
        assert_eq!(
            fs::read(project.path("out/a")).unwrap(),
            fs::read(project.path("context/main.py")).unwrap()
        );
        for kept in ["out/keep", "elsewhere/tool"] {
            assert_eq!(fs::read_to_string(project.path(kept)).unwrap(), "kept");
        }
    }
    succeed(&project, &[&BOTH[..], &["-o", "all"]].concat());
    for path in ["all/linux_amd64/a", "all/linux_arm64/bin/tool"] {
        assert!(project.path(path).is_file(), "{path}");
    }
}

#[test]
fn files_of_every_kind_keep_what_they_are() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, target: Option<&str>| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(0);
        header.set_size(0);
        header.set_uid(7);
        header.set_gid(8);
        match target {
            Some(target) => archive.append_link(&mut header, path, target).unwrap(),
            None => archive.append_data(&mut header, path, &b""[..]).unwrap(),
        }
    };
    add("closed/", tar::EntryType::Directory, 0o500, None);
    add("closed/a", tar::EntryType::Regular, 0, None);
    add("closed/b", tar::EntryType::Link, 0, Some("closed/a"));
    add("link", tar::EntryType::Symlink, 0o777, Some("/nowhere"));
    add("pipe", tar::EntryType::Fifo, 0o620, None);
    let project = Project::new();
    project.write("context/Dockerfile", "FROM scratch\nADD a.tar /\n");
    fs::write(project.path("context/a.tar"), archive.into_inner().unwrap()).unwrap();
    succeed(&project, &["-o", "out"]);
    let found = |path: &str| fs::symlink_metadata(project.path("out").join(path)).unwrap();
    for path in ["closed", "closed/a", "link", "pipe"] {
        assert_eq!(found(path).mtime(), 315_619_200, "{path}");
    }
    assert_eq!(found("closed").permissions().mode() & 0o7777, 0o500);
    assert_eq!((found("closed/a").ino(), found("closed/a").nlink()), (found("closed/b").ino(), 2));
    assert_eq!(fs::read_link(project.path("out/link")).unwrap(), Path::new("/nowhere"));
    assert_eq!(found("pipe").mode(), 0o010_620);
}

#[test]
fn files_go_to_a_tar_with_their_owners() {
    let project = project();
    let expected = ["a 644 (0, 0) 44", "bin/ 750 (5, 6) 0", "bin/tool 4750 (5, 6) 44"];
    for output in ["-", "type=tar", "type=tar,dest=-"] {
        assert_eq!(entries(&succeed(&project, &["-o", output]).stdout), expected, "{output}");
    }
    assert!(succeed(&project, &["-o", "type=tar,dest=files.tar"]).stdout.starts_with(b"sha256:"));
    assert_eq!(entries(&fs::read(project.path("files.tar")).unwrap()), expected);
    let both = entries(&succeed(&project, &[&BOTH[..], &["-o", "-"]].concat()).stdout);
    assert_eq!(both.len(), 8);
    assert_eq!(
        (both[0].as_str(), both[7].as_str()),
        ("linux_amd64/ 755 (0, 0) 0", "linux_arm64/bin/tool 4750 (5, 6) 44")
    );
}

#[test]
fn one_build_has_several_outputs_and_no_two_on_standard_output() {
    let project = project();
    let outputs = [
        "-o",
        "type=oci,dest=a.tar",
        "-o",
        "type=oci,dest=layout,tar=false",
        "-o",
        "files",
        "-o",
        "type=tar",
    ];
    let tar = succeed(&project, &outputs).stdout;
    assert_eq!(entries(&tar).len(), 3);
    assert!(project.path("files/bin/tool").is_file());
    let digests = ["a.tar", "layout"].map(|name| project.layout(name).images()[0].digest);
    assert_eq!(digests[0], digests[1]);
    refused(&project, &["-o", "-", "-o", "type=oci"], 1, "only one output can be standard output");
    refused(&project, &["-o", "type=local,dest=x,bogus=1"], 2, "`bogus` is not an option of --output");
    refused(&project, &["-o", "type=image,push=true"], 1, "give it one with `--tag`");
    refused(&project, &[&BOTH[..], &["--load"]].concat(), 1, "choose it with `--platform`");
    refused(&project, &[&BOTH[..], &["-o", "type=docker,dest=x"]].concat(), 1, "one platform");
}

/// The manifest that `descriptor` refers to.
fn manifest(source: &dyn Source, descriptor: &Descriptor) -> Manifest {
    let mut text = Vec::new();
    source.open(descriptor).unwrap().read_to_end(&mut text).unwrap();
    Manifest::parse(&text).unwrap()
}

fn layout(path: &Path) -> ImageLayout {
    let layout = ImageLayout::open(path).unwrap();
    layout.images().iter().for_each(|image| validate(&layout, image).unwrap());
    layout
}

#[test]
fn layers_are_compressed_as_the_output_says() {
    let project = Project::new();
    project.write("context/Dockerfile", "FROM base\nCOPY main.py /a\n");
    let mut diff_ids = Vec::new();
    for (name, media_type) in [
        ("gzip", media_type::LAYER_GZIP),
        ("zstd", media_type::LAYER_ZSTD),
        ("uncompressed", media_type::LAYER_TAR),
    ] {
        for (force, base) in [("false", media_type::LAYER_GZIP), ("true", media_type)] {
            let path = format!("{name}-{force}");
            let output = format!("type=oci,dest={path},compression={name},force-compression={force}");
            let printed =
                succeed(&project, &["--build-context", "base=oci-layout://base", "-o", &output, "-t", "x"])
                    .stdout;
            let layout = layout(&project.path(&path));
            let descriptor = &layout.images()[0];
            assert_eq!(String::from_utf8(printed).unwrap().trim(), descriptor.digest.to_string());
            let layers = manifest(&layout, descriptor).layers;
            let types: Vec<&str> = layers.iter().map(|layer| layer.media_type.as_str()).collect();
            assert_eq!(types, [base, media_type], "{path}");
            let image = Image::read(&layout, descriptor, &"linux/amd64".parse().unwrap()).unwrap();
            diff_ids.push(image.config().rootfs.diff_ids.clone());
        }
    }
    diff_ids.dedup();
    assert_eq!(diff_ids.len(), 1, "the layers contain the same");
    // What is kept in the store is what went out, and goes on from there.
    let mut save = project.command();
    assert!(save.args(["save", "-o", "saved.tar", "x"]).status().unwrap().success());
    assert_eq!(
        manifest(&layout(&project.path("saved.tar")), &layout(&project.path("saved.tar")).images()[0])
            .layers
            .len(),
        2
    );
    refused(&project, &["-o", "type=oci,dest=x,compression=lz4"], 2, "`lz4`");
}

#[test]
fn images_are_for_any_platform_that_needs_no_command() {
    let project = project();
    let config = |platform: &str| {
        succeed(&project, &["--platform", platform, "-o", "type=oci,dest=one.tar"]);
        let layout = layout(&project.path("one.tar"));
        let platform = layout.images()[0].platform.clone().unwrap();
        (Image::read(&layout, &layout.images()[0], &platform).unwrap().config().clone(), platform.to_string())
    };
    let (windows, named) = config("windows(10.0.1)/amd64");
    assert_eq!(named, "windows(10.0.1)/amd64");
    assert_eq!((windows.os.as_str(), windows.os_version.as_deref()), ("windows", Some("10.0.1")));
    assert_eq!((windows.config.working_dir.as_deref(), windows.config.env("PATH")), (Some("\\"), None));
    // What users write is read as Docker reads it.
    for (written, meant) in
        [("arm", "linux/arm/v7"), ("linux/aarch64/v8", "linux/arm64"), ("s390x", "linux/s390x")]
    {
        assert_eq!(config(written).1, meant);
    }
    project.write("context/Dockerfile", "FROM scratch\nRUN x\n");
    refused(&project, &["--platform", "windows/amd64"], 1, "runs no programs for `windows/amd64`");
    refused(&project, &["--platform", "linux/amd64/a/b"], 2, "more parts than");
    refused(&project, &["--platform", "windows(1+f)/amd64"], 2, "`f` is a feature");
}

#[test]
fn documents_are_annotated() {
    let project = project();
    let arguments = [
        "--annotation",
        "a=1",
        "--annotation",
        "manifest-descriptor:d=2",
        "-o",
        "type=oci,dest=one,tar=false,annotation.o=3",
    ];
    succeed(&project, &arguments);
    let one = layout(&project.path("one"));
    let text = |pairs: &std::collections::BTreeMap<String, String>| {
        pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(text(&one.images()[0].annotations), "d=2");
    assert_eq!(text(&manifest(&one, &one.images()[0]).annotations), "a=1 o=3");
    let arguments = [
        "--annotation",
        "manifest,index:a=1",
        "--annotation",
        "manifest-descriptor[linux/arm64]:d=2",
        "--annotation",
        "index-descriptor:i=3",
        "-o",
        "type=oci,dest=both,tar=false",
    ];
    succeed(&project, &[&BOTH[..], &arguments].concat());
    let both = layout(&project.path("both"));
    assert_eq!(text(&both.images()[0].annotations), "i=3");
    let mut index = Vec::new();
    both.open(&both.images()[0]).unwrap().read_to_end(&mut index).unwrap();
    let index = ImageIndex::parse(&index).unwrap();
    assert_eq!(text(&index.annotations), "a=1");
    let of_descriptors: Vec<String> = index.manifests.iter().map(|entry| text(&entry.annotations)).collect();
    assert_eq!(of_descriptors, ["", "d=2"]);
    assert!(index.manifests.iter().all(|entry| text(&manifest(&both, entry).annotations) == "a=1"));
    refused(&project, &["--annotation", "index:a=1", "-o", "type=oci,dest=x"], 1, "has no index");
    refused(&project, &["--annotation", "layer:a=1"], 2, "`layer` has no annotations");
}

/// The image of this name in a registry, checked.
fn pushed(name: &str, platform: &str) -> Image {
    let reference: Reference = name.parse().unwrap();
    let repository = RegistryClient::new(RegistryOptions::default(), |_| ()).unwrap().repository(&reference);
    let found = repository.resolve(&reference).unwrap();
    validate(&repository, &found).unwrap();
    Image::read(&repository, &found, &platform.parse::<Platform>().unwrap()).unwrap()
}

#[test]
fn several_platforms_on_a_base_of_a_registry_are_pushed_and_its_layers_stay_there() {
    let (project, registry) = (project(), Registry::start());
    let base = format!("{}/base:1", registry.address());
    succeed(&project, &[&BOTH[..], &["-t", &base, "--push"]].concat());
    project.write("context/Dockerfile", &format!("FROM {base}\nLABEL a=b\n"));
    let (child, other) =
        (format!("{}/child:1", registry.address()), format!("{}/other:2", registry.address()));
    let mut command = project.command();
    command.env("CARTWHEEL_HOME", project.path("elsewhere")).args(["build", "context"]).args(BOTH);
    command.args(["-t", &child, "--push", "-o", &format!("type=registry,name={other}")]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // `--push` is said by the output already, which has a name of its own.
    assert_eq!(registry.tag("child", "1"), None);
    assert_eq!(pushed(&other, "linux/arm64").layers().len(), 2);
    let base_layer = pushed(&base, "linux/amd64").layers()[0].descriptor.digest;
    let kept = crate::project::listing(&project.path("elsewhere/v1/blobs"));
    assert!(!kept.keys().any(|path| path.ends_with(base_layer.hex())), "a layer of the base came here");
}

#[test]
fn quietly_only_the_image_id_is_printed() {
    let (project, folder) = (project(), tempfile::tempdir().unwrap());
    let engine = Engine::start(EngineKind::Containerd, folder.path());
    let mut command: Command = project.command();
    command.env("DOCKER_HOST", engine.address()).args(["build", "context", "-q", "--load", "-t", "x"]);
    let output = command.args(["--platform", "linux/amd64", "--iidfile", "id"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let id = fs::read_to_string(project.path("id")).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{id}\n"));
    assert_eq!(engine.names(), ["docker.io/library/x:latest"]);
}
