//! `WorkdirRelativePath`.

use crate::evaluate::Note;
use crate::lint::report::{Place, Report};
use crate::lint::rule::{Example, Rule, Severity};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "WorkdirRelativePath",
    severity: Severity::Warning,
    summary: "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    why: "A relative `WORKDIR` begins where the base image happens to be.",
    bad: Example::of("FROM python:3.13\nWORKDIR app\n"),
    good: Example::of("FROM python:3.13\nWORKDIR /app\n"),
};

pub(in crate::lint) fn check(note: &Note, place: Place<'_>, is_windows: bool, report: &mut Report) {
    let Note::Directory(path) = note else { return };
    if !is_absolute(path, is_windows) {
        let message =
            format!("Relative workdir \"{path}\" can have unexpected results if the base image changes");
        report.add(&RULE, place, message);
    }
}

/// On Windows a path may name the system's drive, and it has backslashes.
fn is_absolute(path: &str, is_windows: bool) -> bool {
    let path = if is_windows {
        path.strip_prefix("C:").or_else(|| path.strip_prefix("c:")).unwrap_or(path)
    } else {
        path
    };
    path.starts_with('/') || (is_windows && path.starts_with('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths() {
        assert!(is_absolute("/a", false) && is_absolute("/a", true));
        assert!(is_absolute("C:\\a", true) && is_absolute("c:/a", true) && is_absolute("\\a", true));
        assert!(!is_absolute("C:/a", false) && !is_absolute("a", true) && !is_absolute("D:/a", true));
    }
}
