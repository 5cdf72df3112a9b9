//! Wheels come whole and verified, whatever the index does.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cartwheel_python::{
    Credentials, ErrorKind, FetchError, FetchEvent, FetchOptions, LockedWheel, Patience, WheelLocation, fetch,
};
use cartwheel_store::{Digest, Store};
use cartwheel_testkit::index::{Failure, PackageIndex};
use tempfile::TempDir;

const NAME: &str = "a-1-py3-none-any.whl";

/// An index with one file, a store, and a client that does not wait long.
struct Case {
    index: PackageIndex,
    store: Store,
    bytes: Vec<u8>,
    options: FetchOptions,
    _home: TempDir,
}

impl Case {
    fn new() -> Self {
        let index = PackageIndex::start();
        let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(|number| (number * 7).to_le_bytes()).collect();
        index.add(NAME, bytes.clone(), None);
        let home = TempDir::new().unwrap();
        let store = Store::open(home.path()).unwrap();
        let patience = Patience {
            read: Duration::from_millis(300),
            back_off: Duration::from_millis(1),
            longest_wait: Duration::from_secs(2),
            retries: 3,
            ..Patience::default()
        };
        let options = FetchOptions { patience, ..FetchOptions::default() };
        Self { index, store, bytes, options, _home: home }
    }

    fn failing(failures: impl IntoIterator<Item = Failure>) -> Self {
        let case = Self::new();
        for failure in failures {
            case.index.fail(NAME, failure);
        }
        case
    }

    fn wheel(&self) -> LockedWheel {
        locked(NAME, WheelLocation::Url(self.index.file_url(NAME)), &self.bytes)
    }

    fn fetch(&self) -> Result<Vec<FetchEvent>, cartwheel_python::Error> {
        self.fetch_wheels(&[self.wheel()])
    }

    fn fetch_wheels(&self, wheels: &[LockedWheel]) -> Result<Vec<FetchEvent>, cartwheel_python::Error> {
        let (events, done) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let on_event = |event| events.lock().unwrap().push(event);
        fetch(&self.store, wheels, &self.options, on_event, |index, blob| {
            assert_eq!(blob.digest().unwrap(), wheels[index].digest);
            done.lock().unwrap().push(index);
        })?;
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, (0..wheels.len()).collect::<Vec<_>>());
        Ok(events.into_inner().unwrap())
    }

    /// Fetches, and gives the ranges that were asked for.
    fn ranges(&self) -> Vec<String> {
        self.fetch().unwrap();
        assert_eq!(self.store.blob(Digest::of(&self.bytes)).unwrap().read().unwrap(), self.bytes);
        self.asked()
    }

    fn asked(&self) -> Vec<String> {
        let requests = self.index.requests(NAME).into_iter();
        requests.map(|request| request.range.unwrap_or_default()).collect()
    }

    fn error(&self) -> FetchError {
        let error = self.fetch().unwrap_err();
        assert!(self.store.blob(Digest::of(&self.bytes)).is_none());
        into_fetch(error)
    }
}

fn into_fetch(error: cartwheel_python::Error) -> FetchError {
    match error.into_kind() {
        ErrorKind::Fetch(error) => error,
        other => panic!("{other}"),
    }
}

fn locked(filename: &str, location: WheelLocation, bytes: &[u8]) -> LockedWheel {
    LockedWheel {
        name: "a".to_owned(),
        version: "1".to_owned(),
        filename: filename.to_owned(),
        location,
        size: Some(bytes.len() as u64),
        digest: Digest::of(bytes),
        direct: false,
        direct_url: None,
    }
}

/// The `Range` of a request for the whole file: none.
const WHOLE: &str = "";

fn from(offset: usize) -> String {
    format!("bytes={offset}-")
}

#[test]
fn a_wheel_is_fetched_once() {
    let case = Case::new();
    assert_eq!(case.ranges(), [WHOLE]);
    assert_eq!(case.fetch().unwrap(), [FetchEvent::Present { index: 0 }]);
    assert_eq!(case.index.request_count(), 1);
}

#[test]
fn equal_wheels_are_one_download() {
    let case = Case::new();
    case.fetch_wheels(&[case.wheel(), case.wheel()]).unwrap();
    assert_eq!(case.index.request_count(), 1);
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let case = Case::failing([Failure::Cut(1_000_000), Failure::Cut(500_000)]);
    assert_eq!(case.ranges(), [WHOLE, &from(1_000_000), &from(1_500_000)]);
    let requests = case.index.requests(NAME);
    assert_eq!(requests[0].if_range, None);
    assert!(requests[1].if_range.is_some() && requests[2].if_range.is_some());
}

#[test]
fn a_stalled_download_goes_on() {
    let case = Case::failing([Failure::Stall(1_000_000)]);
    assert_eq!(case.ranges(), [WHOLE, &from(1_000_000)]);
}

#[test]
fn a_body_that_ends_early_without_a_length_goes_on() {
    let case = Case::failing([Failure::ShortWithoutLength(1_000_000)]);
    assert_eq!(case.ranges(), [WHOLE, &from(1_000_000)]);
}

#[test]
fn the_next_process_goes_on_where_the_last_one_stopped() {
    let mut case = Case::failing([Failure::Cut(2_000_000)]);
    case.options.patience.retries = 0;
    assert!(matches!(case.error(), FetchError::Unreachable { attempts: 1, .. }));
    let events = case.fetch().unwrap();
    assert_eq!(events[0], FetchEvent::Started { index: 0, resumed: 2_000_000 });
    assert_eq!(case.asked(), [WHOLE, &from(2_000_000)]);
}

#[test]
fn a_server_without_ranges_starts_anew() {
    let case = Case::failing([Failure::Cut(1_000_000), Failure::IgnoreRange]);
    assert_eq!(case.ranges(), [WHOLE, &from(1_000_000)]);
}

#[test]
fn a_wrong_range_is_not_believed() {
    let case = Case::failing([Failure::Cut(1_000_000), Failure::WrongRange]);
    assert_eq!(case.ranges(), [WHOLE, &from(1_000_000), WHOLE]);
}

#[test]
fn a_range_past_the_end_starts_anew() {
    let case = Case::new();
    // What an earlier run left is longer than the file, and the lockfile does not say how long that is.
    let mut partial = case.store.partial(Digest::of(&case.bytes)).unwrap();
    partial.append(&vec![1; case.bytes.len() + 5]).unwrap();
    drop(partial);
    let wheel = LockedWheel { size: None, ..case.wheel() };
    case.fetch_wheels(&[wheel]).unwrap();
    assert_eq!(case.asked(), [from(case.bytes.len() + 5), WHOLE.to_owned()]);
}

#[test]
fn servers_that_are_busy_are_asked_again() {
    let case = Case::failing([Failure::Status(503), Failure::Status(500), Failure::Status(429)]);
    assert_eq!(case.ranges(), [WHOLE, WHOLE, WHOLE, WHOLE]);
}

#[test]
fn retry_after_is_honoured() {
    let case = Case::failing([Failure::RetryAfter(429, 1)]);
    let begin = Instant::now();
    assert_eq!(case.ranges().len(), 2);
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[test]
fn retries_are_bounded_and_the_error_says_why() {
    let case = Case::failing((0..10).map(|_| Failure::Status(503)));
    let error = case.error();
    assert!(matches!(error, FetchError::Unreachable { attempts: 4, .. }), "{error:?}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "the server answered with status 503");
    assert_eq!(case.index.request_count(), 4);
}

#[test]
fn progress_wins_retries_back() {
    let case = Case::failing((0..8).map(|_| Failure::Cut(1_200_000)));
    assert_eq!(case.ranges().len(), 9);
}

#[test]
fn other_statuses_are_final() {
    let case = Case::failing([Failure::Status(404)]);
    assert!(matches!(case.error(), FetchError::Status { status: 404, .. }));
    assert_eq!(case.index.request_count(), 1);
}

#[test]
fn wrong_bytes_are_thrown_away_once() {
    let case = Case::failing([Failure::WrongBytes]);
    assert_eq!(case.ranges(), [WHOLE, WHOLE]);
    let case = Case::failing([Failure::WrongBytes, Failure::WrongBytes]);
    let error = case.error();
    let FetchError::Digest { place, expected, found } = &error else { panic!("{error}") };
    assert_eq!((place, *expected), (&case.index.file_url(NAME), Digest::of(&case.bytes)));
    assert_eq!(*found, Digest::of(&vec![0; case.bytes.len()]));
}

#[test]
fn bytes_beyond_the_size_are_refused() {
    let case = Case::failing([Failure::TooLong(1)]);
    assert_eq!(case.ranges(), [WHOLE, WHOLE]);
    let case = Case::failing([Failure::TooLong(1), Failure::TooLong(100_000)]);
    assert!(matches!(case.error(), FetchError::Size { .. }));
}

#[test]
fn a_wheel_of_unknown_size_is_verified_all_the_same() {
    let case = Case::new();
    case.fetch_wheels(&[LockedWheel { size: None, ..case.wheel() }]).unwrap();
    let case = Case::failing([Failure::TooLong(1), Failure::TooLong(1)]);
    let error = case.fetch_wheels(&[LockedWheel { size: None, ..case.wheel() }]).unwrap_err();
    assert!(matches!(into_fetch(error), FetchError::Digest { .. }));
}

#[test]
fn credentials_go_to_their_origin_and_no_other() {
    let case = Case::new();
    // The index asks for a login; the server that it redirects to panics if it gets one.
    let other = PackageIndex::start();
    other.add(NAME, case.bytes.clone(), None);
    case.index.require_login("user", "p@ss");
    case.index.fail(NAME, Failure::Redirect(other.file_url(NAME)));
    let mut case = case;
    assert!(matches!(case.error(), FetchError::Unauthorized { status: 401, .. }));
    case.options.credentials.add_url(&case.index.url_with_login().replace("p@ss", "p%40ss"));
    case.fetch().unwrap();
    assert_eq!(case.index.requests(NAME)[1].login.as_deref(), Some("user:p@ss"));
    assert_eq!(other.requests(NAME)[0].login, None);
}

#[test]
fn netrc_speaks_for_hosts_that_no_url_speaks_for() {
    let mut case = Case::new();
    case.index.require_login("n", "secret");
    case.options.credentials = Credentials::default();
    case.options.credentials.add_netrc("machine 127.0.0.1 login n password secret");
    case.fetch().unwrap();
}

#[test]
fn no_error_shows_credentials() {
    let case = Case::new();
    let url = "http://user:secret@127.0.0.1:1/a-1-py3-none-any.whl";
    let wheel = locked(NAME, WheelLocation::Url(url.to_owned()), b"");
    let wheel = LockedWheel { size: None, ..wheel };
    let error = case.fetch_wheels(&[wheel]).unwrap_err();
    assert!(error.to_string().contains("http://****@127.0.0.1:1/"), "{error}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[test]
fn circles_of_redirects_end() {
    let case = Case::new();
    for _ in 0..20 {
        case.index.fail(NAME, Failure::Redirect(case.index.file_url(NAME)));
    }
    assert!(matches!(case.error(), FetchError::Redirects { .. }));
}

#[test]
fn wheels_on_disk_are_copied_and_verified() {
    let case = Case::new();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(NAME);
    std::fs::write(&path, b"wheel").unwrap();
    let wheel = |bytes| locked(NAME, WheelLocation::Path(path.clone()), bytes);
    case.fetch_wheels(&[wheel(b"wheel")]).unwrap();
    assert!(path.exists());
    let error = into_fetch(case.fetch_wheels(&[wheel(b"other")]).unwrap_err());
    assert!(matches!(error, FetchError::Digest { .. }), "{error}");
    let missing = locked(NAME, WheelLocation::Path(Path::new("/no/such/a.whl").into()), b"x");
    let error = into_fetch(case.fetch_wheels(&[missing]).unwrap_err());
    assert!(matches!(error, FetchError::Local { .. }), "{error}");
}

#[test]
fn one_failure_stops_the_others_and_keeps_what_they_have() {
    let mut case = Case::new();
    case.options.patience.read = Duration::from_mins(1);
    let slow = "slow-1-py3-none-any.whl";
    let bytes = vec![7; 2_000_000];
    case.index.add(slow, bytes.clone(), None);
    case.index.fail(slow, Failure::Stall(1_000_000));
    case.index.fail(NAME, Failure::RetryAfter(503, 1));
    case.index.fail(NAME, Failure::Status(404));
    let wheels = [case.wheel(), locked(slow, WheelLocation::Url(case.index.file_url(slow)), &bytes)];
    let begin = Instant::now();
    let error = into_fetch(case.fetch_wheels(&wheels).unwrap_err());
    assert!(matches!(error, FetchError::Status { status: 404, .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(case.store.partial(Digest::of(&bytes)).unwrap().size().unwrap(), 1_000_000);
}

#[test]
fn many_wheels_come_in_parallel() {
    let case = Case::new();
    let wheels: Vec<LockedWheel> = (0_u32..40)
        .map(|number| {
            let name = format!("w{number}-1-py3-none-any.whl");
            let bytes = number.to_le_bytes().repeat(1000 + number as usize);
            case.index.add(&name, bytes.clone(), None);
            locked(&name, WheelLocation::Url(case.index.file_url(&name)), &bytes)
        })
        .collect();
    let events = case.fetch_wheels(&wheels).unwrap();
    let started = events.iter().find_map(|event| match event {
        FetchEvent::Started { index, .. } => Some(*index),
        _ => None,
    });
    // The largest are first; which of the first eight reports first is chance.
    assert!(started.unwrap() >= 32, "{started:?}");
}
