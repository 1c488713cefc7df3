//! Ratios of two things measured side by side or one after the other.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Interval, StatsError};

/// The difference of two sides on the log scale: its estimate, standard error and degrees of freedom.
///
/// Everything that is said about a ratio follows from it: its interval, whether it differs from 1
/// ([`LogRatio::p_value`]) and whether it equals 1 for practical purposes ([`LogRatio::equivalence`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogRatio {
    /// Mean of `ln(numerator) - ln(denominator)`.
    pub mean: f64,
    /// Standard error of the mean.
    pub error: f64,
    /// Degrees of freedom of its t distribution.
    pub degrees: f64,
    /// How many runs it rests on, over both sides; pairs count once.
    pub runs: usize,
}

impl LogRatio {
    /// The ratio of runs taken in pairs.
    ///
    /// Pairing removes what both sides share, such as a machine that slows down over the session; so pair `i` must
    /// be two runs taken next to each other.
    ///
    /// # Errors
    /// Sides of different length, fewer than two pairs, and values that are not positive and finite.
    pub fn paired(numerator: &[f64], denominator: &[f64]) -> Result<LogRatio, StatsError> {
        if numerator.len() != denominator.len() {
            return Err(StatsError::Unpaired { left: numerator.len(), right: denominator.len() });
        }
        let (above, below) = (logs(numerator)?, logs(denominator)?);
        let differences: Vec<f64> = above.iter().zip(&below).map(|(a, b)| a - b).collect();
        let (mean, variance) = moments(&differences)?;
        let count = differences.len() as f64;
        Ok(LogRatio { mean, error: (variance / count).sqrt(), degrees: count - 1.0, runs: differences.len() })
    }

    /// The ratio of runs that were not taken in pairs, by Welch's t: the sides may differ in number and in spread.
    ///
    /// A drift of the machine between the sides is in the result; only pairing takes it out.
    ///
    /// Source: Welch, "The generalization of Student's problem when several different population variances are
    /// involved", Biometrika 34, 1947.
    ///
    /// # Errors
    /// Fewer than two runs on a side, and values that are not positive and finite.
    pub fn unpaired(numerator: &[f64], denominator: &[f64]) -> Result<LogRatio, StatsError> {
        let (above, below) = (moments(&logs(numerator)?)?, moments(&logs(denominator)?)?);
        let (n, m) = (numerator.len() as f64, denominator.len() as f64);
        let (left, right) = (above.1 / n, below.1 / m);
        let sum = left + right;
        let degrees = if sum > 0.0 {
            sum.powi(2) / (left.powi(2) / (n - 1.0) + right.powi(2) / (m - 1.0))
        } else {
            n + m - 2.0
        };
        Ok(LogRatio {
            mean: above.0 - below.0,
            error: sum.sqrt(),
            degrees,
            runs: numerator.len() + denominator.len(),
        })
    }

    /// The ratio with its interval.
    ///
    /// # Errors
    /// A level outside (0, 1).
    pub fn interval(&self, level: f64) -> Result<Interval, StatsError> {
        if !(level > 0.0 && level < 1.0) {
            return Err(StatsError::Level { level });
        }
        let half = self.distribution().inverse_cdf(0.5 + level / 2.0) * self.error;
        Ok(Interval {
            estimate: self.mean.exp(),
            lower: (self.mean - half).exp(),
            upper: (self.mean + half).exp(),
            level,
            runs: self.runs,
        })
    }

    /// The two-sided p-value of "the ratio is 1".
    pub fn p_value(&self) -> f64 {
        if self.error == 0.0 {
            return if self.mean == 0.0 { 1.0 } else { 0.0 };
        }
        2.0 * self.distribution().sf((self.mean / self.error).abs())
    }

    /// The p-value of the test for equivalence: the larger of those of "the ratio is at most `1/(1+margin)`" and "it is
    /// at least `1+margin`". Below `a` the ratio lies within the margin, at that level.
    ///
    /// Source: Schuirmann, "A comparison of the two one-sided tests procedure", J. Pharmacokinetics and
    /// Biopharmaceutics 15, 1987.
    pub fn equivalence(&self, margin: f64) -> f64 {
        let limit = margin.ln_1p();
        if self.error == 0.0 {
            return if self.mean.abs() < limit { 0.0 } else { 1.0 };
        }
        let t = self.distribution();
        let low = t.sf((self.mean + limit) / self.error);
        let high = t.cdf((self.mean - limit) / self.error);
        low.max(high)
    }

    /// What the runs say of the ratio at the level `1 - a`, with a margin such as 0.02 for 2 % that is the least
    /// difference worth a word.
    pub fn finding(&self, margin: f64, a: f64) -> Finding {
        if self.equivalence(margin) <= a {
            return Finding::Equivalent;
        }
        match self.interval(1.0 - a) {
            Ok(interval) if interval.lower > 1.0 => Finding::Higher,
            Ok(interval) if interval.upper < 1.0 => Finding::Lower,
            _ => Finding::Inconclusive,
        }
    }

    fn distribution(&self) -> StudentsT {
        StudentsT::new(0.0, 1.0, self.degrees).expect("two runs make a degree of freedom")
    }
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// The ratio lies within the margin of 1.
    Equivalent,
    /// The ratio is above 1.
    Higher,
    /// The ratio is below 1.
    Lower,
    /// The runs decide neither: more of them are needed.
    Inconclusive,
}

/// The ratio `numerator / denominator` of runs taken in pairs, with its t-interval on the log scale.
///
/// # Errors
/// What [`LogRatio::paired`] and [`LogRatio::interval`] refuse.
pub fn paired(numerator: &[f64], denominator: &[f64], level: f64) -> Result<Interval, StatsError> {
    LogRatio::paired(numerator, denominator)?.interval(level)
}

fn logs(values: &[f64]) -> Result<Vec<f64>, StatsError> {
    let log = |(index, &value): (usize, &f64)| {
        if value.is_finite() && value > 0.0 {
            Ok(value.ln())
        } else {
            Err(StatsError::NotPositive { index, value })
        }
    };
    values.iter().enumerate().map(log).collect()
}

/// Mean and variance (with n-1) of at least two values.
fn moments(values: &[f64]) -> Result<(f64, f64), StatsError> {
    if values.len() < 2 {
        return Err(StatsError::TooFewRuns { runs: values.len(), needed: 2 });
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    Ok((mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0)))
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
        assert_eq!(
            LogRatio::unpaired(&[1.0], &[1.0, 2.0]),
            Err(StatsError::TooFewRuns { runs: 1, needed: 2 })
        );
    }

    #[test]
    fn runs_without_spread_decide_by_their_mean() {
        let same = LogRatio::unpaired(&[2.0, 2.0], &[2.0, 2.0]).unwrap();
        assert_eq!((same.p_value(), same.equivalence(0.01)), (1.0, 0.0));
        assert_eq!(same.finding(0.01, 0.05), Finding::Equivalent);
        let apart = LogRatio::paired(&[3.0, 3.0], &[2.0, 2.0]).unwrap();
        assert_eq!((apart.p_value(), apart.equivalence(0.01)), (0.0, 1.0));
        assert_eq!(apart.finding(0.01, 0.05), Finding::Higher);
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

        // TOST at level a is the same as "the interval of level 1-2a lies within the margin".
        #[test]
        fn equivalence_is_an_interval_within_the_margin(
            pairs in prop::collection::vec((0.9..1.1f64, 0.9..1.1f64), 3..12),
            margin in 0.005..0.2f64,
        ) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let ratio = LogRatio::paired(&a, &b).unwrap();
            let interval = ratio.interval(0.90).unwrap();
            let within = interval.lower > 1.0 / (1.0 + margin) && interval.upper < 1.0 + margin;
            let p = ratio.equivalence(margin);
            prop_assume!((p - 0.05).abs() > 1e-6);
            prop_assert_eq!(p < 0.05, within);
        }
    }
}
