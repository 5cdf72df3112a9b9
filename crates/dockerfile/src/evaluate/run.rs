//! `RUN`: the command, and what it sees.

use crate::diagnostic::{Code, Diagnostic};
use crate::evaluate::{Evaluator, Outcome, history, path};
use crate::instruction::{Instruction, MountFields, MountType, RunInstruction};
use crate::lex::Lexer;
use crate::span::Word;
use crate::step::{CopyFrom, InlineFile, Mount, MountKind, Run, StepKind};
use crate::syntax::parse_heredoc;

/// Where the file of a heredoc with `#!` is.
const PIPES: &str = "/dev/pipes/";

/// A command and what a heredoc made of it.
struct Command {
    words: Vec<String>,
    /// What is shown behind the line.
    summary: Option<String>,
    file: Option<InlineFile>,
}

impl Evaluator<'_> {
    pub(super) fn run(
        &mut self,
        run: &RunInstruction,
        instruction: &Instruction,
    ) -> Result<Outcome, Diagnostic> {
        let mut mounts = Vec::new();
        for (flag, from) in run.mounts.iter().zip(&run.mounts_from) {
            mounts.push(self.mount(flag, from.as_deref())?);
        }
        let command = command(run);
        let is_exec = run.command.is_exec;
        let shell = if is_exec { Vec::new() } else { self.shell() };
        let script = (!is_exec).then(|| command.words.join(" "));
        let argv =
            if is_exec { command.words } else { shell.iter().cloned().chain(script.clone()).collect() };
        let created_by = format!("RUN {} # buildkit", self.with_args(&argv));
        let shown = self.shown_run(instruction, command.summary.as_deref(), &mounts);
        let run = Run {
            argv,
            script,
            shell,
            env: self.command_env(&mounts),
            args: self.visible_args(),
            proxies: self.proxies(),
            working_dir: if self.config.working_dir.is_empty() {
                "/".into()
            } else {
                self.config.working_dir.clone()
            },
            user: self.config.user.clone(),
            mounts,
            network: run.network,
            insecure: run.insecure,
            devices: run.devices.clone(),
            file: command.file,
        };
        let kind = StepKind::Run(Box::new(run));
        Ok(Outcome { kind, created_by: Some(created_by), shown: Some(shown) })
    }

    /// The environment, with the socket of an agent if one is mounted.
    fn command_env(&self, mounts: &[Mount]) -> Vec<(String, String)> {
        let mut env = self.env.clone();
        let mut sockets = mounts.iter().filter(|mount| matches!(mount.kind, MountKind::Ssh { .. }));
        if let Some(socket) = sockets.next()
            && env.get("SSH_AUTH_SOCK").is_none()
        {
            env.set(
                "SSH_AUTH_SOCK",
                if socket.target.is_empty() { "/run/buildkit/ssh_agent.0" } else { &socket.target },
            );
        }
        env.into_pairs()
    }

    /// The arguments, each once, with the value that commands see: a variable of the same name hides it.
    fn visible_args(&self) -> Vec<(String, String)> {
        let mut args: Vec<(String, String)> = Vec::new();
        for (name, value) in &self.args {
            let value = self.env.get(name).or(value.as_deref()).unwrap_or_default().to_owned();
            match args.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = value,
                None => args.push((name.clone(), value)),
            }
        }
        args
    }

    /// The build arguments that set a proxy; a command gets them without asking.
    fn proxies(&self) -> Vec<(String, String)> {
        const NAMES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];
        let given = |name: &&str| {
            let mut args = self.table.globals.build_args.iter();
            let (_, value) = args.rfind(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(((*name).to_owned(), value.clone()))
        };
        NAMES.iter().filter_map(given).collect()
    }

    /// `|1 A=b /bin/sh -c …`, as the history has it.
    fn with_args(&self, argv: &[String]) -> String {
        let args = self.visible_args();
        let count = (!args.is_empty()).then(|| format!("|{}", args.len()));
        let args = args.into_iter().map(|(name, value)| format!("{name}={value}"));
        let words: Vec<String> = count.into_iter().chain(args).chain(argv.iter().cloned()).collect();
        words.join(" ")
    }

    /// The line with the variables that are set, quotes kept, and no secret in it.
    fn shown_run(&self, instruction: &Instruction, summary: Option<&str>, mounts: &[Mount]) -> String {
        let text = match summary {
            Some(summary) => format!("{} ({summary})", instruction.text),
            None => instruction.text.clone(),
        };
        let mut env = self.env.clone();
        for mount in mounts {
            if let MountKind::Secret { env: Some(name), .. } = &mount.kind {
                env.set(name, "****");
            }
        }
        let lexer = Lexer { raw_quotes: true, keep_unset: true, ..self.lexer };
        let expansion = lexer.expand(&text, &env);
        history::uppercase_keyword(&expansion.map_or(text, |expansion| expansion.text))
    }

    fn mount(&mut self, flag: &Word, from: Option<&str>) -> Result<Mount, Diagnostic> {
        let fields = MountFields::parse(flag, |value| self.expansion(self.lexer, value, flag.span))?;
        let from = from.map(|from| self.table.mount_from(from, flag.span)).transpose()?;
        let read_only = fields.is_read_only();
        let kind = match fields.kind {
            MountType::Secret => return Ok(secret(fields)),
            MountType::Ssh if fields.source.is_empty() => return Ok(ssh(fields)),
            MountType::Ssh => {
                let message = "a mount of type `ssh` has no `source`";
                return Err(
                    Diagnostic::new(Code::Mount, message, flag.span).with_help("name the agent by `id`")
                );
            }
            MountType::Tmpfs => MountKind::Tmpfs { size: fields.size.filter(|size| *size > 0) },
            MountType::Bind => MountKind::Bind {
                from: from.unwrap_or(CopyFrom::Context),
                source: path::clean(&fields.source),
            },
            MountType::Cache => MountKind::Cache {
                from: from.unwrap_or(CopyFrom::Scratch),
                source: path::clean(&fields.source),
                id: if fields.id.is_empty() { cache_id(&fields.target) } else { fields.id.clone() },
                sharing: fields.sharing.unwrap_or_default(),
                access: fields.access,
            },
        };
        let target = self.mount_target(&fields.target);
        if target == "/" {
            return Err(Diagnostic::new(Code::Mount, "nothing can be mounted at `/`", flag.span)
                .with_help("say where by `target=/path`"));
        }
        Ok(Mount { target, kind, read_only })
    }

    fn mount_target(&self, target: &str) -> String {
        if target.starts_with('/') {
            target.to_owned()
        } else {
            path::clean(&format!("{}/{target}", self.config.working_dir))
        }
    }
}

/// A cache without a name has that of its place, cleaned but not made absolute.
fn cache_id(target: &str) -> String {
    if target.starts_with('/') {
        return path::clean(target);
    }
    let cleaned = path::clean(target);
    let cleaned = cleaned.trim_start_matches('/');
    if cleaned.is_empty() { ".".to_owned() } else { cleaned.to_owned() }
}

fn last_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn secret(fields: MountFields) -> Mount {
    let named = if fields.source.is_empty() { &fields.id } else { &fields.source };
    let id = if named.is_empty() { last_name(&fields.target) } else { named }.to_owned();
    let is_file = fields.env.is_none() || !fields.target.is_empty();
    let default = || if is_file { format!("/run/secrets/{}", last_name(&id)) } else { String::new() };
    let target = if fields.target.is_empty() { default() } else { fields.target };
    let kind = MountKind::Secret { id, env: fields.env, required: fields.required, access: fields.access };
    Mount { target, kind, read_only: true }
}

fn ssh(fields: MountFields) -> Mount {
    let id = if fields.id.is_empty() { "default".to_owned() } else { fields.id };
    let kind = MountKind::Ssh { id, required: fields.required, access: fields.access };
    Mount { target: fields.target, kind, read_only: true }
}

/// The command with its heredocs.
///
/// If the whole command is one heredoc, its text is what the shell runs, or, with `#!`, a file of its own. Otherwise
/// the heredocs go back behind the line, and the shell makes of them what it does.
fn command(run: &RunInstruction) -> Command {
    let words = run.command.words.clone();
    let (Some(first), [line]) = (run.heredocs.first(), words.as_slice()) else {
        return Command { words, summary: None, file: None };
    };
    if !matches!(parse_heredoc(line), Ok(Some(_))) {
        let heredocs = run.heredocs.iter().map(|heredoc| format!("\n{}{}", heredoc.content, heredoc.name));
        let text = format!("{line}{}", heredocs.collect::<Vec<_>>().concat());
        return Command { words: vec![text], summary: None, file: None };
    }
    let summary = Some(history::summary(&first.content));
    let content = first.text();
    if !content.starts_with("#!") {
        return Command { words: vec![content], summary, file: None };
    }
    let name = path::clean(&format!("{PIPES}{}", first.name));
    Command { words: vec![name.clone()], summary, file: Some(InlineFile { name, content }) }
}
