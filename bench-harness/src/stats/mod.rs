//! Statistics over runs.
//!
//! The run is the unit of replication: requests inside one run share its connections, its scheduling and its
//! luck, so an interval computed from them is far too narrow. Rates and latencies are positive and their errors
//! multiply, so intervals are taken on the log scale. With fewer than twenty runs Student's t keeps its promised
//! coverage where a percentile bootstrap falls to 74-89 %. So it does for a percentile of several runs beside the two-level
//! bootstrap, which draws runs and then blocks of seconds within each (Davison and Hinkley, "Bootstrap Methods and their
//! Application", chapter 8): `scripts/stat-coverage.py` holds both against percentiles that are known.
//!
//! What runs say: [`interval`], [`ratio`], [`modes`], [`permutation`], [`shift`], [`band`], [`share`], [`holm`], [`power`],
//! [`levels`], [`pooled`], and of few values [`harrell_davis`]. What one run says
//! of itself: [`warmup`], [`trend`], [`effective`], [`quantile`], [`order`]. Sizes of a difference: [`distance`]. Rates
//! over load: [`scalability`]. Each agrees with R or scipy on the fixtures in `tests/fixtures/statistics.json`.

pub mod band;
pub mod closure;
pub mod distance;
pub mod effective;
pub mod harrell_davis;
pub mod holm;
pub mod interval;
pub mod levels;
pub mod modes;
pub mod order;
pub mod permutation;
pub mod pooled;
pub mod power;
pub mod quantile;
pub mod ratio;
pub mod scalability;
pub mod share;
pub mod shift;
pub mod spread;
pub mod trend;
pub mod warmup;

use thiserror::Error;

pub use closure::Closure;
pub use interval::Interval;
pub use quantile::Bearing;
pub use ratio::{Finding, LogRatio};
pub use scalability::Scalability;
pub use share::Share;

/// The level of every interval that is printed, unless one says otherwise.
pub const LEVEL: f64 = 0.95;

/// Why a statistic does not exist.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum StatsError {
    /// An interval needs the spread between runs.
    #[error("{runs} run(s) have no spread: at least {needed} are needed")]
    TooFewRuns {
        /// How many there were.
        runs: usize,
        /// How many there must be.
        needed: usize,
    },
    /// Logs exist for positive finite numbers only.
    #[error("run {index} has the value {value}, which is not a positive finite number")]
    NotPositive {
        /// Position of the run, from 0.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// Pairs need as many values on each side.
    #[error("{left} runs cannot be paired with {right}")]
    Unpaired {
        /// Runs of the numerator.
        left: usize,
        /// Runs of the denominator.
        right: usize,
    },
    /// A level outside (0, 1).
    #[error("the level {level} is not between 0 and 1")]
    Level {
        /// The level asked for.
        level: f64,
    },
}
