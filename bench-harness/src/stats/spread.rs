//! Robust location and scale of a few runs.

/// The median, or `None` for no values; NaN is not expected.
pub fn median(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    Some(if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 })
}

/// The median absolute deviation from the median, unscaled.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let centre = median(values)?;
    let distances: Vec<f64> = values.iter().map(|v| (v - centre).abs()).collect();
    median(&distances)
}

/// How far, in relation to the median, a run lies that belongs to another mode than the rest.
const STRAY_SHARE: f64 = 0.10;
/// How many median absolute deviations such a run lies away.
const STRAY_DEVIATIONS: f64 = 6.0;

/// The positions of runs that do not belong with the others.
///
/// Such a run is over six median absolute deviations and over 10 % away from the median. Runs are never dropped for
/// it: the mean of two modes describes neither, so whoever asks should say so instead of printing a verdict.
pub fn strays(values: &[f64]) -> Vec<usize> {
    let (Some(centre), Some(scale)) = (median(values), deviation(values)) else { return Vec::new() };
    let limit = (STRAY_DEVIATIONS * scale).max(STRAY_SHARE * centre.abs());
    (0..values.len()).filter(|&i| (values[i] - centre).abs() > limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(median(&[4.0, 1.0, 9.0, 2.0]), Some(3.0));
    }

    // scipy: stats.median_abs_deviation([1., 1.1, .9, 1.05, 2.]) is 0.05.
    #[test]
    fn deviation_agrees_with_scipy() {
        assert!((deviation(&[1.0, 1.1, 0.9, 1.05, 2.0]).unwrap() - 0.05).abs() < 1e-12);
    }

    #[test]
    fn strays_need_both_distance_and_size() {
        assert_eq!(strays(&[100.0, 101.0, 99.0, 100.5, 160.0]), vec![4]);
        assert!(strays(&[100.0, 100.1, 99.9, 100.0, 104.0]).is_empty());
        assert!(strays(&[100.0, 130.0, 70.0, 115.0, 85.0]).is_empty());
        assert!(strays(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn the_median_splits_the_values(values in prop::collection::vec(-1e6..1e6f64, 1..40)) {
            let centre = median(&values).unwrap();
            let half = values.len().div_ceil(2);
            prop_assert!(values.iter().filter(|v| **v <= centre).count() >= half);
            prop_assert!(values.iter().filter(|v| **v >= centre).count() >= half);
        }
    }
}
