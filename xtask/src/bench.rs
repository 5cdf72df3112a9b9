//! `bench`: the suite of `bench/`, over real wheels, and whole builds against Docker's.

mod builders;
mod builds;

pub(crate) use builds::run as builds;

use crate::project::Project;
use crate::{Result, command, fixtures, test};

/// Provides the wheel sets and runs the suite over each; further arguments are the suite's own.
pub(crate) fn run(project: &Project, full: bool, arguments: &[&str]) -> Result {
    fixtures::run(project, full)?;
    let sets = if full { &["light", "medium", "full"][..] } else { &["light", "medium"] };
    let mut bench = test::cargo(project);
    bench.args(["run", "--release", "--package", "cartwheel-bench", "--"]);
    bench.args(sets.iter().map(|set| project.fixtures().join("wheels").join(set))).args(arguments);
    command::shown(&mut bench)
}
