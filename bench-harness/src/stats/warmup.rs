//! Where the warm-up of a run ends.

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
    fn flat_and_short_series() {
        assert_eq!(mser5(&[3.0; 100]), WarmUp::Ends { discard: 0 });
        assert_eq!(mser5(&[3.0; 49]), WarmUp::TooShort);
    }
}
