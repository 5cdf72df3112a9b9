//! Commands and what becomes of them, as a table; and what holds for all commands there are.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::install::Place;
use super::*;
use cartwheel_python::{IndexStrategy, Upgrade};

/// A line is `command => outcome`. `env`, `user`, `shell` and `mount` hold until the next line of the same kind. An outcome is
/// what is installed, or `! word` for the word that was not understood.
const CASES: &str = include_str!("cases.txt");

struct World {
    environment: BTreeMap<String, String>,
    user: String,
    shell: Vec<String>,
    mounts: Vec<RunMount>,
}

impl World {
    fn new() -> Self {
        let shell = ["/bin/sh", "-c"].map(str::to_owned).to_vec();
        Self { environment: BTreeMap::new(), user: String::new(), shell, mounts: Vec::new() }
    }

    fn set(&mut self, kind: &str, rest: &str) {
        let words = || rest.split_whitespace().map(str::to_owned);
        match kind {
            "env" => {
                let pairs = words().map(|word| {
                    let (name, value) = word.split_once('=').unwrap();
                    (name.to_owned(), value.replace('+', " "))
                });
                self.environment = pairs.collect();
            }
            "user" => self.user = rest.to_owned(),
            "shell" => self.shell = words().collect(),
            _ => {
                let mount = |word: String| match word.split_once(':').unwrap() {
                    ("bind", target) => RunMount::Bind { target: target.to_owned() },
                    ("cache", target) => RunMount::Cache { target: target.to_owned() },
                    (other, _) => RunMount::Unsupported(other.to_owned()),
                };
                self.mounts = words().map(mount).collect();
            }
        }
    }

    fn run(&self, command: &str) -> Result<Recognised> {
        let argv: Option<Vec<String>> = serde_json::from_str(command).ok();
        let text = command.replace("\\n", "\n");
        let script = match &argv {
            Some(words) => Script::Exec(words),
            None => Script::Shell { shell: &self.shell, text: &text },
        };
        recognise(&RunCommand {
            script,
            environment: &self.environment,
            working_dir: "/app",
            user: &self.user,
            home: Some("/root"),
            mounts: &self.mounts,
        })
    }
}

fn outcome(result: &Result<Recognised>) -> String {
    let recognised = match result {
        Ok(recognised) => recognised,
        Err(refused) => return format!("! {}", refused.word),
    };
    let mut lines: Vec<String> = recognised.installs.iter().map(described).collect();
    if lines.is_empty() {
        lines.push("nothing".to_owned());
    }
    lines.extend(recognised.assumptions.iter().map(|assumption| match assumption {
        Assumption::Directory(path) => format!("if {path}/"),
        Assumption::Absent(path) => format!("if no {path}"),
        Assumption::Unmatched { folder, pattern } => format!("if no {folder}/{pattern}"),
    }));
    lines.join(" & ")
}

/// An installation in few words: what is as usual is left out.
fn described(install: &InstallCommand) -> String {
    let mut text = match install.installer {
        Installer::Pip => "pip".to_owned(),
        Installer::Uv => "uv".to_owned(),
    };
    let mut add = |word: &str| write!(text, " {word}").unwrap();
    match &install.python {
        PythonChoice::Script(name) if name == "pip" => {}
        PythonChoice::Script(name) => add(&format!("script:{name}")),
        PythonChoice::Program(name) => add(&format!("python:{name}")),
        PythonChoice::Environment(path) => add(&format!("venv:{path}")),
        PythonChoice::System => add("system"),
        PythonChoice::Nearest { folder, or_system: false } => add(&format!("near:{folder}")),
        PythonChoice::Nearest { folder, or_system: true } => add(&format!("near-or-system:{folder}")),
    }
    match &install.asked {
        Asked::Requirements { words, wheels, sources, files } => {
            for word in words {
                add(word);
            }
            for source in sources {
                add(&format!("build:{source}"));
            }
            for (place, rest) in wheels {
                add(&format!("{}{rest}", shown(place)));
            }
            for file in files {
                add(&file_shown(file));
            }
        }
        Asked::Lock(selection) => {
            add(&format!("lock:{}", selection.project));
            for option in &selection.options {
                add(option);
            }
            let flags = [
                ("frozen", selection.frozen),
                ("locked", selection.locked),
                ("project", !selection.without_project),
            ];
            for (name, _) in flags.iter().filter(|(_, on)| *on) {
                add(name);
            }
        }
    }
    match &install.destination {
        Destination::Default => {}
        Destination::Prefix(path) => add(&format!("prefix={path}")),
        Destination::Target(path) => add(&format!("target={path}")),
        Destination::User(path) => add(&format!("user={path}")),
    }
    match &install.upgrade {
        Upgrade::No => {}
        Upgrade::Requested => add("upgrade"),
        Upgrade::All => add("upgrade-all"),
        Upgrade::Packages(names) => add(&format!("upgrade={names:?}")),
    }
    let options = &install.options;
    let is_pip = install.installer == Installer::Pip;
    let lock = matches!(install.asked, Asked::Lock(_));
    for (name, on) in [
        ("reinstall", install.reinstall),
        ("no-deps", !install.dependencies),
        ("compile", install.bytecode && !is_pip),
        ("no-compile", !install.bytecode && is_pip),
        ("break", install.break_system_packages),
        ("exact", install.exact && !lock),
        ("inexact", !install.exact && lock),
        ("no-index", options.no_index),
        ("pre", options.pre),
        ("hashes", options.require_hashes),
        ("prefer-binary", options.prefer_binary),
        ("first-index", install.strategy == IndexStrategy::First && is_pip),
        ("best-match", install.strategy == IndexStrategy::BestMatch && !is_pip),
    ] {
        if on {
            add(name);
        }
    }
    if let Some(url) = &options.index_url {
        add(&format!("index={url}"));
    }
    for url in &options.extra_index_urls {
        add(&format!("extra={url}"));
    }
    for links in &options.find_links {
        add(&format!("links={links}"));
    }
    for host in &options.trusted_hosts {
        add(&format!("trust={host}"));
    }
    for name in &options.only_binary {
        add(&format!("only={name}"));
    }
    for name in options.no_binary.iter().filter(|name| *name != ":none:") {
        add(&format!("build={name}"));
    }
    if let Some(place) = &install.certificates {
        add(&format!("cert={}", shown(place)));
    }
    for path in &install.python_path {
        add(&format!("path={path}"));
    }
    if let Some(owner) = &install.owner {
        add(&format!("owner={owner}"));
    }
    text
}

fn shown(place: &Place) -> String {
    place.mount.map_or_else(|| place.path.clone(), |mount| format!("{}@{mount}", place.path))
}

fn file_shown(file: &RequirementFile) -> String {
    match file {
        RequirementFile::Requirements(place) => format!("-r:{}", shown(place)),
        RequirementFile::Constraints(place) => format!("-c:{}", shown(place)),
        RequirementFile::Project { place, extras: None } => format!("project:{}[*]", shown(place)),
        RequirementFile::Project { place, extras: Some(extras) } => {
            format!("project:{}[{}]", shown(place), extras.join(","))
        }
        RequirementFile::Pylock(place) => format!("pylock:{}", shown(place)),
    }
}

#[test]
fn commands_are_recognised_or_refused_with_their_word() {
    let mut world = World::new();
    let (mut wrong, mut count) = (String::new(), 0);
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        if ["env", "user", "shell", "mount"].contains(&kind) {
            world.set(kind, rest);
            continue;
        }
        let (command, expected) = line.split_once(" => ").unwrap_or_else(|| panic!("no outcome: {line}"));
        count += 1;
        let result = world.run(command);
        let found = outcome(&result);
        if found != expected {
            let reason = result.err().map(|refused| refused.to_string()).unwrap_or_default();
            writeln!(wrong, "{command} => {found}\n    expected {expected} ({reason})").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 150, "{count} cases");
}

#[test]
fn a_refusal_names_its_word_and_its_place() {
    let text = "pip install a && ünknown --x";
    let refused = World::new().run(text).unwrap_err();
    assert_eq!(refused.to_string(), "`ünknown` is a command that is not understood");
    assert_eq!(refused.span.and_then(|span| text.get(span)), Some("ünknown"));
    let refused = World::new().run("pip install -i http://u:secret@example.org/ --wat").unwrap_err();
    assert_eq!(refused.to_string(), "`--wat` is an option that is not understood");
    let refused = World::new().run("pip install a > http://u:secret@example.org/").unwrap_err();
    assert!(!refused.to_string().contains("secret"), "{refused}");
}

/// Commands of pieces that mean something here, so that chance comes far.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "pip",
        "install",
        "uv",
        "sync",
        "-r",
        "x.txt",
        "&&",
        ";",
        "\n",
        "'",
        "\"",
        "$A",
        "${A",
        "}",
        "\\",
        " ",
        " ",
        " ",
        "--index-url",
        "=",
        "http://x/",
        "-",
        "--",
        "numpy",
        "[",
        "]",
        "(",
        "<",
        ">",
        "2>&1",
        "/dev/null",
        "~",
        "é",
        "#",
        "set -e",
        "cd",
        "rm -rf",
        "export",
        "A=b",
        "python -m",
        "-U",
        "--target",
        "--no-cache",
        "\t",
        "@",
        "!",
        "*",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _any = World::new().run(&text.replace('[', "("));
    }

    #[test]
    fn no_command_panics(text in pieces()) {
        let _any = World::new().run(&text);
    }

    /// The first letters are those of no option that there is; `rm -R` is one.
    #[test]
    fn an_unknown_option_is_never_recognised(
        option in "--[jwxyz][a-z-]{0,12}(=[a-z]{1,3})?|-[ADJKOQSTWXYZ][a-z]{0,3}",
        command in prop::sample::select(vec![
            "pip install {} numpy", "pip install numpy {}", "pip {} install numpy", "uv pip install {} numpy",
            "uv {} pip install numpy", "uv sync {}", "uv sync --frozen {} --no-dev", "set -e; pip install a; pip install {} b",
            "pip install a && python3 -m pip install -r x {} && true", "rm {} /root/.cache",
        ]),
    ) {
        let result = World::new().run(&command.replace("{}", &option));
        prop_assert!(result.is_err(), "{option} {command}: {result:?}");
    }

    /// An unknown setting changes what is not known here.
    #[test]
    fn an_unknown_setting_is_never_recognised(name in "(PIP|UV)_[JWXYZ][A-Z_]{0,9}") {
        let mut world = World::new();
        world.environment.insert(name.clone(), "1".to_owned());
        let command = if name.starts_with("PIP") { "pip install a" } else { "uv pip install --system a" };
        prop_assert!(world.run(command).is_err());
    }
}
