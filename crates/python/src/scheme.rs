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
    /// The directory that everything below `purelib` is moved to in the end: pip's `--target` installs into the scheme of a
    /// home directory and then empties its `lib/python`, but RECORD keeps the paths of before.
    pub flattened: Option<String>,
}

/// Which tool installs. They agree on most files, and not on scripts, notes and the places of headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// pip.
    Pip(PipScripts),
    /// uv.
    Uv,
}

/// How a pip writes the scripts of entry points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PipScripts {
    /// Since 26.0.
    #[default]
    Current,
    /// 25.2 and 25.3.
    Ending,
    /// Until 25.1.
    Pattern,
}

impl Default for Tool {
    /// Today's pip.
    fn default() -> Self {
        Self::Pip(PipScripts::default())
    }
}

impl Tool {
    /// The pip of that version.
    pub fn pip(version: &str) -> Self {
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let release = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Self::Pip(match release {
            (26.., _) => PipScripts::Current,
            (25, 2..) => PipScripts::Ending,
            _ => PipScripts::Pattern,
        })
    }
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
            flattened: None,
        }
    }

    /// The scheme of a virtual environment at `root`, where pip puts headers into a place of its own.
    pub fn for_venv(root: &str, version: PythonVersion) -> Self {
        let root = root.trim_end_matches('/');
        let scheme = Self::for_prefix(root, version);
        let headers = format!("{root}/include/site/python{version}");
        Self { headers, python: format!("{root}/bin/python"), ..scheme }
    }

    /// The directory in which modules lie when all is done.
    pub fn library(&self) -> &str {
        self.flattened.as_deref().unwrap_or(&self.purelib)
    }

    /// The scheme of `--prefix`: a tree like that of a Python outside of the distribution's care, for this interpreter. uv puts
    /// headers there as into an environment.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str, tool: Tool) -> Self {
        let scheme = if self.is_venv() || tool == Tool::Uv {
            Self::for_venv(prefix, self.version)
        } else {
            Self::for_prefix(prefix, self.version)
        };
        Self { python: self.python.clone(), ..scheme }
    }

    /// The scheme of `--user` under `base`, mostly `~/.local`.
    #[must_use]
    pub fn with_user(&self, base: &str) -> Self {
        Self { python: self.python.clone(), ..Self::for_prefix(base, self.version) }
    }

    /// The scheme of `--target`.
    #[must_use]
    pub fn with_target(&self, target: &str, tool: Tool) -> Self {
        let target = target.trim_end_matches('/');
        let version = self.version;
        let (library, headers) = match tool {
            Tool::Uv => (target.to_owned(), format!("{target}/include")),
            Tool::Pip(_) if self.is_venv() => {
                (format!("{target}/lib/python"), format!("{target}/include/site/python{version}"))
            }
            Tool::Pip(_) => (format!("{target}/lib/python"), format!("{target}/include/python")),
        };
        Self {
            purelib: library.clone(),
            platlib: library,
            scripts: format!("{target}/bin"),
            headers,
            data: if target.is_empty() { "/".to_owned() } else { target.to_owned() },
            python: self.python.clone(),
            version,
            flattened: (tool != Tool::Uv).then(|| target.to_owned()),
        }
    }

    /// Whether it is that of a virtual environment: pip puts headers elsewhere there.
    fn is_venv(&self) -> bool {
        self.headers.contains("/include/site/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What pip 26.3 and uv 0.13.9 were seen to do with a wheel that has files for every key.
    #[test]
    fn destinations_are_those_of_the_tools() {
        let system = Scheme::for_prefix("/usr/local", PythonVersion::new(3, 13));
        let venv = Scheme::for_venv("/venv", PythonVersion::new(3, 13));
        let shown = |scheme: &Scheme| {
            let places = [scheme.library(), &scheme.purelib, &scheme.scripts, &scheme.headers, &scheme.data];
            places.join(" ")
        };
        assert_eq!(
            shown(&system.with_target("/t/", Tool::default())),
            "/t /t/lib/python /t/bin /t/include/python /t"
        );
        assert_eq!(
            shown(&venv.with_target("/t", Tool::default())),
            "/t /t/lib/python /t/bin /t/include/site/python3.13 /t"
        );
        assert_eq!(shown(&venv.with_target("/t", Tool::Uv)), "/t /t /t/bin /t/include /t");
        let library = "/p/lib/python3.13/site-packages";
        assert_eq!(
            shown(&system.with_prefix("/p", Tool::default())),
            format!("{library} {library} /p/bin /p/include/python3.13 /p")
        );
        assert!(venv.with_prefix("/p", Tool::default()).headers.ends_with("/include/site/python3.13"));
        assert!(system.with_prefix("/p", Tool::Uv).headers.ends_with("/include/site/python3.13"));
        assert_eq!(system.with_user("/root/.local").headers, "/root/.local/include/python3.13");
        assert_eq!(venv.with_prefix("/p", Tool::default()).python, "/venv/bin/python");
        assert_eq!(system.with_user("/u").python, "/usr/local/bin/python3.13");
    }
}
