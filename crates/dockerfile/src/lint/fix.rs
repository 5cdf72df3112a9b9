//! Mending what rules found, where that changes nothing.
//!
//! A rule says how it would mend a finding, and may say it in several ways. Whether the file then means the same is not
//! left to the rule: each change is tried alone, and it is kept only if every stage comes to the very same steps and
//! config as before. What a comment or heredoc holds is never touched, because no change is about them.

use crate::dockerfile::Dockerfile;
use crate::evaluate::evaluate_stage;
use crate::lint::Finding;
use crate::lint::report::Edit;
use crate::span::Span;
use crate::stage::needed_stages;
use crate::step::{EvaluateOptions, EvaluatedStage, NeededStage, StageConfig};

/// The text with the findings mended that can be, and how many that are.
pub fn fix(text: &str, findings: &[Finding], options: &EvaluateOptions) -> (String, usize) {
    let Some(meaning) = Meaning::of(text, options) else { return (text.to_owned(), 0) };
    let same = |edits: &&Vec<Edit>| {
        if edits.iter().any(|edit| has_comment(edit.span.of(text))) {
            return false;
        }
        apply(text, edits).is_some_and(|text| Meaning::of(&text, options).as_ref() == Some(&meaning))
    };
    let mut chosen: Vec<Edit> = Vec::new();
    let mut count = 0;
    for finding in findings {
        if let Some(edits) = finding.fixes.iter().find(same) {
            let new = edits.iter().filter(|edit| !chosen.iter().any(|known| overlap(known.span, edit.span)));
            let new: Vec<Edit> = new.cloned().collect();
            count += usize::from(!new.is_empty());
            chosen.extend(new);
        }
    }
    match apply(text, &chosen).filter(|text| Meaning::of(text, options).as_ref() == Some(&meaning)) {
        Some(fixed) => (fixed, count),
        None => (text.to_owned(), 0),
    }
}

/// Whether there is a comment among continued lines.
fn has_comment(text: &str) -> bool {
    text.lines().skip(1).any(|line| line.trim_start().starts_with('#'))
}

fn overlap(one: Span, two: Span) -> bool {
    one == two || (one.start < two.end && two.start < one.end)
}

/// The text with all changes; nothing if one of them has no place in it.
fn apply(text: &str, edits: &[Edit]) -> Option<String> {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| edit.span);
    let (mut changed, mut end) = (String::new(), 0);
    for edit in edits {
        changed.push_str(text.get(end..edit.span.start)?);
        changed.push_str(&edit.text);
        end = edit.span.end;
    }
    changed.push_str(text.get(end..)?);
    Some(changed)
}

/// What a Dockerfile means: all its stages, as if upon empty bases, without where things are written.
#[derive(PartialEq, Eq)]
struct Meaning {
    stages: Vec<(NeededStage, EvaluatedStage)>,
    comments: Vec<Vec<String>>,
}

impl Meaning {
    /// Nothing if the file cannot be built.
    fn of(text: &str, options: &EvaluateOptions) -> Option<Self> {
        let (dockerfile, diagnostics) = Dockerfile::parse(text);
        if !diagnostics.is_empty() {
            return None;
        }
        let options = EvaluateOptions { target: None, ..options.clone() };
        let stages = (0..dockerfile.stages.len()).map(|index| stage(&dockerfile, index, &options));
        let stages = stages.collect::<Option<Vec<_>>>()?;
        let instructions = dockerfile.stages.into_iter().flat_map(|stage| {
            let comments = stage.instructions.into_iter().map(|instruction| instruction.comments);
            std::iter::once(stage.comments).chain(comments)
        });
        Some(Self { stages, comments: instructions.collect() })
    }
}

/// One stage, as the last of a file that ends with it.
fn stage(
    dockerfile: &Dockerfile,
    index: usize,
    options: &EvaluateOptions,
) -> Option<(NeededStage, EvaluatedStage)> {
    let mut dockerfile = dockerfile.clone();
    dockerfile.stages.truncate(index + 1);
    let mut needed = needed_stages(&dockerfile, options).ok()?.pop()?;
    let mut evaluated = evaluate_stage(&dockerfile, index, StageConfig::default(), options).ok()?;
    needed.span = Span::default();
    for step in &mut evaluated.steps {
        step.span = Span::default();
        step.line = 0;
        // How a build shows it is how it is written.
        step.text.clear();
    }
    Some((needed, evaluated))
}
