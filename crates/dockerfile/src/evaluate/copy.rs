//! `COPY` and `ADD`.

use std::sync::LazyLock;

use regex::Regex;

use crate::diagnostic::{Code, Diagnostic};
use crate::evaluate::source::{GitSource, SourceForm, classify};
use crate::evaluate::{Evaluator, Note, Outcome, path};
use crate::instruction::{CopyInstruction, Instruction, SourceWord};
use crate::lex::Lexer;
use crate::reference::check_digest;
use crate::span::{Span, Word};
use crate::step::{Copy, CopyFrom, CopySource, InlineFile, StepKind};

impl Evaluator<'_> {
    pub(super) fn copy(
        &mut self,
        copy: &CopyInstruction,
        instruction: &Instruction,
    ) -> Result<Outcome, Diagnostic> {
        // All words come before what is wrong with their values, as in BuildKit.
        let chown = self.option(copy.chown.as_ref())?;
        let chmod = self.option(copy.chmod.as_ref())?;
        let checksum = self.option(copy.checksum.as_ref())?;
        let paths = self.paths(copy)?;
        let destination = self.expand(&copy.destination)?;
        let heredocs = self.heredocs(copy, instruction.span)?;
        let mut result = Copy {
            is_add: copy.is_add,
            destination: path::resolve_destination(&self.config.working_dir, &destination),
            from: copy.from.as_ref().map(|from| self.table.copy_from(from)).transpose()?.unwrap_or_default(),
            chown,
            chmod,
            checksum,
            link: copy.link,
            parents: copy.parents,
            exclude: copy.exclude.iter().map(|pattern| pattern.value.clone()).collect(),
            keep_git_dir: copy.keep_git_dir,
            unpack: copy.unpack,
            ..Copy::default()
        };
        if let (Some(mode), Some(word)) = (&result.chmod, &copy.chmod) {
            check_mode(mode, word.span)?;
        }
        // Paths come before heredocs, whatever their order in the line.
        for (text, span) in paths {
            let source = source(text, span, &mut result)?;
            if let (CopySource::Path(path), CopyFrom::Context) = (&source, &result.from) {
                self.notes.push(Note::Source(path.clone()));
            }
            result.sources.push(source);
        }
        if let (Some(checksum), Some(word)) = (&result.checksum, &copy.checksum) {
            check_checksum(checksum, &result.sources, word.span)?;
        }
        result.sources.extend(heredocs);
        let created_by = Some(created_by(&result, &destination));
        let shown = Some(self.shown(instruction));
        Ok(Outcome { kind: StepKind::Copy(Box::new(result)), created_by, shown })
    }

    fn paths(&mut self, copy: &CopyInstruction) -> Result<Vec<(String, Span)>, Diagnostic> {
        let mut paths = Vec::new();
        for source in &copy.sources {
            if let SourceWord::Path(word) = source {
                paths.push((self.expand(word)?, word.span));
            }
        }
        Ok(paths)
    }

    fn heredocs(&mut self, copy: &CopyInstruction, span: Span) -> Result<Vec<CopySource>, Diagnostic> {
        let mut files = Vec::new();
        for source in &copy.sources {
            if let SourceWord::Heredoc { name, content, expand } = source {
                let content = if *expand { self.heredoc(content, span)? } else { content.clone() };
                files.push(CopySource::Heredoc(InlineFile { name: name.clone(), content }));
            }
        }
        Ok(files)
    }

    /// The value of a flag; an empty one is as good as none.
    fn option(&mut self, word: Option<&Word>) -> Result<Option<String>, Diagnostic> {
        let value = word.map(|word| self.expand(word)).transpose()?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// In a heredoc, quotes are nothing special, and `\` is the escape character whatever the file says.
    fn heredoc(&mut self, content: &str, span: Span) -> Result<String, Diagnostic> {
        let lexer = Lexer { plain_quotes: true, ..Lexer::new('\\') };
        self.expansion(lexer, content, span).map_err(|diagnostic| {
            diagnostic.with_help("quote the delimiter (`<<\"EOF\"`) if there are no variables in it")
        })
    }
}

/// What the text of a source stands for.
fn source(text: String, span: Span, copy: &mut Copy) -> Result<CopySource, Diagnostic> {
    let wrong = |message: String| Diagnostic::new(Code::Copy, message, span);
    let only_add = |what: &str| wrong(format!("`COPY` cannot copy from {what}")).with_help("`ADD` can");
    match classify(&text).map_err(wrong)? {
        SourceForm::Path => Ok(CopySource::Path(text)),
        SourceForm::Url if copy.is_add => Ok(CopySource::Url(text)),
        SourceForm::Git(git) if copy.is_add => {
            merge(&git, copy).map_err(wrong)?;
            Ok(CopySource::Git(text))
        }
        SourceForm::Url => Err(only_add("an address")),
        SourceForm::Git(_) => Err(only_add("a repository")),
    }
}

/// What the flags and the address of a repository say has to agree.
fn merge(git: &GitSource, copy: &mut Copy) -> Result<(), String> {
    if copy.keep_git_dir.zip(git.keep_git_dir).is_some_and(|(flag, query)| flag != query) {
        return Err("`--keep-git-dir` and the address of the repository disagree".to_owned());
    }
    copy.keep_git_dir = git.keep_git_dir.or(copy.keep_git_dir);
    match (&copy.checksum, &git.checksum) {
        (Some(flag), Some(query)) if flag != query => Err("`--checksum` and the address disagree".to_owned()),
        _ => Ok(()),
    }
}

/// A mode is octal, or symbolic as `chmod` has it.
fn check_mode(mode: &str, span: Span) -> Result<(), Diagnostic> {
    static SYMBOLIC: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("^[ugoa]*([-+=][rwxXstugo]*)+(,[ugoa]*([-+=][rwxXstugo]*)+)*$")
            .expect("invariant: a constant that compiles")
    });
    let octal = u32::from_str_radix(mode, 8).ok().filter(|_| !mode.starts_with(['+', '-']));
    match octal {
        Some(0..=0o7777) => Ok(()),
        None if SYMBOLIC.is_match(mode) => Ok(()),
        _ => Err(Diagnostic::new(Code::Copy, format!("`--chmod` cannot be `{mode}`"), span)
            .with_help("it is octal up to `07777`, or symbolic as in `u=rwx,go=rx`")),
    }
}

fn check_checksum(checksum: &str, sources: &[CopySource], span: Span) -> Result<(), Diagnostic> {
    let problem = match sources {
        [CopySource::Git(_)] => return Ok(()),
        [CopySource::Url(_)] => match check_digest(checksum) {
            Ok(()) => return Ok(()),
            Err(problem) => problem,
        },
        [_] => "`--checksum` is for addresses and repositories".to_owned(),
        _ => "`--checksum` is for one source".to_owned(),
    };
    Err(Diagnostic::new(Code::Copy, problem, span))
}

fn created_by(copy: &Copy, destination: &str) -> String {
    let mut words = vec![if copy.is_add { "ADD" } else { "COPY" }.to_owned()];
    words.extend(copy.parents.then(|| "--parents".to_owned()));
    words.extend(copy.chown.iter().map(|owner| format!("--chown={owner}")));
    words.extend(copy.chmod.iter().map(|mode| format!("--chmod={mode}")));
    words.extend(copy.sources.iter().map(|source| match source {
        CopySource::Path(text) | CopySource::Url(text) | CopySource::Git(text) => text.clone(),
        CopySource::Heredoc(file) => format!("<<{}", file.name),
    }));
    words.push(destination.to_owned());
    format!("{} # buildkit", words.join(" "))
}
