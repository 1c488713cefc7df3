//! Response times over time, in memory that does not grow with the length of a run.

use crate::record::Hist;

/// Classes of response times in each decade: one is a fifth wider than the one below it.
pub const PER_DECADE: usize = 12;
/// Decades from 100 ns on: up to 1,000 s, and what is longer belongs to the last class.
const DECADES: usize = 10;
/// The first class holds everything up to this.
const LEAST: f64 = 100.0;
/// A map is given out with at most so many columns.
pub const COLUMNS: usize = 120;

/// How many requests of each class of response times ended in each span of time.
///
/// Columns are a second each to begin with. Whenever there would be more than twice [`COLUMNS`], neighbours become one:
/// a day takes no more room than four minutes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeatMap {
    /// Seconds that each column stands for.
    pub seconds: u64,
    columns: Vec<Vec<u64>>,
}

impl HeatMap {
    /// Adds what ended in second `second` of the run.
    pub fn add(&mut self, second: u64, hist: &Hist) {
        self.seconds = self.seconds.max(1);
        while second / self.seconds >= 2 * COLUMNS as u64 {
            self.halve();
        }
        let column = (second / self.seconds) as usize;
        if self.columns.len() <= column {
            self.columns.resize_with(column + 1, || vec![0; PER_DECADE * DECADES]);
        }
        for bucket in hist.iter_recorded() {
            self.columns[column][class(bucket.value_iterated_to())] += bucket.count_at_value();
        }
    }

    /// The map with columns of `seconds`, a multiple of its own by a power of two.
    pub fn at(&self, seconds: u64) -> HeatMap {
        let mut map = self.clone();
        while map.seconds < seconds && map.seconds > 0 {
            map.halve();
        }
        map
    }

    fn halve(&mut self) {
        let merged = |pair: &[Vec<u64>]| match pair {
            [one, other] => one.iter().zip(other).map(|(a, b)| a + b).collect(),
            _ => pair[0].clone(),
        };
        self.columns = self.columns.chunks(2).map(merged).collect();
        self.seconds *= 2;
    }

    /// The columns, in the order of time: how many requests each class has.
    pub fn columns(&self) -> &[Vec<u64>] {
        &self.columns
    }
}

/// The maps of several runs, with columns of one length, at most `most` of them together where each run has more than
/// one.
pub fn aligned(maps: &[HeatMap], most: usize) -> Vec<HeatMap> {
    let mut seconds = maps.iter().map(|map| map.seconds).max().unwrap_or(1);
    loop {
        let all: Vec<HeatMap> = maps.iter().map(|map| map.at(seconds)).collect();
        let columns: usize = all.iter().map(|map| map.columns.len()).sum();
        if columns <= most || all.iter().all(|map| map.columns.len() <= 1) {
            return all;
        }
        seconds *= 2;
    }
}

/// The least response time of a class, in nanoseconds.
pub fn least(class: usize) -> f64 {
    LEAST * 10f64.powf(class as f64 / PER_DECADE as f64)
}

fn class(nanos: u64) -> usize {
    let place = (nanos.max(1) as f64 / LEAST).log10() * PER_DECADE as f64;
    (place.max(0.0) as usize).min(PER_DECADE * DECADES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn hist(micros: &[u64]) -> Hist {
        let mut hist = Hist::new();
        micros.iter().for_each(|&value| hist.record(Duration::from_micros(value), 1));
        hist
    }

    #[test]
    fn a_day_takes_no_more_room_than_four_minutes_and_no_request_is_lost() {
        let (mut map, second) = (HeatMap::default(), hist(&[50, 60, 20_000]));
        for index in (0..86_400).step_by(100) {
            map.add(index, &second);
        }
        map.add(86_399, &second);
        assert_eq!(map.seconds, 512);
        assert_eq!(map.columns().len(), 86_400usize.div_ceil(512));
        assert_eq!(map.columns().iter().flatten().sum::<u64>(), 3 * 865);
        let shown = &aligned(&[map], COLUMNS)[0];
        assert_eq!((shown.seconds, shown.columns().len()), (1024, 85));
        assert_eq!(shown.columns().iter().flatten().sum::<u64>(), 3 * 865);
    }

    #[test]
    fn a_class_holds_the_times_from_its_least_to_that_of_the_next() {
        for nanos in [1, 99, 100, 101, 5_000, 1_000_000, 999_999_999, u64::MAX] {
            let class = class(nanos);
            assert!(class == 0 || least(class) <= nanos as f64 * (1.0 + 1e-9), "{nanos}");
            assert!(class == PER_DECADE * DECADES - 1 || (nanos as f64) < least(class + 1), "{nanos}");
        }
    }

    #[test]
    fn runs_of_different_length_get_columns_of_one_length() {
        let (mut long, mut short) = (HeatMap::default(), HeatMap::default());
        (0..1_000).step_by(10).for_each(|index| long.add(index, &hist(&[5])));
        (0..30).for_each(|index| short.add(index, &hist(&[5])));
        let both = aligned(&[long, short], COLUMNS);
        assert_eq!(both[0].seconds, both[1].seconds);
        assert!(both.iter().map(|map| map.columns().len()).sum::<usize>() <= COLUMNS);
        let many = vec![both[1].clone(); 500];
        assert!(aligned(&many, COLUMNS).iter().all(|map| map.columns().len() == 1));
        assert_eq!(aligned(&[], COLUMNS), []);
    }
}
