//! The commands of a RUN, one after the other.

use std::collections::BTreeMap;

use super::install::{InstallCommand, PythonChoice};
use super::options::refused;
use super::shell::{self, Join, Part, RawWord, Variables, Word};
use super::surroundings::{Surroundings, is_below, resolve};
use super::{Assumption, NotRecognised, Recognised, Result, RunCommand, RunMount, Script, pip, uv};

/// Why a new environment is left to the tools.
pub(super) const MAKES_ENVIRONMENT: &str =
    "makes a virtual environment, whose files only the Python itself can write";

pub(super) fn recognise(run: &RunCommand<'_>) -> Result<Recognised> {
    check_mounts(run)?;
    let home = run.environment.get("HOME").map(String::as_str).or(run.home).map(str::to_owned);
    let variables = Variables { environment: run.environment.clone(), home };
    let mut chain = Chain {
        run,
        variables,
        working_dir: resolve("/", run.working_dir),
        stops: false,
        found: Recognised { installs: Vec::new(), assumptions: Vec::new() },
    };
    match run.script {
        Script::Exec(words) => chain.exec(words)?,
        Script::Shell { shell, text } => chain.shell(shell, text)?,
    }
    chain.found.assumptions.sort();
    chain.found.assumptions.dedup();
    Ok(chain.found)
}

/// Caches are harmless where caches are expected: what is installed must not end in one.
fn check_mounts(run: &RunCommand<'_>) -> Result<()> {
    for mount in run.mounts {
        match mount {
            RunMount::Bind { .. } => {}
            RunMount::Cache { target } => {
                let settings = ["PIP_CACHE_DIR", "UV_CACHE_DIR"];
                let named = settings.iter().any(|name| run.environment.get(*name) == Some(target));
                let usual = target.split('/').any(|part| part == ".cache" || part == "cache");
                if !named && !usual {
                    return Err(NotRecognised::new(
                        target,
                        "is a cache mount, and not where pip or uv keep theirs",
                    ));
                }
            }
            RunMount::Unsupported(kind) => {
                return Err(NotRecognised::new(
                    kind,
                    "is a kind of mount that an installation may depend on",
                ));
            }
        }
    }
    Ok(())
}

/// A chain of commands, as far as it has been read.
struct Chain<'a> {
    run: &'a RunCommand<'a>,
    variables: Variables,
    working_dir: String,
    /// Whether the shell stops at the first failure.
    stops: bool,
    found: Recognised,
}

impl Chain<'_> {
    fn exec(&mut self, words: &[String]) -> Result<()> {
        // A shell that is named in the JSON form is a shell still.
        if let [rest @ .., text] = words
            && rest.last().is_some_and(|word| word.starts_with('-') && word.ends_with('c'))
            && rest.first().is_some_and(|program| is_shell(program))
        {
            return self.shell(rest, text);
        }
        let plain = |text: &String| Word { text: text.clone(), span: None, is_pattern: false };
        let words: Vec<Word> = words.iter().map(plain).collect();
        let environment = self.variables.environment.clone();
        self.command(&words, &environment, &shown(&words))
    }

    fn shell(&mut self, shell: &[String], text: &str) -> Result<()> {
        self.shell_options(shell)?;
        let parts = shell::parse(text)?;
        let mut listed = 0;
        for (number, part) in parts.iter().enumerate() {
            listed = if part.join == Join::And { listed + 1 } else { 1 };
            let ends = parts.get(number + 1).is_some_and(|next| next.join == Join::Sequence);
            self.part(part)?;
            // `set -e` takes no notice of what fails before an `&&`.
            if ends && (!self.stops || listed > 1) {
                let word = part.words.first().map_or("", |word| word.text.as_str());
                let span = part.words.first().map(|word| &word.span);
                let reason =
                    "may fail, and what follows runs all the same; join commands with `&&`, or use `set -e`";
                return Err(NotRecognised::new(word, reason).at(span));
            }
        }
        Ok(())
    }

    /// `SHELL ["/bin/bash", "-euo", "pipefail", "-c"]`.
    fn shell_options(&mut self, shell: &[String]) -> Result<()> {
        let refused = |word: &str| {
            Err(NotRecognised::new(word, "is a shell, or an option of it, that is not understood"))
        };
        let [program, options @ .., last] = shell else { return refused(&shell.join(" ")) };
        if !is_shell(program) {
            return refused(program);
        }
        if self.variables.environment.contains_key("BASH_ENV") {
            return Err(NotRecognised::new("BASH_ENV", "names a file that the shell runs first"));
        }
        let Some(letters) = last.strip_prefix('-').and_then(|letters| letters.strip_suffix('c')) else {
            return refused(last);
        };
        let mut words: Vec<String> = options.to_vec();
        words.extend((!letters.is_empty()).then(|| format!("-{letters}")));
        match self.set(&words) {
            Ok(()) => Ok(()),
            Err(word) => refused(&word),
        }
    }

    /// `set -euxo pipefail`; gives back the word that is not understood.
    fn set(&mut self, words: &[String]) -> Result<(), String> {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let on = word.starts_with('-');
            let letters = word.strip_prefix(['-', '+']).filter(|letters| !letters.is_empty()).ok_or(word)?;
            for letter in letters.chars() {
                match letter {
                    'e' => self.stops = on,
                    'u' | 'x' => {}
                    'o' => match words.next().map(String::as_str) {
                        Some("errexit") => self.stops = on,
                        Some("pipefail" | "nounset" | "xtrace") => {}
                        _ => return Err(word.clone()),
                    },
                    _ => return Err(word.clone()),
                }
            }
        }
        Ok(())
    }

    fn part(&mut self, part: &Part) -> Result<()> {
        let mut environment = self.variables.environment.clone();
        let mut raw = part.words.as_slice();
        while let [first, rest @ ..] = raw
            && let Some((name, value)) = first.assignment()
        {
            check_assignment(name, first)?;
            environment.insert(name.to_owned(), value.expand(&self.variables)?.text);
            raw = rest;
        }
        let [program, ..] = raw else {
            let word = part.words.first().map_or("", |word| word.text.as_str());
            return Err(NotRecognised::new(word, "sets a variable of the shell and runs nothing"));
        };
        if program.text == "export" {
            return self.export(raw.get(1..).unwrap_or_default());
        }
        let words = raw.iter().map(|word| word.expand(&self.variables)).collect::<Result<Vec<_>>>()?;
        for word in words.iter().filter(|word| word.is_pattern) {
            let (folder, pattern) = (self.working_dir.clone(), word.text.clone());
            self.found.assumptions.push(Assumption::Unmatched { folder, pattern });
        }
        let text: Vec<&str> = part.words.iter().map(|word| word.text.as_str()).collect();
        self.command(&words, &environment, &text.join(" "))
    }

    fn export(&mut self, words: &[RawWord]) -> Result<()> {
        for word in words {
            let Some((name, value)) = word.assignment() else {
                return Err(NotRecognised::new(&word.text, "is no `NAME=value`").at(Some(&word.span)));
            };
            check_assignment(name, word)?;
            let value = value.expand(&self.variables)?.text;
            self.variables.environment.insert(name.to_owned(), value);
        }
        Ok(())
    }

    fn command(&mut self, words: &[Word], environment: &BTreeMap<String, String>, text: &str) -> Result<()> {
        let Some((program, rest)) = words.split_first() else {
            return Err(NotRecognised::new("", "there is no command"));
        };
        let at = Surroundings {
            run: self.run,
            environment,
            home: self.variables.home.as_deref(),
            working_dir: &self.working_dir,
            text,
            words,
        };
        let name = program.text.rsplit('/').next().unwrap_or_default();
        let install = match name {
            "pip" => pip::read(PythonChoice::Script(at.program(program)?), rest, &at)?,
            _ if version_after("pip", name) => {
                pip::read(PythonChoice::Script(at.program(program)?), rest, &at)?
            }
            _ if name == "python" || version_after("python", name) => python(program, rest, &at)?,
            "uv" => uv::read(rest, &at)?,
            _ => return self.other(program, rest),
        };
        self.found.installs.extend(install);
        Ok(())
    }

    /// What changes nothing, or only where the next commands run.
    fn other(&mut self, program: &Word, rest: &[Word]) -> Result<()> {
        match program.text.as_str() {
            "true" | ":" => Ok(()),
            "set" => {
                let words: Vec<String> = rest.iter().map(|word| word.text.clone()).collect();
                let refused = |word| NotRecognised::new(word, "is an option of `set` that is not understood");
                if words.is_empty() {
                    Err(refused("set".to_owned()))
                } else {
                    self.set(&words).map_err(refused)
                }
            }
            "cd" => self.change_directory(rest),
            "rm" => self.remove(rest),
            "." | "source" => Err(refused(program, "runs a script that is not read")),
            "virtualenv" => Err(refused(program, MAKES_ENVIRONMENT)),
            _ => Err(refused(program, "is a command that is not understood")),
        }
    }

    fn change_directory(&mut self, words: &[Word]) -> Result<()> {
        let [word] = words else { return Err(NotRecognised::new("cd", "does not name one directory")) };
        let searched = self.variables.environment.contains_key("CDPATH");
        if word.text.is_empty() || word.text.starts_with('-') || searched {
            return Err(refused(word, "is a directory that is not known"));
        }
        self.working_dir = resolve(&self.working_dir, &word.text);
        self.found.assumptions.push(Assumption::Directory(self.working_dir.clone()));
        Ok(())
    }

    /// `rm -rf` of caches: what is written there never enters a layer, so there is nothing to remove.
    fn remove(&mut self, words: &[Word]) -> Result<()> {
        for word in words {
            if let Some(letters) = word.text.strip_prefix('-') {
                let known = letters.chars().all(|letter| "rRf".contains(letter));
                // Without `-f` it fails where there is nothing.
                if !known || !letters.contains('f') {
                    return Err(refused(word, "is an option of `rm` that is not understood"));
                }
                continue;
            }
            let path = resolve(&self.working_dir, &word.text);
            let home = self.variables.home.as_deref().unwrap_or("/root");
            let cache = resolve(home, ".cache");
            let is_cache = path == cache || is_below(&path, &cache);
            let mounted = self.run.mounts.iter().any(|mount| match mount {
                RunMount::Bind { target } | RunMount::Cache { target } => {
                    is_below(target, &path) || is_below(&path, target) || *target == path
                }
                RunMount::Unsupported(_) => true,
            });
            if !is_cache || mounted || word.is_pattern {
                return Err(refused(word, "is removed, and is no cache of pip or uv"));
            }
            self.found.assumptions.push(Assumption::Absent(path));
        }
        if words.iter().any(|word| word.text.starts_with('-')) {
            Ok(())
        } else {
            Err(NotRecognised::new("rm", "removes something"))
        }
    }
}

/// `python -m pip …`.
fn python(program: &Word, rest: &[Word], at: &Surroundings<'_>) -> Result<Option<InstallCommand>> {
    match rest {
        [option, module, rest @ ..] if option.text == "-m" && module.text == "pip" => {
            pip::read(PythonChoice::Program(at.program(program)?), rest, at)
        }
        [option, module, ..] if option.text == "-m" && matches!(&*module.text, "venv" | "virtualenv") => {
            Err(refused(module, MAKES_ENVIRONMENT))
        }
        [option, module, ..] if option.text == "-m" => {
            Err(refused(module, "is a module of Python that is not understood"))
        }
        _ => Err(refused(program, "runs Python")),
    }
}

/// `pip3`, `pip3.13`.
fn version_after(name: &str, word: &str) -> bool {
    let Some(version) = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('3')) else { return false };
    let minor = version.strip_prefix('.').unwrap_or_default();
    version.is_empty() || (!minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_shell(program: &str) -> bool {
    let (folder, name) = program.rsplit_once('/').unwrap_or(("", program));
    ["", "/bin", "/usr/bin"].contains(&folder) && ["sh", "bash", "dash", "ash"].contains(&name)
}

/// What a command may not be given an own value of, because that changes how commands are found or run.
fn check_assignment(name: &str, word: &RawWord) -> Result<()> {
    let found = ["PATH", "HOME", "IFS", "CDPATH", "BASH_ENV", "ENV"].contains(&name);
    if found || name.starts_with("LD_") || name.starts_with("PYTHON") {
        return Err(NotRecognised::new(&word.text, "changes how commands run").at(Some(&word.span)));
    }
    Ok(())
}

fn shown(words: &[Word]) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}
