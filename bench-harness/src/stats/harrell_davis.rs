//! The Harrell-Davis estimate of a quantile.
//!
//! It weighs all order statistics by a beta distribution instead of picking one, and so varies less from sample to
//! sample. It is for small samples, such as the values of a few dozen runs; with many thousands of values it is
//! the ordinary quantile.

use hdrhistogram::Histogram;
use statrs::function::beta::beta_reg;

/// The largest sample that is weighed.
pub const LARGEST: u64 = 100_000;
/// A quantile that more values than this lie beyond is the ordinary one: weighing them hardly changes it.
const TAIL: f64 = 100.0;

/// An estimate and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The quantile.
    pub value: f64,
    /// Its standard error, by the jackknife.
    pub error: f64,
}

/// The quantile `q` of a sample with its standard error by the jackknife. `None` with fewer than two values, more
/// than [`LARGEST`], or `q` outside (0, 1).
///
/// Source: Harrell and Davis, "A new distribution-free quantile estimator", Biometrika 69, 1982.
pub fn quantile(sample: &[f64], q: f64) -> Option<Estimate> {
    let count = sample.len();
    if count < 2 || count as u64 > LARGEST || !(q > 0.0 && q < 1.0) {
        return None;
    }
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let weigh = |weights: &[f64], values: &mut dyn Iterator<Item = f64>| {
        weights.iter().zip(values).map(|(w, v)| w * v).sum::<f64>()
    };
    let value = weigh(&weights(count, q), &mut sorted.iter().copied());
    // Without one value the others keep their order, so the weights are the same for every value left out.
    let rest = weights(count - 1, q);
    let mut before = vec![0.0; count];
    let mut after = vec![0.0; count];
    for i in 1..count {
        before[i] = before[i - 1] + rest[i - 1] * sorted[i - 1];
        after[count - 1 - i] = after[count - i] + rest[count - 1 - i] * sorted[count - i];
    }
    let left_out: Vec<f64> = before.iter().zip(&after).map(|(b, a)| b + a).collect();
    let mean = left_out.iter().sum::<f64>() / count as f64;
    let squares: f64 = left_out.iter().map(|v| (v - mean).powi(2)).sum();
    Some(Estimate { value, error: (squares * (count as f64 - 1.0) / count as f64).sqrt() })
}

/// The quantile `q` of grouped values: `(value, count)` in ascending order, without zeros.
///
/// Exact for what a histogram knows, in a time that depends on the number of groups only. `None` without values,
/// with more than [`LARGEST`], or `q` outside (0, 1).
pub fn grouped(groups: impl Iterator<Item = (f64, u64)> + Clone, q: f64) -> Option<f64> {
    let total: u64 = groups.clone().map(|(_, count)| count).sum();
    if total == 0 || total > LARGEST || !(q > 0.0 && q < 1.0) {
        return None;
    }
    let (a, b) = shape(total as usize, q);
    let (mut seen, mut below, mut sum) = (0, 0.0, 0.0);
    for (value, count) in groups {
        seen += count;
        let here = beta_reg(a, b, seen as f64 / total as f64);
        sum += (here - below) * value;
        below = here;
    }
    Some(sum)
}

/// The quantile `q` of a run's histogram, for a comparison: weighed where at most a hundred values lie beyond it, for it is
/// there that single values decide, and the ordinary one elsewhere; zero without values.
pub fn of_histogram(hist: &Histogram<u64>, q: f64) -> f64 {
    let beyond = hist.len() as f64 * (1.0 - q).min(q);
    if beyond <= TAIL && hist.len() <= LARGEST {
        let value = |bucket: u64| hist.median_equivalent(bucket) as f64;
        let groups: Vec<(f64, u64)> = hist
            .iter_recorded()
            .map(|bucket| (value(bucket.value_iterated_to()), bucket.count_at_value()))
            .collect();
        if let Some(weighed) = grouped(groups.into_iter(), q) {
            return weighed;
        }
    }
    hist.value_at_quantile(q) as f64
}

fn shape(count: usize, q: f64) -> (f64, f64) {
    (q * (count as f64 + 1.0), (1.0 - q) * (count as f64 + 1.0))
}

/// `I(i/n) - I((i-1)/n)` for each of `count` order statistics.
fn weights(count: usize, q: f64) -> Vec<f64> {
    let (a, b) = shape(count, q);
    let edges: Vec<f64> = (0..=count).map(|i| beta_reg(a, b, i as f64 / count as f64)).collect();
    edges.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_it_cannot_weigh() {
        assert_eq!(quantile(&[1.0], 0.5), None);
        for q in [0.0, 1.0, 1.5, f64::NAN] {
            assert_eq!(
                (quantile(&[1.0, 2.0], q), grouped([(1.0, 1), (2.0, 1)].into_iter(), q)),
                (None, None)
            );
        }
        assert_eq!(grouped([(1.0, LARGEST + 1)].into_iter(), 0.5), None);
        assert_eq!(grouped(std::iter::empty(), 0.5), None);
    }

    #[test]
    fn a_histogram_is_weighed_where_single_values_decide() {
        let mut hist = Histogram::<u64>::new(3).unwrap();
        (1..=1000u64).for_each(|v| hist.record(v).unwrap());
        let ten_beyond = of_histogram(&hist, 0.99);
        assert!((985.0..995.0).contains(&ten_beyond) && ten_beyond.fract() != 0.0, "{ten_beyond}");
        assert_eq!(of_histogram(&hist, 0.5), 500.0);
        hist.record_n(5, LARGEST).unwrap();
        assert_eq!(of_histogram(&hist, 0.9999), hist.value_at_quantile(0.9999) as f64);
        assert_eq!(of_histogram(&Histogram::<u64>::new(3).unwrap(), 0.5), 0.0);
    }

    proptest! {
        #[test]
        fn grouping_changes_nothing(values in prop::collection::vec(0u32..50, 2..200), q in 0.01..0.99f64) {
            let sample: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let groups: Vec<(f64, u64)> =
                sorted.chunk_by(|a, b| a == b).map(|g| (f64::from(g[0]), g.len() as u64)).collect();
            let single = quantile(&sample, q).unwrap().value;
            let several = grouped(groups.iter().copied(), q).unwrap();
            prop_assert!((single - several).abs() < 1e-6, "{single} {several}");
        }

        #[test]
        fn it_lies_within_the_sample(values in prop::collection::vec(-1e3..1e3f64, 2..60), q in 0.01..0.99f64) {
            let found = quantile(&values, q).unwrap();
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            prop_assert!(found.value >= low - 1e-6 && found.value <= high + 1e-6);
            prop_assert!(found.error >= 0.0);
        }
    }
}
