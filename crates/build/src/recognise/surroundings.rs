//! What one command runs in: paths, users, mounts and variables, and what words of requirements mean there.

use std::collections::BTreeMap;

use cartwheel_python::Requirement;

use super::install::{Destination, Place, Process};
use super::options::refused;
use super::shell::Word;
use super::{NotRecognised, Result, RunCommand, RunMount};

/// Whether `path` lies in `folder`.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
}

/// `path` as seen from `folder`, without `.` and `..`.
pub(super) fn resolve(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let from = if path.starts_with('/') { "" } else { folder };
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// What one command runs in.
pub(super) struct Surroundings<'a> {
    pub(super) run: &'a RunCommand<'a>,
    pub(super) environment: &'a BTreeMap<String, String>,
    pub(super) home: Option<&'a str>,
    pub(super) working_dir: &'a str,
    pub(super) text: &'a str,
    /// The program and its words.
    pub(super) words: &'a [Word],
}

/// What a word of requirements asks for.
pub(super) enum Requested {
    /// A specifier or the URL of a wheel.
    Word(String),
    /// A wheel by its path, and what follows the path.
    Wheel(Place, String),
    /// Something that has to be built and is no directory.
    Source(String),
}

impl Surroundings<'_> {
    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        self.environment
    }

    pub(super) fn working_dir(&self) -> &str {
        self.working_dir
    }

    pub(super) fn text(&self) -> String {
        self.text.to_owned()
    }

    pub(super) fn process(&self) -> Process {
        Process {
            argv: self.words.iter().map(|word| word.text.clone()).collect(),
            environment: self.environment.clone(),
            working_dir: self.working_dir.to_owned(),
        }
    }

    pub(super) fn resolve(&self, path: &str) -> String {
        resolve(self.working_dir, path)
    }

    /// Refuses a command if one of these variables is set.
    pub(super) fn refuse(&self, names: &[&str], reason: &str) -> Result<()> {
        let set = |name: &&&str| self.environment.get(**name).is_some_and(|value| !value.is_empty());
        match names.iter().find(set) {
            Some(name) => Err(NotRecognised::new(*name, reason)),
            None => Ok(()),
        }
    }

    /// A program as it is called: by its name, or by its absolute path.
    pub(super) fn program(&self, word: &Word) -> Result<String> {
        self.refuse(&["PYTHONHOME", "__PYVENV_LAUNCHER__"], "changes where Python looks for itself")?;
        if word.text.contains('/') { Ok(self.resolve(&word.text)) } else { Ok(word.text.clone()) }
    }

    fn place(&self, path: &str, word: &Word) -> Result<Place> {
        let path = self.resolve(path);
        let mut place = Place { path, mount: None };
        for (number, mount) in self.run.mounts.iter().enumerate() {
            match mount {
                RunMount::Bind { target } if place.path == *target || is_below(&place.path, target) => {
                    place.mount = Some(number);
                }
                RunMount::Cache { target } if place.path == *target || is_below(&place.path, target) => {
                    return Err(refused(word, "lies in a cache mount, whose content is not known"));
                }
                _ => {}
            }
        }
        Ok(place)
    }

    /// A file that the command reads.
    pub(super) fn file(&self, value: &str, word: &Word) -> Result<Place> {
        if value.contains("://") {
            return Err(refused(word, "names a file that must be downloaded"));
        }
        if value == "-" || value.starts_with('~') {
            return Err(refused(word, "names no file that is known"));
        }
        self.place(value, word)
    }

    /// A directory that the command writes to.
    pub(super) fn folder(&self, value: &str, word: &Word) -> Result<String> {
        if value.starts_with('~') {
            return Err(refused(word, "names a home directory that is not known"));
        }
        let place = self.place(value, word)?;
        match place.mount {
            Some(_) => Err(refused(word, "writes into a mount")),
            None => Ok(place.path),
        }
    }

    /// A page of links, or a directory of wheels.
    pub(super) fn links(&self, value: &str, word: &Word) -> Result<String> {
        if is_http(value) {
            return Ok(value.to_owned());
        }
        let path = value.strip_prefix("file://").unwrap_or(value);
        if path.contains("://") || path.starts_with('~') || path.contains('%') {
            return Err(refused(word, "names links by something else than an HTTP URL or a directory"));
        }
        Ok(self.place(path, word)?.path)
    }

    /// Where `--user` installs: `~/.local`.
    pub(super) fn user_base(&self, word: &Word) -> Result<String> {
        let base = self.environment.get("PYTHONUSERBASE").filter(|base| !base.is_empty());
        match (base, self.home) {
            (Some(base), _) => self.folder(base, word),
            (None, Some(home)) => self.folder(&format!("{home}/.local"), word),
            (None, None) => Err(refused(word, "installs into a home directory that is not known")),
        }
    }

    /// Folders on `PYTHONPATH`, where pip finds distributions.
    pub(super) fn python_path(&self) -> Vec<String> {
        let folders = self.environment.get("PYTHONPATH").map(String::as_str).unwrap_or_default();
        folders.split(':').filter(|folder| !folder.is_empty()).map(|folder| self.resolve(folder)).collect()
    }

    /// To whom the files will belong. Somebody else than root may not be able to write where pip would.
    pub(super) fn owner(&self, destination: &Destination) -> Result<Option<String>> {
        let user = self.run.user;
        let (name, group) = user.split_once(':').unwrap_or((user, ""));
        if matches!(name, "" | "root" | "0") && matches!(group, "" | "root" | "0") {
            return Ok(None);
        }
        if *destination == Destination::Default {
            return Err(NotRecognised::new(
                user,
                "is the user, and where pip and uv install then depends on permissions",
            ));
        }
        Ok(Some(user.to_owned()))
    }

    /// One word of requirements.
    pub(super) fn requirement(&self, word: &Word) -> Result<Requested> {
        let text = word.text.trim();
        let (place, rest) = split_requirement(text);
        let without_fragment = place.split(['#', '?']).next().unwrap_or_default();
        if ["hg+", "svn+", "bzr+"].iter().any(|scheme| text.contains(scheme)) {
            return Err(refused(word, "is installed from version control that is no Git"));
        }
        if let Ok(requirement) = text.parse::<Requirement>()
            && (requirement.url().is_some() || !is_archive(text))
        {
            return match requirement.url() {
                Some(url) if !is_wheel_url(url) => source(word, url),
                _ => Ok(Requested::Word(text.to_owned())),
            };
        }
        if place.contains("://") {
            return if is_wheel_url(place) {
                Ok(Requested::Word(text.to_owned()))
            } else {
                source(word, place)
            };
        }
        if without_fragment.strip_suffix(".whl").is_some() && !place.starts_with('~') {
            return Ok(Requested::Wheel(self.place(place, word)?, rest.to_owned()));
        }
        if is_archive(without_fragment) && !place.starts_with('~') {
            return Ok(Requested::Source(text.to_owned()));
        }
        if place.contains('/') || place.starts_with('.') {
            return Err(refused(word, "is a project, which would have to be built"));
        }
        Err(refused(word, "is no requirement"))
    }
}

/// A URL of something that is no wheel.
fn source(word: &Word, url: &str) -> Result<Requested> {
    let path = url.split(['#', '?']).next().unwrap_or_default();
    if url.starts_with("git+") || (is_http(url) && is_archive(path)) {
        Ok(Requested::Source(word.text.trim().to_owned()))
    } else {
        Err(refused(word, "is no wheel and no archive, and would have to be built"))
    }
}

/// A path or URL, and the extras and markers that follow it.
fn split_requirement(text: &str) -> (&str, &str) {
    let end = text.find(" ;").or_else(|| text.find("; ")).unwrap_or(text.len());
    let end = text.get(..end).and_then(|text| text.find(".whl[")).map_or(end, |at| at + ".whl".len());
    (text.get(..end).unwrap_or(text), text.get(end..).unwrap_or_default())
}

fn is_wheel_url(url: &str) -> bool {
    let path = url.split(['#', '?']).next().unwrap_or_default();
    is_http(url) && path.strip_suffix(".whl").is_some()
}

/// Endings by which pip takes a word for a file. All but wheels must be built.
fn is_archive(text: &str) -> bool {
    let endings =
        [".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tlz", ".tar.lz"];
    let lowercase = text.to_ascii_lowercase();
    endings.iter().any(|ending| lowercase.ends_with(ending))
}

/// The URL of an index. A path would be one of the image.
pub(super) fn index_url(value: String, word: &Word) -> Result<String> {
    if is_http(&value) {
        Ok(value)
    } else {
        Err(refused(word, "names an index by something else than an HTTP URL"))
    }
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}
