//! A Python that compiles, in a sandbox over its own layers: bytes in, bytes out, no file is written.

use std::io::{self, PipeWriter, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use cartwheel_oci::Layer;
use cartwheel_sandbox::{Cancel, Exit, Network, Sandbox, Stream};
use cartwheel_store::Store;

use super::PythonBuild;
use crate::container::{Container, Fetch};
use crate::error::{ErrorKind, Result};

/// What it runs.
const SCRIPT: &str = include_str!("worker.py");

/// How much of what it says is kept for an error.
const SAID: usize = 4 << 10;

/// How many pieces of an answer wait to be taken; Python waits when there are more.
const PENDING: usize = 16;

/// One of them. It ends with its input.
pub(super) struct Worker {
    /// Nothing when it is told to end.
    input: Option<PipeWriter>,
    output: Output,
    run: Option<JoinHandle<Ended>>,
    python: String,
    build: PythonBuild,
}

/// How it ended, and the last of what it said.
type Ended = (cartwheel_sandbox::Result<Exit>, Vec<u8>);

/// What came and was not taken yet.
struct Output {
    pieces: Receiver<Vec<u8>>,
    rest: Vec<u8>,
    taken: usize,
}

impl Worker {
    /// Starts the interpreter at `executable`, whose files are in these layers.
    pub(super) fn start(
        store: &Store,
        (layers, fetch): (&[Layer], Fetch<'_>),
        executable: &str,
        environment: &[(String, String)],
    ) -> Result<Self> {
        let container = Container::of_layers(store, layers, fetch)?;
        let (read, input) = io::pipe().map_err(crate::Error::io("make", "a pipe".as_ref()))?;
        let python = format!("/{executable}");
        // Not isolated (`-I`), which old ones do not know; the script looks after its own path.
        let words = [&python, "-E", "-S", "-s", "-B", "-c", SCRIPT];
        let sandbox = Sandbox {
            args: words.map(str::to_owned).to_vec(),
            env: environment.to_vec(),
            network: Network::None,
            hostname: "cartwheel".to_owned(),
            ..container.sandbox()
        };
        let (sender, pieces) = sync_channel(PENDING);
        let run = std::thread::spawn(move || {
            let ended = follow(&sandbox, read, &sender);
            drop(container);
            ended
        });
        let output = Output { pieces, rest: Vec::new(), taken: 0 };
        let build = PythonBuild { cache_tag: String::new(), version: String::new(), magic: [0; 4] };
        let mut worker = Self { input: Some(input), output, run: Some(run), python, build };
        match worker.hello() {
            Some(build) => worker.build = build,
            None => return Err(worker.failed()),
        }
        Ok(worker)
    }

    /// Which compiler it is.
    pub(super) fn build(&self) -> &PythonBuild {
        &self.build
    }

    /// The code of each of the modules, given by path and text; nothing for one that cannot be compiled.
    pub(super) fn compile(&mut self, modules: &[(String, Vec<u8>)]) -> Result<Vec<Vec<u8>>> {
        let answer =
            self.send(modules).ok().and_then(|()| modules.iter().map(|_| self.output.frame()).collect());
        answer.ok_or_else(|| self.failed())
    }

    fn hello(&mut self) -> Option<PythonBuild> {
        let text = String::from_utf8(self.output.frame()?).ok()?;
        let magic = self.output.take(4)?.try_into().ok()?;
        let (cache_tag, version) = text.split_once(' ')?;
        Some(PythonBuild { cache_tag: cache_tag.to_owned(), version: version.to_owned(), magic })
    }

    fn send(&mut self, modules: &[(String, Vec<u8>)]) -> io::Result<()> {
        let length = |length: usize| u32::try_from(length).map(u32::to_le_bytes).map_err(io::Error::other);
        let mut request = length(2 * modules.len())?.to_vec();
        for part in modules.iter().flat_map(|(path, text)| [path.as_bytes(), text]) {
            request.extend(length(part.len())?);
            request.extend(part);
        }
        self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(&request)
    }

    /// Tells it to end, and waits until it says nothing more.
    fn end(&mut self) {
        drop(self.input.take());
        while self.output.pieces.recv().is_ok() {}
    }

    /// Why it gives no answer.
    fn failed(&mut self) -> crate::Error {
        self.end();
        let ended = self.run.take().and_then(|run| run.join().ok());
        let (exit, said) = match ended {
            Some((Ok(exit), said)) => (format!("{exit:?}"), said),
            Some((Err(error), _)) => return error.into(),
            None => (String::new(), Vec::new()),
        };
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        let said = if said.is_empty() { exit } else { said };
        ErrorKind::Compile { python: self.python.clone(), said }.into()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
        let _nobody_asks_how = self.run.take().map(JoinHandle::join);
    }
}

fn follow(sandbox: &Sandbox, input: io::PipeReader, pieces: &SyncSender<Vec<u8>>) -> Ended {
    let mut said = Vec::new();
    let cancel = match Cancel::new() {
        Ok(cancel) => cancel,
        Err(error) => return (Err(error), said),
    };
    let mut output = |stream, bytes: &[u8]| match stream {
        Stream::Stdout => {
            let _nobody_listens_any_more = pieces.send(bytes.to_vec());
        }
        Stream::Stderr => {
            said.extend(bytes);
            said.drain(..said.len().saturating_sub(SAID));
        }
    };
    let exit = cartwheel_sandbox::run_fed(sandbox, input.into(), &cancel, &mut output);
    (exit, said)
}

impl Output {
    /// What has its length before it.
    fn frame(&mut self) -> Option<Vec<u8>> {
        let length = u32::from_le_bytes(self.take(4)?.try_into().ok()?);
        self.take(length as usize)
    }

    /// The next bytes, so many; `None` if there are no more.
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.rest.len() - self.taken < length {
            self.rest.drain(..self.taken);
            self.taken = 0;
            self.rest.extend(self.pieces.recv().ok()?);
        }
        let taken = self.rest.get(self.taken..self.taken + length)?.to_vec();
        self.taken += length;
        Some(taken)
    }
}
