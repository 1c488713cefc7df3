//! A running runtime, seen from outside.

use std::fmt;
use std::thread;
use std::time::Duration;

use super::core::Core;
use super::launch::Builder;
use super::mail::peers::Peers;
use super::shutdown::ShutdownHandle;
use super::signals::SignalWatch;
use super::stall::Watchdog;
use crate::blocking;
use crate::stats::Desks;
use crate::sync_types::Arc;

/// Threads that each run a core.
///
/// Dropping it begins a shutdown without patience and waits for the threads; [`Runtime::join`] waits without
/// asking for anything.
#[must_use = "dropping a runtime shuts it down: call `join` to let it run"]
pub struct Runtime {
    pub(super) threads: Vec<thread::JoinHandle<Option<String>>>,
    pub(super) peers: Arc<Peers>,
    pub(super) handle: ShutdownHandle,
    pub(super) signals: Option<SignalWatch>,
    pub(super) blocking: std::sync::Arc<blocking::Pool>,
    pub(super) watchdog: Option<Watchdog>,
    pub(super) printer: Option<SignalWatch>,
    pub(super) dumper: Option<SignalWatch>,
    pub(crate) desks: std::sync::Arc<Desks>,
}

/// Cores whose main future did not end well. `Debug` says the same as the message: it is what a `main` that returns the
/// error prints.
#[derive(thiserror::Error)]
#[error("{} of {cores} cores failed: {}", failures.len(), failures.join("; "))]
pub struct JoinFailure {
    /// How many cores there were.
    pub cores: usize,
    /// What each of those that failed said.
    pub failures: Vec<String>,
}

impl fmt::Debug for JoinFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Runtime {
    /// Settings for a new runtime.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The core in this place, from 0, for threads that are none themselves.
    ///
    /// # Panics
    /// If there are not that many.
    #[track_caller]
    pub fn core(&self, index: usize) -> Core {
        Core::new(0, self.peers.clone()).peer(index)
    }

    /// Begins the shutdown; see [`ShutdownHandle::shutdown`].
    pub fn shutdown(&self, deadline: Duration) {
        self.handle.shutdown(deadline);
    }

    /// A handle that can shut the runtime down from anywhere.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.handle.clone()
    }

    /// Waits until every core has ended, and the blocking work that they left behind.
    ///
    /// # Errors
    /// When a core's main future panicked or its ring failed; the message says which and why.
    pub fn join(mut self) -> Result<(), JoinFailure> {
        self.wait()
    }

    fn wait(&mut self) -> Result<(), JoinFailure> {
        let cores = self.threads.len();
        let failures: Vec<String> = self
            .threads
            .drain(..)
            .filter_map(|thread| thread.join().unwrap_or_else(|_| Some("a core's thread panicked".into())))
            .collect();
        self.blocking.close(true, || self.handle.0.deadline());
        self.signals = None;
        self.watchdog = None;
        self.printer = None;
        self.dumper = None;
        if failures.is_empty() { Ok(()) } else { Err(JoinFailure { cores, failures }) }
    }

    pub(super) fn abandon(&mut self) -> Result<(), JoinFailure> {
        self.handle.shutdown(Duration::ZERO);
        self.wait()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if !self.threads.is_empty()
            && let Err(error) = self.abandon()
        {
            tracing::error!(%error, "a runtime was dropped");
        }
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("cores", &self.threads.len()).finish()
    }
}
