//! Histograms of times, made ready before a core needs them.

use std::sync::{Mutex, PoisonError};

use crate::record::Hist;

/// The times of the requests that ended in one interval of a core.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) response: Hist,
    pub(super) clocks: Option<Clocks>,
}

/// What is recorded where requests have intended times.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    pub(super) service: Hist,
    pub(super) lateness: Hist,
    pub(super) generator_lateness: Hist,
}

impl Times {
    /// None yet; with `clocks` where requests have intended times.
    pub(super) fn new(clocks: bool) -> Self {
        Self { response: Hist::new(), clocks: clocks.then(Clocks::default) }
    }

    /// The same, with its memory in place: whoever records in it has no page to wait for.
    fn in_memory(clocks: bool) -> Self {
        let mut times = Self::new(clocks);
        times.response.clear();
        if let Some(Clocks { service, lateness, generator_lateness }) = &mut times.clocks {
            [service, lateness, generator_lateness].into_iter().for_each(Hist::clear);
        }
        times
    }
}

/// Times for the next interval of each core.
///
/// They are made by the thread that conducts the run. A core that made its own would stand still for it, as a megabyte
/// takes most of a millisecond to become memory, and would be late with what is due meanwhile.
#[derive(Debug)]
pub(super) struct Spares {
    clocks: bool,
    cores: Box<[Mutex<Vec<Times>>]>,
}

impl Spares {
    /// For each core those of the warm-up and of the first two intervals.
    pub(super) fn new(cores: usize, clocks: bool) -> Self {
        let spares = || Mutex::new((0..3).map(|_| Times::in_memory(clocks)).collect());
        Self { clocks, cores: std::iter::repeat_with(spares).take(cores).collect() }
    }

    /// Whether requests have intended times.
    pub(super) fn have_clocks(&self) -> bool {
        self.clocks
    }

    /// Those of a core's next interval; where nobody has made them in time, they are made now.
    pub(super) fn take(&self, core: usize) -> Times {
        let spare = self.cores[core].lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Times::new(self.clocks))
    }

    /// Makes those of a later interval, for a core that has taken some.
    pub(super) fn renew(&self, core: usize) {
        let times = Times::in_memory(self.clocks);
        self.cores[core].lock().unwrap_or_else(PoisonError::into_inner).push(times);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_core_has_times_whether_somebody_made_them_or_not() {
        let spares = Spares::new(2, true);
        for turn in 0..6 {
            let mut times = spares.take(1);
            assert_eq!((times.response.len(), times.clocks.is_some()), (0, true), "turn {turn}");
            times.response.record(Duration::from_secs(1), 1);
            if turn == 4 {
                spares.renew(1);
            }
        }
        assert!(Spares::new(1, false).take(0).clocks.is_none());
    }
}
