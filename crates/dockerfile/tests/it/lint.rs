//! Rules: each finds its bad example and not its good one, in BuildKit's order, and what mends changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use cartwheel_dockerfile::{
    ContextFile, EvaluateOptions, Example, IgnoreFile, Lint, LintContext, LintOptions, Rule, Severity,
    StageConfig, fix, lint, lint_rules,
};

fn known(text: &str, options: &LintOptions) -> Lint {
    lint(text, options, &|_| Some(StageConfig::default()))
}

/// The rules that find something, with the lines, without advice.
fn found(text: &str) -> Vec<(&'static str, usize)> {
    let lint = known(text, &LintOptions::default());
    lint.findings.iter().map(|finding| (finding.rule.name, finding.lines.0)).collect()
}

fn context(files: &[(&str, &str)]) -> LintContext {
    let text = |name: &str| files.iter().find(|(path, _)| *path == name).map(|(_, text)| *text);
    let file =
        |(path, text): &(&str, &str)| ContextFile { path: (*path).to_owned(), size: text.len() as u64 };
    let texts = files
        .iter()
        .filter(|(path, _)| Path::new(path).extension().is_some_and(|extension| extension == "txt"));
    LintContext {
        ignore: text(".dockerignore").map(|text| IgnoreFile::parse(text).unwrap()),
        files: files.iter().map(file).collect(),
        texts: texts.map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect(),
    }
}

fn of_example(example: Example) -> Lint {
    let options =
        LintOptions { context: Some(context(example.files)), advice: true, ..LintOptions::default() };
    known(example.dockerfile, &options)
}

/// What the rules of one name say.
fn advice(rule: &str, text: &str, files: &[(&str, &str)]) -> Vec<String> {
    let options = LintOptions { context: Some(context(files)), advice: true, ..LintOptions::default() };
    let lint = known(text, &options);
    assert_eq!(lint.error, None, "{text}");
    let findings = lint.findings.into_iter().filter(|finding| finding.rule.name == rule);
    findings.map(|finding| finding.message).collect()
}

#[test]
fn every_rule_finds_its_bad_example_and_not_its_good_one() {
    for rule in lint_rules() {
        let names = |lint: &Lint| lint.findings.iter().map(|finding| finding.rule.name).collect::<Vec<_>>();
        let (bad, good) = (of_example(rule.bad), of_example(rule.good));
        assert_eq!(good.error, None, "{}", rule.name);
        assert!(names(&bad).contains(&rule.name), "{} does not find its bad example", rule.name);
        assert!(!names(&good).contains(&rule.name), "{} finds its good example", rule.name);
    }
}

#[test]
fn rules_have_names_of_their_own_and_words() {
    let mut names: Vec<&str> = lint_rules().map(|rule| rule.name).collect();
    assert_eq!(names.len(), 34);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 34);
    for rule in lint_rules() {
        assert!(!rule.why.is_empty() && !rule.summary.contains("://"), "{}", rule.name);
    }
}

#[test]
fn the_first_error_ends_it() {
    let text = "FROM scratch as a\nENV A $B\nMAINTAINER x\nCOPY --from=9 a b\nENV C $D\n";
    let lint = known(text, &LintOptions::default());
    let names: Vec<&str> = lint.findings.iter().map(|finding| finding.rule.name).collect();
    assert_eq!(names, ["FromAsCasing", "MaintainerDeprecated"]);
    assert!(lint.error.unwrap().message.contains("`9`"));
    assert_eq!(known("FROM scratch as a\nENV A\n", &LintOptions::default()).findings, []);
    assert_eq!(found("FROM scratch\nENV A=$B\nENV C=${D\nENV E=$F\n"), [("UndefinedVar", 2)]);
    assert_eq!(found("FROM scratch\nENV A=$B${C\n"), [("UndefinedVar", 2)], "found before what is wrong");
    assert_eq!(found("FROM scratch\nEXPOSE 1/TCP 2/icmp 3/UDP\n"), [("ExposeProtoCasing", 2)]);
    assert_eq!(
        found("FROM scratch\nCOPY --from=b $A /\nCOPY $C /\nFROM scratch AS b\n"),
        [("UndefinedVar", 2)]
    );
}

#[test]
fn stages_are_those_of_the_target() {
    let text = "FROM scratch AS a\nCOPY $A /\nFROM scratch AS b\nCOPY $B /\nFROM a AS c\nCOPY $C /\n";
    let lines = |target: Option<&str>| {
        let evaluate = EvaluateOptions { target: target.map(str::to_owned), ..EvaluateOptions::default() };
        let lint = known(text, &LintOptions { evaluate, ..LintOptions::default() });
        lint.findings.iter().map(|finding| finding.lines.0).collect::<Vec<_>>()
    };
    assert_eq!(lines(None), [2, 4, 6]);
    assert_eq!(lines(Some("c")), [2, 6]);
    assert_eq!(lines(Some("b")), [4]);
}

#[test]
fn triggers_count_in_stages_that_are_needed() {
    let text = "FROM scratch AS a\nONBUILD COPY $A /\nFROM a AS b\nFROM a AS c\n";
    assert_eq!(found(text), [("UndefinedVar", 4)]);
}

#[test]
fn what_a_base_sets_is_not_undefined() {
    let text = "FROM python:3.13 AS base\nENV A=$PYTHON_VERSION\nFROM base\nENV B=$C D=$A\n";
    let lines = |config: Option<StageConfig>| {
        let lint = lint(text, &LintOptions::default(), &|_| config.clone());
        lint.findings.iter().map(|finding| finding.lines.0).collect::<Vec<_>>()
    };
    let env = vec![("PYTHON_VERSION".to_owned(), "3.13".to_owned())];
    assert_eq!(lines(Some(StageConfig { env, ..StageConfig::default() })), [4]);
    assert_eq!(lines(Some(StageConfig::default())), [2, 4]);
    assert_eq!(lines(None), Vec::<usize>::new());
}

#[test]
fn rules_are_switched_off_for_the_file_or_an_instruction() {
    let body = "FROM scratch as a\nENV A $B\n# check=skip=UndefinedVar\nENV C $D\n";
    assert_eq!(
        found(body),
        [("FromAsCasing", 1), ("UndefinedVar", 2), ("LegacyKeyValueFormat", 2), ("LegacyKeyValueFormat", 4)]
    );
    assert_eq!(
        found(&format!("# check=skip=LegacyKeyValueFormat,FromAsCasing\n{body}")),
        [("UndefinedVar", 3)]
    );
    assert_eq!(found(&format!("# check=skip=all\n{body}")), []);
    assert_eq!(found(&format!("#!/bin/x\n# check=skip=all\n{body}")), [], "below a `#!` line too");
    assert_ne!(found(&format!(" # check=skip=all\n{body}")), [], "space in front");
}

#[test]
fn a_build_argument_overrides_the_directive() {
    let text = "# check=skip=all\nFROM scratch as a\n";
    let checked = |value: &str| {
        let build_args = BTreeMap::from([("BUILDKIT_DOCKERFILE_CHECK".to_owned(), value.to_owned())]);
        let evaluate = EvaluateOptions { build_args, ..EvaluateOptions::default() };
        known(text, &LintOptions { evaluate, ..LintOptions::default() })
    };
    let lint = checked("error=true");
    assert_eq!((lint.findings.len(), lint.is_strict), (1, true));
    assert!(checked("nonsense").error.is_some());
}

#[test]
fn ignored_sources() {
    let text = |source: &str| format!("FROM scratch\nCOPY {source} /\n");
    let is_found = |source: &str, ignore: &str| {
        !advice("CopyIgnoredFile", &text(source), &[(".dockerignore", ignore), ("a", "")]).is_empty()
    };
    for (source, ignore, expected) in [
        ("a", "a", true),
        ("./x/../a/", "a", true),
        ("a/b", "a", true),
        ("ab", "a", false),
        ("/a", "a", false),
        (".", "*", true),
        (".", "a\n**", true),
        (".", "./*.py", false),
        ("a", "*\n!b", false),
        ("--from=scratch a", "a", false),
    ] {
        assert_eq!(is_found(source, ignore), expected, "{source} {ignore}");
    }
    let added = advice("CopyIgnoredFile", "FROM scratch\nADD a /\n", &[(".dockerignore", "a")]);
    assert_eq!(added, ["Attempting to Add file \"a\" that is excluded by .dockerignore"]);
}

#[test]
fn source_before_the_installation() {
    let files: &[(&str, &str)] = &[("requirements.txt", "a==1\n"), ("app.py", "12345"), ("tests/a.py", "1")];
    let of = |body: &str| advice("SourceBeforeInstall", &format!("FROM a:1\n{body}\n"), files);
    assert_eq!(
        of("COPY . .\nRUN pip install -r requirements.txt"),
        ["A change of any of 2 files (6 bytes) that line 2 copies repeats this installation"]
    );
    for body in [
        "COPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .",
        "COPY . .\nRUN pip install .",
        "COPY . .\nRUN pip install -e .",
        "COPY tests/data .\nRUN pip install a==1",
        "COPY . .\nRUN echo pip install a==1",
    ] {
        assert_eq!(of(body), Vec::<String>::new(), "{body}");
    }
}

#[test]
fn caches_that_are_turned_off() {
    let of = |body: &str| advice("CacheMountDisabled", &format!("FROM a:1\n{body}\n"), &[]).len();
    let mount = "RUN --mount=type=cache,target=/root/.cache/pip pip install a==1";
    assert_eq!(of(mount), 0);
    assert_eq!(of(&format!("{mount} --no-cache-dir")), 1);
    assert_eq!(of(&format!("ENV PIP_NO_CACHE_DIR=1\n{mount}")), 1);
    assert_eq!(of(&format!("ENV PIP_NO_CACHE_DIR=0\n{mount}")), 0);
    assert_eq!(of("RUN pip install --no-cache-dir a==1"), 0);
    assert_eq!(of("RUN --mount=type=cache,target=/root/.cache/uv uv pip install --no-cache a==1"), 1);
}

#[test]
fn requirements_that_are_not_pinned() {
    let of = |body: &str| {
        advice("UnpinnedRequirements", &format!("FROM a:1\n{body}\n"), &[("r.txt", "b\nc==1\n# d\n-r e\n")])
    };
    assert_eq!(of("RUN pip install -r r.txt a"), ["2 of 3 requirements are not pinned, a first"]);
    assert_eq!(of("RUN python -m pip install --upgrade pip setuptools"), Vec::<String>::new());
    assert_eq!(of("RUN pip install -c c.txt a"), Vec::<String>::new());
    assert_eq!(of("RUN pip install a==1 && apt-get install b"), Vec::<String>::new());
}

#[test]
fn litter_in_the_context() {
    let files: &[(&str, &str)] = &[("app/a.py", "1"), (".git/a", "12345"), ("app/__pycache__/a.pyc", "123")];
    let of = |rule, source: &str, more: &[(&str, &str)]| {
        advice(rule, &format!("FROM a:1\nCOPY {source} /\n"), &[files, more].concat())
    };
    let missing = ["There is no .dockerignore, and this copies 8 bytes of .git, __pycache__"];
    assert_eq!(of("IgnoreFileMissing", ".", &[]), missing);
    assert_eq!(
        of("IgnoreFileMissing", "app", &[]),
        ["There is no .dockerignore, and this copies 3 bytes of __pycache__"]
    );
    assert_eq!(of("IgnoreFileMissing", "app/a.py", &[]), Vec::<String>::new());
    let ignore = [(".dockerignore", ".git\n")];
    assert_eq!(of("IgnoreFileMissing", ".", &ignore), Vec::<String>::new());
    assert_eq!(
        of("IgnoreFileIneffective", ".", &ignore),
        ["The ignore file leaves in what this copies: 3 bytes of __pycache__"]
    );
    assert_eq!(
        of("IgnoreFileIneffective", ".", &[(".dockerignore", ".git\n**/__pycache__")]),
        Vec::<String>::new()
    );
    let misplaced = [("app/.dockerignore", ".git\n")];
    assert_eq!(
        of("IgnoreFileMisplaced", ".", &misplaced),
        [
            "`app/.dockerignore` is not read where it lies; in the root it would keep out 8 bytes of .git, __pycache__"
        ]
    );
    assert_eq!(of("IgnoreFileMisplaced", ".", &[]), Vec::<String>::new());
    assert_eq!(of("IgnoreFileMisplaced", ".", &[(".venv/.dockerignore", "")]), Vec::<String>::new());
}

#[test]
fn what_steps_leave_in_layers() {
    let of = |rule, body: &str| advice(rule, &format!("FROM a:1\n{body}\n"), &[("a.py", "123")]).len();
    let update = "RUN apt-get update && apt-get install -y libpq5";
    assert_eq!(of("AptListsKept", update), 1);
    assert_eq!(of("AptListsKept", &format!("{update} && rm -rf /var/lib/apt/lists/*")), 0);
    let mounted = "RUN --mount=type=cache,target=/var/lib/apt apt-get update";
    assert_eq!(of("AptListsKept", mounted), 0);
    assert_eq!(of("AptListsKept", &format!("{update}\nFROM a:1")), 0, "a stage that is not in the image");
    assert_eq!(of("BuildToolsKept", "RUN apt-get install -y gcc=12 libpq5"), 1);
    assert_eq!(of("BuildToolsKept", "RUN apt-get install gcc && make && apt-get purge gcc"), 0);
    assert_eq!(of("BuildToolsKept", "RUN apk add gcc\nFROM a:1"), 0);
    assert_eq!(of("BuildToolsKept", "RUN pip install gcc==1"), 0);
    let change = |body: &str| advice("RecursiveChange", &format!("FROM a:1\n{body}\n"), &[("a.py", "123")]);
    assert_eq!(
        change("COPY . /app\nRUN adduser x && chown -R x /app"),
        ["chown -R writes 3 bytes again that a COPY above brought"]
    );
    assert_eq!(
        change("COPY . /app\nRUN chmod -vR a+r /"),
        ["chmod -R writes 3 bytes again that a COPY above brought"]
    );
    for body in [
        "COPY . /app\nRUN chown x /app",
        "COPY . /app\nRUN chown -R x /srv",
        "RUN chown -R x /app\nCOPY . /app",
    ] {
        assert_eq!(change(body), Vec::<String>::new(), "{body}");
    }
}

#[test]
fn installations_that_fight() {
    let of =
        |body: &str| advice("ConflictingInstalls", &format!("FROM a:1\n{body}\n"), &[("r.txt", "N_P>=2\n")]);
    let fight = ["n-p==1.26 is asked for here, and n-p>=2 in line 2"];
    assert_eq!(of("RUN pip install -r r.txt\nRUN pip install n-p==1.26"), fight);
    assert_eq!(of("RUN pip install n.p==2\nRUN pip install n.p==2"), Vec::<String>::new());
    assert_eq!(of("RUN pip install n.p==2\nRUN pip install n.p"), Vec::<String>::new());
    assert_eq!(of("RUN pip install n==2\nFROM a:1\nRUN pip install n==1"), Vec::<String>::new());
}

#[test]
fn timeouts_and_bases() {
    let of = |rule, text: &str| advice(rule, text, &[]).len();
    for (body, count) in [
        ("RUN pip install --timeout 6000 a==1", 1),
        ("RUN pip --default-timeout=601 install a==1", 1),
        ("RUN pip install --timeout 600 a==1", 0),
        ("ENV PIP_DEFAULT_TIMEOUT=6000", 1),
        ("ENV PIP_DEFAULT_TIMEOUT=60 TIMEOUT=6000", 0),
    ] {
        assert_eq!(of("LongTimeout", &format!("FROM a:1\n{body}\n")), count, "{body}");
    }
    for (text, count) in [
        ("FROM python:latest", 1),
        ("FROM example.org:5000/python", 1),
        ("ARG T=latest\nFROM python:$T AS a\nFROM a", 1),
        ("FROM scratch", 0),
        ("FROM python:3.13 AS a\nFROM a", 0),
        ("FROM python AS unused\nFROM a:1", 0),
    ] {
        assert_eq!(of("UnpinnedBase", text), count, "{text}");
    }
}

#[test]
fn passwords_in_addresses_are_told_and_not_shown() {
    let of = |body: &str| advice("SecretInUrl", &format!("FROM a:1\n{body}\n"), &[]);
    let told = ["The history of the image shows the password for example.org"];
    assert_eq!(of("RUN pip install -i https://me:s3cret@example.org/simple a==1"), told);
    assert_eq!(of("ENV URL=https://:s3cret@example.org/"), told);
    assert_eq!(of("ARG TOKEN=x\nRUN pip install -i https://me:${TOKEN}@example.org/simple a==1"), told);
    for body in [
        "RUN --mount=type=secret,id=t,env=TOKEN pip install -i https://me:${TOKEN}@example.org/simple a==1",
        "RUN curl https://example.org:8080/a@b",
        "RUN git clone ssh://git@example.org/a",
    ] {
        assert_eq!(of(body), Vec::<String>::new(), "{body}");
    }
}

fn fixed(text: &str) -> String {
    let options = EvaluateOptions::default();
    let (fixed, _) = fix(text, &known(text, &LintOptions::default()).findings, &options);
    assert_eq!(fix(&fixed, &known(&fixed, &LintOptions::default()).findings, &options).0, fixed);
    fixed
}

#[test]
fn what_is_mended() {
    let text = "# a comment\nfrom python:3.13 as Base # no\nFROM a AS b\n";
    assert_eq!(fixed(text), text, "a file that cannot be built stays");
    assert_eq!(
        fixed("# syntax\nFROM a as Base\n# why\nrun <<E cat \\\n\n  # c\n\n && true\nrun\nE\nFROM Base\n"),
        "# syntax\nFROM a as Base\n# why\nrun <<E cat \\\n\n  # c\n\n && true\nrun\nE\nFROM Base\n",
        "`FROM Base` is an image, and no name of one"
    );
    assert_eq!(
        fixed(
            "# x\nFROM a as Base\n# why\nrun <<E cat \\\n\n  # c\n\n && true\nrun\nE\nFROM base\nCOPY --from=BASE a b\n"
        ),
        "# x\nFROM a AS base\n# why\nRUN <<E cat \\\n  # c\n && true\nrun\nE\nFROM base\nCOPY --from=BASE a b\n"
    );
    assert_eq!(
        fixed("FROM a\nENV A b\nENV B two words\nLABEL c \"q\"\nENV D it\\'s $A here\nENV E=$D F=1\n"),
        "FROM a\nENV A=b\nENV B=\"two words\"\nLABEL c=\"q\"\nENV D=it\\'s\\ $A\\ here\nENV E=$D F=1\n"
    );
    assert_eq!(fixed("FROM a\nEXPOSE 80/TCP 1.2.3.4:5:6/udp\n"), "FROM a\nEXPOSE 80/tcp 6/udp\n");
}

#[test]
fn what_would_mean_something_else_is_not_mended() {
    for text in [
        "FROM a\nENV A b \\\n  # c\n  d\n",
        "FROM a\nCMD a\n",
        "FROM a\nMAINTAINER me\n",
        "FROM a\nONBUILD ENV A b\nFROM a AS c\n",
    ] {
        assert_eq!(fixed(text), text);
    }
    assert!(lint_rules().filter(|rule| rule.severity == Severity::Experimental).count() == 1);
}

/// The page without what the rules themselves say.
const PAGE: &str = include_str!("../../../../docs/check.md");

/// What the page says of the rules.
fn page_of_rules() -> String {
    let block = |kind: &str, example: Example| {
        let files = example
            .files
            .iter()
            .map(|(path, text)| format!("# {path}: {}\n", text.trim_end().replace('\n', ", ")));
        let files = files.collect::<Vec<_>>().concat();
        format!("{kind}:\n\n```dockerfile\n{}{files}```\n", example.dockerfile)
    };
    let section = |rule: &Rule| {
        let (bad, good) = (block("Bad", rule.bad), block("Good", rule.good));
        format!(
            "### {}\n\n{}.\n{}\n\n{bad}\n{good}\n",
            rule.name,
            rule.summary.trim_end_matches('.'),
            rule.why
        )
    };
    let of = |wanted: &[Severity]| {
        let rules = lint_rules().filter(|rule| wanted.contains(&rule.severity));
        rules.map(section).collect::<String>()
    };
    let (theirs, ours) = (of(&[Severity::Warning, Severity::Experimental]), of(&[Severity::Advice]));
    format!("## Rules of BuildKit\n\n{theirs}## Advice\n\n{ours}")
}

#[test]
fn the_page_says_what_the_rules_say() {
    let written = PAGE.find("## Rules of BuildKit").and_then(|start| PAGE.get(start..));
    let made = page_of_rules();
    if written.map(str::trim_end) != Some(made.trim_end()) {
        let place = concat!(env!("CARGO_TARGET_TMPDIR"), "/check.md");
        std::fs::write(place, made).unwrap();
        panic!(
            "docs/check.md differs from the rules below `## Rules of BuildKit`; what should be there is in {place}"
        );
    }
}
