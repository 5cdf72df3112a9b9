//! `cartwheel build`.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use cartwheel_build::{
    BuildContext, Built, DEFAULT_BUDGET, Event, ExecuteOptions, Graph, Plan, PlanOptions, Progress,
    ProjectOptions, execute, lower_project, pin,
};
use cartwheel_oci::{
    ArchiveKind, ArchiveWriter, Documents, Image, LayoutWriter, Reference, copy, write_and_rename,
};
use cartwheel_python::FetchOptions;
use cartwheel_store::{Digest, Store};
use serde_json::json;

use crate::args::{BuildArguments, Emit, OutputSpec, ProgressMode};
use crate::error::Failure;
use crate::settings::{Settings, host_platform};
use crate::terminal;

/// Builds a project.
pub(crate) fn build(arguments: &BuildArguments) -> Result<(), Failure> {
    let started = Instant::now();
    let mode = if arguments.quiet { ProgressMode::Quiet } else { arguments.progress };
    let progress = terminal::progress(mode);
    let context = BuildContext::read(&arguments.context)?;
    warn_of_dockerfile(&context, &*progress);
    let graph = lower_project(&context, arguments.base.clone(), &project_options(arguments))?;
    if arguments.emit == Some(Emit::Graph) {
        print!("{graph}");
        return Ok(());
    }
    refuse_terminal(arguments.output.as_ref())?;
    let settings = Settings::read()?;
    let store = Store::open(&settings.home)?;
    let plan = plan(&store, &graph, &context, &settings, arguments)?;
    if arguments.emit == Some(Emit::Plan) {
        print!("{plan}");
        return Ok(());
    }
    let built = run(&store, &plan, &settings, &arguments.tags, &*progress)?;
    if let Some(output) = &arguments.output {
        write(&built.image, &arguments.tags, &store, output)?;
    }
    let documents = built.image.documents();
    write_results(&documents, arguments)?;
    if mode != ProgressMode::Quiet {
        summarise(&built, started, &arguments.tags, arguments.output.as_ref());
    }
    if to_stdout(arguments.output.as_ref()) {
        Ok(())
    } else {
        Ok(writeln!(io::stdout(), "{}", documents.descriptor.digest)?)
    }
}

fn project_options(arguments: &BuildArguments) -> ProjectOptions {
    ProjectOptions {
        requirements: arguments.requirements.clone(),
        entrypoint: arguments.entrypoint.clone().map(|words| words.0),
        cmd: arguments.cmd.clone().map(|words| words.0),
        user: arguments.user.clone(),
    }
}

/// `docker build` would build it; this version does not, and says so.
fn warn_of_dockerfile(context: &BuildContext, progress: &dyn Progress) {
    let path = context.root().join("Dockerfile");
    if path.is_file() {
        let path = path.display();
        progress.event(&Event::Warning(format!(
            "`{path}` is not read: the image is built from the project's requirements"
        )));
    }
}

fn plan(
    store: &Store,
    graph: &Graph,
    context: &BuildContext,
    settings: &Settings,
    arguments: &BuildArguments,
) -> Result<Plan, Failure> {
    let options = PlanOptions {
        platform: arguments.platform.clone().unwrap_or_else(host_platform),
        uv: settings.uv.clone(),
        interpreter: settings.interpreter.clone(),
        index: settings.index.clone(),
        variables: settings.variables.clone(),
        names: arguments.tags.clone(),
        no_cache: arguments.no_cache,
        epoch: settings.epoch,
        budget: DEFAULT_BUDGET,
    };
    Ok(pin(store, graph, context, &options)?)
}

fn run(
    store: &Store,
    plan: &Plan,
    settings: &Settings,
    names: &[Reference],
    progress: &dyn Progress,
) -> Result<Built, Failure> {
    let mut credentials = plan.credentials.clone();
    if let Some(netrc) = &settings.netrc {
        credentials.add_netrc(netrc);
    }
    let fetch = FetchOptions {
        credentials,
        certificates: settings.index.certificates.clone(),
        trusted_hosts: settings.index.trusted_hosts.clone(),
        ..FetchOptions::default()
    };
    let options = ExecuteOptions { names, fetch: &fetch, now: &settings.now };
    Ok(execute(store, plan, &options, progress)?)
}

fn to_stdout(output: Option<&OutputSpec>) -> bool {
    matches!(output, Some(OutputSpec::OciArchive(path) | OutputSpec::DockerArchive(path)) if path == Path::new("-"))
}

fn refuse_terminal(output: Option<&OutputSpec>) -> Result<(), Failure> {
    if to_stdout(output) && io::stdout().is_terminal() {
        return Err(Failure::user(
            "an archive is not written to a terminal: redirect standard output".to_owned(),
        ));
    }
    Ok(())
}

fn write(image: &Image, names: &[Reference], store: &Store, output: &OutputSpec) -> Result<(), Failure> {
    match output {
        OutputSpec::Layout(path) => {
            copy(image, names, store, &mut LayoutWriter::create(path)?)?;
        }
        OutputSpec::OciArchive(path) => archive(image, names, store, (path, ArchiveKind::Oci))?,
        OutputSpec::DockerArchive(path) => archive(image, names, store, (path, ArchiveKind::Docker))?,
    }
    Ok(())
}

fn archive(
    image: &Image,
    names: &[Reference],
    store: &Store,
    (path, kind): (&PathBuf, ArchiveKind),
) -> Result<(), Failure> {
    if path == Path::new("-") {
        copy(image, names, store, &mut ArchiveWriter::new(io::stdout().lock(), kind))?;
        return Ok(());
    }
    let fill = |file: &mut File| {
        let mut sink = ArchiveWriter::new(io::BufWriter::with_capacity(1 << 20, file), kind);
        copy(image, names, store, &mut sink).map_err(io::Error::other)?;
        sink.into_inner().flush()
    };
    Ok(write_and_rename(path, fill)?)
}

/// The files that scripts read: as `docker buildx build` writes them.
fn write_results(documents: &Documents, arguments: &BuildArguments) -> Result<(), Failure> {
    let config = Digest::of(&documents.config);
    if let Some(path) = &arguments.iidfile {
        std::fs::write(path, config.to_string()).map_err(Failure::io("write", path))?;
    }
    if let Some(path) = &arguments.metadata_file {
        let names: Vec<String> = arguments.tags.iter().map(ToString::to_string).collect();
        let mut metadata = json!({
            "containerimage.config.digest": config,
            "containerimage.descriptor": documents.descriptor,
            "containerimage.digest": documents.descriptor.digest,
        });
        if !names.is_empty() {
            metadata["image.name"] = json!(names.join(","));
        }
        let text = format!("{metadata:#}\n");
        std::fs::write(path, text).map_err(Failure::io("write", path))?;
    }
    Ok(())
}

fn summarise(built: &Built, started: Instant, names: &[Reference], output: Option<&OutputSpec>) {
    let names: Vec<String> = names.iter().map(Reference::familiar).collect();
    let name = if names.is_empty() { String::new() } else { format!(" {}", names.join(" ")) };
    let written = output.map(|output| format!(", written to {output}")).unwrap_or_default();
    let (made, reused) = (built.made, built.reused);
    let took = started.elapsed().as_secs_f64();
    eprintln!("built{name} in {took:.2}s: {made} layers made, {reused} reused{written}");
}
