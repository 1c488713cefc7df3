//! Shift functions: how much each quantile of one side differs from the other's.
//!
//! Two distributions may agree in the median and differ in the tail, or the other way round; one number hides it.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Interval;
use super::band::joint_level;
use super::harrell_davis::of_histogram;
use super::power::Design;
use super::quantile::{Bearing, bearing, dispersion};
use super::ratio::LogRatio;

/// The quantiles that are compared: twenty of the body, then the nines.
pub const GRID: [f64; 26] = [
    0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9,
    0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999,
];

/// One quantile on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Shift {
    /// The quantile.
    pub q: f64,
    /// Geometric mean over the runs of the first side, in nanoseconds.
    pub a_ns: f64,
    /// Geometric mean over the runs of the second side.
    pub b_ns: f64,
    /// The second over the first, with the interval of this quantile alone; without bounds of its own where a side has
    /// one run.
    pub ratio: f64,
    /// The interval of the ratio at this quantile.
    pub pointwise: Option<Interval>,
    /// The interval that holds at all quantiles of the grid at once ([`joint_level`]).
    pub simultaneous: Option<Interval>,
}

/// The shift function of `b` against `a`, each a list of runs, at the quantiles that all runs bear.
///
/// Each run gives one value for each quantile ([`of_histogram`]), and the intervals come from these (Welch's t on logs): the
/// run is the unit, so one run a side has no interval.
///
/// Source: Doksum, "Empirical probability plots and statistical inference for nonlinear models in the two-sample case",
/// Annals of Statistics 2, 1974; Rousselet, Pernet and Wilcox, "Beyond differences in means", Eur. J. Neuroscience 46,
/// 2017.
pub fn shift(a: &[&Histogram<u64>], b: &[&Histogram<u64>], level: f64) -> Vec<Shift> {
    by(a, b, level, Design::Apart)
}

/// The same of runs that were taken in pairs, run `i` of one side next to run `i` of the other: what both runs of a
/// pair met is no part of the ratio.
pub fn paired(a: &[&Histogram<u64>], b: &[&Histogram<u64>], level: f64) -> Vec<Shift> {
    by(a, b, level, Design::Paired)
}

fn by(a: &[&Histogram<u64>], b: &[&Histogram<u64>], level: f64, design: Design) -> Vec<Shift> {
    let borne: Vec<f64> = GRID.into_iter().filter(|&q| bears(a, q) && bears(b, q)).collect();
    let (left, right) = (by_run(a, &borne), by_run(b, &borne));
    let sides = match design {
        Design::Paired => {
            vec![left.iter().zip(&right).map(|(left, right)| differences(left, right)).collect()]
        }
        Design::Apart => vec![logs(&left), logs(&right)],
    };
    let joint = joint_level(&sides, level);
    borne
        .into_iter()
        .enumerate()
        .map(|(place, q)| {
            let of = |runs: &[Vec<f64>]| runs.iter().map(|run| run[place]).collect::<Vec<f64>>();
            let (left, right) = (of(&left), of(&right));
            let ratio = match design {
                Design::Paired => LogRatio::paired(&right, &left),
                Design::Apart => LogRatio::unpaired(&right, &left),
            };
            let (a_ns, b_ns) = (geometric_mean(&left), geometric_mean(&right));
            let interval = |level: f64| ratio.as_ref().ok().and_then(|ratio| ratio.interval(level).ok());
            Shift {
                q,
                a_ns,
                b_ns,
                ratio: b_ns / a_ns,
                pointwise: interval(level),
                simultaneous: interval(joint),
            }
        })
        .collect()
}

/// The quantiles of each run.
fn by_run(runs: &[&Histogram<u64>], quantiles: &[f64]) -> Vec<Vec<f64>> {
    let of = |run: &&Histogram<u64>| quantiles.iter().map(|&q| of_histogram(run, q).max(1.0)).collect();
    runs.iter().map(of).collect()
}

fn logs(runs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    runs.iter().map(|run| run.iter().map(|value| value.ln()).collect()).collect()
}

fn differences(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(left, right)| right.ln() - left.ln()).collect()
}

/// Whether each run has samples enough for the quantile, and the runs of the side agree about its tail.
fn bears(runs: &[&Histogram<u64>], q: f64) -> bool {
    // The lower tail needs samples as much as the upper one.
    let tail = q.max(1.0 - q);
    !runs.is_empty() && runs.iter().all(|run| bearing(tail, run.len(), 1.0) == Bearing::Borne)
}

/// How much the runs of a side disagree about the share above their common quantile: see [`dispersion`].
pub fn between_runs(runs: &[&Histogram<u64>], q: f64) -> f64 {
    let mut all = Histogram::<u64>::new_from(match runs.first() {
        Some(first) => first,
        None => return 1.0,
    });
    for run in runs {
        if all.add(*run).is_err() {
            return 1.0;
        }
    }
    let limit = all.value_at_quantile(q);
    let counts: Vec<u64> = runs.iter().map(|run| run.len()).collect();
    let above: Vec<u64> = runs.iter().map(|run| run.len() - run.count_between(0, limit)).collect();
    dispersion(&above, &counts, q)
}

fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20,000 values spread evenly between `low` and `high`.
    fn run(low: u64, high: u64) -> Histogram<u64> {
        let mut hist = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        (0..20_000).for_each(|i| hist.record(low + (high - low) * i / 20_000).unwrap());
        hist
    }

    #[test]
    fn a_side_that_is_twice_as_slow_is_so_at_each_quantile() {
        let a: Vec<_> = [100_000, 101_000, 99_500].map(|low| run(low, low * 10)).into();
        let b: Vec<_> = [200_000, 203_000, 198_000].map(|low| run(low, low * 10)).into();
        let found = shift(&a.iter().collect::<Vec<_>>(), &b.iter().collect::<Vec<_>>(), 0.95);
        assert_eq!(found.last().unwrap().q, 0.9995, "20,000 values do not bear p99.99");
        for point in found {
            assert!((point.ratio - 2.0).abs() < 0.02, "{point:?}");
            let (alone, jointly) = (point.pointwise.unwrap(), point.simultaneous.unwrap());
            assert!(alone.lower > 1.9 && alone.upper < 2.1, "{point:?}");
            assert!(jointly.lower < alone.lower && alone.upper < jointly.upper);
        }
    }

    #[test]
    fn pairs_leave_out_what_both_of_them_met() {
        // The machine gets slower from pair to pair, and the second side is 10 % slower throughout.
        let a: Vec<_> = [100_000, 150_000, 225_000, 340_000].map(|low| run(low, low * 10)).into();
        let b: Vec<_> = [110_000, 165_500, 247_000, 374_000].map(|low| run(low, low * 10)).into();
        let (a, b): (Vec<_>, Vec<_>) = (a.iter().collect(), b.iter().collect());
        for (together, apart) in paired(&a, &b, 0.95).iter().zip(shift(&a, &b, 0.95)) {
            let (narrow, wide) = (together.simultaneous.unwrap(), apart.pointwise.unwrap());
            assert!((together.ratio - apart.ratio).abs() < 1e-9);
            assert!(narrow.lower > 1.05 && narrow.upper < 1.15, "{together:?}");
            assert!(wide.lower < 0.9 && wide.upper > 1.3, "{apart:?}");
        }
    }

    #[test]
    fn one_run_a_side_has_no_interval_and_no_data_no_point() {
        let (a, b) = (run(1_000, 2_000), run(1_000, 2_000));
        let found = shift(&[&a], &[&b], 0.95);
        assert!(found.iter().all(|p| p.pointwise.is_none() && p.ratio == 1.0), "{found:?}");
        let empty = Histogram::<u64>::new(3).unwrap();
        assert!(shift(&[&a], &[&empty], 0.95).is_empty());
        assert!(shift(&[], &[&a], 0.95).is_empty());
    }

    #[test]
    fn runs_that_disagree_about_the_tail_are_dispersed() {
        let (a, b) = (run(1_000, 2_000), run(1_000, 4_000));
        assert!(between_runs(&[&a, &b], 0.99) > 10.0);
        assert!(between_runs(&[&a, &a.clone()], 0.99) < 1.1);
        assert_eq!(between_runs(&[], 0.99), 1.0);
    }
}
