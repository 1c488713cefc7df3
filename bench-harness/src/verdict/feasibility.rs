//! Arithmetic that settles many claims before any load is sent.

use std::time::Duration;

use serde::Serialize;

use crate::report::quantity::{grouped, micros, short, three_digits};

/// What a rate costs in cores, bytes and packets, from what one request costs each side.
///
/// The costs are those of the cheapest server and generator at hand, so the result is a bound: what does not fit here
/// fits with no other server on this hardware.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Feasibility {
    /// CPU time of the server for one request; zero where it runs on another machine.
    #[serde(serialize_with = "as_micros", rename = "server_cpu_us")]
    pub server_cpu: Duration,
    /// CPU time of the generator for one request.
    #[serde(serialize_with = "as_micros", rename = "generator_cpu_us")]
    pub generator_cpu: Duration,
    /// Cores of this machine, for both sides together.
    pub cores: usize,
    /// What one request and its answer take on the way, both directions together.
    pub traffic: Option<Traffic>,
}

/// What one request and its answer take on the way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Traffic {
    /// Bytes of the request, its head included.
    pub request_bytes: f64,
    /// Bytes of the answer, its head included.
    pub response_bytes: f64,
    /// Requests that share a packet with others, as pipelined ones do.
    pub depth: usize,
    /// Bits per second of the link in each direction; `None` for loopback, which has no such limit.
    pub link_bits: Option<f64>,
}

/// Payload of a full segment on Ethernet: 1,500 bytes less the heads of IPv4 and TCP with timestamps.
const SEGMENT: f64 = 1448.0;
/// What a segment takes on Ethernet beside its payload: heads, preamble, checksum and gap.
const SEGMENT_OVERHEAD: f64 = 90.0;

impl Traffic {
    /// Segments with data for each request, both directions together; acknowledgements ride on them.
    pub fn packets(&self) -> f64 {
        self.segments(self.request_bytes) + self.segments(self.response_bytes)
    }

    /// Segments for each request in one direction: what is pipelined goes together.
    fn segments(&self, bytes: f64) -> f64 {
        let depth = self.depth.max(1) as f64;
        (bytes * depth / SEGMENT).ceil().max(1.0) / depth
    }

    /// Bits on the link for each request, in the direction that has more of them.
    fn bits(&self) -> f64 {
        let of = |bytes: f64| 8.0 * (bytes + self.segments(bytes) * SEGMENT_OVERHEAD);
        of(self.request_bytes).max(of(self.response_bytes))
    }

    /// The rate that the link carries at most.
    pub fn bound(&self) -> f64 {
        self.link_bits.map_or(f64::INFINITY, |link| link / self.bits())
    }

    fn sentence(&self, rate: f64) -> String {
        let bytes = self.request_bytes + self.response_bytes;
        let link = self.link_bits.map_or(String::new(), |link| {
            format!(", {} of the link's {} bit/s", short(rate * self.bits()), short(link))
        });
        format!(
            "{} bytes a request make {}B/s and {} packets/s{link}",
            three_digits(bytes),
            short(rate * bytes),
            short(rate * self.packets())
        )
    }
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

    /// The highest rate that all cores and the link can carry, both sides split ideally.
    pub fn bound(&self) -> f64 {
        let cpu = self.cores as f64 / (self.server_cpu + self.generator_cpu).as_secs_f64();
        cpu.min(self.traffic.map_or(f64::INFINITY, |traffic| traffic.bound()))
    }

    /// Whether `rate` per second fits on this machine.
    pub fn allows(&self, rate: f64) -> bool {
        rate <= self.bound()
    }

    /// The arithmetic in words.
    pub fn sentence(&self, rate: f64) -> String {
        let cpu = match self.server_cpu.is_zero() {
            true => format!(
                "{}/s x {} µs of generator CPU = {} cores; this machine has {}",
                grouped(rate),
                micros(self.generator_cpu),
                three_digits(self.generator_cores(rate)),
                self.cores
            ),
            false => format!(
                "{}/s x ({} + {} µs of server and generator CPU) = {} + {} cores; this machine has {}",
                grouped(rate),
                micros(self.server_cpu),
                micros(self.generator_cpu),
                three_digits(self.server_cores(rate)),
                three_digits(self.generator_cores(rate)),
                self.cores
            ),
        };
        match self.traffic {
            Some(traffic) => format!("{cpu}; {}", traffic.sentence(rate)),
            None => cpu,
        }
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
            traffic: None,
        }
    }

    /// A plaintext answer of 142 bytes at a depth of 16, on 10 Gbit/s: 28.7 M per second were once published for it.
    fn plaintext(link_bits: Option<f64>) -> Traffic {
        Traffic { request_bytes: 165.0, response_bytes: 142.0, depth: 16, link_bits }
    }

    #[test]
    fn more_bytes_than_the_link_carries_do_not_fit() {
        let fast = Feasibility { traffic: Some(plaintext(Some(10e9))), ..with(10, 10, 64) };
        assert!(!fast.allows(28.7e6), "{}", fast.bound());
        assert!(fast.allows(5e6), "{}", fast.bound());
        let sentence = fast.sentence(28.7e6);
        assert!(sentence.contains("of the link's 10.0 G bit/s"), "{sentence}");
        assert!(Feasibility { traffic: Some(plaintext(None)), ..with(10, 10, 64) }.allows(28.7e6));
    }

    #[test]
    fn pipelined_requests_share_their_packets() {
        // 16 requests of 165 bytes are two segments, their answers of 142 bytes two more.
        assert_eq!(plaintext(None).packets(), 4.0 / 16.0);
        assert_eq!(Traffic { depth: 1, ..plaintext(None) }.packets(), 2.0);
    }

    #[test]
    fn a_server_elsewhere_costs_no_cores_here() {
        let elsewhere = with(0, 4_000, 2);
        assert_eq!(elsewhere.bound(), 500_000.0);
        assert!(elsewhere.sentence(1e6).contains("x 4.00 µs of generator CPU = 4.00 cores"));
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
