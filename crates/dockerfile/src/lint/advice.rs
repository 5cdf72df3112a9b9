//! Advice.
use super::context::LintContext;
use super::report::Report;
use super::walk::Scene;
pub(super) fn advise(_: &Scene, _: &LintContext, _: &mut Report) {}
