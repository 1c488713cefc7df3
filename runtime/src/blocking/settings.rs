//! How large the pool may grow.

use std::time::Duration;

use crate::Builder;

/// The bounds of a pool.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(super) threads: usize,
    pub(super) queue: usize,
    pub(super) keep_alive: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { threads: 64, queue: 1024, keep_alive: Duration::from_secs(10) }
    }
}

impl Builder {
    /// How many threads [`spawn_blocking`](crate::spawn_blocking) may use, in all cores together: 64 by default, at
    /// least 1. They start only when there is work for them.
    pub fn blocking_threads(mut self, most: usize) -> Builder {
        self.blocking.threads = most.max(1);
        self
    }

    /// How much blocking work may be queued while every thread is busy: 1,024 by default, at least 1. What
    /// [`spawn_blocking`](crate::spawn_blocking) does beyond that is said there.
    pub fn blocking_queue(mut self, most: usize) -> Builder {
        self.blocking.queue = most.max(1);
        self
    }

    /// How long a blocking thread stays without work before it ends: 10 seconds by default.
    pub fn blocking_keep_alive(mut self, time: Duration) -> Builder {
        self.blocking.keep_alive = time;
        self
    }
}
