//! Whether runs fall into two modes.
//!
//! A server that settles into one of two states at its start, by hash seeds, memory placement or which core accepts,
//! gives runs around two rates. Their mean describes neither, and a t-interval of five to ten such runs covers the
//! truth only 69 to 88 % of the time.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The fewest runs among which two modes can be told from spread.
pub const FEWEST: usize = 5;
/// The least distance of two modes, in relation to the lower one, that is worth a word.
pub const APART: f64 = 0.03;

/// Two groups of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Modes {
    /// Geometric mean of the lower group.
    pub low: f64,
    /// Geometric mean of the upper group.
    pub high: f64,
    /// Positions of the runs of the lower group, in the order of the runs.
    pub low_runs: Vec<usize>,
    /// Positions of the runs of the upper group.
    pub high_runs: Vec<usize>,
}

/// Where one mode lies.
///
/// It is no [`Interval`](super::Interval): its degrees of freedom are not those of the runs of the mode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Geometric mean of the mode.
    pub estimate: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

impl From<&super::Interval> for Range {
    fn from(interval: &super::Interval) -> Range {
        Range { estimate: interval.estimate, lower: interval.lower, upper: interval.upper }
    }
}

impl Modes {
    /// Whether each mode was seen more than once.
    ///
    /// A state in which a server settles comes back; a run that lies apart alone may as well have been disturbed. It
    /// still counts: it widens the interval of the runs so far that the others lie within it, whatever it is.
    pub fn are_repeated(&self) -> bool {
        self.low_runs.len() > 1 && self.high_runs.len() > 1
    }

    /// The ranges of the two modes, lower and upper, which hold both with probability `level` at least.
    ///
    /// Both rest on the spread within the modes, taken to be the same, with two degrees of freedom less than there are
    /// runs; each has half of what may go wrong (Bonferroni): `exp(m ± t(R-2, 1-a/4) · s / sqrt(R of the mode))`.
    pub fn ranges(&self, runs: &[f64], level: f64) -> [Range; 2] {
        let degrees = (runs.len() - 2).max(1) as f64;
        let squares = |group: &[usize], centre: f64| -> f64 {
            group.iter().map(|&run| (runs[run].ln() - centre.ln()).powi(2)).sum()
        };
        let within = squares(&self.low_runs, self.low) + squares(&self.high_runs, self.high);
        let t = StudentsT::new(0.0, 1.0, degrees).expect("one or more degrees of freedom");
        let reach = t.inverse_cdf(1.0 - (1.0 - level) / 4.0) * (within / degrees).sqrt();
        [(self.low, &self.low_runs), (self.high, &self.high_runs)].map(|(estimate, group)| {
            let half = reach / (group.len() as f64).sqrt();
            Range { estimate, lower: (estimate.ln() - half).exp(), upper: (estimate.ln() + half).exp() }
        })
    }
}

/// The two modes of `runs`, or `None` where one mode explains them.
///
/// The logarithms are split where the sum of squares between the groups, over that within them, is largest. What one
/// normal mode reaches in one of a hundred samples is the limit; beyond it there are two modes, when they are also
/// [`APART`]. A single stray run counts as a mode. Values that are not positive and finite, and fewer than [`FEWEST`]
/// runs, have none.
///
/// Source: Engelman and Hartigan, "Percentage points of a test for clusters", JASA 64, 1969. The limits are simulated
/// (400,000 samples of each size), for the published approximation calls 6 % of five runs two modes, not 1 %.
pub fn modes(runs: &[f64]) -> Option<Modes> {
    if runs.len() < FEWEST || runs.iter().any(|v| !(v.is_finite() && *v > 0.0)) {
        return None;
    }
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by(|&i, &j| runs[i].total_cmp(&runs[j]));
    let sorted: Vec<f64> = order.iter().map(|&i| runs[i].ln()).collect();
    let (split, ratio) = best_split(&sorted)?;
    let (low, high) = (mean(&sorted[..split]).exp(), mean(&sorted[split..]).exp());
    if ratio.ln_1p() <= limit(runs.len()) || high / low - 1.0 < APART {
        return None;
    }
    let group = |range: &[usize]| {
        let mut group = range.to_vec();
        group.sort_unstable();
        group
    };
    Some(Modes { low, high, low_runs: group(&order[..split]), high_runs: group(&order[split..]) })
}

/// The split of sorted values with the largest ratio of squares between to squares within, and that ratio.
fn best_split(sorted: &[f64]) -> Option<(usize, f64)> {
    let squares = |part: &[f64]| {
        let centre = mean(part);
        part.iter().map(|v| (v - centre).powi(2)).sum::<f64>()
    };
    let total = squares(sorted);
    (1..sorted.len())
        .map(|split| {
            let within = squares(&sorted[..split]) + squares(&sorted[split..]);
            // Two groups without any spread are as far apart as can be.
            (split, if within > total * 1e-12 { (total - within) / within } else { f64::INFINITY })
        })
        .filter(|_| total > 0.0)
        .max_by(|left, right| left.1.total_cmp(&right.1))
}

/// The 99 % quantile of `ln(1 + ratio)` for this many values of one normal mode.
pub fn limit(runs: usize) -> f64 {
    const SIMULATED: [(usize, f64); 19] = [
        (5, 4.323),
        (6, 3.533),
        (7, 3.065),
        (8, 2.773),
        (9, 2.550),
        (10, 2.397),
        (11, 2.275),
        (12, 2.175),
        (13, 2.093),
        (14, 2.031),
        (15, 1.969),
        (16, 1.923),
        (17, 1.876),
        (18, 1.839),
        (19, 1.802),
        (20, 1.774),
        (25, 1.661),
        (30, 1.582),
        (40, 1.481),
    ];
    let after = SIMULATED.partition_point(|entry| entry.0 < runs);
    match (after.checked_sub(1).map(|before| SIMULATED[before]), SIMULATED.get(after)) {
        (_, Some(entry)) if entry.0 == runs => entry.1,
        (Some(before), Some(next)) => {
            let share = (runs - before.0) as f64 / (next.0 - before.0) as f64;
            before.1 + share * (next.1 - before.1)
        }
        (None, Some(first)) => first.1,
        // The published limit, which lies 0.03 too low at 40.
        (_, None) => 2.4 / (runs as f64 - 2.0) + 2.326 / (runs as f64 - 2.0).sqrt() + 1.012 + 0.03,
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_modes_are_found_and_their_runs_named() {
        let found = modes(&[100.0, 121.0, 101.0, 99.5, 120.0, 100.2, 100.8, 119.5]).unwrap();
        assert_eq!(found.high_runs, vec![1, 4, 7]);
        assert_eq!(found.low_runs, vec![0, 2, 3, 5, 6]);
        assert!((found.low - 100.3).abs() < 0.1 && (found.high - 120.2).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn one_stray_run_is_a_mode_that_did_not_come_back() {
        let found = modes(&[150.0, 151.0, 149.0, 150.5, 75.0, 150.2]).unwrap();
        assert_eq!(found.low_runs, vec![4]);
        assert!(!found.are_repeated());
        let high = modes(&[150.0, 151.0, 149.0, 150.5, 300.0, 150.2]).unwrap();
        assert_eq!(high.high_runs, vec![4]);
        assert!(!high.are_repeated());
    }

    // scipy: low, high = np.log([100, 101, 99.5, 100.2, 100.8]), np.log([121, 120, 119.5])
    //   s = np.sqrt((((low - low.mean())**2).sum() + ((high - high.mean())**2).sum()) / (8 - 2))
    //   for x in low, high: h = stats.t.ppf(1 - .05/4, 8 - 2) * s / np.sqrt(len(x))
    //       np.exp([x.mean(), x.mean() - h, x.mean() + h])
    const RANGES: [[f64; 3]; 2] = [
        [100.2985239246977, 99.48132538846343, 101.12243541379038],
        [120.16505065936293, 118.90258537104651, 121.44092035431385],
    ];

    #[test]
    fn each_mode_has_a_range_of_its_own() {
        let runs = [100.0, 121.0, 101.0, 99.5, 120.0, 100.2, 100.8, 119.5];
        let found = modes(&runs).unwrap();
        assert!(found.are_repeated());
        for (range, want) in found.ranges(&runs, 0.95).into_iter().zip(RANGES) {
            for (got, want) in [range.estimate, range.lower, range.upper].into_iter().zip(want) {
                assert!((got / want - 1.0).abs() < 1e-9, "{got} is not {want}");
            }
        }
    }

    #[test]
    fn spread_is_no_mode() {
        assert_eq!(modes(&[100.0, 102.0, 98.0, 101.0, 99.0, 100.5]), None);
        assert_eq!(modes(&[100.0; 8]), None);
        assert_eq!(modes(&[100.0, 100.01, 100.0, 100.01, 100.0]), None, "too close to matter");
        assert_eq!(modes(&[1.0, 2.0, 1.0, 2.0]), None, "too few");
        assert_eq!(modes(&[1.0, 2.0, 1.0, 0.0, 2.0]), None);
    }
}
