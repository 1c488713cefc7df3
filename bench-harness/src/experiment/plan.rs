//! How many runs of what length a question takes, from how much earlier runs varied.

use std::fmt::Write as _;

use serde::Serialize;

use crate::bundle::{Bundle, BundleError, Metric, Statistic};
use crate::report::quantity::{percent, seconds, three_digits};
use crate::stats::levels::Levels;
use crate::stats::power::{self, Design};
use crate::stats::quantile::{TAIL_SAMPLES, dispersion};

/// Shorter runs than this are mostly their own beginning.
const SHORTEST: f64 = 5.0;
/// The fewest pairs with which the sign-flip test, which assumes nothing, can reject as well.
const FEWEST_PAIRS: u64 = 6;

/// What is to be found out.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Question {
    /// The difference that is to be found, 0.02 for 2 %.
    pub detect: f64,
    /// With which probability.
    pub power: f64,
    /// The level of the test: how often equals are to be told apart.
    pub level: f64,
    /// What a run costs beside its window, in seconds.
    pub cost: f64,
    /// No run is to be longer than this, in seconds.
    pub longest: f64,
}

/// The answer for one metric.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Of which number.
    pub metric: String,
    /// The runs that it rests on.
    pub runs: usize,
    /// Their variation.
    pub levels: Levels,
    /// How many dependent requests are worth one, for a percentile.
    pub dispersion: f64,
    /// The length of each run, in seconds.
    pub length_s: f64,
    /// What decided the length.
    pub because: &'static str,
    /// The standard deviation of a run's logarithm at that length.
    pub deviation: f64,
    /// Pairs of runs, for `ab`.
    pub pairs: Option<u64>,
    /// Runs of each side, for `compare`.
    pub runs_apart: Option<u64>,
}

/// Plans for one metric from bundles of repeats, each of one thing: what differs between bundles is not counted.
///
/// Returns `None` where no bundle has two runs that bear the metric.
///
/// # Errors
/// When a log cannot be read.
pub fn plan(bundles: &[Bundle], metric: &Metric, question: Question) -> Result<Option<Plan>, BundleError> {
    let mut pooled = Vec::new();
    let (mut exceedances, mut counts, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let mut length: f64 = 0.0;
    for bundle in bundles {
        let values: Vec<f64> = bundle.runs.iter().filter_map(|run| metric.of(run).ok()).collect();
        let mut series = Vec::new();
        for (index, run) in bundle.runs.iter().enumerate() {
            length = length.max(run.elapsed_s.unwrap_or(0.0));
            rates.extend(run.rate);
            let log = bundle.log(index + 1, "response")?.unwrap_or_default();
            let run_seconds = per_second(&log);
            if let Metric::Time { statistic: Statistic::Quantile(q), .. } = metric
                && let Ok(threshold) = metric.of(run)
            {
                for hist in &run_seconds {
                    exceedances.push(hist.len() - hist.count_between(0, threshold as u64));
                    counts.push(hist.len());
                }
                let borne = run_seconds.iter().filter(|hist| !hist.is_empty());
                series.push(borne.map(|hist| hist.quantile(*q).as_nanos() as f64).collect());
            } else {
                series.push(run_seconds.iter().map(|hist| hist.len() as f64).collect());
            }
        }
        if let Ok(levels) = Levels::of(&values, &series) {
            pooled.push((values.len(), levels));
        }
    }
    let Some(levels) = pool(&pooled) else { return Ok(None) };
    let runs = pooled.iter().map(|(count, _)| count).sum();
    let quantile = match metric {
        Metric::Time { statistic: Statistic::Quantile(q), .. } => Some(*q),
        _ => None,
    };
    let dispersion = quantile.map_or(1.0, |q| dispersion(&exceedances, &counts, q));
    let rate = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
    let floor = quantile.map_or(0.0, |q| TAIL_SAMPLES * dispersion / (rate * (1.0 - q)));
    Ok(Some(answer(metric.to_string(), runs, levels, (dispersion, floor), length, question)))
}

fn answer(
    metric: String,
    runs: usize,
    levels: Levels,
    (dispersion, floor): (f64, f64),
    measured: f64,
    question: Question,
) -> Plan {
    let (best, mut because) = match levels.best_length(question.cost) {
        _ if levels.within == 0.0 => (measured, "as before: the seconds of the runs are not known"),
        Some(best) => (best, "the least time in all"),
        None => (question.longest, "runs differ by no more than their seconds: the longer the better"),
    };
    let mut length = best;
    for (least, reason) in
        [(SHORTEST, "shorter runs are mostly their beginning"), (floor, "for the percentile's tail")]
    {
        if length < least {
            (length, because) = (least, reason);
        }
    }
    if length > question.longest {
        (length, because) = (question.longest, "the longest that is wanted");
    }
    let length_s = length.ceil();
    let deviation = levels.deviation(length_s);
    let count =
        |deviation, design| power::runs(deviation, question.detect, question.level, question.power, design);
    Plan {
        metric,
        runs,
        levels,
        dispersion,
        length_s,
        because,
        deviation,
        // Both runs of a pair vary; what they share, such as a drift, only makes it less.
        pairs: count(deviation * 2f64.sqrt(), Design::Paired).map(|pairs| pairs.max(FEWEST_PAIRS)),
        runs_apart: count(deviation, Design::Apart),
    }
}

/// The histograms of a run's whole seconds, over all workers.
fn per_second(log: &[crate::bundle::hlog::LogInterval]) -> Vec<crate::record::Hist> {
    let mut seconds = std::collections::BTreeMap::<u64, crate::record::Hist>::new();
    for interval in log.iter().filter(|interval| interval.length.as_secs_f64() > 0.5) {
        seconds.entry(interval.start.as_secs_f64().round() as u64).or_default().add(&interval.hist);
    }
    seconds.into_values().collect()
}

/// Levels of several bundles, weighted by their degrees of freedom.
fn pool(bundles: &[(usize, Levels)]) -> Option<Levels> {
    let degrees: f64 = bundles.iter().map(|(runs, _)| *runs as f64 - 1.0).sum();
    let mean = |of: fn(&Levels) -> f64| {
        bundles.iter().map(|(runs, levels)| (*runs as f64 - 1.0) * of(levels)).sum::<f64>() / degrees
    };
    (degrees > 0.0).then(|| Levels {
        within: mean(|levels| levels.within),
        between: mean(|levels| levels.between),
        runs: mean(|levels| levels.runs),
    })
}

impl Plan {
    /// The plan in words, over a few lines.
    pub fn to_text(&self, question: &Question) -> String {
        let mut text = String::new();
        let share = |variance: f64| percent(variance.sqrt());
        let _ = writeln!(
            text,
            "{}: {} runs varied by {}; seconds within a run by {}, runs beyond that by {}",
            self.metric,
            self.runs,
            share(self.levels.runs),
            share(self.levels.within),
            share(self.levels.between)
        );
        if self.dispersion > 1.0 {
            let _ = writeln!(
                text,
                "  beyond the percentile, {} requests are worth one independent one",
                three_digits(self.dispersion)
            );
        }
        let length = self.length_s;
        let _ = writeln!(
            text,
            "  runs of {length:.0} s ({}), which vary by {}",
            self.because,
            percent(self.deviation)
        );
        let all = |runs: u64| seconds(runs as f64 * (length + question.cost));
        match self.pairs {
            Some(pairs) => {
                let _ = writeln!(
                    text,
                    "  in pairs:  covet-bench ab --pairs {pairs} -d {length:.0}s       ({} in all)",
                    all(2 * pairs)
                );
            }
            None => text.push_str("  in pairs: no number of pairs that anybody would make\n"),
        }
        match self.runs_apart {
            Some(runs) => {
                let _ = writeln!(
                    text,
                    "  apart:     covet-bench run --repeats {runs} -d {length:.0}s on each side, then compare  ({} in all)",
                    all(2 * runs)
                );
            }
            None => text.push_str("  apart: no number of runs that anybody would make\n"),
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::sample;

    const QUESTION: Question = Question { detect: 0.02, power: 0.8, level: 0.05, cost: 1.5, longest: 60.0 };

    #[test]
    fn noisier_runs_take_more_of_them() {
        let count = |spread: u64| {
            let runs: Vec<(u64, u64)> = (0..6).map(|i| (10_000 + spread * (i % 3), 1_000_000)).collect();
            let bundle = sample::bundle("plan", &runs);
            let plan = plan(std::slice::from_ref(&bundle), &Metric::Rate, QUESTION).unwrap().unwrap();
            let _ = std::fs::remove_dir_all(&bundle.folder);
            assert_eq!(plan.runs, 6);
            (plan.pairs.unwrap(), plan.runs_apart.unwrap())
        };
        let (quiet, noisy) = (count(20), count(400));
        assert!(quiet.0 == 6 && quiet.1 < noisy.1 && quiet.0 < noisy.0, "{quiet:?} {noisy:?}");
    }

    #[test]
    fn a_percentile_must_be_borne() {
        let levels = Levels { within: 0.01, between: 0.0001, runs: 0.0002 };
        let short = answer("p99.9".to_owned(), 5, levels, (1.0, 3.0), 10.0, QUESTION);
        assert_eq!((short.length_s, short.because), (13.0, "the least time in all"));
        let long = answer("p99.9".to_owned(), 5, levels, (1.0, 33.3), 10.0, QUESTION);
        assert_eq!((long.length_s, long.because), (34.0, "for the percentile's tail"));
        let most = answer("p99.9".to_owned(), 5, levels, (1.0, 333.0), 10.0, QUESTION);
        assert_eq!((most.length_s, most.because), (60.0, "the longest that is wanted"));
        assert!(long.deviation < short.deviation);
    }

    #[test]
    fn one_run_says_nothing_of_others() {
        let bundle = sample::bundle("plan-one", &[(10_000, 1_000_000)]);
        let plan = plan(std::slice::from_ref(&bundle), &Metric::Rate, QUESTION).unwrap();
        let _ = std::fs::remove_dir_all(&bundle.folder);
        assert!(plan.is_none());
    }
}
