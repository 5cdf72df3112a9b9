//! Lowering: from what a team wrote to a [`Graph`].
//!
//! Two things can be written: a Dockerfile ([`lower_dockerfile`]), or nothing but a project ([`lower_project`]).
//!
//! What a Dockerfile means is worked out by `cartwheel_dockerfile`; here its stages get their bases. All that has to be known
//! of a base for this is its config. What is shown of an instruction, and what history keeps of it, is without the
//! credentials of its URLs.

mod config;
mod project;

use std::collections::BTreeMap;

use cartwheel_dockerfile as dockerfile;
use cartwheel_dockerfile::{
    Diagnostic, Dockerfile, EvaluateOptions, MountKind, NeededStage, Position, StageConfig, StepKind,
};
use cartwheel_oci::{ImageConfig, Platform};
use cartwheel_transfer::redact;

pub use config::inherited;
pub use project::{ProjectOptions, lower_project};

use crate::base::BaseReference;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{CopyFrom, Graph, Op, OpKind, Stage, StageBase, StageResult};

/// A Dockerfile, and what the command line adds to it.
#[derive(Debug, Clone)]
pub struct DockerfileSource {
    /// As messages name it.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Build arguments, target and platforms.
    pub options: EvaluateOptions,
    /// What `--build-context` names.
    pub contexts: BTreeMap<String, NamedContext>,
}

/// What `--build-context NAME=…` gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// Files: of a directory or a repository.
    Files,
    /// An image.
    Image(BaseReference),
}

/// Says what building the Dockerfile takes. `config_of` reads the config of a base image.
pub fn lower_dockerfile(
    source: &DockerfileSource,
    config_of: &dyn Fn(&BaseReference, &Platform) -> Result<ImageConfig>,
) -> Result<Graph> {
    let (parsed, diagnostics) = Dockerfile::parse(&source.text);
    if !diagnostics.is_empty() {
        return Err(refused(source, &diagnostics));
    }
    let mut lowering =
        Lowering { source, parsed, config_of, options: source.options.clone(), bases: BTreeMap::new() };
    let needed = lowering.needed()?;
    lowering.graph(&needed)
}

fn refused(source: &DockerfileSource, diagnostics: &[Diagnostic]) -> Error {
    let rendered = diagnostics.iter().map(|found| found.render(&source.name, &source.text));
    ErrorKind::Dockerfile { diagnostics: rendered.collect::<Vec<_>>().join("\n") }.into()
}

struct Lowering<'a> {
    source: &'a DockerfileSource,
    parsed: Dockerfile,
    config_of: &'a dyn Fn(&BaseReference, &Platform) -> Result<ImageConfig>,
    options: EvaluateOptions,
    /// The bases that are images, by stage of the Dockerfile.
    bases: BTreeMap<usize, (BaseReference, ImageConfig)>,
}

impl Lowering<'_> {
    /// The stages that are needed. Triggers of their bases may need more, so this is asked until nothing is new.
    fn needed(&mut self) -> Result<Vec<NeededStage>> {
        loop {
            let needed = dockerfile::needed_stages(&self.parsed, &self.options);
            let needed = needed.map_err(|found| refused(self.source, &found))?;
            let mut found_triggers = false;
            for stage in &needed {
                if self.bases.contains_key(&stage.index) {
                    continue;
                }
                let Some(reference) = self.image(stage)? else { continue };
                let config = (self.config_of)(&reference, &self.platform(stage))
                    .map_err(|source| self.placed(stage, &reference, source))?;
                let triggers = inherited(&config).on_build;
                found_triggers |= !triggers.is_empty();
                self.options.triggers.insert(stage.index, triggers);
                self.bases.insert(stage.index, (reference, config));
            }
            if !found_triggers {
                return Ok(needed);
            }
        }
    }

    /// The error with the place of the `FROM` that it is about.
    fn placed(&self, stage: &NeededStage, reference: &BaseReference, source: Error) -> Error {
        let Some(stage) = self.parsed.stages.get(stage.index) else { return source };
        let line = Position::of(&self.source.text, stage.span.start).line;
        let place = format!("{}:{line}", self.source.name);
        ErrorKind::Instruction { place, text: format!("FROM {reference}"), source: Box::new(source) }.into()
    }

    /// The image that a stage begins with, if it does.
    fn image(&self, stage: &NeededStage) -> Result<Option<BaseReference>> {
        match &stage.base {
            dockerfile::StageBase::Image(name) => Ok(Some(name.parse()?)),
            dockerfile::StageBase::Context(name) => match self.source.contexts.get(name) {
                Some(NamedContext::Image(reference)) => Ok(Some(reference.clone())),
                _ => Ok(None),
            },
            dockerfile::StageBase::Scratch | dockerfile::StageBase::Stage(_) => Ok(None),
        }
    }

    fn platform(&self, stage: &NeededStage) -> Platform {
        image_platform(stage.platform.as_ref().unwrap_or(&self.options.platform))
    }

    fn graph(&self, needed: &[NeededStage]) -> Result<Graph> {
        // A stage's place in the graph, by its place in the Dockerfile.
        let places: BTreeMap<usize, usize> =
            needed.iter().enumerate().map(|(place, stage)| (stage.index, place)).collect();
        let mut configs: BTreeMap<usize, (StageConfig, cartwheel_oci::RuntimeConfig)> = BTreeMap::new();
        let mut stages = Vec::new();
        for stage in needed {
            let (base, inherited, runtime) = match (&stage.base, self.bases.get(&stage.index)) {
                (_, Some((reference, config))) => {
                    let runtime = config.config.clone();
                    (StageBase::Image(reference.clone()), inherited(config), runtime)
                }
                (dockerfile::StageBase::Stage(index), None) => {
                    let (config, runtime) = configs.get(index).cloned().unwrap_or_default();
                    (StageBase::Stage(place(&places, *index)), config, runtime)
                }
                _ => {
                    let root = StageConfig { working_dir: "/".to_owned(), ..StageConfig::default() };
                    (StageBase::Scratch, root, cartwheel_oci::RuntimeConfig::default())
                }
            };
            let evaluated = dockerfile::evaluate_stage(&self.parsed, stage.index, inherited, &self.options);
            let evaluated = evaluated.map_err(|found| refused(self.source, &found))?;
            let mut ops = self.ops(stage, &evaluated.steps, &places)?;
            if let (StageBase::Scratch, dockerfile::StageBase::Context(name)) = (&base, &stage.base) {
                ops.insert(0, whole(name));
            }
            let config = config::finished(&evaluated.config, &runtime, &self.platform(stage));
            let result = StageResult { config: config.clone(), author: evaluated.config.author.clone() };
            stages.push(Stage {
                name: stage.name.clone(),
                base,
                platform: self.platform(stage),
                ops,
                config: Some(result),
            });
            configs.insert(stage.index, (evaluated.config, config));
        }
        Ok(Graph { name: self.source.name.clone(), stages })
    }

    fn ops(
        &self,
        stage: &NeededStage,
        steps: &[dockerfile::Step],
        places: &BTreeMap<usize, usize>,
    ) -> Result<Vec<Op>> {
        let total = 1 + steps.iter().filter(|step| !matches!(step.kind, StepKind::Config)).count();
        let mut number = 1;
        let mut ops = Vec::new();
        for step in steps {
            let kind = match &step.kind {
                StepKind::Config => OpKind::Record,
                StepKind::Workdir(made) => {
                    let user = Some(made.user.clone()).filter(|user| !user.is_empty());
                    OpKind::MakeDirectory { path: made.path.clone(), user }
                }
                StepKind::Copy(copy) => {
                    OpKind::Copy { copy: copy.clone(), from: self.copy_from(&copy.from, places)? }
                }
                StepKind::Run(run) => {
                    let from = run.mounts.iter().map(|mount| match &mount.kind {
                        MountKind::Bind { from, .. } | MountKind::Cache { from, .. } => {
                            self.copy_from(from, places)
                        }
                        MountKind::Tmpfs { .. } | MountKind::Secret { .. } | MountKind::Ssh { .. } => {
                            Ok(CopyFrom::Nothing)
                        }
                    });
                    OpKind::Run { run: run.clone(), from: from.collect::<Result<_>>()? }
                }
            };
            let mut text = redact(&step.text);
            if !matches!(step.kind, StepKind::Config) {
                number += 1;
                let name = stage.name.as_deref().map(|name| format!("{name} ")).unwrap_or_default();
                text = format!("[{name}{number}/{total}] {text}");
            }
            // Triggers are no part of an image's history.
            if matches!(kind, OpKind::Record) && step.created_by.is_none() {
                continue;
            }
            let created_by = redact(step.created_by.as_deref().unwrap_or_default());
            ops.push(Op { line: Some(step.line), text, created_by, kind });
        }
        Ok(ops)
    }

    fn copy_from(&self, from: &dockerfile::CopyFrom, places: &BTreeMap<usize, usize>) -> Result<CopyFrom> {
        Ok(match from {
            dockerfile::CopyFrom::Context => CopyFrom::Context(None),
            dockerfile::CopyFrom::Scratch => CopyFrom::Nothing,
            dockerfile::CopyFrom::Stage(index) => CopyFrom::Stage(place(places, *index)),
            dockerfile::CopyFrom::Image(name) => CopyFrom::Image(name.parse()?),
            dockerfile::CopyFrom::NamedContext(name) => match self.source.contexts.get(name) {
                Some(NamedContext::Image(reference)) => CopyFrom::Image(reference.clone()),
                _ => CopyFrom::Context(Some(name.clone())),
            },
        })
    }
}

/// The first operation of a stage that begins with a directory: a layer of all that is in it.
fn whole(context: &str) -> Op {
    let copy = dockerfile::Copy {
        sources: vec![dockerfile::CopySource::Path("/".to_owned())],
        destination: "/".to_owned(),
        from: dockerfile::CopyFrom::NamedContext(context.to_owned()),
        ..dockerfile::Copy::default()
    };
    let from = CopyFrom::Context(Some(context.to_owned()));
    let text = format!("FROM {context}");
    Op { line: None, created_by: text.clone(), text, kind: OpKind::Copy { copy: Box::new(copy), from } }
}

fn place(places: &BTreeMap<usize, usize>, index: usize) -> usize {
    *places.get(&index).expect("invariant: needed stages are closed: each comes behind those that it uses")
}

/// The same platform in the words of images.
pub fn image_platform(platform: &dockerfile::Platform) -> Platform {
    Platform {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        os_version: Some(platform.os_version.clone()).filter(|version| !version.is_empty()),
        variant: Some(platform.variant.clone()).filter(|variant| !variant.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_the_first_layer_of_a_stage() {
        // The stage that a context replaces loses its instructions, as in BuildKit.
        let names = ["tree", "files"].map(str::to_owned);
        let contexts = names.clone().map(|name| (name, NamedContext::Files));
        let source = DockerfileSource {
            name: "Dockerfile".to_owned(),
            text: "FROM none AS files\nUSER none\nFROM tree\nUSER app\nCOPY --from=files . /out/\n"
                .to_owned(),
            options: EvaluateOptions { contexts: names.into(), ..EvaluateOptions::default() },
            contexts: contexts.into(),
        };
        let graph = lower_dockerfile(&source, &|_, _| panic!("no image is needed")).unwrap();
        let stage = |stage: &Stage| format!("{} {} {}", stage.base, stage.ops[0].kind, stage.ops.len());
        let stages: Vec<String> = graph.stages.iter().map(stage).collect();
        let expected = ["scratch copy from context files to / 1", "scratch copy from context tree to / 3"];
        assert_eq!(stages, expected);
    }
}
