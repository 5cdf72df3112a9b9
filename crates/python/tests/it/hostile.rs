//! Every hostile wheel is refused for its own reason, and no sound one is.

use std::error::Error;
use std::path::Path;

use cartwheel_python::{
    Arch, InstallOptions, Libc, PythonVersion, Scheme, Tags, Target, Wheel, WheelFilename, install,
    read_installed,
};
use cartwheel_store::Blob;
use cartwheel_testkit::{hostile, sound};

const PYTHON: PythonVersion = PythonVersion { major: 3, minor: 13 };

/// All that happens to a wheel until its last byte is believed: it is chosen, opened, described and unpacked.
fn take(path: &Path, filename: &str) -> Result<(), Box<dyn Error>> {
    let name: WheelFilename = filename.parse()?;
    let libc = Libc::Glibc { major: 2, minor: 41 };
    if !name.is_compatible(&Tags::compatible(&Target { python: PYTHON, arch: Arch::X86_64, libc })) {
        return Err(format!("wheel `{filename}` is not for this platform").into());
    }
    let wheel = Wheel::open(Blob::open(path)?, filename)?;
    let files = install(&wheel, &Scheme::for_prefix("/usr/local", PYTHON), &InstallOptions::default())?;
    for file in &files {
        read_installed(&wheel, file)?;
    }
    Ok(())
}

/// The verdict on a wheel as people see it: the error and its causes on one line.
fn verdict(filename: &str, bytes: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wheel");
    std::fs::write(&path, bytes).unwrap();
    take(&path, filename).map_err(|error| {
        let mut causes: Vec<String> = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        causes.join(": ")
    })
}

#[test]
fn hostile_wheels_are_refused_each_for_its_own_reason() {
    let mut wrong = Vec::new();
    for case in hostile::wheels() {
        let hostile::Hostile { name, filename, bytes, entry, about } = &case;
        match verdict(filename, bytes) {
            Ok(()) => wrong.push(format!("{name}: accepted")),
            Err(message) => {
                let entry = entry.map(|entry| format!("`{entry}`")).unwrap_or_default();
                let names = message.contains(&format!("`{filename}`")) && message.contains(&entry);
                if !names || !message.contains(about) {
                    wrong.push(format!("{name}: wanted `{entry}` and `{about}`, got: {message}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn sound_wheels_are_accepted_however_odd() {
    let verdicts = sound::wheels().into_iter().filter_map(|case| {
        let error = verdict(&case.filename, &case.bytes).err()?;
        Some(format!("{}: {error}", case.name))
    });
    assert_eq!(verdicts.collect::<Vec<_>>(), Vec::<String>::new());
}
