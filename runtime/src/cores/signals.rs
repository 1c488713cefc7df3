//! Signals of the process, handled by threads: SIGINT and SIGTERM begin the shutdown.

use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::low_level::{pipe, unregister};

use super::Core;
use super::mail::peers::Peers;
use super::shutdown::ShutdownHandle;
use crate::error::StartError;
use crate::stats::{Desks, StatsHandle};
use crate::sync_types::Arc;

/// How long a dump that a signal asked for waits for cores that are held.
const DUMP_PATIENCE: Duration = Duration::from_secs(2);

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
    /// Shuts a runtime down on SIGINT and SIGTERM.
    pub(super) fn start(handle: ShutdownHandle, deadline: Duration) -> io::Result<SignalWatch> {
        let mut asked = false;
        SignalWatch::listen(&[SIGINT, SIGTERM], "covet-signals", move || {
            // The first signal asks politely; the second does not wait.
            let deadline = if asked { Duration::ZERO } else { deadline };
            tracing::info!(?deadline, "shutdown asked for by signal");
            handle.shutdown(deadline);
            asked = true;
        })
    }

    /// Calls `on_signal` on a thread of its own for each of these signals.
    pub(super) fn listen(
        signals: &[c_int],
        thread_name: &str,
        mut on_signal: impl FnMut() + Send + 'static,
    ) -> io::Result<SignalWatch> {
        let (mut reader, writer) = UnixStream::pair()?;
        // Made first, so that whatever fails below, what was registered until then is taken back.
        let mut watch = SignalWatch { ids: Vec::new(), end: writer };
        for &signal in signals {
            let writer = watch.end.try_clone()?;
            watch.ids.push(pipe::register(signal, writer)?);
        }
        thread::Builder::new().name(thread_name.into()).spawn(move || {
            let mut byte = [0];
            loop {
                match reader.read(&mut byte) {
                    Ok(1) => {}
                    // Any handler of the process may run on this thread and interrupt its sleep.
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    _ => return,
                }
                on_signal();
            }
        })?;
        Ok(watch)
    }
}

/// Prints the statistics of a runtime on SIGUSR1 until the watch is dropped.
pub(super) fn print_on_signal(desks: &std::sync::Arc<Desks>) -> Result<SignalWatch, StartError> {
    let stats = StatsHandle::new(desks.clone());
    let print = move || {
        // In one piece, so that it does not mix with what others print; there is nobody to tell if that fails.
        let _ = std::io::stderr().write_all(stats.snapshot().to_string().as_bytes());
    };
    SignalWatch::listen(&[SIGUSR1], "covet-stats", print).map_err(StartError::io("listen for SIGUSR1"))
}

/// Prints what the tasks of a runtime are doing on this signal, until the watch is dropped.
pub(super) fn dump_on_signal(signal: c_int, peers: &Arc<Peers>) -> Result<SignalWatch, StartError> {
    let core = Core::new(0, peers.clone());
    let print = move || {
        let dump = core.dump_runtime_blocking(DUMP_PATIENCE);
        // As for the statistics.
        let _ = std::io::stderr().write_all(dump.to_string().as_bytes());
    };
    let failed = StartError::io("listen for the signal that dumps tasks");
    if signal_hook::consts::FORBIDDEN.contains(&signal) {
        let reason = format!("signal {signal} can't be handled, or must not be");
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, reason)));
    }
    SignalWatch::listen(&[signal], "covet-dump", print).map_err(failed)
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            unregister(id);
        }
        let _ = self.end.shutdown(std::net::Shutdown::Both);
    }
}
