//! A load test inside another program.

use std::time::Duration;

use covet_http::Method;

use super::{Extent, LoadError, LoadPlan, NoProgress, TargetUrl, TlsOptions, place, run};
use crate::clock::{Arrivals, Delay};
use crate::record::{LoopModel, RunRecord};

/// A load test as part of an integration test or a program: what to load and how, then [`LoadTest::run`].
///
/// What is not said has the default of `covet-bench run`: a closed loop on 64 connections for ten seconds, after one
/// second of warm-up. Without [`LoadTest::cpus`] it takes the upper half of the process's CPUs where the server is on this
/// machine, and all of them elsewhere.
///
/// ```no_run
/// use std::time::Duration;
/// use covet_bench::load::LoadTest;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let record = LoadTest::new("http://127.0.0.1:8080/plaintext")
///     .rate(1000.0)
///     .duration(Duration::from_secs(5))
///     .run()?;
/// assert!(record.is_valid(), "{}", record.to_text());
/// assert!(record.quantile(0.99) < Duration::from_millis(5), "{}", record.to_text());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a load test does nothing until it is run"]
pub struct LoadTest {
    url: String,
    cpus: Option<Vec<usize>>,
    shape: LoadPlan,
}

impl LoadTest {
    /// A test of a URL, which is looked at when the test is run.
    pub fn new(url: impl Into<String>) -> Self {
        let nowhere = TargetUrl::parse("http://localhost/").expect("it is a URL");
        Self { url: url.into(), cpus: None, shape: LoadPlan::closed(nowhere, Vec::new()) }
    }

    /// An open loop of so many requests per second.
    pub fn rate(mut self, rate: f64) -> Self {
        self.shape.loop_model = LoopModel::Open { rate };
        self
    }

    /// A partly open loop: so many sessions per second of so many requests each.
    pub fn sessions(mut self, rate: f64, requests: u64) -> Self {
        self.shape.loop_model = LoopModel::PartlyOpen { rate, requests };
        self
    }

    /// The pattern in which an open loop's requests arrive.
    pub fn arrivals(mut self, arrivals: Arrivals) -> Self {
        self.shape.arrivals = arrivals;
        self
    }

    /// The wait after each answer.
    pub fn think(mut self, think: Delay) -> Self {
        self.shape.think = Some(think);
        self
    }

    /// Connections, over all cores.
    pub fn connections(mut self, connections: usize) -> Self {
        self.shape.connections = connections;
        self
    }

    /// Requests in flight on each connection.
    pub fn pipeline(mut self, depth: usize) -> Self {
        self.shape.pipeline = depth;
        self
    }

    /// Length of the measured window.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.shape.extent.duration = Some(duration);
        self
    }

    /// Ends the window when so many requests are answered, or at its length if that is sooner.
    pub fn requests(mut self, requests: u64) -> Self {
        self.shape.extent = Extent { requests: Some(requests), ..self.shape.extent };
        self
    }

    /// Time before the measured window.
    pub fn warmup(mut self, warmup: Duration) -> Self {
        self.shape.warmup = warmup;
        self
    }

    /// Warms up until the load is steady, and for so long at most; the guard `warm-up` says what came of it.
    pub fn warmup_until_steady(mut self, longest: Duration) -> Self {
        self.shape.warmup = Duration::ZERO;
        self.shape.steady_within = Some(longest);
        self
    }

    /// How connections to an `https` URL are secured.
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.shape.tls = options;
        self
    }

    /// After this long without an answer a request is given up.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.shape.timeout = timeout;
        self
    }

    /// The request method.
    pub fn method(mut self, method: Method) -> Self {
        self.shape.request.method = method;
        self
    }

    /// A request field.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.shape.request.fields.push((name.into(), value.into()));
        self
    }

    /// The request body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.shape.request.body = body.into().into();
        self
    }

    /// What all that is random begins with.
    pub fn seed(mut self, seed: u64) -> Self {
        self.shape.seed = seed;
        self
    }

    /// The CPUs of the generator, one thread on each.
    pub fn cpus(mut self, cpus: impl Into<Vec<usize>>) -> Self {
        self.cpus = Some(cpus.into());
        self
    }

    /// The plan that the test makes.
    ///
    /// # Errors
    /// When the URL is none, or the CPUs cannot be used.
    pub fn plan(&self) -> Result<LoadPlan, LoadError> {
        let url = TargetUrl::parse(&self.url)?;
        let local = url.resolve().is_ok_and(|all| all.iter().all(|address| address.ip().is_loopback()));
        let mut cpus = place(self.cpus.as_deref(), None, local)?;
        cpus.truncate(self.shape.connections.max(1));
        Ok(LoadPlan { url, cpus, ..self.shape.clone() })
    }

    /// Runs the test, on threads of its own; blocks until the measured window closes.
    ///
    /// # Errors
    /// As [`run`].
    pub fn run(&self) -> Result<RunRecord, LoadError> {
        run(&self.plan()?, &NoProgress)
    }
}
