//! How the servers of this crate take connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Serves each connection in a thread of its own, until `stopped`: whoever sets it connects once more, to be heard.
pub(crate) fn serve_each<C: Send + 'static>(
    stopped: Arc<AtomicBool>,
    accept: impl Fn() -> io::Result<C> + Send + 'static,
    serve: impl Fn(&C) -> io::Result<()> + Send + Sync + 'static,
) {
    let serve = Arc::new(serve);
    thread::spawn(move || {
        loop {
            let connection = accept();
            if stopped.load(Ordering::SeqCst) {
                return;
            }
            let (Ok(connection), serve) = (connection, Arc::clone(&serve)) else { continue };
            // A connection that the client breaks is the client's business.
            thread::spawn(move || serve(&connection).unwrap_or_default());
        }
    });
}
