//! A container engine in this process: the part of the Engine API that moves images, on a socket, as Docker with either
//! image store and Podman answer it.
//!
//! What each does with an archive that leaves something out was seen of Docker 28.5 and Podman 4.3. Stricter: an archive has to
//! come in pieces and with its media type, each blob has to be what its name says, nothing may be in it twice, and
//! what an engine does not read may not be in it at all. What breaks this is remembered, and dropping the engine panics for it.

mod images;
mod serve;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use images::Images;

use crate::accept::serve_each;

/// Whose manners an engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Docker's with a graph driver, as `overlay2`.
    GraphDriver,
    /// Docker's with containerd's image store.
    Containerd,
    /// Podman's.
    Podman,
}

/// A container engine, for as long as this value lives.
#[derive(Debug)]
pub struct Engine {
    socket: PathBuf,
    state: Arc<State>,
    stopped: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(crate) struct State {
    kind: EngineKind,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
pub(crate) struct Content {
    images: Images,
    /// What the next load is answered with.
    refusal: Option<String>,
    /// The archive that any image is given as.
    given: Vec<u8>,
    requests: Vec<String>,
    loads: Vec<usize>,
    violations: Vec<String>,
}

impl Engine {
    /// Starts an engine without images; its socket lies in `folder`.
    pub fn start(kind: EngineKind, folder: &Path) -> Self {
        let socket = folder.join("engine.sock");
        let listener = UnixListener::bind(&socket).expect("a socket in the folder");
        let (state, stopped) = (Arc::new(State { kind, content: Mutex::default() }), Arc::default());
        let shared = Arc::clone(&state);
        let accept = move || listener.accept().map(|(stream, _)| stream);
        serve_each(Arc::clone(&stopped), accept, move |stream| serve::serve(stream, &shared));
        Self { socket, state, stopped }
    }

    /// Where it listens, as `DOCKER_HOST` says it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The names of its images that could run, sorted.
    pub fn names(&self) -> Vec<String> {
        self.state.content().images.names()
    }

    /// How many bytes each load brought so far, those that were refused included.
    pub fn loads(&self) -> Vec<usize> {
        self.state.content().loads.clone()
    }

    /// All requests so far, as `METHOD path`.
    pub fn requests(&self) -> Vec<String> {
        self.state.content().requests.clone()
    }

    /// Loses the layers of all images, which it goes on to list, as if they went between a question and a load.
    pub fn lose_layers(&self) {
        self.state.content().images.lose_layers();
    }

    /// Refuses the next load with these words.
    pub fn refuse(&self, words: &str) {
        self.state.content().refusal = Some(words.to_owned());
    }

    /// Gives this archive to whoever asks for an image.
    pub fn give(&self, archive: &[u8]) {
        self.state.content().given = archive.to_vec();
    }
}

impl State {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        drop(std::os::unix::net::UnixStream::connect(&self.socket));
        let violations = std::mem::take(&mut self.state.content().violations);
        assert!(violations.is_empty() || thread::panicking(), "against the rules: {violations:#?}");
    }
}
