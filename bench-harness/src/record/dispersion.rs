//! How many independent requests the requests of a run are worth.

use std::time::Duration;

use super::Hist;
use crate::stats::effective::autocorrelation_time;
use crate::stats::quantile::dispersion;

/// Bins in an octave, so that a bin is below 0.8 % wide, and octaves: up to an hour in nanoseconds.
const SUB_BINS: usize = 128;
const BINS: usize = 42 * SUB_BINS;
/// Blocks that are kept; when there are more, each two become one.
const MOST: usize = 512;
/// Blocks below which nothing is known.
const FEWEST: usize = 8;
/// What of a whole block the last one must be, to be one.
const WHOLE: f64 = 0.9;
/// A border of two bins stands for a quantile that at most so many times as many requests lie beyond, or as few.
const NEAR: f64 = 2.0;

/// Response times by blocks of time, coarse enough that they take no more memory in a long run than in a short one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    /// Seconds in a block.
    seconds: usize,
}

#[derive(Debug, Clone, Default)]
struct Block {
    /// The bins that are not empty, in ascending order, and the requests in each.
    counts: Vec<(u16, u32)>,
    seconds: usize,
}

impl Block {
    fn total(&self) -> u64 {
        self.counts.iter().map(|&(_, count)| u64::from(count)).sum()
    }

    /// Requests in the bins above this one.
    fn above(&self, edge: u16) -> u64 {
        self.counts.iter().rev().take_while(|(bin, _)| *bin > edge).map(|&(_, count)| u64::from(count)).sum()
    }

    /// Adds bins that are in ascending order.
    fn add(&mut self, more: impl Iterator<Item = (u16, u32)>) {
        let mut sum: Vec<(u16, u32)> = Vec::with_capacity(self.counts.len());
        let mut own = self.counts.drain(..).peekable();
        for (bin, count) in more {
            while let Some(below) = own.next_if(|(own, _)| *own <= bin) {
                sum.push(below);
            }
            match sum.last_mut() {
                Some(last) if last.0 == bin => last.1 = last.1.saturating_add(count),
                _ => sum.push((bin, count)),
            }
        }
        sum.extend(own);
        self.counts = sum;
    }
}

fn bin(nanos: u64) -> u16 {
    let octave = nanos.max(1).ilog2() as usize;
    let below = (nanos.max(1) - (1 << octave)) as u128;
    (octave * SUB_BINS + ((below * SUB_BINS as u128) >> octave) as usize).min(BINS - 1) as u16
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
            self.blocks.push(Block::default());
        }
        let Some(block) = self.blocks.last_mut() else { return };
        block.seconds += 1;
        block.add(response.iter_recorded().map(|value| {
            (
                bin(value.value_iterated_to()),
                value.count_since_last_iteration().try_into().unwrap_or(u32::MAX),
            )
        }));
    }

    fn halve(&mut self) {
        self.seconds *= 2;
        let pairs = std::mem::take(&mut self.blocks);
        let mut pairs = pairs.into_iter();
        while let Some(mut first) = pairs.next() {
            if let Some(second) = pairs.next() {
                first.add(second.counts.into_iter());
                first.seconds += second.seconds;
            }
            self.blocks.push(first);
        }
    }

    /// How many of the run's requests carry the information of one independent request, as far as quantile `q` of the
    /// response time goes: how much their number beyond it varies from block to block, over what independent requests
    /// would show, times the [`autocorrelation_time`] of the blocks, for slow ones may last. `None` with fewer than eight
    /// blocks, or where all requests are alike.
    ///
    /// One length of block is enough: with longer blocks the variance over that of independent requests rises until no
    /// block depends on the next, and that level is the one of short blocks times their autocorrelation time. Long blocks
    /// by themselves would be too few in a run of ordinary length to have a variance worth the name.
    ///
    /// Source: Cox and Lewis, "The Statistical Analysis of Series of Events", 1966, chapter 4 (variance-time curve, index of
    /// dispersion).
    ///
    /// It is taken at the border of two bins that lies nearest. Where so many requests are alike that none lies near, it is
    /// the larger one of the borders on both sides.
    pub(crate) fn dispersion(&self, q: f64) -> Option<f64> {
        let whole: Vec<&Block> = self.blocks.iter().filter(|block| block.seconds == self.seconds).collect();
        if whole.len() < FEWEST {
            return None;
        }
        let totals: Vec<u64> = whole.iter().map(|block| block.total()).collect();
        let total: u64 = totals.iter().sum();
        let mut sum = Block::default();
        whole.iter().for_each(|block| sum.add(block.counts.iter().copied()));
        let mut below = 0;
        let mut borders = [None, None];
        for &(edge, count) in &sum.counts {
            below += u64::from(count);
            let share = below as f64 / total as f64;
            if below < total && share <= q {
                borders[0] = Some((edge, share));
            } else if below < total {
                borders[1] = Some((edge, share));
                break;
            }
        }
        // How many times as many lie beyond, or as few.
        let distance = |share: f64| {
            let ratio = (1.0 - share) / (1.0 - q);
            ratio.max(1.0 / ratio)
        };
        let borders = borders.into_iter().flatten();
        let nearest = borders.clone().min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)))?;
        let at = |(edge, share): (u16, f64)| {
            let beyond: Vec<u64> = whole.iter().map(|block| block.above(edge)).collect();
            let series: Vec<f64> = beyond.iter().map(|&count| count as f64).collect();
            dispersion(&beyond, &totals, share) * autocorrelation_time(&series)
        };
        if distance(nearest.1) <= NEAR { Some(at(nearest)) } else { borders.map(at).reduce(f64::max) }
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
        let bins: Vec<u16> = edges.iter().map(|&nanos| bin(nanos)).collect();
        assert!(bins.windows(2).all(|pair| pair[0] <= pair[1]), "{bins:?}");
        assert!(bins[6] != bins[5] && usize::from(*bins.last().unwrap()) < BINS);
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
    fn slow_requests_that_last_are_worth_less_than_those_of_one_second() {
        // 40 of 160 seconds are slow: one at a time, or ten in a row.
        let of = |slow: fn(u32) -> bool| {
            let mut blocks = Blocks::default();
            (0..160).for_each(|index| blocks.add(&second(if slow(index) { 40 } else { 0 }), SECOND));
            blocks.dispersion(0.99).unwrap()
        };
        let (alone, lasting) = (of(|index| index * 7919 % 160 % 4 == 0), of(|index| index / 10 % 4 == 0));
        assert!(lasting > 5.0 * alone, "{lasting} and {alone}");
    }

    #[test]
    fn short_blocks_say_what_long_ones_do() {
        // How many are slow follows a level that lasts for some seconds.
        let (mut found, mut long, mut short) = (0.0, 0.0, 0.0);
        for seed in 0..20 {
            let mut random = Random::new(seed, 0);
            let mut level = 0.0;
            let slow: Vec<u64> = (0..480)
                .map(|_| {
                    level = 0.7 * level + (random.unit() - 0.5) * 24.0;
                    (50.0_f64 + level).round().max(0.0) as u64
                })
                .collect();
            let mut blocks = Blocks::default();
            slow.iter().for_each(|&slow| blocks.add(&second(slow), SECOND));
            found += blocks.dispersion(0.95).unwrap();
            let index = |length: usize| {
                let sums: Vec<u64> = slow.chunks(length).map(|part| part.iter().sum()).collect();
                let total: u64 = slow.iter().sum();
                let share = 1.0 - total as f64 / (1000.0 * slow.len() as f64);
                let mean = sums.iter().sum::<u64>() as f64 / sums.len() as f64;
                let squares: f64 = sums.iter().map(|&sum| (sum as f64 - mean).powi(2)).sum();
                squares / (sums.len() as f64 - 1.0) / (1000.0 * length as f64 * share * (1.0 - share))
            };
            long += index(24);
            short += index(1);
        }
        let ratio = found / long;
        assert!((0.75..1.33).contains(&ratio), "{found} by seconds, {long} by blocks of 24");
        assert!(long > 3.0 * short, "the level lasts: {long} and {short}");
    }

    #[test]
    fn where_most_are_alike_the_borders_on_both_sides_are_looked_at() {
        // Nine of ten requests take the same time; how many are faster changes from second to second, those slower do not.
        let mut blocks = Blocks::default();
        for index in 0..100 {
            let fast = if index % 10 == 0 { 100 } else { 10 };
            let mut hist = Hist::new();
            hist.record(Duration::from_micros(50), fast);
            hist.record(Duration::from_micros(100), 990 - fast);
            hist.record(Duration::from_millis(10), 10);
            blocks.add(&hist, SECOND);
        }
        let (median, tail) = (blocks.dispersion(0.5).unwrap(), blocks.dispersion(0.99).unwrap());
        assert!(median > 10.0 && tail == 1.0, "{median} {tail}");
    }

    #[test]
    fn bins_are_added_up_in_order() {
        let mut block = Block::default();
        block.add([(3, 1), (3, 2), (7, 1)].into_iter());
        block.add([(1, 4), (7, 1), (9, 5)].into_iter());
        assert_eq!(block.counts, [(1, 4), (3, 3), (7, 2), (9, 5)]);
        assert_eq!((block.total(), block.above(3), block.above(9)), (14, 7, 0));
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
