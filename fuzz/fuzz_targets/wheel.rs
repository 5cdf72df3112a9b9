//! Any bytes as a wheel: opening it and reading all of it ends in a value or an error, never in a panic.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use cartwheel_python::{Archive, Wheel};
use cartwheel_store::Blob;
use libfuzzer_sys::fuzz_target;

/// The one file that every input is written to; `fuzz` names a folder in memory by `TMPDIR`.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("cartwheel-fuzz-{}.whl", std::process::id())));

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("the input's file can be written");
    let open = || Blob::open(&*FILE).expect("the input's file can be read");
    let Ok(archive) = Archive::open(open(), "input.whl") else { return };
    for member in archive.members() {
        let _read_or_refused = archive.read(member);
    }
    // The file name must agree with what is inside, so it comes from there.
    let dist_info = archive.members().iter().find_map(|member| member.name.split_once(".dist-info/"));
    if let Some((name, _)) = dist_info {
        let _read_or_refused = Wheel::open(open(), &format!("{name}-py3-none-any.whl"));
    }
});
