//! `COPY` and `ADD`.

use crate::diagnostic::{Code, Diagnostic};
use crate::instruction::CopyInstruction;
use crate::instruction::flags::{Flags, Takes};
use crate::span::Word;
use crate::syntax::{Node, parse_heredoc};

const COPY: [(&str, Takes); 6] = [
    ("chown", Takes::Text),
    ("from", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Bool),
    ("exclude", Takes::Texts),
    ("parents", Takes::Bool),
];

const ADD: [(&str, Takes); 7] = [
    ("chown", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Bool),
    ("keep-git-dir", Takes::Bool),
    ("checksum", Takes::Text),
    ("unpack", Takes::Bool),
    ("exclude", Takes::Texts),
];

/// What is copied, before expansion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceWord {
    /// A path or an address.
    Path(Word),
    /// A heredoc.
    Heredoc {
        /// Its delimiter, which names the file.
        name: String,
        /// The content, leading tabs gone if asked for.
        content: String,
        /// Whether variables in it are expanded.
        expand: bool,
    },
}

/// Reads the instruction.
pub(super) fn parse(node: &Node, is_add: bool) -> Result<CopyInstruction, Diagnostic> {
    let keyword = if is_add { "ADD" } else { "COPY" };
    let (destination, sources) =
        node.arguments.split_last().filter(|(_, sources)| !sources.is_empty()).ok_or_else(|| {
            Diagnostic::new(
                Code::ArgumentCount,
                format!("`{keyword}` needs a source and a destination"),
                node.span,
            )
            .with_help(format!("write `{keyword} source destination`"))
        })?;
    let flags = Flags::parse(node, if is_add { &ADD } else { &COPY })?;
    if is_heredoc(destination) {
        let message = format!("`{keyword}` cannot copy to a heredoc");
        return Err(
            Diagnostic::new(Code::Heredoc, message, destination.span).with_help("put the destination last")
        );
    }
    Ok(CopyInstruction {
        is_add,
        sources: sources.iter().map(|word| source(word, node)).collect(),
        destination: destination.clone(),
        from: flags.text("from"),
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        checksum: flags.text("checksum"),
        link: flags.bool("link").unwrap_or_default(),
        parents: flags.bool("parents").unwrap_or_default(),
        exclude: flags.texts("exclude").collect(),
        keep_git_dir: flags.bool("keep-git-dir"),
        unpack: flags.bool("unpack"),
    })
}

fn is_heredoc(word: &Word) -> bool {
    matches!(parse_heredoc(&word.value), Ok(Some(_)))
}

/// A word is a heredoc by its form; the content is found by name, and the last of a name counts.
fn source(word: &Word, node: &Node) -> SourceWord {
    let Ok(Some(heredoc)) = parse_heredoc(&word.value) else { return SourceWord::Path(word.clone()) };
    let found = node.heredocs.iter().rev().find(|found| found.name == heredoc.name);
    let content = found.map(|found| found.content.clone()).unwrap_or_default();
    let (name, expand) = (heredoc.name.clone(), heredoc.expand);
    SourceWord::Heredoc { name, expand, content: crate::syntax::Heredoc { content, ..heredoc }.text() }
}
