//! `MaintainerDeprecated`.

use crate::lint::report::Report;
use crate::lint::rule::{Example, Rule, Severity};
use crate::syntax::Node;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "MaintainerDeprecated",
    severity: Severity::Warning,
    summary: "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    why: "The author of an image is a field that few tools show. A label is seen by all of them.",
    bad: Example::of("FROM scratch\nMAINTAINER someone@example.org\n"),
    good: Example::of("FROM scratch\nLABEL org.opencontainers.image.authors=\"someone@example.org\"\n"),
};

pub(in crate::lint) fn check(node: &Node, report: &mut Report) {
    if node.keyword.value.eq_ignore_ascii_case("maintainer") {
        let message = "Maintainer instruction is deprecated in favor of using label";
        report.add(&RULE, node.into(), message.to_owned());
    }
}
