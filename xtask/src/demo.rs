//! `demo`: the main job, from this checkout to an image that answers over HTTP.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::container::{self, Bundle};
use crate::project::{self, Project};
use crate::{Result, base_image, command, http, peers, test, tools};

const CONTEXT: &str = "examples/fastapi-embeddings/backend";

/// Builds the example, runs the image and asks it; `full` is the one with torch, which embeds.
pub(crate) fn run(project: &Project, full: bool) -> Result {
    project::require_root("running a container")?;
    println!(
        "demo: `{CONTEXT}` becomes an image, and the image answers over HTTP.\n\
         What is missing is installed first: a base image made from Debian's packages (in the user's cache),\n\
         uv (in a virtual environment there), umoci and runc (on this machine, by apt).{}",
        if full { "\nThe full set of requirements is a download of about 3 GB." } else { "" }
    );
    let mut times = Times::default();
    times.take("base image, uv, umoci, runc", || {
        base_image::provide(project)?;
        tools::provide(project)?;
        container::install()
    })?;
    let compile = &mut test::cargo(project);
    times.take("compile cartwheel", || {
        command::shown(compile.args(["build", "--release", "--package", "cartwheel"]))
    })?;
    let image = times.take("cartwheel build", || build(project, full))?;
    let folder = project.root().join("target/demo/bundle");
    let bundle = times.take("unpack with umoci", || Bundle::unpack(&image, &folder))?;

    let port = peers::free_port()?;
    let mut container = None;
    times.take("start with runc, GET /healthz", || {
        let container = container.insert(bundle.run(port)?);
        container.wait_until(|| http::ask(port, "/healthz", None).is_ok())?;
        healthz(project, port)
    })?;
    if full {
        times.take("load the model, POST /embed", || embed(port))?;
    }
    times.take("stop", || {
        drop(container);
        Ok(())
    })?;
    times.print();
    Ok(())
}

/// Runs cartwheel as its user would, with this checkout's fixtures, and returns the image layout.
fn build(project: &Project, full: bool) -> Result<PathBuf> {
    let image = project.root().join("target/demo/image");
    project::remove(&image)?;
    let requirements = if full { "requirements-full.txt" } else { "requirements.txt" };
    let base = format!("oci-layout://{}", project.fixtures().join("python-slim").display());
    let output = format!("type=oci,dest={},tar=false", image.display());
    let mut cartwheel = Command::new(project.target().join("release/cartwheel"));
    cartwheel.current_dir(project.root()).env("PATH", tools::path(project)?);
    cartwheel.args(["build", "-t", "fastapi-embeddings", "--base", &base, "--output", &output]);
    command::shown(cartwheel.args(["-r", &format!("{CONTEXT}/{requirements}"), CONTEXT]))?;
    Ok(image)
}

/// Asks for the service's health, and that its numpy is the one that the requirements pin.
fn healthz(project: &Project, port: u16) -> Result {
    let answer = http::ask(port, "/healthz", None)?;
    println!("GET /healthz → {answer}");
    let requirements = std::fs::read_to_string(project.root().join(CONTEXT).join("requirements.txt"))?;
    let pinned = requirements.lines().find_map(|line| line.strip_prefix("numpy=="));
    if answer["status"] == "ok" && answer["numpy"].as_str() == pinned {
        return Ok(());
    }
    Err(format!("`/healthz` should say `ok` and numpy `{}`", pinned.unwrap_or_default()).into())
}

fn embed(port: u16) -> Result {
    let answer = http::ask(port, "/embed", Some(&json!({ "text": "a wheel is already a layer" })))?;
    let numbers: Vec<f64> = serde_json::from_value(answer["embedding"].clone())?;
    let first: Vec<String> = numbers.iter().take(4).map(|number| format!("{number:.4}")).collect();
    println!("POST /embed → {} numbers: {}, …", numbers.len(), first.join(", "));
    match numbers.len() {
        384 if numbers.iter().any(|number| *number != 0.0) => Ok(()),
        _ => Err("`/embed` should return 384 numbers, not all of them zero".into()),
    }
}

/// How long each part took.
#[derive(Default)]
struct Times(Vec<(&'static str, Duration)>);

impl Times {
    fn take<T>(&mut self, part: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n── {part}");
        let started = Instant::now();
        let done = work().map_err(|error| format!("{part}: {error}"))?;
        self.0.push((part, started.elapsed()));
        Ok(done)
    }

    fn print(&self) {
        println!();
        let total = ("total", self.0.iter().map(|(_, time)| *time).sum());
        for (part, time) in self.0.iter().chain([&total]) {
            println!("{part:<32}{:>9.2} s", time.as_secs_f64());
        }
    }
}
