//! SIGINT and SIGTERM begin the shutdown.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};

use super::shutdown::ShutdownHandle;

/// Listens for the signals until dropped.
///
/// A signal handler may do next to nothing, so it writes one byte into a socket; a thread that sleeps on the other
/// end does the rest. The process's other handlers for these signals go on working. The signals' default action does
/// not come back when the watch ends: a handler that another part of the process relies on might be lost with it.
pub(super) struct SignalWatch {
    ids: Vec<SigId>,
    /// Closing it ends the thread.
    end: UnixStream,
}

impl SignalWatch {
    pub(super) fn start(handle: ShutdownHandle, deadline: Duration) -> io::Result<SignalWatch> {
        let (mut reader, writer) = UnixStream::pair()?;
        // Made first, so that whatever fails below, what was registered until then is taken back.
        let mut watch = SignalWatch { ids: Vec::new(), end: writer };
        for signal in [SIGINT, SIGTERM] {
            let writer = watch.end.try_clone()?;
            watch.ids.push(pipe::register(signal, writer)?);
        }
        thread::Builder::new().name("covet-signals".into()).spawn(move || {
            let mut byte = [0];
            let mut asked = false;
            loop {
                match reader.read(&mut byte) {
                    Ok(1) => {}
                    // Any handler of the process may run on this thread and interrupt its sleep.
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    _ => return,
                }
                // The first signal asks politely; the second does not wait.
                let deadline = if asked { Duration::ZERO } else { deadline };
                tracing::info!(?deadline, "shutdown asked for by signal");
                handle.shutdown(deadline);
                asked = true;
            }
        })?;
        Ok(watch)
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            unregister(id);
        }
        let _ = self.end.shutdown(std::net::Shutdown::Both);
    }
}
