//! Which Python an image has: the one that `pip` would install for.
//!
//! An image says little about itself, so this looks for what a shell would find: the first `python3` or `python` on
//! the image's `PATH`. The official images need no more than that; virtual environments are told by their `pyvenv.cfg`.
//! The version is in the name of the file behind the links, or in the only `lib/pythonX.Y` of the prefix, or in
//! `PYTHON_VERSION`, which the official images set.

use cartwheel_oci::{Below, Extract, ImageConfig};
use cartwheel_python::{Arch, Libc, PythonVersion, Scheme, Target};

use crate::error::{Error, ErrorKind, Result};
use crate::files::{join, parent};
use crate::recognise::PythonChoice;
use crate::stage::StageState;

/// The `PATH` of a container whose image sets none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The oldest musl that images in use have; wheels for it run on all later ones.
const MUSL: Libc = Libc::Musl { major: 1, minor: 2 };

/// The version of [`interesting`]: part of the key of what was found with it.
pub(crate) const EXTRACT_VERSION: u32 = 2;

/// A Python in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// The program itself, behind all links.
    pub(crate) executable: String,
    /// Where it looks for what is installed.
    pub(crate) scheme: Scheme,
    /// Which wheels it takes.
    pub(crate) target: Target,
}

/// Which files of a base are worth looking into.
pub(crate) fn interesting(path: &str) -> Option<Extract> {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name {
        "libc.so.6" => Some(glibc_version),
        "pyvenv.cfg" => Some(text),
        "RECORD" if path.contains(".dist-info/") => Some(text),
        "METADATA" if path.contains(".dist-info/") => Some(headers),
        "passwd" if path == "etc/passwd" => Some(text),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// What METADATA says before its long description.
fn headers(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let end = ["\n\n", "\r\n\r\n"].iter().filter_map(|gap| text.find(gap)).min().unwrap_or(text.len());
    text.get(..end).map(|headers| format!("{headers}\n"))
}

/// The GNU C library says which it is when it is run: «GNU C Library (…) stable release version 2.41.»
fn glibc_version(bytes: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"release version ";
    let at = bytes.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let digits = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
    let version = digits.map(|&byte| char::from(byte)).collect::<String>();
    Some(version.trim_end_matches('.').to_owned())
}

impl Interpreter {
    /// Finds the Python of an image: the first on its `PATH`.
    pub(crate) fn find(config: &ImageConfig, below: &Below) -> Result<Self> {
        let path = config.config.env("PATH").unwrap_or(DEFAULT_PATH);
        let found = path.split(':').find_map(|folder| python_in(folder, below));
        let (folder, resolved) = found.ok_or_else(|| ErrorKind::NoPython { path: path.to_owned() })?;
        Self::at(&folder, &resolved, config, below)
    }

    /// The Python that is `resolved` behind all links, seen in `folder`.
    fn at(folder: &str, resolved: &str, config: &ImageConfig, below: &Below) -> Result<Self> {
        let prefix = folder.rsplit_once('/').map_or("", |(prefix, _)| prefix);
        let version = version_in_name(resolved)
            .or_else(|| version_in_libraries(prefix, below))
            .or_else(|| version_of(config.config.env("PYTHON_VERSION")?))
            .ok_or_else(|| ErrorKind::UnknownPython { python: format!("/{resolved}") })?;
        let scheme = scheme(prefix, version, below)?;
        let arch = match config.architecture.as_str() {
            "amd64" => Arch::X86_64,
            "arm64" => Arch::Aarch64,
            _ => return Err(ErrorKind::Platform { platform: config.platform() }.into()),
        };
        let libc = libc(below).ok_or(ErrorKind::UnknownLibc)?;
        Ok(Self { executable: resolved.to_owned(), scheme, target: Target { python: version, arch, libc } })
    }

    /// The Python that a command means, whose variable `PATH` is `path`; or why that cannot be said.
    pub(crate) fn choose(
        choice: &PythonChoice,
        path: Option<&str>,
        state: &StageState<'_>,
    ) -> Result<Result<Self, String>> {
        let below = state.below()?;
        let path = path.unwrap_or(DEFAULT_PATH);
        let folders = || path.split(':').map(|folder| folder.trim_matches('/'));
        let is_environment = |folder: &str| below.get(&join(parent(folder), "pyvenv.cfg")).is_some();
        let found = match choice {
            PythonChoice::Program(name) if name.starts_with('/') => {
                let place = name.trim_matches('/');
                let bin = join(place, "bin");
                python_in(&bin, below).or_else(|| program(parent(place), name, below))
            }
            PythonChoice::Program(name) => folders().find_map(|folder| program(folder, name, below)),
            PythonChoice::Script(name) => {
                let folder = match name.trim_start_matches('/').rsplit_once('/') {
                    Some((folder, _)) => Some(folder.to_owned()),
                    None => {
                        folders().find(|folder| program(folder, name, below).is_some()).map(str::to_owned)
                    }
                };
                match folder {
                    Some(folder) => script_python(&folder, name, state)?,
                    None => return Ok(Err(format!("there is no `{name}` on the PATH (`{path}`)"))),
                }
            }
            PythonChoice::Environment(folder) => {
                let folder = folder.trim_matches('/');
                let bin = join(folder, "bin");
                python_in(&bin, below).filter(|_| is_environment(&bin))
            }
            PythonChoice::System => {
                folders().filter(|folder| !is_environment(folder)).find_map(|folder| python_in(folder, below))
            }
            PythonChoice::Nearest { folder, or_system } => {
                let mut above = Some(folder.trim_matches('/'));
                let mut nearest = None;
                while let Some(folder) = above.filter(|_| nearest.is_none()) {
                    let bin = join(folder, ".venv/bin");
                    nearest = python_in(&bin, below).filter(|_| is_environment(&bin));
                    above = Some(parent(folder)).filter(|_| !folder.is_empty());
                }
                let any = || folders().find_map(|folder| python_in(folder, below));
                nearest.or_else(|| or_system.then(any).flatten())
            }
        };
        let Some((folder, resolved)) = found else {
            return Ok(Err("the Python that it installs for is not there".to_owned()));
        };
        match Self::at(&folder, &resolved, state.image.config(), below) {
            Ok(interpreter) => Ok(Ok(interpreter)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }
}

/// The program in a folder, if it is a file there, and where its links lead.
fn program(folder: &str, name: &str, below: &Below) -> Option<(String, String)> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let resolved = below.resolve(&join(folder, name))?;
    below.get(&resolved)?.file()?;
    Some((folder.to_owned(), resolved))
}

/// The Python that the first line of a script names.
fn script_python(folder: &str, name: &str, state: &StageState<'_>) -> Result<Option<(String, String)>> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let text = state.read(&join(folder, name))?.unwrap_or_default();
    let line = text.lines().next().and_then(|line| line.strip_prefix("#!")).unwrap_or_default().trim();
    let below = state.below()?;
    Ok(program(parent(line.trim_start_matches('/')), line, below))
}

/// The folder as it is on `PATH`, without its slash, and where the links lead.
fn python_in(folder: &str, below: &Below) -> Option<(String, String)> {
    let folder = folder.trim_matches('/');
    ["python3", "python"].iter().find_map(|name| {
        let resolved = below.resolve(&format!("{folder}/{name}"))?;
        below.get(&resolved).is_some_and(|node| node.file().is_some()).then(|| (folder.to_owned(), resolved))
    })
}

fn version_in_name(path: &str) -> Option<PythonVersion> {
    version_of(path.rsplit('/').next()?.strip_prefix("python")?)
}

/// `3.13` or `3.13.5`.
fn version_of(text: &str) -> Option<PythonVersion> {
    let mut parts = text.split('.').map(str::parse::<u8>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else { return None };
    Some(PythonVersion::new(major, minor))
}

fn version_in_libraries(prefix: &str, below: &Below) -> Option<PythonVersion> {
    let folder = if prefix.is_empty() { "lib".to_owned() } else { format!("{prefix}/lib") };
    let library = |path: &str| version_of(path.strip_prefix(&folder)?.strip_prefix("/python")?);
    let mut versions = below.children(&folder).filter_map(|(path, _)| library(path));
    let first = versions.next()?;
    versions.all(|other| other == first).then_some(first)
}

fn scheme(prefix: &str, version: PythonVersion, below: &Below) -> Result<Scheme, Error> {
    let at = |path: String| below.get(path.trim_start_matches('/')).is_some();
    let rooted = format!("/{prefix}");
    if at(format!("{prefix}/pyvenv.cfg")) {
        return Ok(Scheme::for_venv(&rooted, version));
    }
    // PEP 668: pip refuses to install beside a distribution's own package manager, and so do we.
    if at(format!("{prefix}/lib/python{version}/EXTERNALLY-MANAGED")) {
        return Err(ErrorKind::ExternallyManaged { prefix: rooted }.into());
    }
    Ok(Scheme::for_prefix(&rooted, version))
}

fn libc(below: &Below) -> Option<Libc> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let mut libraries = below.iter().filter(|(path, _)| name(path) == "libc.so.6");
    let glibc = libraries.find_map(|(_, node)| version_of(node.extract()?));
    if let Some(version) = glibc {
        return Some(Libc::Glibc { major: version.major.into(), minor: version.minor.into() });
    }
    below.iter().any(|(path, _)| name(path).starts_with("ld-musl-")).then_some(MUSL)
}

#[cfg(test)]
mod tests {
    use cartwheel_oci::LayerFacts;

    use super::*;

    fn tar(files: &[(&str, &str)]) -> Vec<u8> {
        use cartwheel_oci::layer::{self, Content, Encoding, Entry, Tree};
        let mut tree = Tree::new();
        for (path, text) in files {
            let entry = match text.strip_prefix("-> ") {
                Some(target) => Entry::symlink(target),
                None => Entry::file(Content::Bytes(text.as_bytes().to_vec()), true),
            };
            tree.insert(*path, entry).unwrap();
        }
        let mut bytes = Vec::new();
        layer::write(&tree, Encoding::Compressed, &mut bytes).unwrap();
        bytes
    }

    fn find(env: &[&str], files: &[(&str, &str)]) -> Result<Interpreter> {
        let mut config =
            ImageConfig { architecture: "arm64".into(), os: "linux".into(), ..Default::default() };
        config.config.env = Some(env.iter().map(ToString::to_string).collect());
        let (_, facts) = LayerFacts::read(&tar(files)[..], interesting).unwrap();
        Interpreter::find(&config, &Below::stack([facts]))
    }

    const LIBC: (&str, &str) =
        ("usr/lib/libc.so.6", "…GNU C Library (Debian) stable release version 2.41.\n…");

    #[test]
    fn an_official_image_is_recognised() {
        let files = [
            ("usr/local/bin/python", "-> python3"),
            ("usr/local/bin/python3", "-> python3.13"),
            ("usr/local/bin/python3.13", "elf"),
            ("usr/bin/python3", "-> python3.12"),
            ("usr/bin/python3.12", "elf"),
            LIBC,
        ];
        let found = find(&["PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.13.5"], &files).unwrap();
        assert_eq!(found.scheme, Scheme::for_prefix("/usr/local", PythonVersion::new(3, 13)));
        assert_eq!(found.target.libc, Libc::Glibc { major: 2, minor: 41 });
        assert_eq!(found.target.arch, Arch::Aarch64);
    }

    #[test]
    fn a_virtual_environment_on_path_wins() {
        let files = [
            ("opt/venv/bin/python3", "-> /usr/bin/python3.12"),
            ("opt/venv/pyvenv.cfg", "home = /usr/bin"),
            ("usr/bin/python3.12", "elf"),
            ("lib/ld-musl-aarch64.so.1", "elf"),
        ];
        let found = find(&["PATH=/opt/venv/bin:/usr/bin"], &files).unwrap();
        assert_eq!(found.scheme, Scheme::for_venv("/opt/venv", PythonVersion::new(3, 12)));
        assert_eq!(found.target.libc, MUSL);
    }

    #[test]
    fn what_pip_would_refuse_is_refused() {
        let files = [
            ("usr/bin/python3", "-> python3.13"),
            ("usr/bin/python3.13", "elf"),
            ("usr/lib/python3.13/EXTERNALLY-MANAGED", ""),
            LIBC,
        ];
        let error = find(&[], &files).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ExternallyManaged { .. }), "{error}");
        let error = find(&[], &[LIBC]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoPython { .. }), "{error}");
    }
}
