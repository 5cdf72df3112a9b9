//! Executing a plan: the missing layers are made, the image is put together and kept.
//!
//! Network and processor overlap: as soon as a wheel is there it is opened on the thread pool, and spliced at once if it
//! will be a layer of its own whatever the others are. What can only be decided when all are open (conflicts, and with them
//! the shared layer) comes last and is small.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use cartwheel_oci::{History, Image, ImageConfig, Layer, Reference};
use cartwheel_python::{FetchEvent, FetchOptions, LockedWheel, fetch};
use cartwheel_store::{Blob, Key, Record, Store};
use serde::{Deserialize, Serialize};

use crate::base::{Base, Installed};
use crate::error::{Error, Result};
use crate::graph::ConfigChange;
use crate::ground::Ground;
use crate::images::keep_image;
use crate::pack::{Parcel, pack};
use crate::packages::{Epoch, Prepared, find_or_make, layer_of, parcels, removal_layer};
use crate::plan::{CopyStep, InstallStep, PackRecord, PackedLayer, Plan, Step, copied_line};
use crate::progress::{Event, Outcome, Progress};

/// An image that was built and is in the store.
#[derive(Debug)]
pub struct Built {
    /// The image.
    pub image: Image,
    /// How many of its layers were made now.
    pub made: usize,
    /// How many were there.
    pub reused: usize,
}

/// When some content was first built in this store.
#[derive(Serialize, Deserialize)]
struct CreatedRecord {
    created: String,
}

impl Record for CreatedRecord {
    const KIND: &'static str = "created-1";
}

/// What executing a plan depends on besides the plan.
#[derive(Debug)]
pub struct ExecuteOptions<'a> {
    /// The names that the image gets in the store.
    pub names: &'a [Reference],
    /// How wheels are fetched.
    pub fetch: &'a FetchOptions,
    /// The current time, RFC 3339.
    pub now: &'a str,
}

/// Makes what the plan says and keeps the image in the store.
pub fn execute(
    store: &Store,
    plan: &Plan,
    options: &ExecuteOptions<'_>,
    progress: &dyn Progress,
) -> Result<Built> {
    let execution = Execution {
        store,
        plan,
        fetch_options: options.fetch,
        progress,
        step: AtomicUsize::new(0),
        made: AtomicUsize::new(0),
    };
    let mut image = plan.base.image.clone();
    let below = image.layers().len();
    for step in &plan.steps {
        image = match step {
            Step::Install(step) => execution.install(image, step)?,
            Step::Copy(step) => execution.copy(image, step)?,
            Step::Configure(change) => configure(image, change),
        };
    }
    let image = dated(store, image, plan.epoch, options.now)?;
    keep_image(store, &image, options.names)?;
    let made = execution.made.into_inner();
    let reused = (image.layers().len() - below).saturating_sub(made);
    Ok(Built { image, made, reused })
}

struct Execution<'a> {
    store: &'a Store,
    plan: &'a Plan,
    fetch_options: &'a FetchOptions,
    progress: &'a dyn Progress,
    step: AtomicUsize,
    made: AtomicUsize,
}

impl Execution<'_> {
    fn install(&self, image: Image, step: &InstallStep) -> Result<Image> {
        let packed = match &step.packed {
            Some(packed) => {
                self.timed(&format!("install {} packages", step.wheels.len()), || Ok(((), Outcome::Cached)))?;
                packed.clone()
            }
            None => self.pack_wheels(step)?,
        };
        for warning in &packed.warnings {
            self.progress.event(&Event::Warning(warning.clone()));
        }
        Ok(packed.layers.into_iter().fold(image, |image, packed| {
            image.append(packed.layer, History { created_by: Some(packed.created_by), ..History::default() })
        }))
    }

    fn pack_wheels(&self, step: &InstallStep) -> Result<PackRecord> {
        let base = &self.plan.base;
        let scheme = &base.interpreter.scheme;
        let ground = Ground::new(&base.below, &[&scheme.purelib, &scheme.platlib], self.plan.epoch.mtime())?;
        let mut layers = self.removal(base, step)?;
        let prepared = self.prepare_all(&step.wheels, &ground)?;
        let (parcels, warnings) = parcels(&prepared);
        for group in pack(&parcels, self.plan.budget) {
            let wheels: Vec<&Prepared> = group.iter().map(|&index| &prepared[index]).collect();
            let locked: Vec<&LockedWheel> = group.iter().map(|&index| &step.wheels[index]).collect();
            let layer = self.layer(&wheels, &title(&locked), &ground)?;
            layers.push(PackedLayer { layer, created_by: created_by(&locked) });
        }
        let packed = PackRecord { layers, warnings };
        self.store.put(&step.key, &packed)?;
        Ok(packed)
    }

    fn removal(&self, base: &Base, step: &InstallStep) -> Result<Vec<PackedLayer>> {
        let installed = base.installed();
        let replaced: Vec<&Installed> = step.replaced.iter().filter_map(|name| installed.get(name)).collect();
        if replaced.is_empty() {
            return Ok(Vec::new());
        }
        let library = base.interpreter.scheme.purelib.trim_start_matches('/');
        let layer = removal_layer(self.store, &replaced, &base.below, library)?;
        let created_by = format!("pip uninstall -y {} # cartwheel", step.replaced.join(" "));
        Ok(vec![PackedLayer { layer, created_by }])
    }

    /// Fetches and opens all wheels, and splices at once those that are a layer of their own whatever the others are.
    fn prepare_all(&self, wheels: &[LockedWheel], ground: &Ground<'_>) -> Result<Vec<Prepared>> {
        let alone = alone(wheels, self.plan.budget);
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
                    let (slots, alone, fail) = (&slots, &alone, &fail);
                    pool.spawn_fifo(move |_| {
                        let opened = self.prepare(&wheels[index], blob, alone[index], ground);
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
                self.progress.event(&Event::Downloaded { bytes, total });
            }
            FetchEvent::Retrying { index, reason, .. } => {
                let name = &wheels[index].filename;
                self.progress
                    .event(&Event::Warning(format!("download of `{name}` is tried again: {reason}")));
            }
            FetchEvent::Present { .. } | FetchEvent::Started { .. } | FetchEvent::Finished { .. } => {}
        };
        let on_done = |index, blob| {
            // The receiver lives as long as this thread's scope.
            let _never_closed = sender.send((index, blob));
        };
        Ok(fetch(self.store, wheels, self.fetch_options, on_event, on_done)?)
    }

    fn prepare(
        &self,
        locked: &LockedWheel,
        blob: Blob,
        alone: bool,
        ground: &Ground<'_>,
    ) -> Result<Prepared> {
        let prepared = Prepared::open(locked, blob, &self.plan.base.interpreter.scheme)?;
        if alone {
            self.layer(&[&prepared], &title(&[locked]), ground)?;
        }
        Ok(prepared)
    }

    /// The layer of a group. One that was made a moment ago in this build is found without a word.
    fn layer(&self, group: &[&Prepared], title: &str, ground: &Ground<'_>) -> Result<Layer> {
        let started = Instant::now();
        let (layer, found) = layer_of(self.store, group, ground, self.plan.epoch)?;
        if !found {
            self.made.fetch_add(1, Ordering::Relaxed);
            let size = layer.descriptor.size;
            self.finished(
                &format!("splice {title}"),
                Outcome::Done(format!("{size} bytes")),
                started.elapsed(),
            );
        }
        Ok(layer)
    }

    fn copy(&self, image: Image, step: &CopyStep) -> Result<Image> {
        let name = copied_line(&step.destination);
        let layer =
            self.timed(&format!("copy {} files to {}", step.files.len(), step.destination), || {
                let describe = || step.tree(&self.plan.base, self.plan.epoch);
                let (layer, found) = find_or_make(self.store, &step.key, &step.destination, describe)?;
                if found {
                    return Ok((layer, Outcome::Cached));
                }
                self.made.fetch_add(1, Ordering::Relaxed);
                let size = layer.descriptor.size;
                Ok((layer, Outcome::Done(format!("{size} bytes"))))
            })?;
        Ok(image.append(layer, History { created_by: Some(name), ..History::default() }))
    }

    fn timed<T>(&self, name: &str, work: impl FnOnce() -> Result<(T, Outcome)>) -> Result<T> {
        let started = Instant::now();
        let (value, outcome) = work()?;
        self.finished(name, outcome, started.elapsed());
        Ok(value)
    }

    fn finished(&self, name: &str, outcome: Outcome, took: Duration) {
        let step = self.step.fetch_add(1, Ordering::Relaxed) + 1;
        self.progress.event(&Event::Finished { step, name: name.to_owned(), outcome, took });
    }
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

fn configure(image: Image, change: &ConfigChange) -> Image {
    let line = format!("{change} # cartwheel");
    image.with_config(|config| {
        apply(config, change);
        config.history.push(History { created_by: Some(line), empty_layer: true, ..History::default() });
    })
}

fn apply(config: &mut ImageConfig, change: &ConfigChange) {
    let runtime = &mut config.config;
    match change {
        ConfigChange::WorkingDir(path) => runtime.working_dir = Some(path.clone()),
        ConfigChange::Expose(port) => {
            let ports = runtime.exposed_ports.get_or_insert_default();
            ports.insert(port.clone(), serde_json::json!({}));
        }
        ConfigChange::User(user) => runtime.user = Some(user.clone()),
        ConfigChange::Entrypoint(words) => {
            runtime.entrypoint = Some(words.clone());
            runtime.cmd = None;
        }
        ConfigChange::Cmd(words) => runtime.cmd = Some(words.clone()),
    }
}

/// The image with its time: the moment at which this very content was first built here, so that a build that changes
/// nothing gives the same digest.
fn dated(store: &Store, image: Image, epoch: Epoch, now: &str) -> Result<Image> {
    let undated = image.clone().with_config(|config| config.created = None);
    let created = match epoch {
        Epoch::Source(_) => now.to_owned(),
        Epoch::Fixed => {
            let key = Key::<CreatedRecord>::new().with("image", undated.documents().descriptor.digest);
            if let Some(record) = store.get(&key) {
                record.created
            } else {
                store.put(&key, &CreatedRecord { created: now.to_owned() })?;
                now.to_owned()
            }
        }
    };
    Ok(image.with_config(|config| {
        let ours = config.history.iter_mut().filter(|line| line.created.is_none());
        ours.for_each(|line| line.created = Some(created.clone()));
        config.created = Some(created);
    }))
}
