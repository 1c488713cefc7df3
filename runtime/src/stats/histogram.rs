//! Counts by size, with buckets that grow with what they hold.

use std::cell::Cell;
use std::ops::RangeInclusive;

/// Buckets per doubling, as a power of two.
const FINE: u32 = 3;
const PER_DOUBLING: u64 = 1 << FINE;
const BUCKETS: usize = ((64 - FINE as usize) + 1) << FINE;

/// The bucket of a value: below 8 one each, then eight per doubling, so that none is wider than an eighth of its values.
#[inline]
fn bucket(value: u64) -> usize {
    if value < PER_DOUBLING {
        return value as usize;
    }
    let doubling = 63 - value.leading_zeros() - FINE;
    // The top bit of `value >> doubling` counts on from the doublings below.
    ((u64::from(doubling) << FINE) + (value >> doubling)) as usize
}

/// The values that a bucket holds.
fn values(bucket: usize) -> RangeInclusive<u64> {
    let bucket = bucket as u64;
    if bucket < 2 * PER_DOUBLING {
        return bucket..=bucket;
    }
    let doubling = (bucket >> FINE) - 1;
    let first = (PER_DOUBLING + (bucket & (PER_DOUBLING - 1))) << doubling;
    first..=first + ((1 << doubling) - 1)
}

/// Where a core writes: plain cells, as nobody else reads them.
pub(crate) struct Recorder(Box<[Cell<u64>; BUCKETS]>);

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder(Box::new([const { Cell::new(0) }; BUCKETS]))
    }
}

impl Recorder {
    #[inline]
    pub(super) fn record(&self, value: u64) {
        let count = &self.0[bucket(value)];
        count.set(count.get() + 1);
    }

    pub(super) fn snapshot(&self) -> Histogram {
        Histogram { counts: self.0.iter().map(Cell::get).collect() }
    }
}

/// How often each size occurred, to within an eighth of the size.
///
/// Values below 16 are exact. Merging is exact: the histogram of two cores together is the sum of theirs.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64]>,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS].into() }
    }
}

impl Histogram {
    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// What was counted since an earlier snapshot of the same histogram.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, then)| now.saturating_sub(*then));
        Histogram { counts: counts.collect() }
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The value that the fraction `share` (0 to 1) of all values does not exceed; 0 if there are none.
    ///
    /// It is the upper end of the bucket, so at most an eighth too large and never too small.
    pub fn quantile(&self, share: f64) -> u64 {
        let count = self.count();
        let rank = ((share.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.counts.iter().position(|&counted| {
            seen += counted;
            seen >= rank
        });
        reached.map_or(0, |bucket| *values(bucket).end())
    }

    /// The smallest value, at most an eighth too small; 0 if there are none.
    pub fn min(&self) -> u64 {
        self.counts.iter().position(|&counted| counted > 0).map_or(0, |bucket| *values(bucket).start())
    }

    /// The largest value, at most an eighth too large; 0 if there are none.
    pub fn max(&self) -> u64 {
        self.counts.iter().rposition(|&counted| counted > 0).map_or(0, |bucket| *values(bucket).end())
    }

    /// The buckets that are not empty, in rising order: the values that they hold, and how many there were.
    pub fn buckets(&self) -> impl Iterator<Item = (RangeInclusive<u64>, u64)> + '_ {
        let counted = self.counts.iter().enumerate().filter(|&(_, &count)| count > 0);
        counted.map(|(bucket, &count)| (values(bucket), count))
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_join_without_gap_or_overlap() {
        let mut next = 0;
        for number in 0..BUCKETS {
            let range = values(number);
            assert_eq!(*range.start(), next, "bucket {number}");
            for value in [*range.start(), range.start() + (range.end() - range.start()) / 2, *range.end()] {
                assert_eq!(bucket(value), number, "{value}");
            }
            let width = range.end() - range.start();
            assert!(width <= range.start() / 8, "bucket {number} is {width} wide at {}", range.start());
            if number + 1 == BUCKETS {
                assert_eq!(*range.end(), u64::MAX);
            } else {
                next = range.end() + 1;
            }
        }
    }

    #[test]
    fn quantiles_are_near_and_merging_is_exact() {
        let (odd, even, all) = (Recorder::default(), Recorder::default(), Recorder::default());
        let mut sorted = Vec::new();
        let mut random = 1u64;
        for n in 0..5000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = random >> (20 + random % 40);
            sorted.push(value);
            all.record(value);
            if n % 2 == 0 { even.record(value) } else { odd.record(value) }
        }
        sorted.sort_unstable();
        let mut merged = even.snapshot();
        merged.merge(&odd.snapshot());
        assert_eq!(merged, all.snapshot());
        assert_eq!(merged.since(&even.snapshot()), odd.snapshot());
        assert_eq!(merged.count(), 5000);
        for share in [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((share * 5000.0) as usize).clamp(1, 5000) - 1;
            let (exact, told) = (sorted[rank], merged.quantile(share));
            assert!(told >= exact && told - exact <= exact / 8, "{share}: {told} for {exact}");
        }
        assert!(merged.min() <= sorted[0] && merged.max() >= sorted[4999]);
        assert_eq!(merged.buckets().map(|(_, count)| count).sum::<u64>(), 5000);
    }

    #[test]
    fn nothing_counted_is_nothing() {
        let empty = Histogram::default();
        assert_eq!((empty.count(), empty.quantile(0.5), empty.min(), empty.max()), (0, 0, 0, 0));
    }
}
