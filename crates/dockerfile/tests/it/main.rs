//! Tests of the public interface, one module for each subject.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod arguments;
mod config;
mod errors;
mod lint;
mod properties;
mod runs;
mod stages;

use cartwheel_dockerfile::{
    Dockerfile, EvaluateOptions, EvaluatedStage, StageBase, StageConfig, evaluate_stage, needed_stages,
};

/// What the last stage of `text` comes to, images having a variable `BASE` and nothing else.
fn evaluate(text: &str) -> EvaluatedStage {
    evaluate_with(text, &EvaluateOptions::default())
}

fn evaluate_with(text: &str, options: &EvaluateOptions) -> EvaluatedStage {
    let (dockerfile, diagnostics) = Dockerfile::parse(text);
    assert_eq!(diagnostics, [], "{text}");
    let mut stages: Vec<(usize, EvaluatedStage)> = Vec::new();
    for stage in needed_stages(&dockerfile, options).unwrap() {
        let base = match stage.base {
            StageBase::Stage(base) => {
                stages.iter().find(|(index, _)| *index == base).unwrap().1.config.clone()
            }
            _ => StageConfig {
                env: vec![("BASE".to_owned(), "1".to_owned())],
                on_build: options.triggers.get(&stage.index).cloned().unwrap_or_default(),
                cmd: Some(vec!["inherited".to_owned()]),
                ..StageConfig::default()
            },
        };
        let evaluated = evaluate_stage(&dockerfile, stage.index, base, options).unwrap();
        stages.push((stage.index, evaluated));
    }
    stages.pop().unwrap().1
}

/// What the history of the last stage says, without what a base brought.
fn history(text: &str) -> Vec<String> {
    evaluate(text).steps.into_iter().filter_map(|step| step.created_by).collect()
}

#[test]
fn no_test_file_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        assert!(module == "main" || listed.contains(&format!("mod {module};")), "`{name}` is not compiled");
    }
}
