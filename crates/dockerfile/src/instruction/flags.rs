//! The flags of an instruction: which it has, and what was given.

use crate::diagnostic::{Code, Diagnostic};
use crate::span::Word;
use crate::suggest;
use crate::syntax::Node;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// `true` or `false`, or nothing, which is `true`.
    Bool,
    /// A value, once.
    Text,
    /// A value, any number of times.
    Texts,
}

/// The flags that were given, with their values, in order.
#[derive(Debug, Default)]
pub(super) struct Flags {
    given: Vec<(&'static str, Word)>,
}

impl Flags {
    /// Checks the flags of `node` against those that it may have.
    pub(super) fn parse(node: &Node, known: &[(&'static str, Takes)]) -> Result<Self, Diagnostic> {
        let mut flags = Self::default();
        for flag in &node.flags {
            if flag.value == "--" {
                break;
            }
            let (name, value) = read(flag, known)?;
            let repeated = flags.given.iter().any(|(given, _)| *given == name);
            if repeated && !known.contains(&(name, Takes::Texts)) {
                return Err(problem(flag, format!("flag `--{name}` is given twice")));
            }
            flags.given.push((name, Word { value, span: flag.span }));
        }
        Ok(flags)
    }

    /// The value of a flag that is given once; an empty one is as good as none.
    pub(super) fn text(&self, name: &str) -> Option<Word> {
        self.texts(name).next().filter(|word| !word.value.is_empty())
    }

    /// The values of a flag.
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = Word> {
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.clone())
    }

    /// Whether a flag is on, if it was given.
    pub(super) fn bool(&self, name: &str) -> Option<bool> {
        self.texts(name).next().map(|word| word.value == "true")
    }
}

fn read(flag: &Word, known: &[(&'static str, Takes)]) -> Result<(&'static str, String), Diagnostic> {
    let (given, value) =
        flag.value.split_once('=').map_or((flag.value.as_str(), None), |(name, value)| (name, Some(value)));
    let given = given.strip_prefix("--").unwrap_or(given);
    let Some(&(name, takes)) = known.iter().find(|(name, _)| *name == given) else {
        let names = known.iter().map(|(name, _)| *name);
        let help = suggest::nearest(given, names).map(|name| format!("did you mean `--{name}`?"));
        let message = format!("unknown flag `--{given}`");
        return Err(Diagnostic { help, ..Diagnostic::new(Code::UnknownFlag, message, flag.span) });
    };
    let lower = value.unwrap_or("true").to_lowercase();
    match (takes, value) {
        (Takes::Bool, _) if lower == "true" || lower == "false" => Ok((name, lower)),
        (Takes::Text | Takes::Texts, Some(value)) => Ok((name, value.to_owned())),
        (Takes::Bool, Some(value)) if !value.is_empty() => {
            Err(problem(flag, format!("flag `--{name}` is `true` or `false`, not `{value}`")))
        }
        _ => Err(problem(flag, format!("flag `--{name}` has no value"))
            .with_help(format!("write `--{name}={}`", if takes == Takes::Bool { "true" } else { "…" }))),
    }
}

fn problem(flag: &Word, message: String) -> Diagnostic {
    Diagnostic::new(Code::FlagValue, message, flag.span)
}
