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
    let statistic = |discard: usize| {
        let kept = &batches[discard..];
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        kept.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / count.powi(2)
    };
    let best = (0..=batches.len() - LAST)
        .map(|discard| (discard, statistic(discard)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(0, |(discard, _)| discard);
    if best > batches.len() / 2 { WarmUp::NeverSteady } else { WarmUp::Ends { discard: best * BATCH } }
}

/// Observations below which no series is called settled: with fewer, no truncation point lies in the second half.
const FEWEST: usize = 4 * LAST * BATCH;

/// How many leading observations of a series are transient, where what follows them is steady: MSER-5 cuts within the
/// first half, the rest does not drift, and its end is like what is before. `None` where it is not steady, or cannot be
/// told.
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
    fn flat_and_short_series() {
        assert_eq!(mser5(&[3.0; 100]), WarmUp::Ends { discard: 0 });
        assert_eq!(mser5(&[3.0; 49]), WarmUp::TooShort);
    }
}
