//! What the instructions of one stage come to.
//!
//! A stage is gone through once, from top to bottom, with three things that change: the **config** of the image, the
//! **environment** of commands, and the **arguments** that were declared. The environment is the config's variables
//! and the values of arguments in one list, where what is set later is last; that list is what words are expanded
//! with, and what a `RUN` gets. A stage that is built upon another sees that one's arguments too.
//!
//! | instruction | expanded | config | history |
//! |---|---|---|---|
//! | `ADD` `COPY` | sources, destination, `--chown` `--chmod` `--checksum`, unquoted heredocs | | with a layer |
//! | `ARG` | the default | | yes |
//! | `CMD` `ENTRYPOINT` `HEALTHCHECK` `SHELL` `MAINTAINER` | nothing | yes | yes |
//! | `ENV` `LABEL` | names and values, all before any is set | yes | yes |
//! | `EXPOSE` | and split into words | yes | yes |
//! | `ONBUILD` | nothing | yes | no |
//! | `RUN` | the fields of `--mount`, nothing else | | with a layer |
//! | `STOPSIGNAL` `USER` `VOLUME` | yes | yes | yes |
//! | `WORKDIR` | yes | yes | with a layer, but for `/` |

mod copy;
mod expose;
mod history;
mod path;
mod run;
mod signal;
mod source;

use crate::diagnostic::{Code, Diagnostic};
use crate::dockerfile::Dockerfile;
use crate::environment::Environment;
use crate::instruction::{ArgWord, CommandLine, Instruction, InstructionKind, PairWord};
use crate::lex::Lexer;
use crate::span::{Span, Word};
use crate::stage::StageTable;
use crate::step::{EvaluateOptions, EvaluatedStage, Scope, StageConfig, Step, StepKind, Workdir};
use crate::suggest;

pub(crate) use source::is_remote;

/// Where commands are looked for if nothing says so.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Works out the stage at `index`, which is built upon an image or stage with the config `base`.
///
/// The triggers in `base` come first. If a named context stands for the stage, there is nothing to do.
pub fn evaluate_stage(
    dockerfile: &Dockerfile,
    index: usize,
    base: StageConfig,
    options: &EvaluateOptions,
) -> Result<EvaluatedStage, Vec<Diagnostic>> {
    let table = StageTable::new(dockerfile, options)?;
    let stage = dockerfile.stages.get(index).filter(|_| !table.is_replaced(index));
    let Some(stage) = stage else { return Ok(EvaluatedStage { steps: Vec::new(), config: base }) };
    let triggers = table.triggers(index, &base.on_build).map_err(|diagnostic| vec![diagnostic])?;
    let mut evaluator = Evaluator::new(&table, base);
    let mut diagnostics = Vec::new();
    for trigger in &triggers {
        let done = evaluator.instruction(trigger, "ONBUILD ");
        // What is wrong with a trigger is wrong at the `FROM` that brought it.
        diagnostics
            .extend(done.err().map(|diagnostic| Diagnostic { span: stage.from.base.span, ..diagnostic }));
    }
    for instruction in &stage.instructions {
        diagnostics.extend(evaluator.instruction(instruction, "").err());
    }
    if diagnostics.is_empty() { Ok(evaluator.finish()) } else { Err(diagnostics) }
}

/// A stage on the way.
pub(crate) struct Evaluator<'a> {
    table: &'a StageTable<'a>,
    lexer: Lexer,
    pub(crate) config: StageConfig,
    /// Variables and arguments, as commands see them.
    env: Environment,
    /// Declared arguments with their values.
    args: Vec<(String, Option<String>)>,
    has_cmd: bool,
    steps: Vec<Step>,
    notes: Vec<Note>,
}

/// What can be seen on the way and not in the result; a linter asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// A word names a variable that nothing sets, and this one is nearest to it.
    Undefined {
        /// Its name.
        name: String,
        /// A variable that is set and has almost this name.
        nearest: Option<String>,
    },
    /// `ARG` or `ENV` sets this variable.
    Variable(String),
    /// `WORKDIR` says this.
    Directory(String),
    /// `EXPOSE` says this.
    Port {
        /// The whole word.
        word: String,
        /// The protocol as it is written.
        protocol: String,
        /// Whether it has an address or a port of the host.
        is_mapped: bool,
    },
    /// `COPY` or `ADD` takes this from the context.
    Source(String),
}

/// What an instruction came to: what there is to do, and what the history says.
struct Outcome {
    kind: StepKind,
    created_by: Option<String>,
    /// What is shown of it, beside its text.
    shown: Option<String>,
}

impl Outcome {
    fn config(created_by: String) -> Self {
        Self { kind: StepKind::Config, created_by: Some(created_by), shown: None }
    }
}

impl<'a> Evaluator<'a> {
    /// A stage that is built upon something with this config.
    pub(crate) fn new(table: &'a StageTable<'a>, mut config: StageConfig) -> Self {
        let Scope { env, args } = std::mem::take(&mut config.scope);
        config.on_build.clear();
        let is_windows = table.options.platform.os == "windows";
        if !is_windows && !config.env.iter().any(|(name, _)| name == "PATH") {
            config.env.push(("PATH".to_owned(), DEFAULT_PATH.to_owned()));
        }
        if !config.working_dir.is_empty() {
            config.working_dir = path::resolve(&config.working_dir, &config.working_dir);
        }
        let env = env.into_iter().chain(config.env.iter().cloned()).collect();
        let lexer = Lexer::new(table.dockerfile.escape);
        Self { table, lexer, config, env, args, has_cmd: false, steps: Vec::new(), notes: Vec::new() }
    }

    /// What there was to see since this was asked last.
    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// The stage as far as it was worked out.
    pub(crate) fn finish(self) -> EvaluatedStage {
        let scope = Scope { env: self.env.into_pairs(), args: self.args };
        EvaluatedStage { steps: self.steps, config: StageConfig { scope, ..self.config } }
    }

    /// Works out one instruction; `prefix` stands before it where it is shown.
    pub(crate) fn instruction(&mut self, instruction: &Instruction, prefix: &str) -> Result<(), Diagnostic> {
        let outcome = self.outcome(instruction)?;
        let text = outcome.shown.unwrap_or_else(|| history::uppercase_keyword(&instruction.text));
        self.steps.push(Step {
            span: instruction.span,
            line: instruction.lines.0,
            text: format!("{prefix}{text}"),
            created_by: outcome.created_by,
            kind: outcome.kind,
        });
        Ok(())
    }

    fn outcome(&mut self, instruction: &Instruction) -> Result<Outcome, Diagnostic> {
        Ok(match &instruction.kind {
            InstructionKind::Arg(words) => self.arg(words)?,
            InstructionKind::Cmd(command) => self.cmd(command),
            InstructionKind::Copy(copy) => self.copy(copy, instruction)?,
            InstructionKind::Entrypoint(command) => self.entrypoint(command),
            InstructionKind::Env(pairs) => self.env(pairs)?,
            InstructionKind::Expose(ports) => self.expose(ports)?,
            InstructionKind::From(_) => Outcome { kind: StepKind::Config, created_by: None, shown: None },
            InstructionKind::Healthcheck(check) => {
                self.config.healthcheck = Some(check.clone());
                Outcome::config(format!("HEALTHCHECK {}", history::healthcheck(check)))
            }
            InstructionKind::Label(pairs) => self.label(pairs)?,
            InstructionKind::Maintainer(word) => {
                self.config.author = Some(word.value.clone());
                Outcome::config(format!("MAINTAINER {}", word.value))
            }
            InstructionKind::Onbuild(text) => {
                self.config.on_build.push(text.clone());
                Outcome { kind: StepKind::Config, created_by: None, shown: None }
            }
            InstructionKind::Run(run) => self.run(run, instruction)?,
            InstructionKind::Shell(words) => {
                self.config.shell.clone_from(words);
                Outcome::config(format!("SHELL {}", history::list(words)))
            }
            InstructionKind::Stopsignal(word) => self.stop_signal(word)?,
            InstructionKind::User(word) => {
                self.config.user = self.expand(word)?;
                Outcome::config(format!("USER {}", self.config.user))
            }
            InstructionKind::Volume(words) => self.volume(words)?,
            InstructionKind::Workdir(word) => self.workdir(word, instruction)?,
        })
    }

    /// The text with its variables. Those that are not set are noted, but for arguments, which may lack a value.
    fn expansion(&mut self, lexer: Lexer, text: &str, span: Span) -> Result<String, Diagnostic> {
        let (expansion, error) = lexer.read(text, &self.env);
        for name in expansion.unmatched {
            if !is_for_buildkit(&name) && !self.args.iter().any(|(arg, _)| *arg == name) {
                let nearest = suggest::nearest(&name, self.env.names()).map(str::to_owned);
                self.notes.push(Note::Undefined { name, nearest });
            }
        }
        match error {
            Some(error) => Err(Diagnostic::new(Code::Expansion, error.to_string(), span)),
            None => Ok(expansion.text),
        }
    }

    fn expand(&mut self, word: &Word) -> Result<String, Diagnostic> {
        self.expansion(self.lexer, &word.value, word.span)
    }

    fn expand_pairs(&mut self, pairs: &[PairWord]) -> Result<Vec<(String, String)>, Diagnostic> {
        pairs.iter().map(|pair| Ok((self.expand(&pair.name)?, self.expand(&pair.value)?))).collect()
    }

    /// The line with its variables, as a build shows it; as it is written if that does not work.
    fn shown(&self, instruction: &Instruction) -> String {
        let expansion = self.lexer.expand(&instruction.text, &self.env);
        let text = expansion.map_or_else(|_| instruction.text.clone(), |expansion| expansion.text);
        history::uppercase_keyword(&text)
    }

    /// An argument has the value that was given, or its default, or that of the global argument of its name.
    fn arg(&mut self, words: &[ArgWord]) -> Result<Outcome, Diagnostic> {
        let mut said = String::from("ARG");
        for word in words {
            self.notes.push(Note::Variable(word.name.clone()));
            let globals = &self.table.globals;
            let value = match (globals.build_args.get(&word.name), &word.value) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expansion(self.lexer, default, word.span)?),
                (None, None) => globals.args.get(&word.name).map(str::to_owned),
            };
            said = format!("{said} {}", word.name);
            if let Some(value) = &value {
                said = format!("{said}={value}");
                if !is_for_buildkit(&word.name) {
                    self.env.set(&word.name, value);
                }
            }
            self.args.push((word.name.clone(), value));
        }
        Ok(Outcome::config(said))
    }

    /// The words of a command, with the shell in front if it is text.
    fn command(&self, command: &CommandLine) -> Vec<String> {
        if command.is_exec {
            return command.words.clone();
        }
        let mut words = self.shell();
        words.push(command.words.join(" "));
        words
    }

    fn shell(&self) -> Vec<String> {
        if self.config.shell.is_empty() {
            return vec!["/bin/sh".to_owned(), "-c".to_owned()];
        }
        self.config.shell.clone()
    }

    fn cmd(&mut self, command: &CommandLine) -> Outcome {
        let words = self.command(command);
        let said = format!("CMD {}", history::quoted(&words));
        self.config.cmd = Some(words);
        self.config.args_escaped = true;
        self.has_cmd = true;
        Outcome::config(said)
    }

    /// A new entrypoint makes an inherited command meaningless, but not one that this stage gave.
    fn entrypoint(&mut self, command: &CommandLine) -> Outcome {
        let words = self.command(command);
        let said = format!("ENTRYPOINT {}", history::quoted(&words));
        self.config.entrypoint = Some(words).filter(|words| !words.is_empty());
        if !self.has_cmd {
            self.config.cmd = None;
        }
        Outcome::config(said)
    }

    fn env(&mut self, pairs: &[PairWord]) -> Result<Outcome, Diagnostic> {
        let mut said = String::from("ENV");
        for (name, value) in self.expand_pairs(pairs)? {
            said = format!("{said} {name}={value}");
            self.notes.push(Note::Variable(name.clone()));
            self.env.set(&name, &value);
            match self.config.env.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => self.config.env.push((name, value)),
            }
        }
        Ok(Outcome::config(said))
    }

    fn label(&mut self, pairs: &[PairWord]) -> Result<Outcome, Diagnostic> {
        let mut said = String::from("LABEL");
        for (name, value) in self.expand_pairs(pairs)? {
            said = format!("{said} {name}={value}");
            self.config.labels.insert(name, value);
        }
        Ok(Outcome::config(said))
    }

    fn expose(&mut self, words: &[Word]) -> Result<Outcome, Diagnostic> {
        let mut expanded = Vec::new();
        for word in words {
            let expansion = self.lexer.expand(&word.value, &self.env);
            let expansion =
                expansion.map_err(|error| Diagnostic::new(Code::Expansion, error.to_string(), word.span))?;
            expanded.extend(expansion.words.into_iter().map(|port| (port, word.span)));
        }
        let mut ports = Vec::new();
        for (port, span) in expanded {
            let wrong = |problem| {
                Diagnostic::new(Code::Argument, problem, span)
                    .with_help("a port is written as `80`, `80/udp` or `8000-8010`")
            };
            let spelling = expose::Spelling::of(&port).map_err(wrong)?;
            let (protocol, is_mapped) = (spelling.protocol.to_owned(), spelling.is_mapped());
            self.notes.push(Note::Port { word: port.clone(), protocol, is_mapped });
            ports.extend(spelling.ports().map_err(wrong)?);
        }
        let said = format!("EXPOSE {}", history::list(&ports));
        self.config.exposed_ports.extend(ports);
        Ok(Outcome::config(said))
    }

    fn stop_signal(&mut self, word: &Word) -> Result<Outcome, Diagnostic> {
        let signal = self.expand(word)?;
        if !signal::is_known(&signal) {
            let message = format!("there is no signal `{signal}`");
            return Err(Diagnostic::new(Code::Argument, message, word.span)
                .with_help("a signal is a number or a name such as `SIGTERM`"));
        }
        self.config.stop_signal = Some(signal.clone());
        Ok(Outcome::config(format!("STOPSIGNAL {signal}")))
    }

    fn volume(&mut self, words: &[Word]) -> Result<Outcome, Diagnostic> {
        let paths = words.iter().map(|word| match self.expand(word)? {
            path if path.is_empty() => {
                let message = format!("the volume `{}` expands to nothing", word.value);
                Err(Diagnostic::new(Code::Argument, message, word.span))
            }
            path => Ok(path),
        });
        let paths = paths.collect::<Result<Vec<_>, _>>()?;
        let said = format!("VOLUME {}", history::list(&paths));
        self.config.volumes.extend(paths);
        Ok(Outcome::config(said))
    }

    fn workdir(&mut self, word: &Word, instruction: &Instruction) -> Result<Outcome, Diagnostic> {
        let directory = self.expand(word)?;
        let path = path::resolve(&self.config.working_dir, &directory);
        self.notes.push(Note::Directory(directory));
        self.config.working_dir.clone_from(&path);
        let created_by = Some(format!("WORKDIR {path}"));
        let shown = Some(self.shown(instruction));
        let user = self.config.user.clone();
        let made = Workdir { path: path::clean(&path), user };
        let kind = if path == "/" { StepKind::Config } else { StepKind::Workdir(made) };
        Ok(Outcome { kind, created_by, shown })
    }
}

/// Two arguments are for BuildKit itself, and commands never see them.
fn is_for_buildkit(name: &str) -> bool {
    ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"].contains(&name)
}
