//! How many runs a question takes.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::gamma::ln_gamma;

/// Panels of Simpson's rule over the distribution of a standard deviation.
const PANELS: u32 = 2000;
/// No plan asks for more runs than this.
const MOST_RUNS: u64 = 100_000;

/// How two things are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Design {
    /// In pairs, next to each other: the deviation is that of the differences, and a run is a pair.
    Paired,
    /// Apart: the deviation is that of the runs of a side, and there are so many runs on each.
    Apart,
}

/// The probability that the two-sided t test at the level `a` finds a difference of `effect` where values have the standard
/// deviation `deviation`, with so many runs; `None` for fewer than two, or without a deviation.
///
/// Student's t with a displaced centre, integrated over the distribution of the estimated deviation; both tails count, as
/// in R's `power.t.test(strict = TRUE)`.
pub fn power(effect: f64, deviation: f64, a: f64, runs: u64, design: Design) -> Option<f64> {
    if runs < 2 || !(deviation > 0.0 && deviation.is_finite() && effect.is_finite() && a > 0.0 && a < 1.0) {
        return None;
    }
    let n = runs as f64;
    let (degrees, shift) = match design {
        Design::Paired => (n - 1.0, n.sqrt()),
        Design::Apart => (2.0 * (n - 1.0), (n / 2.0).sqrt()),
    };
    let centre = effect.abs() / deviation * shift;
    let critical = StudentsT::new(0.0, 1.0, degrees).ok()?.inverse_cdf(1.0 - a / 2.0);
    let normal = Normal::new(0.0, 1.0).ok()?;
    // The estimated deviation over the true one: a chi variable over the root of its degrees of freedom.
    let scale = 2f64.ln() + degrees / 2.0 * (degrees / 2.0).ln() - ln_gamma(degrees / 2.0);
    let density = |s: f64| {
        if s > 0.0 {
            (scale + (degrees - 1.0) * s.ln() - degrees * s * s / 2.0).exp()
        } else if degrees == 1.0 {
            scale.exp()
        } else {
            0.0
        }
    };
    let found =
        |s: f64| (normal.cdf(centre - critical * s) + normal.cdf(-centre - critical * s)) * density(s);
    let reach = 10.0 / (2.0 * degrees).sqrt();
    let (low, high) = ((1.0 - reach).max(0.0), 1.0 + reach);
    let step = (high - low) / f64::from(PANELS);
    let inner: f64 = (1..PANELS).map(|i| f64::from(2 + 2 * (i % 2)) * found(low + f64::from(i) * step)).sum();
    Some(((found(low) + inner + found(high)) * step / 3.0).min(1.0))
}

/// The fewest runs (pairs, or runs of each side) with which the t test at the two-sided level `a` finds a ratio of
/// `1 + effect` with probability `power`, when logarithms have the standard deviation `deviation`; at least 2.
///
/// `None` for an effect of zero, what is not a probability, or when it would take more than 100,000.
pub fn runs(deviation: f64, effect: f64, a: f64, power: f64, design: Design) -> Option<u64> {
    let size = effect.ln_1p().abs();
    let probability = |p: f64| p > 0.0 && p < 1.0;
    if !(size > 0.0 && size.is_finite() && probability(a) && probability(power)) {
        return None;
    }
    if deviation == 0.0 {
        return Some(2);
    }
    let enough = |runs: u64| self::power(size, deviation, a, runs, design).is_some_and(|p| p >= power);
    let mut most = 2;
    while !enough(most) {
        most *= 2;
        if most > MOST_RUNS {
            return None;
        }
    }
    let (mut few, mut many) = (most / 2, most);
    while many - few > 1 {
        let middle = few.midpoint(many);
        if enough(middle) { many = middle } else { few = middle }
    }
    Some(many.max(2))
}

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
        assert_eq!(runs(0.04, 0.0, 0.05, 0.8, Design::Apart), None);
        assert_eq!(runs(0.04, 0.02, 0.05, 1.0, Design::Paired), None);
        assert_eq!(runs(f64::NAN, 0.02, 0.05, 0.8, Design::Paired), None);
        assert_eq!(runs(1e3, 1e-3, 0.05, 0.8, Design::Paired), None);
        assert_eq!(runs(0.0, 0.02, 0.05, 0.8, Design::Paired), Some(2));
        assert_eq!(power(0.02, 0.04, 0.05, 1, Design::Apart), None);
    }

    #[test]
    fn no_difference_is_found_as_often_as_the_level_says() {
        for (runs, design) in [(2, Design::Paired), (5, Design::Apart), (400, Design::Paired)] {
            let found = power(0.0, 1.0, 0.05, runs, design).unwrap();
            assert!((found - 0.05).abs() < 1e-7, "{runs} {design:?}: {found}");
        }
    }
}
