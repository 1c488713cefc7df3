//! The share of requests that fail, over several runs.

use statrs::distribution::{Beta, ContinuousCDF, StudentsT};

use super::Interval;

/// A share from the counts of several runs, with its interval and what lies beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// The share over all runs and its interval; the estimate may be 0.
    pub interval: Interval,
    /// What the counts are divided by, because failures come in clusters: 1 where they come alone.
    pub inflation: f64,
    failed: f64,
    total: f64,
    /// The standard error of the runs' own shares and its degrees of freedom, where there are several.
    between: Option<(f64, f64)>,
}

impl Share {
    /// The share of `failed` in `total`, run by run. `None` for no run, or none with a request. More failures than
    /// requests count as all of them.
    ///
    /// The interval is that of Jeffreys, on counts that are divided by how much more the runs differ than independent
    /// requests would (the Pearson statistic over its degrees of freedom, and never less than 1). Where there are
    /// several runs it is as wide, at least, as the t-interval of the runs' own shares: the run is the unit.
    ///
    /// Sources: Brown, Cai and DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16, 2001;
    /// McCullagh and Nelder, "Generalized Linear Models", section 4.5 (the inflation).
    pub fn of(failed: &[u64], total: &[u64], level: f64) -> Option<Share> {
        let runs: Vec<(f64, f64)> = failed
            .iter()
            .zip(total)
            .filter(|(_, n)| **n > 0)
            .map(|(k, n)| (*k.min(n) as f64, *n as f64))
            .collect();
        let (all_failed, all) = runs.iter().fold((0.0, 0.0), |(k, n), run| (k + run.0, n + run.1));
        if all == 0.0 {
            return None;
        }
        let pooled = all_failed / all;
        let inflation = inflation(&runs, pooled);
        let share = Share {
            interval: Interval { estimate: pooled, lower: 0.0, upper: 1.0, level, runs: runs.len() },
            inflation,
            failed: all_failed / inflation,
            total: all / inflation,
            between: between(&runs),
        };
        let posterior = share.posterior();
        let tail = (1.0 - level) / 2.0;
        // With no failure, or nothing else, the interval ends at the edge (Brown et al.).
        let mut lower = if all_failed == 0.0 { 0.0 } else { posterior.inverse_cdf(tail) };
        let mut upper = if all_failed == all { 1.0 } else { posterior.inverse_cdf(1.0 - tail) };
        if let Some((error, degrees)) = share.between {
            let half = student(degrees).inverse_cdf(0.5 + level / 2.0) * error;
            lower = lower.min(pooled - half).max(0.0);
            upper = upper.max(pooled + half).min(1.0);
        }
        Some(Share { interval: Interval { lower, upper, ..share.interval }, ..share })
    }

    /// The probability that the share is at most `limit`, after the counts.
    ///
    /// As the interval is the wider of two, this is the less certain of two: after the counts, or after the runs' own
    /// shares by Student's t.
    pub fn probability_at_most(&self, limit: f64) -> f64 {
        let by_counts = self.posterior().cdf(limit.clamp(0.0, 1.0));
        let by_runs = self
            .between
            .filter(|(error, _)| *error > 0.0)
            .map(|(error, degrees)| student(degrees).cdf((limit - self.interval.estimate) / error));
        by_runs.filter(|p| (p - 0.5).abs() < (by_counts - 0.5).abs()).unwrap_or(by_counts)
    }

    fn posterior(&self) -> Beta {
        Beta::new(self.failed + 0.5, self.total - self.failed + 0.5).expect("both parameters are above zero")
    }
}

/// The Pearson statistic of the runs' counts over its degrees of freedom.
fn inflation(runs: &[(f64, f64)], pooled: f64) -> f64 {
    let variance = pooled * (1.0 - pooled);
    if runs.len() < 2 || variance == 0.0 {
        return 1.0;
    }
    let chi: f64 = runs.iter().map(|(k, n)| (k - n * pooled).powi(2) / (n * variance)).sum();
    (chi / (runs.len() as f64 - 1.0)).max(1.0)
}

fn between(runs: &[(f64, f64)]) -> Option<(f64, f64)> {
    if runs.len() < 2 {
        return None;
    }
    let shares: Vec<f64> = runs.iter().map(|(k, n)| k / n).collect();
    let count = shares.len() as f64;
    let mean = shares.iter().sum::<f64>() / count;
    let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some(((variance / count).sqrt(), count - 1.0))
}

fn student(degrees: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees).expect("one or more degrees of freedom")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Random;

    // scipy: b = stats.beta(k + .5, n - k + .5); b.ppf(.025), b.ppf(.975), b.cdf(.01)
    #[test]
    fn one_run_agrees_with_scipy() {
        for (failed, total, lower, upper, below) in SCIPY {
            let share = Share::of(&[failed], &[total], 0.95).unwrap();
            assert!((share.interval.lower - lower).abs() < 1e-6, "{share:?} {lower}");
            assert!((share.interval.upper - upper).abs() < 1e-6, "{share:?} {upper}");
            assert!((share.probability_at_most(0.01) - below).abs() < 1e-6, "{share:?} {below}");
        }
    }

    const SCIPY: [(u64, u64, f64, f64, f64); 3] = [
        (0, 1000, 0.0, 0.0025081643414222978, 0.9999926722104432),
        (3, 1000, 0.0008456348018298346, 0.007984367358403443, 0.9945911395590878),
        (120, 4000, 0.02504845333202644, 0.03563119121513083, 4.23906669137358e-25),
    ];

    #[test]
    fn failures_in_clusters_widen_the_interval() {
        let even = Share::of(&[10, 11, 9, 10, 10], &[1000; 5], 0.95).unwrap();
        let uneven = Share::of(&[0, 0, 50, 0, 0], &[1000; 5], 0.95).unwrap();
        assert_eq!(even.interval.estimate, uneven.interval.estimate);
        assert_eq!(even.inflation, 1.0);
        // scipy: stats.chi2_contingency([[0, 0, 50, 0, 0], [1000, 1000, 950, 1000, 1000]])[0] / 4
        assert!((uneven.inflation - 50.505_050_505).abs() < 1e-6, "{uneven:?}");
        // All requests of all runs failed: there is no variance, and nothing to inflate.
        assert_eq!(Share::of(&[10, 20], &[10, 20], 0.95).unwrap().inflation, 1.0);
        assert!(uneven.interval.upper > 0.03 && uneven.interval.lower == 0.0, "{uneven:?}");
        assert!(uneven.probability_at_most(0.01) < 0.8, "{uneven:?}");
        assert_eq!(Share::of(&[], &[], 0.95), None);
        assert_eq!(Share::of(&[0], &[0], 0.95), None);
    }

    /// scipy: stats.t.cdf((.01 - .0075) / (np.std([.006, .009], ddof=1) / np.sqrt(2)), 1)
    #[test]
    fn the_probability_is_no_surer_than_the_interval() {
        let share = Share::of(&[60, 90], &[10_000, 10_000], 0.95).unwrap();
        assert!(share.interval.upper > 0.01, "{share:?}");
        let holds = share.probability_at_most(0.01);
        assert!((holds - 0.8279797).abs() < 1e-6, "{holds}");
        let same = Share::of(&[100, 100], &[10_000, 10_000], 0.95).unwrap();
        assert!((0.4..0.6).contains(&same.probability_at_most(0.01)), "{same:?}");
    }

    #[test]
    fn more_failures_than_requests_are_all_of_them() {
        let share = Share::of(&[5], &[3], 0.95).unwrap();
        assert_eq!((share.interval.estimate, share.interval.upper), (1.0, 1.0));
    }

    /// Runs whose share of failures itself varies, as that of a server with bad moments does.
    #[test]
    fn the_interval_covers_the_share_of_a_server_that_varies() {
        let mut random = Random::new(3, 0);
        let (experiments, truth) = (2000, 0.01);
        let covered = (0..experiments)
            .filter(|_| {
                let failed: Vec<u64> = (0..5)
                    .map(|_| {
                        let share = truth * (0.5 + random.unit());
                        (0..2000).filter(|_| random.unit() < share).count() as u64
                    })
                    .collect();
                let found = Share::of(&failed, &[2000; 5], 0.95).unwrap().interval;
                found.lower <= truth && truth <= found.upper
            })
            .count();
        let share = covered as f64 / f64::from(experiments);
        assert!(share > 0.935, "covered {share}");
    }
}
