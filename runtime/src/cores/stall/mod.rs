//! Stalls: polls that hold a core so long that everything else on it waits.
//!
//! How it works, and what it costs:
//! - The core writes a number into memory of its own once per turn of its loop, and the executor writes which task it
//!   polls: two plain stores per turn and one per poll, no clock and no system call.
//! - A **watchdog** thread looks at these numbers a few times per limit. A number that has not changed for the limit
//!   is a stall.
//! - The watchdog then sends the core's thread a signal, whose handler copies the registers and the stack (see
//!   `capture`). Unwinding, symbols and words are the watchdog's business, while the core goes on.

mod capture;
mod heartbeat;
mod report;
#[cfg(feature = "backtraces")]
mod unwind;
mod watchdog;

use std::sync::Arc;
use std::time::Duration;

pub(super) use heartbeat::Heartbeat;
pub use report::StallReport;
#[cfg(feature = "tokio-rt")]
pub(super) use watchdog::Watch;
pub(super) use watchdog::{Watchdog, Watcher};

use crate::Builder;

type Listener = Arc<dyn Fn(&StallReport) + Send + Sync>;

/// What counts as a stall, and who is told.
#[derive(Clone)]
pub(in crate::cores) struct Settings {
    limit: Option<Duration>,
    listener: Option<Listener>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { limit: Some(Duration::from_millis(100)), listener: None }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Builder {
    /// How long a task may hold its core before that is reported as a stall: 100 milliseconds by default, at least
    /// one; `None` turns the detector off.
    ///
    /// A report names the task's origin and, with the feature `backtraces`, where it is stuck. It is logged as a
    /// warning, or printed to standard error if the process has no `tracing` subscriber, at most ten times a minute.
    /// A stall that lasts is reported again after ten times the time.
    ///
    /// The detector is a thread that looks at the cores four times per limit. Only when a core is stalled does it send
    /// a signal to that core's thread: the highest real-time signal that the process has no handler for. System calls
    /// are restarted after it, but for those that never are (signal(7)): blocking code that runs on a core against the
    /// rules may see `EINTR` there.
    pub fn stall_limit(mut self, limit: impl Into<Option<Duration>>) -> Builder {
        self.stall.limit = limit.into().map(|limit| limit.max(Duration::from_millis(1)));
        self
    }

    /// Calls `listener` for every stall that is reported, on the detector's thread, instead of logging it.
    pub fn on_stall(mut self, listener: impl Fn(&StallReport) + Send + Sync + 'static) -> Builder {
        self.stall.listener = Some(Arc::new(listener));
        self
    }
}
