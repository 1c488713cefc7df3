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
/// end does the rest. The process's other handlers for these signals go on working.
pub(super) struct SignalWatch {
    ids: Vec<SigId>,
    /// Closing it ends the thread.
    _end: UnixStream,
}

impl SignalWatch {
    pub(super) fn start(handle: ShutdownHandle, deadline: Duration) -> io::Result<SignalWatch> {
        let (mut reader, writer) = UnixStream::pair()?;
        let mut ids = Vec::new();
        for signal in [SIGINT, SIGTERM] {
            match pipe::register(signal, writer.try_clone()?) {
                Ok(id) => ids.push(id),
                Err(error) => {
                    ids.into_iter().for_each(|id| {
                        unregister(id);
                    });
                    return Err(error);
                }
            }
        }
        thread::Builder::new().name("covet-signals".into()).spawn(move || {
            let mut byte = [0];
            let mut asked = false;
            while matches!(reader.read(&mut byte), Ok(1)) {
                // The first signal asks politely; the second does not wait.
                let deadline = if asked { Duration::ZERO } else { deadline };
                tracing::info!(?deadline, "shutdown asked for by signal");
                handle.shutdown(deadline);
                asked = true;
            }
        })?;
        Ok(SignalWatch { ids, _end: writer })
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            unregister(id);
        }
        let _ = self._end.shutdown(std::net::Shutdown::Both);
    }
}
