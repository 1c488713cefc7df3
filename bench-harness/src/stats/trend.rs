//! Whether a series drifts.

use statrs::distribution::{ContinuousCDF, Normal};

use super::spread::median;

/// The Mann-Kendall test for a monotonic trend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannKendall {
    /// Pairs that rise less pairs that fall.
    pub s: f64,
    /// Variance of `s` without a trend, ties taken into account.
    pub variance: f64,
    /// `s` over its standard deviation, with the correction for continuity.
    pub z: f64,
    /// The two-sided p-value.
    pub p: f64,
}

impl MannKendall {
    /// The test of a series whose observations are independent. `None` with fewer than four, or when all are equal.
    ///
    /// Source: Mann, "Nonparametric tests against trend", Econometrica 13, 1945; Kendall, "Rank Correlation Methods".
    pub fn of(series: &[f64]) -> Option<MannKendall> {
        MannKendall::with_inflation(series, 1.0)
    }

    /// The test of a series whose observations depend on each other: the variance is that of [`MannKendall::of`] times
    /// [`inflation`].
    pub fn of_dependent(series: &[f64]) -> Option<MannKendall> {
        MannKendall::with_inflation(series, inflation(series)?)
    }

    fn with_inflation(series: &[f64], inflation: f64) -> Option<MannKendall> {
        if series.len() < 4 {
            return None;
        }
        let mut s = 0.0f64;
        for (i, earlier) in series.iter().enumerate() {
            for later in &series[i + 1..] {
                s += match later.total_cmp(earlier) {
                    _ if later == earlier => 0.0,
                    std::cmp::Ordering::Less => -1.0,
                    _ => 1.0,
                };
            }
        }
        let variance = variance_of_s(series) * inflation;
        if variance <= 0.0 {
            return None;
        }
        let z = if s == 0.0 { 0.0 } else { (s - s.signum()) / variance.sqrt() };
        Some(MannKendall { s, variance, z, p: 2.0 * normal().sf(z.abs()) })
    }
}

/// The variance of Mann-Kendall's S of independent observations, ties taken into account.
fn variance_of_s(series: &[f64]) -> f64 {
    let term = |t: f64| t * (t - 1.0) * (2.0 * t + 5.0);
    let ties: f64 = tie_lengths(series).into_iter().map(|t| term(t as f64)).sum();
    (term(series.len() as f64) - ties) / 18.0
}

/// The Theil-Sen slope per observation: the median of the slopes of all pairs. `None` with fewer than two values.
///
/// It takes time and memory with the square of the length; average a series of more than a few thousand first.
///
/// Source: Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968.
pub fn slope(series: &[f64]) -> Option<f64> {
    let mut slopes = Vec::with_capacity(series.len() * series.len().saturating_sub(1) / 2);
    for (i, earlier) in series.iter().enumerate() {
        for (distance, later) in series[i + 1..].iter().enumerate() {
            slopes.push((later - earlier) / (distance + 1) as f64);
        }
    }
    median(&slopes)
}

/// A slope per observation with the interval that holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// The Theil-Sen slope.
    pub estimate: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

impl Slope {
    /// The slope of a series whose observations are independent. `None` with fewer than four.
    ///
    /// The ends are the slopes of pairs at the ranks `(N ± z sqrt(Var S)) / 2`, with the variance of Mann-Kendall's S,
    /// ties taken into account.
    ///
    /// Source: Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968.
    pub fn of(series: &[f64], level: f64) -> Option<Slope> {
        Slope::with_inflation(series, level, 1.0)
    }

    /// The slope of a series whose observations depend on each other, such as memory: the variance is that of
    /// [`Slope::of`] times [`inflation`].
    pub fn of_dependent(series: &[f64], level: f64) -> Option<Slope> {
        Slope::with_inflation(series, level, inflation(series)?)
    }

    fn with_inflation(series: &[f64], level: f64, inflation: f64) -> Option<Slope> {
        if series.len() < 4 {
            return None;
        }
        let mut slopes: Vec<f64> = Vec::with_capacity(series.len() * (series.len() - 1) / 2);
        for (i, earlier) in series.iter().enumerate() {
            slopes.extend(
                series[i + 1..]
                    .iter()
                    .enumerate()
                    .map(|(apart, later)| (later - earlier) / (apart + 1) as f64),
            );
        }
        slopes.sort_by(f64::total_cmp);
        let variance = variance_of_s(series) * inflation;
        let reach = normal().inverse_cdf(0.5 + level / 2.0) * variance.max(0.0).sqrt();
        let pairs = slopes.len() as f64;
        let last = slopes.len() - 1;
        let rank = |place: f64| (place.round_ties_even().max(0.0) as usize).min(last);
        let (low, high) = (rank((pairs - reach) / 2.0).saturating_sub(1), rank((pairs + reach) / 2.0));
        Some(Slope { estimate: median(&slopes)?, lower: slopes[low], upper: slopes[high] })
    }

    /// The same with another unit of time or size: each slope times `factor`, which is positive.
    pub fn scaled(self, factor: f64) -> Slope {
        Slope { estimate: self.estimate * factor, lower: self.lower * factor, upper: self.upper * factor }
    }
}

/// The most points that a drift is computed from; longer series are averaged in groups.
const POINTS: usize = 600;
/// The drift over a whole window, in relation to its median, that is still called steady.
pub const STEADY: f64 = 0.02;

/// How a series moved over its length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// The Theil-Sen slope times the length, over the median: 0.05 reads as "5 % higher at the end".
    pub change: f64,
    /// The p-value of "no trend", autocorrelation taken into account.
    pub p: f64,
}

impl Drift {
    /// Whether the drift is too small to matter ([`STEADY`]) or not told from noise at 5 %: over a short noisy series a
    /// slope of that size comes about by chance.
    pub fn is_steady(&self) -> bool {
        self.change.abs() < STEADY || self.p > 0.05
    }
}

/// The drift of a series of positive values. `None` with fewer than eight points or a median that is not positive.
pub fn drift(series: &[f64]) -> Option<Drift> {
    let group = series.len().div_ceil(POINTS).max(1);
    let points: Vec<f64> =
        series.chunks_exact(group).map(|chunk| chunk.iter().sum::<f64>() / group as f64).collect();
    let centre = median(&points).filter(|centre| *centre > 0.0)?;
    if points.len() < 8 {
        return None;
    }
    let change = slope(&points)? * (points.len() - 1) as f64 / centre;
    Some(Drift { change, p: MannKendall::of_dependent(&points).map_or(1.0, |test| test.p) })
}

/// The factor by which the dependence of a series inflates the variance of Mann-Kendall's S, at least 1: `(1 + r) / (1 - r)`
/// with `r` the first autocorrelation of what the slope leaves, its bias corrected, or [`hamed_rao`]'s where that is more.
///
/// The latter alone is too narrow: of a hundred observations with `r` = 0.8 its interval covers the slope in three cases
/// of four at a level of 95 %, and with this factor in nineteen of twenty. `None` with fewer than two observations.
///
/// Source: Yue and Wang, "The Mann-Kendall test modified by effective sample size", Water Resources Management 18, 2004;
/// Kendall and Stuart, "The Advanced Theory of Statistics", vol. 3, 48.4 (the bias).
pub fn inflation(series: &[f64]) -> Option<f64> {
    Some(hamed_rao(series)?.max(first_order(series)?))
}

/// The same factor by the significant autocorrelations of the ranks of what the slope leaves; below 1 where neighbours
/// are unlike. `None` with fewer than two observations.
///
/// Source: Hamed and Rao, "A modified Mann-Kendall trend test for autocorrelated data", J. Hydrology 204, 1998.
pub fn hamed_rao(series: &[f64]) -> Option<f64> {
    let count = series.len();
    let slope = slope(series)?;
    let detrended: Vec<f64> = series.iter().enumerate().map(|(i, v)| v - slope * (i + 1) as f64).collect();
    // A straight line leaves nothing but rounding, whose ranks mean nothing.
    let (low, high) = detrended.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    if high - low <= 1e-9 * high.abs().max(low.abs()) {
        return Some(1.0);
    }
    let ranks = ranks(&detrended);
    let mean = ranks.iter().sum::<f64>() / count as f64;
    let total: f64 = ranks.iter().map(|r| (r - mean).powi(2)).sum();
    if total == 0.0 {
        return Some(1.0);
    }
    let n = count as f64;
    let significant = normal().inverse_cdf(0.975) / n.sqrt();
    let mut sum = 0.0;
    for lag in 1..count {
        let correlation =
            ranks[..count - lag].iter().zip(&ranks[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>()
                / total;
        if correlation.abs() > significant {
            let rest = n - lag as f64;
            sum += rest * (rest - 1.0) * (rest - 2.0) * correlation;
        }
    }
    Some(1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * sum)
}

/// The factor by which dependence of the first order inflates the variance of Mann-Kendall's S; at least 1.
fn first_order(series: &[f64]) -> Option<f64> {
    /// Beyond it a series has hardly an observation of its own.
    const MOST: f64 = 0.97;
    let slope = slope(series)?;
    let left: Vec<f64> = series.iter().enumerate().map(|(i, v)| v - slope * i as f64).collect();
    let count = left.len() as f64;
    let mean = left.iter().sum::<f64>() / count;
    let (low, high) = left.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    let total: f64 = left.iter().map(|v| (v - mean).powi(2)).sum();
    // A straight line leaves nothing but rounding.
    if high - low <= 1e-9 * high.abs().max(low.abs()) || total == 0.0 {
        return Some(1.0);
    }
    let neighbours: f64 = left.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    let raw = neighbours / total;
    let correlation = (raw + (1.0 + 4.0 * raw) / count).clamp(0.0, MOST);
    Some((1.0 + correlation) / (1.0 - correlation))
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let shared = first as f64 + (group.len() as f64 + 1.0) / 2.0;
        for &i in group {
            ranks[i] = shared;
        }
        first += group.len();
    }
    ranks
}

fn tie_lengths(values: &[f64]) -> Vec<usize> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.chunk_by(|a, b| a == b).map(<[f64]>::len).collect()
}

fn normal() -> Normal {
    Normal::new(0.0, 1.0).expect("the standard normal exists")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_drift_is_told_in_relation_to_the_median() {
        let rising: Vec<f64> = (0..101).map(|i| 100.0 + f64::from(i) * 0.1).collect();
        let found = drift(&rising).unwrap();
        assert!((found.change - 10.0 / 105.0).abs() < 1e-9, "{found:?}");
        assert!(!found.is_steady());
        assert!(drift(&[100.0; 20]).unwrap().is_steady());
        assert_eq!(drift(&[1.0; 7]), None);
        assert_eq!(drift(&[0.0; 20]), None);
    }

    // scipy: stats.theilslopes(y, alpha=0.95) gives slope, intercept, low, high.
    #[test]
    fn slopes_and_their_intervals_agree_with_scipy() {
        for (series, want) in SCIPY {
            let slope = Slope::of(series, 0.95).unwrap();
            let got = [slope.estimate, slope.lower, slope.upper];
            for (got, want) in got.iter().zip(want) {
                assert!((got - want).abs() < 1e-9, "{slope:?} is not {want}");
            }
        }
        assert_eq!(Slope::of(&[1.0, 2.0, 3.0], 0.95), None);
        let line: Vec<f64> = (0..20).map(f64::from).collect();
        assert_eq!(
            (hamed_rao(&line), first_order(&line)),
            (Some(1.0), Some(1.0)),
            "a line leaves nothing to depend"
        );
        let flat = Slope::of_dependent(&[7.0; 30], 0.95).unwrap();
        assert_eq!((flat.lower, flat.upper), (0.0, 0.0));
    }

    const SCIPY: [(&[f64], [f64; 3]); 3] = [
        (&[1.0, 3.0, 2.0, 5.0, 4.0, 7.0, 6.0, 9.0], [1.0, 0.5, 1.6666666666666667]),
        (
            &[10.0, 10.0, 12.0, 12.0, 12.0, 15.0, 15.0, 13.0, 16.0, 16.0],
            [0.6666666666666666, 0.3333333333333333, 1.0],
        ),
        (
            &[
                -1.304, -0.049, 3.927, 2.218, -2.083, 1.49, 0.553, 2.397, -0.816, 3.184, 3.471, 6.451, 4.233,
                4.921, 1.214, 9.005, 0.969, 7.304, 4.74, 3.939, 4.687, 4.956, 7.36, 6.68, 10.165,
            ],
            [0.3333222222222223, 0.17900000000000002, 0.46121052631578946],
        ),
    ];

    /// A hundred observations that wander around a line, each like the one before it.
    fn wandering(random: &mut crate::clock::Random, truth: f64) -> Vec<f64> {
        let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
        let mut noise = normal() / 0.6;
        (0..100)
            .map(|i| {
                noise = 0.8 * noise + normal();
                truth * f64::from(i) + noise
            })
            .collect()
    }

    /// What the documentation of [`inflation`] says of both factors.
    #[test]
    fn the_interval_of_a_dependent_series_covers_its_slope() {
        let mut random = crate::clock::Random::new(17, 0);
        let (experiments, truth) = (400, 0.5);
        let (mut covered, mut narrow) = (0, 0);
        for _ in 0..experiments {
            let series = wandering(&mut random, truth);
            let holds = |slope: Slope| usize::from(slope.lower <= truth && truth <= slope.upper);
            covered += holds(Slope::of_dependent(&series, 0.95).unwrap());
            narrow += holds(Slope::with_inflation(&series, 0.95, hamed_rao(&series).unwrap()).unwrap());
        }
        let share = |count: usize| count as f64 / f64::from(experiments);
        assert!((0.92..=0.98).contains(&share(covered)), "covered {}", share(covered));
        assert!((0.70..=0.80).contains(&share(narrow)), "with Hamed and Rao alone {}", share(narrow));
    }

    #[test]
    fn a_series_that_wanders_is_seldom_called_a_trend() {
        let mut random = crate::clock::Random::new(23, 0);
        let experiments = 400;
        let found = (0..experiments)
            .filter(|_| MannKendall::of_dependent(&wandering(&mut random, 0.0)).unwrap().p < 0.05)
            .count();
        assert!(found <= experiments * 8 / 100, "{found} of {experiments}");
        let trend = |_: &usize| MannKendall::of_dependent(&wandering(&mut random, 0.2)).unwrap().p < 0.05;
        let seen = (0..50usize).filter(trend).count();
        assert!(seen >= 45, "{seen} of 50");
    }

    #[test]
    fn a_long_series_is_averaged() {
        let long: Vec<f64> = (0..10_000).map(|i| 1000.0 + f64::from(i) * 0.1).collect();
        let found = drift(&long).unwrap();
        assert!((found.change - 1000.0 / 1500.0).abs() < 0.01, "{found:?}");
    }

    proptest! {
        #[test]
        fn the_reverse_has_the_reverse_trend(mut values in prop::collection::vec(0.0..100.0f64, 4..40)) {
            let forth = MannKendall::of(&values).unwrap();
            let slope_forth = slope(&values).unwrap();
            values.reverse();
            let back = MannKendall::of(&values).unwrap();
            prop_assert_eq!(forth.s, -back.s);
            prop_assert!((forth.p - back.p).abs() < 1e-12);
            prop_assert!((slope_forth + slope(&values).unwrap()).abs() < 1e-9);
        }
    }
}
