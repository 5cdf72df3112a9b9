//! Requirements files mean what they mean to pip.

use std::path::{Path, PathBuf};

use cartwheel_python::{Files, Requirements, ResolveSource};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn read(folder: &TempDir) -> cartwheel_python::Result<Requirements> {
    let variables = |name: &str| (name == "TOKEN").then(|| "secret".to_owned());
    Requirements::read(&folder.path().join("r.txt"), &variables)
}

fn error(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let error = read(&folder).unwrap_err().to_string();
    error.replace(&folder.path().display().to_string(), "DIR")
}

#[test]
fn files_include_files_beside_them() {
    let folder = folder(&[
        ("r.txt", "a\n-r sub/s.txt\n-c c.txt\nb"),
        ("sub/s.txt", "--requirement=../t.txt"),
        ("t.txt", "c"),
        ("c.txt", "a<2\n-r t.txt"),
    ]);
    let requirements = read(&folder).unwrap();
    let lines: Vec<_> = requirements.lines.iter().map(|line| (line.text.as_str(), line.constraint)).collect();
    assert_eq!(lines, [("a", false), ("c", false), ("a<2", true), ("c", false), ("b", false)]);
    let names: Vec<_> = requirements.files.iter().map(|file| file.path.file_name().unwrap()).collect();
    assert_eq!(names, ["r.txt", "s.txt", "t.txt", "c.txt", "t.txt"]);
}

#[test]
fn options_belong_to_a_requirement_or_to_all() {
    let folder = folder(&[(
        "r.txt",
        "--extra-index-url http://127.0.0.1/forgotten\n--index-url https://u:${TOKEN}@example.org/simple\n\
         --extra-index-url=http://127.0.0.1/2 --pre\n-f wheels\n-f elsewhere\n\
         a==1 \\\n  --hash=sha256:00 \\\n  --hash sha384:01 # why\n-e ./b\nb==2 --pre --no-binary b",
    )]);
    std::fs::create_dir(folder.path().join("wheels")).unwrap();
    let requirements = read(&folder).unwrap();
    let options = &requirements.options;
    assert_eq!(options.index_url.as_deref(), Some("https://u:secret@example.org/simple"));
    assert_eq!(options.extra_index_urls, ["http://127.0.0.1/2"]);
    let beside = folder.path().join("wheels").display().to_string();
    assert_eq!(options.find_links, [beside.as_str(), "elsewhere"]);
    assert!(options.pre && !options.require_hashes && requirements.requires_hashes());
    assert!(options.no_binary.contains("b"));
    assert_eq!(requirements.lines[0].text, "a==1");
    assert_eq!(requirements.lines[0].hashes, ["sha256:00", "sha384:01"]);
    assert_eq!(requirements.lines[0].location.as_ref().unwrap().line, 6);
    assert!(requirements.lines[1].editable);
}

#[test]
fn errors_name_file_line_and_column() {
    assert_eq!(error(&[("r.txt", "a\n  --nope")]), "DIR/r.txt:2:3: no such option `--nope`");
    assert_eq!(
        error(&[("r.txt", "-r s.txt"), ("s.txt", "\n-r ./r.txt")]),
        "DIR/s.txt:2:1: requirements file `DIR/r.txt` includes itself"
    );
    assert_eq!(
        error(&[("r.txt", "-c https://u:${TOKEN}@example.org/c.txt")]),
        "DIR/r.txt:1:1: cannot read `https://****@example.org/c.txt`: requirements files are not downloaded"
    );
    assert_eq!(
        error(&[("r.txt", "-r none.txt")]),
        "requirements file `DIR/none.txt` is not there, included at DIR/r.txt:1:1"
    );
    assert_eq!(
        error(&[("r.txt", "\n-c sub"), ("sub/x", "")]),
        "could not read requirements file `DIR/sub`, included at DIR/r.txt:2:1"
    );
    assert!(error(&[("r.txt", "a --hash=md5:00")]).contains("`md5`"));
    assert!(error(&[("r.txt", "-e 'a")]).contains("not closed"));
}

#[test]
fn a_mistake_in_a_requirement_is_found_when_it_is_resolved() {
    let folder = folder(&[("r.txt", "ok\n  bad = 1\n")]);
    let requirements = read(&folder).unwrap();
    let mut request = crate::resolve::request(Path::new("/no/uv"), folder.path());
    request.source = ResolveSource::Requirements(requirements);
    let error = cartwheel_python::resolve(&request).unwrap_err();
    let place = PathBuf::from(folder.path()).join("r.txt");
    assert_eq!(error.to_string(), format!("{}:2:7: cannot read the requirement", place.display()));
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("`bad = 1` is no valid requirement"), "{source}");
}

#[test]
fn files_of_an_image_are_read_without_a_disk() {
    let read = |path: &Path| match path.to_str() {
        Some("/app/r.txt") => Ok(b"a\n-r sub/s.txt\n-f wheels\n-f gone".to_vec()),
        Some("/app/sub/s.txt") => Ok(b"b".to_vec()),
        Some("/app/t.txt") => Ok(b"\n-c none.txt".to_vec()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let files = Files { read: &read, exists: &|path| path == Path::new("/app/wheels") };
    let mut requirements = Requirements::default();
    requirements.add_file_from(files, Path::new("/app/r.txt"), false, &|_| None).unwrap();
    let lines: Vec<_> = requirements.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, ["a", "b"]);
    assert_eq!(requirements.options.find_links, ["/app/wheels", "gone"]);
    for (path, message) in [
        ("/x.txt", "requirements file `/x.txt` is not there"),
        ("/app/t.txt", "requirements file `/app/none.txt` is not there, included at /app/t.txt:2:1"),
    ] {
        let error = requirements.add_file_from(files, Path::new(path), false, &|_| None).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(std::error::Error::source(&error).is_none(), "nothing more is to be said of it");
    }
}
