//! Which stages a build needs, and what each is built upon.
//!
//! BuildKit's rules about names, which are not what one would guess:
//!
//! - `FROM name` finds the stages above it, by their exact lowercase name; `COPY --from=name` finds all stages in any
//!   case, and of several with one name the last. So a name may mean two stages.
//! - `--from` takes a number too, a mount's `from=` does not: there `0` is an image.
//! - What is no stage is an image, unless `--build-context` gave that name.
//! - A stage may copy only from stages above it. That, and whether words can be expanded, is asked of stages that are
//!   needed; whether an image's name is one, and whether stages copy in a circle, is asked of all.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Code, Diagnostic};
use crate::dockerfile::{Dockerfile, Stage};
use crate::global::Globals;
use crate::instruction::{Instruction, InstructionKind};
use crate::lex::Lexer;
use crate::platform::Platform;
use crate::reference::{familiar, normalize};
use crate::span::{Span, Word};
use crate::step::{CopyFrom, EvaluateOptions, NeededStage, StageBase};
use crate::suggest;
use crate::syntax::Syntax;

/// The stages that the target cannot do without, each behind those that it needs; the target is the last.
pub fn needed_stages(
    dockerfile: &Dockerfile,
    options: &EvaluateOptions,
) -> Result<Vec<NeededStage>, Vec<Diagnostic>> {
    let table = StageTable::new(dockerfile, options)?;
    let needs = table.needs()?;
    let target = table.target().map_err(|diagnostic| vec![diagnostic])?;
    let (reached, diagnostics) = table.reach(target, &needs);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let mut stages: Vec<NeededStage> = reached.into_iter().map(|index| table.needed(index)).collect();
    // What a context stands for needs nothing, and may stand below those that copy from it.
    stages.sort_by_key(|stage| (stage.index == target, !table.is_replaced(stage.index), stage.index));
    Ok(stages)
}

/// What a stage copies or mounts from another, and where it says so.
pub(crate) struct Need {
    stage: usize,
    span: Span,
}

/// The stages with their `FROM` worked out.
pub(crate) struct StageTable<'a> {
    pub(crate) dockerfile: &'a Dockerfile,
    pub(crate) options: &'a EvaluateOptions,
    pub(crate) globals: Globals,
    /// The named contexts: by their familiar name, as they were given.
    contexts: BTreeMap<String, String>,
    stages: Vec<Resolved>,
    /// The last stage of each name.
    names: BTreeMap<String, usize>,
}

/// The `FROM` of a stage, worked out.
struct Resolved {
    base: StageBase,
    platform: Option<Platform>,
    /// Whether a named context stands for the whole stage.
    is_replaced: bool,
}

impl<'a> StageTable<'a> {
    pub(crate) fn new(
        dockerfile: &'a Dockerfile,
        options: &'a EvaluateOptions,
    ) -> Result<Self, Vec<Diagnostic>> {
        let globals = Globals::new(dockerfile, options).map_err(|diagnostic| vec![diagnostic])?;
        let contexts =
            options.contexts.iter().filter_map(|name| Some((familiar(name)?, name.clone()))).collect();
        let stages = Vec::new();
        let mut table = Self { dockerfile, options, globals, contexts, stages, names: BTreeMap::new() };
        let mut diagnostics = Vec::new();
        for (index, stage) in dockerfile.stages.iter().enumerate() {
            let resolved = table.resolve(stage).unwrap_or_else(|diagnostic| {
                diagnostics.push(diagnostic);
                Resolved { base: StageBase::Scratch, platform: None, is_replaced: false }
            });
            table.stages.push(resolved);
            if let Some(name) = stage.name() {
                table.names.insert(name.to_owned(), index);
            }
        }
        if diagnostics.is_empty() { Ok(table) } else { Err(diagnostics) }
    }

    /// What the stage at `index` is built upon.
    pub(crate) fn base(&self, index: usize) -> Option<&StageBase> {
        self.stages.get(index).map(|stage| &stage.base)
    }

    pub(crate) fn is_replaced(&self, index: usize) -> bool {
        self.stages.get(index).is_some_and(|stage| stage.is_replaced)
    }

    fn resolve(&self, stage: &Stage) -> Result<Resolved, Diagnostic> {
        let base = self.expand(&stage.from.base)?;
        if base.is_empty() {
            let message = format!("`FROM {}` names no image: it expands to nothing", stage.from.base.value);
            return Err(Diagnostic::new(Code::Reference, message, stage.from.base.span).with_help(
                "declare the `ARG` before the first `FROM`, with a default, or give it by `--build-arg`",
            ));
        }
        let platform = stage.from.platform.as_ref().map(|word| self.platform(word)).transpose()?;
        let context = stage.name().filter(|name| self.is_context(name));
        let (base, is_replaced) = match (context, self.names.get(&base)) {
            (Some(name), _) => {
                self.image(&base, stage.from.base.span)?;
                (StageBase::Context(name.to_owned()), true)
            }
            (None, Some(index)) => (StageBase::Stage(*index), false),
            (None, None) => match self.image(&base, stage.from.base.span)? {
                CopyFrom::Scratch | CopyFrom::Context => (StageBase::Scratch, false),
                CopyFrom::NamedContext(name) => (StageBase::Context(name), false),
                CopyFrom::Image(reference) => (StageBase::Image(reference), false),
                CopyFrom::Stage(index) => (StageBase::Stage(index), false),
            },
        };
        Ok(Resolved { base, platform, is_replaced })
    }

    fn expand(&self, word: &Word) -> Result<String, Diagnostic> {
        let expansion = Lexer::new(self.dockerfile.escape).expand(&word.value, &self.globals.args);
        let expansion =
            expansion.map_err(|error| Diagnostic::new(Code::Expansion, error.to_string(), word.span))?;
        Ok(expansion.text)
    }

    fn platform(&self, word: &Word) -> Result<Platform, Diagnostic> {
        let expansion = Lexer::new(self.dockerfile.escape).expand(&word.value, &self.globals.args);
        let expansion =
            expansion.map_err(|error| Diagnostic::new(Code::Expansion, error.to_string(), word.span))?;
        let help = expansion
            .unmatched
            .iter()
            .find_map(|name| suggest::did_you_mean(name, self.globals.args.names()));
        if expansion.text.is_empty() {
            let message = format!("the platform `{}` expands to nothing", word.value);
            return Err(Diagnostic { help, ..Diagnostic::new(Code::Platform, message, word.span) });
        }
        Platform::parse(&expansion.text, &self.options.build_platform).map_err(|problem| {
            let message = format!("`{}` is no platform: {problem}", expansion.text);
            Diagnostic { help, ..Diagnostic::new(Code::Platform, message, word.span) }
        })
    }

    fn is_context(&self, name: &str) -> bool {
        let is_reserved = name.eq_ignore_ascii_case("scratch") || name.eq_ignore_ascii_case("context");
        !is_reserved && familiar(name).is_some_and(|name| self.contexts.contains_key(&name))
    }

    /// What a name that is no stage stands for.
    fn image(&self, name: &str, span: Span) -> Result<CopyFrom, Diagnostic> {
        if name == "scratch" {
            return Ok(CopyFrom::Scratch);
        }
        let full = normalize(name).map_err(|problem| {
            let message = format!("`{name}` is no reference of an image: {problem}");
            let help = suggest::did_you_mean(name, self.names.keys().map(String::as_str));
            Diagnostic { help, ..Diagnostic::new(Code::Reference, message, span) }
        })?;
        match familiar(name).and_then(|name| self.contexts.get(&name)) {
            Some(name) => Ok(CopyFrom::NamedContext(name.clone())),
            None => Ok(CopyFrom::Image(full)),
        }
    }

    /// What `--from` of a copy stands for.
    pub(crate) fn copy_from(&self, from: &Word) -> Result<CopyFrom, Diagnostic> {
        let plain = Lexer::new(self.dockerfile.escape)
            .expand(&from.value, &crate::environment::Environment::default());
        if !plain.is_ok_and(|plain| plain.text == from.value) {
            let message = format!("`--from={}` takes no variables", from.value);
            return Err(Diagnostic::new(Code::UnknownStage, message, from.span)
                .with_help("give the image a stage of its own (`FROM $IMAGE AS name`) and copy from that"));
        }
        match from.value.parse::<i64>() {
            Ok(number) => match usize::try_from(number).ok().filter(|index| *index < self.stages.len()) {
                Some(index) => Ok(CopyFrom::Stage(index)),
                None => Err(self.unknown(&from.value, from.span)),
            },
            Err(_) => self.mount_from(&from.value, from.span),
        }
    }

    /// What `from=` of a mount stands for.
    pub(crate) fn mount_from(&self, from: &str, span: Span) -> Result<CopyFrom, Diagnostic> {
        match self.names.get(&from.to_lowercase()) {
            Some(index) => Ok(CopyFrom::Stage(*index)),
            None => self.image(from, span),
        }
    }

    fn unknown(&self, name: &str, span: Span) -> Diagnostic {
        let help = match suggest::did_you_mean(name, self.names.keys().map(String::as_str)) {
            Some(help) => help,
            None if self.names.is_empty() => {
                "no stage has a name; `FROM image AS name` gives it one".to_owned()
            }
            None => {
                let names: Vec<&str> = self.names.keys().map(String::as_str).collect();
                format!("there are `{}`", names.join("`, `"))
            }
        };
        Diagnostic::new(Code::UnknownStage, format!("there is no stage `{name}`"), span).with_help(help)
    }

    /// The stage that is wanted.
    pub(crate) fn target(&self) -> Result<usize, Diagnostic> {
        let last = || self.stages.len().checked_sub(1);
        let found = match &self.options.target {
            Some(target) if !target.is_empty() => self.names.get(&target.to_lowercase()).copied(),
            _ => last(),
        };
        found.ok_or_else(|| self.unknown(self.options.target.as_deref().unwrap_or_default(), Span::default()))
    }

    /// What each stage needs of others, not counting its base; an error if that goes in a circle.
    pub(crate) fn needs(&self) -> Result<Vec<Vec<Need>>, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        let mut needs = Vec::new();
        for stage in &self.dockerfile.stages {
            let found = stage.instructions.iter().map(|instruction| self.needs_of(instruction));
            let (found, wrong): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
            needs.push(found.into_iter().flatten().flatten().collect());
            diagnostics.extend(wrong.into_iter().filter_map(Result::err));
        }
        diagnostics.extend(self.circle(&needs));
        if diagnostics.is_empty() { Ok(needs) } else { Err(diagnostics) }
    }

    /// What an instruction needs of other stages.
    pub(crate) fn needs_of(&self, instruction: &Instruction) -> Result<Vec<Need>, Diagnostic> {
        let from = match &instruction.kind {
            InstructionKind::Copy(copy) => {
                let from = copy.from.iter().map(|from| Ok((self.copy_from(from)?, from.span)));
                from.collect::<Result<Vec<_>, Diagnostic>>()?
            }
            InstructionKind::Run(run) => {
                let mounts = run.mounts_from.iter().zip(&run.mounts);
                let mounts = mounts.filter_map(|(from, flag)| Some((from.as_ref()?, flag.span)));
                mounts
                    .map(|(from, span)| Ok((self.mount_from(from, span)?, span)))
                    .collect::<Result<_, Diagnostic>>()?
            }
            _ => Vec::new(),
        };
        let stages = from.into_iter().filter_map(|(from, span)| match from {
            CopyFrom::Stage(stage) => Some(Need { stage, span }),
            _ => None,
        });
        Ok(stages.collect())
    }

    /// A stage that needs itself by way of what it copies.
    fn circle(&self, needs: &[Vec<Need>]) -> Option<Diagnostic> {
        let (path, span) = find_circle(needs)?;
        let names: Vec<String> = path.iter().map(|stage| self.name_of(*stage)).collect();
        let message = format!("stages need one another in a circle: {}", names.join(" → "));
        Some(
            Diagnostic::new(Code::StageOrder, message, span)
                .with_help("a stage can copy only from those above it"),
        )
    }

    fn name_of(&self, index: usize) -> String {
        let name = self.dockerfile.stages.get(index).and_then(Stage::name);
        name.map_or_else(|| format!("stage {index}"), |name| format!("`{name}`"))
    }

    /// Everything that `target` needs, itself included, and what is wrong with that.
    pub(crate) fn reach(&self, target: usize, needs: &[Vec<Need>]) -> (BTreeSet<usize>, Vec<Diagnostic>) {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![target];
        let mut diagnostics = Vec::new();
        while let Some(index) = waiting.pop() {
            if !reached.insert(index) || self.is_replaced(index) {
                continue;
            }
            let triggered = self.triggered_needs(index).unwrap_or_else(|diagnostic| {
                diagnostics.push(diagnostic);
                Vec::new()
            });
            for need in needs.get(index).into_iter().flatten().chain(&triggered) {
                diagnostics.extend(self.check_order(index, need));
                waiting.push(need.stage);
            }
            if let Some(StageBase::Stage(base)) = self.base(index) {
                waiting.push(*base);
            }
        }
        diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        (reached, diagnostics)
    }

    /// What is wrong if the stage at `index` has this need: the other one comes later.
    pub(crate) fn check_order(&self, index: usize, need: &Need) -> Option<Diagnostic> {
        if need.stage < index || self.is_replaced(need.stage) {
            return None;
        }
        let (one, two) = (self.name_of(index), self.name_of(need.stage));
        let message = format!("{one} cannot copy from {two}, which comes later");
        Some(
            Diagnostic::new(Code::StageOrder, message, need.span)
                .with_help(format!("move {two} above {one}")),
        )
    }

    /// What the triggers that a stage inherits need.
    fn triggered_needs(&self, index: usize) -> Result<Vec<Need>, Diagnostic> {
        let mut needs = Vec::new();
        for trigger in self.triggers(index, &[])? {
            needs.extend(self.needs_of(&trigger)?);
        }
        Ok(needs)
    }

    /// The instructions that a stage inherits: the triggers of its base, which are `image` if that is known.
    pub(crate) fn triggers(&self, index: usize, image: &[String]) -> Result<Vec<Instruction>, Diagnostic> {
        let Some(stage) = self.dockerfile.stages.get(index) else { return Ok(Vec::new()) };
        let texts: Vec<&String> = match self.base(index) {
            Some(StageBase::Stage(base)) if !self.is_replaced(*base) => {
                let base = self.dockerfile.stages.get(*base).into_iter().flat_map(|base| &base.instructions);
                base.filter_map(|instruction| match &instruction.kind {
                    InstructionKind::Onbuild(text) => Some(text),
                    _ => None,
                })
                .collect()
            }
            _ if image.is_empty() => self.options.triggers.get(&index).into_iter().flatten().collect(),
            _ => image.iter().collect(),
        };
        texts.into_iter().map(|text| parse_trigger(text, stage)).collect()
    }

    /// A stage as those are told of it who find its base.
    pub(crate) fn needed(&self, index: usize) -> NeededStage {
        let stage = self.dockerfile.stages.get(index);
        let resolved = self.stages.get(index);
        NeededStage {
            index,
            name: stage.and_then(Stage::name).map(str::to_owned),
            base: resolved.map_or(StageBase::Scratch, |resolved| resolved.base.clone()),
            platform: resolved.and_then(|resolved| resolved.platform.clone()),
            span: stage.map(|stage| stage.span).unwrap_or_default(),
        }
    }
}

/// A circle of stages, and where its last one says what closes it.
///
/// Stages that need nothing are taken away, and then those that need only these, and so on; what is left needs
/// something that is left, so following that leads into a circle.
fn find_circle(needs: &[Vec<Need>]) -> Option<(Vec<usize>, Span)> {
    let mut waiting: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut free: Vec<usize> =
        (0..needs.len()).filter(|stage| needs.get(*stage).is_some_and(Vec::is_empty)).collect();
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (stage, need) in
        needs.iter().enumerate().flat_map(|(stage, needs)| needs.iter().map(move |need| (stage, need)))
    {
        needed_by.get_mut(need.stage)?.push(stage);
    }
    while let Some(stage) = free.pop() {
        for other in needed_by.get(stage).into_iter().flatten() {
            let count = waiting.get_mut(*other)?;
            *count -= 1;
            if *count == 0 {
                free.push(*other);
            }
        }
    }
    let is_left = |stage: usize| waiting.get(stage).is_some_and(|count| *count > 0);
    let mut path = vec![(0..needs.len()).find(|stage| is_left(*stage))?];
    loop {
        let need = needs.get(*path.last()?)?.iter().find(|need| is_left(need.stage))?;
        if let Some(start) = path.iter().position(|stage| *stage == need.stage) {
            path.drain(..start);
            path.push(need.stage);
            return Some((path, need.span));
        }
        path.push(need.stage);
    }
}

/// One instruction, read with `\` as the escape character whatever the file says. It is where the `FROM` is.
fn parse_trigger(text: &str, stage: &Stage) -> Result<Instruction, Diagnostic> {
    let (syntax, diagnostics) = Syntax::parse(text);
    let wrong = |diagnostic: Diagnostic| {
        let message = format!("the trigger `{text}` of the base cannot be read: {diagnostic}");
        Diagnostic { message, code: Code::Onbuild, span: stage.from.base.span, ..diagnostic }
    };
    if let Some(diagnostic) = diagnostics.into_iter().next() {
        return Err(wrong(diagnostic));
    }
    let [node] = syntax.nodes.as_slice() else {
        let message = "it is more than one instruction";
        return Err(wrong(Diagnostic::new(Code::Onbuild, message, stage.span)));
    };
    let instruction = Instruction::parse(node).map_err(wrong)?;
    if matches!(instruction.kind, InstructionKind::From(_)) {
        return Err(wrong(Diagnostic::new(Code::Onbuild, "`FROM` cannot be one", stage.span)));
    }
    Ok(Instruction { span: stage.span, lines: stage.lines, ..instruction })
}
