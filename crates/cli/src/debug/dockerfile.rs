//! The suites of the Dockerfile language.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;

use cartwheel_dockerfile::{
    Copy, CopyFrom, Diagnostic, Dockerfile, Environment, EvaluateOptions, EvaluatedStage, Lexer, LintOptions,
    Mount, MountKind, NeededStage, Node, Run, StageBase, StageConfig, StepKind, Syntax, Workdir,
    evaluate_stage, needed_stages,
};
use serde_json::{Value, json};

use super::{Answer, field};

pub(super) fn lex(request: &Value) -> Answer {
    let environment: Environment =
        strings(request, "env").map(|variable| variable.split_once('=').unwrap_or((variable, ""))).collect();
    let escape = request.get("escape").and_then(Value::as_str).and_then(|text| text.chars().next());
    match Lexer::new(escape.unwrap_or('\\')).expand(field(request, "word")?, &environment) {
        Ok(expansion) => Ok(
            json!({ "result": expansion.text, "words": Some(expansion.words).filter(|words| !words.is_empty()) }),
        ),
        Err(error) => Ok(json!({ "error": error.to_string(), "words_error": error.to_string() })),
    }
}

pub(super) fn parse(request: &Value) -> Answer {
    let text = text(request)?;
    let (syntax, diagnostics) = Syntax::parse(&text);
    first(diagnostics)?;
    Ok(json!({ "nodes": syntax.nodes.iter().map(node).collect::<Vec<_>>() }))
}

/// A node as BuildKit's tree has it, where the trigger of an `ONBUILD` is no argument but a tree below an empty one.
fn node(node: &Node) -> Value {
    let arguments = if node.trigger.is_some() { vec![String::new()] } else { node.flat_arguments() };
    let heredocs = node.heredocs.iter().map(|heredoc| {
        json!({ "name": heredoc.name, "content": heredoc.content, "expand": heredoc.expand, "chomp": heredoc.chomp })
    });
    json!({
        "value": node.keyword.value,
        "args": arguments,
        "flags": node.flags.iter().map(|flag| &flag.value).collect::<Vec<_>>(),
        "start": node.lines.0,
        "end": node.lines.1,
        "heredocs": heredocs.collect::<Vec<_>>(),
    })
}

/// The Dockerfile of a request. Bytes that are no UTF-8 become replacement characters, one for each, as in Go.
fn text(request: &Value) -> Result<String, Box<dyn std::error::Error>> {
    if let Some(text) = request.get("text").and_then(Value::as_str) {
        return Ok(text.to_owned());
    }
    let bytes = fs::read(field(request, "path")?)?;
    let chunks = bytes.utf8_chunks();
    let chunk = |chunk: std::str::Utf8Chunk<'_>| {
        format!("{}{}", chunk.valid(), "\u{fffd}".repeat(chunk.invalid().len()))
    };
    Ok(chunks.map(chunk).collect::<Vec<_>>().concat())
}

/// What BuildKit's rules find, if all bases have a search path and nothing else.
pub(super) fn lint(request: &Value) -> Answer {
    let lint = cartwheel_dockerfile::lint(&text(request)?, &LintOptions::default(), &|_| {
        Some(StageConfig::default())
    });
    let findings = lint.findings.iter().map(
        |finding| json!({ "rule": finding.rule.name, "line": finding.lines.0, "detail": finding.message }),
    );
    Ok(json!({ "lint": findings.collect::<Vec<_>>() }))
}

/// The config of the target, and the commands that it takes in BuildKit's order.
pub(super) fn plan(request: &Value) -> Answer {
    let (dockerfile, diagnostics) = Dockerfile::parse(&text(request)?);
    first(diagnostics)?;
    let given = request.get("build_args").and_then(Value::as_object).into_iter().flatten();
    let options = EvaluateOptions {
        build_args: given
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
        target: request.get("target").and_then(Value::as_str).map(str::to_owned),
        ..EvaluateOptions::default()
    };
    let stages = needed_stages(&dockerfile, &options)
        .or_else(|diagnostics| first(diagnostics).map(|()| Vec::new()))?;
    let mut graph = Graph::default();
    for stage in &stages {
        graph.add_stage(stage, &dockerfile, &options)?;
    }
    let target = stages.last().and_then(|stage| graph.stages.get(&stage.index)).ok_or("no stage")?;
    let mut execs = Vec::new();
    graph.visit(target.result, &mut BTreeSet::new(), &mut execs);
    let image = json!({ "config": config_json(&target.config), "history": target.history });
    Ok(json!({ "image": image, "execs": execs }))
}

fn first(diagnostics: Vec<Diagnostic>) -> Result<(), Box<dyn std::error::Error>> {
    diagnostics.into_iter().next().map_or(Ok(()), |diagnostic| Err(diagnostic.into()))
}

/// Operations by what they are and what they need: what is the same twice is one, as BuildKit's digests make it.
#[derive(Default)]
struct Graph {
    operations: Vec<Operation>,
    known: HashMap<String, usize>,
    stages: BTreeMap<usize, Planned>,
}

/// A stage with its last operation.
#[derive(Clone)]
struct Planned {
    result: usize,
    config: StageConfig,
    history: Vec<String>,
}

struct Operation {
    inputs: Vec<usize>,
    exec: Option<Value>,
}

impl Graph {
    fn add(&mut self, name: &str, inputs: Vec<usize>, exec: Option<Value>) -> usize {
        let next = self.operations.len();
        let index = *self.known.entry(format!("{name} {inputs:?}")).or_insert(next);
        if index == next {
            self.operations.push(Operation { inputs, exec });
        }
        index
    }

    fn add_stage(
        &mut self,
        stage: &NeededStage,
        dockerfile: &Dockerfile,
        options: &EvaluateOptions,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let Planned { result: mut last, config, mut history } = match &stage.base {
            StageBase::Stage(base) => self.stages.get(base).cloned().ok_or("the base is missing")?,
            base => {
                let platform = stage.platform.as_ref().unwrap_or(&options.platform);
                let result = self.add(&format!("{base:?} {platform}"), Vec::new(), None);
                Planned { result, config: base_config(base), history: Vec::new() }
            }
        };
        let evaluated = evaluate_stage(dockerfile, stage.index, config, options);
        let evaluated =
            evaluated.or_else(|diagnostics| first(diagnostics).map(|()| EvaluatedStage::default()))?;
        for step in &evaluated.steps {
            history.extend(step.created_by.clone());
            last = match &step.kind {
                StepKind::Run(run) => self.add_run(run, &step.text, last),
                StepKind::Copy(copy) => self.add_copy(copy, last),
                StepKind::Workdir(Workdir { path, user }) => {
                    self.add(&format!("mkdir {path} {user}"), vec![last], None)
                }
                StepKind::Config => last,
            };
        }
        self.stages.insert(stage.index, Planned { result: last, config: evaluated.config, history });
        Ok(())
    }

    fn add_run(&mut self, run: &Run, text: &str, last: usize) -> usize {
        let mut mounts: Vec<&Mount> = run.mounts.iter().collect();
        mounts.sort_by_key(|mount| &mount.target);
        let mut inputs = vec![last];
        for mount in mounts {
            if let MountKind::Bind { from, .. } | MountKind::Cache { from, .. } = &mount.kind {
                inputs.push(self.add_from(from));
            }
        }
        let env: Vec<String> = run.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut exec = json!({ "args": run.argv, "env": env, "cwd": run.working_dir, "user": run.user });
        let rest = (&run.mounts, &run.network, &run.insecure, &run.devices, &run.file);
        let name = format!("{exec} {rest:?}");
        exec["name"] = json!(text);
        self.add(&name, inputs, Some(exec))
    }

    fn add_copy(&mut self, copy: &Copy, last: usize) -> usize {
        let from = self.add_from(&copy.from);
        self.add(&format!("{copy:?}"), vec![last, from], None)
    }

    fn add_from(&mut self, from: &CopyFrom) -> usize {
        if let CopyFrom::Stage(index) = from
            && let Some(stage) = self.stages.get(index)
        {
            return stage.result;
        }
        self.add(&format!("{from:?}"), Vec::new(), None)
    }

    fn visit(&self, index: usize, visited: &mut BTreeSet<usize>, execs: &mut Vec<Value>) {
        if visited.insert(index) {
            let operation = &self.operations[index];
            operation.inputs.iter().for_each(|input| self.visit(*input, visited, execs));
            execs.extend(operation.exec.clone());
        }
    }
}

/// The images of the suite have a search path and nothing else.
fn base_config(base: &StageBase) -> StageConfig {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let working_dir = if *base == StageBase::Scratch { "/" } else { "" };
    StageConfig {
        env: vec![("PATH".to_owned(), path.to_owned())],
        working_dir: working_dir.to_owned(),
        ..StageConfig::default()
    }
}

fn config_json(config: &StageConfig) -> Value {
    let set =
        |names: &BTreeSet<String>| names.iter().map(|name| (name.clone(), json!({}))).collect::<Value>();
    let healthcheck = config.healthcheck.as_ref().map(|check| {
        let mut fields = json!({ "Test": check.test });
        let numbers = [
            ("Interval", check.interval),
            ("Timeout", check.timeout),
            ("StartPeriod", check.start_period),
            ("StartInterval", check.start_interval),
            ("Retries", i64::from(check.retries)),
        ];
        for (name, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
            fields[name] = json!(number);
        }
        fields
    });
    json!({
        "User": config.user,
        "ExposedPorts": set(&config.exposed_ports),
        "Env": config.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "Entrypoint": config.entrypoint,
        "Cmd": config.cmd,
        "Volumes": set(&config.volumes),
        "WorkingDir": config.working_dir,
        "Labels": config.labels,
        "StopSignal": config.stop_signal,
        "ArgsEscaped": config.args_escaped,
        "Healthcheck": healthcheck,
        "OnBuild": config.on_build,
        "Shell": config.shell,
    })
}

fn strings<'a>(request: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    request.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
