//! How many runs a question takes.

use statrs::distribution::{ContinuousCDF, Normal};

/// Pairs of runs that find a ratio of `1 + effect` with probability `power` at the two-sided level `a`, when the log
/// ratios of pairs have the standard deviation `deviation`; at least 6, the fewest with which a sign-flip test can
/// reject. `None` for an effect of zero or what is not a probability.
///
/// `((z(1-a/2) + z(power)) · s / ln(1+effect))²`, the normal approximation.
pub fn pairs(deviation: f64, effect: f64, a: f64, power: f64) -> Option<u64> {
    let size = effect.ln_1p().abs();
    let probability = |p: f64| p > 0.0 && p < 1.0;
    if !(size > 0.0 && size.is_finite() && deviation >= 0.0 && probability(a) && probability(power)) {
        return None;
    }
    let normal = Normal::new(0.0, 1.0).ok()?;
    let z = normal.inverse_cdf(1.0 - a / 2.0) + normal.inverse_cdf(power);
    Some(((z * deviation / size).powi(2).ceil() as u64).max(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_question() {
        assert_eq!(pairs(0.04, 0.0, 0.05, 0.8), None);
        assert_eq!(pairs(0.04, 0.02, 0.0, 0.8), None);
        assert_eq!(pairs(0.04, 0.02, 0.05, 1.0), None);
        assert_eq!(pairs(0.0, 0.02, 0.05, 0.8), Some(6));
    }
}
