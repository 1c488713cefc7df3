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

    /// The test of a series whose observations depend on each other: the variance is corrected by the significant
    /// autocorrelations of the ranks.
    ///
    /// Source: Hamed and Rao, "A modified Mann-Kendall trend test for autocorrelated data", J. Hydrology 204, 1998.
    pub fn of_dependent(series: &[f64]) -> Option<MannKendall> {
        let inflation = hamed_rao(series)?;
        MannKendall::with_inflation(series, inflation)
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
        let n = series.len() as f64;
        let term = |t: f64| t * (t - 1.0) * (2.0 * t + 5.0);
        let ties: f64 = tie_lengths(series).into_iter().map(|t| term(t as f64)).sum();
        let variance = (term(n) - ties) / 18.0 * inflation;
        if variance <= 0.0 {
            return None;
        }
        let z = if s == 0.0 { 0.0 } else { (s - s.signum()) / variance.sqrt() };
        Some(MannKendall { s, variance, z, p: 2.0 * normal().sf(z.abs()) })
    }
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

/// The most points that a drift is computed from; longer series are averaged in groups.
const POINTS: usize = 600;
/// The drift over a whole window, in relation to its median, that is still called steady.
pub const STEADY: f64 = 0.02;

/// How a series moved over its length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// The Theil-Sen slope times the length, over the median: 0.05 reads as "5 % higher at the end".
    pub change: f64,
    /// The p-value of "no trend": the larger of those with and without autocorrelation taken into account, for a few
    /// observations can correlate negatively by chance.
    pub p: f64,
}

impl Drift {
    /// Whether the drift is too small to matter ([`STEADY`]) or not told from noise at 5 %.
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
    let p = |test: Option<MannKendall>| test.map_or(1.0, |test| test.p);
    Some(Drift { change, p: p(MannKendall::of(&points)).max(p(MannKendall::of_dependent(&points))) })
}

/// The factor by which dependence inflates the variance of Mann-Kendall's S.
fn hamed_rao(series: &[f64]) -> Option<f64> {
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
