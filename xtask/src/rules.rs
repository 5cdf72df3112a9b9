//! The project's rules that a machine can check: who depends on whom, what a file may be called, what it may say.
//!
//! Each rule is a function from the checkout to findings, one line each, empty when all is well. They run as
//! `cargo xtask check-deps` and, so that nobody need remember that, as a test of this crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::command;

/// Which crates of the workspace a crate may use. `bench` and `testkit` may use what they measure or double.
const MAY_USE: &[(&str, &[&str])] = &[
    ("cartwheel-store", &[]),
    ("cartwheel-transfer", &["cartwheel-store"]),
    ("cartwheel-compose", &[]),
    ("cartwheel-dockerfile", &[]),
    ("cartwheel-sandbox", &[]),
    ("cartwheel-oci", &["cartwheel-store", "cartwheel-transfer"]),
    ("cartwheel-python", &["cartwheel-store", "cartwheel-transfer"]),
    ("cartwheel-snapshot", &["cartwheel-oci", "cartwheel-store"]),
    (
        "cartwheel-build",
        &[
            "cartwheel-dockerfile",
            "cartwheel-oci",
            "cartwheel-python",
            "cartwheel-sandbox",
            "cartwheel-snapshot",
            "cartwheel-store",
            "cartwheel-transfer",
        ],
    ),
    (
        "cartwheel",
        &[
            "cartwheel-build",
            "cartwheel-compose",
            "cartwheel-dockerfile",
            "cartwheel-oci",
            "cartwheel-python",
            "cartwheel-sandbox",
            "cartwheel-snapshot",
            "cartwheel-store",
        ],
    ),
    ("cartwheel-testkit", &["cartwheel-oci", "cartwheel-python", "cartwheel-store"]),
    ("cartwheel-bench", &["cartwheel-build", "cartwheel-oci", "cartwheel-python", "cartwheel-store"]),
    ("xtask", &[]),
];

/// The only crate that is for tests alone.
const TESTKIT: &str = "cartwheel-testkit";

/// Names that say nothing of what is in the file.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "types"];

/// The files that may be unsafe: one calls zlib for its block boundaries, one code for instructions that it detects, one
/// the system for what the sandbox needs.
const UNSAFE: [&str; 3] =
    ["crates/oci/src/layer/inflate.rs", "crates/oci/src/layer/sha256.rs", "crates/sandbox/src/system.rs"];

/// Folders whose content is the project's.
const FOLDERS: &[&str] = &[".ci", "bench", "crates", "docs", "examples", "fuzz", "tests", "xtask"];

/// Everything that breaks a rule in the checkout at `root`.
pub(crate) fn findings(root: &Path) -> Result<Vec<String>> {
    let metadata = ["metadata", "--format-version=1", "--no-deps", "--offline"];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = command::output(Command::new(cargo).args(metadata).current_dir(root))?;
    let files = files(root)?;
    let sources: Vec<&File> = files.iter().filter(|file| file.is_source()).collect();
    Ok([
        dependencies(&serde_json::from_str(&metadata)?),
        empty_names(&files),
        forbidden_words(&sources),
        missing_forbid(&sources),
        forgotten_tests(&files),
        dead_paths(root, &files),
        undocumented_options(&files),
    ]
    .concat())
}

/// A text of the project, by its path in the checkout.
struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// Whether it is Rust of the product, where the rules about words hold.
    fn is_source(&self) -> bool {
        let path = &self.path;
        path.starts_with("crates")
            && path.components().any(|part| part.as_os_str() == "src")
            && path.extension().is_some_and(|extension| extension == "rs")
    }

    /// Its lines, without those that are comment, and with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn files(root: &Path) -> Result<Vec<File>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(PathBuf::from).collect();
    folders.push(PathBuf::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).into_iter().flatten() {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let is_top = folder.as_os_str().is_empty();
            if entry.file_type()?.is_file() {
                found.extend(fs::read_to_string(entry.path()).ok().map(|text| File { path, text }));
            } else if entry.file_type()?.is_dir() && !is_top && entry.file_name() != "target" {
                folders.push(path);
            }
        }
    }
    found.sort_by(|one, two| one.path.cmp(&two.path));
    Ok(found)
}

fn dependencies(metadata: &Value) -> Vec<String> {
    let packages = || metadata["packages"].as_array().into_iter().flatten();
    let members: BTreeSet<&str> = packages().filter_map(|package| package["name"].as_str()).collect();
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut findings = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = allowed.get(name) else {
            findings.push(format!("{name}: a new crate; say in xtask/src/rules.rs what it may use"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            let for_tests = dependency["kind"] == "dev" && (used == TESTKIT || used == name);
            if members.contains(used) && !allowed.contains(&used) && !for_tests {
                findings.push(format!("{name}: may not depend on {used} (DESIGN: who sees whom)"));
            }
        }
    }
    findings
}

fn empty_names(files: &[File]) -> Vec<String> {
    let stem = |file: &&File| file.path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    let empty =
        files.iter().filter(|file| stem(file).is_some_and(|stem| EMPTY_NAMES.contains(&stem.as_str())));
    empty.map(|file| format!("{}: a name that does not say what is in it", file.path.display())).collect()
}

fn forbidden_words(sources: &[&File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in sources {
        let path = file.path.display();
        let in_dockerfile = file.path.starts_with("crates/dockerfile");
        for (number, line) in file.code() {
            let mut find = |what: &str| findings.push(format!("{path}:{number}: {what}"));
            if line.contains("Other(String)") {
                find("an error kind that says nothing");
            }
            if line.contains("cfg!(test)") {
                find("product code that behaves otherwise under test");
            }
            let is_unsafe = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
            if is_unsafe.iter().any(|word| line.contains(word))
                && !UNSAFE.iter().any(|path| file.path == Path::new(path))
            {
                find("unsafe code outside of the files that may have it");
            }
            let outside = ["std::fs", "std::net", "std::process", "std::env"];
            if in_dockerfile && outside.iter().any(|module| line.contains(module)) {
                find("the language crate does no I/O");
            }
        }
    }
    findings
}

/// Library crates whose root does not forbid unsafe code; the one with the unsafe file can only deny it.
fn missing_forbid(sources: &[&File]) -> Vec<String> {
    let roots = sources.iter().filter(|file| file.path.ends_with("src/lib.rs"));
    let without = roots.filter(|file| !file.text.contains("#![forbid(unsafe_code)]"));
    let holds = |file: &&&File| {
        let folder = file.path.parent().unwrap_or(&file.path);
        UNSAFE.iter().any(|path| Path::new(path).starts_with(folder))
    };
    let other = without.filter(|file| !holds(file));
    other.map(|file| format!("{}: does not forbid unsafe code", file.path.display())).collect()
}

/// Files beside a `tests/it/main.rs` that it does not name: tests that never run.
fn forgotten_tests(files: &[File]) -> Vec<String> {
    let mains = files.iter().filter(|file| file.path.ends_with("tests/it/main.rs"));
    mains.flat_map(|main| forgotten_beside(main, files)).collect()
}

fn forgotten_beside(main: &File, files: &[File]) -> Vec<String> {
    let folder = main.path.parent().unwrap_or(&main.path);
    let beside = files.iter().filter(|file| file.path.parent() == Some(folder) && file.path != main.path);
    let forgotten = beside.filter(|file| {
        let stem = file.path.file_stem().unwrap_or_default().display();
        file.path.extension().is_some_and(|extension| extension == "rs")
            && !main.text.lines().any(|line| line == format!("mod {stem};"))
    });
    forgotten.map(|file| format!("{}: `main.rs` beside it does not name it", file.path.display())).collect()
}

/// Paths that the documents name and that are not there.
fn dead_paths(root: &Path, files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    let is_document = |file: &&File| file.path.extension().is_some_and(|extension| extension == "md");
    for file in files.iter().filter(is_document) {
        let folder = file.path.parent().unwrap_or(Path::new(""));
        let dead_link = |link: &&str| !root.join(folder).join(link).exists();
        let dead_path = |path: &&str| !root.join(path).exists();
        for path in links(&file.text).filter(dead_link).chain(paths(&file.text).filter(dead_path)) {
            findings.push(format!("{}: names `{path}`, which is not there", file.path.display()));
        }
    }
    findings
}

/// The targets of a document's links into the checkout, without their fragments.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains(':'))
}

/// The words in backticks that are paths from the checkout's root: below one of the project's folders.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter(|word| {
        let first = word.split('/').next().unwrap_or_default();
        word.contains('/') && FOLDERS.contains(&first) && !word.contains([' ', '*', '<', '{', '$', '…', ':'])
    })
}

/// The page that says which options of pip and uv are understood.
const OPTIONS_PAGE: &str = "docs/dockerfile.md";

/// The tables of options, and how the page's sections about them begin.
const OPTIONS: [(&str, &str); 2] =
    [("crates/build/src/recognise/pip.rs", "`pip"), ("crates/build/src/recognise/uv.rs", "`uv")];

/// Options and variables of the recogniser that do not stand in the row of the page where they belong.
fn undocumented_options(files: &[File]) -> Vec<String> {
    let text =
        |path| files.iter().find(|file| file.path == Path::new(path)).map_or("", |file| file.text.as_str());
    let mut findings = Vec::new();
    for (table, heading) in OPTIONS {
        let sections = text(OPTIONS_PAGE).split("\n#### ").filter(|section| section.starts_with(heading));
        let rows: Vec<&str> = sections.flat_map(str::lines).collect();
        for (name, verdict) in text(table).lines().flat_map(options) {
            let is_there = |row: &&str| row.contains(&format!("`{name}`")) && row.contains(verdict);
            if !rows.iter().any(is_there) {
                findings
                    .push(format!("{OPTIONS_PAGE}: does not say of `{name}` that it is {verdict} ({table})"));
            }
        }
    }
    findings
}

/// The names in one line of a table, and the words for its meaning in the page.
fn options(line: &str) -> Vec<(String, &'static str)> {
    let (names, rest) = if let Some((_, entry)) = line.split_once("(&[\"-") {
        let (names, rest) = entry.split_once(']').unwrap_or((entry, ""));
        (format!("\"-{names}"), rest)
    } else if let Some((_, entry)) = line.split_once(" variable(\"") {
        let (name, rest) = entry.split_once('"').unwrap_or((entry, ""));
        (format!("\"UV_{name}\""), rest)
    } else {
        return Vec::new();
    };
    let verdict = match rest.split("Meaning::").nth(1) {
        Some(meaning) if meaning.starts_with("Nothing") => "change nothing",
        Some(meaning) if !meaning.starts_with("Refused") => "honoured",
        _ => "not recognised",
    };
    names.split('"').skip(1).step_by(2).map(|name| (name.to_owned(), verdict)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn this_checkout_keeps_the_rules() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(findings(root).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_forbidden_dependency_is_found() {
        let package = |name: &str, used: &str, kind: Value| json!({"name": name, "dependencies": [{"name": used, "kind": kind}]});
        let check = |package| {
            dependencies(&json!({"packages": [package, {"name": "cartwheel-oci"}, {"name": TESTKIT}]})).len()
        };
        assert_eq!(check(package("cartwheel-python", "cartwheel-oci", Value::Null)), 1);
        assert_eq!(check(package("cartwheel-python", "cartwheel-oci", json!("dev"))), 1);
        assert_eq!(check(package("cartwheel-python", TESTKIT, Value::Null)), 1);
        assert_eq!(check(package("cartwheel-python", TESTKIT, json!("dev"))), 0);
        assert_eq!(check(package("cartwheel-build", "cartwheel-oci", Value::Null)), 0);
        assert_eq!(check(package("newcomer", "serde", Value::Null)), 1);
    }

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.to_owned() }
    }

    #[test]
    fn an_option_in_no_row_or_the_wrong_one_is_found() {
        let table = "    one(&[\"-r\", \"--requirement\"], Meaning::Requirement),\n    flag(&[\"--dry-run\"], PROBES),\n";
        let check = |rows: &str| {
            let page = format!(
                "# x\n\n#### `pip install`\n\n{rows}\n\n#### `uv sync`\n\n| `--dry-run` | not recognised |\n"
            );
            undocumented_options(&[file(OPTIONS[0].0, table), file(OPTIONS_PAGE, &page)]).len()
        };
        assert_eq!(check("| `-r` `--requirement` | honoured |\n| `--dry-run` | not recognised: x |"), 0);
        assert_eq!(check("| `-r` `--requirement` | honoured |"), 1);
        assert_eq!(check("| `-r`, `--dry-run` | honoured |"), 2);
        assert_eq!(
            options("    variable(\"NO_CACHE\", Kind::Flag, Meaning::Nothing),"),
            [("UV_NO_CACHE".to_owned(), "change nothing")]
        );
    }

    #[test]
    fn words_are_forbidden_where_they_are_code() {
        let check = |path, text| forbidden_words(&[&file(path, text)]).len();
        assert_eq!(check("crates/build/src/a.rs", "let x = unsafe { f() };"), 1);
        assert_eq!(check("crates/build/src/a.rs", "// unsafe { f() }"), 0);
        assert_eq!(check(UNSAFE[0], "unsafe { f() }"), 0);
        assert_eq!(check("crates/dockerfile/src/a.rs", "use std::fs;"), 1);
        assert_eq!(check("crates/oci/src/a.rs", "use std::fs;\nOther(String),"), 1);
    }

    #[test]
    fn names_and_forgotten_tests_are_found() {
        let files = [
            file("crates/oci/src/util.rs", ""),
            file("crates/oci/tests/it/main.rs", "mod layer;\n"),
            file("crates/oci/tests/it/layer.rs", ""),
            file("crates/oci/tests/it/layout.rs", ""),
        ];
        assert_eq!(empty_names(&files).len(), 1);
        assert_eq!(
            forgotten_tests(&files),
            ["crates/oci/tests/it/layout.rs: `main.rs` beside it does not name it"]
        );
    }

    #[test]
    fn documents_paths_are_read() {
        let text =
            "See [it](docs/a.md#b), [that](https://example.org/x), `crates/oci` and `crates/*/src`, `a/b`.";
        assert_eq!(links(text).collect::<Vec<_>>(), ["docs/a.md"]);
        assert_eq!(paths(text).collect::<Vec<_>>(), ["crates/oci"]);
    }
}
