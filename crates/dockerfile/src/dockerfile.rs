//! A Dockerfile as a value.

use crate::diagnostic::{Code, Diagnostic};
use crate::instruction::{FromInstruction, Instruction, InstructionKind};
use crate::span::{Span, Word};
use crate::syntax::{Directive, Syntax};

/// A Dockerfile as it was understood: what cannot be understood is left out.
#[derive(Debug, Clone, Default)]
pub struct Dockerfile {
    /// The parser directives.
    pub directives: Vec<Directive>,
    /// The escape character.
    pub escape: char,
    /// The `ARG`s in front of the first `FROM`.
    pub globals: Vec<Instruction>,
    /// The stages in order.
    pub stages: Vec<Stage>,
}

/// A stage: a `FROM` and what follows it.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What it begins with.
    pub from: FromInstruction,
    /// Where that is.
    pub span: Span,
    /// The lines of that.
    pub lines: (usize, usize),
    /// The keyword and the comments of that, for those who judge style.
    pub keyword: Word,
    /// The comments right above it.
    pub comments: Vec<String>,
    /// What follows.
    pub instructions: Vec<Instruction>,
}

impl Stage {
    /// Its name, in lowercase.
    pub fn name(&self) -> Option<&str> {
        self.from.name.as_ref().map(|name| name.value.as_str())
    }
}

impl Dockerfile {
    /// Reads a Dockerfile. What cannot be read is left out and said; the rest is there all the same.
    pub fn parse(text: &str) -> (Self, Vec<Diagnostic>) {
        let (syntax, mut diagnostics) = Syntax::parse(text);
        let mut dockerfile = Self { escape: syntax.escape, ..Self::default() };
        diagnostics.extend(syntax.directives.iter().filter_map(|directive| directive.check_options().err()));
        dockerfile.directives = syntax.directives;
        for node in &syntax.nodes {
            match Instruction::parse(node) {
                Ok(instruction) => diagnostics.extend(dockerfile.add(instruction)),
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        if dockerfile.stages.is_empty() && diagnostics.is_empty() {
            diagnostics.push(no_stage("there is no stage to build", Span::default()));
        }
        diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        (dockerfile, diagnostics)
    }

    /// Puts an instruction where it belongs. One that stands before the first `FROM` is a finding.
    pub(crate) fn add(&mut self, instruction: Instruction) -> Option<Diagnostic> {
        match (instruction.kind, self.stages.last_mut()) {
            (InstructionKind::From(from), _) => self.stages.push(Stage {
                from,
                span: instruction.span,
                lines: instruction.lines,
                keyword: instruction.keyword,
                comments: instruction.comments,
                instructions: Vec::new(),
            }),
            (kind, Some(stage)) => stage.instructions.push(Instruction { kind, ..instruction }),
            (kind @ InstructionKind::Arg(_), None) => self.globals.push(Instruction { kind, ..instruction }),
            (_, None) => {
                let keyword = instruction.keyword.value.to_uppercase();
                return Some(no_stage(
                    &format!("`{keyword}` stands before the first `FROM`"),
                    instruction.span,
                ));
            }
        }
        None
    }
}

fn no_stage(message: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::NoStage, message, span)
        .with_help("a stage begins with `FROM image`; only `ARG` may stand before it")
}
