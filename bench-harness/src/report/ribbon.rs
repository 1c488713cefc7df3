//! The interval of each percentile, as a ribbon around a latency curve.

use super::Curve;
use crate::stats::{Interval, LEVEL};

/// Every so many points of the curves: an interval is no sharp line.
const EVERY: usize = 3;

/// The 95 % interval of each percentile over runs: a position on the nines axis, and the nanoseconds below and above.
///
/// Each run gives one value for each percentile, and the interval comes from these (Student's t on logs): the run is
/// the unit, so one run has no ribbon. It reaches as far as every run bears its own percentiles.
pub fn ribbon(runs: &[Curve]) -> Vec<(f64, f64, f64)> {
    // The last point of a curve lies where its samples end, the others where those of all curves lie.
    let shared = runs.iter().map(|run| run.points.len().saturating_sub(1)).min().unwrap_or(0);
    let places = (0..shared).step_by(EVERY).chain(shared.checked_sub(1).filter(|last| last % EVERY != 0));
    let at = |place: usize| {
        let values: Vec<f64> = runs.iter().map(|run| run.points[place].1.max(1) as f64).collect();
        let interval = Interval::of_runs(&values, LEVEL).ok()?;
        Some((runs[0].points[place].0, interval.lower, interval.upper))
    };
    places.filter_map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::quantile::from_nines;
    use hdrhistogram::Histogram;

    fn run(scale: u64, samples: u64) -> Curve {
        let mut hist = Histogram::<u64>::new_with_bounds(1, crate::record::MAX_NANOS, 3).unwrap();
        (1..=samples).for_each(|i| hist.record(i * scale).unwrap());
        Curve::of("run", &hist)
    }

    #[test]
    fn it_encloses_what_the_runs_say_and_ends_where_the_shortest_does() {
        let runs = [run(100, 10_000), run(102, 10_000), run(98, 10_000), run(1010, 1_000)];
        let narrow = ribbon(&runs[..3]);
        assert!(narrow.last().unwrap().0 > 2.9, "ten of 10,000 lie above p99.9: {narrow:?}");
        for &(x, lower, upper) in &narrow[1..] {
            let middle = 100.0 * 10_000.0 * from_nines(x);
            assert!(lower < middle && middle < upper && upper < lower * 1.2, "{x}: {lower} to {upper}");
        }
        let end = ribbon(&runs).last().unwrap().0;
        assert!((1.9..=2.0).contains(&end), "ten of 1,000 lie above p99: {end}");
    }

    #[test]
    fn one_run_has_none() {
        assert_eq!(ribbon(&[run(1, 1000)]), []);
        assert_eq!(ribbon(&[]), []);
        assert_eq!(ribbon(&[run(1, 1000), run(1, 5)]), []);
    }
}
