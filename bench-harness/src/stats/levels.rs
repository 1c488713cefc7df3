//! Where the variation comes from, and how to spend measuring time on it.
//!
//! Seconds vary within a run, and runs vary among themselves by more than their seconds explain. Longer runs help against
//! the first, more runs against the second, and what a run costs beside its window decides between them.
//!
//! Source: Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013, section 5.

use serde::Serialize;

use super::StatsError;
use super::effective::autocorrelation_time;

/// Relative variances on the two levels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Levels {
    /// Of a second within its run, as if seconds were independent: their variance times their autocorrelation time.
    pub within: f64,
    /// Of a run beyond what its seconds explain; zero where they explain all of it.
    pub between: f64,
    /// Of the runs as they were.
    pub runs: f64,
}

impl Levels {
    /// The levels of runs whose value was `values[i]`, with the seconds `seconds[i]`.
    ///
    /// # Errors
    /// Fewer than two runs, and values that are not positive and finite.
    pub fn of(values: &[f64], seconds: &[Vec<f64>]) -> Result<Levels, StatsError> {
        if values.len() < 2 {
            return Err(StatsError::TooFewRuns { runs: values.len(), needed: 2 });
        }
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if let Some(index) = values.iter().position(|&value| !positive(value)) {
            return Err(StatsError::NotPositive { index, value: values[index] });
        }
        let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
        let runs = variance(&logs);
        let mut within = Vec::new();
        let mut explained = Vec::new();
        for series in seconds.iter().filter(|series| series.len() >= 2) {
            let mean = series.iter().sum::<f64>() / series.len() as f64;
            if !positive(mean) {
                continue;
            }
            let relative: Vec<f64> = series.iter().map(|value| value / mean).collect();
            let one = variance(&relative) * autocorrelation_time(&relative);
            within.push(one);
            explained.push(one / series.len() as f64);
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        Ok(Levels { within: mean(&within), between: (runs - mean(&explained)).max(0.0), runs })
    }

    /// The length of a run, in seconds, with which a given precision takes the least time in all, when a run costs so
    /// many seconds beside its window; `None` where runs differ by no more than their seconds explain, so that the longer
    /// the better.
    ///
    /// `√(cost · within / between)`.
    pub fn best_length(&self, cost: f64) -> Option<f64> {
        (self.between > 0.0).then(|| (cost * self.within / self.between).sqrt())
    }

    /// The standard deviation, on the log scale, of runs of so many seconds.
    pub fn deviation(&self, seconds: f64) -> f64 {
        (self.between + self.within / seconds.max(1.0)).sqrt()
    }
}

/// Variance with n-1.
fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Random;

    /// Runs of `seconds` whose means have the relative deviation `between`, and whose seconds `within`.
    fn simulate(runs: usize, seconds: usize, between: f64, within: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
        let mut random = Random::new(7, 0);
        // The sum of twelve uniform numbers is near enough to normal.
        let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
        let series: Vec<Vec<f64>> = (0..runs)
            .map(|_| {
                let mean = 1000.0 * (1.0 + between * normal());
                (0..seconds).map(|_| mean * (1.0 + within * normal())).collect()
            })
            .collect();
        let values = series.iter().map(|one| one.iter().sum::<f64>() / seconds as f64).collect();
        (values, series)
    }

    #[test]
    fn both_levels_are_recovered() {
        let (values, series) = simulate(400, 30, 0.02, 0.05);
        let levels = Levels::of(&values, &series).unwrap();
        assert!((levels.between.sqrt() / 0.02 - 1.0).abs() < 0.1, "{levels:?}");
        // Autocorrelation estimated from 30 seconds is a little above that of independent ones.
        assert!((1.0..1.25).contains(&(levels.within.sqrt() / 0.05)), "{levels:?}");
        let length = levels.best_length(4.0).unwrap();
        assert!((4.0..7.0).contains(&length), "√4 · 0.05 / 0.02 = 5, not {length}");
        assert!((levels.deviation(30.0) / levels.runs.sqrt() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn runs_that_differ_as_their_seconds_do_have_no_level_of_their_own() {
        let values = [100.0, 100.1, 99.9];
        let series: Vec<Vec<f64>> = (0..3).map(|_| vec![90.0, 110.0, 95.0, 105.0, 100.0]).collect();
        let levels = Levels::of(&values, &series).unwrap();
        assert_eq!((levels.between, levels.best_length(2.0)), (0.0, None));
    }

    // numpy: np.var(np.log([100, 110, 90]), ddof=1); the seconds by turns: autocorrelation below zero counts as none, so
    // within is np.var([.9, 1.1, .9, 1.1], ddof=1), and between what it does not explain over four seconds.
    #[test]
    fn variances_agree_with_numpy() {
        let levels = Levels::of(&[100.0, 110.0, 90.0], &[vec![90.0, 110.0, 90.0, 110.0]]).unwrap();
        assert!((levels.runs - 0.010_075_599_442).abs() < 1e-9, "{levels:?}");
        assert!((levels.within - 0.013_333_333_333).abs() < 1e-9, "{levels:?}");
        assert!((levels.between - (levels.runs - levels.within / 4.0)).abs() < 1e-12, "{levels:?}");
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        assert!(Levels::of(&[1.0], &[]).is_err());
        assert!(Levels::of(&[1.0, 0.0], &[]).is_err());
        let without = Levels::of(&[1.0, 1.1], &[]).unwrap();
        assert_eq!((without.within, without.between), (0.0, without.runs));
    }
}
