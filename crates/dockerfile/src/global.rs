//! What holds for all stages: the predefined arguments, and the `ARG`s in front of the first `FROM`.

use std::collections::BTreeMap;

use crate::diagnostic::{Code, Diagnostic};
use crate::dockerfile::{Dockerfile, Stage};
use crate::environment::Environment;
use crate::instruction::{InstructionKind, SourceWord};
use crate::lex::expand;
use crate::span::Span;
use crate::step::EvaluateOptions;

/// The name of the argument that fixes the time of everything.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The arguments that stages can ask for, and those that were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Globals {
    /// Predefined and global arguments.
    pub(crate) args: Environment,
    /// What `--build-arg` gave.
    pub(crate) build_args: BTreeMap<String, String>,
}

/// What `SOURCE_DATE_EPOCH` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceDateEpoch {
    /// Seconds since 1970.
    Seconds(i64),
    /// The time of the build context, or of the named context of that name.
    Context(Option<String>),
    /// The time of what the stage of that index downloads.
    Stage(usize),
}

/// What `SOURCE_DATE_EPOCH` says, as a build argument or a global one.
///
/// The forms that name something need files or a network. Whoever builds looks there, and gives the seconds as the
/// build argument then; until that, no stage sees the argument.
pub fn source_date_epoch(
    dockerfile: &Dockerfile,
    options: &EvaluateOptions,
) -> Result<Option<SourceDateEpoch>, Diagnostic> {
    let args = global_args(dockerfile, options)?;
    epoch(dockerfile, options, &args)
}

impl Globals {
    pub(crate) fn new(dockerfile: &Dockerfile, options: &EvaluateOptions) -> Result<Self, Diagnostic> {
        let mut args = global_args(dockerfile, options)?;
        let mut build_args = options.build_args.clone();
        let is_given = build_args.contains_key(EPOCH);
        let is_global = args.get(EPOCH).is_some();
        match epoch(dockerfile, options, &args)? {
            Some(SourceDateEpoch::Seconds(seconds)) => {
                if is_given {
                    build_args.insert(EPOCH.to_owned(), seconds.to_string());
                }
                if is_global {
                    args.set(EPOCH, seconds.to_string());
                }
            }
            None if !is_given => {}
            _ => {
                build_args.remove(EPOCH);
                args.remove(EPOCH);
            }
        }
        Ok(Self { args, build_args })
    }
}

/// The predefined arguments, each as `--build-arg` says if it does.
fn predefined(dockerfile: &Dockerfile, options: &EvaluateOptions) -> Environment {
    let (build, target) = (&options.build_platform, &options.platform);
    let last = dockerfile.stages.last().and_then(Stage::name);
    let stage = options.target.as_deref().filter(|target| !target.is_empty()).or(last).unwrap_or("default");
    let args = [
        ("BUILDPLATFORM", build.short()),
        ("BUILDOS", build.os.clone()),
        ("BUILDOSVERSION", build.os_version.clone()),
        ("BUILDARCH", build.architecture.clone()),
        ("BUILDVARIANT", build.variant.clone()),
        ("TARGETPLATFORM", target.to_string()),
        ("TARGETOS", target.os.clone()),
        ("TARGETOSVERSION", target.os_version.clone()),
        ("TARGETARCH", target.architecture.clone()),
        ("TARGETVARIANT", target.variant.clone()),
        ("TARGETSTAGE", stage.to_owned()),
    ];
    let given = |name| options.build_args.get(name).cloned();
    args.into_iter().map(|(name, value)| (name, given(name).unwrap_or(value))).collect()
}

/// The arguments if no `--build-arg` gives any but predefined ones.
pub(crate) fn default_args(
    dockerfile: &Dockerfile,
    options: &EvaluateOptions,
) -> Result<Environment, Diagnostic> {
    declared(dockerfile, predefined(dockerfile, options), &BTreeMap::new())
}

fn global_args(dockerfile: &Dockerfile, options: &EvaluateOptions) -> Result<Environment, Diagnostic> {
    declared(dockerfile, predefined(dockerfile, options), &options.build_args)
}

/// The arguments in front of the first `FROM`, added to `args`.
fn declared(
    dockerfile: &Dockerfile,
    mut args: Environment,
    build_args: &BTreeMap<String, String>,
) -> Result<Environment, Diagnostic> {
    for instruction in &dockerfile.globals {
        let InstructionKind::Arg(words) = &instruction.kind else { continue };
        for word in words {
            let value = match (build_args.get(&word.name), &word.value) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(value)) => {
                    let wrong =
                        |error: crate::Error| Diagnostic::new(Code::Expansion, error.to_string(), word.span);
                    Some(expand(value, &args, dockerfile.escape).map_err(wrong)?)
                }
                (None, None) => None,
            };
            if let Some(value) = value {
                args.set(&word.name, value);
            }
        }
    }
    Ok(args)
}

fn epoch(
    dockerfile: &Dockerfile,
    options: &EvaluateOptions,
    args: &Environment,
) -> Result<Option<SourceDateEpoch>, Diagnostic> {
    let global = args.get(EPOCH).filter(|value| !value.is_empty());
    let Some(value) =
        options.build_args.get(EPOCH).map(String::as_str).or(global).filter(|value| !value.is_empty())
    else {
        return Ok(None);
    };
    if let Ok(seconds) = value.parse() {
        return Ok(Some(SourceDateEpoch::Seconds(seconds)));
    }
    if value == "context" {
        return Ok(Some(SourceDateEpoch::Context(None)));
    }
    if options.contexts.contains(value) {
        return Ok(Some(SourceDateEpoch::Context(Some(value.to_owned()))));
    }
    let is_named = |stage: &Stage| stage.name().is_some_and(|name| name.eq_ignore_ascii_case(value));
    if let Some((index, stage)) = dockerfile.stages.iter().enumerate().find(|(_, stage)| is_named(stage)) {
        check_stage(stage, dockerfile, options, args)?;
        return Ok(Some(SourceDateEpoch::Stage(index)));
    }
    let span = dockerfile.globals.first().map_or(Span::default(), |instruction| instruction.span);
    Err(Diagnostic::new(Code::Argument, format!("`{EPOCH}` cannot be `{value}`"), span)
        .with_help("it is a number of seconds, `context`, or the name of a context or stage"))
}

/// A stage that gives the time downloads one thing and does nothing else.
fn check_stage(
    stage: &Stage,
    dockerfile: &Dockerfile,
    options: &EvaluateOptions,
    args: &Environment,
) -> Result<(), Diagnostic> {
    let wrong = |problem: &str, span| {
        let message = format!("the stage of `{EPOCH}` {problem}");
        Diagnostic::new(Code::Argument, message, span)
            .with_help("it is `FROM scratch` with one `ADD` of an address")
    };
    let failed = |span| move |error: crate::Error| Diagnostic::new(Code::Expansion, error.to_string(), span);
    let mut env = args.clone();
    env.remove(EPOCH);
    let base = &stage.from.base;
    if expand(&base.value, &env, dockerfile.escape).map_err(failed(base.span))? != "scratch" {
        return Err(wrong("is not `FROM scratch`", base.span));
    }
    let mut sources = 0;
    for instruction in &stage.instructions {
        match &instruction.kind {
            InstructionKind::Arg(words) => {
                for word in words {
                    let value = match (options.build_args.get(&word.name), &word.value) {
                        (Some(given), _) => given.clone(),
                        (None, Some(value)) => {
                            expand(value, &env, dockerfile.escape).map_err(failed(word.span))?
                        }
                        (None, None) => continue,
                    };
                    env.set(&word.name, value);
                }
            }
            InstructionKind::Copy(copy) if copy.is_add => {
                let [SourceWord::Path(word)] = copy.sources.as_slice() else {
                    return Err(wrong("adds more than one thing", instruction.span));
                };
                let source = expand(&word.value, &env, dockerfile.escape).map_err(failed(word.span))?;
                if !crate::evaluate::is_remote(&source) {
                    return Err(wrong("adds something that is not downloaded", word.span));
                }
                sources += 1;
            }
            _ => return Err(wrong("does something else", instruction.span)),
        }
    }
    if sources == 1 { Ok(()) } else { Err(wrong("does not add exactly one thing", stage.span)) }
}
