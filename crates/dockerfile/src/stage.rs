//! Which stages a build needs.

use crate::diagnostic::Diagnostic;
use crate::dockerfile::Dockerfile;
use crate::step::{EvaluateOptions, NeededStage};

/// The stages that the target cannot do without, each behind those that it needs; the target is the last.
pub fn needed_stages(
    _dockerfile: &Dockerfile,
    _options: &EvaluateOptions,
) -> Result<Vec<NeededStage>, Vec<Diagnostic>> {
    Ok(Vec::new())
}
