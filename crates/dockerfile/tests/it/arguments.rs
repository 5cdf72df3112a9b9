//! Who sees which `ARG`.

use cartwheel_dockerfile::{
    Dockerfile, EvaluateOptions, EvaluatedStage, Platform, SourceDateEpoch, StepKind, source_date_epoch,
};

use crate::{evaluate, evaluate_with, history};

/// The environment of the last `RUN`, without what every image has.
fn env(stage: &EvaluatedStage) -> Vec<String> {
    let run = stage.steps.iter().rev().find_map(|step| match &step.kind {
        StepKind::Run(run) => Some(run),
        _ => None,
    });
    let env = run.unwrap().env.iter().filter(|(name, _)| name != "PATH" && name != "BASE");
    env.map(|(name, value)| format!("{name}={value}")).collect()
}

fn options(build_args: &[(&str, &str)]) -> EvaluateOptions {
    let build_args =
        build_args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    EvaluateOptions { build_args, ..EvaluateOptions::default() }
}

#[test]
fn a_global_argument_is_seen_where_it_is_asked_for() {
    assert_eq!(env(&evaluate("ARG A=1\nFROM x\nRUN y")), Vec::<String>::new());
    assert_eq!(env(&evaluate("ARG A=1\nFROM x\nARG A\nRUN y")), ["A=1"]);
    assert_eq!(env(&evaluate("ARG A=1\nFROM x\nARG A=2\nRUN y")), ["A=2"]);
    assert_eq!(env(&evaluate("ARG A=1\nARG B=${A}2\nFROM x\nARG B\nRUN y")), ["B=12"]);
}

#[test]
fn a_build_argument_wins_over_defaults() {
    let text = "ARG A=1\nFROM x\nARG A=2\nARG B\nRUN y";
    assert_eq!(env(&evaluate_with(text, &options(&[("A", "$3"), ("C", "4")]))), ["A=$3"]);
    let text = "ARG A=1\nFROM x$A\nRUN y";
    let (dockerfile, _) = Dockerfile::parse(text);
    let stages = cartwheel_dockerfile::needed_stages(&dockerfile, &options(&[("A", ":2")])).unwrap();
    assert_eq!(format!("{:?}", stages[0].base), "Image(\"docker.io/library/x:2\")");
}

#[test]
fn a_variable_hides_an_argument() {
    assert_eq!(env(&evaluate("FROM x\nARG A=1\nENV A=2\nRUN y")), ["A=2"]);
    assert_eq!(env(&evaluate("FROM x\nENV A=2\nARG A=1\nRUN y")), ["A=1"], "but not one that comes later");
    assert_eq!(env(&evaluate("FROM x\nARG B=1\nENV C=$B\nENV B=2\nRUN y")), ["C=1", "B=2"]);
}

#[test]
fn a_stage_sees_the_arguments_of_its_base() {
    let text = "FROM x AS one\nARG A=1\nARG B=2\nENV B=3\nFROM one\nRUN y";
    let stage = evaluate(text);
    assert_eq!(env(&stage), ["A=1", "B=3"]);
    assert_eq!(stage.steps[0].created_by.as_deref(), Some("RUN |2 A=1 B=3 /bin/sh -c y # buildkit"));
    assert_eq!(env(&evaluate("FROM x AS one\nARG A=1\nFROM x\nRUN y")), Vec::<String>::new());
}

#[test]
fn the_history_names_arguments() {
    let text = "FROM x\nARG A B=1\nARG C=\"$B 2\"\nARG A=3\nRUN [\"y\", \"z\"]";
    assert_eq!(history(text), ["ARG A B=1", "ARG C=1 2", "ARG A=3", "RUN |3 A=3 B=1 C=1 2 y z # buildkit"]);
}

#[test]
fn platforms_are_predefined() {
    let host = Platform::default();
    let options = EvaluateOptions {
        platform: Platform::parse("linux/arm64/v8", &host).unwrap(),
        target: Some("two".to_owned()),
        ..options(&[("TARGETOS", "given")])
    };
    let text = "FROM x AS one\nFROM x AS two\nARG TARGETPLATFORM\nARG TARGETOS TARGETARCH TARGETVARIANT\n\
                ARG BUILDPLATFORM BUILDVARIANT TARGETSTAGE\nRUN y";
    let expected = [
        "TARGETPLATFORM=linux/arm64/v8",
        "TARGETOS=given",
        "TARGETARCH=arm64",
        "TARGETVARIANT=v8",
        "BUILDPLATFORM=linux/amd64",
        "BUILDVARIANT=",
        "TARGETSTAGE=two",
    ];
    assert_eq!(env(&evaluate_with(text, &options)), expected);
}

#[test]
fn proxies_are_in_no_list_but_their_own() {
    let stage =
        evaluate_with("FROM x\nRUN y", &options(&[("http_proxy", "a"), ("NO_PROXY", "b"), ("OTHER", "c")]));
    let StepKind::Run(run) = &stage.steps[0].kind else { panic!("no command") };
    let proxy = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(run.proxies, [proxy("HTTP_PROXY", "a"), proxy("NO_PROXY", "b")]);
    assert_eq!(env(&stage), Vec::<String>::new());
    assert_eq!(stage.steps[0].created_by.as_deref(), Some("RUN /bin/sh -c y # buildkit"));
}

#[test]
fn the_epoch_is_a_number_or_found_elsewhere() {
    let epoch = |text: &str, given: &[(&str, &str)]| {
        source_date_epoch(&Dockerfile::parse(text).0, &options(given))
            .map_err(|diagnostic| diagnostic.message)
    };
    let given = |value| [("SOURCE_DATE_EPOCH", value)];
    assert_eq!(epoch("FROM x", &[]), Ok(None));
    assert_eq!(epoch("FROM x", &given("12")), Ok(Some(SourceDateEpoch::Seconds(12))));
    assert_eq!(epoch("FROM x", &given("context")), Ok(Some(SourceDateEpoch::Context(None))));
    let source = "FROM scratch AS time\nARG V=1\nADD https://example.org/$V.tar /\nFROM x";
    assert_eq!(epoch(source, &given("time")), Ok(Some(SourceDateEpoch::Stage(0))));
    let local = "FROM scratch AS time\nADD a /\nFROM x";
    let message = "the stage of `SOURCE_DATE_EPOCH` adds something that is not downloaded";
    assert_eq!(epoch(local, &given("time")), Err(message.to_owned()));

    let text = "FROM x\nARG SOURCE_DATE_EPOCH\nRUN y";
    assert_eq!(env(&evaluate_with(text, &options(&given("012")))), ["SOURCE_DATE_EPOCH=12"]);
    assert_eq!(env(&evaluate_with(text, &options(&given("context")))), Vec::<String>::new());
}
