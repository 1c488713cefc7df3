//! Latency as a function of the percentile.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::stats::quantile::{TAIL_SAMPLES, from_nines, nines};

/// The distance of two points of a curve, in nines.
const STEP: f64 = 0.04;

/// A latency distribution as points on the nines axis.
///
/// It ends where ten samples lie above, so it never draws a tail that the data do not bear.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// What the curve shows.
    pub label: String,
    /// How many samples it rests on.
    pub samples: u64,
    /// Pairs of a position on the nines axis and nanoseconds, in ascending order of both.
    pub points: Vec<(f64, u64)>,
}

impl Curve {
    /// The curve of a histogram of nanoseconds; without points when it holds fewer than ten samples.
    pub fn of(label: impl Into<String>, values: &Histogram<u64>) -> Curve {
        let samples = values.len();
        let end = nines(1.0 - TAIL_SAMPLES / samples.max(1) as f64);
        let mut points = Vec::new();
        if samples as f64 > TAIL_SAMPLES {
            let steps = (end / STEP).floor() as usize;
            let positions = (0..=steps).map(|i| i as f64 * STEP).chain([end]);
            points.extend(positions.map(|x| (x, values.value_at_quantile(from_nines(x)))));
        }
        Curve { label: label.into(), samples, points }
    }

    /// The last point's position in nines, or 0 without points.
    pub fn end(&self) -> f64 {
        self.points.last().map_or(0.0, |point| point.0)
    }

    /// The least and the greatest latency on the curve.
    pub fn range(&self) -> Option<(Duration, Duration)> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        Some((Duration::from_nanos(first.1), Duration::from_nanos(last.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(values: &[u64]) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        for &value in values {
            histogram.record(value).unwrap();
        }
        histogram
    }

    #[test]
    fn it_ends_where_ten_samples_lie_above() {
        let thousand: Vec<u64> = (1..=1000).map(|i| i * 1000).collect();
        let curve = Curve::of("run", &histogram(&thousand));
        assert!((curve.end() - 2.0).abs() < 1e-9, "{}", curve.end());
        let last = curve.points.last().unwrap().1 as f64;
        assert!((last / 990_000.0 - 1.0).abs() < 2e-3, "{last}");
        assert!(Curve::of("empty", &histogram(&[])).points.is_empty());
        assert!(Curve::of("few", &histogram(&[5; 10])).points.is_empty());
    }

    proptest! {
        #[test]
        fn it_rises(values in prop::collection::vec(1u64..1_000_000_000, 11..400)) {
            let curve = Curve::of("run", &histogram(&values));
            prop_assert!(curve.points.windows(2).all(|w| w[0].0 <= w[1].0 && w[0].1 <= w[1].1));
            prop_assert!(curve.points.iter().all(|(x, _)| x.is_finite()));
        }
    }
}
