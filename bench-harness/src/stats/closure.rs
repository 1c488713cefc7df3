//! Little's law as a check of a load generator.

use std::time::Duration;

use serde::Serialize;

/// How far from 1 a closure may be.
pub const TOLERANCE: f64 = 0.03;

/// `λ · W / L`: throughput times mean latency over the requests in flight.
///
/// In a closed loop without think time every one of the `L` requests is always in flight, so the closure is 1. Below 1
/// the clocks missed time; above 1 samples were made up. Needed, not sufficient: a generator that waits for itself
/// still closes.
///
/// Source: Little, "A proof for the queuing formula L = λW", Operations Research 9(3), 1961.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Closure(pub f64);

impl Closure {
    /// The closure of `rate` per second, a `mean` latency and `in_flight` requests (connections times depth).
    pub fn of(rate: f64, mean: Duration, in_flight: usize) -> Closure {
        Closure(rate * mean.as_secs_f64() / in_flight as f64)
    }

    /// Whether the law holds within [`TOLERANCE`].
    pub fn holds(self) -> bool {
        (self.0 - 1.0).abs() <= TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_cases_come_out_as_published() {
        let generator_bound = Closure::of(218_000.0, Duration::from_micros(171), 64);
        assert!((generator_bound.0 - 0.582).abs() < 0.001 && !generator_bound.holds());
        let quiet = Closure::of(152_000.0, Duration::from_micros(420), 64);
        assert!(quiet.holds(), "{}", quiet.0);
        assert!(!Closure::of(f64::NAN, Duration::from_micros(1), 1).holds());
    }
}
