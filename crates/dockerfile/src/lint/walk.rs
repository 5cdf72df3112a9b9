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
use crate::lint::report::{Place, Report};
use crate::lint::rules::{
    consistent_instruction_casing, copy_ignored_file, duplicate_stage_name, expose_invalid_format,
    expose_proto_casing, from_as_casing, from_platform_flag_const_disallowed, invalid_default_arg_in_from,
    invalid_definition_description, json_args_recommended, legacy_key_value_format, maintainer_deprecated,
    multiple_instructions_disallowed, no_empty_continuation, redundant_target_platform, reserved_stage_name,
    secrets_used_in_arg_or_env, stage_name_casing, undefined_arg_in_from, undefined_var,
    workdir_relative_path,
};
use crate::lint::scene::Scene;
use crate::lint::{ConfigOf, LintOptions};
use crate::span::{Span, Word};
use crate::stage::StageTable;
use crate::step::{EvaluatedStage, StageBase, StageConfig};
use crate::syntax::{Directive, Syntax};

type Result<T> = std::result::Result<T, Diagnostic>;

/// Goes through a text and asks the rules.
pub(super) fn walk(
    text: &str,
    options: &LintOptions,
    config_of: ConfigOf<'_>,
    report: &mut Report,
) -> Result<Scene> {
    let (syntax, diagnostics) = Syntax::parse(text);
    syntax.directives.iter().try_for_each(Directive::check_options)?;
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
    let table = table(&dockerfile, options, &globals, report)?;
    let target = table.target()?;
    let needed = needed(&table, target)?;
    let passage =
        Passage { table: &table, options, config_of, needed: &needed, done: BTreeMap::new(), report };
    let stages = passage.stages()?;
    let bases = (0..dockerfile.stages.len()).filter_map(|index| Some((index, table.base(index)?.clone())));
    let bases = bases.collect();
    Ok(Scene { dockerfile, stages, bases, target, needed })
}

/// What the target needs. That a stage copies from one that comes later is found where it does.
fn needed(table: &StageTable<'_>, target: usize) -> Result<BTreeSet<usize>> {
    let needs = table.needs().map_err(head)?;
    let (needed, mut diagnostics) = table.reach(target, &needs);
    diagnostics.retain(|diagnostic| diagnostic.code != Code::StageOrder);
    first(diagnostics).map(|()| needed)
}

fn head(diagnostics: Vec<Diagnostic>) -> Diagnostic {
    let unknown = || Diagnostic::new(Code::Empty, "nothing can be built", Span::default());
    diagnostics.into_iter().next().unwrap_or_else(unknown)
}

fn first(diagnostics: Vec<Diagnostic>) -> Result<()> {
    diagnostics.into_iter().next().map_or(Ok(()), Err)
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
            return Err(diagnostic);
        }
    }
    if dockerfile.stages.is_empty() {
        let message = "there is no stage to build";
        return Err(Diagnostic::new(Code::NoStage, message, Span::default()));
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
            return Err(error.clone());
        }
        let Some(word) = &stage.from.platform else { continue };
        let platform = undefined_arg_in_from::check(word, stage, dockerfile, globals, report);
        redundant_target_platform::check(word, &platform, stage, globals, report);
        from_platform_flag_const_disallowed::check(&platform, stage, options, report);
        if let Some(error) = at(word) {
            return Err(error.clone());
        }
    }
    table.map_err(head)
}

/// A stage that was gone through.
struct Passed {
    evaluated: EvaluatedStage,
    inherited: Inherited,
}

/// What a stage inherits beside the config.
#[derive(Clone, Copy)]
struct Inherited {
    /// Whether the config of the image at the bottom is known.
    is_known: bool,
    /// Whether there was a `WORKDIR` in this file.
    has_workdir: bool,
    /// Whether it is for Windows.
    is_windows: bool,
}

/// The way through the stages.
struct Passage<'a> {
    table: &'a StageTable<'a>,
    options: &'a LintOptions,
    config_of: ConfigOf<'a>,
    needed: &'a BTreeSet<usize>,
    done: BTreeMap<usize, Passed>,
    report: &'a mut Report,
}

/// A stage on the way.
struct Going<'a> {
    index: usize,
    evaluator: Evaluator<'a>,
    inherited: Inherited,
    once: multiple_instructions_disallowed::Seen,
}

impl Passage<'_> {
    /// Goes through the stages and gives what they come to.
    fn stages(mut self) -> Result<BTreeMap<usize, EvaluatedStage>> {
        let all = self.options.evaluate.target.as_deref().unwrap_or_default().is_empty();
        let stages = self.table.dockerfile.stages.iter().enumerate();
        for (index, stage) in stages {
            if (all || self.needed.contains(&index)) && !self.table.is_replaced(index) {
                self.stage(index, stage)?;
            }
        }
        Ok(self.done.into_iter().map(|(index, passed)| (index, passed.evaluated)).collect())
    }

    fn stage(&mut self, index: usize, stage: &Stage) -> Result<()> {
        let (config, inherited) = self.base(index);
        let triggers = if self.needed.contains(&index) {
            self.table.triggers(index, &config.on_build)?
        } else {
            Vec::new()
        };
        let evaluator = Evaluator::new(self.table, config);
        let once = multiple_instructions_disallowed::Seen::default();
        let mut going = Going { index, evaluator, inherited, once };
        for trigger in &triggers {
            let before = self.report.findings.len();
            let done = self.instruction(&mut going, trigger, "ONBUILD ");
            // Its words are not written where it is told of.
            self.report.findings.iter_mut().skip(before).for_each(|finding| finding.fixes.clear());
            done?;
        }
        for instruction in &stage.instructions {
            self.instruction(&mut going, instruction, "")?;
        }
        let passed = Passed { evaluated: going.evaluator.finish(), inherited: going.inherited };
        self.done.insert(index, passed);
        Ok(())
    }

    /// The config below a stage, and what else comes from there.
    fn base(&self, index: usize) -> (StageConfig, Inherited) {
        if let Some(StageBase::Stage(base)) = self.table.base(index)
            && let Some(passed) = self.done.get(base)
        {
            return (passed.evaluated.config.clone(), passed.inherited);
        }
        let stage = self.table.needed(index);
        let platform = stage.platform.as_ref().unwrap_or(&self.options.evaluate.platform);
        let config = (self.config_of)(&stage);
        let is_windows = platform.os == "windows";
        let inherited = Inherited { is_known: config.is_some(), has_workdir: false, is_windows };
        (config.unwrap_or_default(), inherited)
    }

    fn instruction(&mut self, going: &mut Going<'_>, instruction: &Instruction, prefix: &str) -> Result<()> {
        let place = Place::from(instruction);
        let done = going.evaluator.instruction(instruction, prefix);
        let report = &mut *self.report;
        for note in going.evaluator.take_notes() {
            if going.inherited.is_known {
                undefined_var::check(&note, place, report);
            }
            secrets_used_in_arg_or_env::check(&note, instruction, report);
            expose_proto_casing::check(&note, instruction, report);
            expose_invalid_format::check(&note, instruction, report);
            copy_ignored_file::check(&note, instruction, self.options.context.as_ref(), report);
            // Only the first is asked: the others begin where that one leads.
            if !going.inherited.has_workdir {
                workdir_relative_path::check(&note, place, going.inherited.is_windows, report);
            }
        }
        going.inherited.has_workdir |= matches!(instruction.kind, InstructionKind::Workdir(_));
        done?;
        legacy_key_value_format::check(instruction, report);
        going.once.check(instruction, report);
        json_args_recommended::check(instruction, &going.evaluator.config, report);
        for need in self.table.needs_of(instruction)? {
            if let Some(diagnostic) = self.table.check_order(going.index, &need) {
                return Err(diagnostic);
            }
        }
        Ok(())
    }
}
