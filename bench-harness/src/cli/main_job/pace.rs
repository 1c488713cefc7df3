//! How long and how often things are measured.

use std::time::Duration;

/// Counts and lengths of the runs of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Runs of route matching.
    pub(super) match_runs: usize,
    /// Length of each.
    pub(super) match_time: Duration,
    /// Length of each run against the server that does nothing.
    pub(super) null_time: Duration,
    /// Closed-loop runs at each depth, and runs of claims that are not of a rate.
    pub(super) closed_runs: usize,
    /// Length of each.
    pub(super) closed_time: Duration,
    /// Open-loop runs that show the latency beside a rate.
    pub(super) open_runs: usize,
    /// Length of each.
    pub(super) open_time: Duration,
    /// Load before each measured window over a socket.
    pub(super) warmup: Duration,
}

impl Pace {
    /// The job as the README describes it: about 30 seconds.
    pub(super) const FULL: Pace = Pace {
        match_runs: 7,
        match_time: Duration::from_millis(500),
        null_time: Duration::from_millis(1000),
        closed_runs: 5,
        closed_time: Duration::from_millis(1500),
        open_runs: 3,
        open_time: Duration::from_millis(2000),
        warmup: Duration::from_millis(300),
    };

    /// This pace with so many runs, and with runs of that length, where they are given.
    pub(super) fn with(self, runs: Option<usize>, length: Option<Duration>) -> Pace {
        let runs = |usual: usize| runs.unwrap_or(usual);
        let time = |usual: Duration| length.unwrap_or(usual);
        Pace {
            match_runs: runs(self.match_runs),
            match_time: time(self.match_time),
            null_time: time(self.null_time),
            closed_runs: runs(self.closed_runs),
            closed_time: time(self.closed_time),
            open_runs: runs(self.open_runs),
            open_time: time(self.open_time),
            warmup: self.warmup,
        }
    }

    /// Everything once over, for continuous integration: about 8 seconds, with wide intervals.
    pub(super) const SHORT: Pace = Pace {
        match_runs: 3,
        match_time: Duration::from_millis(200),
        null_time: Duration::from_millis(400),
        closed_runs: 3,
        closed_time: Duration::from_millis(500),
        open_runs: 2,
        open_time: Duration::from_millis(700),
        warmup: Duration::from_millis(100),
    };
}
