//! The conditions of a run, without which its numbers mean nothing.

use std::fs;
use std::time::Duration;

use serde::Serialize;

/// Who decides when the next request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
pub enum LoopModel {
    /// Each connection sends when an answer has come; the server sets the pace.
    Closed,
    /// Requests are due at times of their own, whatever the server does.
    Open {
        /// Requests per second, over all generator cores; the mean where it changes.
        rate: f64,
    },
    /// Sessions arrive whatever the server does; the requests of a session follow one another.
    PartlyOpen {
        /// Sessions per second, over all generator cores; the mean where it changes.
        rate: f64,
        /// Requests in a session.
        requests: u64,
    },
}

impl LoopModel {
    /// Requests per second that the loop is to make; `None` where the server sets the pace.
    pub fn rate(self) -> Option<f64> {
        match self {
            Self::Closed => None,
            Self::Open { rate } => Some(rate),
            Self::PartlyOpen { rate, requests } => Some(rate * requests as f64),
        }
    }
}

/// Under what conditions a run was made.
#[derive(Debug, Clone, Serialize)]
pub struct Conditions {
    /// What was asked for.
    pub url: String,
    /// The request method.
    pub method: String,
    /// What was asked for beside that, with a digest of it; `None` where nothing was.
    pub request: Option<String>,
    /// Which answers counted as valid, where not those of any 2xx that are alike in length.
    pub accepted: Option<String>,
    /// Closed or open loop.
    #[serde(rename = "loop")]
    pub loop_model: LoopModel,
    /// The pattern of arrivals of an open loop, and the stages of its rate where it changes.
    pub arrivals: Option<String>,
    /// The think time after an answer.
    pub think: Option<String>,
    /// Requests after which a connection is closed and opened again.
    pub requests_per_connection: Option<u64>,
    /// Connections that were opened per second at most.
    pub connection_rate: Option<f64>,
    /// Kinds of requests in the mix.
    pub kinds: usize,
    /// What all that was random began with.
    pub seed: u64,
    /// Where connections led, when not to the URL's host and port.
    pub connected_to: Option<String>,
    /// Connections, over all generator cores.
    pub connections: usize,
    /// Generator threads.
    pub threads: usize,
    /// Requests that may be in flight on a connection.
    pub pipeline: usize,
    /// The protocol's name and version.
    pub protocol: &'static str,
    /// How connections were to be secured; `None` where they were plain.
    pub tls: Option<String>,
    /// Time before the measured window.
    #[serde(serialize_with = "seconds")]
    pub warmup: Duration,
    /// Where the warm-up was to last until the load was steady: for how long at most.
    #[serde(serialize_with = "optional_seconds")]
    pub steady_within: Option<Duration>,
    /// Length of the measured window asked for; the record's `elapsed` is what it was.
    #[serde(serialize_with = "seconds")]
    pub duration: Duration,
    /// After this long without an answer a request is given up.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
    /// The CPU of each generator thread, in order; shorter than `threads` never, repeated when they share.
    pub generator_cpus: Vec<usize>,
    /// The CPUs of the server, where the caller knows them.
    pub server_cpus: Option<Vec<usize>>,
    /// The kernel's release.
    pub kernel: String,
    /// The CPU's name.
    pub cpu_model: String,
}

pub(super) fn seconds<S: serde::Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(value.as_secs_f64())
}

fn optional_seconds<S: serde::Serializer>(
    value: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.map(|value| value.as_secs_f64()).serialize(serializer)
}

/// The release of the running kernel, as `uname -r` prints it.
pub fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The name of the first CPU in /proc/cpuinfo, or `unknown` where it has none.
pub fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| matches!(key.trim(), "model name" | "Processor" | "cpu model"))
        .map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}
