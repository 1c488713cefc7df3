//! What a run recorded: counts, histograms, intervals, and the conditions they were taken under.
//!
//! Latency has three clocks: the *intended* start, the *submission* and the *end*. The response time runs from
//! intended to end, the service time from submission to end, the lateness from intended to submission. A closed
//! loop intends nothing, so its response and service times are the same.

mod conditions;
mod dispersion;
mod errors;
mod guards;
mod guards_beside;
mod handshakes;
mod hist;
mod json;
mod merge;
mod platform;
mod steadiness;
mod text;

use std::time::Duration;

use crate::stats::LEVEL;
use crate::stats::order::within_run;
use dispersion::Blocks;

pub use conditions::{Conditions, LoopModel, cpu_model, kernel_release};
pub use errors::{ErrorClass, Errors};
pub use guards::{Guard, GuardOutcome};
pub use handshakes::{Agreed, Handshakes};
pub use hist::{Hist, MAX_NANOS};
pub use json::SCHEMA;
pub use merge::CoreInterval;
pub(crate) use merge::{CoreRecord, Merger};
pub use platform::{Doubling, Kernel, Platform, Probes};
pub use steadiness::WarmedUp;

/// The quantiles that are reported where the data bear them.
pub const REPORTED_QUANTILES: [(f64, &str); 6] =
    [(0.5, "p50"), (0.75, "p75"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")];

/// One second of the measured window; the last one may be shorter.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// When it began, counted from the start of the window.
    pub start: Duration,
    /// How long it was.
    pub length: Duration,
    /// Validated responses in it.
    pub completed: u64,
    /// Requests that ended in it without one.
    pub failed: u64,
    /// Median response time; zero when there was no response.
    pub p50: Duration,
    /// 99th percentile of the response time; zero when there was no response.
    pub p99: Duration,
    /// Requests that were due and not yet sent at its end; zero in a closed loop.
    pub backlog: u64,
}

/// The record of one run.
///
/// Requests are never lost: `in_flight_at_start + sent = completed + failed + in_flight_at_end`.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// What was run, and where.
    pub conditions: Conditions,
    /// The measured window's actual length.
    pub elapsed: Duration,
    /// How the warm-up ended, where it was to last until the load was steady.
    pub warmed_up: Option<WarmedUp>,
    /// Why the window closed before its time, where it did.
    pub aborted: Option<String>,
    /// Requests sent within the window.
    pub sent: u64,
    /// Validated responses that ended within the window.
    pub completed: u64,
    /// Requests that ended within the window without a validated response.
    pub failed: u64,
    /// Requests sent before the window and not ended when it began.
    pub in_flight_at_start: u64,
    /// Requests sent and not ended when the window closed.
    pub in_flight_at_end: u64,
    /// Requests that were due before the window and not sent when it began; zero in a closed loop.
    pub queued_at_start: u64,
    /// Requests that were due before the window closed and never sent; zero in a closed loop.
    pub queued_at_end: u64,
    /// The most requests that were ever due and not yet sent.
    pub max_queued: u64,
    /// Bytes received, heads included.
    pub bytes_in: u64,
    /// Bytes sent, heads included.
    pub bytes_out: u64,
    /// Final responses by the first digit of their status; index 0 counts what begins with 6 to 9.
    pub status: [u64; 6],
    /// What went wrong.
    pub errors: Errors,
    /// Connections opened again after the server closed or broke them.
    pub reconnects: u64,
    /// Connections opened within the window.
    pub opened: u64,
    /// How often a generator thread lost its CPU although it had work; `None` where the kernel does not tell.
    pub preemptions: Option<u64>,
    /// Response time of completed requests, and of timed-out ones at the time they had waited (a lower bound).
    pub response: Hist,
    /// Service time, recorded like `response`.
    pub service: Hist,
    /// How late each request was sent, waiting for a free connection included; open loop only.
    pub lateness: Option<Hist>,
    /// The part of the lateness that is the generator's own: a connection was free and the request was sent late.
    pub generator_lateness: Option<Hist>,
    /// Time from the submission to the first byte of the answer, recorded like `service`.
    pub first_byte: Hist,
    /// Time that connections took to be opened, those before the window included.
    pub connect: Hist,
    /// The TLS handshakes; `None` where connections were plain.
    pub tls: Option<Handshakes>,
    /// Response times over time, for how much they depend on each other.
    pub(crate) blocks: Blocks,
    /// The response times of each generator core.
    pub workers: Vec<Hist>,
    /// Ages, from their intended start, of the requests in flight or queued when the window closed, and of those whose
    /// connection ended before they were answered: their response times are longer than that.
    pub censored: Hist,
    /// Requests whose connection ended before they were answered.
    pub cut_off: u64,
    /// What the machine did meanwhile; `None` where it was not watched.
    pub platform: Option<Platform>,
    /// What was measured beside the run, in order to judge it.
    pub probes: Probes,
    /// CPU time of all generator threads within the window.
    pub generator_cpu: Duration,
    /// CPU time over wall time of each generator thread.
    pub busy: Vec<f64>,
    /// Time over wall time that each generator thread was ready and waited for its CPU; zero where the kernel does
    /// not count it.
    pub waited: Vec<f64>,
    /// The longest time that a generator thread did nothing although it had something to do: stopped, descheduled,
    /// or the machine itself paused.
    pub longest_pause: Duration,
    /// The window second by second.
    pub intervals: Vec<Interval>,
    /// Little's law: 1 when no time escaped the measurement. In a closed loop λ·W over the slots that were open; in an
    /// open one λ·W, from the clocks of each request, over the mean number in flight, from their count.
    pub little_closure: f64,
    /// The mean part of the slots that was in use.
    pub slots_in_use: f64,
}

impl RunRecord {
    /// Validated responses per second.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.completed as f64 / seconds } else { 0.0 }
    }

    /// Requests that became due within the window: they were sent in it or wait at its end, and some that were sent in it
    /// had waited at its beginning. Those that were sent, in a closed loop.
    pub fn due(&self) -> u64 {
        (self.sent + self.queued_at_end).saturating_sub(self.queued_at_start)
    }

    /// The response time at quantile `q` (0 to 1), timeouts at their lower bound, requests without an end left out.
    pub fn quantile(&self, q: f64) -> Duration {
        self.response.quantile(q)
    }

    /// The bounds of the response time at quantile `q` when requests without an end are counted.
    ///
    /// The lower bound takes them, and timeouts, at the age they had; the upper bound takes them as endless, so it
    /// is `None` where the quantile falls among them.
    pub fn quantile_bounds(&self, q: f64) -> (Duration, Option<Duration>) {
        let mut lower = self.response.clone();
        lower.add(&self.censored);
        let total = lower.len();
        let ended = self.response.len().saturating_sub(self.errors.timeout);
        let rank = ((q * total as f64).ceil() as u64).max(1);
        let upper = (rank <= ended && ended > 0)
            .then(|| self.response.quantile(rank as f64 / self.response.len() as f64));
        (lower.quantile(q), upper)
    }

    /// Whether enough requests lie beyond quantile `q` for it to mean anything among other runs: n(1-q) ≥ 10.
    pub fn bears(&self, q: f64) -> bool {
        // The tolerance keeps 1 - 0.9 from making 100 requests too few for p90.
        self.response.len() as f64 * (1.0 - q) >= 10.0 - 1e-6
    }

    /// How many of the run's requests carry the information of one independent request, as far as quantile `q` of the
    /// response time goes: the index of dispersion of their number beyond it from second to second. `None` with fewer
    /// than eight seconds, where nothing is known of it.
    pub fn dispersion(&self, q: f64) -> Option<f64> {
        self.blocks.dispersion(q)
    }

    /// How many independent requests the run is worth for quantile `q`; all of them where nothing is known.
    pub fn effective(&self, q: f64) -> f64 {
        self.response.len() as f64 / self.dispersion(q).unwrap_or(1.0)
    }

    /// Whether enough independent requests lie beyond quantile `q` for this run alone to say something of it:
    /// [`RunRecord::effective`] · (1-q) ≥ 10.
    pub fn bears_alone(&self, q: f64) -> bool {
        self.effective(q) * (1.0 - q) >= 10.0 - 1e-6
    }

    /// The 95 % interval of the response time at quantile `q` within this run. Other runs lie outside it more often
    /// than not: it is the least that is not known. `None` where the dependence of the requests is not known, or they
    /// are too few.
    pub fn interval_within(&self, q: f64) -> Option<(Duration, Duration)> {
        let dispersion = self.dispersion(q)?;
        let (lower, upper) = within_run(&self.response, q, dispersion, LEVEL)?;
        Some((Duration::from_nanos(lower), Duration::from_nanos(upper)))
    }

    /// CPU time of the generator for each completed request; zero when nothing completed.
    pub fn cpu_per_request(&self) -> Duration {
        if self.completed == 0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(self.generator_cpu.as_secs_f64() / self.completed as f64)
    }

    /// The busiest generator thread's CPU time over wall time.
    pub fn busiest(&self) -> f64 {
        self.busy.iter().copied().fold(0.0, f64::max)
    }
}

#[cfg(test)]
pub(crate) mod tests;
