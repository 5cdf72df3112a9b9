//! `cartwheel check` and `cartwheel build --check`: what they print, what they mend, how they end.

use std::process::{Command, Output};

use crate::project::Project;

/// What the binary prints, and its exit code.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn ran(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

fn project(dockerfile: &str) -> Project {
    let project = Project::new();
    project.write("app/Dockerfile", dockerfile);
    project
}

fn check(project: &Project, arguments: &[&str]) -> Ran {
    ran(project.command().args(["check", "app"]).args(arguments))
}

#[test]
fn findings_are_printed_as_docker_prints_them() {
    let project = project("FROM scratch as base\nCOPY a /\n");
    project.write("app/.dockerignore", "a\n");
    let expected = "\
Check complete, 2 warnings have been found!

WARNING: FromAsCasing - https://docs.docker.com/go/dockerfile/rule/from-as-casing/
'as' and 'FROM' keywords' casing do not match
app/Dockerfile:1
--------------------
   1 | >>> FROM scratch as base
   2 |     COPY a /
   3 |     \n--------------------

WARNING: CopyIgnoredFile - https://docs.docker.com/go/dockerfile/rule/copy-ignored-file/
Attempting to Copy file \"a\" that is excluded by .dockerignore
app/Dockerfile:2
--------------------
   1 |     FROM scratch as base
   2 | >>> COPY a /
   3 |     \n--------------------
";
    let found = check(&project, &[]);
    assert_eq!((found.code, found.stdout.as_str(), found.stderr.as_str()), (Some(1), expected, ""));
    for arguments in [["--check"], ["--call=check"]] {
        let found = ran(project.command().args(["build", "app"]).args(arguments));
        assert_eq!((found.code, found.stdout.as_str()), (Some(1), expected));
    }
    let found = ran(project.command().args(["build", "app", "--call=check,ignorestatus"]));
    assert_eq!((found.code, found.stdout.as_str()), (Some(0), expected));
}

#[test]
fn advice_does_not_fail_unless_it_is_asked_to() {
    let project = project("FROM scratch\nRUN pip install flask\n");
    let found = check(&project, &[]);
    assert_eq!(found.code, Some(0));
    assert!(found.stdout.starts_with("Check complete, no warnings found.\n\nADVICE: UnpinnedRequirements\n"));
    assert_eq!(check(&project, &["--error", "UnpinnedRequirements"]).code, Some(1));
    assert_eq!(check(&project, &["--error=all"]).code, Some(1));
    assert_eq!(check(&project, &["--error=UnpinnedBase"]).code, Some(0));
    let found = check(&project, &["--error=Nothing"]);
    assert_eq!(found.code, Some(1));
    assert!(found.stderr.contains("there is no rule `Nothing`"), "{}", found.stderr);
    let found = ran(project.command().args(["build", "app", "--check"]));
    assert_eq!((found.code, found.stdout.as_str()), (Some(0), "Check complete, no warnings found.\n"));
}

#[test]
fn what_cannot_be_built_fails() {
    let found = check(&project("FROM scratch as a\nRUM x\n"), &[]);
    assert_eq!(found.code, Some(1));
    assert!(found.stdout.starts_with("Check complete, 1 warning has been found!"), "{}", found.stdout);
    assert!(found.stderr.contains("unknown instruction `RUM`"), "{}", found.stderr);
    let found = check(&project("# check=error=true\nFROM scratch as a\nMAINTAINER a\n"), &[]);
    assert_eq!(found.code, Some(1));
    assert_eq!(found.stderr, "error: lint violation found for rules: FromAsCasing, MaintainerDeprecated\n");
    let found = ran(Project::new().command().args(["check", "nowhere"]));
    assert_eq!(found.code, Some(1));
    assert!(found.stderr.contains("there is no Dockerfile in `nowhere`"), "{}", found.stderr);
}

#[test]
fn machines_can_read_it() {
    let project = project("FROM scratch as a\nRUN pip install flask && \\\n    true\n");
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&check(&project, arguments).stdout).unwrap()
    };
    let found = json(&["--format=json"]);
    assert_eq!(found["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(found["warnings"][0]["ruleName"], "FromAsCasing");
    assert_eq!(found["warnings"][0]["location"]["ranges"][0]["start"]["line"], 1);
    assert_eq!(found["sources"][0]["filename"], "app/Dockerfile");
    assert_eq!(found["advice"][0]["ruleName"], "UnpinnedRequirements");
    assert_eq!(found["advice"][0]["location"]["ranges"].as_array().unwrap().len(), 2);
    let found = json(&["--format=sarif"]);
    assert_eq!(found["version"], "2.1.0");
    let results = found["runs"][0]["results"].as_array().unwrap();
    let place = &results[1]["locations"][0]["physicalLocation"];
    assert_eq!((&results[0]["level"], &results[1]["level"]), (&"warning".into(), &"note".into()));
    assert_eq!((&place["region"]["startLine"], &place["region"]["endLine"]), (&2.into(), &3.into()));
    let found = check(&project, &["--format=github"]).stdout;
    let first = "::warning file=app/Dockerfile,line=1,endLine=1,title=FromAsCasing::'as' and 'FROM' keywords' casing do not match\n";
    assert!(found.starts_with(first) && found.contains("\n::notice "), "{found}");
}

#[test]
fn a_file_is_mended() {
    let project = project("# build\nfrom scratch as Base\nENV A b\nRUN echo \\\n\n  a\n");
    let found = check(&project, &["--fix"]);
    assert!(found.stderr.contains("mended 5 findings in app/Dockerfile"), "{}", found.stderr);
    assert_eq!(found.code, Some(0), "{}", found.stdout);
    assert_eq!(
        std::fs::read_to_string(project.path("app/Dockerfile")).unwrap(),
        "# build\nFROM scratch AS base\nENV A=b\nRUN echo \\\n  a\n"
    );
    assert!(check(&project, &["--fix"]).stderr.contains("mended 0 findings"));
}

#[test]
fn bases_that_are_not_here_are_not_asked_for() {
    let project = project("FROM example.org/base:1\nENV A=$B\n");
    let found = check(&project, &[]);
    assert_eq!((found.code, found.stdout.as_str()), (Some(0), "Check complete, no warnings found.\n"));
    assert!(
        found.stderr.contains("the variables of `example.org/base:1` are not known here"),
        "{}",
        found.stderr
    );
}

#[test]
fn rules_are_explained() {
    let project = Project::new();
    let explained = |rule: &str| ran(project.command().args(["check", "--explain", rule]));
    let found = explained("fromascasing");
    assert_eq!(found.code, Some(0));
    assert!(found.stdout.starts_with("FromAsCasing (warning)\n"), "{}", found.stdout);
    assert!(found.stdout.contains("\nbad:\n\n    FROM python:3.13 as builder\n"), "{}", found.stdout);
    assert_eq!(explained("all").stdout.lines().count(), cartwheel_dockerfile::lint_rules().count());
    assert_eq!(explained("nothing").code, Some(1));
}
