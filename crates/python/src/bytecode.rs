//! Compiled modules: which files of an installation are compiled, and where the result lies (step 2.e of the wheel
//! specification, PEP 3147 and PEP 552).
//!
//! Nothing is compiled here: only the interpreter that a module is for can do that.

use crate::install::{InstalledFile, record_path};
use crate::scheme::{Scheme, Tool};

/// The files of an installation that its tool compiles, in their order: pip each module, wherever it lies, scripts among
/// them; uv what lies in the directories of modules.
pub fn modules<'f>(
    files: &'f [InstalledFile],
    scheme: &'f Scheme,
    tool: Tool,
) -> impl Iterator<Item = &'f InstalledFile> {
    let libraries = [scheme.library(), &scheme.platlib].map(|path| format!("{}/", path.trim_matches('/')));
    let is_library = move |path: &str| libraries.iter().any(|library| path.starts_with(library));
    let is_compiled = move |path: &str| matches!(tool, Tool::Pip(_)) || is_library(path);
    files.iter().filter(move |file| is_module(&file.path) && is_compiled(&file.path))
}

/// Whether a file is compiled, if its directory is: modules with very long names are not.
pub(crate) fn is_module(path: &str) -> bool {
    /// A compiled module is written to a temporary file first, whose name has a dot and a number of 15 digits more.
    const LONGEST: usize = 255 - 16;
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".py").is_some_and(|stem| stem.len() + ".cpython-313.pyc".len() <= LONGEST)
}

/// The path under which a module is compiled, which tracebacks show: pip goes to scripts and data by way of the library, as
/// RECORD does. (With `--target` it compiles in a directory with a random name, which nobody should see again.)
pub fn traced_path(module: &str, scheme: &Scheme) -> String {
    let is_in = |library: &str| record_path(module, library).split('/').next() != Some("..");
    if scheme.flattened.is_some() || is_in(&scheme.purelib) || is_in(&scheme.platlib) {
        return format!("/{module}");
    }
    format!("{}/{}", scheme.purelib, record_path(module, &scheme.purelib))
}

/// Where an interpreter with this cache tag (`cpython-313`) looks for the compiled form of a module:
/// `importlib.util.cache_from_source`.
pub fn compiled_path(module: &str, cache_tag: &str) -> String {
    let (folder, name) = module.rsplit_once('/').map_or(("", module), |(folder, name)| (folder, name));
    let stem = name.strip_suffix(".py").unwrap_or(name);
    // A file that is named `.py` and nothing else keeps that as its name.
    let stem = if stem.is_empty() { "py" } else { stem };
    let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    format!("{folder}__pycache__/{stem}.{cache_tag}.pyc")
}

/// The first 16 bytes of a compiled module that is good as long as its source has this time and size.
pub fn compiled_header(magic: [u8; 4], mtime: u64, size: u64) -> [u8; 16] {
    // As in Python, the low 32 bits.
    let [time, size] = [mtime, size].map(|number| (number as u32).to_le_bytes());
    let mut header = [0; 16];
    for (place, bytes) in header.chunks_exact_mut(4).zip([magic, [0; 4], time, size]) {
        place.copy_from_slice(&bytes);
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PythonVersion;
    use crate::install::InstalledContent;

    #[test]
    fn compiled_modules_lie_where_python_looks() {
        // As `importlib.util.cache_from_source` answers.
        for (module, compiled) in [
            ("a/b.py", "a/__pycache__/b.cpython-313.pyc"),
            ("b.py", "__pycache__/b.cpython-313.pyc"),
            ("a/b.c.py", "a/__pycache__/b.c.cpython-313.pyc"),
            ("a/.py", "a/__pycache__/py.cpython-313.pyc"),
        ] {
            assert_eq!(compiled_path(module, "cpython-313"), compiled);
        }
    }

    #[test]
    fn headers_are_those_of_py_compile() {
        let header = compiled_header([0xf3, 0x0d, 0x0d, 0x0a], 315_619_200, 7);
        assert_eq!(header, *b"\xf3\x0d\x0d\x0a\0\0\0\0\x80\xf7\xcf\x12\x07\0\0\0");
    }

    #[test]
    fn pip_compiles_scripts_too() {
        let scheme = Scheme::for_prefix("/usr/local", PythonVersion::new(3, 13));
        let library = "usr/local/lib/python3.13/site-packages";
        let file = |path: &str| InstalledFile {
            path: path.to_owned(),
            executable: false,
            content: InstalledContent::Generated(Vec::new()),
        };
        let files =
            ["usr/local/bin/tool.py", &format!("{library}/a.py"), &format!("{library}/a.pyi")].map(file);
        let found = |tool| modules(&files, &scheme, tool).map(|file| file.path.clone()).collect::<Vec<_>>();
        assert_eq!(found(Tool::default()), [files[0].path.clone(), files[1].path.clone()]);
        assert_eq!(found(Tool::Uv), [files[1].path.clone()]);
        let traced = [&files[0], &files[1]].map(|file| traced_path(&file.path, &scheme));
        assert_eq!(traced, [format!("/{library}/../../../bin/tool.py"), format!("/{library}/a.py")]);
    }
}
