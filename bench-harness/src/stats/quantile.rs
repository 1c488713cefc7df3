//! Which percentiles the data can bear.

use serde::Serialize;

/// How many independent samples must lie above a quantile before it is printed.
///
/// At ten the relative standard error of the tail's mass is 32 %.
pub const TAIL_SAMPLES: f64 = 10.0;

/// Whether a quantile may be printed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Bearing {
    /// The data bear it.
    Borne,
    /// Too few samples lie above it: about `factor` times as many are needed.
    TooFew {
        /// How many times as long to measure.
        factor: f64,
    },
    /// There are samples enough, but the runs disagree about how many of them lie above it.
    Unsteady,
}

/// The index of dispersion of a quantile: how many dependent samples carry the information of one independent one.
///
/// `exceedances[j]` of the `counts[j]` samples in run `j` lie above the pooled quantile `q`. The result is the variance
/// of the exceedances over what independent samples would show, `mean(counts) · q · (1-q)`, and at least 1. With fewer
/// than two runs nothing is known and the result is 1.
pub fn dispersion(exceedances: &[u64], counts: &[u64], q: f64) -> f64 {
    let runs = exceedances.len().min(counts.len());
    if runs < 2 {
        return 1.0;
    }
    let mean = exceedances[..runs].iter().map(|&e| e as f64).sum::<f64>() / runs as f64;
    let variance =
        exceedances[..runs].iter().map(|&e| (e as f64 - mean).powi(2)).sum::<f64>() / (runs as f64 - 1.0);
    let expected = counts[..runs].iter().map(|&c| c as f64).sum::<f64>() / runs as f64 * q * (1.0 - q);
    if expected > 0.0 { (variance / expected).max(1.0) } else { 1.0 }
}

/// Whether `samples` with the given [`dispersion`] bear the quantile `q`.
pub fn bearing(q: f64, samples: u64, dispersion: f64) -> Bearing {
    let above = samples as f64 * (1.0 - q);
    // A histogram's own rounding must not decide at the border.
    if above < TAIL_SAMPLES * (1.0 - 1e-9) {
        Bearing::TooFew { factor: TAIL_SAMPLES / above.max(f64::MIN_POSITIVE) }
    } else if above / dispersion < TAIL_SAMPLES * (1.0 - 1e-9) {
        Bearing::Unsteady
    } else {
        Bearing::Borne
    }
}

/// The position of `q` on the nines axis: 0.9 is 1, 0.99 is 2, 0.999 is 3.
pub fn nines(q: f64) -> f64 {
    -(1.0 - q).log10()
}

/// The quantile at a position on the nines axis, the inverse of [`nines`].
pub fn from_nines(nines: f64) -> f64 {
    1.0 - 10f64.powf(-nines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bearing_counts_the_tail() {
        assert_eq!(bearing(0.99, 1_000, 1.0), Bearing::Borne);
        assert_eq!(bearing(0.99, 100, 1.0), Bearing::TooFew { factor: 10.0 / (100.0 * (1.0 - 0.99)) });
        assert_eq!(bearing(0.999, 100_000, 50.0), Bearing::Unsteady);
        assert_eq!(bearing(0.5, 0, 1.0), Bearing::TooFew { factor: 10.0 / f64::MIN_POSITIVE });
    }

    // numpy: np.var(e, ddof=1) / (np.mean(n) * .999 * .001)
    #[test]
    fn dispersion_agrees_with_numpy() {
        let d = dispersion(&[105, 240, 98, 120, 110], &[100_000, 101_000, 99_000, 100_500, 99_500], 0.999);
        assert!((d - 35.393393393393396).abs() < 1e-9);
        assert_eq!(dispersion(&[10], &[1000], 0.99), 1.0);
        assert_eq!(dispersion(&[10, 10], &[1000, 1000], 0.99), 1.0);
        assert_eq!(dispersion(&[0, 0], &[0, 0], 0.99), 1.0, "without samples nothing is known");
    }

    proptest! {
        #[test]
        fn more_samples_never_bear_less(q in 0.5..0.9999f64, n in 1u64..10_000_000, d in 1.0..1000.0f64) {
            if bearing(q, n, d) == Bearing::Borne {
                prop_assert_eq!(bearing(q, n * 2, d), Bearing::Borne);
                prop_assert_eq!(bearing(q, n, 1.0), Bearing::Borne);
            }
        }

        #[test]
        fn nines_have_an_inverse(q in 0.0..0.99999f64) {
            prop_assert!((from_nines(nines(q)) - q).abs() < 1e-9);
        }
    }
}
