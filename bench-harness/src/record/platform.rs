//! What the machine did during a run, and what was measured beside it.

use std::time::Duration;

use serde::Serialize;

use super::Hist;

/// What a thread that only watches saw of the machine during the measured window.
#[derive(Debug, Clone, Default)]
pub struct Platform {
    /// By how much a sleep of one millisecond was too long, over and over: pauses that no program here is to blame for.
    pub hiccups: Hist,
    /// What the kernel counted.
    pub kernel: Kernel,
}

/// What the kernel counted for this container and network namespace; `None` where it does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// Periods in which the control group had used up its share of the CPU.
    pub throttled_periods: Option<u64>,
    /// Time for which it was stopped for that.
    #[serde(serialize_with = "optional_seconds")]
    pub throttled: Option<Duration>,
    /// Connections refused because a listener's backlog was full.
    pub listen_overflows: Option<u64>,
    /// Segments sent again.
    pub retransmits: Option<u64>,
}

fn optional_seconds<S: serde::Serializer>(
    value: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.serialize_some(&value.as_secs_f64()),
        None => serializer.serialize_none(),
    }
}

/// What was measured beside a run in order to judge it.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    /// Requests per second that the same load made of the null responder.
    pub ceiling: Option<f64>,
    /// Requests per second with another number of generator cores.
    pub doubling: Option<Doubling>,
    /// Response times of one connection with a thread of its own, at a low rate.
    pub canary: Option<Hist>,
}

/// A run with more or fewer generator cores, right after the measured one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Doubling {
    /// Generator cores.
    pub cores: usize,
    /// Requests per second.
    pub rate: f64,
}
