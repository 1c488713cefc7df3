//! What a server turned away or cut off, as a table on standard error.

use std::io::{self, Write};
use std::time::Instant;

use anyhow::Context;
use covet_http::server::Counts;
use covet_runtime::stats::StatsHandle;
use signal_hook::consts::SIGUSR1;

use super::signals;
use crate::quantity::time;

/// The counts of a server, and since when they count.
#[derive(Debug, Clone)]
pub(super) struct TurnedAway {
    counts: Counts,
    since: Instant,
}

impl TurnedAway {
    /// Counts from now on.
    pub(super) fn of(counts: &Counts) -> Self {
        Self { counts: counts.clone(), since: Instant::now() }
    }

    /// Prints the statistics of the cores and the table, or that it is empty, at each SIGUSR1, for as long as the process
    /// runs.
    ///
    /// # Errors
    /// When the signal can't be handled.
    pub(super) fn print_on_signal(&self, stats: StatsHandle) -> anyhow::Result<()> {
        let this = self.clone();
        let print = move || {
            let table = this.table().unwrap_or_else(|| {
                format!("nothing was turned away or cut off in {}\n", time(this.since.elapsed()))
            });
            write(&format!("{}{table}", stats.snapshot()));
        };
        signals::at_each(SIGUSR1, "counts", print)
            .context("cannot listen for SIGUSR1, which prints what was counted")
    }

    /// Prints the table, if anything is in it.
    pub(super) fn print(&self) {
        if let Some(table) = self.table() {
            write(&table);
        }
    }

    fn table(&self) -> Option<String> {
        let rows = self.counts.to_string();
        (!rows.is_empty())
            .then(|| format!("turned away or cut off in {}:\n{rows}", time(self.since.elapsed())))
    }
}

/// In one piece, so that it does not mix with the log; there is nobody to tell if that fails.
fn write(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
