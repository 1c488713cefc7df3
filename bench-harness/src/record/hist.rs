//! A latency histogram that never loses a value.

use std::ops::Deref;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};

/// The largest value that is told apart, in nanoseconds: one hour.
pub const MAX_NANOS: u64 = 3_600_000_000_000;

/// Latencies in nanoseconds at three significant digits, from 1 ns to one hour.
///
/// A value above the range is recorded at its end and counted in [`Hist::overflow`], so that it stays in every
/// quantile.
#[derive(Debug, Clone)]
pub struct Hist {
    values: Histogram<u64>,
    overflow: u64,
}

impl Default for Hist {
    fn default() -> Self {
        Self::new()
    }
}

impl Hist {
    /// An empty histogram.
    pub fn new() -> Self {
        let values = Histogram::new_with_bounds(1, MAX_NANOS, 3).expect("the bounds are valid constants");
        Self { values, overflow: 0 }
    }

    /// Records `count` values of the same length of time.
    #[inline]
    pub fn record(&mut self, value: Duration, count: u64) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        if self.values.record_n(nanos, count).is_err() {
            self.overflow += count;
            self.values.saturating_record_n(MAX_NANOS, count);
        }
    }

    /// Adds everything that `other` holds.
    pub fn add(&mut self, other: &Self) {
        self.values.add(&other.values).expect("all histograms here have the same bounds");
        self.overflow += other.overflow;
    }

    /// Takes out what `gone` holds, all of which is here, and adds what `instead` holds.
    pub fn replace(&mut self, gone: &Self, instead: &Self) {
        // Where it is not, nothing is taken out, and the answers that came in pieces count twice.
        let _ = self.values.subtract(&gone.values);
        self.add(instead);
    }

    /// Empties the histogram and keeps its memory.
    pub fn clear(&mut self) {
        self.values.reset();
        self.overflow = 0;
    }

    /// How many values were above the range.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The value at quantile `q` (0 to 1); zero when nothing was recorded.
    pub fn quantile(&self, q: f64) -> Duration {
        Duration::from_nanos(self.values.value_at_quantile(q))
    }

    /// The histogram in the HdrHistogram V2 encoding, uncompressed.
    pub fn to_v2(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.values, &mut bytes)
            .expect("writing to a vector cannot fail and the counts fit the encoding");
        bytes
    }
}

impl Deref for Hist {
    type Target = Histogram<u64>;

    fn deref(&self) -> &Histogram<u64> {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;
    use proptest::prelude::*;

    #[test]
    fn values_out_of_range_stay_in_the_quantiles_and_are_counted() {
        let mut hist = Hist::new();
        hist.record(Duration::from_secs(7200), 3);
        hist.record(Duration::from_millis(1), 1);
        assert_eq!((hist.len(), hist.overflow()), (4, 3));
        assert!(hist.quantile(0.9) >= Duration::from_secs(3590));
        hist.clear();
        assert_eq!((hist.len(), hist.overflow()), (0, 0));
    }

    #[test]
    fn a_duration_of_zero_is_a_value() {
        let mut hist = Hist::new();
        hist.record(Duration::ZERO, 2);
        assert_eq!((hist.len(), hist.overflow()), (2, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn values_come_back_within_three_digits(nanos in 1_u64..MAX_NANOS) {
            let mut hist = Hist::new();
            hist.record(Duration::from_nanos(nanos), 1);
            let seen = hist.quantile(0.5).as_nanos() as f64;
            prop_assert!((seen / nanos as f64 - 1.0).abs() <= 1e-3, "{seen} for {nanos}");
        }

        #[test]
        fn the_encoding_is_read_back_by_the_library(values in prop::collection::vec(1_u64..1_000_000_000, 0..50)) {
            let mut hist = Hist::new();
            for &value in &values {
                hist.record(Duration::from_nanos(value), 1);
            }
            let read: Histogram<u64> =
                Deserializer::new().deserialize(&mut hist.to_v2().as_slice()).unwrap();
            prop_assert_eq!(&read, &*hist);
        }
    }
}
