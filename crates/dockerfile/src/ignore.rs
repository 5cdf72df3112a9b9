//! `.dockerignore`: which paths of a build context the build does not see.

use crate::error::{ErrorKind, Result};
use crate::pattern::{Pattern, clean};

/// The patterns of an ignore file, in order.
#[derive(Debug, Clone, Default)]
pub struct IgnoreFile {
    rules: Vec<Rule>,
    descent: Descent,
}

/// One line of the file: what it matches, and whether it takes back.
#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    exception: bool,
}

/// What the exceptions say about walking into excluded directories.
#[derive(Debug, Clone, Default)]
enum Descent {
    /// There are no exceptions: nothing below an excluded directory can come back.
    #[default]
    Never,
    /// Each exception is a plain path, or one with `/*` or `/**` at its end: only the directories on the way there
    /// are worth walking.
    Towards(Vec<String>),
    /// An exception has a wildcard elsewhere: it may match anywhere.
    Always,
}

/// What a directory's verdict means for its children: which rules already match all that lies below.
#[derive(Debug, Clone, Default)]
pub struct MatchState {
    /// One for each rule; empty for the context's root, about which no rule is asked.
    matched: Vec<bool>,
    excluded: bool,
}

impl MatchState {
    /// Whether the directory itself is excluded.
    pub fn is_excluded(&self) -> bool {
        self.excluded
    }

    fn has(&self, rule: usize) -> bool {
        self.matched.get(rule).copied().unwrap_or(false)
    }
}

impl IgnoreFile {
    /// Reads the text of an ignore file.
    ///
    /// A pattern that BuildKit could never use is an error here, where BuildKit stops only once a path is held
    /// against it: a build that works by luck is not one to keep.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let trimmed = line.trim();
            if line.starts_with('#') || trimmed.is_empty() {
                continue;
            }
            let rule = Rule::parse(trimmed).map_err(|problem| ErrorKind::IgnorePattern {
                pattern: trimmed.to_owned(),
                line: index + 1,
                column: line.chars().take_while(|char| char.is_whitespace()).count() + 1,
                problem,
            })?;
            rules.push(rule);
        }
        let descent = Descent::of(&rules);
        Ok(Self { rules, descent })
    }

    /// The patterns of `COPY --exclude` and `--parents`, which are matched as those of an ignore file are; the error is the
    /// first that cannot be used.
    pub fn from_patterns(patterns: &[String]) -> Result<Self> {
        let kept = patterns.iter().map(|pattern| pattern.trim()).filter(|pattern| !pattern.is_empty());
        let rule = |pattern: &str| {
            let unusable = |problem| ErrorKind::IgnorePattern {
                pattern: pattern.to_owned(),
                line: 1,
                column: 1,
                problem,
            };
            Rule::parse(pattern).map_err(unusable)
        };
        let rules = kept.map(rule).collect::<Result<Vec<Rule>, _>>()?;
        let descent = Descent::of(&rules);
        Ok(Self { rules, descent })
    }

    /// Whether there is no pattern in it.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The patterns as they are understood: cleaned, with `!` before exceptions.
    pub fn patterns(&self) -> impl Iterator<Item = String> + '_ {
        self.rules
            .iter()
            .map(|rule| format!("{}{}", if rule.exception { "!" } else { "" }, rule.pattern.text()))
    }

    /// Whether `path` (relative to the context, with `/`) is excluded, as a walk that came to it would decide.
    ///
    /// For one path; a walk that keeps [`MatchState`]s asks each pattern about each name only once.
    pub fn matches(&self, path: &str) -> bool {
        let path = clean(path);
        let path = path.trim_start_matches('/');
        if path.is_empty() || path == "." {
            return false; // the context itself is never excluded, whatever `**` says
        }
        let parents = path.match_indices('/').filter_map(|(end, _)| path.get(..end));
        let state = parents.fold(self.root(), |state, parent| self.enter(parent, &state));
        self.excludes(path, &state)
    }

    /// Whether a pattern names this very text or what it is below, as the source of a copy is compared: nothing is
    /// cleaned, and exceptions count as patterns.
    pub(crate) fn names(&self, path: &str) -> bool {
        let parents = path.match_indices('/').filter_map(|(end, _)| path.get(..end));
        let mut paths = parents.chain([path]);
        paths.any(|path| self.rules.iter().any(|rule| rule.pattern.is_match(path)))
    }

    /// The state at the context's root, where a walk begins.
    pub fn root(&self) -> MatchState {
        MatchState::default()
    }

    /// The state of the directory `path`, whose parent directory's state is `parent`.
    pub fn enter(&self, path: &str, parent: &MatchState) -> MatchState {
        let mut matched = vec![false; self.rules.len()];
        let excluded = self.judge(path, parent, |rule| {
            if let Some(rule) = matched.get_mut(rule) {
                *rule = true;
            }
        });
        MatchState { matched, excluded }
    }

    /// Whether the file `path` is excluded, when its directory's state is `parent`.
    pub fn excludes(&self, path: &str, parent: &MatchState) -> bool {
        self.judge(path, parent, |_| {})
    }

    /// Whether something below the directory `path` may not be excluded, so that a walk has to look.
    ///
    /// Always true for a directory that is not excluded. The rule is BuildKit's own, which is coarse on purpose: it
    /// looks at the exceptions only, not at what comes after them.
    pub fn may_descend(&self, path: &str, state: &MatchState) -> bool {
        !state.excluded
            || match &self.descent {
                Descent::Never => false,
                Descent::Towards(places) => places.iter().any(|place| is_at_or_below(place, path)),
                Descent::Always => true,
            }
    }

    /// The verdict about one path, given its parent's; calls `hit` for each rule that matches.
    ///
    /// A rule that could not change the verdict is not asked, and so does not count as matching for what lies below.
    /// That is BuildKit's behaviour, and it can be seen from outside: see `skipped_rules_do_not_reach_children`.
    fn judge(&self, path: &str, parent: &MatchState, mut hit: impl FnMut(usize)) -> bool {
        let mut excluded = false;
        for (index, rule) in self.rules.iter().enumerate() {
            let asked = || rule.exception == excluded && rule.pattern.is_match(path);
            if parent.has(index) || asked() {
                hit(index);
                excluded = !rule.exception;
            }
        }
        excluded
    }
}

impl Rule {
    /// Cleans a line twice, as BuildKit does: once when the file is read, without the `!`, and once when the matcher
    /// is made, with it (which is how `!../..` ends up as `.`).
    fn parse(line: &str) -> Result<Self, &'static str> {
        let (mark, path) = line.strip_prefix('!').map_or(("", line), |path| ("!", path.trim()));
        let path = if path.is_empty() { String::new() } else { clean(path) };
        let path = path.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&path);
        let line = clean(format!("{mark}{path}").trim());
        let (exception, text) = line.strip_prefix('!').map_or((false, line.as_str()), |text| (true, text));
        if text.is_empty() {
            return Err("takes back nothing: a path has to follow the `!`");
        }
        Ok(Self { pattern: Pattern::new(text)?, exception })
    }
}

impl Descent {
    fn of(rules: &[Rule]) -> Self {
        let exceptions: Vec<String> = rules
            .iter()
            .filter(|rule| rule.exception)
            .map(|rule| without_last_wildcard(&rule.pattern))
            .collect();
        if exceptions.is_empty() {
            Self::Never
        } else if exceptions.iter().any(|place| place.contains(['*', '[', ']', '?', '^', '\\'])) {
            Self::Always
        } else {
            Self::Towards(exceptions)
        }
    }
}

fn without_last_wildcard(pattern: &Pattern) -> String {
    let text = pattern.text();
    let text = text.strip_suffix("/**").unwrap_or(text);
    text.strip_suffix("/*").unwrap_or(text).to_owned()
}

fn is_at_or_below(place: &str, directory: &str) -> bool {
    place.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        IgnoreFile::parse(text).unwrap().patterns().collect()
    }

    fn excluded(text: &str, path: &str) -> bool {
        IgnoreFile::parse(text).unwrap().matches(path)
    }

    fn error(text: &str) -> String {
        IgnoreFile::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn comments_only_at_the_start_of_a_line() {
        assert_eq!(read("# no\n  # yes\na # b\n"), ["# yes", "a # b"]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_pattern() {
        assert_eq!(read("\u{feff}# comment\na"), ["a"]);
        assert_eq!(read("a\n\u{feff}b"), ["a", "\u{feff}b"]);
    }

    #[test]
    fn lines_end_as_on_windows_too() {
        assert_eq!(read("a\r\n\r\n b \r\n"), ["a", "b"]);
    }

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(
            read("/a\n./b/\n//c//d\ne/./f/../g\n! /h/\n../i\n/\n."),
            ["a", "b", "c/d", "e/g", "!h", "../i", "/", "."]
        );
    }

    #[test]
    fn an_exception_can_clean_itself_away() {
        assert_eq!(read("!../.."), ["."]);
    }

    #[test]
    fn the_last_rule_that_changes_the_verdict_wins() {
        assert!(!excluded("*.md\n!README.md", "README.md"));
        assert!(excluded("*.md\n!README*.md\nREADME-secret.md", "README-secret.md"));
        assert!(!excluded("*.md\nREADME-secret.md\n!README*.md", "README-secret.md"));
        assert!(excluded("!a\na", "a"));
    }

    #[test]
    fn what_lies_below_a_match_matches() {
        assert!(excluded("a", "a/b/c"));
        assert!(excluded("a/*", "a/b/c"));
        assert!(!excluded("a/*", "a"));
        assert!(!excluded("a", "ab/c"));
        assert!(excluded("*/b", "a/b/c"));
        assert!(!excluded("*/b", "b"));
    }

    #[test]
    fn an_exception_reaches_what_lies_below_it() {
        assert!(!excluded("a\n!a/b", "a/b/c/d"));
        assert!(excluded("a\n!a/b", "a/c"));
        assert!(excluded("a\n!a/b\na/b/c", "a/b/c/d"));
    }

    #[test]
    fn skipped_rules_do_not_reach_children() {
        // `*/x` is not asked about `d/x`, which `d` excludes already. Below, once `!d/x/keep` took `d/x/keep` back, nothing excludes it again.
        assert!(!excluded("d\n!d/x/keep\n*/x", "d/x/keep"));
        // Without the first rule `*/x` is asked about `d/x`, matches it, and comes after the exception.
        assert!(excluded("!d/x/keep\n*/x", "d/x/keep"));
    }

    #[test]
    fn the_context_itself_stays() {
        for path in ["", ".", "/", "./"] {
            assert!(!excluded("**\n*\n.", path), "`{path}`");
        }
    }

    #[test]
    fn an_excluded_directory_is_entered_only_towards_an_exception() {
        let ignore = IgnoreFile::parse("vendor\nbuild\n!vendor/keep/this/**\n").unwrap();
        let enter = |path: &str| ignore.enter(path, &ignore.root());
        assert!(ignore.may_descend("vendor", &enter("vendor")));
        assert!(!ignore.may_descend("build", &enter("build")));
        assert!(ignore.may_descend("src", &enter("src")));
        let vendor = enter("vendor");
        assert!(ignore.may_descend("vendor/keep", &ignore.enter("vendor/keep", &vendor)));
        assert!(!ignore.may_descend("vendor/ke", &ignore.enter("vendor/ke", &vendor)));
        assert!(!ignore.may_descend("vendor/other", &ignore.enter("vendor/other", &vendor)));
    }

    #[test]
    fn an_exception_for_all_that_a_directory_holds_opens_it() {
        for exception in ["!vendor/*", "!vendor/**", "!vendor"] {
            let ignore = IgnoreFile::parse(&format!("vendor\n{exception}\nvendor\n!vendor/*\n")).unwrap();
            let vendor = ignore.enter("vendor", &ignore.root());
            assert!(vendor.is_excluded() && ignore.may_descend("vendor", &vendor), "{exception}");
            assert!(!ignore.excludes("vendor/file", &vendor), "{exception}");
        }
    }

    #[test]
    fn an_exception_with_a_wildcard_may_be_anywhere() {
        let ignore = IgnoreFile::parse("*\n!**/keep.txt\n").unwrap();
        let deep = ignore.enter("a", &ignore.root());
        assert!(deep.is_excluded() && ignore.may_descend("a", &deep));
        assert!(!ignore.excludes("a/keep.txt", &deep));
    }

    #[test]
    fn a_walk_agrees_with_single_questions() {
        let rules = ["a", "!a/b", "a/b/c", "**/x", "!d/**", "d/e*", "!**/k", "b?", "[a-c]/d"];
        let names = ["a", "b", "c", "d", "x", "k", "eh", "b1"];
        for mask in 0u32..1 << rules.len() {
            let chosen =
                rules.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, rule)| *rule);
            let ignore = IgnoreFile::parse(&chosen.collect::<Vec<_>>().join("\n")).unwrap();
            for one in names {
                let parent = ignore.enter(one, &ignore.root());
                assert_eq!(parent.is_excluded(), ignore.matches(one));
                for two in names {
                    let path = format!("{one}/{two}");
                    assert_eq!(ignore.excludes(&path, &parent), ignore.matches(&path), "{mask:b} {path}");
                    assert!(
                        ignore.excludes(&path, &parent) || ignore.may_descend(one, &parent),
                        "{mask:b} {path}"
                    );
                }
            }
        }
    }

    #[test]
    fn errors_say_where() {
        let message = "ignore pattern `[a` at 3:2 has a `[` without its `]`";
        assert_eq!(error("ok\n# [\n\t[a \n"), message);
        assert_eq!(error("!"), "ignore pattern `!` at 1:1 takes back nothing: a path has to follow the `!`");
        assert_eq!(
            error("! /"),
            "ignore pattern `! /` at 1:1 takes back nothing: a path has to follow the `!`"
        );
    }
}
