//! Compiled modules of packages, made by the Python of the stage that they are installed for.
//!
//! pip compiles what it installs, so an image without bytecode is not the image that pip makes: each of its containers
//! compiles on its first import. What a module compiles to depends on the module, on where it lies (tracebacks name the
//! path) and on the interpreter, and on nothing below; so it is made once for a wheel, a scheme and a Python, kept as one
//! blob, and spliced into the wheel's layer like a part of the wheel.
//!
//! ```text
//! wheel ──modules──► chunks ──► workers: the stage's Python, one for each processor, in sandboxes over its own layers
//!                                  │ code
//!                      header (PEP 552) + code, deflated ──► blob ──► members of the wheel's layer
//! ```
//!
//! # The same bytes everywhere
//!
//! Which constants of a module share one object, and with that how `marshal` writes them, can depend on what the
//! interpreter compiled before (seen in 3 of 6,000 modules). So every chunk is compiled by a child of the worker that
//! has compiled nothing, and which modules are a chunk is decided by their names and sizes alone. The headers carry the
//! time that the layer gives the sources.
//!
//! | key of | names |
//! |---|---|
//! | what a wheel compiles to | the wheel, where its files go, the tool, the interpreter's cache tag, version and magic number, mtime, the size of chunks |
//! | an interpreter's version | its path, the diff IDs of the layers up to the highest that has a part of it |

mod worker;

use std::io::{Read, Write};
use std::sync::{Mutex, PoisonError};

use cartwheel_oci::layer::{Content, Member, Method};
use cartwheel_oci::{Below, Layer};
use cartwheel_python::{Tool, compiled_header, compiled_path};
use cartwheel_store::{Blob, Digest, Hasher, Key, Record, Store};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::execute::Engine;
use crate::interpreter::Interpreter;
use crate::packages::Module;
use crate::stage::StageState;
use worker::Worker;

/// How many bytes of modules are compiled by one child, at least if there are so many. It is part of what decides the result.
const CHUNK: usize = 1 << 20;

/// A module is read into memory; the largest known has 8 MB.
const LARGEST: u64 = 64 << 20;

/// Which compiler an interpreter is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PythonBuild {
    /// What is in the names of compiled files, `cpython-313`; empty if it keeps none.
    pub(crate) cache_tag: String,
    /// `3.13.5.final.0`.
    version: String,
    /// The first four bytes of compiled files.
    magic: [u8; 4],
}

impl Record for PythonBuild {
    const KIND: &'static str = "python-1";
}

/// Compiles modules with the Python of a stage. Workers are started when they are needed, one for each thread that compiles.
pub(crate) struct Compiler<'s, 'a> {
    store: &'s Store,
    state: &'s StageState<'a>,
    /// The layers that the interpreter needs.
    layers: Vec<Layer>,
    /// The interpreter behind all links.
    executable: String,
    environment: Vec<(String, String)>,
    mtime: u64,
    build: PythonBuild,
    idle: Mutex<Vec<Worker>>,
}

/// What the modules of a wheel compile to.
#[derive(Debug)]
pub(crate) struct Bytecode {
    /// Places in the image, not resolved, with the content.
    pub(crate) files: Vec<(String, Content)>,
    /// The modules that cannot be compiled.
    pub(crate) failed: Vec<String>,
}

/// The same as it is kept: where in a blob the compiled modules are, as DEFLATE streams.
#[derive(Debug, Serialize, Deserialize)]
struct BytecodeRecord {
    blob: Digest,
    /// How many bytes the blob has.
    size: u64,
    compiled: Vec<CompiledModule>,
    failed: Vec<String>,
}

impl Record for BytecodeRecord {
    const KIND: &'static str = "bytecode-1";
}

#[derive(Debug, Serialize, Deserialize)]
struct CompiledModule {
    path: String,
    offset: u64,
    compressed_size: u64,
    size: u64,
    crc32: u32,
}

/// A compiled module on its way into the blob.
struct Deflated {
    bytes: Vec<u8>,
    size: u64,
    crc32: u32,
}

impl<'s, 'a> Compiler<'s, 'a> {
    /// One for the Python of a stage whose layers are all made; what `environment` says of libraries counts for it. `None` if
    /// that Python keeps no bytecode.
    pub(crate) fn new(
        store: &'s Store,
        (state, interpreter): (&'s StageState<'a>, &Interpreter),
        environment: &[(String, String)],
        mtime: u64,
    ) -> Result<Option<Self>> {
        let layers = layers_of(interpreter, state)?;
        let executable = interpreter.executable.clone();
        let key = key_of(&executable, &layers);
        let build = PythonBuild { cache_tag: String::new(), version: String::new(), magic: [0; 4] };
        let environment = environment.to_vec();
        let idle = Mutex::default();
        let mut compiler = Self { store, state, layers, executable, environment, mtime, build, idle };
        if let Some(known) = store.get(&key) {
            compiler.build = known;
        } else {
            let worker = compiler.start()?;
            compiler.build = worker.build().clone();
            store.put(&key, &compiler.build)?;
            compiler.give_back(worker);
        }
        Ok(Some(compiler).filter(|compiler| !compiler.build.cache_tag.is_empty()))
    }

    /// Names the compiler, for keys.
    pub(crate) fn identity(&self) -> String {
        self.build.identity()
    }

    /// The interpreter's cache tag.
    pub(crate) fn cache_tag(&self) -> &str {
        &self.build.cache_tag
    }

    /// What the modules of a wheel compile to: as kept, or compiled now. `identity` and `places` name the wheel and where it goes.
    pub(crate) fn wheel(
        &self,
        (identity, places): (&str, Digest),
        tool: Tool,
        modules: &[Module<'_>],
    ) -> Result<Bytecode> {
        let key = Key::<BytecodeRecord>::new()
            .with("chunk", CHUNK)
            .with("mtime", self.mtime)
            .with("places", places)
            .with("python", self.identity())
            .with("tool", if tool == Tool::Uv { "uv" } else { "pip" })
            .with("wheel", identity);
        let known = self.store.get(&key).and_then(|record| Some((self.store.blob(record.blob)?, record)));
        if let Some((blob, record)) = known.filter(|(blob, record)| blob.size() == record.size) {
            return Ok(record.bytecode(&blob));
        }
        let (blob, record) = self.compile(modules)?;
        self.store.put(&key, &record)?;
        Ok(record.bytecode(&blob))
    }

    fn compile(&self, modules: &[Module<'_>]) -> Result<(Blob, BytecodeRecord)> {
        let done: Vec<Vec<Option<Deflated>>> =
            chunks(modules).into_par_iter().map(|chunk| self.chunk(chunk)).collect::<Result<_>>()?;
        let mut writer = self.store.writer()?;
        let (mut compiled, mut failed, mut offset) = (Vec::new(), Vec::new(), 0);
        for (module, deflated) in modules.iter().zip(done.into_iter().flatten()) {
            let Some(Deflated { bytes, size, crc32 }) = deflated else {
                failed.push(module.path.to_owned());
                continue;
            };
            writer.write_all(&bytes).map_err(Error::io("write bytecode to", self.store.root()))?;
            let path = compiled_path(module.path, self.cache_tag());
            let compressed_size = bytes.len() as u64;
            compiled.push(CompiledModule { path, offset, compressed_size, size, crc32 });
            offset += compressed_size;
        }
        let (blob, bytes) = writer.commit()?;
        let record = BytecodeRecord { blob, size: bytes.size(), compiled, failed };
        Ok((bytes, record))
    }

    /// Compiles a chunk; `None` stands for a module that cannot be.
    fn chunk(&self, modules: &[Module<'_>]) -> Result<Vec<Option<Deflated>>> {
        let mut sources = Vec::with_capacity(modules.len());
        for module in modules {
            sources.push((module.traced.clone(), text(module)?));
        }
        let mut worker = self.worker()?;
        let codes = worker.compile(&sources)?;
        self.give_back(worker);
        let headed = |((_, text), code): (&(String, Vec<u8>), Vec<u8>)| {
            let header = compiled_header(self.build.magic, self.mtime, text.len() as u64);
            (!code.is_empty()).then(|| deflated(&[&header[..], &code]))
        };
        Ok(sources.iter().zip(codes).map(headed).collect())
    }

    fn worker(&self) -> Result<Worker> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.start(), Ok)
    }

    fn give_back(&self, worker: Worker) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }

    fn start(&self) -> Result<Worker> {
        let fetch = |layer: &Layer| self.state.fetch(layer);
        Worker::start(self.store, (&self.layers, &fetch), &self.executable, &self.environment)
    }
}

impl PythonBuild {
    fn identity(&self) -> String {
        let Self { cache_tag, version, magic } = self;
        format!("{cache_tag} {version} {:08x}", u32::from_le_bytes(*magic))
    }
}

impl BytecodeRecord {
    fn bytecode(self, blob: &Blob) -> Bytecode {
        let content = |module: &CompiledModule| {
            Content::Member(Member {
                wheel: blob.clone(),
                offset: module.offset,
                compressed_size: module.compressed_size,
                size: module.size,
                crc32: module.crc32,
                method: Method::Deflated,
                expected: None,
            })
        };
        let files = self.compiled.into_iter().map(|module| (module.path.clone(), content(&module))).collect();
        Bytecode { files, failed: self.failed }
    }
}

/// What is to be done about the modules of an installation.
#[derive(Default)]
pub(crate) struct Compiling<'s, 'a> {
    /// Compiles them.
    pub(crate) compiler: Option<Compiler<'s, 'a>>,
    /// Names the compiler, if that is known: for keys.
    pub(crate) identity: Option<String>,
    /// Why they are not compiled, although the command would.
    pub(crate) warning: Option<String>,
}

impl<'a> Engine<'a> {
    /// What there is to compile the modules of a stage with. A plan starts nothing.
    pub(crate) fn compiling<'s>(
        &'s self,
        (state, interpreter): (&'s StageState<'a>, &Interpreter),
        environment: &[(String, String)],
    ) -> Result<Compiling<'s, 'a>> {
        let store = self.workshop.store;
        let without = |reason: &Error| {
            let warning = format!("modules are not compiled, but when they are first imported: {reason}");
            Ok(Compiling { warning: Some(warning), ..Compiling::default() })
        };
        if let Err(reason) = self.can_run(&state.image.config().platform()) {
            return without(&reason);
        }
        if self.only_plan {
            return Ok(Compiling { identity: known(store, state, interpreter)?, ..Compiling::default() });
        }
        let compiler = match Compiler::new(store, (state, interpreter), environment, self.mtime()) {
            Err(reason) if matches!(reason.kind(), ErrorKind::Compile { .. } | ErrorKind::Sandbox(_)) => {
                return without(&reason);
            }
            compiler => compiler?,
        };
        let identity = compiler.as_ref().map(Compiler::identity);
        Ok(Compiling { compiler, identity, warning: None })
    }
}

/// What is known of a stage's interpreter without running it.
fn known(store: &Store, state: &StageState<'_>, interpreter: &Interpreter) -> Result<Option<String>> {
    let key = key_of(&interpreter.executable, &layers_of(interpreter, state)?);
    Ok(store.get(&key).map(|build| build.identity()))
}

/// Names a stage's interpreter by the layers that it is in.
pub(crate) fn interpreter_key(interpreter: &Interpreter, state: &StageState<'_>) -> Result<Digest> {
    Ok(key_of(&interpreter.executable, &layers_of(interpreter, state)?).digest())
}

fn key_of(executable: &str, layers: &[Layer]) -> Key<PythonBuild> {
    let mut hasher = Hasher::default();
    for layer in layers {
        hasher.update(format!("{}\n", layer.diff_id).as_bytes());
    }
    Key::new().with("executable", executable).with("layers", hasher.finish())
}

/// The layers up to the highest that has a part of the interpreter: what was installed above them is not needed, and may be
/// gigabytes.
fn layers_of(interpreter: &Interpreter, state: &StageState<'_>) -> Result<Vec<Layer>> {
    let below = state.below()?;
    let layers = state.image.layers();
    let parts = [Some(interpreter.executable.clone()), library_of(interpreter, below)];
    let places = parts.map(|part| part.and_then(|part| below.layer(&part)));
    let [Some(executable), Some(library)] = places else { return Ok(layers.to_vec()) };
    Ok(layers.get(..=executable.max(library)).unwrap_or(layers).to_vec())
}

/// A part of the standard library that no interpreter starts without.
fn library_of(interpreter: &Interpreter, below: &Below) -> Option<String> {
    let prefix = interpreter.executable.rsplit_once("/bin/").map_or("", |(prefix, _)| prefix);
    let version = interpreter.target.python;
    let folders =
        ["lib", "lib64"].map(|folder| format!("{prefix}/{folder}/python{version}/encodings/__init__.py"));
    let mut found = folders.iter().filter_map(|path| below.resolve(path.trim_start_matches('/')));
    found.find(|path| below.get(path).is_some())
}

/// The modules in chunks of consecutive ones.
fn chunks<'m, 'p>(modules: &'m [Module<'p>]) -> Vec<&'m [Module<'p>]> {
    let (mut found, mut start, mut size) = (Vec::new(), 0, 0);
    for (index, module) in modules.iter().enumerate() {
        let next = size + module.size as usize;
        if index > start && next > CHUNK {
            found.extend(modules.get(start..index));
            (start, size) = (index, module.size as usize);
        } else {
            size = next;
        }
    }
    found.extend(modules.get(start..).filter(|rest| !rest.is_empty()));
    found
}

fn text(module: &Module<'_>) -> Result<Vec<u8>> {
    let failed = |source| ErrorKind::Layer { what: format!("`{}`", module.path), source };
    let mut text = Vec::new();
    let mut reader = module.content.reader().map_err(failed)?.take(LARGEST);
    reader.read_to_end(&mut text).map_err(Error::io("read", module.path.as_ref()))?;
    Ok(text)
}

fn deflated(parts: &[&[u8]]) -> Deflated {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
    let mut crc = crc32fast::Hasher::new();
    for part in parts {
        crc.update(part);
        encoder.write_all(part).expect("invariant: memory takes every byte");
    }
    let bytes = encoder.finish().expect("invariant: memory takes every byte");
    Deflated { bytes, size: parts.iter().map(|part| part.len() as u64).sum(), crc32: crc.finalize() }
}
