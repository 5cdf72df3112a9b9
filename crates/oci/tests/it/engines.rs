//! Images go to a container engine and come from it; what it has is not sent, and what it has lost is.

use std::fs;
use std::path::Path;

use cartwheel_oci::layer::{self, Encoding};
use cartwheel_oci::{
    Descriptor, Engine, EngineAddress, EngineSettings, ErrorKind, History, Image, ImageLayout, Layer, Loaded,
    Reference, import_blob, media_type, validate,
};
use cartwheel_store::{Digest, Store};
use cartwheel_testkit::engine::{self, EngineKind};
use serde_json::json;

use crate::layouts::platform;
use crate::wheels::Streams;

const KINDS: [EngineKind; 3] = [EngineKind::GraphDriver, EngineKind::Containerd, EngineKind::Podman];

/// How much `text` is in a layer that is worth sparing.
const LARGE: usize = 2 << 20;

fn layer(store: &Store, text: &[u8]) -> Layer {
    let tree = Streams::new().stored("app/main.py", text).tree();
    let mut writer = store.writer().unwrap();
    let written = layer::write(&tree, Encoding::Spliced, &mut writer).unwrap();
    let (digest, blob) = writer.commit().unwrap();
    let descriptor = Descriptor::new(media_type::LAYER_GZIP, digest, blob.size());
    Layer { descriptor, diff_id: written.diff_id }
}

fn image(store: &Store, layers: &[&[u8]]) -> Image {
    layers.iter().fold(Image::scratch(&platform()), |image, text| {
        image.append(layer(store, text), History { created_by: Some("COPY".into()), ..History::default() })
    })
}

fn connect(address: &str) -> cartwheel_oci::Result<Engine> {
    let settings = EngineSettings { host: Some(address.to_owned()), ..EngineSettings::default() };
    Engine::connect(EngineAddress::find(&settings)?)
}

/// An engine of each kind, a client of it and a store.
fn everywhere(test: impl Fn(&engine::Engine, &Engine, &Store)) {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let double = engine::Engine::start(kind, folder.path());
        let store = Store::open(&folder.path().join("home")).unwrap();
        test(&double, &connect(&double.address()).unwrap(), &store);
    }
}

fn load(engine: &Engine, store: &Store, image: &Image, name: &str) -> cartwheel_oci::Result<Loaded> {
    let names = [name.parse::<Reference>().unwrap()];
    engine.load((&image.documents(), image.layers()), &names, store, store)
}

#[test]
fn a_second_load_sends_only_what_changed() {
    everywhere(|double, engine, store| {
        let large = vec![7; LARGE];
        let first = load(engine, store, &image(store, &[&large, b"one"]), "a:1").unwrap();
        assert!(first.sent > LARGE as u64 && first.spared == 0, "{first:?}");
        let second = load(engine, store, &image(store, &[&large, b"two"]), "a:1").unwrap();
        assert!(second.sent < 20_000 && second.spared > LARGE as u64, "{second:?}");
        let again = load(engine, store, &image(store, &[&large, b"two"]), "a:2").unwrap();
        assert!(again.sent < 20_000, "{again:?}");
        assert_eq!(double.names().len(), 2, "{:?}", double.names());
    });
}

#[test]
fn what_an_engine_lost_is_sent_after_all() {
    everywhere(|double, engine, store| {
        let large = vec![7; LARGE];
        load(engine, store, &image(store, &[&large, b"one"]), "a:1").unwrap();
        double.lose_layers();
        let second = load(engine, store, &image(store, &[&large, b"two"]), "a:1").unwrap();
        assert!(second.sent > LARGE as u64 && second.spared == 0, "{second:?}");
        assert_eq!(double.loads().len(), 3, "once, in vain, and whole");
        assert_eq!(double.names().len(), 1);
    });
}

/// A layer that comes again lies on other layers there: Docker's graph driver needs its bytes.
#[test]
fn a_layer_that_comes_twice_is_sent_for_its_second_place() {
    everywhere(|double, engine, store| {
        let large = vec![7; LARGE];
        load(engine, store, &image(store, &[&large, b"x"]), "a:1").unwrap();
        load(engine, store, &image(store, &[&large, b"x", &large]), "a:2").unwrap();
        assert_eq!(double.loads().len(), 2, "none in vain");
        assert_eq!(double.names().len(), 2);
    });
}

/// Without our own configs, an engine with unpacked layers is asked for theirs.
#[test]
fn images_that_others_loaded_count_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let double = engine::Engine::start(EngineKind::GraphDriver, folder.path());
    let engine = connect(&double.address()).unwrap();
    let [theirs, ours] = ["theirs", "ours"].map(|home| Store::open(&folder.path().join(home)).unwrap());
    let large = vec![7; LARGE];
    load(&engine, &theirs, &image(&theirs, &[&large]), "base:1").unwrap();
    let loaded = load(&engine, &ours, &image(&ours, &[&large, b"one"]), "a:1").unwrap();
    assert!(loaded.sent < 20_000, "{loaded:?}");
    // What is small is not asked about.
    let before = double.requests().len();
    load(&engine, &ours, &image(&ours, &[b"small"]), "b:1").unwrap();
    assert_eq!(double.requests().len() - before, 2, "{:?}", double.requests());
}

#[test]
fn an_engine_says_no_in_its_own_words() {
    everywhere(|double, engine, store| {
        double.refuse("no space left on device");
        let error = load(engine, store, &image(store, &[b"x"]), "a:1").unwrap_err();
        let expected = format!(
            "the container engine at `{}` refused to load the image: no space left on device",
            double.address()
        );
        assert_eq!(error.to_string(), expected);
        assert!(double.names().is_empty());
        let error = engine.save(&"a:1".parse().unwrap(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().ends_with("refused to give the image: No such image: a:1"), "{error}");
    });
}

#[test]
fn a_layer_that_cannot_be_read_leaves_no_image() {
    everywhere(|double, engine, store| {
        let image = image(store, &[&vec![7; LARGE], b"x"]);
        let lacking = tempfile::tempdir().unwrap();
        let elsewhere = Store::open(lacking.path()).unwrap();
        import_blob(&elsewhere, store, &image.layers()[0].descriptor).unwrap();
        let names = ["a:1".parse::<Reference>().unwrap()];
        let error = engine.load((&image.documents(), image.layers()), &names, &elsewhere, store).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Store(_)), "{error}");
        assert!(double.names().is_empty());
    });
}

#[test]
fn nobody_at_the_socket_is_named() {
    let error = connect("unix:///no/such.sock").unwrap_err();
    assert_eq!(error.to_string(), "could not talk to the container engine at `unix:///no/such.sock`");
    assert_eq!(error.hints().len(), 1);
}

/// An archive as `docker save` before version 25 and Podman write it.
fn classic(image: &Image, store: &Store, compressed: bool) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, text: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o444);
        archive.append_data(&mut header, name, text).unwrap();
    };
    let documents = image.documents();
    let config = format!("{}.json", Digest::of(&documents.config).hex());
    let mut names = Vec::new();
    for (index, layer) in image.layers().iter().enumerate() {
        let mut bytes = store.blob(layer.descriptor.digest).unwrap().read().unwrap();
        if !compressed {
            let mut tar = Vec::new();
            std::io::copy(&mut layer::decompress(&bytes[..]).unwrap(), &mut tar).unwrap();
            bytes = tar;
        }
        add(&format!("{index}.tar"), &bytes);
        names.push(format!("{index}/layer.tar"));
    }
    add(&config, &documents.config);
    let manifest = json!([{"Config": config, "RepoTags": ["a:1"], "Layers": names}]);
    add("manifest.json", manifest.to_string().as_bytes());
    for (index, name) in names.iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, name, format!("../{index}.tar")).unwrap();
    }
    archive.into_inner().unwrap()
}

fn read(layout: &ImageLayout, name: &str) -> Image {
    let descriptor = layout.find(Some(name)).unwrap();
    validate(layout, descriptor).unwrap();
    Image::read(layout, descriptor, &platform()).unwrap()
}

#[test]
fn old_archives_are_layouts_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("home")).unwrap();
    let image = image(&store, &[b"one", b"two"]);
    for compressed in [false, true] {
        let path = folder.path().join("classic.tar");
        fs::write(&path, classic(&image, &store, compressed)).unwrap();
        let found = read(&ImageLayout::open(&path).unwrap(), "docker.io/library/a:1");
        assert_eq!(found.config(), image.config());
        assert_eq!(found.layers() == image.layers(), compressed);
    }
}

#[test]
fn an_image_comes_from_an_engine() {
    everywhere(|double, engine, store| {
        let image = image(store, &[b"one"]);
        double.give(&classic(&image, store, false));
        let layout = engine.image(&"a:1".parse().unwrap(), store.scratch().unwrap()).unwrap();
        let found = read(&layout, "docker.io/library/a:1");
        assert_eq!(found.config(), image.config());
        let copied = tempfile::tempdir().unwrap();
        let home = Store::open(copied.path()).unwrap();
        found.layers().iter().for_each(|layer| import_blob(&home, &layout, &layer.descriptor).unwrap());
        load(engine, &home, &found, "back:1").unwrap();
    });
}

#[test]
fn archives_that_lack_what_they_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |files: &[(&str, &str)]| {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            archive.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        let path: &Path = &folder.path().join("bad.tar");
        fs::write(path, archive.into_inner().unwrap()).unwrap();
        ImageLayout::open(path).unwrap_err().to_string()
    };
    let listed = r#"[{"Config":"c.json","Layers":["l.tar"]}]"#;
    let config = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    assert!(refused(&[("x", "")]).ends_with("it has no file `oci-layout`"));
    assert_eq!(refused(&[("manifest.json", "{}")]), "the manifest.json is not valid");
    assert!(refused(&[("manifest.json", listed)]).starts_with("could not read `"));
    assert_eq!(refused(&[("manifest.json", listed), ("c.json", "x")]), "the image config is not valid");
    assert!(refused(&[("manifest.json", listed), ("c.json", config)]).contains("same number of layers"));
}
