//! What a rule is, and the table of all of them.

use crate::lint::{advice, rules};

/// A rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as `skip=` has it.
    pub name: &'static str,
    /// How much a finding weighs.
    pub severity: Severity,
    /// What it asks for, in one sentence. Those of BuildKit are in BuildKit's words.
    pub summary: &'static str,
    /// Why.
    pub why: &'static str,
    /// A Dockerfile in which it finds something.
    pub bad: Example,
    /// The same with nothing to find.
    pub good: Example,
}

/// How much a finding of a rule weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// BuildKit warns of it: the check fails.
    Warning,
    /// BuildKit warns of it if it is asked to.
    Experimental,
    /// It costs time or space. The check does not fail unless it is asked to.
    Advice,
}

/// A Dockerfile with the files of its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// The Dockerfile.
    pub dockerfile: &'static str,
    /// Paths and contents of the files beside it.
    pub files: &'static [(&'static str, &'static str)],
}

impl Example {
    /// A Dockerfile that needs no files.
    pub(super) const fn of(dockerfile: &'static str) -> Self {
        Self { dockerfile, files: &[] }
    }

    /// A Dockerfile with files.
    pub(super) const fn with(
        dockerfile: &'static str,
        files: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { dockerfile, files }
    }
}

impl Rule {
    /// Its name as addresses have it: `from-as-casing`.
    pub fn slug(&self) -> String {
        let chars: Vec<char> = self.name.chars().collect();
        let mut slug = String::new();
        for (index, char) in chars.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|before| chars.get(before));
            let is_lower = |char: Option<&char>| char.is_some_and(char::is_ascii_lowercase);
            // A word begins at a capital behind a small letter, and at the last of several capitals.
            if before.is_some()
                && char.is_ascii_uppercase()
                && (is_lower(before) || is_lower(chars.get(index + 1)))
            {
                slug.push('-');
            }
            slug.push(char.to_ascii_lowercase());
        }
        slug
    }
}

/// All rules, those of BuildKit first.
pub fn lint_rules() -> impl Iterator<Item = &'static Rule> {
    rules::ALL.iter().copied().chain(advice::rules())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_those_of_buildkit() {
        let slug = |name: &str| lint_rules().find(|rule| rule.name == name).map(Rule::slug);
        assert_eq!(slug("FromAsCasing").as_deref(), Some("from-as-casing"));
        assert_eq!(slug("JSONArgsRecommended").as_deref(), Some("json-args-recommended"));
        assert_eq!(slug("SecretsUsedInArgOrEnv").as_deref(), Some("secrets-used-in-arg-or-env"));
    }
}
