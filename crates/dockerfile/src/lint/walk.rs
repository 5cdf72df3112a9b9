//! The way through a Dockerfile on which BuildKit's rules are asked.
//!
//! 1. Reading the text. If that fails nothing was asked yet. Then empty continuation lines.
//! 2. Understanding the instructions, one after the other.
//! 3. The names of stages; the case of keywords; what stages are `FROM` if no argument is given.
//! 4. What each stage is `FROM`, with the arguments.
//! 5. What stages need of one another; a mistake here ends it before any instruction is gone through.
//! 6. Each stage from top to bottom.
//!
//! The first error ends it.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Code, Diagnostic};
use crate::dockerfile::{Dockerfile, Stage};
use crate::evaluate::Evaluator;
use crate::global::Globals;
use crate::instruction::{Instruction, InstructionKind};
use crate::lint::LintOptions;
use crate::lint::report::{Place, Report};
use crate::lint::rules::{
    consistent_instruction_casing, copy_ignored_file, duplicate_stage_name, expose_invalid_format,
    expose_proto_casing, from_as_casing, from_platform_flag_const_disallowed, invalid_default_arg_in_from,
    invalid_definition_description, json_args_recommended, legacy_key_value_format, maintainer_deprecated,
    multiple_instructions_disallowed, no_empty_continuation, redundant_target_platform, reserved_stage_name,
    secrets_used_in_arg_or_env, stage_name_casing, undefined_arg_in_from, undefined_var,
    workdir_relative_path,
};
use crate::span::Word;
use crate::stage::StageTable;
use crate::step::{EvaluatedStage, StageBase, StageConfig};
use crate::syntax::Syntax;

/// A Dockerfile that can be built, with everything that was worked out about it.
pub(super) struct Scene {
    pub(super) dockerfile: Dockerfile,
    /// The stages that were gone through.
    pub(super) stages: BTreeMap<usize, EvaluatedStage>,
    /// What each of them is built upon.
    pub(super) bases: BTreeMap<usize, StageBase>,
    /// The stage that is wanted.
    pub(super) target: usize,
    /// Those that it needs, itself included.
    pub(super) needed: BTreeSet<usize>,
}

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// Goes through a text and asks the rules.
pub(super) fn walk(text: &str, options: &LintOptions, report: &mut Report) -> Result<Scene> {
    let (syntax, diagnostics) = Syntax::parse(text);
    syntax.directives.iter().try_for_each(|directive| directive.check_options())?;
    first(diagnostics)?;
    for node in &syntax.nodes {
        no_empty_continuation::check(node, text, report);
    }
    let dockerfile = instructions(syntax, report)?;
    reserved_stage_name::check(&dockerfile, report);
    duplicate_stage_name::check(&dockerfile, report);
    consistent_instruction_casing::check(&dockerfile, report);
    invalid_default_arg_in_from::check(&dockerfile, options, report);
    let globals = Globals::new(&dockerfile, &options.evaluate)?;
    let (stages, bases, target, needed) = {
        let table = table(&dockerfile, options, &globals, report)?;
        let target = table.target()?;
        let needs = table.needs().map_err(head)?;
        let (needed, diagnostics) = table.reach(target, &needs);
        // That a stage copies from one that comes later is found where it does.
        first(diagnostics.into_iter().filter(|diagnostic| diagnostic.code != Code::StageOrder).collect())?;
        let mut passage = Passage { table: &table, options, needed: &needed, done: BTreeMap::new(), report };
        passage.stages()?;
        let done = passage.done.into_iter();
        let stages = done.map(|(index, passed)| (index, passed.evaluated)).collect();
        let bases =
            (0..dockerfile.stages.len()).filter_map(|index| Some((index, table.base(index)?.clone())));
        (stages, bases.collect(), target, needed)
    };
    Ok(Scene { dockerfile, stages, bases, target, needed })
}

fn head(diagnostics: Vec<Diagnostic>) -> Box<Diagnostic> {
    let unknown = || Diagnostic::new(Code::Empty, "nothing can be built", crate::span::Span::default());
    Box::new(diagnostics.into_iter().next().unwrap_or_else(unknown))
}

fn first(diagnostics: Vec<Diagnostic>) -> Result<()> {
    diagnostics.into_iter().next().map_or(Ok(()), |diagnostic| Err(diagnostic.into()))
}

/// Understands the instructions.
fn instructions(syntax: Syntax, report: &mut Report) -> Result<Dockerfile> {
    let mut dockerfile = Dockerfile { escape: syntax.escape, ..Dockerfile::default() };
    dockerfile.directives = syntax.directives;
    for node in &syntax.nodes {
        maintainer_deprecated::check(node, report);
        stage_name_casing::check(node, report);
        from_as_casing::check(node, report);
        let instruction = Instruction::parse(node)?;
        invalid_definition_description::check(&instruction, report);
        if let Some(diagnostic) = dockerfile.add(instruction) {
            return Err(diagnostic.into());
        }
    }
    if dockerfile.stages.is_empty() {
        let message = "there is no stage to build";
        return Err(Diagnostic::new(Code::NoStage, message, crate::span::Span::default()).into());
    }
    Ok(dockerfile)
}

/// What the stages are `FROM`.
fn table<'a>(
    dockerfile: &'a Dockerfile,
    options: &'a LintOptions,
    globals: &Globals,
    report: &mut Report,
) -> Result<StageTable<'a>> {
    let table = StageTable::new(dockerfile, &options.evaluate);
    let errors = table.as_ref().err().map(Vec::as_slice).unwrap_or_default();
    for stage in &dockerfile.stages {
        let at = |word: &Word| errors.iter().find(|error| error.span == word.span);
        let name = undefined_arg_in_from::check(&stage.from.base, stage, dockerfile, globals, report);
        // That a name is no reference is found later, when all stages were looked at.
        let base = at(&stage.from.base).filter(|error| error.code != Code::Reference || name.text.is_empty());
        if let Some(error) = base {
            return Err(error.clone().into());
        }
        let Some(word) = &stage.from.platform else { continue };
        let platform = undefined_arg_in_from::check(word, stage, dockerfile, globals, report);
        redundant_target_platform::check(word, &platform, stage, globals, report);
        from_platform_flag_const_disallowed::check(&platform, stage, options, report);
        if let Some(error) = at(word) {
            return Err(error.clone().into());
        }
    }
    table.map_err(head)
}

/// A stage that was gone through.
struct Passed {
    evaluated: EvaluatedStage,
    /// Whether there was a `WORKDIR`, here or below.
    has_workdir: bool,
}

/// The way through the stages.
struct Passage<'a> {
    table: &'a StageTable<'a>,
    options: &'a LintOptions,
    needed: &'a BTreeSet<usize>,
    done: BTreeMap<usize, Passed>,
    report: &'a mut Report,
}

/// What a stage remembers from one instruction to the next.
#[derive(Default)]
struct Memory {
    has_workdir: bool,
    once: multiple_instructions_disallowed::Seen,
}

impl Passage<'_> {
    fn stages(&mut self) -> Result<()> {
        let all = self.options.evaluate.target.as_deref().unwrap_or_default().is_empty();
        let stages = self.table.dockerfile.stages.iter().enumerate();
        for (index, stage) in stages {
            if (all || self.needed.contains(&index)) && !self.table.is_replaced(index) {
                self.stage(index, stage)?;
            }
        }
        Ok(())
    }

    fn stage(&mut self, index: usize, stage: &Stage) -> Result<()> {
        let (config, has_workdir) = self.base(index);
        let triggers = if self.needed.contains(&index) {
            self.table.triggers(index, &config.on_build)?
        } else {
            Vec::new()
        };
        let mut evaluator = Evaluator::new(self.table, config);
        let mut memory = Memory { has_workdir, ..Memory::default() };
        for trigger in &triggers {
            let before = self.report.findings.len();
            let done = self.instruction(index, trigger, "ONBUILD ", &mut evaluator, &mut memory);
            // Its words are not written where it is told of.
            self.report.findings.iter_mut().skip(before).for_each(|finding| finding.fixes.clear());
            done?;
        }
        for instruction in &stage.instructions {
            self.instruction(index, instruction, "", &mut evaluator, &mut memory)?;
        }
        let passed = Passed { evaluated: evaluator.finish(), has_workdir: memory.has_workdir };
        self.done.insert(index, passed);
        Ok(())
    }

    /// The config below a stage, and whether a `WORKDIR` of this file is in it.
    fn base(&self, index: usize) -> (StageConfig, bool) {
        if let Some(StageBase::Stage(base)) = self.table.base(index) {
            let passed = self.done.get(base);
            return passed.map_or_else(Default::default, |passed| {
                (passed.evaluated.config.clone(), passed.has_workdir)
            });
        }
        (self.options.bases.get(&index).cloned().unwrap_or_default(), false)
    }

    fn instruction(
        &mut self,
        index: usize,
        instruction: &Instruction,
        prefix: &str,
        evaluator: &mut Evaluator<'_>,
        memory: &mut Memory,
    ) -> Result<()> {
        let place = Place::from(instruction);
        let done = evaluator.instruction(instruction, prefix);
        let report = &mut *self.report;
        for note in evaluator.take_notes() {
            undefined_var::check(&note, place, report);
            secrets_used_in_arg_or_env::check(&note, instruction, report);
            expose_proto_casing::check(&note, instruction, report);
            expose_invalid_format::check(&note, instruction, report);
            copy_ignored_file::check(&note, instruction, self.options.context.as_ref(), report);
            workdir_relative_path::check(&note, place, memory.has_workdir, report);
        }
        memory.has_workdir |= matches!(instruction.kind, InstructionKind::Workdir(_));
        done?;
        legacy_key_value_format::check(instruction, report);
        memory.once.check(instruction, report);
        json_args_recommended::check(instruction, &evaluator.config, report);
        for need in self.table.needs_of(instruction)? {
            if let Some(diagnostic) = self.table.check_order(index, &need) {
                return Err(diagnostic.into());
            }
        }
        Ok(())
    }
}
