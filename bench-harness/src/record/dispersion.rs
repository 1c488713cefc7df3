//! How many independent requests the requests of a run are worth.

use std::time::Duration;

use super::Hist;
use crate::stats::quantile::{dispersion, nines};

/// Bins in an octave, and octaves: up to an hour in nanoseconds.
const SUB_BINS: usize = 16;
const BINS: usize = 42 * SUB_BINS;
/// Blocks that are kept; when there are more, each two become one.
const MOST: usize = 512;
/// Blocks below which nothing is known.
const FEWEST: usize = 8;
/// What of a whole block the last one must be, to be one.
const WHOLE: f64 = 0.9;

/// Response times by blocks of time, coarse enough that they take no more memory in a long run than in a short one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    /// Seconds in a block.
    seconds: usize,
}

#[derive(Debug, Clone)]
struct Block {
    counts: Box<[u32]>,
    seconds: usize,
}

fn bin(nanos: u64) -> usize {
    let octave = nanos.max(1).ilog2() as usize;
    let below = (nanos.max(1) - (1 << octave)) as u128;
    (octave * SUB_BINS + ((below * SUB_BINS as u128) >> octave) as usize).min(BINS - 1)
}

impl Blocks {
    /// Takes in a second; one that is cut short is left out.
    pub(crate) fn add(&mut self, response: &Hist, length: Duration) {
        if length.as_secs_f64() < WHOLE {
            return;
        }
        self.seconds = self.seconds.max(1);
        if self.blocks.last().is_none_or(|block| block.seconds == self.seconds) {
            if self.blocks.len() == MOST {
                self.halve();
            }
            self.blocks.push(Block { counts: vec![0; BINS].into(), seconds: 0 });
        }
        let Some(block) = self.blocks.last_mut() else { return };
        block.seconds += 1;
        for value in response.iter_recorded() {
            let count = &mut block.counts[bin(value.value_iterated_to())];
            *count = count.saturating_add(value.count_since_last_iteration().try_into().unwrap_or(u32::MAX));
        }
    }

    fn halve(&mut self) {
        self.seconds *= 2;
        let pairs = std::mem::take(&mut self.blocks);
        let mut pairs = pairs.into_iter();
        while let Some(mut first) = pairs.next() {
            if let Some(second) = pairs.next() {
                for (sum, more) in first.counts.iter_mut().zip(&second.counts) {
                    *sum = sum.saturating_add(*more);
                }
                first.seconds += second.seconds;
            }
            self.blocks.push(first);
        }
    }

    /// The index of dispersion of the response time at quantile `q`: how many of the run's requests carry the information
    /// of one independent request, from how their number beyond the quantile varies from block to block. `None` with
    /// fewer than eight blocks, or where too few differ.
    pub(crate) fn dispersion(&self, q: f64) -> Option<f64> {
        let whole: Vec<&Block> = self.blocks.iter().filter(|block| block.seconds == self.seconds).collect();
        if whole.len() < FEWEST {
            return None;
        }
        let totals: Vec<u64> =
            whole.iter().map(|block| block.counts.iter().map(|&count| u64::from(count)).sum()).collect();
        let total: u64 = totals.iter().sum();
        let mut below = 0;
        let edge = (0..BINS)
            .filter_map(|edge| {
                below += whole.iter().map(|block| u64::from(block.counts[edge])).sum::<u64>();
                let share = below as f64 / total as f64;
                (below > 0 && below < total).then(|| (edge, share, (nines(share) - nines(q)).abs()))
            })
            .min_by(|a, b| a.2.total_cmp(&b.2))?;
        let beyond: Vec<u64> = whole
            .iter()
            .map(|block| block.counts[edge.0 + 1..].iter().map(|&count| u64::from(count)).sum())
            .collect();
        Some(dispersion(&beyond, &totals, edge.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Random;

    /// A second of a thousand requests, of which so many are slow.
    fn second(slow: u64) -> Hist {
        let mut hist = Hist::new();
        hist.record(Duration::from_micros(100), 1000 - slow);
        hist.record(Duration::from_millis(10), slow);
        hist
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn bins_are_in_order_and_cover_an_hour() {
        let edges = [1, 2, 3, 16, 17, 1000, 1_000_000, 1_050_000, 3_600_000_000_000];
        let bins: Vec<usize> = edges.iter().map(|&nanos| bin(nanos)).collect();
        assert!(bins.windows(2).all(|pair| pair[0] <= pair[1]), "{bins:?}");
        assert!(bins[6] != bins[5] && *bins.last().unwrap() < BINS);
        assert_eq!(bin(0), 0);
    }

    #[test]
    fn independent_requests_are_worth_themselves() {
        let mut random = Random::new(7, 0);
        let mut blocks = Blocks::default();
        for _ in 0..400 {
            let slow = (0..1000).filter(|_| random.unit() < 0.01).count() as u64;
            blocks.add(&second(slow), SECOND);
        }
        let found = blocks.dispersion(0.99).unwrap();
        assert!((1.0..1.3).contains(&found), "{found}");
    }

    #[test]
    fn slow_requests_that_come_together_are_worth_less() {
        let mut blocks = Blocks::default();
        for index in 0..100 {
            blocks.add(&second(if index % 10 == 0 { 100 } else { 0 }), SECOND);
        }
        // Var = 100² · 0.1 · 0.9 · 100/99, over 1000 · 0.99 · 0.01.
        let found = blocks.dispersion(0.99).unwrap();
        assert!((found / (909.09 / 9.9) - 1.0).abs() < 1e-3, "{found}");
    }

    #[test]
    fn few_seconds_say_nothing_and_many_take_no_more_memory() {
        let mut blocks = Blocks::default();
        for _ in 0..7 {
            blocks.add(&second(10), SECOND);
        }
        blocks.add(&second(10), SECOND / 2);
        assert_eq!(blocks.dispersion(0.99), None);
        blocks.add(&second(10), SECOND);
        assert_eq!(blocks.dispersion(0.99), Some(1.0));
        for _ in 0..5000 {
            blocks.add(&second(10), SECOND);
        }
        assert!(blocks.blocks.len() <= MOST && blocks.seconds == 16, "{}", blocks.seconds);
        assert_eq!(blocks.dispersion(0.99), Some(1.0));
    }

    #[test]
    fn where_all_are_alike_nothing_is_known() {
        let mut blocks = Blocks::default();
        for _ in 0..20 {
            blocks.add(&second(0), SECOND);
        }
        assert_eq!(blocks.dispersion(0.5), None);
    }
}
