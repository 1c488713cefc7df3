//! How many independent observations a series within a run is worth.
//!
//! A run's seconds depend on each other: what delays one request delays its neighbours. An interval within a run must
//! rest on the effective number, and even so says nothing about other runs.

/// The integrated autocorrelation time by Geyer's initial monotone sequence: how many neighbouring observations carry
/// the information of one independent one; at least 1.
///
/// Sums of two neighbouring autocovariances, `γ(2k) + γ(2k+1)`, are positive and fall for any reversible chain; they
/// are summed while they are positive, each capped by the one before. A series without spread has the time 1.
///
/// Source: Geyer, "Practical Markov chain Monte Carlo", Statistical Science 7, 1992, section 3.3.
pub fn autocorrelation_time(series: &[f64]) -> f64 {
    let count = series.len();
    if count < 4 {
        return 1.0;
    }
    let mean = series.iter().sum::<f64>() / count as f64;
    let centred: Vec<f64> = series.iter().map(|v| v - mean).collect();
    let covariance = |lag: usize| {
        centred[..count - lag].iter().zip(&centred[lag..]).map(|(a, b)| a * b).sum::<f64>() / count as f64
    };
    let variance = covariance(0);
    // What is left of rounding when all values are equal.
    if variance <= mean.powi(2) * 1e-24 {
        return 1.0;
    }
    let (mut sum, mut previous) = (0.0, f64::INFINITY);
    for lag in (0..count - 1).step_by(2) {
        let pair = (covariance(lag) + covariance(lag + 1)).min(previous);
        if pair <= 0.0 {
            break;
        }
        sum += pair;
        previous = pair;
    }
    ((2.0 * sum - variance) / variance).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_or_flat_series_have_the_time_one() {
        assert_eq!(autocorrelation_time(&[1.0, 2.0]), 1.0);
        assert_eq!(autocorrelation_time(&[0.1; 50]), 1.0);
    }

    #[test]
    fn blocks_of_equal_values_are_worth_one_each() {
        let series: Vec<f64> = (0..400).map(|i| f64::from((i / 10 * 7919) % 101)).collect();
        let time = autocorrelation_time(&series);
        assert!((6.0..=14.0).contains(&time), "{time}");
    }
}
