//! A case: a folder with a Dockerfile, the files of its context, and what else there is to say in `case.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::builder::Outcome;
use super::compare::Difference;
use crate::{Result, command};

/// What `case.toml` may say.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Shell (bash) that makes what git cannot hold, in the case's folder: odd modes, links, archives, fifos. The tests'
    /// fixtures are at `../../fixtures`, the wheels of the package index at `../../wheelhouse`.
    setup: String,
    /// More words for both command lines: `--build-arg`, `--target`, `-f`, … In them, and in the context, `{files}` is the
    /// address of the folder on a server, and, in the set-up as well, `{index}` that of a package index.
    pub(super) arguments: Vec<String>,
    /// The context, when it is not the case's own folder.
    context: Option<String>,
    /// The Dockerfile that Docker builds instead: the same in other words, for a flag that the frontend in it has not.
    pub(super) instead: Option<String>,
    /// The commands install packages, which both find in the package index (`PIP_INDEX_URL`, `UV_DEFAULT_INDEX` are build
    /// arguments), and cartwheel must do it without running a command.
    pub(super) spliced: bool,
    /// Variables that both are run with.
    pub(super) environment: BTreeMap<String, String>,
    /// What Docker says when it refuses the case; cartwheel must refuse it too, in its own words.
    fails: Option<String>,
    /// The intended differences: rows of the table, and for each the paths and fields that differ.
    intended: BTreeMap<String, BTreeSet<String>>,
}

/// A case as it lies in the checkout.
pub(super) struct Case {
    pub(super) name: String,
    folder: PathBuf,
    pub(super) settings: Settings,
}

/// The folder of a run in which the cases' files lie.
pub(super) const CASES: &str = "cases";

/// Copies the folder, with the modes that git promises, and makes the rest.
const STAGE: &str = r#"
umask 022
mkdir --parents "$2"
cp --recursive --no-target-directory "$1" "$2"
chmod --recursive u=rwX,go=rX "$2"
cd "$2"
rm --force case.toml
eval "$3"
"#;

impl Case {
    /// Reads the case at `path`, a folder or a Dockerfile in it; `rows` are the differences that it may name.
    pub(super) fn load(path: &Path, rows: &BTreeSet<String>) -> Result<Self> {
        let folder = if path.is_file() { path.parent().unwrap_or(path) } else { path };
        let folder = folder.canonicalize().map_err(|error| format!("`{}`: {error}", path.display()))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let settings = match fs::read_to_string(folder.join("case.toml")) {
            Ok(text) => toml::from_str(&text).map_err(|error| format!("{name}: {error}"))?,
            Err(_) => Settings::default(),
        };
        let case = Self { name, folder, settings };
        match case.settings.intended.keys().find(|row| !rows.contains(*row)) {
            Some(row) => Err(format!("{}: `{row}` is no row of the table of differences", case.name).into()),
            None => Ok(case),
        }
    }

    /// Says in its words at which address its files are served, for cases that take some from there, and packages.
    pub(super) fn serve_at(&mut self, address: &str, index: &str) {
        let url = format!("http://{address}/{}", self.name);
        let Settings { arguments, context, setup, spliced, .. } = &mut self.settings;
        if *spliced {
            arguments.extend(["PIP", "UV"].map(|tool| {
                let setting = if tool == "PIP" { "INDEX_URL" } else { "DEFAULT_INDEX" };
                format!("--build-arg={tool}_{setting}={{index}}")
            }));
        }
        for word in arguments.iter_mut().chain(context).chain([setup]) {
            *word = word.replace("{files}", &url).replace("{index}", index);
        }
    }

    /// Makes the case's files below `scratch`.
    pub(super) fn stage(&self, scratch: &Path) -> Result<PathBuf> {
        let staged = scratch.join(CASES).join(&self.name);
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", STAGE, "stage"]).args([&self.folder, &staged]);
        command::quiet(bash.arg(&self.settings.setup)).map_err(|error| format!("{}: {error}", self.name))?;
        Ok(staged)
    }

    /// The context as both command lines name it, from the staged folder.
    pub(super) fn context(&self) -> &str {
        self.settings.context.as_deref().unwrap_or(".")
    }

    /// Why the case is not what its author took it for, if Docker answered otherwise than `case.toml` says.
    pub(super) fn unexpected(&self, docker: &Outcome) -> Option<String> {
        match (docker.built(), &self.settings.fails) {
            (Err(said), Some(expected)) if said.contains(expected) => None,
            (Err(said), Some(expected)) => {
                Some(format!("should fail with `{expected}`, but fails with\n{said}"))
            }
            (Err(said), None) => Some(format!("Docker does not build it:\n{said}")),
            (Ok(_), Some(expected)) => Some(format!("Docker builds it, where it should say `{expected}`")),
            (Ok(_), None) => None,
        }
    }

    /// What is left to report: differences that are not intended, and intended ones that do not show.
    pub(super) fn judge(&self, differences: &[Difference]) -> Vec<String> {
        let intended: BTreeSet<&String> = self.settings.intended.values().flatten().collect();
        let shown: BTreeSet<String> =
            differences.iter().map(|difference| difference.subject.clone()).collect();
        let gone = intended.iter().filter(|subject| !shown.contains(**subject));
        let gone: Vec<String> =
            gone.map(|subject| format!("{subject}: intended to differ, but does not")).collect();
        let is_meant = |subject: &String| intended.contains(subject) || is_aside(subject);
        let left = differences.iter().filter(|difference| !is_meant(&difference.subject));
        left.map(ToString::to_string).chain(gone).collect()
    }
}

/// What installing leaves behind with Docker only: rows `requested` and `uv-locks` of the table.
fn is_aside(subject: &str) -> bool {
    let name = subject.rsplit('/').next().unwrap_or_default();
    subject.ends_with(".dist-info/REQUESTED")
        || name == ".lock"
        || subject.starts_with("/tmp/uv-") && subject.strip_suffix(".lock").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(settings: &str) -> Case {
        Case { name: "it".to_owned(), folder: PathBuf::new(), settings: toml::from_str(settings).unwrap() }
    }

    fn difference(subject: &str) -> Difference {
        Difference { subject: subject.to_owned(), docker: "a".to_owned(), cartwheel: "b".to_owned() }
    }

    #[test]
    fn intended_differences_are_those_named_and_must_show() {
        let case = case("intended = { row = ['/a', '/b'] }");
        assert_eq!(case.judge(&[difference("/a"), difference("/b")]), Vec::<String>::new());
        assert_eq!(case.judge(&[difference("/a")]), ["/b: intended to differ, but does not"]);
        let found = case.judge(&[difference("/a"), difference("/b"), difference("/c")]);
        assert!(matches!(found.as_slice(), [one] if one.starts_with("/c")), "{found:?}");
    }

    #[test]
    fn a_word_that_means_nothing_is_refused() {
        assert!(toml::from_str::<Settings>("arguments = ['--target=a']").is_ok());
        assert!(toml::from_str::<Settings>("argument = ['--target=a']").is_err());
    }
}
