//! How far apart two distributions are.
//!
//! The three are sizes of an effect. Their textbook p-values take values as independent, which requests are not: at a
//! million requests a side Kolmogorov-Smirnov rejects at a distance of 0.002, that is, always. Whether a distance means
//! anything is for the runs to say ([`super::permutation`]).

use hdrhistogram::Histogram;

/// A distribution as its values in ascending order, each with its weight, none of them zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighted {
    points: Vec<(f64, f64)>,
    total: f64,
}

impl Weighted {
    /// The distribution of these values and weights, in any order; what has no positive weight is left out.
    pub fn new(points: impl IntoIterator<Item = (f64, f64)>) -> Weighted {
        let mut points: Vec<(f64, f64)> = points.into_iter().filter(|point| point.1 > 0.0).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = points.iter().map(|point| point.1).sum();
        Weighted { points, total }
    }

    /// The values of a histogram, each at the middle of its bucket.
    pub fn of(hist: &Histogram<u64>) -> Weighted {
        Weighted::new(hist.iter_recorded().map(|bucket| {
            let value = bucket.value_iterated_to();
            (hist.median_equivalent(value) as f64, bucket.count_at_value() as f64)
        }))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

/// The distribution functions of two sides just before and at each value of either: `(value, a, b)` with the shares at
/// or below it.
fn walk(a: &Weighted, b: &Weighted, mut visit: impl FnMut(f64, f64, f64)) {
    let (mut i, mut j, mut below_a, mut below_b) = (0, 0, 0.0, 0.0);
    while i < a.points.len() || j < b.points.len() {
        let next = |side: &Weighted, at: usize| side.points.get(at).map_or(f64::INFINITY, |point| point.0);
        let value = next(a, i).min(next(b, j));
        while next(a, i) == value {
            below_a += a.points[i].1;
            i += 1;
        }
        while next(b, j) == value {
            below_b += b.points[j].1;
            j += 1;
        }
        visit(value, below_a / a.total, below_b / b.total);
    }
}

/// The Kolmogorov-Smirnov distance: the largest difference of the distribution functions, from 0 to 1. `None` when a side
/// is empty.
pub fn kolmogorov_smirnov(a: &Weighted, b: &Weighted) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let mut largest = 0.0f64;
    walk(a, b, |_, fa, fb| largest = largest.max((fa - fb).abs()));
    Some(largest)
}

/// The probability of a distance this large or larger between samples of one distribution, with `n` and `m`
/// *independent* values: `2 · sum (-1)^(k-1) exp(-2 k² λ²)` with `λ = D · sqrt(n m / (n + m))`.
///
/// Give effective numbers ([`super::effective`]), never numbers of requests.
///
/// Source: Smirnov, "Table for estimating the goodness of fit of empirical distributions", Ann. Math. Statist. 19, 1948.
pub fn kolmogorov_smirnov_p(distance: f64, n: f64, m: f64) -> f64 {
    let lambda = distance * (n * m / (n + m)).sqrt();
    // Below this the series converges slowly, and the answer is 1 to ten digits.
    if lambda < 0.3 {
        return 1.0;
    }
    let term = |k: i32| (-2.0 * f64::from(k * k) * lambda * lambda).exp();
    let sum: f64 = (1..=50).map(|k| if k % 2 == 1 { term(k) } else { -term(k) }).sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

/// The Wasserstein-1 distance, in the unit of the values: the mean distance that a share of one distribution has to be
/// moved to make the other, and the area between the distribution functions. `None` when a side is empty.
pub fn wasserstein(a: &Weighted, b: &Weighted) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (mut area, mut previous) = (0.0, None);
    walk(a, b, |value, fa, fb| {
        if let Some((at, difference)) = previous {
            area += (value - at) * difference;
        }
        previous = Some((value, (fa - fb).abs()));
    });
    Some(area)
}

/// The probability that a value of `b` exceeds one of `a`, ties counted half: 0.5 when neither side is larger. `None` when
/// a side is empty. Cliff's delta is twice its distance from 0.5.
///
/// Source: Vargha and Delaney, "A critique and improvement of the CL common language effect size statistics", J. Educ.
/// Behav. Statist. 25, 2000.
pub fn superiority(a: &Weighted, b: &Weighted) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (mut sum, mut before_a, mut before_b) = (0.0, 0.0, 0.0);
    walk(a, b, |_, fa, fb| {
        sum += (fb - before_b) * (before_a + fa) / 2.0;
        (before_a, before_b) = (fa, fb);
    });
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weighted(values: &[u32]) -> Weighted {
        Weighted::new(values.iter().map(|&v| (f64::from(v), 1.0)))
    }

    #[test]
    fn an_empty_side_has_no_distance() {
        let (one, none) = (weighted(&[1]), weighted(&[]));
        assert_eq!(kolmogorov_smirnov(&one, &none), None);
        assert_eq!(wasserstein(&none, &one), None);
        assert_eq!(superiority(&none, &none), None);
    }

    #[test]
    fn no_distance_is_no_surprise() {
        assert_eq!(kolmogorov_smirnov_p(0.0, 100.0, 100.0), 1.0);
        assert_eq!(kolmogorov_smirnov_p(0.01, 100.0, 100.0), 1.0);
    }

    proptest! {
        #[test]
        fn distances_are_distances(
            a in prop::collection::vec(0u32..40, 1..40),
            b in prop::collection::vec(0u32..40, 1..40),
            c in prop::collection::vec(0u32..40, 1..40),
        ) {
            let (a, b, c) = (weighted(&a), weighted(&b), weighted(&c));
            for distance in [kolmogorov_smirnov, wasserstein] {
                let between = |x: &Weighted, y: &Weighted| distance(x, y).unwrap();
                prop_assert!(between(&a, &a) < 1e-12);
                prop_assert!((between(&a, &b) - between(&b, &a)).abs() < 1e-12);
                prop_assert!(between(&a, &c) <= between(&a, &b) + between(&b, &c) + 1e-9);
            }
            let (forth, back) = (superiority(&a, &b).unwrap(), superiority(&b, &a).unwrap());
            prop_assert!((forth + back - 1.0).abs() < 1e-9);
        }

        #[test]
        fn shifting_one_side_moves_it_by_as_much(a in prop::collection::vec(0u32..40, 1..40), by in 1u32..50) {
            let shifted: Vec<u32> = a.iter().map(|v| v + by).collect();
            let moved = wasserstein(&weighted(&a), &weighted(&shifted)).unwrap();
            prop_assert!((moved - f64::from(by)).abs() < 1e-9);
        }
    }
}
