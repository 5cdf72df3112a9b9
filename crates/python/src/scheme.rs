//! Where an interpreter looks for what is installed.

use crate::name::PythonVersion;

/// The installation paths of a Python, all absolute in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// For modules without machine code.
    pub purelib: String,
    /// For modules with machine code; mostly the same folder.
    pub platlib: String,
    /// For scripts.
    pub scripts: String,
    /// For C headers; each package has its own folder below.
    pub headers: String,
    /// The prefix itself, for everything else.
    pub data: String,
    /// The interpreter, as scripts name it in their first line: `sys.executable`.
    pub python: String,
    /// The interpreter's version.
    pub version: PythonVersion,
}

impl Scheme {
    /// The scheme of a CPython installed under `prefix`, such as the official images' `/usr/local`.
    ///
    /// pip runs there as `/usr/local/bin/python3.13`, because that is what the first line of `/usr/local/bin/pip`
    /// says, and this is what it writes into scripts.
    pub fn for_prefix(prefix: &str, version: PythonVersion) -> Self {
        let prefix = prefix.trim_end_matches('/');
        let library = format!("{prefix}/lib/python{version}/site-packages");
        Self {
            purelib: library.clone(),
            platlib: library,
            scripts: format!("{prefix}/bin"),
            headers: format!("{prefix}/include/python{version}"),
            data: if prefix.is_empty() { "/".to_owned() } else { prefix.to_owned() },
            python: format!("{prefix}/bin/python{version}"),
            version,
        }
    }

    /// The scheme of a virtual environment at `root`, where pip puts headers into a place of its own.
    pub fn for_venv(root: &str, version: PythonVersion) -> Self {
        let root = root.trim_end_matches('/');
        let scheme = Self::for_prefix(root, version);
        let headers = format!("{root}/include/site/python{version}");
        Self { headers, python: format!("{root}/bin/python"), ..scheme }
    }
}
