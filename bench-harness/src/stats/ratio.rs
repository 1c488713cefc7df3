//! Ratios of two things measured side by side.

use super::{Interval, StatsError};

/// The ratio `numerator / denominator` of runs taken in pairs, with its t-interval on the log scale.
///
/// Pairing removes what both sides share, such as a machine that slows down over the session; so pair `i` must be
/// two runs taken next to each other.
///
/// # Errors
/// Sides of different length, and what [`Interval::of_runs`] refuses.
pub fn paired(numerator: &[f64], denominator: &[f64], level: f64) -> Result<Interval, StatsError> {
    if numerator.len() != denominator.len() {
        return Err(StatsError::Unpaired { left: numerator.len(), right: denominator.len() });
    }
    for (index, &value) in denominator.iter().enumerate() {
        if !(value.is_finite() && value > 0.0) {
            return Err(StatsError::NotPositive { index, value });
        }
    }
    let ratios: Vec<f64> = numerator.iter().zip(denominator).map(|(n, d)| n / d).collect();
    Interval::of_runs(&ratios, level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // scipy: log_t(np.array(d) / np.array(c), .95), with log_t as in the tests of `interval`.
    #[test]
    fn agrees_with_scipy() {
        let ratio =
            paired(&[160.0, 161.0, 162.0, 157.0, 159.0], &[151.0, 149.0, 155.0, 150.0, 148.0], 0.95).unwrap();
        assert!((ratio.estimate - 1.0611626419758193).abs() < 1e-9);
        assert!((ratio.lower - 1.0415651484353359).abs() < 1e-8);
        assert!((ratio.upper - 1.0811288707352624).abs() < 1e-8);
    }

    #[test]
    fn refuses_unequal_sides_and_zero() {
        assert_eq!(paired(&[1.0, 2.0], &[1.0], 0.95), Err(StatsError::Unpaired { left: 2, right: 1 }));
        assert_eq!(
            paired(&[1.0, 2.0], &[1.0, 0.0], 0.95),
            Err(StatsError::NotPositive { index: 1, value: 0.0 })
        );
    }

    proptest! {
        #[test]
        fn the_inverse_ratio_has_the_inverse_interval(pairs in prop::collection::vec((1.0..1e6f64, 1.0..1e6f64), 2..12)) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let forth = paired(&a, &b, 0.95).unwrap();
            let back = paired(&b, &a, 0.95).unwrap();
            prop_assert!((forth.estimate * back.estimate - 1.0).abs() < 1e-9);
            prop_assert!((forth.lower * back.upper - 1.0).abs() < 1e-9);
        }

        #[test]
        fn a_common_drift_cancels(values in prop::collection::vec(1.0..1e6f64, 2..12), k in 0.5..2.0f64) {
            let scaled: Vec<f64> = values.iter().map(|v| v * k).collect();
            let ratio = paired(&scaled, &values, 0.95).unwrap();
            prop_assert!((ratio.estimate / k - 1.0).abs() < 1e-9);
            prop_assert!(ratio.relative_half_width() < 1e-9);
        }
    }
}
