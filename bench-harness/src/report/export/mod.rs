//! Stored runs in the forms that other systems read.

mod junit;
mod markdown;
mod openmetrics;
mod otlp;

use crate::bundle::{Bundle, RunDocument};
use crate::verdict::threshold::ThresholdResult;

pub use junit::junit;
pub use markdown::markdown;
pub use openmetrics::openmetrics;
pub use otlp::otlp;

/// The series that are exported, where a run has them.
const SERIES: [(&str, &str); 3] = [
    ("response", "Time from the intended start to the end of a response"),
    ("service", "Time from the submission to the end of a response"),
    ("lateness", "Time from the intended start to the submission"),
];

/// Upper bounds of the buckets of exported histograms, in nanoseconds: 1, 2 and 5 of each decade from 10 µs to 100 s.
fn bounds() -> Vec<u64> {
    (4..=10)
        .flat_map(|decade| [1, 2, 5].map(|step| step * 10u64.pow(decade)))
        .chain([10u64.pow(11)])
        .collect()
}

/// The one of a run's counts that is a level, and no number of requests.
const MAX_QUEUED: &str = "max_queued";

/// How many requests came to what.
fn outcomes(run: &RunDocument) -> impl Iterator<Item = (&str, u64)> {
    let counts = run.requests.iter().map(|(outcome, count)| (outcome.as_str(), *count));
    counts.filter(|(outcome, _)| *outcome != MAX_QUEUED)
}

/// The most requests that were due and unsent at once.
fn max_queued(run: &RunDocument) -> Option<f64> {
    run.requests.get(MAX_QUEUED).map(|count| *count as f64)
}

/// What is exported: a bundle and the thresholds that it was held against.
#[derive(Debug, Clone)]
pub struct Exported<'a> {
    /// The bundle.
    pub bundle: &'a Bundle,
    /// What it is called.
    pub name: String,
    /// The thresholds.
    pub thresholds: Vec<ThresholdResult>,
}

#[cfg(test)]
mod tests;
