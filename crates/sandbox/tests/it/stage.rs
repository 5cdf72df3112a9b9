//! A root file system for tests: the machine's own programs, with the libraries that they need.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use cartwheel_sandbox::{Cancel, Exit, Result, Sandbox, Stream, overlay_is_user, run};
use tempfile::TempDir;

/// What the tests run.
const PROGRAMS: &[&str] = &[
    "bash", "cat", "chmod", "grep", "id", "ln", "ls", "mkdir", "mknod", "mv", "readlink", "rm", "rmdir",
    "setsid", "sh", "sleep", "stat", "touch", "true", "unshare",
];

/// Where tests may write: without root, what `without_root` says, and otherwise what cargo says.
fn scratch() -> PathBuf {
    if overlay_is_user() { std::env::temp_dir() } else { env!("CARGO_TARGET_TMPDIR").into() }
}

/// A directory for one test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in(scratch()).unwrap()
}

/// The program that keeps sandboxes; `without_root` puts a copy beside the tests.
fn keeper() -> PathBuf {
    let copy = std::env::current_exe().unwrap().with_file_name("keeper");
    if copy.exists() { copy } else { env!("CARGO_BIN_EXE_keeper").into() }
}

/// Whether there is no user but root, as in a user namespace of one.
pub(crate) fn is_root_alone() -> bool {
    fs::read_to_string("/proc/self/uid_map").unwrap().trim().ends_with(" 1")
}

/// One root file system for all tests; nobody writes to it.
fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = scratch().join("programs");
        let _not_there_the_first_time = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::create_dir_all(folder.join("etc")).unwrap();
        for program in PROGRAMS {
            copy(&which(program), &folder, &Path::new("/bin").join(program));
        }
        folder
    })
}

fn which(program: &str) -> PathBuf {
    let folders = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"].map(PathBuf::from);
    folders.iter().map(|folder| folder.join(program)).find(|path| path.exists()).unwrap()
}

/// Copies a program, and by `ldd` its libraries to where they are here.
fn copy(program: &Path, root: &Path, target: &Path) {
    fs::copy(program, root.join(target.strip_prefix("/").unwrap())).unwrap();
    let output = Command::new("ldd").arg(program).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    for library in output.split_whitespace().filter(|word| word.starts_with('/')) {
        let target = root.join(library.strip_prefix('/').unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(library, target).unwrap();
    }
}

/// A sandbox over the machine's programs, with directories of its own for what it writes.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    folder: TempDir,
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) exit: Result<Exit>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    /// One that runs `script` in a shell.
    pub(crate) fn new(script: &str) -> Self {
        let folder = folder();
        let [upper, work] = ["upper", "work"].map(|name| folder.path().join(name));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let sandbox = Sandbox {
            lower: vec![programs().to_owned()],
            upper,
            work,
            args: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec![("PATH".to_owned(), "/nowhere:/bin".to_owned())],
            keeper: keeper(),
            ..Sandbox::default()
        };
        Self { sandbox, folder }
    }

    /// A new directory of the host's.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A further directory of the root file system, on top of the others.
    pub(crate) fn lower(&mut self, name: &str) -> PathBuf {
        let path = self.folder(name);
        if !self.sandbox.lower.contains(&path) {
            self.sandbox.lower.push(path.clone());
        }
        path
    }

    /// Puts a program into `/bin`.
    pub(crate) fn program(&mut self, name: &str, content: &[u8], mode: u32) {
        let folder = self.lower("programs").join("bin");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), content).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn run(&self) -> Ran {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = run(&self.sandbox, &Cancel::new().unwrap(), &mut |stream, bytes| match stream {
            Stream::Stdout => stdout.extend_from_slice(bytes),
            Stream::Stderr => stderr.extend_from_slice(bytes),
        });
        let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        Ran { exit, stdout, stderr }
    }

    /// A program of its own that runs the sandbox.
    pub(crate) fn caller(&self) -> Command {
        let description = self.folder.path().join("sandbox.json");
        fs::write(&description, serde_json::to_vec(&self.sandbox).unwrap()).unwrap();
        let mut command = Command::new(&self.sandbox.keeper);
        command.arg("run").arg(description);
        command
    }

    /// The paths in the upper directory, sorted.
    pub(crate) fn changed(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.sandbox.upper.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                found.push(path.strip_prefix(&self.sandbox.upper).unwrap().to_str().unwrap().to_owned());
                if path.symlink_metadata().unwrap().is_dir() {
                    folders.push(path);
                }
            }
        }
        found.sort();
        // Where the image has none of these they are made, and stay, as in Docker.
        found.retain(|path| !["dev", "proc", "sys"].contains(&path.as_str()));
        found
    }
}

impl Ran {
    /// What it wrote, of a process that ended well and complained of nothing.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!((self.exit.unwrap(), self.stderr.as_str()), (Exit::Code(0), ""), "{}", self.stdout);
        self.stdout
    }
}
