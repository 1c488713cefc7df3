//! What the cores have done: histograms and counters.
//!
//! Each core counts in memory of its own, once per turn of its loop, so that a poll costs nothing more. A snapshot is a
//! copy that the core makes between two turns when it is asked: [`current`] on the core itself, [`StatsHandle`] from
//! elsewhere. With [`Builder::stats_on_sigusr1`](crate::Builder::stats_on_sigusr1) a signal prints all of it.
//!
//! ```
//! use covet_runtime::{block_on, stats, yield_now};
//!
//! let polls = block_on(async {
//!     let before = stats::current();
//!     for _ in 0..10 {
//!         yield_now().await;
//!     }
//!     stats::current().polls - before.polls
//! })?;
//! assert_eq!(polls, 10);
//! # Ok::<(), covet_runtime::StartError>(())
//! ```

mod desk;
mod histogram;
mod record;
mod table;

pub use desk::StatsHandle;
pub(crate) use desk::{Desk, Desks};
pub use histogram::Histogram;
pub use record::{CoreStats, GroupStats};
pub(crate) use record::{DriverCounts, Record, Turn};
pub use table::RuntimeStats;

use crate::cores::context;
use crate::{Builder, Runtime};

/// What this core has counted up to the beginning of its present turn.
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn current() -> CoreStats {
    let core = context::expect_current("stats::current");
    core.record.snapshot(&core)
}

impl Builder {
    /// Whether SIGUSR1 prints the statistics of all cores to standard error. Off by default: signals belong to the
    /// process.
    ///
    /// Once handled, the signal does not end the process any more, not even when the runtime has ended.
    pub fn stats_on_sigusr1(mut self, print: bool) -> Builder {
        self.print_stats = print;
        self
    }
}

impl Runtime {
    /// What all cores have counted so far; see [`StatsHandle::snapshot`].
    pub fn stats(&self) -> RuntimeStats {
        self.stats_handle().snapshot()
    }

    /// A handle that asks for the statistics from any thread, also when the runtime has ended.
    pub fn stats_handle(&self) -> StatsHandle {
        StatsHandle::new(self.desks.clone())
    }
}

/// A handle that asks all cores of this core's runtime.
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn handle() -> StatsHandle {
    StatsHandle::new(context::expect_current("stats::handle").desks.clone())
}
