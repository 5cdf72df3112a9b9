//! `cartwheel compose`.

mod bake;
mod service;

use std::collections::BTreeSet;
use std::env;
use std::path::Path;

use cartwheel_build::Event;
use cartwheel_compose::{LoadOptions, Project, Service};

use crate::args::{
    ComposeArguments, ComposeBuildArguments, ComposeCommand, ComposeConfigArguments, ProgressMode,
    RegistryArguments,
};
use crate::error::Failure;
use crate::settings::Settings;
use crate::terminal;
use service::Wishes;

/// Reads Compose files and does with them what was asked for.
pub(crate) fn compose(arguments: &ComposeArguments, registries: &RegistryArguments) -> Result<(), Failure> {
    if let Some(file) = arguments.files.iter().find(|file| is_bake_file(file)) {
        let message = format!("`{}` is a bake file, which is not read yet", file.display());
        return Err(Failure::user(message).with_hint("`docker buildx bake --print` shows what its targets are: build each with `cartwheel build`, or describe them in a Compose file"));
    }
    let settings = Settings::read()?;
    match &arguments.command {
        ComposeCommand::Build(build) => {
            let project = load(arguments, &settings, false)?;
            run(&project, build, &settings, registries)
        }
        ComposeCommand::Config(config) => {
            let project = load(arguments, &settings, true)?;
            warn_of_unset(&project, ProgressMode::Quiet);
            list(&project, config);
            Ok(())
        }
    }
}

fn is_bake_file(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.extension().is_some_and(|extension| extension == "hcl") || name.starts_with("docker-bake.")
}

fn load(
    arguments: &ComposeArguments,
    settings: &Settings,
    checks_env_files: bool,
) -> Result<Project, Failure> {
    let current_directory = env::current_dir().map_err(Failure::io("find", Path::new(".")))?;
    Ok(Project::load(&LoadOptions {
        files: arguments.files.clone(),
        project_directory: arguments.project_directory.clone(),
        name: arguments.project_name.clone(),
        profiles: arguments.profiles.clone(),
        env_files: arguments.env_files.clone(),
        variables: settings.variables.clone(),
        current_directory,
        checks_env_files,
    })?)
}

/// One after the other: each build uses every core and the terminal, and finds the layers of those before it.
fn run(
    project: &Project,
    build: &ComposeBuildArguments,
    settings: &Settings,
    registries: &RegistryArguments,
) -> Result<(), Failure> {
    let services = project.build_order(&build.services, build.with_dependencies)?;
    let mode = if build.quiet { ProgressMode::Quiet } else { build.progress };
    warn_of_unset(project, mode);
    if services.is_empty() {
        warn("there is nothing to build: no service has a `build`".to_owned(), mode);
    }
    if build.print {
        println!("{:#}", bake::file(project, &services, build));
        return Ok(());
    }
    // What cannot be done is said before anything is.
    let wishes = Wishes { project, build, settings };
    let builds: Vec<_> =
        services.iter().map(|service| wishes.arguments(service)).collect::<Result<_, _>>()?;
    for (service, arguments) in services.into_iter().zip(&builds) {
        super::build(arguments, registries).map_err(|failure| failure.within(could_not(service)))?;
    }
    Ok(())
}

fn could_not(service: &Service) -> String {
    format!("{}: could not build service `{}`", service.place, service.name)
}

fn warn_of_unset(project: &Project, mode: ProgressMode) {
    let mut told = BTreeSet::new();
    for unset in &project.unset_variables {
        if told.insert(&unset.name) {
            warn(format!("{}: variable `{}` is not set, and empty here", unset.place, unset.name), mode);
        }
    }
}

fn warn(message: String, mode: ProgressMode) {
    terminal::progress(mode).event(&Event::Warning(message));
}

fn list(project: &Project, config: &ComposeConfigArguments) {
    for service in project.services.values() {
        if config.services {
            println!("{}", service.name);
        } else if config.images {
            println!("{}", project.image_name(service));
        }
    }
}
