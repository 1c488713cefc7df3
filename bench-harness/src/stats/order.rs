//! Intervals of a quantile from order statistics.

use hdrhistogram::Histogram;
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

/// Below this `n·q·(1-q)` ranks come from the binomial distribution itself, above from its normal limit.
const EXACT: f64 = 100.0;

/// The ranks, from 1, of the order statistics that enclose a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranks {
    /// The lower order statistic.
    pub lower: u64,
    /// The upper order statistic.
    pub upper: u64,
}

/// The ranks that enclose the quantile `q` of `count` independent values with probability `level` or more. `None`
/// where the sample is too small: the interval would have to end beyond its least or greatest value.
///
/// Source: Le Boudec, "Performance Evaluation of Computer and Communication Systems", section 2.2.2; Conover,
/// "Practical Nonparametric Statistics", section 3.2.
pub fn ranks(q: f64, count: u64, level: f64) -> Option<Ranks> {
    if !(q > 0.0 && q < 1.0 && level > 0.0 && level < 1.0) {
        return None;
    }
    let side = (1.0 - level) / 2.0;
    let n = count as f64;
    let (lower, upper) = if n * q * (1.0 - q) < EXACT {
        let binomial = Binomial::new(q, count).ok()?;
        (binomial.inverse_cdf(side), binomial.inverse_cdf(1.0 - side) + 1)
    } else {
        let half = Normal::new(0.0, 1.0).ok()?.inverse_cdf(1.0 - side) * (n * q * (1.0 - q)).sqrt();
        ((n * q - half).floor() as u64, (n * q + half).ceil() as u64 + 1)
    };
    (lower >= 1 && upper <= count).then_some(Ranks { lower, upper })
}

/// The values of a histogram that enclose its quantile `q`, as if its values were worth `1/dispersion` independent ones
/// each.
///
/// It speaks of this run only: other runs lie outside it more often than not. `None` as for [`ranks`].
pub fn within_run(hist: &Histogram<u64>, q: f64, dispersion: f64, level: f64) -> Option<(u64, u64)> {
    let effective = (hist.len() as f64 / dispersion.max(1.0)).floor();
    let ranks = ranks(q, effective as u64, level)?;
    let at = |rank: u64| hist.value_at_quantile(rank as f64 / effective);
    Some((at(ranks.lower), at(ranks.upper)))
}

/// The fewest independent values for which the quantile `q` has a two-sided interval at `level`:
/// `ln(a/2) / ln(max(q, 1-q))`.
pub fn fewest(q: f64, level: f64) -> u64 {
    let side: f64 = (1.0 - level) / 2.0;
    (side.ln() / q.max(1.0 - q).ln()).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_samples_have_no_interval() {
        assert_eq!(ranks(0.99, 300, 0.95), None);
        assert_eq!(ranks(0.5, 5, 0.95), None);
        assert_eq!(ranks(0.5, 6, 0.95), Some(Ranks { lower: 1, upper: 6 }));
        assert_eq!(ranks(0.0, 1000, 0.95), None);
        for (q, level) in [(1.0, 0.95), (0.5, 0.0), (0.5, 1.0)] {
            assert_eq!(ranks(q, 1000, level), None);
        }
    }

    // scipy: h = stats.norm.ppf(.975) * sqrt(n q (1-q)); floor(n q - h), ceil(n q + h) + 1
    #[test]
    fn large_samples_have_the_ranks_of_the_normal_limit() {
        assert_eq!(ranks(0.5, 1000, 0.95), Some(Ranks { lower: 469, upper: 532 }));
        assert_eq!(ranks(0.99, 100_000, 0.99), Some(Ranks { lower: 98_918, upper: 99_083 }));
    }

    // ceil(ln(.025) / ln(q)).
    #[test]
    fn the_fewest_values_for_a_tail() {
        assert_eq!([0.99, 0.999, 0.9999].map(|q| fewest(q, 0.95)), [368, 3_688, 36_887]);
        for q in [0.9, 0.99, 0.999] {
            let least = fewest(q, 0.95);
            assert!(ranks(q, least + 1, 0.95).is_some() && ranks(q, least - 1, 0.95).is_none(), "{q}");
        }
    }

    #[test]
    fn dependence_widens_the_interval() {
        let mut hist = Histogram::<u64>::new(3).unwrap();
        (1..=100_000).for_each(|v| hist.record(v).unwrap());
        let narrow = within_run(&hist, 0.99, 1.0, 0.95).unwrap();
        let wide = within_run(&hist, 0.99, 50.0, 0.95).unwrap();
        assert!(wide.0 < narrow.0 && narrow.1 < wide.1, "{narrow:?} {wide:?}");
        assert!(within_run(&hist, 0.99, 1000.0, 0.95).is_none());
    }

    proptest! {
        #[test]
        fn the_ranks_cover_as_promised(q in 0.02..0.98f64, n in 5u64..800) {
            if let Some(found) = ranks(q, n, 0.95) {
                let binomial = Binomial::new(q, n).unwrap();
                let coverage = binomial.cdf(found.upper - 1) - binomial.cdf(found.lower - 1);
                let limit = if n as f64 * q * (1.0 - q) < EXACT { 0.95 } else { 0.94 };
                prop_assert!(coverage >= limit - 1e-9, "{coverage}");
            }
        }
    }
}
