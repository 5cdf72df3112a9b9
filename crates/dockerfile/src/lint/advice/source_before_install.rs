//! `SourceBeforeInstall`.

use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::lint::scene::{Scene, bytes, takes};
use crate::lint::script::Install;
use std::path::Path;

use crate::lint::{ContextFile, LintContext};
use crate::step::Copy;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "SourceBeforeInstall",
    severity: Severity::Advice,
    summary: "Copy what is installed from before the rest of the source",
    why: "A step is done anew when anything above it changed. With all of the source above the installation, every edit downloads and installs every package again.",
    bad: Example::with(
        "FROM python:3.13\nWORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt\n",
        &[("requirements.txt", "flask==3.0.0\n"), ("app.py", "")],
    ),
    good: Example::with(
        "FROM python:3.13\nWORKDIR /app\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .\n",
        &[("requirements.txt", "flask==3.0.0\n"), ("app.py", "")],
    ),
};

pub(in crate::lint) fn check(scene: &Scene, context: &LintContext, report: &mut Report) {
    for (index, _) in scene.needed() {
        let mut source = None;
        for act in scene.acts(index) {
            if let Some(copy) = act.context_copy() {
                source = source.or_else(|| Some((act, count(copy, context)?)));
            }
            let Some((above, (files, size))) = source else { continue };
            if act.installs().iter().any(installs_from_files) {
                let line = above.instruction.lines.0;
                let message = format!(
                    "A change of any of {files} files ({}) that line {line} copies repeats this installation",
                    bytes(size)
                );
                report.add(&RULE, act.instruction.into(), message);
            }
        }
    }
}

/// The files that a copy takes beside those that say what is installed, and their size; nothing if there are none.
fn count(copy: &Copy, context: &LintContext) -> Option<(usize, u64)> {
    let is_source = |file: &&ContextFile| {
        takes(copy, &file.path) && !context.texts.contains_key(&file.path) && is_python(&file.path)
    };
    let sizes: Vec<u64> = context.left().filter(is_source).map(|file| file.size).collect();
    (!sizes.is_empty()).then(|| (sizes.len(), sizes.iter().sum()))
}

fn is_python(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "py")
}

/// Whether an installation needs nothing of the source: what installs the project itself does.
fn installs_from_files(install: &Install) -> bool {
    let is_project = |word: &str| word.starts_with(['.', '/']);
    let editable = install.either("-e", "--editable").next().is_some();
    !editable && !install.requirements().any(is_project)
}
