//! `cartwheel check` and `cartwheel build --check`.
//!
//! The second is the first with what `docker build --check` has and nothing else: its rules and its formats. Nothing is
//! asked of a registry: the config of a base is known if it was built with or pulled before, and if it is not, variables
//! that the base may set are not called undefined.

mod explain;
mod print;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use cartwheel_build::{ContextTree, Images, image_platform, inherited, read_ignore};
use cartwheel_dockerfile::{
    ContextFile, EvaluateOptions, IgnoreFile, Lint, LintContext, LintOptions, NeededStage, Severity,
    StageBase, StageConfig, fix, lint, lint_rules,
};
use cartwheel_oci::Platform;
use cartwheel_store::Store;

use crate::args::{BuildArguments, Call, CheckArguments, CheckFormat, KeyValue};
use crate::commands::build::source;
use crate::error::Failure;
use crate::settings::{Settings, dockerfile_platform, host_platform};

/// The longest file that is read for what it asks to be installed.
const LONGEST: u64 = 1 << 18;

/// What is to be checked, and how.
struct Request<'a> {
    context: &'a Path,
    file: Option<&'a Path>,
    target: Option<&'a str>,
    build_args: &'a [String],
    build_contexts: &'a [KeyValue],
    platform: Option<&'a Platform>,
    advice: bool,
}

/// A Dockerfile with its name.
struct Checked {
    path: String,
    text: String,
    lint: Lint,
}

/// Checks a Dockerfile, or explains a rule.
pub(crate) fn check(arguments: &CheckArguments) -> Result<ExitCode, Failure> {
    if let Some(rule) = &arguments.explain {
        io::stdout().write_all(explain::explain(rule)?.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let known = |name: &&String| *name != "all" && !lint_rules().any(|rule| rule.name == **name);
    if let Some(name) = arguments.errors.iter().find(known) {
        return Err(explain::unknown(name));
    }
    let request = Request {
        context: &arguments.context,
        file: arguments.file.as_deref(),
        target: arguments.target.as_deref(),
        build_args: &arguments.build_args,
        build_contexts: &arguments.build_contexts,
        platform: arguments.platform.as_ref(),
        advice: true,
    };
    let session = Session::open(&request)?;
    let mut checked = session.check(session.text()?);
    if arguments.fix {
        checked = session.mend(checked)?;
    }
    print::print(&checked, arguments.format, &mut io::stdout().lock())?;
    Ok(status(&checked.lint, &arguments.errors))
}

/// Checks the Dockerfile of a build.
pub(crate) fn check_build(arguments: &BuildArguments) -> Result<ExitCode, Failure> {
    let request = Request {
        context: &arguments.context,
        file: arguments.file.as_deref(),
        target: arguments.target.as_deref(),
        build_args: &arguments.build_args,
        build_contexts: &arguments.build_contexts,
        platform: arguments.platforms.first(),
        advice: false,
    };
    let session = Session::open(&request)?;
    let checked = session.check(session.text()?);
    let (format, ignore_status) = match arguments.call {
        Call::Check { format, ignore_status } => (format, ignore_status),
        Call::Build => (CheckFormat::Text, false),
    };
    print::print(&checked, format, &mut io::stdout().lock())?;
    Ok(if ignore_status { ExitCode::SUCCESS } else { status(&checked.lint, &[]) })
}

/// 1 for a warning, an error, or advice that was named.
fn status(lint: &Lint, errors: &[String]) -> ExitCode {
    let counts = lint.findings.iter().any(|finding| {
        let is_named = errors.iter().any(|name| name == "all" || name == finding.rule.name);
        finding.rule.severity != Severity::Advice || is_named
    });
    if counts || lint.error.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// One run of the command.
struct Session {
    store: Store,
    platform: Platform,
    options: LintOptions,
    /// The Dockerfile; `-` is standard input.
    file: PathBuf,
}

impl Session {
    fn open(request: &Request<'_>) -> Result<Self, Failure> {
        let settings = Settings::read()?;
        let store = Store::open(&settings.home)?;
        let platform = request.platform.cloned().unwrap_or_else(host_platform);
        let is_stdin = request.context == Path::new("-");
        let file = if is_stdin { PathBuf::from("-") } else { file(request)? };
        let evaluate = EvaluateOptions {
            build_args: source::build_args(request.build_args, &settings),
            target: request.target.map(str::to_owned),
            platform: dockerfile_platform(&platform),
            build_platform: dockerfile_platform(&host_platform()),
            contexts: request.build_contexts.iter().map(|context| context.key.clone()).collect(),
            triggers: BTreeMap::new(),
        };
        let context = if is_stdin { None } else { Some(context(request, &file, &store)?) };
        let options = LintOptions { evaluate, context, advice: request.advice };
        Ok(Self { store, platform, options, file })
    }

    fn text(&self) -> Result<String, Failure> {
        source::read(&self.file)
    }

    fn check(&self, text: String) -> Checked {
        let images = Images::new(&self.store);
        let unknown = RefCell::new(BTreeSet::new());
        let config_of = |stage: &NeededStage| {
            let config = self.config(stage, &images);
            if let (None, StageBase::Image(name)) = (&config, &stage.base) {
                unknown.borrow_mut().insert(name.clone());
            }
            config
        };
        let lint = lint(&text, &self.options, &config_of);
        for name in unknown.into_inner() {
            eprintln!(
                "note: the variables of `{name}` are not known here, so UndefinedVar is not asked above it (`cartwheel pull {name}` brings it)"
            );
        }
        Checked { path: self.file.display().to_string(), text, lint }
    }

    /// The config that a stage begins with, if it is known here.
    fn config(&self, stage: &NeededStage, images: &Images<'_>) -> Option<StageConfig> {
        match &stage.base {
            StageBase::Image(name) => {
                let platform = stage.platform.as_ref().map_or_else(|| self.platform.clone(), image_platform);
                Some(inherited(images.open(&name.parse().ok()?, &platform).ok()?.config()))
            }
            StageBase::Context(_) => None,
            StageBase::Scratch | StageBase::Stage(_) => Some(StageConfig::default()),
        }
    }

    /// Mends the file, and checks what it is then.
    fn mend(&self, checked: Checked) -> Result<Checked, Failure> {
        if self.file == Path::new("-") {
            return Err(Failure::user("`--fix` mends a file, and this is standard input".to_owned()));
        }
        let (mut checked, mut count) = (checked, 0);
        // What is mended may show what else there is: `as` beside a `FROM` that was `from`.
        loop {
            let (text, mended) = fix(&checked.text, &checked.lint.findings, &self.options.evaluate);
            if mended == 0 {
                break;
            }
            count += mended;
            checked = self.check(text);
        }
        if count > 0 {
            fs::write(&self.file, &checked.text).map_err(Failure::io("write", &self.file))?;
        }
        eprintln!("mended {count} findings in {}", checked.path);
        Ok(checked)
    }
}

/// The Dockerfile: the one of `-f`, or the one in the context.
fn file(request: &Request<'_>) -> Result<PathBuf, Failure> {
    let file = request.file.map_or_else(|| request.context.join("Dockerfile"), Path::to_owned);
    let file = source::in_lowercase(&file).unwrap_or(file);
    if request.file.is_none() && !file.is_file() {
        let message = format!("there is no Dockerfile in `{}`", request.context.display());
        return Err(Failure::user(message).with_hint("name it with `--file`"));
    }
    Ok(file)
}

/// What rules ask of the build context.
fn context(request: &Request<'_>, file: &Path, store: &Store) -> Result<LintContext, Failure> {
    let beside = Some(file).filter(|file| *file != Path::new("-"));
    let (ignore, place) = read_ignore(request.context, beside)?;
    let mut context = LintContext { ignore: place.map(|_| ignore), ..LintContext::default() };
    if !request.advice {
        return Ok(context);
    }
    // Nothing is left out: what an ignore file would save is asked, too.
    let tree = ContextTree::of_folder(store, request.context, &IgnoreFile::default(), SystemTime::now())?;
    let files = tree.iter().filter_map(|(path, node)| Some((path, node.file()?.size)));
    for (path, size) in files {
        if says_what_is_installed(path) && size <= LONGEST {
            let found = request.context.join(path);
            let bytes = fs::read(&found).map_err(Failure::io("read", &found))?;
            context.texts.insert(path.to_owned(), String::from_utf8_lossy(&bytes).into_owned());
        }
        context.files.push(ContextFile { path: path.to_owned(), size });
    }
    Ok(context)
}

/// Whether a file is likely to be named by `pip install -r`.
fn says_what_is_installed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_text =
        Path::new(name).extension().is_some_and(|extension| extension == "txt" || extension == "in");
    is_text && (name.contains("require") || name == path)
}
