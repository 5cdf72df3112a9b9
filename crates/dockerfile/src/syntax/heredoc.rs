//! Heredocs: `<<EOF`, `<<-EOF`, `<<"EOF"`, `3<<EOF`, as many as there are words of that form.

use std::sync::LazyLock;

use regex::Regex;

use crate::environment::Environment;
use crate::error::Error;
use crate::lex::Lexer;
use crate::span::Span;

/// A heredoc.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, which is also the name of the file that it makes.
    pub name: String,
    /// The lines between, with their ends.
    pub content: String,
    /// Whether variables in it are expanded: not if the word was quoted.
    pub expand: bool,
    /// Whether tabs at the beginning of lines go (`<<-`).
    pub chomp: bool,
    /// The number in front of `<<`.
    pub file_descriptor: u64,
    /// Where the content is.
    pub span: Span,
}

impl Heredoc {
    /// The content as it is used: without leading tabs if it was `<<-`.
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        let lines = self.content.split_inclusive('\n');
        lines.map(|line| line.trim_start_matches('\t')).collect()
    }

    /// Whether `line`, with or without its end, ends the heredoc.
    pub(super) fn is_ended_by(&self, line: &str) -> bool {
        let line = line.trim_end_matches(['\r', '\n']);
        let line = if self.chomp { line.trim_start_matches('\t') } else { line };
        line == self.name
    }
}

/// The heredocs that the words of a line ask for, still without content.
///
/// The words are found with `\` as the escape character, whatever the file says, and if they cannot be told apart,
/// there are no heredocs.
pub(super) fn find(line: &str) -> Result<Vec<Heredoc>, Error> {
    let lexer = Lexer { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Lexer::new('\\') };
    let words = lexer.expand(line, &Environment::default()).map(|expansion| expansion.words);
    let heredocs = words.unwrap_or_default().into_iter().map(|word| parse(&word));
    heredocs.filter_map(Result::transpose).collect()
}

/// The heredoc that a word asks for, if it is of that form.
pub(crate) fn parse(word: &str) -> Result<Option<Heredoc>, Error> {
    static FORM: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)$").expect("invariant: a constant that compiles")
    });
    let Some(groups) = FORM.captures(word) else { return Ok(None) };
    let group = |index| groups.get(index).map_or("", |group: regex::Match<'_>| group.as_str());
    let lexer = Lexer { keep_unset: true, ..Lexer::new('\\') };
    let words = lexer.expand(group(3), &Environment::default())?.words;
    let [name] = words.as_slice() else { return Ok(None) };
    let raw = Lexer { raw_quotes: true, ..lexer }.expand(group(3), &Environment::default())?.words;
    let quotes = |words: &[String]| words.concat().matches(['\'', '"']).count();
    Ok(Some(Heredoc {
        name: name.clone(),
        expand: quotes(&words) == quotes(&raw),
        chomp: group(2) == "-",
        file_descriptor: group(1).parse().unwrap_or_default(),
        ..Heredoc::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Vec<(String, bool, bool, u64)> {
        let heredocs = find(line).unwrap().into_iter();
        heredocs.map(|found| (found.name, found.expand, found.chomp, found.file_descriptor)).collect()
    }

    #[test]
    fn all_forms() {
        assert_eq!(names("RUN <<EOF"), [("EOF".into(), true, false, 0)]);
        assert_eq!(
            names("RUN cat <<-'A b' 3<<\"C\""),
            [("A b".into(), false, true, 0), ("C".into(), false, false, 3)]
        );
        assert_eq!(
            names("COPY << EOF <<E\"O\"F /x"),
            [("EOF".into(), true, false, 0), ("EOF".into(), false, false, 0)]
        );
        assert_eq!(names(r"RUN <<\EOF"), [("EOF".into(), true, false, 0)]);
        assert_eq!(names("RUN <<$A"), [("$A".into(), true, false, 0)]);
    }

    #[test]
    fn what_is_none() {
        for line in ["RUN a <<<b", "RUN $((1<<3))x", "RUN a<<b", "RUN '<<EOF'", "RUN <<EOF 'open", "RUN <<"] {
            assert_eq!(names(line), [], "{line}");
        }
    }

    #[test]
    fn tabs_go_if_asked_for() {
        let heredoc = Heredoc {
            name: "E".into(),
            content: "\t\ta\n b\n\n\tc".into(),
            chomp: true,
            ..Default::default()
        };
        assert_eq!(heredoc.text(), "a\n b\n\nc");
        assert!(heredoc.is_ended_by("\t\tE\r\n") && !heredoc.is_ended_by(" E"));
    }
}
