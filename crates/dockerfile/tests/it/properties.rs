//! Whatever the text is, reading it ends, and every place lies in it.

use cartwheel_dockerfile::{
    Dockerfile, EvaluateOptions, LintOptions, Node, Span, StageConfig, Syntax, evaluate_stage, fix, lint,
    needed_stages,
};
use proptest::prelude::*;

/// Pieces of which Dockerfiles are made, and of which mistakes are made.
const PIECES: &[&str] = &[
    "FROM a",
    " AS b",
    "RUN ",
    "COPY ",
    "--from=b",
    "--mount=type=cache,target=/c",
    "ENV ",
    "x=y",
    " ",
    "\\\n",
    "\n",
    "\r\n",
    "#",
    "# escape=`\n",
    "`",
    "'",
    "\"",
    "[",
    "]",
    ",",
    "$",
    "${",
    "}",
    "<<E",
    "<<-'E'",
    "E\n",
    "\t",
    "é",
    "\u{a0}",
    "ONBUILD ",
    "HEALTHCHECK ",
    "CMD ",
    "ARG ",
    "LABEL ",
    "\u{feff}",
    "=",
    ":",
    "-",
    "/",
    "--",
    "\\",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => proptest::collection::vec(proptest::sample::select(PIECES).prop_map(str::to_owned), 0..40),
        1 => proptest::collection::vec(".{0,20}", 0..8),
    ]
    .prop_map(|pieces| pieces.concat())
}

/// Lines that are right, most of them with something to mend.
const LINES: &[&str] = &[
    "from a as Stage",
    "FROM a as b",
    "FROM b AS c",
    "# a comment",
    "",
    "env A b",
    "ENV A 'b c' \"$D\"",
    "LABEL a b\\ c $A",
    "ENV A b \\\n\n  # c\n  d",
    "EXPOSE 1/TCP 2:3 4",
    "run true \\\n\n && false",
    "RUN <<E\nrun as\n\n# x\nE",
    "COPY --from=STAGE a b",
    "onbuild env A b",
    "ARG A=1 b",
    "CMD a",
];

fn dockerfile() -> impl Strategy<Value = String> {
    let lines = proptest::collection::vec(proptest::sample::select(LINES), 1..12);
    let start = proptest::sample::select(&["", "# escape=`\n", "# check=skip=FromAsCasing\n"][..]);
    (start, lines).prop_map(|(start, lines)| format!("{start}FROM a\n{}\n", lines.join("\n")))
}

/// Everything that an image of the last stage would show, and the comments and heredocs.
fn shown(text: &str) -> (Vec<Option<String>>, StageConfig, Vec<String>, Vec<String>) {
    let (dockerfile, _) = Dockerfile::parse(text);
    let index = dockerfile.stages.len() - 1;
    let evaluated =
        evaluate_stage(&dockerfile, index, StageConfig::default(), &EvaluateOptions::default()).unwrap();
    let steps = evaluated.steps.into_iter().map(|step| step.created_by).collect();
    let comments =
        text.lines().filter(|line| line.trim_start().starts_with('#')).map(str::to_owned).collect();
    let heredocs = Syntax::parse(text).0.nodes.into_iter().flat_map(|node| node.heredocs);
    (steps, evaluated.config, comments, heredocs.map(|heredoc| heredoc.content).collect())
}

fn spans(node: &Node) -> Vec<Span> {
    let mut spans = vec![node.span, node.keyword.span];
    spans.extend(node.flags.iter().chain(&node.arguments).map(|word| word.span));
    spans.extend(node.heredocs.iter().map(|heredoc| heredoc.span));
    spans.extend(node.trigger.iter().flat_map(|trigger| self::spans(trigger)));
    spans
}

fn lies_in(span: Span, text: &str) -> bool {
    span.start <= span.end && text.get(span.start..span.end).is_some()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spans_lie_in_the_text(text in text()) {
        let (syntax, diagnostics) = Syntax::parse(&text);
        for node in &syntax.nodes {
            for span in spans(node) {
                prop_assert!(lies_in(span, &text), "{span:?} of {node:?}");
            }
            prop_assert_eq!(node.span.start, node.keyword.span.start);
            for heredoc in &node.heredocs {
                prop_assert_eq!(heredoc.span.of(&text), &heredoc.content);
            }
        }
        for diagnostic in diagnostics {
            prop_assert!(lies_in(diagnostic.span, &text), "{diagnostic:?}");
        }
    }

    #[test]
    fn everything_ends(text in text()) {
        let (dockerfile, diagnostics) = Dockerfile::parse(&text);
        for diagnostic in &diagnostics {
            prop_assert!(lies_in(diagnostic.span, &text), "{diagnostic:?}");
            prop_assert!(diagnostic.render("Dockerfile", &text).contains('^'));
        }
        let options = EvaluateOptions::default();
        let stages = needed_stages(&dockerfile, &options).unwrap_or_default();
        for stage in stages {
            let wrong = evaluate_stage(&dockerfile, stage.index, StageConfig::default(), &options).err();
            for diagnostic in wrong.into_iter().flatten() {
                prop_assert!(lies_in(diagnostic.span, &text), "{diagnostic:?}");
            }
        }
    }

    #[test]
    fn checks_end_and_find_places_in_the_text(text in text()) {
        let lint = lint(&text, &LintOptions::default(), &|_| Some(StageConfig::default()));
        for finding in &lint.findings {
            prop_assert!(lies_in(finding.span, &text), "{finding:?}");
            prop_assert!(finding.lines.0 <= finding.lines.1 && finding.lines.1 <= text.lines().count());
        }
        let (fixed, count) = fix(&text, &lint.findings, &EvaluateOptions::default());
        prop_assert_eq!(fixed == text, count == 0);
    }

    #[test]
    fn what_is_mended_means_the_same(text in dockerfile()) {
        let options = LintOptions::default();
        let findings = |text: &str| lint(text, &options, &|_| Some(StageConfig::default())).findings;
        let (fixed, count) = fix(&text, &findings(&text), &options.evaluate);
        prop_assert!(findings(&fixed).len() <= findings(&text).len());
        if count > 0 {
            prop_assert_eq!(shown(&text), shown(&fixed));
        }
    }

    #[test]
    fn a_line_can_be_broken_anywhere(words in proptest::collection::vec("[a-z]{1,5}", 1..6)) {
        let whole = format!("FROM a\nRUN {}", words.join(" "));
        let broken = format!("FROM a\nRUN {}", words.join(" \\\n# comment\n\n"));
        let arguments = |text: &str| Syntax::parse(text).0.nodes[1].flat_arguments();
        prop_assert_eq!(arguments(&whole), arguments(&broken));
    }
}

/// What would take a stack of its own if it were read level by level.
#[test]
fn depth_does_not_matter() {
    let deep = 15_000;
    let stages = (1..deep).map(|stage| format!("FROM a\nCOPY --from={} b c\n", stage - 1));
    for text in [
        format!("FROM a\n{}RUN b", "ONBUILD ".repeat(deep)),
        format!("FROM a\nENV b={}", "${c:-".repeat(deep)),
        format!("FROM a\nCMD {}", "[".repeat(deep)),
        format!("FROM a\n{}", stages.collect::<String>()),
    ] {
        let (dockerfile, _) = Dockerfile::parse(&text);
        let options = EvaluateOptions::default();
        let stages = needed_stages(&dockerfile, &options).unwrap();
        assert_eq!(stages.last().unwrap().index, dockerfile.stages.len() - 1);
        let _ = evaluate_stage(&dockerfile, 0, StageConfig::default(), &options);
    }
}
