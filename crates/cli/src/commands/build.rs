//! `cartwheel build` and `cartwheel plan`.

mod form;
mod output;
pub(crate) mod run;
pub(crate) mod source;

use std::io::{self, Write};
use std::time::Instant;

use cartwheel_build::{
    BuildOptions, Built, DEFAULT_BUDGET, Epoch, Event, Graph, Images, NoCache, Progress, RunOptions,
    Workshop, execute, lower_dockerfile, lower_project,
};
use cartwheel_oci::{Descriptor, Platform, Reference, RegistryClient, StoreAndOrigins};
use cartwheel_python::FetchOptions;
use cartwheel_store::{Digest, Store};
use serde_json::json;

use crate::args::{BuildArguments, Emit, ProgressMode, RegistryArguments};
use crate::error::Failure;
use crate::registries;
use crate::settings::{self, Settings, dockerfile_platform, host_platform};
use crate::terminal;
use output::{Output, Outputs, Shop};
use source::Origin;

/// Builds an image, for one platform or several.
pub(crate) fn build(arguments: &BuildArguments, registries: &RegistryArguments) -> Result<(), Failure> {
    let rights = run::Rights::take();
    let started = Instant::now();
    let mode = if arguments.quiet { ProgressMode::Quiet } else { arguments.progress };
    let progress = terminal::progress(mode);
    let outputs = Outputs::of(arguments)?;
    let settings = Settings::read()?;
    let store = Store::open(&settings.home)?;
    let origin = source::open(arguments, &settings, &store)?;
    warn_of_dockerfile(arguments, &origin, &*progress);
    let client = registries::client(&settings, registries, mode == ProgressMode::Quiet)?;
    let session = Session::new(arguments, (&settings, rights), (&store, &client), &*progress, &origin)?;
    if let Some(emit) = arguments.emit {
        return session.emit(emit);
    }
    let built: Result<Vec<Built>, Failure> =
        session.platforms().iter().map(|platform| session.build_for(platform)).collect();
    let built = built?;
    let is_quiet = mode == ProgressMode::Quiet;
    let source = StoreAndOrigins { store: &store, client: &client };
    let kept = &outputs.kept;
    let descriptor = form::keep(&built, &kept.form, &kept.names, &source)?;
    let shop = Shop { source, settings: &settings, is_quiet };
    outputs.others.iter().try_for_each(|output| output.write(&built, &shop))?;
    let id = image_id(&built, &descriptor);
    write_results(id, &descriptor, &kept.names, arguments)?;
    if !is_quiet {
        summarise(&built, started, arguments, &outputs.others);
    }
    match outputs.take_stdout() {
        true => Ok(()),
        false if is_quiet => Ok(writeln!(io::stdout(), "{id}")?),
        false => Ok(writeln!(io::stdout(), "{}", descriptor.digest)?),
    }
}

/// What `docker` calls the image: the digest of its config. As in buildx, an index has no one config: its own digest it is.
fn image_id(built: &[Built], descriptor: &Descriptor) -> Digest {
    match built {
        [built] => Digest::of(&built.image.documents().config),
        _ => descriptor.digest,
    }
}

/// `docker build` would build it.
fn warn_of_dockerfile(arguments: &BuildArguments, origin: &Origin, progress: &dyn Progress) {
    let path = arguments.context.join("Dockerfile");
    if let (None, Some(option)) = (&origin.dockerfile, arguments.project.given())
        && path.is_file()
    {
        let path = path.display();
        progress.event(&Event::Warning(format!(
            "`{path}` is not read: `{option}` is for a project without a Dockerfile"
        )));
    }
}

/// Prints what a build would do.
pub(crate) fn plan(arguments: &BuildArguments, registries: &RegistryArguments) -> Result<(), Failure> {
    let settings = Settings::read()?;
    let store = Store::open(&settings.home)?;
    let origin = source::open(arguments, &settings, &store)?;
    let client = registries::client(&settings, registries, true)?;
    let progress = terminal::progress(ProgressMode::Quiet);
    let rights = run::Rights::default();
    Session::new(arguments, (&settings, rights), (&store, &client), &*progress, &origin)?
        .emit(arguments.emit.unwrap_or(Emit::Plan))
}

/// One run of the command.
struct Session<'a> {
    arguments: &'a BuildArguments,
    settings: &'a Settings,
    store: &'a Store,
    client: &'a RegistryClient,
    progress: &'a dyn Progress,
    origin: &'a Origin,
    epoch: Epoch,
    /// The current time, RFC 3339.
    now: String,
    run: RunOptions,
}

impl<'a> Session<'a> {
    fn new(
        arguments: &'a BuildArguments,
        (settings, rights): (&'a Settings, run::Rights),
        (store, client): (&'a Store, &'a RegistryClient),
        progress: &'a dyn Progress,
        origin: &'a Origin,
    ) -> Result<Self, Failure> {
        let epoch = origin.epoch(settings)?;
        let now = settings::now(epoch)?;
        let run = run::options(&arguments.run, settings, rights)?;
        Ok(Self { arguments, settings, store, client, progress, origin, epoch, now, run })
    }

    fn platforms(&self) -> Vec<Platform> {
        if self.arguments.platforms.is_empty() {
            return vec![host_platform()];
        }
        self.arguments.platforms.clone()
    }

    fn images(&self) -> Images<'_> {
        Images::new(self.store)
            .with_registries(self.client, self.arguments.pull)
            .with_own(&self.arguments.own_images)
    }

    fn build_for(&self, platform: &Platform) -> Result<Built, Failure> {
        let images = self.images();
        let graph = self.graph(platform, &images)?;
        let workshop = Workshop { store: self.store, images: &images, contexts: &self.origin.contexts };
        Ok(execute(&workshop, &graph, &self.options(), self.progress)?)
    }

    fn graph(&self, platform: &Platform, images: &Images<'_>) -> Result<Graph, Failure> {
        if let Some(dockerfile) = &self.origin.dockerfile {
            let mut dockerfile = dockerfile.clone();
            dockerfile.options.platform = dockerfile_platform(platform);
            let config_of =
                |reference: &_, platform: &_| Ok(images.open(reference, platform)?.config().clone());
            return Ok(lower_dockerfile(&dockerfile, &config_of)?);
        }
        let (context, base, options) = self.origin.project(&self.arguments.project)?;
        Ok(lower_project(context, base, platform, &options)?)
    }

    fn options(&self) -> BuildOptions<'_> {
        let settings = self.settings;
        let anew = if self.arguments.no_cache {
            NoCache::All
        } else if self.arguments.no_cache_filter.is_empty() {
            NoCache::None
        } else {
            NoCache::Stages(self.arguments.no_cache_filter.clone())
        };
        BuildOptions {
            names: &self.arguments.tags,
            uv: settings.uv.clone(),
            interpreter: settings.interpreter.clone(),
            index: settings.index.clone(),
            variables: settings.variables.clone(),
            no_cache: anew,
            epoch: self.epoch,
            run: self.run.clone(),
            budget: DEFAULT_BUDGET,
            labels: self
                .arguments
                .labels
                .iter()
                .map(|label| (label.key.clone(), label.value.clone()))
                .collect(),
            fetch: FetchOptions {
                certificates: settings.index.certificates.clone(),
                trusted_hosts: settings.index.trusted_hosts.clone(),
                ..FetchOptions::default()
            },
            git: settings.git.clone(),
            netrc: settings.netrc.clone(),
            now: &self.now,
        }
    }

    fn emit(&self, emit: Emit) -> Result<(), Failure> {
        for platform in self.platforms() {
            let images = self.images();
            let graph = self.graph(&platform, &images)?;
            match emit {
                Emit::Graph => print!("{graph}"),
                Emit::Plan => {
                    let workshop =
                        Workshop { store: self.store, images: &images, contexts: &self.origin.contexts };
                    print!("{}", cartwheel_build::plan(&workshop, &graph, &self.options(), self.progress)?);
                }
            }
        }
        Ok(())
    }
}

/// The files that scripts read: as `docker buildx build` writes them.
fn write_results(
    id: Digest,
    descriptor: &Descriptor,
    names: &[Reference],
    arguments: &BuildArguments,
) -> Result<(), Failure> {
    if let Some(path) = &arguments.iidfile {
        std::fs::write(path, id.to_string()).map_err(Failure::io("write", path))?;
    }
    if let Some(path) = &arguments.metadata_file {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut metadata = json!({
            "containerimage.config.digest": id,
            "containerimage.descriptor": descriptor,
            "containerimage.digest": descriptor.digest,
        });
        if !names.is_empty() {
            metadata["image.name"] = json!(names.join(","));
        }
        let text = format!("{metadata:#}\n");
        std::fs::write(path, text).map_err(Failure::io("write", path))?;
    }
    Ok(())
}

fn summarise(built: &[Built], started: Instant, arguments: &BuildArguments, outputs: &[Output]) {
    let names: Vec<String> = arguments.tags.iter().map(Reference::familiar).collect();
    let name = if names.is_empty() { String::new() } else { format!(" {}", names.join(" ")) };
    let places: Vec<String> = outputs.iter().map(ToString::to_string).collect();
    let written =
        if places.is_empty() { String::new() } else { format!(", written to {}", places.join(", ")) };
    let made: usize = built.iter().map(|built| built.made).sum();
    let reused: usize = built.iter().map(|built| built.reused).sum();
    let took = started.elapsed().as_secs_f64();
    eprintln!("built{name} in {took:.2}s: {made} layers made, {reused} reused{written}");
}
