//! Which stages are needed, and what they are built upon.

use cartwheel_dockerfile::{
    CopyFrom, Dockerfile, EvaluateOptions, NeededStage, Platform, StageBase, StageConfig, StepKind,
    evaluate_stage, needed_stages,
};

use crate::evaluate;

fn needed(text: &str, options: &EvaluateOptions) -> Vec<NeededStage> {
    let (dockerfile, diagnostics) = Dockerfile::parse(text);
    assert_eq!(diagnostics, []);
    needed_stages(&dockerfile, options).unwrap()
}

fn indices(text: &str, options: &EvaluateOptions) -> Vec<usize> {
    needed(text, options).iter().map(|stage| stage.index).collect()
}

fn target(name: &str) -> EvaluateOptions {
    EvaluateOptions { target: Some(name.to_owned()), ..EvaluateOptions::default() }
}

const FOUR: &str = "FROM a AS one\nFROM b AS two\nFROM one AS Three\nCOPY --from=TWO x y\nFROM c\nCOPY --from=0 x y\n\
                    RUN --mount=from=image,target=/z z\n";

#[test]
fn only_what_the_target_needs() {
    assert_eq!(indices(FOUR, &EvaluateOptions::default()), [0, 3]);
    assert_eq!(indices(FOUR, &target("three")), [0, 1, 2]);
    assert_eq!(indices(FOUR, &target("TWO")), [1]);
}

#[test]
fn mounts_and_triggers_need_stages() {
    let text = "FROM a AS one\nFROM a AS two\nFROM a AS base\nONBUILD COPY --from=one x y\nFROM base\n\
                RUN --mount=type=cache,from=two,target=/z z";
    assert_eq!(indices(text, &EvaluateOptions::default()), [0, 1, 2, 3]);
    assert_eq!(indices(text, &target("base")), [2], "a trigger is not for the stage that has it");
}

#[test]
fn triggers_of_images_are_told_later() {
    let text = "FROM a AS one\nFROM b";
    let mut options = EvaluateOptions::default();
    assert_eq!(indices(text, &options), [1]);
    options.triggers.insert(1, vec!["COPY --from=one x y".to_owned()]);
    assert_eq!(indices(text, &options), [0, 1]);
    let (dockerfile, _) = Dockerfile::parse(text);
    let base = StageConfig { on_build: vec!["COPY --from=one x y".to_owned()], ..StageConfig::default() };
    let stage = evaluate_stage(&dockerfile, 1, base, &EvaluateOptions::default()).unwrap();
    assert_eq!(stage.steps[0].text, "ONBUILD COPY --from=one x y");
    assert_eq!((stage.steps[0].line, stage.config.on_build.len()), (2, 0));
    let StepKind::Copy(copy) = &stage.steps[0].kind else { panic!("no copy") };
    assert_eq!(copy.from, CopyFrom::Stage(0));
}

#[test]
fn names_mean_what_is_above_in_from_and_the_last_one_elsewhere() {
    let text = "FROM a AS x\nFROM x AS x\nFROM x AS y\nFROM b AS x\nFROM c\nCOPY --from=x d e";
    assert_eq!(indices(text, &EvaluateOptions::default()), [3, 4]);
    let bases: Vec<StageBase> = needed(text, &target("y")).into_iter().map(|stage| stage.base).collect();
    let image = StageBase::Image("docker.io/library/a:latest".to_owned());
    assert_eq!(bases, [image, StageBase::Stage(0), StageBase::Stage(1)]);
}

#[test]
fn bases_are_completed() {
    let text = "ARG TAG=1\nFROM --platform=$BUILDPLATFORM example.org/a:$TAG";
    let options = EvaluateOptions {
        build_platform: Platform::parse("linux/arm/v7", &Platform::default()).unwrap(),
        ..EvaluateOptions::default()
    };
    let stage = needed(text, &options).remove(0);
    assert_eq!(stage.base, StageBase::Image("example.org/a:1".to_owned()));
    assert_eq!(stage.platform.unwrap().to_string(), "linux/arm/v7");
    assert_eq!(stage.span.of(text), "FROM --platform=$BUILDPLATFORM example.org/a:$TAG");
    assert_eq!(needed("FROM scratch", &options)[0].base, StageBase::Scratch);
}

#[test]
fn named_contexts_stand_for_stages_and_images() {
    let contexts = ["docker.io/library/a:latest", "two", "scratch"].map(str::to_owned).into();
    let options = EvaluateOptions { contexts, ..EvaluateOptions::default() };
    let text = "FROM a AS one\nFROM x AS two\nRUN never\nFROM two\nCOPY --from=a:latest b c\nCOPY --from=scratch b c";
    let stages = needed(text, &options);
    let bases: Vec<&StageBase> = stages.iter().map(|stage| &stage.base).collect();
    assert_eq!(bases, [&StageBase::Context("two".to_owned()), &StageBase::Stage(1)]);
    let (dockerfile, _) = Dockerfile::parse(text);
    let replaced = evaluate_stage(&dockerfile, 1, StageConfig::default(), &options).unwrap();
    assert_eq!(replaced.steps, []);
    let last = evaluate_stage(&dockerfile, 2, StageConfig::default(), &options).unwrap();
    let from = last.steps.iter().map(|step| match &step.kind {
        StepKind::Copy(copy) => copy.from.clone(),
        kind => panic!("no copy: {kind:?}"),
    });
    assert_eq!(
        from.collect::<Vec<_>>(),
        [CopyFrom::NamedContext("docker.io/library/a:latest".to_owned()), CopyFrom::Scratch]
    );
}

#[test]
fn what_a_context_stands_for_may_come_later() {
    let contexts = ["two".to_owned()].into();
    let options = EvaluateOptions { contexts, target: Some("one".to_owned()), ..EvaluateOptions::default() };
    assert_eq!(indices("FROM a AS one\nCOPY --from=two b c\nFROM a AS two", &options), [1, 0]);
}

#[test]
fn triggers_run_once_and_first() {
    let text =
        "FROM a AS one\nONBUILD ENV A=1\nONBUILD RUN <<E\nb $A\nE\nFROM one AS two\nRUN c\nFROM two\nRUN d";
    let steps = |target: &str| {
        let stage = crate::evaluate_with(text, &self::target(target));
        stage.steps.into_iter().map(|step| step.text).collect::<Vec<_>>()
    };
    assert_eq!(steps("two"), ["ONBUILD ENV A=1", "ONBUILD RUN <<E (b 1)", "RUN c"]);
    assert_eq!(evaluate(text).steps.len(), 1);
}
