//! Instructions: nodes that were understood.
//!
//! Everything that can be known without variables is known here: which flags an instruction has and what they take,
//! how many arguments it wants, what an `ONBUILD` may trigger. Words are still as they are written.

mod copy;
pub(crate) mod csv;
mod flags;
mod healthcheck;
mod mount;
mod run;

use std::sync::LazyLock;

use regex::Regex;

use crate::diagnostic::{Code, Diagnostic};
use crate::span::{Span, Word};
use crate::step::Healthcheck;
use crate::suggest;
use crate::syntax::Node;

pub use copy::SourceWord;
use flags::{Flags, Takes};
pub(crate) use healthcheck::format_duration;
pub(crate) use mount::{MountFields, MountType};
pub use run::RunInstruction;

/// An instruction of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// What it says.
    pub kind: InstructionKind,
    /// Its keyword, as it is written.
    pub keyword: Word,
    /// Its line with continuations joined, without heredocs.
    pub text: String,
    /// Where it is, without heredocs.
    pub span: Span,
    /// Its first and last line, heredocs included.
    pub lines: (usize, usize),
    /// The comments right above it.
    pub comments: Vec<String>,
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstructionKind {
    /// `ARG name[=value] …`
    Arg(Vec<ArgWord>),
    /// `CMD`
    Cmd(CommandLine),
    /// `COPY` and `ADD`
    Copy(CopyInstruction),
    /// `ENTRYPOINT`
    Entrypoint(CommandLine),
    /// `ENV name=value …`
    Env(Vec<PairWord>),
    /// `EXPOSE port …`, sorted.
    Expose(Vec<Word>),
    /// `FROM`
    From(FromInstruction),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL name=value …`
    Label(Vec<PairWord>),
    /// `MAINTAINER`
    Maintainer(Word),
    /// `ONBUILD`, with the trigger as it goes into the config: heredocs behind the line.
    Onbuild(String),
    /// `RUN`
    Run(RunInstruction),
    /// `SHELL [word, …]`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    Stopsignal(Word),
    /// `USER`
    User(Word),
    /// `VOLUME path …`
    Volume(Vec<Word>),
    /// `WORKDIR`
    Workdir(Word),
}

/// One definition of an `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgWord {
    /// Its name.
    pub name: String,
    /// Its default.
    pub value: Option<String>,
    /// Where it is.
    pub span: Span,
}

/// One pair of an `ENV` or `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairWord {
    /// The name.
    pub name: Word,
    /// The value.
    pub value: Word,
    /// Whether it is of the old form, without `=`.
    pub legacy: bool,
}

/// A command in one of its two forms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The words, or one text for a shell.
    pub words: Vec<String>,
    /// Whether it is the exec form (JSON).
    pub is_exec: bool,
}

/// A `FROM`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FromInstruction {
    /// The image or stage.
    pub base: Word,
    /// The name of the stage, in lowercase.
    pub name: Option<Word>,
    /// `--platform`
    pub platform: Option<Word>,
}

/// A `COPY` or `ADD`. A flag with an empty value is as good as none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyInstruction {
    /// Whether it is `ADD`.
    pub is_add: bool,
    /// What.
    pub sources: Vec<SourceWord>,
    /// Where to.
    pub destination: Word,
    /// `--from`
    pub from: Option<Word>,
    /// `--chown`
    pub chown: Option<Word>,
    /// `--chmod`
    pub chmod: Option<Word>,
    /// `--checksum`
    pub checksum: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`
    pub exclude: Vec<Word>,
    /// `--keep-git-dir`, if given.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`, if given.
    pub unpack: Option<bool>,
}

/// All keywords.
const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

impl Instruction {
    /// Understands a node.
    pub fn parse(node: &Node) -> Result<Self, Diagnostic> {
        Ok(Self {
            kind: InstructionKind::parse(node)?,
            keyword: node.keyword.clone(),
            text: node.text.clone(),
            span: node.span,
            lines: node.lines,
            comments: node.comments.clone(),
        })
    }
}

impl InstructionKind {
    fn parse(node: &Node) -> Result<Self, Diagnostic> {
        let keyword = node.keyword.value.to_lowercase();
        Ok(match keyword.as_str() {
            // These three ignore flags, as BuildKit does.
            "arg" => Self::Arg(args(node)?),
            "stopsignal" => Self::Stopsignal(only_argument(node)?),
            "healthcheck" => Self::Healthcheck(healthcheck::parse(node)?),
            "add" | "copy" => Self::Copy(copy::parse(node, keyword == "add")?),
            "from" => Self::From(from(node)?),
            "run" => Self::Run(run::parse(node)?),
            _ => {
                let kind = Self::without_flags(node, &keyword)?;
                Flags::parse(node, &[])?;
                kind
            }
        })
    }

    fn without_flags(node: &Node, keyword: &str) -> Result<Self, Diagnostic> {
        Ok(match keyword {
            "cmd" => Self::Cmd(command_line(node)),
            "entrypoint" => Self::Entrypoint(command_line(node)),
            "env" => Self::Env(pairs(node)?),
            "label" => Self::Label(pairs(node)?),
            "maintainer" => Self::Maintainer(only_argument(node)?),
            "onbuild" => Self::Onbuild(onbuild(node)?),
            "shell" => Self::Shell(shell(node)?),
            "user" => Self::User(only_argument(node)?),
            "volume" => Self::Volume(volumes(node)?),
            "workdir" => Self::Workdir(only_argument(node)?),
            "expose" => {
                let mut ports = some_arguments(node)?.to_vec();
                ports.sort_by(|one, two| one.value.cmp(&two.value));
                Self::Expose(ports)
            }
            _ => return Err(unknown(node)),
        })
    }
}

fn unknown(node: &Node) -> Diagnostic {
    let keyword = &node.keyword.value;
    let message = format!("unknown instruction `{keyword}`");
    let help = suggest::did_you_mean(&keyword.to_uppercase(), KEYWORDS);
    Diagnostic { help, ..Diagnostic::new(Code::UnknownInstruction, message, node.keyword.span) }
}

fn argument_count(node: &Node, wanted: &str) -> Diagnostic {
    let message = format!("`{}` needs {wanted}", node.keyword.value.to_uppercase());
    Diagnostic::new(Code::ArgumentCount, message, node.span)
}

fn some_arguments(node: &Node) -> Result<&[Word], Diagnostic> {
    if node.arguments.is_empty() {
        Err(argument_count(node, "at least one argument"))
    } else {
        Ok(&node.arguments)
    }
}

fn only_argument(node: &Node) -> Result<Word, Diagnostic> {
    match node.arguments.as_slice() {
        [word] => Ok(word.clone()),
        _ => Err(argument_count(node, "exactly one argument")),
    }
}

/// The words of the exec form, or the one text of the shell form.
fn shell_or_exec(words: &[Word], is_exec: bool) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| word.value.clone()).collect();
    if is_exec || words.is_empty() { words } else { vec![words.join(" ")] }
}

fn command_line(node: &Node) -> CommandLine {
    CommandLine { words: shell_or_exec(&node.arguments, node.json), is_exec: node.json }
}

fn shell(node: &Node) -> Result<Vec<String>, Diagnostic> {
    let words = shell_or_exec(some_arguments(node)?, node.json);
    if node.json {
        return Ok(words);
    }
    Err(Diagnostic::new(Code::JsonForm, "`SHELL` needs a JSON array", node.span)
        .with_help("write `SHELL [\"/bin/bash\", \"-c\"]`"))
}

fn blank_name(node: &Node, span: Span) -> Diagnostic {
    let message = format!("`{}` has a name that is empty", node.keyword.value.to_uppercase());
    Diagnostic::new(Code::KeyValue, message, span)
}

fn pairs(node: &Node) -> Result<Vec<PairWord>, Diagnostic> {
    let pair = |words: &[Word]| match words {
        [name, _, sign] if name.value.is_empty() => Err(blank_name(node, sign.span)),
        [name, value, sign] => {
            Ok(PairWord { name: name.clone(), value: value.clone(), legacy: sign.value.is_empty() })
        }
        _ => Err(argument_count(node, "pairs of name and value")),
    };
    some_arguments(node)?.chunks(3).map(pair).collect()
}

fn args(node: &Node) -> Result<Vec<ArgWord>, Diagnostic> {
    let arg = |word: &Word| match word.value.split_once('=') {
        Some(("", _)) => Err(blank_name(node, word.span)),
        Some((name, value)) => {
            Ok(ArgWord { name: name.to_owned(), value: Some(value.to_owned()), span: word.span })
        }
        None => Ok(ArgWord { name: word.value.clone(), value: None, span: word.span }),
    };
    some_arguments(node)?.iter().map(arg).collect()
}

fn volumes(node: &Node) -> Result<Vec<Word>, Diagnostic> {
    let volume = |word: &Word| {
        let value = word.value.trim().to_owned();
        let empty = || Diagnostic::new(Code::Argument, "the path of a volume cannot be empty", word.span);
        if value.is_empty() { Err(empty()) } else { Ok(Word { value, span: word.span }) }
    };
    some_arguments(node)?.iter().map(volume).collect()
}

fn from(node: &Node) -> Result<FromInstruction, Diagnostic> {
    let (base, name) = match node.arguments.as_slice() {
        [base] => (base, None),
        [base, word, name] if word.value.eq_ignore_ascii_case("as") => (base, Some(stage_name(name)?)),
        _ => {
            let help = "write `FROM image` or `FROM image AS name`";
            return Err(argument_count(node, "one argument, or three").with_help(help));
        }
    };
    let flags = Flags::parse(node, &[("platform", Takes::Text)])?;
    Ok(FromInstruction { base: base.clone(), name, platform: flags.text("platform") })
}

fn stage_name(word: &Word) -> Result<Word, Diagnostic> {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("^[a-z][a-z0-9_.-]*$").expect("invariant: a constant that compiles"));
    let value = word.value.to_lowercase();
    if NAME.is_match(&value) {
        return Ok(Word { value, span: word.span });
    }
    let message = format!("a stage cannot have the name `{}`", word.value);
    Err(Diagnostic::new(Code::StageName, message, word.span)
        .with_help("a name begins with a letter and has letters, digits, `-`, `_` and `.`"))
}

/// The trigger as the config holds it: one text that can be read as a Dockerfile again.
fn onbuild(node: &Node) -> Result<String, Diagnostic> {
    static KEYWORD: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)^\s*ONBUILD\s*").expect("invariant: a constant that compiles"));
    let trigger = node.trigger.as_ref().ok_or_else(|| argument_count(node, "an instruction"))?;
    let keyword = trigger.keyword.value.trim().to_uppercase();
    if ["ONBUILD", "MAINTAINER", "FROM"].contains(&keyword.as_str()) {
        let message = format!("`ONBUILD` cannot trigger `{keyword}`");
        return Err(Diagnostic::new(Code::Onbuild, message, trigger.keyword.span));
    }
    let mut text = KEYWORD.replace(&node.text, "").into_owned();
    for heredoc in &node.heredocs {
        text = format!("{text}\n{}{}", heredoc.content, heredoc.name);
    }
    Ok(text)
}
