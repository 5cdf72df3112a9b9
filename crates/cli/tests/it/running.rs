//! Commands that have to be run: what they see, what stays of them, and what does not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use cartwheel_oci::{Image, Source};

use crate::interrupted::wait;
use crate::project::{Project, listing, platform};

/// A Dockerfile on the base whose shell and Python run.
struct Commands {
    project: Project,
}

impl Commands {
    fn new(lines: &str) -> Self {
        let project = Project::new().on_python_slim();
        project.write("context/Dockerfile", &format!("FROM base\n{lines}"));
        Self { project }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut build = self.project.command();
        build.args([
            "build",
            "context",
            "--build-context",
            "base=oci-layout://base",
            "--platform",
            "linux/amd64",
        ]);
        build.args(["--output", "type=oci,dest=out,tar=false"]).args(arguments);
        build
    }

    /// Builds; gives what was told.
    fn build(&self, arguments: &[&str]) -> String {
        let _ = fs::remove_dir_all(self.project.path("out"));
        let output = self.command(arguments).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{message}");
        self.project.validate("out");
        message
    }

    fn failure(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        message
    }

    /// The paths of the last layer, in its order.
    fn changed(&self) -> Vec<String> {
        let layout = self.project.layout("out");
        let image = Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap();
        let mut paths = Vec::new();
        cartwheel_oci::layer::read(
            layout.open(&image.layers().last().unwrap().descriptor).unwrap(),
            |entry, _| {
                paths.push(entry.path.clone());
                Ok(())
            },
        )
        .unwrap();
        paths
    }
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn what_a_command_changed_is_its_layer() {
    let case = Commands::new(
        "RUN mkdir -m 700 /made && echo text > /made/file && ln /made/file /made/link && rm -r /usr/share/doc\n",
    );
    let message = case.build(&[]);
    assert!(message.contains("is run:"), "{message}");
    assert_eq!(case.changed(), ["made", "made/file", "made/link", "usr/share/.wh.doc"]);
    let again = case.build(&[]);
    assert!(again.contains("CACHED") && !again.contains("is run:"), "{again}");
    case.project.write("context/Dockerfile", "FROM base\nRUN echo other > /etc/other\n");
    case.build(&[]);
    assert_eq!(case.changed(), ["etc/other"]);
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn compiled_python_knows_its_sources() {
    let case = Commands::new(
        "RUN mkdir /app && echo 'x = 1' > /app/m.py && python -m compileall -q /app\nRUN python -B -c \"import importlib._bootstrap_external as b, os; data = open('/app/__pycache__/m.cpython-313.pyc', 'rb').read(); assert int.from_bytes(data[8:12], 'little') == int(os.stat('/app/m.py').st_mtime), data[:16]\"\n",
    );
    case.build(&[]);
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn a_command_that_fails_is_shown_with_its_place_and_output() {
    let case = Commands::new("ENV A=1\nRUN echo before && exit 3\n");
    let message = case.failure(&[]);
    for part in ["context/Dockerfile:3", "| before", "did not complete successfully: exit code: 3"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!case.project.path("out").exists());
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn secrets_are_seen_and_stay_nowhere() {
    let case = Commands::new(
        "RUN --mount=type=secret,id=file --mount=type=secret,id=word,env=WORD test $(wc -c < /run/secrets/file)${#WORD} = 1818 && echo done > /done\n",
    );
    case.project.write("file", "a-very-secret-text");
    let mut build = case.command(&["--secret", "id=file,src=file", "--secret", "id=word,env=TOKEN"]);
    let output = build.env("TOKEN", "a-very-secret-word").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(case.changed(), ["done"]);
    let mut searched = 0;
    for folder in ["home", "out"] {
        for path in listing(&case.project.path(folder)).keys().filter(|path| path.is_file()) {
            let bytes = fs::read(path).unwrap();
            searched += 1;
            assert!(!bytes.windows(13).any(|window| window == b"a-very-secret"), "{}", path.display());
        }
    }
    assert!(searched > 20);
    let message = Commands::new("RUN --mount=type=secret,id=gone,required=true true\n").failure(&[]);
    assert!(
        message.contains("secret `gone` was not given") && message.contains("hint: give it"),
        "{message}"
    );
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn mounts_show_contexts_stages_and_caches_and_leave_nothing() {
    let lines = "FROM base AS tools\nRUN echo tool > /tool\nFROM base\n\
        RUN --mount=type=bind,target=/src --mount=type=bind,from=tools,source=/tool,target=/mnt/tool --mount=type=cache,target=/cache --mount=type=tmpfs,target=/fast \
        cat /src/asked /mnt/tool > /result && ! touch /src/x 2>/dev/null && touch /fast/x && ls /cache | wc -l >> /result && touch /cache/$(cat /src/asked)\n";
    let case = Commands::new(lines);
    let result = |asked: &str| {
        case.project.write("context/asked", &format!("{asked}\n"));
        case.build(&[]);
        assert_eq!(case.changed(), ["result"]);
        let layout = case.project.layout("out");
        let image = Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap();
        String::from_utf8(case.project.files(image.layers().last().unwrap())["result"].text.clone()).unwrap()
    };
    assert_eq!(result("one"), "one\ntool\n0\n");
    assert_eq!(result("two"), "two\ntool\n1\n");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn caches_begin_anew_with_the_steps_that_are_done_anew() {
    // As in BuildKit. The second mount is the same cache: a command must not wait for itself.
    let case = Commands::new(
        "ARG NAME\nRUN --mount=type=cache,id=c,sharing=locked,target=/cache --mount=type=cache,id=c,sharing=locked,target=/same \
         touch /cache/$NAME && echo seen $(ls /same) && false\n",
    );
    let seen = |name: &str, more: &[&str]| {
        let name = format!("NAME={name}");
        let message = case.failure(&[&["--build-arg", &name], more].concat());
        message.lines().find_map(|line| line.split_once("| seen ")).unwrap().1.to_owned()
    };
    assert_eq!(seen("one", &[]), "one");
    assert_eq!(seen("two", &[]), "one two");
    assert_eq!(seen("three", &["--no-cache"]), "three");
    assert_eq!(seen("four", &[]), "four three");
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn caches_are_there_unasked_and_can_be_refused() {
    let case =
        Commands::new("RUN echo \"${PIP_CACHE_DIR-none}\" > /where; touch \"$PIP_CACHE_DIR/kept\" || true\n");
    case.build(&[]);
    assert_eq!(case.changed(), ["where"]);
    case.project.write("context/Dockerfile", "FROM base\nRUN ls /run/cartwheel/pip > /there\n");
    case.build(&[]);
    let refused = Commands::new("RUN test -z \"$PIP_CACHE_DIR\" && test ! -e /run/cartwheel\n");
    refused.build(&["--no-auto-cache"]);
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn who_is_not_root_builds_the_same() {
    let lines = "RUN id -u > /who && mkdir -m 750 /made && echo mine > /made/file\nRUN rm -r /made /usr/share/doc && echo more >> /who\n";
    let (as_root, as_other) = (Commands::new(lines), Commands::new(lines));
    as_root.build(&[]);
    let (done, message) = build_as_other(&as_other);
    assert!(done, "{message}");
    as_other.project.validate("out");
    assert_eq!(as_root.changed(), as_other.changed());
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn who_is_not_root_has_other_users_or_is_told() {
    let lines = "RUN id -u > /who && useradd -m app && echo mine > /home/app/file && chown app /home/app/file\nUSER app\nRUN test \"$(id -un)\" = app && echo more >> /home/app/file\n";
    let (as_root, as_other) = (Commands::new(lines), Commands::new(lines));
    as_root.build(&[]);
    let (done, message) = build_as_other(&as_other);
    if message.contains("commands have no user but root") {
        // Without ranges in /etc/subuid nobody can be `app`: it must be said, and the command fails.
        assert!(!done && message.contains("another user than the image says"), "{message}");
        return;
    }
    assert!(done, "{message}");
    as_other.project.validate("out");
    assert_eq!(as_root.changed(), as_other.changed());
}

/// Builds as a user who is not root; whether it was done, and what was told.
fn build_as_other(case: &Commands) -> (bool, String) {
    let mut command = case.command(&[]);
    // Where the fixtures lie, nobody else may look.
    let (base, copy) = (case.project.path("base"), case.project.path("copy"));
    assert!(Command::new("cp").args(["-rL"]).args([&base, &copy]).status().unwrap().success());
    fs::remove_file(&base).unwrap();
    fs::rename(&copy, &base).unwrap();
    as_other(&case.project, &mut command);
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// Makes a command one of a user who is not root, to whom the project belongs.
pub(crate) fn as_other(project: &Project, command: &mut Command) {
    give_away(&project.path(""), OTHER);
    command.uid(OTHER).gid(OTHER).env("HOME", project.path(""));
}

/// A user who is not root, and has nothing.
const OTHER: u32 = 61_234;

fn give_away(folder: &std::path::Path, user: u32) {
    chown(folder, Some(user), Some(user)).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            give_away(&entry.path(), user);
        } else if kind.is_file() {
            chown(entry.path(), Some(user), Some(user)).unwrap();
        }
    }
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn killed_it_leaves_no_process_and_the_next_build_is_right() {
    let case = Commands::new("RUN --mount=type=cache,target=/cache echo kept > /cache/file; sleep 4711\n");
    let mut build = case.command(&[]).spawn().unwrap();
    let sleeping = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines.filter(|line| line.as_slice() == b"sleep\x004711\x00").count()
    };
    let wait_for = |count: usize| {
        let came = (0..600).any(|_| {
            wait(Duration::from_millis(50));
            sleeping() == count
        });
        assert!(came, "{} processes", sleeping());
    };
    wait_for(1);
    build.kill().unwrap();
    build.wait().unwrap();
    wait_for(0);
    let home = case.project.path("home").display().to_string();
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains(&home));
    case.project.write(
        "context/Dockerfile",
        "FROM base\nRUN --mount=type=cache,target=/cache cp /cache/file /result\n",
    );
    case.build(&[]);
    assert_eq!(case.changed(), ["result"]);
}

#[test]
#[ignore = "needs peers: cargo xtask test"]
fn two_builds_at_once_share_the_work() {
    let lines =
        "RUN --mount=type=cache,target=/cache echo x >> /cache/runs && sleep 2 && cp /cache/runs /runs\n";
    let case = Commands::new(lines);
    let start = |output: &str| {
        let mut build = case.project.command();
        build.args([
            "build",
            "context",
            "--build-context",
            "base=oci-layout://base",
            "--platform",
            "linux/amd64",
        ]);
        build.args(["-o", &format!("type=oci,dest={output},tar=false")]);
        build.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let builds = [start("out"), start("other")].map(|build| build.wait_with_output().unwrap());
    let [one, two] = builds.map(|output| {
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{message}");
        (String::from_utf8(output.stdout).unwrap(), message)
    });
    assert_eq!(one.0, two.0);
    let has = |part: &str| [&one.1, &two.1].iter().filter(|message| message.contains(part)).count();
    let seen = (has("is run:"), has("waits for another build that does the same"));
    assert_eq!(seen, (1, 1), "{}\n{}", one.1, two.1);
    let layout = case.project.layout("out");
    let image = Image::read(&layout, layout.find(None).unwrap(), &platform()).unwrap();
    let files = case.project.files(image.layers().last().unwrap());
    assert_eq!(files["runs"].text, b"x\n");
}
