//! `fixtures`: what tests, demo and bench read, made once.

use crate::project::Project;
use crate::wheels::{FULL, LIGHT, MEDIUM};
use crate::{Result, base_image, tools};

/// Provides the fixtures; the full wheel set only if asked for, because it is 3 GB.
pub(crate) fn run(project: &Project, full: bool) -> Result {
    base_image::provide(project)?;
    let tools = tools::provide(project)?;
    LIGHT.provide(project, &tools)?;
    MEDIUM.provide(project, &tools)?;
    if full {
        FULL.provide(project, &tools)?;
    }
    println!("fixtures: in {}", project.fixtures().display());
    Ok(())
}
