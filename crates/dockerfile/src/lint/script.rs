//! What a RUN seems to do: a guess for advice, never a promise.
//!
//! Whoever replaces a command has to understand every word of it (the build's recognition does). Advice may be wrong
//! about what it does not understand, so nothing is refused here: text is cut at the shell's operators and words at
//! blanks, quotes are taken away, and what expands stays as it is written.

use crate::step::Run;

/// The commands of a RUN, each as its words.
pub(super) fn commands(run: &Run) -> Vec<Vec<String>> {
    let commands = match &run.script {
        Some(script) => split(script),
        None => vec![run.argv.clone()],
    };
    commands.into_iter().map(without_prefix).filter(|words| !words.is_empty()).collect()
}

/// Without what stands in front of the program.
fn without_prefix(mut words: Vec<String>) -> Vec<String> {
    let is_prefix = |word: &String| {
        let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        is_assignment
            || ["sudo", "exec", "env", "time", "then", "do", "else", "if", "!"].contains(&word.as_str())
    };
    let program = words.iter().position(|word| !is_prefix(word)).unwrap_or(words.len());
    words.drain(..program);
    words
}

/// Cuts a text into commands and these into words.
fn split(text: &str) -> Vec<Vec<String>> {
    let mut reader = Reader::default();
    let mut chars = text.chars().peekable();
    let mut quote = None;
    while let Some(char) = chars.next() {
        match (char, quote) {
            ('\\', None | Some('"')) => match chars.next() {
                Some('\n') | None => {}
                Some(escaped) => reader.push(escaped),
            },
            (_, Some(open)) if char == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(char);
                reader.has_word = true;
            }
            ('#', None) if !reader.has_word => while chars.next_if(|next| *next != '\n').is_some() {},
            (';' | '\n' | '&' | '|' | '(' | ')', None) => reader.end_command(),
            (' ' | '\t' | '\r', None) => reader.end_word(),
            _ => reader.push(char),
        }
    }
    reader.end_command();
    reader.commands
}

#[derive(Default)]
struct Reader {
    commands: Vec<Vec<String>>,
    words: Vec<String>,
    word: String,
    has_word: bool,
}

impl Reader {
    fn push(&mut self, char: char) {
        self.word.push(char);
        self.has_word = true;
    }

    fn end_word(&mut self) {
        if std::mem::take(&mut self.has_word) {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.words.is_empty() {
            self.commands.push(std::mem::take(&mut self.words));
        }
    }
}

/// An installation by pip, or by uv in pip's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Install {
    /// What follows `install`.
    arguments: Vec<String>,
}

/// Options of `pip install` that take a value as their next word.
const WITH_VALUE: [&str; 32] = [
    "-r",
    "--requirement",
    "-c",
    "--constraint",
    "-e",
    "--editable",
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "-t",
    "--target",
    "--prefix",
    "--root",
    "--timeout",
    "--default-timeout",
    "--retries",
    "--cache-dir",
    "--trusted-host",
    "--python",
    "-p",
    "--platform",
    "--python-version",
    "--upgrade-strategy",
    "--only-binary",
    "--no-binary",
    "--progress-bar",
    "--proxy",
    "--cert",
    "--src",
    "--config-settings",
];

/// The installations among some commands.
pub(super) fn installs(commands: &[Vec<String>]) -> Vec<Install> {
    commands.iter().filter_map(|words| Install::of(words)).collect()
}

/// The last part of a path, which is what a program is called.
pub(super) fn program(words: &[String]) -> &str {
    words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default()
}

impl Install {
    fn of(words: &[String]) -> Option<Self> {
        let name = program(words);
        let rest = words.get(1..)?;
        let rest = if name.starts_with("pip") {
            rest
        } else if name == "uv" && rest.first()? == "pip" {
            rest.get(1..)?
        } else if name.starts_with("python") && rest.first()? == "-m" && rest.get(1)? == "pip" {
            rest.get(2..)?
        } else {
            return None;
        };
        let install = rest
            .iter()
            .position(|word| !word.starts_with('-'))
            .filter(|at| rest.get(*at).is_some_and(|word| word == "install"))?;
        let mut arguments: Vec<String> = rest.get(..install)?.to_vec();
        arguments.extend_from_slice(rest.get(install + 1..)?);
        Some(Self { arguments })
    }

    /// Whether a flag is given.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.arguments.iter().any(|word| word == flag)
    }

    /// The values of an option: `--name value`, `--name=value`, or `-nvalue` for one of one letter.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.arguments.iter().enumerate().filter_map(move |(index, word)| {
            let rest = word.strip_prefix(name)?;
            let is_short = name.len() == 2;
            match rest.strip_prefix('=') {
                Some(value) => Some(value),
                None if rest.is_empty() => self.arguments.get(index + 1).map(String::as_str),
                None => Some(rest).filter(|_| is_short),
            }
        })
    }

    /// The values of an option that has a long and a short name.
    pub(super) fn either<'a>(&'a self, short: &'a str, long: &'a str) -> impl Iterator<Item = &'a str> {
        self.values(short).chain(self.values(long))
    }

    /// What is to be installed, as it is written.
    pub(super) fn requirements(&self) -> impl Iterator<Item = &str> {
        let mut takes_value = false;
        self.arguments.iter().map(String::as_str).filter(move |word| {
            let is_value = std::mem::replace(&mut takes_value, WITH_VALUE.contains(word));
            !is_value && !word.starts_with('-') && !word.starts_with(['>', '<']) && *word != "2>"
        })
    }
}

/// A requirement of a file or a command, as far as advice asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The distribution, its name normalised; empty for a path or an address.
    pub(super) name: String,
    /// What is behind the name.
    pub(super) specifier: String,
}

impl Asked {
    /// Reads `name[extras]specifier ; marker`.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.split(" #").next().unwrap_or_default();
        let text = text.split(" --").next().unwrap_or_default();
        let text = text.split(';').next().unwrap_or_default().trim().trim_end_matches('\\').trim();
        let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
        let end = text.find(|char| !is_name(char)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let rest = rest.trim();
        let specifier = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?.1.trim(),
            None => rest,
        };
        let is_requirement = specifier.is_empty() || specifier.starts_with(['=', '<', '>', '~', '!', '@']);
        let is_path = [".whl", ".tar.gz", ".zip"].iter().any(|end| name.ends_with(end));
        let begins = name.starts_with(|char: char| char.is_ascii_alphanumeric());
        (begins && is_requirement && !is_path).then(|| Self {
            name: name.to_lowercase().replace(['_', '.'], "-"),
            specifier: specifier.split_whitespace().collect(),
        })
    }

    /// Whether it is of one version only.
    pub(super) fn is_pinned(&self) -> bool {
        let exact = self.specifier.strip_prefix("==").is_some_and(|version| !version.contains('*'));
        exact || self.specifier.starts_with('@')
    }
}

/// The requirements of a requirement file.
pub(super) fn requirements(text: &str) -> Vec<Asked> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    lines.filter(|line| !line.starts_with(['#', '-'])).filter_map(Asked::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(text: &str) -> Install {
        installs(&split(text)).remove(0)
    }

    #[test]
    fn commands_are_cut_at_operators() {
        let text = "set -e; a 'b; c' \"d && e\" \\\n  f && g|h # i\nj\\;k";
        let expected =
            [vec!["set", "-e"], vec!["a", "b; c", "d && e", "f"], vec!["g"], vec!["h"], vec!["j;k"]];
        assert_eq!(split(text), expected);
    }

    #[test]
    fn prefixes_are_no_program() {
        let run = Run { script: Some("A=1 sudo pip install x".to_owned()), ..Run::default() };
        assert_eq!(commands(&run), [["pip", "install", "x"]]);
    }

    #[test]
    fn installations() {
        for text in [
            "pip install a",
            "/venv/bin/pip3.13 --no-cache-dir install a",
            "python -m pip install a",
            "uv pip install a",
        ] {
            assert_eq!(install(text).requirements().collect::<Vec<_>>(), ["a"], "{text}");
        }
        assert_eq!(installs(&split("pip list; uv sync; pipx; python a.py")), []);
        let found = install("pip install -rone -r two --requirement=three --timeout 9 four>=1 -U");
        assert_eq!(found.either("-r", "--requirement").collect::<Vec<_>>(), ["one", "two", "three"]);
        assert_eq!(found.values("--timeout").collect::<Vec<_>>(), ["9"]);
        assert_eq!(found.requirements().collect::<Vec<_>>(), ["four>=1"]);
        assert!(found.has("-U") && !found.has("--upgrade"));
    }

    #[test]
    fn what_is_asked_for() {
        let asked = |text: &str| Asked::of(text).map(|asked| (asked.name.clone(), asked.is_pinned()));
        let named = |name: &str, pinned| Some((name.to_owned(), pinned));
        assert_eq!(asked("Flask_Login[x,y] == 1.2 ; python_version > '3'"), named("flask-login", true));
        assert_eq!(asked("a>=1,<2  # why"), named("a", false));
        assert_eq!(asked("a==1.*"), named("a", false));
        assert_eq!(asked("a @ https://example.org/a.whl"), named("a", true));
        for text in [".", "./a", "a.whl", "https://example.org/a.whl", "$A", "dist/a.whl"] {
            assert_eq!(asked(text), None, "{text}");
        }
        let names = |text: &str| requirements(text).into_iter().map(|asked| asked.name).collect::<Vec<_>>();
        assert_eq!(names("# c\n-r x\na==1 \\\n --hash=sha256:1\n\nb\n"), ["a", "b"]);
    }
}
