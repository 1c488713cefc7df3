//! Two bundles against each other, offline.
//!
//! The run is the unit: an interval of a ratio comes from the runs of both sides, never from the requests in them. One
//! run a side gives a ratio without an interval, and says so.

mod conditions;
mod gate;
mod html;
mod markdown;
mod text;

use hdrhistogram::Histogram;
use serde::Serialize;

pub use conditions::{Difference, differences, environment};
pub use gate::{Gate, GateError, GateResult, GateVerdict};

use crate::bundle::{Metric, MetricError, RunDocument};
use crate::record::Hist;
use crate::stats::distance::{Weighted, kolmogorov_smirnov, kolmogorov_smirnov_p, superiority, wasserstein};
use crate::stats::modes::modes;
use crate::stats::permutation::relabel;
use crate::stats::ratio::{Finding, LogRatio};
use crate::stats::shift::{Shift, shift};
use crate::stats::{Interval, LEVEL, holm};

/// The name and version of the JSON form.
pub const SCHEMA: &str = "covet-bench.comparison/1";

/// The difference that is too small to matter, unless one says otherwise.
pub const MARGIN: f64 = 0.02;

/// The response times that are compared, beside the rate.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// One side of a comparison.
#[derive(Debug, Clone)]
pub struct Side {
    /// What it is called.
    pub name: String,
    /// Its runs; at least one.
    pub runs: Vec<RunDocument>,
}

/// What a comparison found.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The names of both sides; ratios are the second over the first.
    pub sides: [SideSummary; 2],
    /// Why it proves nothing, where a run of a side is INVALID and one compares all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid: Option<String>,
    /// What speaks against trusting it.
    pub warnings: Vec<String>,
    /// Conditions, and facts of the machines, that differ; empty until the caller puts in what [`differences`] and
    /// [`environment`] found.
    pub differences: Vec<Difference>,
    /// Numbers that both sides have.
    pub metrics: Vec<MetricResult>,
    /// Sizes of the difference of the response times, runs of each side put together.
    pub distance: Option<Distance>,
    /// The ratio of each quantile.
    pub shift: Vec<Shift>,
    /// The gates and what they came to.
    pub gates: Vec<GateResult>,
}

/// One side as it is reported.
#[derive(Debug, Clone, Serialize)]
pub struct SideSummary {
    /// Its name.
    pub name: String,
    /// How many runs it has.
    pub runs: usize,
    /// The rate of each.
    pub rates: Vec<Option<f64>>,
}

/// One number on both sides.
#[derive(Debug, Clone, Serialize)]
pub struct MetricResult {
    /// Its name.
    pub name: String,
    /// Geometric mean of the first side's runs.
    pub a: f64,
    /// Geometric mean of the second side's runs.
    pub b: f64,
    /// The second over the first.
    pub ratio: f64,
    /// Its interval; `None` with one run on a side.
    pub interval: Option<Interval>,
    /// The p-value of "no difference", adjusted for there being several numbers.
    pub p: Option<f64>,
    /// What the runs say.
    pub finding: Finding,
}

/// How far apart the distributions of response times are.
#[derive(Debug, Clone, Serialize)]
pub struct Distance {
    /// Kolmogorov and Smirnov's: the largest difference of the shares at or below a time.
    pub kolmogorov_smirnov: f64,
    /// Wasserstein's, in nanoseconds: by how much the average request moved.
    pub wasserstein_ns: f64,
    /// The probability that a request of the second side takes longer than one of the first.
    pub superiority: f64,
    /// Cliff's delta: the same from -1, where every request of the second side is the faster one, to 1.
    pub cliffs_delta: f64,
    /// The p-value of "both sides are alike" over all ways to divide the runs; `None` with fewer than four runs a side,
    /// for then it cannot be below 0.05.
    pub p: Option<f64>,
    /// With fewer runs, Kolmogorov and Smirnov's p-value of "these runs are alike" by the independent requests that they
    /// are worth: what is small says that these runs differ, and not that others would. `None` where that number is not
    /// known.
    pub p_of_these_runs: Option<f64>,
}

impl Comparison {
    /// Compares `b` with `a`. `margin` is the difference that is too small to matter, such as 0.02.
    ///
    /// Whether the two may be compared is for [`differences`] to say.
    ///
    /// # Errors
    /// When a histogram cannot be read.
    pub fn of(a: &Side, b: &Side, margin: f64, gates: &[Gate]) -> Result<Comparison, MetricError> {
        let mut warnings = Vec::new();
        for side in [a, b] {
            warnings.extend(objections(side));
        }
        if a.runs.len() < 2 || b.runs.len() < 2 {
            warnings.push(
                "one run on a side: nothing is known of how much runs differ, so ratios have no interval"
                    .to_owned(),
            );
        }
        let (left, right) = (histograms(a)?, histograms(b)?);
        let (shift, distance) = match (&left, &right) {
            (Some(left), Some(right)) => {
                fn plain(runs: &[Hist]) -> Vec<&Histogram<u64>> {
                    runs.iter().map(|hist| &**hist).collect()
                }
                let effective =
                    |side: &Side| side.runs.iter().map(RunDocument::effective).sum::<Option<f64>>();
                let distance = Distance::of(left, right, effective(a).zip(effective(b)));
                (shift(&plain(left), &plain(right), LEVEL), distance)
            }
            _ => {
                warnings.push("a side has percentiles only, so distributions cannot be compared".to_owned());
                (Vec::new(), None)
            }
        };
        Ok(Comparison {
            schema: SCHEMA,
            sides: [summary(a), summary(b)],
            invalid: invalid([a, b]),
            warnings,
            differences: Vec::new(),
            metrics: metrics(a, b, margin),
            distance,
            shift,
            gates: gates.iter().map(|gate| gate.judge(a, b)).collect(),
        })
    }

    /// What all gates together come to; passed when there are none.
    pub fn verdict(&self) -> GateVerdict {
        self.gates.iter().map(|gate| gate.verdict).max().unwrap_or(GateVerdict::Passed)
    }
}

/// Which of the sides has a run whose guard failed, and the guard; nothing where all are valid.
pub fn invalid(sides: [&Side; 2]) -> Option<String> {
    let side = sides.into_iter().find(|side| side.runs.iter().any(|run| !run.valid))?;
    let guards = side.runs.iter().flat_map(|run| &run.guards);
    let mut failed: Vec<&str> =
        guards.filter(|guard| guard.severity() > 2).map(|guard| guard.name.as_str()).collect();
    failed.dedup();
    Some(format!("{} has a run that is INVALID: {}", side.name, failed.join(", ")))
}

fn summary(side: &Side) -> SideSummary {
    let rates = side.runs.iter().map(|run| run.rate).collect();
    SideSummary { name: side.name.clone(), runs: side.runs.len(), rates }
}

fn objections(side: &Side) -> Vec<String> {
    let mut objections = Vec::new();
    for (index, run) in side.runs.iter().enumerate() {
        let number = if side.runs.len() > 1 { format!(" run {}", index + 1) } else { String::new() };
        objections.extend(run.objections().into_iter().map(|text| format!("{}{number}: {text}", side.name)));
        if let Some(imported) = &run.imported {
            objections.extend(imported.biases.iter().map(|bias| format!("{}: {bias}", side.name)));
        }
    }
    let rates: Vec<f64> = side.runs.iter().filter_map(|run| run.rate).collect();
    if let Some(modes) = modes(&rates) {
        objections.push(format!(
            "{}: the runs fall into two modes, {} around {:.0}/s and {} around {:.0}/s, and their mean describes neither",
            side.name,
            modes.low_runs.len(),
            modes.low,
            modes.high_runs.len(),
            modes.high
        ));
    }
    objections
}

/// The histograms of a side; `None` where a run has none.
fn histograms(side: &Side) -> Result<Option<Vec<Hist>>, MetricError> {
    let mut all = Vec::new();
    for run in &side.runs {
        match run.response.histogram() {
            Ok(Some(hist)) => all.push(hist),
            Ok(None) => return Ok(None),
            Err(_) => return Err(MetricError::Damaged(side.name.clone())),
        }
    }
    Ok(Some(all))
}

/// The values of a metric in all runs of a side; `None` where a run does not have it.
pub(crate) fn values(side: &Side, metric: &Metric) -> Result<Vec<f64>, MetricError> {
    side.runs.iter().map(|run| metric.estimate(run)).collect()
}

pub(crate) fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp()
}

fn metrics(a: &Side, b: &Side, margin: f64) -> Vec<MetricResult> {
    let mut wanted = vec![Metric::Rate];
    wanted.extend(QUANTILES.map(Metric::quantile));
    let mut ratios = Vec::new();
    let mut results: Vec<MetricResult> = Vec::new();
    for metric in wanted {
        let (Ok(left), Ok(right)) = (values(a, &metric), values(b, &metric)) else { continue };
        let (a, b) = (geometric_mean(&left), geometric_mean(&right));
        let log_ratio = LogRatio::unpaired(&right, &left).ok();
        ratios.push(log_ratio);
        results.push(MetricResult {
            name: metric.to_string(),
            a,
            b,
            ratio: b / a,
            interval: log_ratio.and_then(|ratio| ratio.interval(LEVEL).ok()),
            p: log_ratio.map(|ratio| ratio.p_value()),
            finding: log_ratio.map_or(Finding::Inconclusive, |ratio| ratio.finding(margin, 1.0 - LEVEL)),
        });
    }
    let known: Vec<f64> = results.iter().filter_map(|result| result.p).collect();
    let adjusted = holm::adjust(&known);
    for (result, p) in results.iter_mut().filter(|result| result.p.is_some()).zip(adjusted) {
        // A difference that one number of five shows by chance is not found.
        if p > 1.0 - LEVEL && matches!(result.finding, Finding::Higher | Finding::Lower) {
            result.finding = Finding::Inconclusive;
        }
        result.p = Some(p);
    }
    results
}

impl Distance {
    /// `effective` is how many independent requests each side is worth.
    fn of(a: &[Hist], b: &[Hist], effective: Option<(f64, f64)>) -> Option<Distance> {
        let pooled = |runs: &[Hist]| {
            let mut sum = Hist::new();
            runs.iter().for_each(|run| sum.add(run));
            Weighted::of(&sum)
        };
        let (left, right) = (pooled(a), pooled(b));
        let superiority = superiority(&left, &right)?;
        let largest = kolmogorov_smirnov(&left, &right)?;
        let p = (a.len() >= 4 && b.len() >= 4).then(|| between(a, b));
        Some(Distance {
            kolmogorov_smirnov: largest,
            wasserstein_ns: wasserstein(&left, &right)?,
            superiority,
            cliffs_delta: 2.0 * superiority - 1.0,
            p,
            p_of_these_runs: effective
                .filter(|_| p.is_none())
                .map(|(n, m)| kolmogorov_smirnov_p(largest, n, m)),
        })
    }
}

/// The p-value of the mean distance between runs of different sides, less that between runs of one side.
fn between(a: &[Hist], b: &[Hist]) -> f64 {
    let runs: Vec<Weighted> = a.iter().chain(b).map(|hist| Weighted::of(hist)).collect();
    let count = runs.len();
    let mut distances = vec![0.0; count * count];
    for i in 0..count {
        for j in i + 1..count {
            distances[i * count + j] = kolmogorov_smirnov(&runs[i], &runs[j]).unwrap_or(0.0);
        }
    }
    relabel(a.len(), b.len(), |labels| {
        let (mut within, mut across) = ((0.0, 0.0), (0.0, 0.0));
        for i in 0..count {
            for j in i + 1..count {
                let sum = if labels[i] == labels[j] { &mut within } else { &mut across };
                *sum = (sum.0 + distances[i * count + j], sum.1 + 1.0);
            }
        }
        across.0 / f64::max(across.1, 1.0) - within.0 / f64::max(within.1, 1.0)
    })
}

#[cfg(test)]
mod tests;
