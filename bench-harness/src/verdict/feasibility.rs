//! Arithmetic that settles many claims before any load is sent.

use std::time::Duration;

use serde::Serialize;

use crate::report::quantity::{grouped, micros, three_digits};

/// What a rate costs in cores, from the CPU time that one request costs each side.
///
/// The costs are those of the cheapest server and generator at hand, so the result is a bound: what does not fit here
/// fits with no other server on this hardware.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Feasibility {
    /// CPU time of the server for one request.
    #[serde(serialize_with = "as_micros", rename = "server_cpu_us")]
    pub server_cpu: Duration,
    /// CPU time of the generator for one request.
    #[serde(serialize_with = "as_micros", rename = "generator_cpu_us")]
    pub generator_cpu: Duration,
    /// Cores of this machine, for both sides together.
    pub cores: usize,
}

fn as_micros<S: serde::Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(value.as_secs_f64() * 1e6)
}

impl Feasibility {
    /// Cores that the server needs for `rate` per second.
    pub fn server_cores(&self, rate: f64) -> f64 {
        rate * self.server_cpu.as_secs_f64()
    }

    /// Cores that the generator needs for `rate` per second.
    pub fn generator_cores(&self, rate: f64) -> f64 {
        rate * self.generator_cpu.as_secs_f64()
    }

    /// The highest rate that all cores together can carry, both sides split ideally.
    pub fn bound(&self) -> f64 {
        self.cores as f64 / (self.server_cpu + self.generator_cpu).as_secs_f64()
    }

    /// Whether `rate` per second fits on this machine.
    pub fn allows(&self, rate: f64) -> bool {
        self.server_cores(rate) + self.generator_cores(rate) <= self.cores as f64
    }

    /// The arithmetic in words.
    pub fn sentence(&self, rate: f64) -> String {
        format!(
            "{}/s x ({} + {} µs of server and generator CPU) = {} + {} cores; this machine has {}",
            grouped(rate),
            micros(self.server_cpu),
            micros(self.generator_cpu),
            three_digits(self.server_cores(rate)),
            three_digits(self.generator_cores(rate)),
            self.cores
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(server_ns: u64, generator_ns: u64, cores: usize) -> Feasibility {
        Feasibility {
            server_cpu: Duration::from_nanos(server_ns),
            generator_cpu: Duration::from_nanos(generator_ns),
            cores,
        }
    }

    #[test]
    fn the_claim_does_not_fit_on_two_cores_at_depth_one() {
        let depth_one = with(3_670, 4_540, 2);
        assert!(!depth_one.allows(784_921.0));
        assert!((depth_one.server_cores(784_921.0) - 2.88).abs() < 0.01);
        assert_eq!(
            depth_one.sentence(784_921.0),
            "784,921/s x (3.67 + 4.54 µs of server and generator CPU) = 2.88 + 3.56 cores; this machine has 2"
        );
    }

    #[test]
    fn it_fits_at_depth_sixteen_and_on_eight_cores() {
        assert!(with(202, 450, 2).allows(784_921.0));
        assert!(with(3_670, 4_540, 8).allows(784_921.0));
    }

    #[test]
    fn the_bound_is_where_it_stops_to_fit() {
        let some = with(2_800, 1_900, 2);
        assert!(some.allows(some.bound() * 0.999) && !some.allows(some.bound() * 1.001));
    }
}
