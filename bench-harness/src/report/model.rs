//! What a report says, before it takes a form.

use std::cmp::Reverse;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Curve, Environment};
use crate::record::{Guard, GuardOutcome};
use crate::stats::{Bearing, Interval, LEVEL, quantile};
use crate::verdict::{Claim, Feasibility, Judgement, Limit, Reading};

/// The version of the JSON form; it changes whenever a field changes its meaning or goes away.
pub const SCHEMA: &str = "covet-bench.report/1";

/// The quantiles that a report prints, where the data bear them.
pub const QUANTILES: [f64; 6] = [0.5, 0.75, 0.9, 0.99, 0.999, 0.9999];

/// A whole report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// When the measurement began: UTC, RFC 3339.
    pub started: String,
    /// How long everything took, in seconds.
    pub elapsed_s: f64,
    /// The claim.
    pub claim: Claim,
    /// The judgement of the claim as a whole.
    pub overall: Judgement,
    /// One result for each layer, the claim's own first.
    pub layers: Vec<LayerResult>,
    /// Latency at a constant rate of arrivals.
    pub latency: Option<Latency>,
    /// What the reader must know and no table says, such as what could not be measured and why.
    pub notes: Vec<String>,
    /// Where it was measured.
    pub environment: Environment,
}

/// A condition of a measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// What is fixed.
    pub name: String,
    /// At what.
    pub value: String,
}

impl Condition {
    /// A condition.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Condition {
        Condition { name: name.into(), value: value.into() }
    }
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing speaks against the numbers.
    Passed,
    /// The numbers hold with the caveat in the detail.
    Warning,
    /// The numbers prove nothing.
    Failed,
}

/// A check that a measurement had to pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A short name.
    pub name: String,
    /// What it came to.
    pub outcome: Outcome,
    /// What was found, in one phrase.
    pub detail: String,
}

impl Check {
    /// A guard that was looked at; `None` where it was not, for nothing follows from it.
    pub fn of(guard: Guard) -> Option<Check> {
        let outcome = match guard.outcome {
            GuardOutcome::Passed => Outcome::Passed,
            GuardOutcome::Warning => Outcome::Warning,
            GuardOutcome::Failed => Outcome::Failed,
            GuardOutcome::NotMeasured => return None,
        };
        Some(Check { name: guard.name.to_owned(), outcome, detail: guard.detail })
    }
}

/// The checks as a reader looks for them: what failed, then what warns, then the rest.
pub(crate) fn worst_first(checks: &[Check]) -> Vec<&Check> {
    let mut sorted: Vec<&Check> = checks.iter().collect();
    sorted.sort_by_key(|check| Reverse(check.outcome));
    sorted
}

/// One run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunResult {
    /// Operations per second; for HTTP, validated responses.
    pub rate: f64,
    /// The claim's own quantity, where it is another than the rate: seconds, bytes or a share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figure: Option<f64>,
    /// CPU time of the subject for one operation, in microseconds, by the kernel's own accounting.
    pub server_cpu_us: Option<f64>,
    /// CPU time of the generator for one operation, in microseconds.
    pub generator_cpu_us: Option<f64>,
    /// CPU time over wall time of the subject's cores, 0 to 1.
    pub server_busy: Option<f64>,
    /// The same of the busiest generator core.
    pub generator_busy: Option<f64>,
    /// Little's law: rate times mean latency over requests in flight.
    pub closure: Option<f64>,
    /// Everything that the run recorded.
    pub record: Option<serde_json::Value>,
}

/// The measurement of a claim in one layer.
#[derive(Debug, Clone, Serialize)]
pub struct LayerResult {
    /// The layer.
    pub reading: Reading,
    /// What was measured.
    pub subject: String,
    /// The judgement in this layer.
    pub judgement: Judgement,
    /// The rate over all runs.
    pub rate: Option<Interval>,
    /// What is judged over all runs: the rate, or the claim's other quantity in seconds, bytes or as a share.
    pub figure: Option<Interval>,
    /// What the rate was limited by.
    pub limit: Limit,
    /// What the claim would cost on this machine.
    pub feasibility: Option<Feasibility>,
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// The runs, in the order in which they were made.
    pub runs: Vec<RunResult>,
    /// The checks.
    pub checks: Vec<Check>,
    /// Latency of each run, where the layer has one.
    pub curves: Vec<Curve>,
    /// Latency of all runs together.
    pub merged: Option<Curve>,
}

impl LayerResult {
    /// The median over runs of a property that some runs may lack.
    pub fn median(&self, of: impl Fn(&RunResult) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.runs.iter().filter_map(of).collect();
        crate::stats::spread::median(&values)
    }
}

/// Latency under one load, by clock.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// The load in a few words.
    pub title: String,
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// The clocks; the first is the one that users feel.
    pub clocks: Vec<Clock>,
    /// The checks.
    pub checks: Vec<Check>,
    /// The runs.
    pub runs: Vec<RunResult>,
}

impl Latency {
    /// Whether no check failed.
    pub fn is_valid(&self) -> bool {
        self.checks.iter().all(|check| check.outcome != Outcome::Failed)
    }
}

/// One clock of the latency.
#[derive(Debug, Clone, Serialize)]
pub struct Clock {
    /// Its name: response, service or lateness.
    pub name: &'static str,
    /// From when to when it runs.
    pub meaning: &'static str,
    /// The curve of each run.
    pub runs: Vec<Curve>,
    /// The curve of all runs together.
    pub merged: Curve,
    /// The percentiles of all runs together.
    pub percentiles: Vec<Percentile>,
    /// The greatest value, in nanoseconds.
    pub max_ns: u64,
}

/// A percentile of all runs together, with the interval that the runs span.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentile {
    /// The quantile, 0 to 1.
    pub q: f64,
    /// Its value in the merged data, in nanoseconds; absent where the data do not bear it.
    pub value_ns: Option<u64>,
    /// The interval over the runs' own values, in nanoseconds.
    pub interval: Option<Interval>,
    /// Whether the data bear it.
    pub bearing: Bearing,
}

impl Clock {
    /// The clock over runs of nanosecond histograms that all have the same bounds.
    ///
    /// # Panics
    /// When the histograms differ in their bounds, which those of one instrument do not.
    pub fn over(name: &'static str, meaning: &'static str, runs: &[&Histogram<u64>]) -> Clock {
        let mut merged = Histogram::new_with_bounds(1, crate::record::MAX_NANOS, 3)
            .expect("the bounds are valid constants");
        for run in runs {
            merged.add(*run).expect("all histograms of the instrument have the same bounds");
        }
        Clock {
            name,
            meaning,
            runs: runs.iter().enumerate().map(|(i, run)| Curve::of(format!("run {}", i + 1), run)).collect(),
            merged: Curve::of("all runs", &merged),
            percentiles: QUANTILES.iter().map(|&q| percentile(q, runs, &merged)).collect(),
            max_ns: if merged.is_empty() { 0 } else { merged.max() },
        }
    }
}

fn percentile(q: f64, runs: &[&Histogram<u64>], merged: &Histogram<u64>) -> Percentile {
    let value = merged.value_at_quantile(q);
    let counts: Vec<u64> = runs.iter().map(|run| run.len()).collect();
    let above: Vec<u64> = runs.iter().map(|run| run.len() - run.count_between(0, value)).collect();
    let bearing = quantile::bearing(q, merged.len(), quantile::dispersion(&above, &counts, q));
    let each: Vec<f64> = runs.iter().map(|run| run.value_at_quantile(q) as f64).collect();
    let shown = bearing == Bearing::Borne;
    Percentile {
        q,
        value_ns: shown.then_some(value),
        interval: Interval::of_runs(&each, LEVEL).ok().filter(|_| shown),
        bearing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(scale: u64, tail: u64) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, crate::record::MAX_NANOS, 3).unwrap();
        for i in 0..10_000u64 {
            histogram.record(scale * (50 + i % 100)).unwrap();
        }
        for i in 0..tail {
            histogram.record(scale * (10_000 + i * 1_000)).unwrap();
        }
        histogram
    }

    #[test]
    fn percentiles_are_read_from_merged_data_and_withheld_where_runs_disagree() {
        let runs = [run(1000, 20), run(1010, 22), run(990, 18), run(1000, 20), run(1005, 21)];
        let clock = Clock::over("response", "intended to done", &runs.each_ref());
        let p50 = clock.percentiles[0];
        assert_eq!(p50.bearing, Bearing::Borne);
        let interval = p50.interval.unwrap();
        assert!(interval.lower < 100_000.0 && interval.upper > 99_000.0, "{interval:?}");
        assert_eq!(clock.percentiles[4].bearing, Bearing::Borne);
        assert!(matches!(clock.percentiles[5].bearing, Bearing::TooFew { .. }), "{:?}", clock.percentiles[5]);
        assert_eq!(clock.percentiles[5].value_ns, None);

        let uneven = [run(1000, 0), run(1000, 0), run(1000, 0), run(1000, 0), run(1000, 300)];
        let clock = Clock::over("response", "intended to done", &uneven.each_ref());
        assert_eq!(clock.percentiles[4].bearing, Bearing::Unsteady, "{:?}", clock.percentiles);
    }

    #[test]
    fn no_samples_bear_nothing() {
        let clock = Clock::over("response", "intended to done", &[]);
        assert!(clock.percentiles.iter().all(|p| p.value_ns.is_none()));
        assert_eq!(clock.max_ns, 0);
    }
}
