//! The rules about time and space, one file each.

mod apt_lists_kept;
mod build_tools_kept;
mod cache_mount_disabled;
mod conflicting_installs;
mod ignore_file_ineffective;
mod ignore_file_misplaced;
mod ignore_file_missing;
mod long_timeout;
mod recursive_change;
mod secret_in_url;
mod source_before_install;
mod unpinned_base;
mod unpinned_requirements;

use crate::lint::LintContext;
use crate::lint::report::Report;
use crate::lint::rule::Rule;
use crate::lint::scene::Scene;

/// A rule and what asks it.
type Adviser = fn(&Scene, &LintContext, &mut Report);

/// All of them.
static ADVICE: &[(&Rule, Adviser)] = &[
    (&apt_lists_kept::RULE, apt_lists_kept::check),
    (&build_tools_kept::RULE, build_tools_kept::check),
    (&cache_mount_disabled::RULE, cache_mount_disabled::check),
    (&conflicting_installs::RULE, conflicting_installs::check),
    (&ignore_file_ineffective::RULE, ignore_file_ineffective::check),
    (&ignore_file_misplaced::RULE, ignore_file_misplaced::check),
    (&ignore_file_missing::RULE, ignore_file_missing::check),
    (&long_timeout::RULE, long_timeout::check),
    (&recursive_change::RULE, recursive_change::check),
    (&secret_in_url::RULE, secret_in_url::check),
    (&source_before_install::RULE, source_before_install::check),
    (&unpinned_base::RULE, unpinned_base::check),
    (&unpinned_requirements::RULE, unpinned_requirements::check),
];

/// Asks all rules.
pub(super) fn advise(scene: &Scene, context: &LintContext, report: &mut Report) {
    for (_, check) in ADVICE {
        check(scene, context, report);
    }
}

/// The rules.
pub(super) fn rules() -> impl Iterator<Item = &'static Rule> {
    ADVICE.iter().map(|(rule, _)| *rule)
}
