//! Installing: what was resolved becomes layers.
//!
//! Deciding and doing are two functions. [`plan_install`] says which wheels go on top of a stage, without opening one;
//! [`Installer::run`] makes the layers.
//!
//! Network and processor overlap: as soon as a wheel is there it is opened on the thread pool, and spliced at once if it
//! will be a layer of its own whatever the others are. What can only be decided when all are open (conflicts, and with them
//! the shared layer) comes last and is small.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Instant;

use cartwheel_oci::layer;
use cartwheel_oci::{Below, Layer};
use cartwheel_python::{FetchEvent, FetchOptions, LockedWheel, PipScripts, Scheme, Tool, fetch};
use cartwheel_store::{Blob, Digest, Hasher, Key, Record, Store};
use serde::{Deserialize, Serialize};

use crate::bytecode::Compiler;
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::installed::Installed;
use crate::pack::{Parcel, pack};
use crate::packages::{Epoch, GENERATION, Prepared, identity, layer_with, parcels};
use crate::progress::{Event, Outcome, Steps};
use crate::removal::removal_layer;

/// Installing what was resolved.
#[derive(Debug)]
pub(crate) struct InstallPlan {
    /// In the order of installation, without what is there already in the same version.
    pub(crate) wheels: Vec<LockedWheel>,
    /// Packages that are there already, as `name version`.
    pub(crate) satisfied: Vec<String>,
    /// Packages that are replaced, by name.
    pub(crate) replaced: Vec<String>,
    /// The layers that this made before, on the same ground.
    pub(crate) packed: Option<PackRecord>,
    pub(crate) scheme: Scheme,
    pub(crate) budget: usize,
    pub(crate) tool: Tool,
    key: Key<PackRecord>,
}

/// The layers that a list of wheels became.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackRecord {
    /// The lowest first.
    pub(crate) layers: Vec<PackedLayer>,
    /// What the user was told.
    pub(crate) warnings: Vec<String>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackedLayer {
    /// The layer.
    pub(crate) layer: Layer,
    /// What is in it, as a line of history.
    pub(crate) created_by: String,
}

impl Record for PackRecord {
    const KIND: &'static str = "pack-2";
}

impl PackRecord {
    pub(crate) fn is_there(&self, store: &Store) -> bool {
        self.layers.iter().all(|packed| {
            let descriptor = &packed.layer.descriptor;
            store.has_blob(descriptor.digest, descriptor.size)
        })
    }
}

/// What installing depends on besides the wheels.
pub(crate) struct Place<'a> {
    pub(crate) below: &'a Below,
    pub(crate) scheme: &'a Scheme,
    pub(crate) installed: &'a BTreeMap<String, Installed>,
    pub(crate) epoch: Epoch,
    pub(crate) budget: usize,
    pub(crate) tool: Tool,
    /// Names what compiles the modules, if they are compiled and that is known.
    pub(crate) bytecode: Option<String>,
}

/// Says which of the resolved wheels have to be installed over what is there, and whether that was done before.
pub(crate) fn plan_install(store: &Store, resolved: Vec<LockedWheel>, place: &Place<'_>) -> InstallPlan {
    let (mut wheels, mut satisfied, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
    for wheel in resolved {
        match place.installed.get(&wheel.name) {
            Some(found) if found.version == wheel.version => {
                satisfied.push(format!("{} {}", wheel.name, wheel.version));
                continue;
            }
            Some(_) => replaced.push(wheel.name.clone()),
            None => {}
        }
        wheels.push(wheel);
    }
    let key = Key::<PackRecord>::new()
        .with("below", dictates(place.below))
        .with("budget", place.budget)
        .with("bytecode", place.bytecode.as_deref().unwrap_or("none"))
        .with("format", layer::FORMAT)
        .with("generation", GENERATION)
        .with("mtime", place.epoch.mtime())
        .with("removed", removed(&replaced, place.installed))
        .with("scheme", paths(place.scheme))
        .with("tool", tool_name(place.tool))
        .with("wheels", wheels.iter().map(identity).collect::<Vec<_>>().join("\n"));
    let packed = store.get(&key).filter(|packed| packed.is_there(store));
    InstallPlan {
        wheels,
        satisfied,
        replaced,
        packed,
        scheme: place.scheme.clone(),
        budget: place.budget,
        tool: place.tool,
        key,
    }
}

fn tool_name(tool: Tool) -> &'static str {
    match tool {
        Tool::Pip(PipScripts::Current) => "pip",
        Tool::Pip(PipScripts::Ending) => "pip 25.3",
        Tool::Pip(PipScripts::Pattern) => "pip 25.1",
        Tool::Uv => "uv",
    }
}

fn removed(replaced: &[String], installed: &BTreeMap<String, Installed>) -> Digest {
    let mut hasher = Hasher::default();
    for file in replaced.iter().filter_map(|name| installed.get(name)).flat_map(|found| &found.files) {
        hasher.update(format!("{file}\n").as_bytes());
    }
    hasher.finish()
}

fn paths(scheme: &Scheme) -> String {
    let Scheme { purelib, platlib, scripts, headers, data, python, .. } = scheme;
    [purelib, platlib, scripts, headers, data, python].map(String::as_str).join("\n")
}

/// The part of what lies below that decides how packages lie over it: its links and its directories.
fn dictates(below: &Below) -> Digest {
    let mut hasher = Hasher::default();
    for (path, node) in below.iter() {
        match &node.kind {
            cartwheel_oci::NodeKind::Symlink(target) => {
                hasher.update(format!("l{path}\0{target}\n").as_bytes());
            }
            cartwheel_oci::NodeKind::Directory => {
                let found = node.permissions;
                let line = format!("d{path}\0{:o} {} {}\n", found.mode, found.uid, found.gid);
                hasher.update(line.as_bytes());
            }
            _ => {}
        }
    }
    hasher.finish()
}

/// Makes the layers of installs.
pub(crate) struct Installer<'a> {
    pub(crate) store: &'a Store,
    pub(crate) fetch: &'a FetchOptions,
    pub(crate) epoch: Epoch,
    pub(crate) steps: &'a Steps<'a>,
    pub(crate) compiler: Option<&'a Compiler<'a, 'a>>,
}

impl Installer<'_> {
    /// Makes what was planned, or finds it.
    pub(crate) fn run(&self, plan: &InstallPlan, place: &Place<'_>) -> Result<PackRecord> {
        if let Some(packed) = &plan.packed {
            return Ok(packed.clone());
        }
        let scheme = &plan.scheme;
        let ground = Ground::new(place.below, &[scheme.library(), &scheme.platlib], self.epoch.mtime())?;
        let mut layers = self.removal(plan, place)?;
        let prepared = self.prepare_all(plan, &ground)?;
        let (parcels, warnings) = parcels(&prepared);
        for group in pack(&parcels, plan.budget) {
            let wheels: Vec<&Prepared> = group.iter().map(|&index| &prepared[index]).collect();
            let locked: Vec<&LockedWheel> = group.iter().map(|&index| &plan.wheels[index]).collect();
            let layer = self.layer(&wheels, &title(&locked), &ground)?;
            layers.push(PackedLayer { layer, created_by: created_by(&locked) });
        }
        let packed = PackRecord { layers, warnings };
        self.store.put(&plan.key, &packed)?;
        Ok(packed)
    }

    fn removal(&self, plan: &InstallPlan, place: &Place<'_>) -> Result<Vec<PackedLayer>> {
        let replaced: Vec<&Installed> =
            plan.replaced.iter().filter_map(|name| place.installed.get(name)).collect();
        if replaced.is_empty() {
            return Ok(Vec::new());
        }
        let library = place.scheme.library().trim_start_matches('/');
        let layer = removal_layer(self.store, &replaced, (place.below, library), place.tool)?;
        let created_by = format!("pip uninstall -y {} # cartwheel", plan.replaced.join(" "));
        Ok(vec![PackedLayer { layer, created_by }])
    }

    /// Fetches and opens all wheels, and splices at once those that are a layer of their own whatever the others are.
    fn prepare_all(&self, plan: &InstallPlan, ground: &Ground<'_>) -> Result<Vec<Prepared>> {
        let wheels = &plan.wheels[..];
        let work = Work { plan, ground, alone: alone(wheels, plan.budget) };
        let slots: Vec<Mutex<Option<Prepared>>> = wheels.iter().map(|_| Mutex::new(None)).collect();
        let failure = Mutex::new(None);
        let fail = |error: Error| {
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        };
        let (sender, receiver) = mpsc::channel::<(usize, Blob)>();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let sender = sender;
                if let Err(error) = self.fetch(wheels, &sender) {
                    fail(error);
                }
            });
            // Not on the pool: this thread only hands over, and must not keep one of the pool's from working.
            rayon::in_place_scope_fifo(|pool| {
                for (index, blob) in receiver {
                    let (slots, work, fail) = (&slots, &work, &fail);
                    pool.spawn_fifo(move |_| {
                        let opened = self.prepare(work, index, blob);
                        match opened {
                            Ok(prepared) => {
                                *slots[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(prepared);
                            }
                            Err(error) => fail(error),
                        }
                    });
                }
            });
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let slots = slots.into_iter().map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(slots
            .map(|slot| slot.expect("invariant: without an error, fetch gives every wheel once"))
            .collect())
    }

    fn fetch(&self, wheels: &[LockedWheel], sender: &mpsc::Sender<(usize, Blob)>) -> Result<()> {
        let received: Vec<AtomicUsize> = wheels.iter().map(|_| AtomicUsize::new(0)).collect();
        let missing = |wheel: &&LockedWheel| self.store.blob(wheel.digest).is_none();
        let total = wheels.iter().filter(missing).filter_map(|wheel| wheel.size).sum();
        let on_event = |event: FetchEvent| match event {
            FetchEvent::Progress { index, received: now } => {
                received[index].store(now as usize, Ordering::Relaxed);
                let bytes = received.iter().map(|bytes| bytes.load(Ordering::Relaxed) as u64).sum();
                self.steps.event(&Event::Downloaded { bytes, total });
            }
            FetchEvent::Retrying { index, reason, .. } => {
                let name = &wheels[index].filename;
                self.steps.warn(format!("download of `{name}` is tried again: {reason}"));
            }
            FetchEvent::Present { .. } | FetchEvent::Started { .. } | FetchEvent::Finished { .. } => {}
        };
        let on_done = |index, blob| {
            // The receiver lives as long as this thread's scope.
            let _never_closed = sender.send((index, blob));
        };
        Ok(fetch(self.store, wheels, self.fetch, on_event, on_done)?)
    }

    fn prepare(&self, work: &Work<'_>, index: usize, blob: Blob) -> Result<Prepared> {
        let locked = &work.plan.wheels[index];
        let prepared = Prepared::open(locked, blob, &work.plan.scheme, work.plan.tool)?;
        if work.alone[index] {
            self.layer(&[&prepared], &title(&[locked]), work.ground)?;
        }
        Ok(prepared)
    }

    /// The layer of a group. One that was made a moment ago in this build is found without a word.
    fn layer(&self, group: &[&Prepared], title: &str, ground: &Ground<'_>) -> Result<Layer> {
        let started = Instant::now();
        let (layer, found) = layer_with(self.store, group, (ground, self.epoch), self.compiler)?;
        if !found {
            let outcome = Outcome::Done(format!("{} bytes", layer.descriptor.size));
            self.steps.made();
            self.steps.finished(&format!("splice {title}"), outcome, started.elapsed());
        }
        Ok(layer)
    }
}

/// Wheels that are being prepared.
struct Work<'w> {
    plan: &'w InstallPlan,
    ground: &'w Ground<'w>,
    /// Which of them are a layer of their own whatever the others are.
    alone: Vec<bool>,
}

/// Which wheels are a layer of their own if nothing is in conflict.
fn alone(wheels: &[LockedWheel], budget: usize) -> Vec<bool> {
    let parcel = |wheel: &LockedWheel| Parcel {
        name: wheel.name.clone(),
        size: wheel.size.unwrap_or(0),
        conflicts: false,
    };
    let parcels: Vec<Parcel> = wheels.iter().map(parcel).collect();
    let mut alone = vec![false; wheels.len()];
    for group in pack(&parcels, budget) {
        if let [index] = group[..] {
            alone[index] = wheels[index].size.is_some();
        }
    }
    alone
}

fn title(group: &[&LockedWheel]) -> String {
    match group {
        [one] => format!("{} {}", one.name, one.version),
        _ => format!("{} small packages", group.len()),
    }
}

fn created_by(group: &[&LockedWheel]) -> String {
    let pins: Vec<String> = group.iter().map(|wheel| format!("{}=={}", wheel.name, wheel.version)).collect();
    format!("pip install {} # cartwheel", pins.join(" "))
}
