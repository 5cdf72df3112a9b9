//! What advice is given about: a Dockerfile that can be built, worked out, with the facts about its context.

use std::collections::{BTreeMap, BTreeSet};

use crate::dockerfile::{Dockerfile, Stage};
use crate::instruction::Instruction;
use crate::lint::script::{self, Asked, Install};
use crate::lint::{ContextFile, LintContext};
use crate::step::{Copy, CopyFrom, CopySource, EvaluatedStage, Run, StageBase, Step, StepKind};

/// A Dockerfile that can be built, with everything that was worked out about it.
pub(super) struct Scene {
    pub(super) dockerfile: Dockerfile,
    /// The stages that were gone through.
    pub(super) stages: BTreeMap<usize, EvaluatedStage>,
    /// What each stage is built upon.
    pub(super) bases: BTreeMap<usize, StageBase>,
    /// The stage that is wanted.
    pub(super) target: usize,
    /// Those that it needs, itself included.
    pub(super) needed: BTreeSet<usize>,
}

/// An instruction with what it does.
#[derive(Clone, Copy)]
pub(super) struct Act<'a> {
    pub(super) instruction: &'a Instruction,
    pub(super) step: &'a Step,
}

impl Scene {
    /// The stages that the target needs.
    pub(super) fn needed(&self) -> impl Iterator<Item = (usize, &Stage)> {
        self.needed.iter().filter_map(|index| Some((*index, self.dockerfile.stages.get(*index)?)))
    }

    /// What a stage does, without what triggers do.
    pub(super) fn acts(&self, index: usize) -> impl Iterator<Item = Act<'_>> {
        let steps = self.stages.get(&index).map(|stage| stage.steps.as_slice()).unwrap_or_default();
        let instructions =
            self.dockerfile.stages.get(index).map(|stage| stage.instructions.as_slice()).unwrap_or_default();
        let own = steps.iter().skip(steps.len().saturating_sub(instructions.len()));
        instructions.iter().zip(own).map(|(instruction, step)| Act { instruction, step })
    }

    /// What the stages do whose files are in the image: the target and what it is built upon, from the bottom up.
    pub(super) fn shipped(&self) -> Vec<Act<'_>> {
        self.lineage(self.target)
    }

    /// What a stage does and, first, what those do that it is built upon.
    pub(super) fn lineage(&self, index: usize) -> Vec<Act<'_>> {
        let mut chain = vec![index];
        // A stage is built upon one above it, so this ends.
        while let Some(StageBase::Stage(base)) = chain.last().and_then(|index| self.bases.get(index)) {
            chain.push(*base);
        }
        chain.into_iter().rev().flat_map(|index| self.acts(index)).collect()
    }
}

impl<'a> Act<'a> {
    /// The command, if it is one.
    pub(super) fn run(self) -> Option<&'a Run> {
        match &self.step.kind {
            StepKind::Run(run) => Some(run),
            _ => None,
        }
    }

    /// The copy from the build context, if it is one.
    pub(super) fn context_copy(self) -> Option<&'a Copy> {
        match &self.step.kind {
            StepKind::Copy(copy) if copy.from == CopyFrom::Context => Some(copy),
            _ => None,
        }
    }

    /// The commands of a RUN.
    pub(super) fn commands(self) -> Vec<Vec<String>> {
        self.run().map(script::commands).unwrap_or_default()
    }

    /// The installations of a RUN.
    pub(super) fn installs(self) -> Vec<Install> {
        script::installs(&self.commands())
    }
}

/// Whether a copy takes this file of the context.
pub(super) fn takes(copy: &Copy, path: &str) -> bool {
    copy.sources.iter().any(|source| {
        let CopySource::Path(source) = source else { return false };
        let source = crate::pattern::clean(source.trim_start_matches('/'));
        let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        source == "." || source == "*" || path.strip_prefix(source.as_str()).is_some_and(below)
    })
}

impl LintContext {
    /// The files that the ignore file leaves.
    pub(super) fn left(&self) -> impl Iterator<Item = &ContextFile> {
        let is_left =
            |file: &&ContextFile| self.ignore.as_ref().is_none_or(|ignore| !ignore.matches(&file.path));
        self.files.iter().filter(is_left)
    }

    /// What an installation asks for: its words, and the lines of its files as far as they are known.
    pub(super) fn asked(&self, install: &Install) -> Vec<Asked> {
        let words = install.requirements().filter_map(Asked::of);
        words.chain(self.file_lines(install)).collect()
    }

    fn file_lines<'a>(&'a self, install: &'a Install) -> impl Iterator<Item = Asked> + 'a {
        let files = install.either("-r", "--requirement").filter_map(|path| self.text(path));
        files.flat_map(script::requirements)
    }

    /// The text of the file that an installation names: the one of the context with the same last name.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        let name = path.rsplit('/').next()?;
        let mut found = self.texts.iter().filter(|(path, _)| path.rsplit('/').next() == Some(name));
        let (_, text) = found.next()?;
        // If several have the name, which one it is cannot be said.
        if found.next().is_some() { None } else { Some(text) }
    }
}

/// A number of bytes for people.
pub(super) fn bytes(size: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| size >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", size / unit, size % unit * 10 / unit),
        None => format!("{size} bytes"),
    }
}
