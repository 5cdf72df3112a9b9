//! `bench builds`: the example's Dockerfile from nothing to a registry, and what each kind of change costs, by Docker's
//! BuildKit and by cartwheel on the same machine, one after the other.
//!
//! Both build the same files with the same words on the command line. Wheels come from an index on loopback, the base
//! from a registry there; only apt asks the network. Docker keeps its images in containerd's store, as new
//! installations of it do.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::builders::{Builder, Builders, Goal};
use crate::project::{self, Project};
use crate::{Result, command};

const CONTEXT: &str = "examples/fastapi-embeddings";
const DOCKERFILE: &str = "backend/docker/fastapi.Dockerfile";
const REQUIREMENTS: &str = "backend/requirements-full.txt";
const SOURCE: &str = "backend/app/main.py";

/// How often a row that costs seconds is measured, unless told otherwise.
const ROUNDS: usize = 5;

/// Measures everything and prints raw times as they come, then the table.
pub(crate) fn run(project: &Project, words: &[&str]) -> Result {
    let (full, rounds) = match words {
        [] => (false, ROUNDS),
        ["--full"] => (true, ROUNDS),
        ["--rounds", rounds] => (false, rounds.parse()?),
        ["--full", "--rounds", rounds] => (true, rounds.parse()?),
        _ => return Err(format!("`{}`: `bench builds` knows --full and --rounds N", words.join(" ")).into()),
    };
    project::require_root("running Docker")?;
    let builders = Builders::start(project, full)?;
    let context = Context::copy(project, full, &builders.folder("context"))?;
    let mut bench = Bench { builders, context, rounds, edits: 0, rows: Vec::new() };
    println!("commit {}, {} set", commit(project)?, if full { "full" } else { "light" });
    bench.measure()?;
    bench.print();
    Ok(())
}

fn commit(project: &Project) -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(project.root()).args(["describe", "--always", "--dirty", "--exclude=*"]);
    Ok(command::output(&mut git)?.trim().to_owned())
}

/// The example's files, to be edited.
struct Context(PathBuf);

impl Context {
    fn copy(project: &Project, full: bool, folder: &Path) -> Result<Self> {
        command::quiet(Command::new("cp").arg("-r").arg(project.root().join(CONTEXT)).arg(folder))?;
        let context = Self(folder.to_owned());
        // pip reads the index from its environment; the Dockerfile is otherwise as it is.
        let dockerfile = fs::read_to_string(context.0.join(DOCKERFILE))?;
        let step = dockerfile.find("# 2.").ok_or("the example's second step is gone")?;
        let (before, after) = dockerfile.split_at(step);
        fs::write(context.0.join(DOCKERFILE), format!("{before}ARG PIP_INDEX_URL\n\n{after}"))?;
        if !full {
            fs::write(context.0.join(REQUIREMENTS), "-r requirements.txt\n")?;
        }
        Ok(context)
    }

    fn append(&self, file: &str, line: &str) -> Result {
        let mut file = OpenOptions::new().append(true).open(self.0.join(file))?;
        Ok(writeln!(file, "{line}")?)
    }

    /// A Dockerfile beside the example's, with another line at its end.
    fn followed_by(&self, line: &str) -> Result<PathBuf> {
        let path = self.0.join("backend/docker/longer.Dockerfile");
        let text = fs::read_to_string(self.0.join(DOCKERFILE))?;
        fs::write(&path, format!("{text}\n{line}\n"))?;
        Ok(path)
    }

    fn dockerfile(&self) -> PathBuf {
        self.0.join(DOCKERFILE)
    }
}

/// What was measured under one name: seconds by Docker and by cartwheel.
struct Row {
    name: &'static str,
    seconds: [Vec<f64>; 2],
}

struct Bench {
    builders: Builders,
    context: Context,
    rounds: usize,
    edits: usize,
    rows: Vec<Row>,
}

impl Bench {
    fn measure(&mut self) -> Result {
        self.once("cold build", Goal::Cache)?;
        self.once("first push of what is built", Goal::Push)?;
        self.once("first into the local store", Goal::Local)?;
        self.often("nothing changed, local store", Goal::Local, |_| Ok(()))?;
        self.often("nothing changed, push", Goal::Push, |_| Ok(()))?;
        self.often("one source line changed, local store", Goal::Local, Self::edit_source)?;
        self.often("one source line changed, push", Goal::Push, Self::edit_source)?;
        self.followed("RUN useradd after the packages, push", 1, |_| {
            "RUN useradd --create-home app".to_owned()
        })?;
        self.followed("RUN true after the packages, first", 1, |_| "RUN true # first".to_owned())?;
        self.followed("RUN true after the packages, then", self.rounds, |round| {
            format!("RUN true # {round}")
        })?;
        self.context.append(REQUIREMENTS, "cloudpickle==3.1.2")?;
        self.once("one requirement added, push", Goal::Push)?;
        let dockerfile = fs::read_to_string(self.context.dockerfile())?;
        fs::write(self.context.dockerfile(), dockerfile.replace("libgomp1", "libgomp1 less"))?;
        self.once("one apt package added, push", Goal::Push)?;
        self.loads()
    }

    /// Docker has what it built, so that its part of these rows is in the ones above: cartwheel alone.
    fn loads(&mut self) -> Result {
        self.builders.prune()?;
        let cartwheel = |bench: &mut Self, name, edit: bool, rounds| {
            for _ in 0..rounds {
                if edit {
                    bench.edit_source()?;
                }
                bench.time(name, Builder::Cartwheel, Goal::Load, &bench.context.dockerfile())?;
            }
            Result::Ok(())
        };
        cartwheel(self, "first load into Docker", false, 1)?;
        cartwheel(self, "nothing changed, load into Docker", false, self.rounds)?;
        cartwheel(self, "one source line changed, load into Docker", true, self.rounds)
    }

    fn once(&mut self, name: &'static str, goal: Goal) -> Result {
        Builder::ALL
            .into_iter()
            .try_for_each(|builder| self.time(name, builder, goal, &self.context.dockerfile()))
    }

    /// The same change for both, then another one.
    fn often(&mut self, name: &'static str, goal: Goal, change: fn(&mut Self) -> Result) -> Result {
        for _ in 0..self.rounds {
            change(self)?;
            self.once(name, goal)?;
        }
        Ok(())
    }

    fn edit_source(&mut self) -> Result {
        self.edits += 1;
        self.context.append(SOURCE, &format!("# edit {}", self.edits))
    }

    /// With another line at the Dockerfile's end.
    fn followed(&mut self, name: &'static str, rounds: usize, line: fn(usize) -> String) -> Result {
        for round in 0..rounds {
            let longer = self.context.followed_by(&line(round))?;
            Builder::ALL.into_iter().try_for_each(|builder| self.time(name, builder, Goal::Push, &longer))?;
        }
        Ok(())
    }

    fn time(&mut self, name: &'static str, builder: Builder, goal: Goal, dockerfile: &Path) -> Result {
        let seconds = self.builders.time(builder, goal, &self.context.0, dockerfile)?;
        println!("{name}: {} {seconds:.3} s", builder.name());
        if self.rows.iter().all(|row| row.name != name) {
            self.rows.push(Row { name, seconds: Default::default() });
        }
        let [docker, cartwheel] =
            self.rows.iter_mut().rfind(|row| row.name == name).map(|row| &mut row.seconds).ok_or(name)?;
        match builder {
            Builder::Docker => docker.push(seconds),
            Builder::Cartwheel => cartwheel.push(seconds),
        }
        Ok(())
    }

    fn print(&self) {
        println!("\n{:<44}{:>10}{:>12}{:>9}", "median seconds", "docker", "cartwheel", "ratio");
        for Row { name, seconds } in &self.rows {
            let [docker, cartwheel] = seconds.each_ref().map(|seconds| median(seconds));
            let text =
                |seconds: Option<f64>| seconds.map_or("–".to_owned(), |seconds| format!("{seconds:.3}"));
            let ratio = docker.zip(cartwheel).map(|(docker, cartwheel)| docker / cartwheel);
            let ratio = ratio.map_or(String::new(), |ratio| format!("1/{ratio:.1}"));
            println!("{name:<44}{:>10}{:>12}{ratio:>9}", text(docker), text(cartwheel));
        }
    }
}

fn median(seconds: &[f64]) -> Option<f64> {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
