//! Registries: what moves and what does not, who gets to know who we are, and what happens when things go wrong.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cartwheel_oci::{
    Descriptor, ErrorKind, Image, ImageLayout, IndexDocuments, Layer, LayoutWriter, Logins, Reference,
    RegistryClient, RegistryEvent, RegistryOptions, RegistryProblem, Repository, RepositoryWriter, Sink,
    Source, StoreAndOrigins, copy, copy_as_it_is, import_blob, origins, remember_origin, validate,
};
use cartwheel_store::{Digest, Store};
use cartwheel_testkit::registry::{Access, Account, Failure, Operation, Registry};
use tempfile::TempDir;

use crate::layouts::{image, platform};

/// A registry, a store with an image, and a client that does not wait long.
struct Case {
    registry: Registry,
    store: Store,
    events: Arc<Mutex<Vec<RegistryEvent>>>,
    options: RegistryOptions,
    folder: TempDir,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("home")).unwrap();
        let mut options = RegistryOptions::default();
        options.patience.read = Duration::from_millis(300);
        options.patience.back_off = Duration::from_millis(1);
        options.patience.retries = 3;
        Self { registry: Registry::start(), store, events: Arc::default(), options, folder }
    }

    fn client(&self) -> RegistryClient {
        let events = Arc::clone(&self.events);
        RegistryClient::new(self.options.clone(), move |event| events.lock().unwrap().push(event.clone()))
            .unwrap()
    }

    fn name(&self, name: &str) -> Reference {
        format!("{}/{name}", self.registry.address()).parse().unwrap()
    }

    fn image(&self, text: &str) -> Image {
        image(&self.store, text)
    }

    /// Pushes an image with one layer.
    fn push(&self, image: &Image, name: &str) -> Result<Digest, cartwheel_oci::Error> {
        let name = self.name(name);
        let mut sink = RepositoryWriter::new(&self.client(), &name);
        let documents = copy(image, std::slice::from_ref(&name), &self.store, &mut sink)?;
        Ok(documents.descriptor.digest)
    }

    fn repository(&self, name: &str) -> (Repository, Descriptor) {
        let (name, client) = (self.name(name), self.client());
        let repository = client.repository(&name);
        let descriptor = repository.resolve(&name).unwrap();
        (repository, descriptor)
    }

    /// Reads and validates the image of this name.
    fn pulled(&self, name: &str) -> Image {
        let (repository, descriptor) = self.repository(name);
        validate(&repository, &descriptor).unwrap();
        Image::read(&repository, &descriptor, &platform()).unwrap()
    }

    /// Imports the layer of an image into an empty store.
    fn import(&self, layer: &Layer, name: &str) -> Result<(), cartwheel_oci::Error> {
        let store = Store::open(&self.folder.path().join("other")).unwrap();
        let result = import_blob(&store, &self.client().repository(&self.name(name)), &layer.descriptor);
        let there = store.blob(layer.descriptor.digest);
        assert_eq!(there.is_some(), result.is_ok());
        if let Some(blob) = there {
            assert_eq!(blob.digest().unwrap(), layer.descriptor.digest);
        }
        result
    }

    fn logins(&mut self, text: &str) {
        let path = self.folder.path().join("config.json");
        std::fs::write(&path, text.replace("REGISTRY", &self.registry.address())).unwrap();
        self.options.logins = Logins::default();
        self.options.logins.add_file(&path).unwrap();
    }

    fn allow(&self, account: Account) {
        self.registry.allow(Access::Bearer(account));
    }

    fn count(&self, method: &str, part: &str) -> usize {
        self.registry.requests_of(method, part).len()
    }

    fn events(&self) -> Vec<RegistryEvent> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}

/// base64 of `user:secret`.
const LOGIN: &str = r#"{"auths": {"REGISTRY": {"auth": "dXNlcjpzZWNyZXQ="}}}"#;

fn account() -> Account {
    Account { password: Some(("user".to_owned(), "secret".to_owned())), ..Account::default() }
}

fn problem(error: &cartwheel_oci::Error) -> &RegistryProblem {
    error.registry().unwrap_or_else(|| panic!("{error:?}")).problem()
}

#[test]
fn what_is_pushed_is_read_back() {
    let case = Case::new();
    let image = case.image("x");
    let digest = case.push(&image, "team/app:1").unwrap();
    assert_eq!(case.registry.tag("team/app", "1"), Some(digest));
    assert_eq!(case.pulled("team/app:1"), image);
    assert_eq!(case.pulled(&format!("team/app@{digest}")), image);
}

#[test]
fn only_what_is_missing_moves() {
    let case = Case::new();
    let image = case.image("x");
    case.push(&image, "app:1").unwrap();
    assert_eq!(case.count("PUT", "/blobs/"), 2);
    case.registry.forget_requests();
    case.push(&image, "app:2").unwrap();
    assert_eq!((case.count("PUT", "/blobs/"), case.count("POST", "")), (0, 0));
    assert_eq!(case.count("HEAD", "/blobs/"), 2);
    let digest = image.layers()[0].descriptor.digest;
    assert!(case.events().contains(&RegistryEvent::Present(digest)));
}

#[test]
fn layers_go_up_at_once_with_one_token() {
    let mut case = Case::new();
    case.logins(LOGIN);
    case.allow(account());
    let images: Vec<Image> = (0..12).map(|number| case.image(&number.to_string().repeat(50))).collect();
    let many = images[1..].iter().fold(images[0].clone(), |all, one| {
        all.append(one.layers()[0].clone(), one.config().history[0].clone())
    });
    case.push(&many, "app").unwrap();
    // Eight were refused at once, and asked for it.
    assert_eq!(case.count("GET", "/token"), 1);
    assert_eq!(case.count("PUT", "/blobs/"), 13);
    assert_eq!(case.pulled("app"), many);
}

#[test]
fn layers_are_mounted_from_where_they_came() {
    let mut case = Case::new();
    case.logins(LOGIN);
    case.allow(account());
    let image = case.image("base");
    case.push(&image, "base").unwrap();
    remember_origin(&case.store, image.layers(), &case.name("base")).unwrap();
    let digest = image.layers()[0].descriptor.digest;
    // No byte of the layer is here any more.
    let store = Store::open(&case.folder.path().join("empty")).unwrap();
    remember_origin(&store, image.layers(), &case.name("base")).unwrap();
    let client = case.client();
    let source = StoreAndOrigins { store: &store, client: &client };
    let name = case.name("team/app:1");
    let mounts = source.mounts(image.layers(), name.registry());
    let mut sink = RepositoryWriter::new(&client, &name)
        .with_origins(mounts.iter().map(|(digest, origin)| (*digest, origin)));
    case.registry.forget_requests();
    copy(&image, std::slice::from_ref(&name), &source, &mut sink).unwrap();
    assert_eq!(case.count("PUT", "/blobs/"), 1, "the config alone");
    assert_eq!(case.count("GET", "/blobs/"), 0);
    assert!(case.events().contains(&RegistryEvent::Mounted(digest)));
    assert_eq!(case.pulled("team/app:1"), image);
}

#[test]
fn a_registry_that_does_not_mount_is_sent_the_bytes() {
    for failure in
        [Failure::RefuseMount, Failure::Status(405, "UNSUPPORTED"), Failure::Status(404, "NAME_UNKNOWN")]
    {
        let case = Case::new();
        let image = case.image("base");
        case.push(&image, "base").unwrap();
        case.registry.fail(Operation::Begin, failure);
        let (name, client) = (case.name("app"), case.client());
        let digest = image.layers()[0].descriptor.digest;
        let mut sink = RepositoryWriter::new(&client, &name).with_origins([(digest, &case.name("base"))]);
        copy(&image, std::slice::from_ref(&name), &case.store, &mut sink).unwrap();
        assert!(case.events().contains(&RegistryEvent::Uploaded(digest)));
        assert_eq!(case.pulled("app"), image);
    }
}

#[test]
fn a_repository_that_may_not_be_read_is_no_obstacle() {
    let mut case = Case::new();
    case.logins(LOGIN);
    case.allow(Account { denied: vec!["repository:base:pull".to_owned()], ..account() });
    let image = case.image("base");
    let digest = image.layers()[0].descriptor.digest;
    let (name, client) = (case.name("app"), case.client());
    let mut sink = RepositoryWriter::new(&client, &name).with_origins([(digest, &case.name("base"))]);
    copy(&image, std::slice::from_ref(&name), &case.store, &mut sink).unwrap();
    assert!(case.events().contains(&RegistryEvent::Uploaded(digest)));
}

#[test]
fn layers_from_elsewhere_are_streamed_through() {
    let case = Case::new();
    let image = case.image("base");
    case.push(&image, "base").unwrap();
    let store = Store::open(&case.folder.path().join("empty")).unwrap();
    remember_origin(&store, image.layers(), &case.name("gone")).unwrap();
    remember_origin(&store, image.layers(), &case.name("base")).unwrap();
    remember_origin(&store, image.layers(), &case.name("lost")).unwrap();
    assert_eq!(origins(&store, image.layers()[0].descriptor.digest).len(), 3);
    let client = case.client();
    let source = StoreAndOrigins { store: &store, client: &client };
    let other = Registry::start();
    let name: Reference = format!("{}/app:1", other.address()).parse().unwrap();
    assert_eq!(source.mounts(image.layers(), name.registry()), []);
    copy(&image, std::slice::from_ref(&name), &source, &mut RepositoryWriter::new(&client, &name)).unwrap();
    let repository = client.repository(&name);
    validate(&repository, &repository.resolve(&name).unwrap()).unwrap();
    assert!(store.blob(image.layers()[0].descriptor.digest).is_none());
}

#[test]
fn an_index_is_pushed_and_read_by_platform() {
    let case = Case::new();
    let arm = "linux/arm64".parse().unwrap();
    let other = Image::scratch(&arm)
        .append(case.image("arm").layers()[0].clone(), case.image("arm").config().history[0].clone());
    let images = [case.image("amd"), other];
    let name = case.name("app:1");
    let mut sink = RepositoryWriter::new(&case.client(), &name);
    let index = IndexDocuments::new(images.iter().map(Image::documents).collect(), BTreeMap::new());
    for document in
        index.images.iter().flat_map(|image| [&image.config, &image.manifest]).chain([&index.index])
    {
        case.store.put_blob(document).unwrap();
    }
    copy_as_it_is(&index.descriptor, std::slice::from_ref(&name), &case.store, &mut sink).unwrap();
    assert_eq!(case.registry.tag("app", "1"), Some(index.descriptor.digest));
    let (repository, descriptor) = case.repository("app:1");
    validate(&repository, &descriptor).unwrap();
    for (image, platform) in images.iter().zip([platform(), arm]) {
        assert_eq!(Image::read(&repository, &descriptor, &platform).unwrap(), *image);
    }
    let error = Image::read(&repository, &descriptor, &"linux/s390x".parse().unwrap()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoSuchPlatform { found, .. } if found.len() == 2));
    // To a layout and back into another repository, byte for byte.
    let path = case.folder.path().join("layout");
    copy_as_it_is(&descriptor, &[], &repository, &mut LayoutWriter::create(&path).unwrap()).unwrap();
    let layout = ImageLayout::open(&path).unwrap();
    assert_eq!(layout.images().len(), 1);
    validate(&layout, &layout.images()[0]).unwrap();
    let copy = case.name("copy:1");
    let mut sink = RepositoryWriter::new(&case.client(), &copy);
    copy_as_it_is(layout.find(None).unwrap(), std::slice::from_ref(&copy), &layout, &mut sink).unwrap();
    assert_eq!(case.registry.tag("copy", "1"), Some(index.descriptor.digest));
}

#[test]
fn tags_are_listed_page_by_page() {
    let case = Case::new();
    let image = case.image("x");
    for tag in ["a", "b", "c", "d", "e"] {
        case.push(&image, &format!("app:{tag}")).unwrap();
    }
    case.registry.forget_requests();
    let repository = case.client().repository(&case.name("app"));
    assert_eq!(repository.tags().unwrap(), ["a", "b", "c", "d", "e"]);
    assert_eq!(case.count("GET", "/tags/list"), 3);
}

#[test]
fn everybody_is_asked_as_they_want_to_be() {
    let mut case = Case::new();
    let image = case.image("x");
    case.logins(LOGIN);
    case.registry.allow(Access::Basic("user".to_owned(), "secret".to_owned()));
    case.push(&image, "basic").unwrap();
    case.allow(account());
    case.push(&image, "bearer").unwrap();
    assert_eq!(case.count("GET", "/token"), 1, "one token for the whole push");
    case.allow(Account::default());
    case.options.logins = Logins::default();
    case.push(&image, "anonymous").unwrap();
    case.allow(Account { identity: Some("refresh".to_owned()), ..Account::default() });
    case.logins(r#"{"auths": {"REGISTRY": {"auth": "dTpw", "identitytoken": "refresh"}}}"#);
    case.push(&image, "identity").unwrap();
    assert_eq!(case.count("POST", "/token"), 1);
    case.registry.allow(Access::Everybody);
    for name in ["basic", "bearer", "anonymous", "identity"] {
        assert_eq!(case.pulled(name), image);
    }
}

#[test]
fn an_expired_token_is_bought_again() {
    let mut case = Case::new();
    case.logins(LOGIN);
    case.allow(account());
    let (image, client, name) = (case.image("x"), case.client(), case.name("app"));
    let push =
        || copy(&image, std::slice::from_ref(&name), &case.store, &mut RepositoryWriter::new(&client, &name));
    push().unwrap();
    case.registry.expire_tokens();
    push().unwrap();
    assert_eq!(case.count("GET", "/token"), 2);
}

/// What each operation does about a failure that may go away.
#[test]
fn what_may_go_away_is_tried_again() {
    let passing = || {
        vec![
            Failure::Status(500, "UNKNOWN"),
            Failure::Status(503, "UNAVAILABLE"),
            Failure::RetryAfter(429, 0),
            Failure::Reset,
        ]
    };
    for operation in
        [Operation::Ask, Operation::Begin, Operation::Upload, Operation::PutManifest, Operation::Token]
    {
        for failure in passing() {
            let mut case = Case::new();
            case.logins(LOGIN);
            case.allow(account());
            let image = case.image("x");
            case.registry.fail(operation, failure.clone());
            case.push(&image, "app").unwrap_or_else(|error| panic!("{operation:?} {failure:?}: {error}"));
            let retried = |event: &RegistryEvent| matches!(event, RegistryEvent::Retrying { .. });
            assert_eq!(
                case.events().iter().filter(|event| retried(event)).count(),
                1,
                "{operation:?} {failure:?}"
            );
            assert_eq!(case.pulled("app"), image);
        }
    }
    for operation in [Operation::Manifest, Operation::Blob, Operation::Tags] {
        for failure in passing().into_iter().chain([Failure::Cut(10), Failure::Stall(10)]) {
            let case = Case::new();
            let image = case.image("x");
            case.push(&image, "app").unwrap();
            case.registry.fail(operation, failure.clone());
            let repository = case.client().repository(&case.name("app"));
            assert_eq!(repository.tags().unwrap(), ["latest"], "{operation:?} {failure:?}");
            assert_eq!(case.pulled("app"), image, "{operation:?} {failure:?}");
            case.import(&image.layers()[0], "app").unwrap();
        }
    }
}

#[test]
fn an_upload_that_arrived_is_not_sent_twice() {
    let case = Case::new();
    let image = case.image("x");
    case.registry.fail(Operation::Upload, Failure::LoseAnswer);
    // The registry panics if it gets a blob that it has.
    case.push(&image, "app").unwrap();
    assert_eq!(case.pulled("app"), image);
}

#[test]
fn an_upload_that_the_registry_forgot_begins_anew() {
    let case = Case::new();
    case.registry.fail(Operation::Upload, Failure::Status(404, "BLOB_UPLOAD_UNKNOWN"));
    case.push(&case.image("x"), "app").unwrap();
}

#[test]
fn retry_after_is_honoured() {
    let case = Case::new();
    case.push(&case.image("x"), "app").unwrap();
    case.registry.fail(Operation::Manifest, Failure::RetryAfter(429, 1));
    let begin = Instant::now();
    case.repository("app");
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let case = Case::new();
    let image = case.image(&"x".repeat(1000));
    case.push(&image, "app").unwrap();
    let layer = &image.layers()[0];
    case.registry.fail(Operation::Blob, Failure::Cut(30));
    case.registry.fail(Operation::Blob, Failure::Cut(20));
    case.import(layer, "app").unwrap();
    let ranges: Vec<_> =
        case.registry.requests_of("GET", "/blobs/").into_iter().map(|request| request.range).collect();
    assert_eq!(ranges, [None, Some("bytes=30-".to_owned()), Some("bytes=50-".to_owned())]);
}

#[test]
fn the_next_process_goes_on_where_the_last_one_stopped() {
    let mut case = Case::new();
    let image = case.image(&"x".repeat(1000));
    case.push(&image, "app").unwrap();
    case.options.patience.retries = 0;
    case.registry.fail(Operation::Blob, Failure::Cut(40));
    assert!(matches!(
        problem(&case.import(&image.layers()[0], "app").unwrap_err()),
        RegistryProblem::Unreachable { .. }
    ));
    case.import(&image.layers()[0], "app").unwrap();
    let last = case.registry.requests_of("GET", "/blobs/").pop().unwrap();
    assert_eq!(last.range.as_deref(), Some("bytes=40-"));
}

#[test]
fn a_stream_goes_on_too_with_or_without_ranges() {
    for more in [vec![], vec![Failure::IgnoreRange]] {
        let case = Case::new();
        let image = case.image(&"x".repeat(1000));
        case.push(&image, "app").unwrap();
        case.registry.fail(Operation::Blob, Failure::Cut(30));
        for failure in more {
            case.registry.fail(Operation::Blob, failure);
        }
        let repository = case.client().repository(&case.name("app"));
        let mut bytes = Vec::new();
        repository.open(&image.layers()[0].descriptor).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(Digest::of(&bytes), image.layers()[0].descriptor.digest);
    }
}

#[test]
fn wrong_bytes_are_never_kept() {
    let case = Case::new();
    let image = case.image("x");
    case.push(&image, "app").unwrap();
    case.registry.fail(Operation::Blob, Failure::WrongBytes);
    case.import(&image.layers()[0], "app").unwrap();
    let case = Case::new();
    case.push(&case.image("x"), "app").unwrap();
    (0..2).for_each(|_| case.registry.fail(Operation::Blob, Failure::WrongBytes));
    let error = case.import(&image.layers()[0], "app").unwrap_err();
    assert!(
        matches!(problem(&error), RegistryProblem::Digest { expected, .. } if *expected == image.layers()[0].descriptor.digest)
    );
}

/// One clear message each: what was asked, what the registry says in its own words, what to do.
#[test]
fn every_refusal_has_its_message() {
    let said = |operation, failure: Failure, logged_in: bool| {
        let mut case = Case::new();
        let digest = case.push(&case.image("x"), "a").unwrap();
        if logged_in {
            case.logins(LOGIN);
            case.allow(account());
        }
        (0..4).for_each(|_| case.registry.fail(operation, failure.clone()));
        let name = case.name("a");
        let error = case.client().repository(&name).resolve(&name).unwrap_err();
        let address = case.registry.address();
        let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        let text = chain.map(ToString::to_string).collect::<Vec<_>>().join(" | ");
        let hints = error.hints().join(" ");
        assert!(!format!("{error:?} {text} {hints}").contains("secret"));
        (
            text.replace(&address, "R").replace(&digest.to_string(), "D"),
            hints.replace(&address, "R"),
            error.is_retryable(),
        )
    };
    let get = "GET `http://R/v2/a/manifests/latest` was answered with status";
    let check = |failure: Failure, logged_in: bool, text: &str, hint: &str, retryable: bool| {
        let (found, hints, again) = said(Operation::Manifest, failure, logged_in);
        assert_eq!(found, text);
        assert!(hints.contains(hint), "{hints}");
        assert_eq!(again, retryable, "{found}");
    };
    let status = Failure::Status;
    check(
        status(401, "UNAUTHORIZED"),
        false,
        &format!("{get} 401: UNAUTHORIZED: unauthorized"),
        "log in: `docker login R`",
        false,
    );
    check(
        status(403, "DENIED"),
        true,
        &format!("{get} 403: DENIED: denied"),
        "this account may not do it",
        false,
    );
    check(
        status(404, "MANIFEST_UNKNOWN"),
        false,
        &format!("{get} 404: MANIFEST_UNKNOWN: manifest unknown"),
        "check name and tag",
        false,
    );
    check(
        Failure::RetryAfter(429, 0),
        false,
        &format!("{get} 429 4 times: TOOMANYREQUESTS: toomanyrequests"),
        "wait, or log in",
        true,
    );
    check(
        status(500, "UNKNOWN"),
        false,
        &format!("{get} 500 4 times: UNKNOWN: unknown"),
        "try again later",
        true,
    );
    let failed = "GET `http://R/v2/a/manifests/latest` failed 4 times";
    let (text, hints, again) = said(Operation::Manifest, Failure::Reset, false);
    assert!(text.starts_with(&format!("{failed} | could not talk to the server | ")), "{text}");
    assert!(hints.contains("--insecure-registry R") && again);
    check(
        Failure::Stall(5),
        false,
        &format!("{failed} | nothing came for 0.3 s"),
        "does not get through",
        true,
    );
    let (text, hints, again) = said(Operation::Token, status(401, "UNAUTHORIZED"), true);
    assert_eq!(text, "GET `http://R/token` was answered with status 401: UNAUTHORIZED: unauthorized");
    assert!(hints.contains("is wrong or has expired: `docker login R`") && !again);
}

#[test]
fn documents_are_checked_too() {
    let case = Case::new();
    let digest = case.push(&case.image("x"), "a").unwrap();
    let name = case.name(&format!("a@{digest}"));
    case.registry.fail(Operation::Manifest, Failure::WrongBytes);
    let error = case.client().repository(&name).resolve(&name).unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::Digest { expected, .. } if *expected == digest));
    let name = case.name("a");
    case.registry.fail(Operation::Manifest, Failure::WrongBytes);
    let error = case.client().repository(&name).resolve(&name).unwrap_err();
    assert!(error.to_string().ends_with("was answered with something that is not a manifest"), "{error}");
}

/// A source that gives another blob than it is asked for.
struct Wrong<'a>(&'a Store, &'a Descriptor);
impl Source for Wrong<'_> {
    fn open(&self, _: &Descriptor) -> cartwheel_oci::Result<Box<dyn Read + Send + '_>> {
        self.0.open(self.1)
    }
    fn place(&self) -> std::path::PathBuf {
        self.0.place()
    }
}

#[test]
fn a_blob_that_is_not_what_was_said_is_refused_by_the_registry() {
    let case = Case::new();
    let layer = case.image("x").layers()[0].clone();
    let mut descriptor = layer.descriptor.clone();
    descriptor.digest = Digest::of(b"another");
    let mut sink = RepositoryWriter::new(&case.client(), &case.name("a"));
    let error = sink.put_blob(&descriptor, &Wrong(&case.store, &layer.descriptor)).unwrap_err();
    assert!(
        error.to_string().ends_with("was answered with status 400: DIGEST_INVALID: digest invalid"),
        "{error}"
    );
    // A source that ends early breaks the connection; nothing is published.
    descriptor.size += 1000;
    let error = sink.put_blob(&descriptor, &Wrong(&case.store, &layer.descriptor)).unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::Blob { .. }), "{error:?}");
    assert_eq!(case.registry.stored("a", descriptor.digest), None);
}

#[test]
fn credentials_stay_with_their_registry() {
    let mut case = Case::new();
    let image = case.image("x");
    case.push(&image, "a").unwrap();
    case.logins(LOGIN);
    case.allow(account());
    // The storage that blobs are redirected to panics if it gets to know who we are.
    let storage = Registry::start();
    let digest = image.layers()[0].descriptor.digest;
    storage.store("s", &case.registry.stored("a", digest).unwrap());
    let url = format!("http://{}/v2/s/blobs/{digest}?signature=secret", storage.address());
    case.registry.fail(Operation::Blob, Failure::Redirect(url));
    case.import(&image.layers()[0], "a").unwrap();
    assert_eq!(storage.requests()[0].authorization, None);
    assert!(case.registry.requests().iter().any(|request| request.authorization.is_some()));
}

#[test]
fn circles_of_redirects_end() {
    let case = Case::new();
    let image = case.image("x");
    case.push(&image, "a").unwrap();
    let url =
        format!("http://{}/v2/a/blobs/{}", case.registry.address(), image.layers()[0].descriptor.digest);
    (0..20).for_each(|_| case.registry.fail(Operation::Blob, Failure::Redirect(url.clone())));
    let error = case.import(&image.layers()[0], "a").unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::Redirect { .. }), "{error}");
}

#[test]
fn mirrors_are_asked_first_and_may_fail() {
    let mut case = Case::new();
    let image = case.image("x");
    case.push(&image, "app").unwrap();
    let mirror = Registry::start();
    let name: Reference = format!("{}/cache/app", mirror.address()).parse().unwrap();
    let mirrors = vec![format!("{}/cache", mirror.address())];
    case.options.mirrors.insert(case.registry.address(), mirrors);
    // The mirror does not have it.
    assert_eq!(case.pulled("app"), image);
    assert!(case.events().iter().any(|event| matches!(event, RegistryEvent::MirrorFailed { .. })));
    copy(&image, std::slice::from_ref(&name), &case.store, &mut RepositoryWriter::new(&case.client(), &name))
        .unwrap();
    case.registry.forget_requests();
    assert_eq!(case.pulled("app"), image);
    case.import(&image.layers()[0], "app").unwrap();
    assert_eq!(case.registry.requests(), []);
    // Nothing is pushed to a mirror.
    case.push(&case.image("y"), "app:y").unwrap();
    assert!(case.registry.tag("app", "y").is_some() && mirror.tag("cache/app", "y").is_none());
}

#[test]
fn a_name_elsewhere_is_not_published_here() {
    let case = Case::new();
    let (image, name, other) = (case.image("x"), case.name("a"), case.name("b"));
    let mut sink = RepositoryWriter::new(&case.client(), &name);
    let error = copy(&image, &[name, other], &case.store, &mut sink).unwrap_err();
    assert!(error.to_string().contains("/b:latest` is no name in the repository"), "{error}");
}

#[test]
fn nothing_listens_there() {
    let case = Case::new();
    let name: Reference = "127.0.0.1:1/a".parse().unwrap();
    let begin = Instant::now();
    let error = case.client().repository(&name).resolve(&name).unwrap_err();
    assert!(
        error.to_string().starts_with("GET `http://127.0.0.1:1/v2/a/manifests/latest` failed 2 times"),
        "{error}"
    );
    assert!(begin.elapsed() < Duration::from_secs(10));
    let path: &Path = case.folder.path();
    let mut file = std::fs::File::create(path.join("config.json")).unwrap();
    file.write_all(b"{").unwrap();
    assert!(Logins::default().add_file(&path.join("config.json")).is_err());
}
