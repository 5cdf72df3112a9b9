//! What `# check=` says: which rules are asked, and whether findings are errors.

use std::collections::BTreeSet;

use crate::lint::rule::{Rule, Severity};
use crate::syntax::{check_comment, is_bool};

/// The options of `# check=skip=…;error=…;experimental=…`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LintSettings {
    /// Whether a finding makes the check fail, whatever its severity is.
    pub(crate) error: bool,
    skip: Names,
    experimental: Names,
}

/// The names of rules, or all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    names: BTreeSet<String>,
}

impl Names {
    fn of(text: &str) -> Self {
        match text.trim() {
            "all" => Self { all: true, names: BTreeSet::new() },
            names => {
                Self { all: false, names: names.split(',').map(|name| name.trim().to_owned()).collect() }
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.all |= other.all;
        self.names.extend(other.names);
    }

    fn contains(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }
}

impl LintSettings {
    /// Reads the options as BuildKit does: they end at the first space, and of an option that is given twice the last
    /// counts.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.split(' ').next().unwrap_or_default();
        let mut settings = Self::default();
        if text.trim().is_empty() {
            return Ok(settings);
        }
        for option in text.splitn(3, ';') {
            let (name, value) =
                option.split_once('=').ok_or_else(|| format!("`{option}` is no check option"))?;
            match name.trim() {
                "skip" => settings.skip = Names::of(value),
                "experimental" => settings.experimental = Names::of(value),
                "error" => {
                    let value = value.trim();
                    let wrong = || format!("check option `error` cannot be `{value}`");
                    settings.error = is_bool(value).ok_or_else(wrong)?;
                }
                name => return Err(format!("`{name}` is no check option")),
            }
        }
        Ok(settings)
    }

    /// These settings with what the comments above an instruction add. `error` is for the whole file only.
    pub(super) fn with_comments(&self, comments: &[String]) -> Self {
        let mut settings = self.clone();
        let found = check_comment(comments).and_then(|text| Self::parse(&text).ok());
        if let Some(found) = found {
            settings.skip.merge(found.skip);
            settings.experimental.merge(found.experimental);
        }
        settings
    }

    /// Whether a rule is asked. `skip=all` is about all but the experimental ones, which have to be asked for.
    pub(super) fn asks(&self, rule: &Rule) -> bool {
        match rule.severity {
            Severity::Experimental => self.experimental.contains(rule.name),
            Severity::Warning | Severity::Advice => !self.skip.contains(rule.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let settings = LintSettings::parse("skip=A, B;error=true").unwrap();
        assert!(!settings.error, "what stands behind a space is not read");
        assert!(settings.skip.contains("A") && !settings.skip.contains("B"));
        let settings = LintSettings::parse("error=1;skip=all;experimental=C").unwrap();
        assert!(settings.error && settings.skip.contains("X") && settings.experimental.contains("C"));
        assert_eq!(LintSettings::parse(""), Ok(LintSettings::default()));
    }

    #[test]
    fn what_is_no_option() {
        assert_eq!(LintSettings::parse("a").unwrap_err(), "`a` is no check option");
        assert_eq!(LintSettings::parse("a=b").unwrap_err(), "`a` is no check option");
        assert_eq!(LintSettings::parse("error=maybe").unwrap_err(), "check option `error` cannot be `maybe`");
        // The third piece is all the rest.
        assert!(LintSettings::parse("skip=A;skip=B;error=1;error=1").is_err());
    }

    #[test]
    fn comments_add_to_the_settings() {
        let settings = LintSettings::parse("skip=A").unwrap();
        let comments = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
        let more = settings.with_comments(&comments(&["why", "check=skip=B;error=true", "check=skip=C"]));
        assert!(
            !more.error && more.skip.contains("A") && more.skip.contains("B") && !more.skip.contains("C")
        );
        assert_eq!(settings.with_comments(&comments(&["check=nothing"])), settings);
    }
}
