//! Where the warm-up of a run ends.

use super::trend::{STEADY, drift};

/// Observations in a batch.
const BATCH: usize = 5;
/// Batches at the end that no truncation point may lie in: a few batches can agree by chance.
const LAST: usize = 5;

/// What a series says of its own beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarmUp {
    /// The first observations, this many of them, belong to the warm-up; 0 when the series is steady from its start.
    Ends {
        /// How many observations to leave out.
        discard: usize,
    },
    /// The best truncation point lies in the second half: the series never became steady, or is too short to tell.
    NeverSteady,
    /// Fewer than 10 batches: nothing can be said.
    TooShort,
}

/// MSER-5: the truncation that minimises the squared standard error of what remains.
///
/// The series is batched by fives; among the numbers `d` of leading batches to leave out,
/// `sum_{i>d} (y_i - mean)² / (m-d)²` is least at the answer.
///
/// Source: White, "An effective truncation heuristic for bias reduction in simulation output", Simulation 69, 1997;
/// Hoad, Robinson and Davies, "Automating warm-up length estimation", J. Oper. Res. Soc. 61, 2010.
pub fn mser5(series: &[f64]) -> WarmUp {
    let batches: Vec<f64> =
        series.chunks_exact(BATCH).map(|chunk| chunk.iter().sum::<f64>() / BATCH as f64).collect();
    if batches.len() < 2 * LAST {
        return WarmUp::TooShort;
    }
    let statistics = standard_errors(&batches);
    let best = (0..=batches.len() - LAST)
        .min_by(|&a, &b| statistics[a].total_cmp(&statistics[b]))
        .unwrap_or_default();
    if best > batches.len() / 2 { WarmUp::NeverSteady } else { WarmUp::Ends { discard: best * BATCH } }
}

/// For each number of leading values to leave out, the squared standard error of the mean of the rest: `sum (y - mean)² / k²`
/// over its `k` values.
///
/// Sums of squares grow from the end of the series to its beginning, in one pass, each by the distance of a value from
/// the mean so far.
///
/// Source: Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4, 1962.
fn standard_errors(values: &[f64]) -> Vec<f64> {
    let (mut mean, mut squares) = (0.0, 0.0);
    let mut errors = vec![0.0; values.len()];
    for (kept, (value, error)) in (1..).zip(values.iter().zip(&mut errors).rev()) {
        let kept = f64::from(kept);
        let distance = value - mean;
        mean += distance / kept;
        squares += distance * (value - mean);
        *error = squares / (kept * kept);
    }
    errors
}

/// Observations below which no series is called settled: with fewer, no truncation point lies in the second half.
pub const FEWEST: usize = 4 * LAST * BATCH;

/// How many leading observations of a series are transient, where what follows them is steady: MSER-5 cuts within the
/// first half, the rest does not drift, and its end is like what is before. `None` where it is not steady, or where there
/// are fewer than [`FEWEST`], so that it cannot be told.
pub fn settled(series: &[f64]) -> Option<usize> {
    if series.len() < FEWEST {
        return None;
    }
    let WarmUp::Ends { discard } = mser5(series) else { return None };
    let kept = &series[discard..];
    (drift(kept)?.is_steady() && !ends_differently(kept)).then_some(discard)
}

/// Whether the last batches are on another level than those before: a slope over all of them does not see a step at the
/// end.
fn ends_differently(series: &[f64]) -> bool {
    let batches: Vec<f64> =
        series.rchunks_exact(BATCH).map(|chunk| chunk.iter().sum::<f64>() / BATCH as f64).collect();
    let (last, before) = batches.split_at(LAST.min(batches.len()));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (centre, count) = (mean(before), before.len() as f64);
    let variance = before.iter().map(|y| (y - centre).powi(2)).sum::<f64>() / (count - 1.0);
    // Three standard errors of the difference, for this is looked at again and again.
    let noise = 3.0 * (variance * (1.0 / last.len() as f64 + 1.0 / count)).sqrt();
    (mean(last) - centre).abs() > noise.max(STEADY * centre.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_cut_off() {
        let series: Vec<f64> =
            (0..100).map(|i| if i < 20 { f64::from(i) * 5.0 } else { 100.0 + f64::from(i % 5) }).collect();
        assert_eq!(mser5(&series), WarmUp::Ends { discard: 20 });
    }

    #[test]
    fn what_climbs_to_its_end_was_never_steady() {
        let series: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(mser5(&series), WarmUp::NeverSteady);
    }

    #[test]
    fn what_is_cut_off_must_leave_something_steady() {
        let noise = |i: u32| f64::from(i * 7919 % 13);
        let rise: Vec<f64> = (0..100).map(|i| f64::from(i.min(20)) * 50.0 + noise(i)).collect();
        assert!(settled(&rise).is_some_and(|transient| (15..=25).contains(&transient)));
        let climb: Vec<f64> = (0..100).map(|i| 1000.0 + f64::from(i) * 10.0 + noise(i)).collect();
        assert_eq!((settled(&climb), settled(&rise[..40])), (None, None));
    }

    #[test]
    fn a_step_near_the_end_is_no_end_of_the_warm_up() {
        let noise = |i: u32| f64::from(i * 7919 % 13) / 10.0;
        for step in [80, 90, 95] {
            let series: Vec<f64> = (0..100).map(|i| if i < step { 3.0 } else { 20.0 } + noise(i)).collect();
            assert_eq!(settled(&series), None, "{step}");
        }
        let early: Vec<f64> = (0..160).map(|i| if i < 70 { 3.0 } else { 20.0 } + noise(i)).collect();
        assert_eq!(settled(&early), Some(70));
    }

    #[test]
    fn one_pass_over_a_long_series_finds_what_every_sum_anew_does() {
        let mut random = crate::clock::Random::new(3, 0);
        let values: Vec<f64> =
            (0..500).map(|i| 1e9 + 50.0 * (-f64::from(i) / 40.0).exp() + random.unit()).collect();
        for (discard, error) in standard_errors(&values).into_iter().enumerate() {
            let kept = &values[discard..];
            let count = kept.len() as f64;
            let mean = kept.iter().sum::<f64>() / count;
            let anew = kept.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / (count * count);
            assert!((error - anew).abs() <= 1e-6 * anew + 1e-18, "{discard}: {error} is not {anew}");
        }
        let begun = std::time::Instant::now();
        let long: Vec<f64> = (0..1_000_000).map(|i| f64::from(i % 7)).collect();
        assert!(matches!(mser5(&long), WarmUp::Ends { .. }));
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn flat_and_short_series() {
        assert_eq!(mser5(&[0.1; 1000]), WarmUp::Ends { discard: 0 });
        assert_eq!(mser5(&[3.0; 100]), WarmUp::Ends { discard: 0 });
        assert_eq!(mser5(&[3.0; 49]), WarmUp::TooShort);
    }
}
