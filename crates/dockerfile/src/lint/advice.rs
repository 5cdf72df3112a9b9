//! Advice.
use super::walk::Scene; use super::context::LintContext; use super::report::Report;
pub(super) fn advise(_: &Scene, _: &LintContext, _: &mut Report) {}
