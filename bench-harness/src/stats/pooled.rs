//! The quantile of all values that several runs measured together, of one side over that of the other.
//!
//! A high quantile of a short run rests on a handful of values; that of many short runs together rests on many. What is
//! resampled is the pair of runs, since the values of one run depend on each other.

use hdrhistogram::Histogram;

use super::{Interval, StatsError, spread};
use crate::clock::Random;

/// Pairs that an interval needs: with fewer of them a percentile bootstrap covers less than it promises.
pub const FEWEST: usize = 20;
const RESAMPLES: usize = 1000;

/// The values of one side, pair by pair: which of `values`, and how often.
struct Side {
    values: Vec<u64>,
    pairs: Vec<Vec<(usize, u64)>>,
}

impl Side {
    fn of<'a>(runs: impl Iterator<Item = &'a Histogram<u64>> + Clone) -> Self {
        let mut values: Vec<u64> = runs
            .clone()
            .flat_map(|run| {
                run.iter_recorded().map(|bucket| run.median_equivalent(bucket.value_iterated_to()))
            })
            .collect();
        values.sort_unstable();
        values.dedup();
        let pairs = runs.map(|run| {
            let counts = run.iter_recorded().map(|bucket| {
                let value = run.median_equivalent(bucket.value_iterated_to());
                // Every value of every run is there.
                (values.partition_point(|&known| known < value), bucket.count_at_value())
            });
            counts.collect()
        });
        let pairs = pairs.collect();
        Self { values, pairs }
    }

    /// The quantile `q` of the values of these pairs, each as often as it is named; `None` without values.
    fn quantile(&self, chosen: &[usize], q: f64, counts: &mut Vec<u64>) -> Option<f64> {
        counts.clear();
        counts.resize(self.values.len(), 0);
        let mut total = 0;
        for &pair in chosen {
            for &(at, count) in &self.pairs[pair] {
                counts[at] += count;
                total += count;
            }
        }
        let rank = ((q * total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let at = counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(self.values[at] as f64)
    }
}

/// Quantile `q` of all values of the first sides of the pairs, over that of the second ones, with an interval by the
/// percentile bootstrap over pairs. The same seed gives the same interval.
///
/// Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
///
/// # Errors
/// Fewer than [`FEWEST`] pairs, a level outside (0, 1), and sides without a value above zero.
pub fn quantile_ratio(
    pairs: &[(Histogram<u64>, Histogram<u64>)],
    q: f64,
    level: f64,
    seed: u64,
) -> Result<Interval, StatsError> {
    let above = Side::of(pairs.iter().map(|(above, _)| above));
    let below = Side::of(pairs.iter().map(|(_, below)| below));
    let mut counts = Vec::new();
    bootstrap(pairs.len(), level, seed, |chosen| {
        let above = above.quantile(chosen, q, &mut counts).unwrap_or(0.0);
        above / below.quantile(chosen, q, &mut counts).unwrap_or(0.0)
    })
}

/// The median of the first sides' quantiles `q` over that of the second ones, with an interval as [`quantile_ratio`] has it.
///
/// A few runs that something else disturbed decide about a high quantile of all values together, and hardly move a median.
///
/// # Errors
/// As those of [`quantile_ratio`].
pub fn median_ratio(
    pairs: &[(Histogram<u64>, Histogram<u64>)],
    q: f64,
    level: f64,
    seed: u64,
) -> Result<Interval, StatsError> {
    let of = |run: &Histogram<u64>| run.value_at_quantile(q) as f64;
    let sides: Vec<(f64, f64)> = pairs.iter().map(|(above, below)| (of(above), of(below))).collect();
    let mut values = Vec::new();
    let mut median = |chosen: &[usize], side: fn(&(f64, f64)) -> f64| {
        values.clear();
        values.extend(chosen.iter().map(|&pair| side(&sides[pair])));
        spread::median(&values).unwrap_or(0.0)
    };
    bootstrap(pairs.len(), level, seed, |chosen| {
        median(chosen, |&(above, _)| above) / median(chosen, |&(_, below)| below)
    })
}

/// A ratio of these pairs, of which the chosen ones are there as often as they are named.
fn bootstrap(
    pairs: usize,
    level: f64,
    seed: u64,
    mut ratio: impl FnMut(&[usize]) -> f64,
) -> Result<Interval, StatsError> {
    if !(level > 0.0 && level < 1.0) {
        return Err(StatsError::Level { level });
    }
    if pairs < FEWEST {
        return Err(StatsError::TooFewRuns { runs: pairs, needed: FEWEST });
    }
    let all: Vec<usize> = (0..pairs).collect();
    let estimate = ratio(&all);
    if !(estimate.is_finite() && estimate > 0.0) {
        return Err(StatsError::NotPositive { index: 0, value: estimate });
    }
    let mut random = Random::new(seed, 0);
    let mut chosen = all;
    let mut resampled: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            chosen.fill_with(|| random.between(0, pairs as u64 - 1) as usize);
            ratio(&chosen)
        })
        .collect();
    resampled.sort_by(f64::total_cmp);
    let at = |share: f64| resampled[((RESAMPLES - 1) as f64 * share).round() as usize];
    let tail = (1.0 - level) / 2.0;
    Ok(Interval { estimate, lower: at(tail), upper: at(1.0 - tail), level, runs: pairs })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` values of an exponential distribution, all longer by this factor in a bad run.
    fn run(random: &mut Random, scale: f64, count: u64) -> Histogram<u64> {
        let mut run = Histogram::new_with_bounds(1, 1_000_000_000, 3).unwrap();
        let luck = 1.0 + 0.2 * random.exponential();
        for _ in 0..count {
            run.record((scale * luck * random.exponential()) as u64 + 1).unwrap();
        }
        run
    }

    type Pair = (Histogram<u64>, Histogram<u64>);

    fn pairs(random: &mut Random, factor: f64) -> Vec<Pair> {
        (0..24).map(|_| (run(random, 1e5 * factor, 150), run(random, 1e5, 150))).collect()
    }

    #[test]
    fn the_estimate_is_the_ratio_of_the_pooled_quantiles() {
        let pairs = pairs(&mut Random::new(1, 0), 1.5);
        let pool = |side: fn(&Pair) -> &Histogram<u64>| {
            let mut whole = Histogram::<u64>::new_with_bounds(1, 1_000_000_000, 3).unwrap();
            pairs.iter().for_each(|pair| whole.add(side(pair)).unwrap());
            whole.value_at_quantile(0.99) as f64
        };
        let interval = quantile_ratio(&pairs, 0.99, 0.95, 1).unwrap();
        let expected = pool(|pair| &pair.0) / pool(|pair| &pair.1);
        assert!((interval.estimate / expected - 1.0).abs() < 2e-3, "{} {expected}", interval.estimate);
        assert!(interval.lower <= interval.estimate && interval.estimate <= interval.upper);
        assert_eq!(interval, quantile_ratio(&pairs, 0.99, 0.95, 1).unwrap());
    }

    #[test]
    fn a_few_disturbed_runs_decide_about_the_pool_and_hardly_move_the_median() {
        let mut pairs = pairs(&mut Random::new(3, 0), 1.0);
        let before = median_ratio(&pairs, 0.99, 0.95, 1).unwrap();
        for (above, _) in &mut pairs[..2] {
            above.record_n(500_000_000, 50).unwrap();
        }
        let after = median_ratio(&pairs, 0.99, 0.95, 1).unwrap();
        assert!((0.8..1.25).contains(&before.estimate), "{before:?}");
        assert!((0.8..1.25).contains(&after.estimate) && after.upper < 2.0, "{after:?}");
        assert!(quantile_ratio(&pairs, 0.99, 0.95, 1).unwrap().estimate > 100.0);
        assert!(median_ratio(&pairs[..FEWEST - 1], 0.99, 0.95, 1).is_err());
    }

    #[test]
    fn the_estimate_is_the_ratio_of_the_medians() {
        let pairs = pairs(&mut Random::new(2, 0), 1.5);
        let median = |side: fn(&Pair) -> &Histogram<u64>| {
            let mut values: Vec<u64> = pairs.iter().map(|pair| side(pair).value_at_quantile(0.9)).collect();
            values.sort_unstable();
            (values[11] + values[12]) as f64
        };
        let interval = median_ratio(&pairs, 0.9, 0.95, 1).unwrap();
        let expected = median(|pair| &pair.0) / median(|pair| &pair.1);
        assert!((interval.estimate / expected - 1.0).abs() < 1e-9, "{} {expected}", interval.estimate);
        assert!(interval.lower <= interval.estimate && interval.estimate <= interval.upper);
    }

    #[test]
    fn intervals_hold_the_truth_about_as_often_as_promised() {
        let mut random = Random::new(7, 0);
        let held = (0..40)
            .filter(|_| {
                let interval = quantile_ratio(&pairs(&mut random, 1.3), 0.95, 0.95, 1).unwrap();
                interval.lower <= 1.3 && 1.3 <= interval.upper
            })
            .count();
        assert!(held >= 34, "{held} of 40");
    }

    #[test]
    fn a_side_twice_as_slow_is_seen_and_equal_sides_are_not_told_apart() {
        let mut random = Random::new(3, 0);
        let slow = quantile_ratio(&pairs(&mut random, 2.0), 0.95, 0.95, 1).unwrap();
        assert!(slow.lower > 1.5 && slow.upper < 2.6, "{slow:?}");
        let equal = quantile_ratio(&pairs(&mut random, 1.0), 0.95, 0.95, 1).unwrap();
        assert!(equal.lower < 1.0 && equal.upper > 1.0, "{equal:?}");
    }

    #[test]
    fn too_little_is_refused() {
        let mut all = pairs(&mut Random::new(1, 0), 1.0);
        for level in [0.0, 1.0] {
            assert_eq!(quantile_ratio(&all, 0.5, level, 1), Err(StatsError::Level { level }));
        }
        for (_, below) in &mut all {
            below.reset();
        }
        assert!(matches!(quantile_ratio(&all, 0.5, 0.95, 1), Err(StatsError::NotPositive { .. })));
        all.truncate(FEWEST - 1);
        let error = StatsError::TooFewRuns { runs: FEWEST - 1, needed: FEWEST };
        assert_eq!(quantile_ratio(&all, 0.5, 0.95, 1), Err(error));
    }
}
