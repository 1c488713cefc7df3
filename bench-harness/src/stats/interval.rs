//! Student's t-interval for the geometric mean of runs.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::StatsError;

/// An estimate from several runs and the interval that holds its true value with probability `level`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The geometric mean of the runs, in the unit of the runs.
    pub estimate: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Coverage, such as 0.95.
    pub level: f64,
    /// How many runs it rests on.
    pub runs: usize,
}

impl Interval {
    /// The t-interval on the logarithms of `runs`: `exp(mean(x) ± t(R-1, 1-a/2) · s / sqrt(R))` with `x = ln run`.
    ///
    /// Source: Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013.
    ///
    /// # Errors
    /// Fewer than two runs, a run that is not positive and finite, or a level outside (0, 1).
    pub fn of_runs(runs: &[f64], level: f64) -> Result<Interval, StatsError> {
        if !(level > 0.0 && level < 1.0) {
            return Err(StatsError::Level { level });
        }
        if runs.len() < 2 {
            return Err(StatsError::TooFewRuns { runs: runs.len(), needed: 2 });
        }
        if let Some((index, &value)) = runs.iter().enumerate().find(|(_, v)| !(v.is_finite() && **v > 0.0)) {
            return Err(StatsError::NotPositive { index, value });
        }
        let count = runs.len() as f64;
        let mean = runs.iter().map(|v| v.ln()).sum::<f64>() / count;
        let variance = runs.iter().map(|v| (v.ln() - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let half = t_quantile(0.5 + level / 2.0, runs.len() - 1) * (variance / count).sqrt();
        Ok(Interval {
            estimate: mean.exp(),
            lower: (mean - half).exp(),
            upper: (mean + half).exp(),
            level,
            runs: runs.len(),
        })
    }

    /// The interval of `factor` times the quantity; `factor` is positive.
    pub fn scaled(self, factor: f64) -> Interval {
        Interval {
            estimate: self.estimate * factor,
            lower: self.lower * factor,
            upper: self.upper * factor,
            ..self
        }
    }

    /// The probability that the quantity is at least `value`, after the runs and with no opinion before them; `None`
    /// after fewer than two, which say nothing of their spread.
    ///
    /// It is the posterior of the mean of the logarithms under the prior `1/s`: Student's t about the estimate, with
    /// the standard error and the degrees of freedom of the interval itself, which is therefore the credible one too.
    /// Runs without any spread leave no doubt, and neither does a value that nothing positive is below. It is that of
    /// [`Interval::of_runs`] only: the degrees of freedom of others are not in the interval.
    ///
    /// Source: Gelman et al., "Bayesian Data Analysis", 3rd edition, section 3.2.
    pub fn probability_at_least(&self, value: f64) -> Option<f64> {
        let degrees = self.runs.checked_sub(1).filter(|degrees| *degrees > 0)?;
        if value <= 0.0 {
            return Some(1.0);
        }
        let half = (self.upper.ln() - self.lower.ln()) / 2.0;
        let error = half / t_quantile(0.5 + self.level / 2.0, degrees);
        let distance = value.ln() - self.estimate.ln();
        if error <= 0.0 {
            return Some(if distance <= 0.0 { 1.0 } else { 0.0 });
        }
        let t = StudentsT::new(0.0, 1.0, degrees as f64)
            .expect("one or more degrees of freedom make a t distribution");
        Some(t.sf(distance / error))
    }

    /// Half the width in relation to the estimate: 0.02 reads as "±2 %".
    pub fn relative_half_width(&self) -> f64 {
        (self.upper - self.lower) / 2.0 / self.estimate
    }
}

/// The quantile of Student's t with `degrees` degrees of freedom (at least 1).
fn t_quantile(p: f64, degrees: usize) -> f64 {
    StudentsT::new(0.0, 1.0, degrees as f64)
        .expect("one or more degrees of freedom make a t distribution")
        .inverse_cdf(p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // The expected numbers come from scipy 1.x:
    //   y = np.log(x); h = stats.t.ppf(.5 + level/2, len(y)-1) * y.std(ddof=1) / np.sqrt(len(y))
    //   np.exp([y.mean(), y.mean() - h, y.mean() + h])
    #[test]
    fn agrees_with_scipy() {
        let cases: [(&[f64], f64, [f64; 3]); 3] = [
            (
                &[142e3, 155e3, 156e3, 157e3, 157e3, 158e3],
                0.95,
                [154063.6462311016, 147656.8468856997, 160748.43524456143],
            ),
            (&[150e3, 151.2e3, 149.1e3], 0.99, [150097.53656371162, 144183.14647640064, 156254.53482652534]),
            (&[1.0, 2.0], 0.95, [std::f64::consts::SQRT_2, 0.017299781563100667, 115.60839613523633]),
        ];
        for (runs, level, [estimate, lower, upper]) in cases {
            let interval = Interval::of_runs(runs, level).unwrap();
            for (got, want) in
                [(interval.estimate, estimate), (interval.lower, lower), (interval.upper, upper)]
            {
                assert!((got / want - 1.0).abs() < 1e-7, "{got} is not {want}");
            }
        }
    }

    #[test]
    fn t_quantiles_agree_with_scipy() {
        let table = [
            (1, 12.706204736174694),
            (2, 4.302652729749462),
            (4, 2.7764451051977934),
            (6, 2.4469118511449786),
            (9, 2.262157162798205),
            (19, 2.0930240544083087),
        ];
        for (degrees, want) in table {
            assert!((t_quantile(0.975, degrees) / want - 1.0).abs() < 1e-8, "df {degrees}");
        }
    }

    // scipy: x = np.log([142e3, 155e3, 156e3, 157e3, 157e3, 158e3]); n = len(x)
    //   stats.t.sf((np.log(150e3) - x.mean()) / (x.std(ddof=1) / np.sqrt(n)), n - 1)
    #[test]
    fn the_posterior_agrees_with_scipy() {
        let runs = [142e3, 155e3, 156e3, 157e3, 157e3, 158e3];
        let interval = Interval::of_runs(&runs, 0.95).unwrap();
        for (value, want) in [(150e3, POSTERIOR[0]), (154e3, POSTERIOR[1]), (160e3, POSTERIOR[2])] {
            let got = interval.probability_at_least(value).unwrap();
            assert!((got - want).abs() < 1e-7, "{value}: {got} is not {want}");
        }
        let at = |value: f64| interval.probability_at_least(value).unwrap();
        assert!((at(interval.lower) - 0.975).abs() < 1e-9 && (at(interval.upper) - 0.025).abs() < 1e-9);
        assert_eq!(
            (interval.probability_at_least(0.0), interval.probability_at_least(-1.0)),
            (Some(1.0), Some(1.0))
        );
        let flat = Interval::of_runs(&[5.0, 5.0, 5.0], 0.95).unwrap();
        assert_eq!((flat.probability_at_least(5.0), flat.probability_at_least(5.1)), (Some(1.0), Some(0.0)));
        let single = Interval { runs: 1, ..interval };
        assert_eq!((single.probability_at_least(1.0), single.probability_at_least(1e9)), (None, None));
    }

    const POSTERIOR: [f64; 3] = [0.9166781175633694, 0.5094916480369516, 0.03540662796069256];

    #[test]
    fn refuses_what_has_no_interval() {
        assert_eq!(Interval::of_runs(&[5.0], 0.95), Err(StatsError::TooFewRuns { runs: 1, needed: 2 }));
        assert_eq!(
            Interval::of_runs(&[5.0, 0.0], 0.95),
            Err(StatsError::NotPositive { index: 1, value: 0.0 })
        );
        assert!(Interval::of_runs(&[5.0, f64::NAN], 0.95).is_err());
        assert!(Interval::of_runs(&[5.0, 6.0], 1.0).is_err());
    }

    proptest! {
        #[test]
        fn holds_its_estimate_and_scales(runs in prop::collection::vec(1e-3..1e9f64, 2..20), k in 1e-3..1e3f64) {
            let interval = Interval::of_runs(&runs, 0.95).unwrap();
            prop_assert!(interval.lower <= interval.estimate && interval.estimate <= interval.upper);
            let (low, high) = runs.iter().fold((f64::MAX, 0.0f64), |(l, h), &v| (l.min(v), h.max(v)));
            prop_assert!(interval.estimate >= low * (1.0 - 1e-9) && interval.estimate <= high * (1.0 + 1e-9));
            let scaled: Vec<f64> = runs.iter().map(|v| v * k).collect();
            let again = Interval::of_runs(&scaled, 0.95).unwrap();
            let expected = interval.scaled(k);
            prop_assert!((again.lower / expected.lower - 1.0).abs() < 1e-6);
            prop_assert!((again.upper / expected.upper - 1.0).abs() < 1e-6);
        }

        #[test]
        fn widens_with_the_level(runs in prop::collection::vec(1.0..1e6f64, 3..12)) {
            let narrow = Interval::of_runs(&runs, 0.80).unwrap();
            let wide = Interval::of_runs(&runs, 0.99).unwrap();
            prop_assert!(wide.lower <= narrow.lower && wide.upper >= narrow.upper);
        }
    }

    // A deterministic generator, so that the coverage is the same on every machine.
    #[test]
    fn five_runs_cover_the_truth_about_as_often_as_promised() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut uniform = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut covered = 0;
        let experiments = 4000;
        for _ in 0..experiments {
            let runs: Vec<f64> = (0..5)
                .map(|_| (0.03 * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0)).exp() * 1000.0)
                .collect();
            let interval = Interval::of_runs(&runs, 0.95).unwrap();
            covered += usize::from(interval.lower <= 1000.0 && 1000.0 <= interval.upper);
        }
        let share = f64::from(u32::try_from(covered).unwrap()) / f64::from(experiments);
        assert!((0.935..=0.965).contains(&share), "coverage {share}");
    }
}
