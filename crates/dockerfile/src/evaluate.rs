//! What the instructions of one stage come to.

use crate::diagnostic::Diagnostic;
use crate::dockerfile::Dockerfile;
use crate::step::{EvaluateOptions, EvaluatedStage, StageConfig};

/// Works out the stage at `index`, which is built upon an image or stage with the config `base`.
pub fn evaluate_stage(
    _dockerfile: &Dockerfile,
    _index: usize,
    base: StageConfig,
    _options: &EvaluateOptions,
) -> Result<EvaluatedStage, Vec<Diagnostic>> {
    Ok(EvaluatedStage { steps: Vec::new(), config: base })
}
