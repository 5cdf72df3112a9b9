//! How fast wheels become layers, beside the bound and beside what pip, tar and gzip cost, all in one run.
//!
//! `cargo xtask bench` runs this over the wheel sets. Each measurement is a process of its own, so that its memory is its
//! own; the processes take turns, `--rounds` times, and the fastest of each is shown: on a shared machine the least
//! disturbed round says most. The bound is what no engine can avoid with these libraries on these bytes: inflating every
//! entry, SHA-256 of the tar, SHA-256 of the layer. (Ours also checks the SHA-256 of every file against RECORD, in the same
//! pass; the bound has no part for it.)
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints its measurements")]
#![expect(clippy::cast_precision_loss, reason = "rates are shown without decimals")]

mod bound;
mod convert;
mod peers;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// One measurement of one set.
#[derive(Debug, Clone, Copy)]
struct Sample {
    took: Duration,
    /// The largest resident memory, in bytes.
    memory: u64,
}

/// What is measured: its name, which says how many threads, and the argument that makes a process do it.
const MEASUREMENTS: [(&str, &str, usize); 4] = [
    ("bound, 1 thread", "bound", 1),
    ("convert, 1 thread", "convert", 1),
    ("convert, all threads", "convert", 0),
    ("convert to the store", "store", 0),
];

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["measure", what, threads, folder] => measure(what, threads.parse()?, Path::new(folder)),
        _ => compare(&arguments),
    }
}

/// Does one measurement and prints nanoseconds and bytes.
fn measure(what: &str, threads: usize, folder: &Path) -> Result {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let wheels = wheels(folder)?;
    let took = match what {
        "bound" => bound::run(&wheels)?,
        "convert" => convert::to_nowhere(&wheels)?,
        "store" => convert::to_store(&wheels)?,
        _ => return Err(format!("nothing called `{what}` is measured").into()),
    };
    println!("{} {}", took.as_nanos(), peak_memory()?);
    Ok(())
}

/// `VmHWM`: the largest resident memory of this process so far.
fn peak_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

fn compare(arguments: &[String]) -> Result {
    let option = |name: &str| arguments.iter().position(|argument| argument == name);
    let rounds: usize = match option("--rounds") {
        Some(at) => arguments.get(at + 1).ok_or("--rounds needs a number")?.parse()?,
        None => 3,
    };
    let python = option("--pip").map(|at| arguments.get(at + 1).ok_or("--pip needs a python")).transpose()?;
    for folder in arguments.iter().map(Path::new).filter(|path| path.is_dir()) {
        set(folder, rounds, python.map(Path::new))?;
    }
    Ok(())
}

fn set(folder: &Path, rounds: usize, python: Option<&Path>) -> Result {
    let wheels = wheels(folder)?;
    let size = wheels.iter().map(|path| Ok(fs::metadata(path)?.len())).sum::<Result<u64>>()?;
    let unpacked = bound::unpacked(&wheels)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    println!(
        "\n{name}: {} wheels, {} MB, {} MB unpacked",
        wheels.len(),
        size / 1_000_000,
        unpacked / 1_000_000
    );
    println!("{:<26} {:>9} {:>16} {:>9} {:>9}", "", "seconds", "MB/s unpacked", "of bound", "MB memory");
    let mut best: [Option<Sample>; MEASUREMENTS.len()] = [None; MEASUREMENTS.len()];
    for round in 0..rounds {
        for (slot, (label, what, threads)) in best.iter_mut().zip(MEASUREMENTS) {
            let sample = spawn(what, threads, folder)?;
            eprintln!(
                "round {round} {name} {label}: {:.3} s, {} MB",
                sample.took.as_secs_f64(),
                sample.memory >> 20
            );
            *slot = Some(slot.filter(|best| best.took < sample.took).unwrap_or(sample));
        }
    }
    let bound = best[0].ok_or("no rounds")?.took.as_secs_f64();
    for (sample, (label, ..)) in best.iter().zip(MEASUREMENTS) {
        let sample = sample.ok_or("no rounds")?;
        row(label, sample.took, unpacked, bound, Some(sample.memory));
    }
    if let Some(python) = python {
        let took = peers::pip_tar_gzip(python, &wheels)?;
        row("pip + tar + gzip -6", took, unpacked, bound, None);
    }
    Ok(())
}

fn row(label: &str, took: Duration, unpacked: u64, bound: f64, memory: Option<u64>) {
    let seconds = took.as_secs_f64();
    let rate = unpacked as f64 / 1e6 / seconds;
    let memory = memory.map_or_else(String::new, |bytes| (bytes >> 20).to_string());
    println!("{label:<26} {seconds:>9.3} {rate:>16.0} {:>8.0}% {memory:>9}", 100.0 * bound / seconds);
}

fn spawn(what: &str, threads: usize, folder: &Path) -> Result<Sample> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["measure", what, &threads.to_string()]).arg(folder).output()?;
    if !output.status.success() {
        return Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let (nanos, memory) = text.trim().split_once(' ').ok_or("a measurement is two numbers")?;
    Ok(Sample { took: Duration::from_nanos(nanos.parse()?), memory: memory.parse()? })
}

/// The wheels of a folder, the largest first: what the engine does too.
fn wheels(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut wheels = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            wheels.push((std::cmp::Reverse(fs::metadata(&path)?.len()), path));
        }
    }
    wheels.sort();
    Ok(wheels.into_iter().map(|(_, path)| path).collect())
}
